//! What is shown to people: lines, and tables that line up.

/// Prints one line.
#[expect(clippy::print_stdout, reason = "it is what was asked for")]
pub(super) fn line(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

/// Prints a table.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let print = |cells: &[String]| {
        let cells: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        line(cells.join("  ").trim_end());
    };
    print(&head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
    rows.iter().for_each(|row| print(row));
}

/// Prints a text that ends its own lines.
#[expect(clippy::print_stdout, reason = "this is what the person asked for")]
pub(super) fn raw(text: &str) {
    print!("{text}");
}

/// An error with its causes, each said once: many name their cause themselves.
pub fn told(error: &anyhow::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !words.iter().any(|said| said.contains(&cause)) {
            words.push(cause);
        }
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cause_that_an_error_names_itself_is_not_said_again() {
        let refused = crate::store::Store::open("sqlite:/nowhere/at/all/control.db").await.unwrap_err();
        let told = told(&anyhow::Error::new(refused).context("nothing is listed"));
        assert!(told.starts_with("nothing is listed: the database cannot be opened"), "{told}");
        assert_eq!(told.matches("unable to open").count(), 1, "{told}");
    }
}
