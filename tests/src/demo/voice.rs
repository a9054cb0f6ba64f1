//! What the demo prints: words for people on standard output, or one JSON object there and the words beside it. Plain
//! text without colour; a progress bar only on a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::outcome::Outcome;

/// Width of tables where there is no terminal.
const WIDTH: u16 = 114;

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// One JSON object at the end; the words go to standard error.
    Json,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Voice {
    form: Form,
}

impl Voice {
    pub(super) const fn new(form: Form) -> Self {
        Self { form }
    }

    pub(super) fn title(self, text: &str) {
        self.line(text);
    }

    pub(super) fn step(self, number: u8, text: &str) {
        self.line(&format!("\n{number}  {text}"));
    }

    pub(super) fn say(self, text: &str) {
        self.line(&format!("   {text}"));
    }

    pub(super) fn line(self, text: &str) {
        // A reader that has gone away must not end the demo half way.
        drop(match self.form {
            Form::Text => writeln!(std::io::stdout(), "{text}"),
            Form::Json => writeln!(std::io::stderr(), "{text}"),
        });
    }

    /// Cells that look like amounts or counts stand to the right.
    pub(super) fn table(self, headers: &[&str], rows: &[Vec<String>]) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.style_mut().header_separator = LineStyle { fill: Some('\u{2500}'), ..LineStyle::default() };
        let terminal = match self.form {
            Form::Text => std::io::stdout().is_terminal(),
            Form::Json => std::io::stderr().is_terminal(),
        };
        if !terminal {
            table.set_width(WIDTH);
        }
        table.set_header(headers.to_vec());
        for row in rows {
            table.add_row(row.iter().map(|text| {
                let is_number =
                    text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b','));
                let place = if is_number { CellAlignment::Right } else { CellAlignment::Left };
                Cell::new(text).set_alignment(place)
            }));
        }
        table.lines().for_each(|line| self.say(line.trim_end()));
    }

    /// A bar that ends at so many documents; hidden where there is no terminal.
    pub(super) fn bar(self, documents: u64, what: &str) -> ProgressBar {
        if !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(documents), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("   {msg} [{bar:30}] {pos}/{len}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    pub(super) fn end(self, outcome: &Outcome, next: &[String]) {
        if self.form == Form::Json {
            drop(writeln!(std::io::stdout(), "{:#}", outcome.json()));
        }
        self.line("");
        outcome.words().iter().for_each(|line| self.line(line));
        if !next.is_empty() {
            self.line("\nWhere to look next");
            next.iter().for_each(|line| self.say(line));
        }
    }
}
