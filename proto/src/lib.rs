//! What agent and control plane say to each other, and the shape and checks of the configuration. No I/O, no clock.
//!
//! A configuration goes from text to [`config::Config`] ([`parse`]) to [`validate::ValidConfig`] ([`validate`]), or
//! ends in a list of [`finding`]s.

pub mod config;
pub mod finding;
pub mod link;
pub mod parse;
pub mod schedule;
pub mod schema;
pub mod suggest;
pub mod validate;

pub use finding::ConfigFinding;
pub use parse::{parse_toml, print_toml};
pub use schema::schema;
