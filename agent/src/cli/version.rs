//! `purser version`: what this build is.

use super::{Exit, Format, Global, output};
use crate::vendors::registry;
use anyhow::Result;
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Build {
    name: &'static str,
    version: &'static str,
    os: &'static str,
    arch: &'static str,
    profile: &'static str,
    licence: &'static str,
    vendors: Vec<&'static str>,
    config_version: u32,
}

/// Prints it.
///
/// # Errors
/// When standard output fails.
pub fn run(global: &Global) -> Result<Exit> {
    let build = Build {
        name: "purser",
        version: env!("CARGO_PKG_VERSION"),
        os: std::env::consts::OS,
        arch: std::env::consts::ARCH,
        profile: if cfg!(debug_assertions) { "debug" } else { "release" },
        licence: env!("CARGO_PKG_LICENSE"),
        vendors: registry::kinds(),
        config_version: purser_proto::validate::VERSION,
    };
    match global.output {
        Format::Json => output::json(&build)?,
        Format::Text => {
            output::line(format!(
                "purser {} ({}-{}, {})",
                build.version, build.arch, build.os, build.profile
            ));
            output::line(format!("vendors: {}", build.vendors.join(", ")));
            output::line(format!("licence: {}", build.licence));
        }
    }
    Ok(Exit::Done)
}
