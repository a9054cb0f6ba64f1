//! The pure core of Purser. It knows money, spend documents, mapping rules, posting plans and the posting
//! protocol; it knows no socket, disk, clock or actor. Everything here is deterministic: same input, same bytes.
//!
//! Read in this order:
//! - [`money`], [`ids`]: the values everything else is made of;
//! - [`document`]: a record from a spend system in its canonical form;
//! - [`mod@reference`]: what the ERP knows (accounts, segments, vendors, employees, projects, periods);
//! - [`mapping`]: the customer's rules from category and tag to account and dimension;
//! - [`matching`]: which vendor a merchant is, by name;
//! - [`mirror`]: which entries of a reference set differ between ERP and spend system;
//! - [`validate`]: document + rules + reference data to a valid document, or every finding;
//! - [`plan`]: a valid document to a posting plan with its hash and posting key;
//! - [`posting`]: the state machine of one posting, with the outcome table;
//! - [`route`]: from where to where a flow moves money, and whether two flows would move the same;
//! - [`rounding`]: splitting an amount without losing a cent;
//! - [`now`]: the present by the wall clock and by one that nobody can set;
//! - [`guard`]: the limits of the machine, checked against a plan before it is claimed;
//! - [`watermark`]: how far a flow has read, and how far back it reads again;
//! - [`finding`]: the stable codes shown to people, each with its fix.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod document;
pub mod finding;
pub mod guard;
pub mod ids;
pub mod mapping;
pub mod matching;
pub mod mirror;
pub mod money;
pub mod now;
pub mod plan;
pub mod posting;
pub mod reference;
pub mod rounding;
pub mod route;
#[cfg(test)]
mod sample;
pub mod validate;
pub mod watermark;

/// A calendar date without a time zone, as ERPs and spend systems use it for documents.
pub type Date = chrono::NaiveDate;
/// A moment in time. The core never reads one; it is always passed in.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
