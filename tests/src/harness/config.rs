//! The `purser.toml` that fits the sandbox: the connections of the wanted routes, and a flow for each, whose mapping
//! covers all but the planted faults. It is text as a person would write it, so that people can read and copy it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use chrono::{Days, NaiveDate};

use super::route::{Route, System};
use crate::world::{ACCRUED_EXPENSES, CARD_CLEARING, DEFAULT_COST_CENTRE, DEFAULT_DEPARTMENT};

/// Id of the first Expensify connection, and name of its secret.
pub const EXPENSIFY: &str = System::Expensify.id();
/// Id of the Epicor connection, and name of its secret.
pub const EPICOR: &str = System::Epicor.id();
/// Id of the Acumatica connection, and name of its secret.
pub const ACUMATICA: &str = System::Acumatica.id();
/// Id of the Brex connection, and name of its secret.
pub const BREX: &str = System::Brex.id();
/// Id of the flow from Expensify to Epicor.
pub const FLOW: &str = Route::ExpensifyEpicor.flow();
/// Head of that flow's references.
pub const PREFIX: &str = Route::ExpensifyEpicor.prefix();
/// The records of Brex that the flow of card spend books.
pub const CARD_RECORDS: [&str; 2] = ["CARD_EXPENSE_POST", "CARD_EXPENSE_REFUND"];
/// The records of Brex that are somebody else's: what is paid to employees and suppliers, and the card's own bill.
const OTHER_RECORDS: [&str; 5] = [
    "BILL_EXPENSE",
    "CARD_EXPENSE_REPAYMENT",
    "CARD_PAYMENT",
    "REIMBURSEMENT_EXPENSE_APPROVAL",
    "REIMBURSEMENT_EXPENSE_POST",
];

/// Days before the world's day from which records are read; the world's records are at most 25 days old.
const START_DAYS: u64 = 40;

/// What a flow writes.
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
    /// The flows.
    pub routes: Vec<Route>,
    /// URL of the first Expensify account.
    pub expensify: String,
    /// URL of the second Expensify account.
    pub second_expensify: String,
    /// Root URL of the Brex simulator.
    pub brex: String,
    /// Root URL of the Epicor simulator.
    pub epicor: String,
    /// Root URL of the Acumatica simulator.
    pub acumatica: String,
    /// PEM file of the sandbox's authority, where it is served over HTTPS.
    pub ca_file: Option<PathBuf>,
    /// Company of Epicor that is posted to.
    pub company: String,
    /// Tenant of Acumatica that is posted to.
    pub tenant: String,
    /// What the flows write.
    pub document: DocumentKind,
    /// Whether the ERPs refuse a second invoice with the same number.
    pub unique: bool,
    /// The world's day.
    pub today: NaiveDate,
    /// Five cron fields; `None` = by hand only.
    pub schedule: Option<String>,
    /// Keep to the sources' rate ceilings. Off only where the simulators' own limits are off as well.
    pub paced: bool,
    /// Longest time an ERP may still commit after a connection is gone, in seconds.
    pub settle_window: u32,
    /// Seconds between the two last look-ups.
    pub settle_interval: u32,
    /// Write again where the ERP does not refuse duplicates and twice shows no document after the window.
    pub rewrite_without_uniqueness: bool,
    /// Further settings of connections (`surface = "expenses"`), in place of the sandbox's own of the same key.
    pub settings: BTreeMap<System, Vec<String>>,
    /// Further lines below each `[flow.policy]`.
    pub policy: Vec<String>,
    /// Further lines below each `[flow.mapping]`; they must not repeat a key.
    pub mapping: Vec<String>,
    /// Further tables at the end of the file, e.g. `[guard_rails]`.
    pub tables: Vec<String>,
}

impl AgentConfig {
    /// First day of approval that is read.
    pub fn start(&self) -> NaiveDate {
        self.today.checked_sub_days(Days::new(START_DAYS)).unwrap_or(self.today)
    }

    /// URL of a system.
    pub fn url(&self, system: System) -> &str {
        match system {
            System::Expensify => &self.expensify,
            System::SecondExpensify => &self.second_expensify,
            System::Brex => &self.brex,
            System::Epicor => &self.epicor,
            System::Acumatica => &self.acumatica,
        }
    }

    /// Company that a route posts to.
    pub fn company_of(&self, route: Route) -> &str {
        match route.erp() {
            System::Acumatica => &self.tenant,
            _ => &self.company,
        }
    }

