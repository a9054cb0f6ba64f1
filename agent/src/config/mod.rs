//! From the file on this machine to settings that cannot be wrong: reading, checking, and what the agent alone knows
//! (each vendor's own settings, and what this machine allows).
//!
//! - [`destinations`]: every place that a configuration would have the agent call;
//! - [`guard_rails`]: the machine's own limits, which nobody remote can lift;
//! - [`revisions`]: configurations of the control plane, and which one is in force;
//! - [`routes`]: from where to where flows move money, and which changes of that are refused from afar.

pub mod destinations;
pub mod guard_rails;
pub mod revisions;
pub mod routes;

use crate::vendors::registry;
use purser_proto::config::Config;
use purser_proto::finding::ConfigFinding;
use purser_proto::parse::parse_toml;
use purser_proto::validate::{ValidConfig, validate};
use std::path::{Path, PathBuf};

/// Name of the configuration file below the home folder.
pub const FILE: &str = "purser.toml";

/// Why there is no valid configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file was read and is refused.
    #[error("the configuration {path} is refused: {} finding(s)", .findings.len())]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Every finding.
        findings: Vec<ConfigFinding>,
    },
}

/// Reads and checks a configuration file.
///
/// # Errors
/// [`ConfigError`] with every finding.
pub fn load(path: &Path) -> Result<(Config, ValidConfig), ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    check(&text).map_err(|findings| ConfigError::Refused { path: path.to_owned(), findings })
}

/// Checks a configuration text: its structure, and each vendor's own settings.
///
/// # Errors
/// Every finding, in the order of the file.
pub fn check(text: &str) -> Result<(Config, ValidConfig), Vec<ConfigFinding>> {
    let config = parse_toml(text)?;
    let valid = validate(&config, &registry::kinds());
    let settings = settings_findings(&config);
    match valid {
        Ok(valid) if settings.is_empty() => Ok((config, valid)),
        Ok(_) => Err(settings),
        Err(mut findings) => {
            findings.extend(settings);
            Err(findings)
        }
    }
}

fn settings_findings(config: &Config) -> Vec<ConfigFinding> {
    let mut findings = Vec::new();
    for (at, connection) in config.connections.iter().enumerate() {
        let Some(vendor) = registry::vendor(&connection.kind) else { continue };
        if let Err(wrong) = (vendor.check)(&connection.settings) {
            findings.extend(wrong.into_iter().map(|what| {
                let path = format!("connection[{at}].settings");
                ConfigFinding::new(path, what, "compare with `purser config schema`")
            }));
        }
    }
    findings.extend(settle_findings(config));
    findings
}

/// A flow must not take a write for lost while its ERP may still commit it.
fn settle_findings(config: &Config) -> Vec<ConfigFinding> {
    let mut findings = Vec::new();
    for (at, flow) in config.flows.iter().enumerate() {
        let target = config.connections.iter().find(|connection| connection.id == flow.target);
        let Some(connection) = target else { continue };
        let Some(vendor) = registry::vendor(&connection.kind) else { continue };
        let least = (vendor.least_settle_window)(&connection.settings).as_secs();
        if u64::from(flow.policy.settle_window) < least {
            findings.push(ConfigFinding::new(
                format!("flow[{at}].policy.settle_window"),
                format!(
                    "{} may still commit a write up to {least} s after the connection is gone",
                    vendor.name
                ),
                format!("write at least settle_window = {least}"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_does_not_settle_before_its_erp_may_have_committed() {
        let text = |window: u32, settings: &str| {
            format!(
                r#"version = 1
                [[connection]]
                id = "spend"
                kind = "expensify"
                url = "https://spend.example.test"
                secret = "spend"
                [[connection]]
                id = "books"
                kind = "acumatica"
                url = "https://erp.example.test/AcumaticaERP"
                secret = "books"
                settings = {{ {settings} }}
                [[flow]]
                id = "expenses"
                source = "spend"
                target = "books"
                company = "MYCO"
                start = "2026-01-01"
                policy = {{ settle_window = {window} }}
                "#
            )
        };
        let paths = |text: &str| match check(text) {
            Ok(_) => Vec::new(),
            Err(findings) => findings.into_iter().map(|finding| finding.path).collect(),
        };
        let window = "flow[0].policy.settle_window".to_owned();
        assert!(paths(&text(120, "")).contains(&window));
        assert!(!paths(&text(660, "")).contains(&window));
        assert!(paths(&text(2, "commit_seconds = 3")).contains(&window));
        assert!(!paths(&text(3, "commit_seconds = 3")).contains(&window));
    }
}
