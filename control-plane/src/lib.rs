//! The hosted side of Purser. A map, floor by floor; a floor imports the floors below it and nothing above:
//!
//! - floor 1: [`clock`], [`secrets`] (what is drawn at random), [`settings`], [`metrics`] and [`drain`] (what everybody
//!   may count and must notice), [`alerts`] (what is worth a message; pure), [`store`] (SQLite or PostgreSQL);
//! - floor 2: [`wake`] (requests that wait), [`link`] (what is decided about agents), [`ingress`] (webhooks: sealed and kept),
//!   [`configurations`] (revisions, templates), [`notify`] (sends alerts);
//! - floor 3: [`request`] (who called), [`api`] (HTTP: translates, decides nothing);
//! - floor 4: [`server`];
//! - floor 5: [`cli`] (one file per noun).
//!
//! Agents do not need it; they run stand-alone from their own `purser.toml`.

pub mod alerts;
pub mod api;
pub mod cli;
pub mod clock;
pub mod configurations;
pub mod drain;
pub mod ingress;
pub mod link;
pub mod metrics;
pub mod notify;
pub mod request;
pub mod secrets;
pub mod server;
pub mod settings;
pub mod store;
pub mod testing;
pub mod wake;