    /// The file's text.
    pub fn render(&self) -> String {
        let mut text = String::from("# Agent configuration for the sandbox.\nversion = 1\n");
        for system in Route::systems(&self.routes) {
            self.connection(&mut text, system);
        }
        for route in &self.routes {
            self.flow(&mut text, *route);
        }
        for table in &self.tables {
            put(&mut text, format_args!("\n{table}"));
        }
        text
    }

    fn connection(&self, text: &mut String, system: System) {
        let (id, kind, url) = (system.id(), system.kind(), quoted(self.url(system)));
        put(text, format_args!("\n[[connection]]\nid = \"{id}\"\nkind = \"{kind}\"\nurl = {url}"));
        put(text, format_args!("network = {}", self.network(self.url(system))));
        let further = self.settings.get(&system).map(Vec::as_slice).unwrap_or_default();
        let mut settings = self.settings_of(text, system);
        settings.retain(|own| !further.iter().any(|further| key(further) == key(own)));
        settings.extend_from_slice(further);
        put(text, format_args!("settings = {{ {} }}", settings.join(", ")));
    }

    /// Settings, after a word on them.
    fn settings_of(&self, text: &mut String, system: System) -> Vec<String> {
        let unpaced = (!self.paced).then(|| "rate_limits = []".to_owned());
        match system {
            System::Expensify | System::SecondExpensify => {
                let why = "The sandbox has its files ready at once, so the first download need not wait.";
                put(text, format_args!("# {why}"));
                [Some("first_wait = 0".to_owned()), unpaced].into_iter().flatten().collect()
            }
            System::Brex => {
                put(text, format_args!("# What is paid to employees and suppliers is no card spend."));
                let types = format!(
                    "types = {{ {} = \"charge\", {} = \"credit\" }}",
                    CARD_RECORDS[0], CARD_RECORDS[1]
                );
                let ignored = format!("ignored_types = {OTHER_RECORDS:?}");
                let tags = "tag_fields = [\"DEPT\", \"PROJECT\"]".to_owned();
                [Some(types), Some(ignored), Some(tags), unpaced].into_iter().flatten().collect()
            }
            System::Epicor => vec![
                format!("companies = [{}]", quoted(&self.company)),
                format!("unique_invoice_numbers = {}", self.unique),
            ],
            System::Acumatica => {
                let why = "The sandbox has no licence to share, and carries a request out at once; a real site may keep it";
                put(text, format_args!("# {why}"));
                put(
                    text,
                    format_args!(
                        "# waiting for ten minutes, which is why the product's own default is 660 seconds."
                    ),
                );
                vec![
                    format!("commit_seconds = {}", self.settle_window),
                    "requests_per_minute = 100000".to_owned(),
                    "subaccount_segments = [\"Department\", \"Cost centre\"]".to_owned(),
                    format!("unique_vendor_refs = {}", self.unique),
                ]
            }
        }
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

    fn flow(&self, text: &mut String, route: Route) {
        let (id, source, target) = (route.flow(), route.source().id(), route.erp().id());
        put(text, format_args!("\n[[flow]]\nid = \"{id}\"\nsource = \"{source}\"\ntarget = \"{target}\""));
        put(text, format_args!("company = {}", quoted(self.company_of(route))));
        put(text, format_args!("document = \"{}\"", self.document.as_str()));
        put(text, format_args!("prefix = \"{}\"\nstart = \"{}\"", route.prefix(), self.start()));
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
        self.mapping_table(text, route);
    }

    fn mapping_table(&self, text: &mut String, route: Route) {
        put(text, format_args!("\n[flow.mapping]"));
        let why = match route.source() {
            System::Brex => {
                "The field GL_ACCOUNT carries the natural account; department and project are tags."
            }
            _ => "Categories carry their natural account in Expensify; department and project are tags.",
        };
        put(text, format_args!("# {why}\nuse_category_code = true"));
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
        if route.erp() == System::Acumatica {
            put(text, format_args!("lines = \"detail\""));
        }
        match self.document {
            DocumentKind::Journal => put(
                text,
                format_args!(
                    "offset_reimbursable = \"{ACCRUED_EXPENSES}\"\noffset_card = \"{CARD_CLEARING}\""
                ),
            ),
            DocumentKind::ApInvoice => {
                if route.source() == System::Brex {
                    put(text, format_args!("vendor_from = \"merchant\""));
                }
                put(text, format_args!("card_lines_on_invoice = true"));
            }
        }
        for line in &self.mapping {
            put(text, format_args!("{line}"));
        }
    }
}

/// What stands before the sign of equality.
fn key(setting: &str) -> &str {
    setting.split('=').next().unwrap_or_default().trim()
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing into a text cannot fail.
    let _ = writeln!(text, "{line}");
}

/// A basic string of TOML; the escapes of JSON are a part of its own.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
