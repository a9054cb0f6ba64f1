//! `purser connections`: the vendor accounts of the configuration.

use super::context::Context;
use super::{Exit, Format, Global, doctor, output};
use crate::runtime::supervisor::ActorStatus;
use crate::vendors::registry;
use anyhow::Result;
use serde::Serialize;

/// What can be done with connections.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum ConnectionsVerb {
    /// List the connections of the configuration.
    #[command(after_help = "Example:\n  purser connections list")]
    List,
    /// Test connections: secret, network and the vendor's own checks, read-only. Exit code 5 when a check failed.
    #[command(after_help = "Examples:\n  purser connections test\n  purser connections test erp")]
    Test {
        /// Which; all when none is named.
        #[arg(value_name = "ID")]
        id: Vec<String>,
    },
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    kind: String,
    vendor: &'static str,
    url: String,
    secret: String,
    /// Whether the secret is in the store; `None` when the store cannot be read.
    secret_present: Option<bool>,
    /// Of the running agent.
    actor: Option<ActorStatus>,
}

/// Does what is asked.
///
/// # Errors
/// A configuration that cannot be used.
pub fn run(global: &Global, verb: &ConnectionsVerb) -> Result<Exit> {
    match verb {
        ConnectionsVerb::Test { id } => doctor::connections(global, id),
        ConnectionsVerb::List => list(global),
    }
}

fn list(global: &Global) -> Result<Exit> {
    let context = Context::new(global)?;
    let config = context.config()?;
    let secrets = context.look().ok().and_then(|store| store.secrets().ok());
    let running = context.running();
    let rows: Vec<Row> = config
        .connections
        .iter()
        .map(|connection| Row {
            id: connection.id.to_string(),
            kind: connection.kind.clone(),
            vendor: registry::vendor(&connection.kind).map_or("", |vendor| vendor.name),
            url: connection.url.to_string(),
            secret: connection.secret.clone(),
            secret_present: secrets.as_ref().map(|all| all.iter().any(|info| info.name == connection.secret)),
            actor: running.as_ref().and_then(|agent| agent.connections.get(&connection.id).cloned()),
        })
        .collect();
    match global.output {
        Format::Json => output::json(&serde_json::json!({ "connections": rows }))?,
        Format::Text if rows.is_empty() => output::line("the configuration has no connection yet"),
        Format::Text => print(&rows),
    }
    Ok(Exit::Done)
}

fn print(rows: &[Row]) {
    let mut table = output::table(&["connection", "vendor", "url", "secret", "state"]);
    for row in rows {
        table.add_row([
            output::cell(&row.id),
            output::cell(row.vendor),
            output::cell(&row.url),
            output::cell(format!("{}{}", row.secret, presence(row.secret_present))),
            output::cell(row.actor.as_ref().map_or("agent not running", |actor| actor.state.name())),
        ]);
    }
    output::show(&table);
}

/// Beside the name of a secret.
fn presence(present: Option<bool>) -> &'static str {
    match present {
        Some(true) => "",
        Some(false) => " (not set)",
        // The store cannot be read: `purser doctor` says why.
        None => " (unknown)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_cannot_be_looked_for_is_not_called_missing() {
        assert_eq!([Some(true), Some(false), None].map(presence), ["", " (not set)", " (unknown)"]);
    }
}
