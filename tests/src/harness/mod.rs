//! What the demo and the tests with a real agent stand on: the simulators in this process, a throw-away home, its
//! configuration and secrets, and the `purser` binary as a child process that never outlives its handle.
//!
//! ```ignore
//! let sandbox = Sandbox::start(SandboxOptions::new(60)).await?;
//! let home = Home::new()?;
//! home.configure(&sandbox.agent_config())?;
//! let purser = Purser::new(home.path()).await?;
//! sandbox.give_secrets(&purser).await?;
//! let ran = purser.json(&["run", "--once", "--settle", "60"]).await?;
//! ```

mod admin;
mod agent;
mod binary;
mod config;
mod control;
mod home;
mod postgres;
mod relay;
mod route;
mod sandbox;
#[cfg(test)]
mod tests;

pub use admin::{Admin, AdminError};
pub use agent::{Agent, Finished, Purser};
pub use binary::{BuildNotice, locate, locate_control};
pub use config::{ACUMATICA, AgentConfig, BREX, CARD_RECORDS, DocumentKind, EPICOR, EXPENSIFY, FLOW, PREFIX};
pub use control::{Control, ControlOptions};
pub use home::Home;
pub use postgres::Cluster;
pub use route::{Route, System};
pub use sandbox::{Expected, Sandbox, SandboxOptions, Secrets, today};
