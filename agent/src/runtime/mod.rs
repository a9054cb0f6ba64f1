//! Supervised actors: one per connection, one per flow, the scheduler. Everything runs with no control plane.
//!
//! - [`supervisor`]: restarts after a panic, with back-off and a budget; watches for stuck threads;
//! - [`worker`]: the one kind of actor;
//! - [`connection`]: a connection's actor in the role of a source or an ERP; [`alarm`]: its refused credential;
//! - [`flow`]: a flow's actor; [`scheduler`]: when flows run; `runs`: why and how;
//! - [`agent`]: the whole, its start order in one function that reads like a diagram; `wiring`: what that connects;
//! - [`commands`]: orders from the command line; `obey`: what the agent does with them; `freshness`: no old secret comes
//!   again; [`status`]: what the agent says of itself;
//! - [`host`]: the agent at work, exchanged for another when its configuration changes; [`link`]: to a control plane;
//! - `visible`: what may leave the machine; `refusals`: what is refused without end is counted in the audit trail;
//! - [`webhooks`]: deliveries of vendors, which make flows run earlier; `keep_alive`: credentials that die unused.

pub mod agent;
pub mod alarm;
mod audit_log;
pub mod commands;
pub mod connection;
pub mod flow;
mod freshness;
pub mod host;
mod keep_alive;
pub mod link;
pub mod obey;
mod refusals;
mod runs;
pub mod scheduler;
pub mod status;
pub mod supervisor;
mod visible;
pub mod webhooks;
mod wiring;
pub mod worker;

/// An error with all its causes, in one line.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        next = cause.source();
    }
    words
}
