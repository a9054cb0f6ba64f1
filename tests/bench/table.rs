//! The one table: what was measured, the floor beside it, and whether the figure is reached.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

/// A figure to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// The value must not be above.
    ValueAtMost(f64),
    /// The value must not be below.
    ValueAtLeast(f64),
    /// Value over floor must not be above.
    RatioAtMost(f64),
    /// Value over floor must not be below.
    RatioAtLeast(f64),
}

/// One line.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// Stable name, for comparison between runs.
    pub(crate) id: &'static str,
    /// Of which flow, or with which database; `None` = of a program or its store as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flow: Option<&'static str>,
    /// What was measured, in words.
    pub(crate) measure: String,
    /// The figure.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// The least or most that this machine gives, measured in the same run.
    pub(crate) floor: Option<f64>,
    /// Value over floor.
    pub(crate) ratio: Option<f64>,
    /// What is wanted, in words.
    pub(crate) target: Option<String>,
    /// Whether it is so; `None` = nothing is wanted.
    pub(crate) ok: Option<bool>,
}

impl Row {
    /// A figure by itself.
    pub(crate) fn new(id: &'static str, measure: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let measure = measure.into();
        Self { id, flow: None, measure, value, unit, floor: None, ratio: None, target: None, ok: None }
    }

    /// The same as a figure of one flow, or with one database.
    #[must_use]
    pub(crate) fn of(mut self, flow: &'static str) -> Self {
        self.flow = Some(flow);
        self
    }

    /// The same with its floor.
    #[must_use]
    pub(crate) fn floor(mut self, floor: f64) -> Self {
        self.floor = Some(floor);
        self.ratio = (floor > 0.0).then(|| self.value / floor);
        self
    }

    /// The same with what is wanted of it.
    #[must_use]
    pub(crate) fn target(mut self, target: Target) -> Self {
        let (words, ok) = match target {
            Target::ValueAtMost(most) => {
                (format!("≤ {} {}", figure(most), self.unit), Some(self.value <= most))
            }
            Target::ValueAtLeast(least) => {
                (format!("≥ {} {}", figure(least), self.unit), Some(self.value >= least))
            }
            Target::RatioAtMost(most) => {
                (format!("≤ {} ×", figure(most)), self.ratio.map(|ratio| ratio <= most))
            }
            Target::RatioAtLeast(least) => {
                (format!("≥ {} ×", figure(least)), self.ratio.map(|ratio| ratio >= least))
            }
        };
        self.target = Some(words.trim_end().to_owned());
        self.ok = ok;
        self
    }

    /// What was measured, with the flow in front; a part of the figure above stays indented.
    fn words(&self) -> String {
        let Some(flow) = self.flow else { return self.measure.clone() };
        let words = self.measure.trim_start();
        let indent = " ".repeat(self.measure.len() - words.len());
        format!("{indent}{flow}: {words}")
    }

    fn cells(&self) -> [String; 6] {
        let amount = |value: f64| format!("{} {}", figure(value), self.unit).trim_end().to_owned();
        let verdict = match self.ok {
            Some(true) => "ok",
            Some(false) => "missed",
            None => "",
        };
        [
            self.words(),
            amount(self.value),
            self.floor.map(amount).unwrap_or_default(),
            self.ratio.map(|ratio| format!("{} ×", figure(ratio))).unwrap_or_default(),
            self.target.clone().unwrap_or_default(),
            verdict.to_owned(),
        ]
    }
}

/// The table as text, in Markdown, so that it can be kept as it is.
pub(crate) fn render(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["measure", "value", "floor", "ratio", "target", ""]);
    for row in rows {
        table.add_row(row.cells());
    }
    for column in table.column_iter_mut().skip(1).take(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// Three significant digits, and no more of them than there are.
fn figure(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_judged_by_value_or_by_ratio() {
        let row = Row::new("x", "x", 30.0, "ms").floor(10.0);
        let verdict = |target| row.clone().target(target).ok;
        assert_eq!(verdict(Target::ValueAtMost(30.0)), Some(true));
        assert_eq!(verdict(Target::ValueAtMost(29.0)), Some(false));
        assert_eq!(verdict(Target::ValueAtLeast(31.0)), Some(false));
        assert_eq!(verdict(Target::RatioAtMost(4.0)), Some(true));
        assert_eq!(verdict(Target::RatioAtLeast(4.0)), Some(false));
        assert_eq!(Row::new("x", "x", 1.0, "").target(Target::RatioAtMost(4.0)).ok, None);
    }

    #[test]
    fn figures_keep_three_digits() {
        for (value, text) in [(0.0, "0"), (1234.4, "1234"), (56.78, "56.8"), (4.0, "4"), (0.0456, "0.046")] {
            assert_eq!(figure(value), text);
        }
    }

    #[test]
    fn a_figure_of_a_flow_names_it_and_stays_indented() {
        assert_eq!(Row::new("x", "  of it", 1.0, "").of("cards").words(), "  cards: of it");
        assert_eq!(Row::new("x", "calls", 1.0, "").words(), "calls");
    }

    #[test]
    fn the_table_shows_every_row_with_its_verdict() {
        let text = render(&[Row::new("x", "calls", 2.0, "").target(Target::ValueAtMost(1.0))]);
        assert!(text.contains("| calls") && text.contains("missed"), "{text}");
    }
}
