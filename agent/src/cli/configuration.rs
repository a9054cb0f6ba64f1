//! `purser config`: check, show and begin a configuration.

use super::context::Context;
use super::{Exit, Format, Global, Usage, output};
use crate::config;
use crate::service::private_files;
use crate::vendors::registry;
use anyhow::Result;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A first configuration, commented.
pub const EXAMPLE: &str = include_str!("configuration/example.toml");

/// What can be done with configurations.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum ConfigVerb {
    /// Check a configuration: every fault is listed with its place and its mend. Exit code 3 when it is refused.
    #[command(after_help = "Examples:\n  purser config validate\n  purser config validate ./purser.toml")]
    Validate {
        /// Which file; default: the one of this agent.
        file: Option<PathBuf>,
    },
    /// Show the whole configuration with every default written out. It holds no secrets.
    #[command(after_help = "Examples:\n  purser config show\n  purser config show --output json | jq .flow")]
    Show,
    /// Print the JSON schema of the configuration, with the settings of every vendor of this build.
    #[command(after_help = "Example:\n  purser config schema > purser.schema.json")]
    Schema,
    /// Print a commented first configuration to fill in.
    #[command(
        after_help = "Examples:\n  purser config example\n  purser config example --file /var/lib/purser/purser.toml"
    )]
    Example {
        /// Write it into this new file instead, and make the folder.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// Does what is asked.
///
/// # Errors
/// A configuration that cannot be read or is refused.
pub fn run(global: &Global, verb: &ConfigVerb) -> Result<Exit> {
    match verb {
        ConfigVerb::Validate { file } => validate(global, file.clone()),
        ConfigVerb::Show => show(global),
        ConfigVerb::Schema => output::json(&purser_proto::schema(&registry::schemas())).map(|()| Exit::Done),
        ConfigVerb::Example { file: None } => output::raw(EXAMPLE).map(|()| Exit::Done),
        ConfigVerb::Example { file: Some(file) } => write_example(global, file),
    }
}

fn validate(global: &Global, file: Option<PathBuf>) -> Result<Exit> {
    let (path, valid) = match file {
        Some(file) => {
            let valid = config::load(&file)?.1;
            (file, valid)
        }
        None => {
            let context = Context::new(global)?;
            let effective = context.effective()?;
            let place =
                effective.revision.map_or_else(|| context.config_file().to_owned(), |kept| kept.place());
            (place, effective.valid)
        }
    };
    let (connections, flows) = (valid.connections.len(), valid.flow_ids().count());
    match global.output {
        Format::Json => output::json(&serde_json::json!({
            "valid": true, "file": path, "connections": connections, "flows": flows, "findings": [],
        }))?,
        Format::Text => {
            output::line(format!(
                "{} is valid: {connections} connection(s), {flows} flow(s)",
                path.display()
            ));
        }
    }
    Ok(Exit::Done)
}

fn write_example(global: &Global, file: &Path) -> Result<Exit> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder
        .map_or(Ok(()), private_files::create_private_dir)
        .and_then(|()| private_files::write_private(file, EXAMPLE.as_bytes(), false))
        .map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                Usage(format!("{} exists already and is left as it is", file.display())).into()
            }
            _ => anyhow::Error::from(error).context(format!("cannot write {}", file.display())),
        })?;
    match global.output {
        Format::Json => output::json(&serde_json::json!({ "file": file }))?,
        Format::Text => output::line(format!("a first configuration is in {}; fill it in", file.display())),
    }
    Ok(Exit::Done)
}

fn show(global: &Global) -> Result<Exit> {
    let context = Context::new(global)?;
    let effective = context.effective()?;
    match global.output {
        Format::Json => output::json(&effective.config)?,
        Format::Text => {
            // Beside what is printed, so that this stays a configuration.
            output::aside(match &effective.revision {
                Some(kept) => {
                    format!("{} is in force since {}", kept.place().display(), output::moment(kept.since))
                }
                None => format!("{} is in force", context.config_file().display()),
            });
            output::raw(&purser_proto::print_toml(&effective.config)?)?;
        }
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use purser_proto::validate::validate;

    #[test]
    fn the_example_is_valid_as_it_is_printed() {
        let config = purser_proto::parse_toml(EXAMPLE).unwrap();
        validate(&config, &["epicor", "expensify"]).unwrap();
        if registry::vendor("epicor").is_some() {
            config::check(EXAMPLE).unwrap();
        }
    }
}
