//! Flows: one pair in one direction. A flow reads records, plans postings, writes them exactly once, marks the source
//! and proves the result. It sees the traits of [`crate::vendors`] and never a concrete vendor; every decision about
//! a posting is made by the pure state machine in `spend::posting`, every transition is durable in the store before
//! the side effect that it announces.
//!
//! - [`settings`]: what a flow must know, typed;
//! - [`spend_flow`]: one run from start to end; reads like the protocol;
//! - [`intake`]: records to planned or held postings;
//! - `posting`: looking up, claiming, writing, settling, acknowledging;
//! - `reread`: reading records again that have waited, right before they are claimed;
//! - `trail`: the audit entries of postings;
//! - `kin`: the same spend under another id of the source; `rivals`: the same record under another flow;
//! - `mirror`: the reference data a flow validates against; `limits`: the machine's guard rails;
//! - [`merchants`]: which vendor a merchant is, as people chose;
//! - [`preview`]: the same plan as a run, shown and not applied;
//! - [`proof`]: the statement in which source, posting log and ERP agree;
//! - `sweep`: the wide look for records that wait, once a day; [`unread`]: what a run could not read;
//! - [`replay`]: what a person may do to a held posting; [`unattended`]: to one whose flow is configured no more;
//! - [`reference_flow`]: a set of reference data, mirrored from the ERP into the spend system.

pub mod intake;
mod kin;
mod limits;
pub mod merchants;
mod mirror;
mod posting;
pub mod preview;
pub mod proof;
pub mod reference_flow;
pub mod replay;
mod reread;
mod rivals;
pub mod settings;
pub mod spend_flow;
mod sweep;
mod trail;
pub mod unattended;
pub mod unread;

#[cfg(test)]
mod tests;

pub use crate::store::RunReport;
pub use reference_flow::{ReferenceFlow, ReferenceSettings};
pub use settings::FlowSettings;
pub use spend_flow::{RunError, SpendFlow};
