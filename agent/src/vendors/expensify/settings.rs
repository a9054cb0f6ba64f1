//! What a connection to Expensify must be told beyond URL and secret, typed and with its JSON schema. Everything has
//! a documented default; a connection without settings works.

mod reference;

pub use reference::{CategorySettings, EmployeeSettings, NameForm, ReferenceSettings, TagSettings};

use crate::vendors::settings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The states a report can be in, in the words of `reportState` (web: Open, Processing, Approved, Reimbursed, Closed).
pub(super) const STATES: &[&str] = &["OPEN", "SUBMITTED", "APPROVED", "REIMBURSED", "ARCHIVED"];

/// Longest span of days of one export: the vendor refuses ranges over one year, and each export reaches one day
/// beyond its span on either side.
pub(super) const MAX_SPAN_DAYS: u16 = 363;

/// Settings of an Expensify connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Ids of the policies (workspaces) whose reports are read. Default: none named = all that the account administers.
    pub policies: Vec<String>,
    /// States of reports that are read: `OPEN`, `SUBMITTED`, `APPROVED`, `REIMBURSED`, `ARCHIVED`. Default: `APPROVED`
    /// and `REIMBURSED`, because a report can be reimbursed between two reads.
    pub states: Vec<String>,
    /// The mark that says "exported by this agent". Default: `purser`. Never change it, and give every agent on the
    /// same account its own: reports that carry the mark are not offered again.
    pub label: String,
    /// Seconds before the first download of an export. Default: 2.
    pub first_wait: u16,
    /// Seconds between downloads while the file is not ready; grows by half each time. Default: 5.
    pub wait_step: u16,
    /// Longest of those waits, in seconds. Default: 60.
    pub wait_max: u16,
    /// Seconds after which a file is given up. Default: 600.
    pub give_up: u16,
    /// Seconds after which a file that has been blank all the time means "no reports". Default: 150.
    pub blank_after: u16,
    /// Decimals of the amounts that Expensify sends, by currency code, where they are not the usual 2:
    /// `{ JPY = 0 }`. Default: none. Compare one real report before go-live when you use such a currency.
    pub currency_decimals: BTreeMap<String, u8>,
    /// Decode HTML entities (`&amp;`) in names and comments, once. Default: true.
    pub decode_entities: bool,
    /// Most reports of one export. Default: 1000.
    pub page_limit: u32,
    /// Days of one export when a whole period is read. Default: 92.
    pub period_days: u16,
    /// Calls that may begin within each window of seconds, over all connections with the same credential:
    /// `[[5, 10], [20, 60]]`. Default: the documented ceilings, which are those. An empty list sets no pace: only for a
    /// sandbox whose limits are switched off; the vendor itself refuses what is faster. Two connections with the same
    /// credential share the pace of the one that starts first, so give both the same.
    pub rate_limits: Vec<(u32, u32)>,
    /// Where reference flows write to. Default: nowhere; nothing is written to a workspace that is not named here.
    pub reference: ReferenceSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            states: vec!["APPROVED".to_owned(), "REIMBURSED".to_owned()],
            label: "purser".to_owned(),
            first_wait: 2,
            wait_step: 5,
            wait_max: 60,
            give_up: 600,
            blank_after: 150,
            currency_decimals: BTreeMap::new(),
            decode_entities: true,
            page_limit: 10_000,
            period_days: 92,
            rate_limits: vec![(5, 10), (20, 60)],
            reference: ReferenceSettings::default(),
        }
    }
}

impl Settings {
    /// Reads settings from the configuration.
    ///
    /// # Errors
    /// Every fault, each beginning with the path of the setting, relative to the connection.
    pub fn from_json(map: &Map<String, Value>) -> Result<Self, Vec<String>> {
        settings::read(map, Self::faults)
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (index, id) in self.policies.iter().enumerate() {
            if !is_id(id) {
                faults.push(format!(
                    "settings.policies[{index}]: `{id}` is not a policy id (letters and digits)"
                ));
            }
        }
        if self.states.is_empty() {
            faults.push("settings.states: name at least one state".to_owned());
        }
        for (index, state) in self.states.iter().enumerate() {
            if !STATES.contains(&state.as_str()) {
                let known = STATES.join(", ");
                faults.push(format!("settings.states[{index}]: `{state}` is not one of {known}"));
            }
        }
        let label_fits = (1..=100).contains(&self.label.chars().count());
        if !label_fits || self.label.trim() != self.label || self.label.chars().any(char::is_control) {
            faults.push("settings.label: 1 to 100 printable characters, no blanks at its ends".to_owned());
        }
        for (code, decimals) in &self.currency_decimals {
            if spend::money::Currency::new(code).is_err()
                || code.to_ascii_uppercase() != *code
                || *decimals > 4
            {
                faults.push(format!(
                    "settings.currency_decimals.{code}: three capital letters and 0 to 4 decimals are expected"
                ));
            }
        }
        for (index, (calls, seconds)) in self.rate_limits.iter().enumerate() {
            if !(1..=10_000).contains(calls) || !(1..=86_400).contains(seconds) {
                faults.push(format!(
                    "settings.rate_limits[{index}]: `[calls, seconds]` is expected, 1 to 10000 and 1 to 86400"
                ));
            }
        }
        self.reference.check(&mut faults);
        self.check_figures(&mut faults);
        faults
    }

    fn check_figures(&self, faults: &mut Vec<String>) {
        let mut check = |name: &str, value: u32, least: u32, most: u32| {
            if !(least..=most).contains(&value) {
                faults.push(format!("settings.{name}: {value} is not between {least} and {most}"));
            }
        };
        check("wait_step", self.wait_step.into(), 1, 600);
        check("wait_max", self.wait_max.into(), 1, 600);
        check("give_up", self.give_up.into(), 10, 3600);
        check("page_limit", self.page_limit, 1, 10_000);
        check("period_days", self.period_days.into(), 1, MAX_SPAN_DAYS.into());
    }
}

/// Whether a text can stand in one of the vendor's comma-separated lists of ids.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}
