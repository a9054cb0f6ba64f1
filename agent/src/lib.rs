//! The Purser agent. A map, floor by floor; a floor imports the floors below it and nothing above
//! (`tests/e2e/house.rs` keeps it so):
//!
//! - floor 0: crate `spend` (the pure core) and crate `purser-proto` (configuration and messages);
//! - floor 1: [`clock`], [`secret`], [`telemetry`], [`service`] (what differs by operating system), [`store`]
//!   (encrypted LMDB);
//! - floor 2: [`vendors`] (traits, the outbound gate, one folder per vendor, the registry);
//! - floor 3: [`flows`] (reading, planning, posting, settling, proving) and [`config`] (what the agent alone can check);
//! - floor 4: [`runtime`] (supervised actors, scheduler);
//! - floor 5: [`cli`] (one file per verb).

pub mod cli;
pub mod clock;
pub mod config;
pub mod flows;
pub mod runtime;
pub mod secret;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod vendors;
