//! The command line: nouns and verbs, one file per noun. Parsing and printing only; what a verb does is done by the
//! floors below.
//!
//! Exit codes: 0 done · 1 failed · 2 wrong usage · 3 configuration refused · 4 done, and something waits for a person
//! or went wrong on the way · 5 a check failed (`doctor`, `connections test`, `audit verify`) · 6 the proof shows a
//! difference.

pub mod audit;
pub mod configuration;
pub mod connections;
pub mod context;
pub mod doctor;
pub mod enroll;
pub mod errand;
pub mod explain;
pub mod files;
pub mod flows;
pub mod manual;
pub mod merchants;
pub mod output;
pub mod preview;
pub mod proof;
pub mod records;
pub mod run;
pub mod seal;
pub mod secrets;
pub mod status;
pub mod version;
pub mod webhooks;

use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage, such as a flow that does not exist.
    Usage = 2,
    /// Configuration refused.
    Configuration = 3,
    /// Done, and something waits for a person or went wrong on the way.
    Attention = 4,
    /// A check failed.
    CheckFailed = 5,
    /// The proof shows a difference.
    Difference = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Wrong usage that only the configuration or the store shows.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Form of what is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document.
    Json,
}

/// Reads the most entries of a list that are wanted: a list of none would look like one where nothing matches.
fn at_least_one() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..)
}

/// Purser agent: books approved spend into the ERP exactly once, from inside your network.
#[derive(Debug, Parser)]
#[command(name = "purser", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 configuration refused, 4 done but something \
                        waits for a person, 5 a check failed, 6 the proof shows a difference."
)]
pub struct Cli {
    /// What every verb understands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const ALL_VERBS: &str = "Options of every verb";

/// What every verb understands.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Folder of configuration, state and logs.
    #[arg(long, env = "PURSER_HOME", global = true, value_name = "DIR", help_heading = ALL_VERBS)]
    pub home: Option<PathBuf>,
    /// Configuration file; default: purser.toml in the home folder.
    #[arg(long, global = true, value_name = "FILE", help_heading = ALL_VERBS)]
    pub config: Option<PathBuf>,
    /// Form of what is printed: `text` for people, `json` for programs.
    #[arg(long, value_enum, default_value_t, global = true, value_name = "FORM", hide_possible_values = true, help_heading = ALL_VERBS)]
    pub output: Format,
}

/// Verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the agent: by schedule until it is stopped, or once.
    Run(run::RunArgs),
    /// Show what the agent is doing, what each flow has done, and when it runs next.
    #[command(after_help = status::AFTER_HELP)]
    Status,
    /// Examine this machine and every connection; each line names what was seen and how to mend it.
    #[command(after_help = doctor::AFTER_HELP)]
    Doctor(doctor::DoctorArgs),
    /// List and test connections: the vendor accounts of the configuration.
    #[command(subcommand, arg_required_else_help = true)]
    Connections(connections::ConnectionsVerb),
    /// List, preview, run, pause and resume flows.
    #[command(subcommand, arg_required_else_help = true)]
    Flows(flows::FlowsVerb),
    /// List and show records, replay what is held, say which vendor a merchant is, close what was dealt with by hand.
    #[command(subcommand, arg_required_else_help = true)]
    Records(records::RecordsVerb),
    /// List and forget which vendor a merchant is, as people chose.
    #[command(subcommand, arg_required_else_help = true)]
    Merchants(merchants::MerchantsVerb),
    /// Receive webhooks of vendors: each genuine one makes the flows of its connection run.
    #[command(subcommand, arg_required_else_help = true)]
    Webhooks(webhooks::WebhooksVerb),
    /// Show, verify and export the audit trail.
    #[command(subcommand, arg_required_else_help = true)]
    Audit(audit::AuditVerb),
    /// Store, list and forget secrets. They are sealed together with the only origins they may be sent to.
    #[command(subcommand, arg_required_else_help = true)]
    Secrets(secrets::SecretsVerb),
    /// Seal a secret for an agent that works elsewhere: an armored text that only that agent can open.
    #[command(after_help = seal::AFTER_HELP)]
    Seal(seal::SealArgs),
    /// Enroll this agent at a control plane with a one-time code, or leave it.
    #[command(after_help = enroll::AFTER_HELP)]
    Enroll(enroll::EnrollArgs),
    /// Check, show and begin a configuration.
    #[command(subcommand, arg_required_else_help = true)]
    Config(configuration::ConfigVerb),
    /// Explain a finding's code: what it means, why the record is held, how to mend it.
    #[command(after_help = explain::AFTER_HELP)]
    Explain {
        /// Which; without it all are listed.
        code: Option<String>,
    },
    /// Prove for a period that spend system, posting log and ERP agree, to the cent.
    #[command(after_help = proof::AFTER_HELP)]
    Proof(proof::ProofArgs),
    /// Print the completion script of a shell.
    #[command(after_help = manual::COMPLETIONS_HELP)]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write the pages of all verbs.
    #[command(after_help = manual::MAN_HELP)]
    Man {
        /// Write one page for each verb into this folder instead.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print the version and what this build can do.
    Version,
}

/// Does what the command line says.
pub fn main(cli: Cli) -> ExitCode {
    match dispatch(&cli.global, cli.verb) {
        Ok(exit) => exit.into(),
        Err(error) => output::failure(&cli.global, &error).into(),
    }
}

fn dispatch(global: &Global, verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::Run(args) => run::run(global, &args),
        Verb::Status => status::run(global),
        Verb::Doctor(args) => doctor::run(global, &args),
        Verb::Connections(verb) => connections::run(global, &verb),
        Verb::Flows(verb) => flows::run(global, &verb),
        Verb::Records(verb) => records::run(global, &verb),
        Verb::Merchants(verb) => merchants::run(global, &verb),
        Verb::Webhooks(verb) => webhooks::run(global, &verb),
        Verb::Audit(verb) => audit::run(global, &verb),
        Verb::Explain { code } => explain::run(global, code.as_deref()),
        Verb::Proof(args) => proof::run(global, &args),
        Verb::Secrets(verb) => secrets::run(global, &verb),
        Verb::Seal(args) => seal::run(global, &args),
        Verb::Enroll(args) => enroll::run(global, &args),
        Verb::Config(verb) => configuration::run(global, &verb),
        Verb::Completions { shell } => manual::completions(shell),
        Verb::Man { dir } => manual::man(dir.as_deref()),
        Verb::Version => version::run(global),
    }
}

#[cfg(test)]
mod tests;
