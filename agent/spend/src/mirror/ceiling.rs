//! How much one run may change without a person.

use super::{Delta, MirrorChange};

/// The ceilings of one mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorCeiling {
    /// Most changes of one run.
    pub max_changes: u32,
    /// Most of the active entries that one run may disable, in percent, rounded up to a whole entry.
    pub max_disable_percent: u8,
}

/// Why a person must agree to a difference before it is made; `None` when it stays below the ceilings.
///
/// Entries that the mirror leaves alone do not count as a base: a workspace full of strangers must not make room for
/// disabling everything that is ours.
pub fn refusal(delta: &Delta, ceiling: &MirrorCeiling) -> Option<String> {
    let disables = delta.count("disable");
    let is_active = |change: &&MirrorChange| match change {
        MirrorChange::Add(_) => false,
        MirrorChange::Update { before, .. } => before.active,
        MirrorChange::Disable(_) => true,
    };
    let kept = delta.untouched.iter().filter(|entry| entry.active).count();
    let base = kept + delta.changes.iter().filter(is_active).count();
    let stays = delta.untouched.iter().any(|entry| entry.active)
        || delta.changes.iter().any(|change| change.target().is_some());
    if disables > 1 && !stays {
        return Some(format!(
            "all {disables} active entries would be disabled: the ERP gave nothing that is active"
        ));
    }
    let allowed = (base * usize::from(ceiling.max_disable_percent)).div_ceil(100);
    if disables > allowed {
        return Some(format!(
            "{disables} of {base} active entries would be disabled, more than {} percent",
            ceiling.max_disable_percent
        ));
    }
    let changes = delta.changes.len();
    if changes > usize::try_from(ceiling.max_changes).unwrap_or(usize::MAX) {
        return Some(format!("{changes} changes are more than the {} of one run", ceiling.max_changes));
    }
    None
}
