//! What may leave the machine: the one place that decides what each `visibility` of the guard rails lets out. Everything that
//! goes up is one of these:
//!
//! | | counts | summary | detail |
//! |---|---|---|---|
//! | states, counts, stable codes of the link itself, names of the configuration in force, words of this program without values | yes | yes | yes |
//! | words about the machine: errors with their paths, what a connection answers, limits of the guard rails | no | yes | yes |
//! | why records are held, by reason; sums of money | no | yes | yes |
//! | records: ids, amounts, texts, whole previews, and errors and refusals that are about a record | no | no | yes |
//!
//! What is held back is never cut out of a text: such a text is replaced as a whole. Why an order was not obeyed and why a
//! revision was refused stands in full in the machine's own audit trail.

use crate::config::guard_rails::{LocalRails, Visibility};
use purser_proto::finding::ConfigFinding;
use std::path::Path;

/// In place of words that may not leave the machine.
pub(super) const ON_THE_MACHINE: &str = "see `purser status` on the machine";
/// In place of a reason that may not leave the machine.
const IN_THE_TRAIL: &str = "the reason may not leave the machine; see `purser audit show` there";

/// How much may be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sight(Visibility);

impl Sight {
    /// As the machine's guard rails say in this moment. What cannot be read allows the least.
    pub(super) fn of(home: &Path) -> Self {
        Self(LocalRails::load(home).map_or(Visibility::Counts, |rails| rails.visibility))
    }

    /// Whether words about the machine, reasons and sums may be said.
    pub(super) fn summary(self) -> bool {
        self.0 >= Visibility::Summary
    }

    /// Whether records may be shown.
    pub(super) fn detail(self) -> bool {
        self.0 >= Visibility::Detail
    }

    /// Words about the machine.
    pub(super) fn about_machine(self, words: String) -> String {
        if self.summary() { words } else { ON_THE_MACHINE.to_owned() }
    }

    /// Why something was not done, which says what the machine is like.
    pub(super) fn reason(self, words: String) -> String {
        if self.summary() { words } else { IN_THE_TRAIL.to_owned() }
    }

    /// Why something was not done with a record.
    pub(super) fn reason_about_record(self, words: String) -> String {
        if self.detail() { words } else { IN_THE_TRAIL.to_owned() }
    }

    /// Words of this program, and then the machine's.
    pub(super) fn because(self, what: &str, why: &str) -> String {
        if self.summary() { format!("{what}: {why}") } else { format!("{what}; {ON_THE_MACHINE}") }
    }

    /// A finding on a revision. It repeats what the revision itself says, but for ceilings, which are compared with those of
    /// the machine.
    pub(super) fn finding(self, finding: ConfigFinding) -> ConfigFinding {
        if self.summary() || !finding.path.starts_with("guard_rails") {
            return finding;
        }
        ConfigFinding { what: "it is beyond this machine's guard rails".to_owned(), ..finding }
    }
}
