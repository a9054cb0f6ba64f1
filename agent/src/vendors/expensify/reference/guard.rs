//! Lists that have become much shorter since they were last read. An answer that leaves entries out looks like one after
//! people have taken them out; written back, it deletes them (tags), blanks what is known of them (categories), or makes
//! users of administrators (members). So the sizes are noted, and a list that has shrunk by more than a set share is
//! not written to until a person says that it is right.

use crate::vendors::Notes;
use crate::vendors::expensify::outcome::unavailable;
use crate::vendors::expensify::wire::PolicyDetail;
use spend::posting::{Failure, FailureClass};
use std::collections::BTreeMap;

/// The note that holds the sizes.
const NOTE: &str = "reference-sizes";

/// Entries last seen, by section and policy id.
type Sizes = BTreeMap<String, usize>;

/// What a reading is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To compare: whatever is there is told.
    Look,
    /// To write what follows from it: much less than before is refused.
    Write,
}

/// Sections of policies as they were answered, each of them whole.
pub(super) struct Guard<'a> {
    pub(super) notes: &'a dyn Notes,
    pub(super) max_shrink_percent: u8,
}

impl Guard<'_> {
    /// Takes note of what was read.
    ///
    /// # Errors
    /// A section that is not told; for a write also one that has shrunk too much.
    pub(super) fn pass(
        &self,
        section: &str,
        details: &[(String, PolicyDetail)],
        purpose: Purpose,
    ) -> Result<(), Failure> {
        let noted = self.sizes()?;
        let mut sizes = noted.clone();
        for (policy, detail) in details {
            let now = detail.count(section).ok_or_else(|| {
                unavailable(format!(
                    "expensify.policy: the answer leaves out the {section} of workspace {policy}; that is not taken for none"
                ))
            })?;
            let key = key(section, policy);
            let before = noted.get(&key).copied().unwrap_or_default();
            if !self.has_shrunk(before, now) {
                sizes.insert(key, now);
            } else if purpose == Purpose::Write {
                tracing::error!(policy, section, before, now, "a list has shrunk; it is not written to");
                return Err(unavailable(format!(
                    "workspace {policy} has {now} {section}, and had {before}: more than {} percent are missing, so \
                     nothing is written there. If people took them out in Expensify, say \
                     `settings.reference.max_shrink_percent = 100` of the connection for one run",
                    self.max_shrink_percent
                )));
            }
        }
        self.note(&noted, &sizes)
    }

    /// Before a write of our own takes entries away: so many fewer are no surprise afterwards.
    ///
    /// # Errors
    /// When the notes cannot be written.
    pub(super) fn expect_fewer(&self, section: &str, fewer: &BTreeMap<String, usize>) -> Result<(), Failure> {
        let noted = self.sizes()?;
        let mut sizes = noted.clone();
        for (policy, count) in fewer {
            if let Some(size) = sizes.get_mut(&key(section, policy)) {
                *size = size.saturating_sub(*count);
            }
        }
        self.note(&noted, &sizes)
    }

    fn has_shrunk(&self, before: usize, now: usize) -> bool {
        let allowed = (before * usize::from(self.max_shrink_percent)).div_ceil(100);
        before.saturating_sub(now) > allowed
    }

    fn sizes(&self) -> Result<Sizes, Failure> {
        let Some(text) = self.notes.read(NOTE).map_err(unnoted)? else { return Ok(Sizes::new()) };
        serde_json::from_str(&text).map_err(unnoted)
    }

    fn note(&self, before: &Sizes, after: &Sizes) -> Result<(), Failure> {
        if before == after {
            return Ok(());
        }
        let text = serde_json::to_string(after).map_err(unnoted)?;
        self.notes.write(NOTE, &text).map_err(unnoted)
    }
}

fn key(section: &str, policy: &str) -> String {
    format!("{section} {}", policy.to_ascii_uppercase())
}

fn unnoted(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureClass::NotSent, format!("expensify: the sizes of lists: {error}"))
}
