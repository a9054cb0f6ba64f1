//! The `purser.toml` that fits the sandbox: both connections, and one flow whose mapping covers all but the planted
//! faults. It is text as a person would write it, so that people can read and copy it.

use std::fmt::Write as _;
use std::path::PathBuf;

use chrono::{Days, NaiveDate};

use crate::world::{ACCRUED_EXPENSES, CARD_CLEARING, DEFAULT_COST_CENTRE, DEFAULT_DEPARTMENT};

/// Id of the Expensify connection, and name of its secret.
pub const EXPENSIFY: &str = "expensify";
/// Id of the Epicor connection, and name of its secret.
pub const EPICOR: &str = "epicor";
/// Id of the Brex connection, and name of its secret.
pub const BREX: &str = "brex";
/// Id of the flow.
pub const FLOW: &str = "expenses";
/// Head of the flow's references.
pub const PREFIX: &str = "EXP";

/// Days before the world's day from which reports are read; the world's reports are at most 25 days old.
const START_DAYS: u64 = 40;

/// What the flow writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DocumentKind {
    /// A GL journal.
    #[default]
    Journal,
    /// An AP invoice.
    ApInvoice,
}

impl DocumentKind {
    /// The word in `purser.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::ApInvoice => "ap-invoice",
        }
    }
}

/// The configuration of an agent for the sandbox.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Root URL of the Expensify simulator.
    pub expensify: String,
    /// Root URL of the Epicor simulator.
    pub epicor: String,
    /// PEM file of the sandbox's authority, where it is served over HTTPS.
    pub ca_file: Option<PathBuf>,
    /// Company posted to.
    pub company: String,
    /// What the flow writes.
    pub document: DocumentKind,
    /// Whether the ERP refuses a second invoice with the same number.
    pub unique: bool,
    /// The world's day.
    pub today: NaiveDate,
    /// Five cron fields; `None` = by hand only.
    pub schedule: Option<String>,
    /// Keep to Expensify's rate ceilings. Off only where the simulator's own limits are off as well.
    pub paced: bool,
    /// Longest time the ERP may still commit after a connection is gone, in seconds.
    pub settle_window: u32,
    /// Seconds between the two last look-ups.
    pub settle_interval: u32,
    /// Write again where the ERP does not refuse duplicates and twice shows no document after the window.
    pub rewrite_without_uniqueness: bool,
    /// Further lines below `[flow.policy]`.
    pub policy: Vec<String>,
    /// Further lines below `[flow.mapping]`; they must not repeat a key.
    pub mapping: Vec<String>,
    /// Further tables at the end of the file, e.g. `[guard_rails]`.
    pub tables: Vec<String>,
}

impl AgentConfig {
    /// First day of approval that is read.
    pub fn start(&self) -> NaiveDate {
        self.today.checked_sub_days(Days::new(START_DAYS)).unwrap_or(self.today)
    }

    /// The file's text.
    pub fn render(&self) -> String {
        let mut text = String::from("# Agent configuration for the sandbox.\nversion = 1\n");
        self.connections(&mut text);
        self.flow(&mut text);
        for table in &self.tables {
            put(&mut text, format_args!("\n{table}"));
        }
        text
    }

    fn connections(&self, text: &mut String) {
        let expensify = quoted(&self.expensify);
        let epicor = quoted(&self.epicor);
        let network = self.network(&self.expensify);
        put(
            text,
            format_args!("\n[[connection]]\nid = \"{EXPENSIFY}\"\nkind = \"expensify\"\nurl = {expensify}"),
        );
        put(text, format_args!("network = {network}"));
        put(
            text,
            format_args!("# The sandbox has its files ready at once, so the first download need not wait."),
        );
        let pace = if self.paced { "" } else { ", rate_limits = []" };
        put(text, format_args!("settings = {{ first_wait = 0{pace} }}"));
        put(text, format_args!("\n[[connection]]\nid = \"{EPICOR}\"\nkind = \"epicor\"\nurl = {epicor}"));
        put(text, format_args!("network = {}", self.network(&self.epicor)));
        let unique = self.unique;
        let company = quoted(&self.company);
        put(
            text,
            format_args!("settings = {{ companies = [{company}], unique_invoice_numbers = {unique} }}"),
        );
    }

    /// Loopback is never reached through a proxy, whatever the environment says.
    fn network(&self, url: &str) -> String {
        let mut parts = vec!["proxy = \"none\"".to_owned()];
        if url.starts_with("http://") {
            parts.push("allow_plain_loopback = true".to_owned());
        }
        if let Some(file) = &self.ca_file {
            parts.push(format!("extra_ca = {}", quoted(&file.display().to_string())));
        }
        format!("{{ {} }}", parts.join(", "))
    }

    fn flow(&self, text: &mut String) {
        put(
            text,
            format_args!("\n[[flow]]\nid = \"{FLOW}\"\nsource = \"{EXPENSIFY}\"\ntarget = \"{EPICOR}\""),
        );
        put(text, format_args!("company = {}", quoted(&self.company)));
        put(text, format_args!("document = \"{}\"", self.document.as_str()));
        put(text, format_args!("prefix = \"{PREFIX}\"\nstart = \"{}\"", self.start()));
        if let Some(schedule) = &self.schedule {
            put(text, format_args!("schedule = {}", quoted(schedule)));
        }
        put(text, format_args!("\n[flow.policy]"));
        put(
            text,
            format_args!("# The sandbox commits at once; a real ERP may take as long as its request limit,"),
        );
        put(text, format_args!("# which is why the product's own default is 120 seconds."));
        put(text, format_args!("settle_window = {}", self.settle_window));
        put(text, format_args!("settle_interval = {}", self.settle_interval));
        put(text, format_args!("rewrite_without_uniqueness = {}", self.rewrite_without_uniqueness));
        for line in &self.policy {
            put(text, format_args!("{line}"));
        }
        self.mapping_table(text);
    }

    fn mapping_table(&self, text: &mut String) {
        put(text, format_args!("\n[flow.mapping]"));
        put(
            text,
            format_args!(
                "# Categories carry their natural account in Expensify; department and project are tags."
            ),
        );
        put(text, format_args!("use_category_code = true"));
        put(
            text,
            format_args!(
                "default_segments = {{ 2 = \"{DEFAULT_DEPARTMENT}\", 3 = \"{DEFAULT_COST_CENTRE}\" }}"
            ),
        );
        put(
            text,
            format_args!(
                "tags = [{{ level = 1, target = {{ segment = 2 }} }}, {{ level = 2, target = \"project\" }}]"
            ),
        );
        match self.document {
            DocumentKind::Journal => put(
                text,
                format_args!(
                    "offset_reimbursable = \"{ACCRUED_EXPENSES}\"\noffset_card = \"{CARD_CLEARING}\""
                ),
            ),
            DocumentKind::ApInvoice => put(text, format_args!("card_lines_on_invoice = true")),
        }
        for line in &self.mapping {
            put(text, format_args!("{line}"));
        }
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing into a text cannot fail.
    let _ = writeln!(text, "{line}");
}

/// A basic string of TOML; the escapes of JSON are a part of its own.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
