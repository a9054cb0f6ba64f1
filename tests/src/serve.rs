//! `sandbox serve`: the simulators until Ctrl-C, with everything that an agent of one's own needs to work with them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::harness::{AgentConfig, DocumentKind, Route, Sandbox, SandboxOptions, System};
use crate::sim::acumatica::BRANCH;
use crate::world::World;

/// A switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// On.
    #[default]
    On,
    /// Off.
    Off,
}

/// What is served.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// Reports of each Expensify account, in all states; about nine of ten are approved.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub reports: u32,
    /// Same seed, same reports.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Movements of card and cash spend in Brex; about eight of ten are ready to be booked.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub spend: u32,
    /// Expensify on this port, Epicor, Acumatica, Brex and the second Expensify account on the next; otherwise free ones
    /// are taken.
    #[arg(long, value_name = "PORT")]
    pub port_base: Option<u16>,
    /// HTTPS with an authority made for this run.
    #[arg(long)]
    pub https: bool,
    /// Whether the ERPs refuse a second invoice with the same number of one vendor.
    #[arg(long, value_enum, default_value_t)]
    pub unique: Switch,
    /// What the printed configuration has the flows write.
    #[arg(long, value_enum, default_value_t)]
    pub document: DocumentKind,
    /// Only this flow in the printed configuration; may be given several times. Default: all.
    #[arg(long, value_enum)]
    pub flow: Vec<Route>,
    /// Also write the configuration (and with --https the authority beside it) to this file.
    #[arg(long, value_name = "FILE")]
    pub config_to: Option<PathBuf>,
}

/// Serves until the process is ended.
///
/// # Errors
/// When a port is taken or a file cannot be written.
pub async fn run(args: &ServeArgs) -> Result<()> {
    let mut options = SandboxOptions::new(usize::try_from(args.reports)?);
    options.world.seed = args.seed;
    options.spend = usize::try_from(args.spend)?;
    options.https = args.https;
    options.port_base = args.port_base;
    options.unique = args.unique == Switch::On;
    let sandbox = Sandbox::start(options).await?;
    let folder =
        args.config_to.as_ref().and_then(|file| file.parent()).filter(|folder| *folder != Path::new(""));
    let kept = folder.map_or_else(std::env::current_dir, |folder| Ok(folder.to_path_buf()))?;
    let routes = if args.flow.is_empty() { Route::ALL.to_vec() } else { args.flow.clone() };
    let usual = sandbox.agent_config_for(&routes);
    let config = AgentConfig { ca_file: sandbox.write_ca(&kept)?, document: args.document, ..usual };
    if let Some(file) = &args.config_to {
        std::fs::write(file, config.render()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    // It serves also those who do not listen to what it says.
    drop(writeln!(std::io::stdout(), "{}", told(&sandbox, &config, args.config_to.as_deref())));
    std::future::pending::<()>().await;
    Ok(())
}

fn told(sandbox: &Sandbox, config: &AgentConfig, written: Option<&Path>) -> String {
    let mut text: String =
        System::ALL.into_iter().map(|system| format!("{}\n", introduction(sandbox, system))).collect();
    if let Some(file) = &config.ca_file {
        text.push_str(&format!("Authority  {}\n", file.display()));
    }
    match written {
        Some(file) => text.push_str(&format!("Agent      its configuration is in {}\n", file.display())),
        None => text
            .push_str(&format!("\n# purser.toml, into the agent's home\n{}\n", config.render().trim_end())),
    }
    text.push_str(
        "\n# Credentials, each bound to its system (PURSER_HOME or --home says where the agent lives)\n",
    );
    for system in Route::systems(&config.routes) {
        text.push_str(&secret(sandbox, system));
    }
    let epicor = sandbox.epicor.url();
    text.push_str(&format!(
        "\n# What they hold, and how to make them stumble\n\
         sandbox state --url {epicor}\n\
         sandbox fault --help\n\
         sandbox control --help\n\nCtrl-C ends it."
    ));
    text
}

/// A system's address, and what it holds.
fn introduction(sandbox: &Sandbox, system: System) -> String {
    let url = sandbox.running(system).url();
    let reports = |world: &World| {
        let ready = world.reports_in(&["APPROVED", "REIMBURSED"]).count();
        format!("{} reports, {ready} of them approved", world.reports.len())
    };
    match system {
        System::Expensify => format!("Expensify  {url}  {}", reports(&sandbox.world)),
        System::SecondExpensify => {
            format!("           {url}  {}; a second account", reports(&sandbox.second_world))
        }
        System::Brex => {
            let held = sandbox.brex.state();
            let (all, ready) = (&held["record_count"], &held["statuses"]["READY_FOR_EXPORT"]);
            format!("Brex       {url}  {all} accounting records, {ready} of them ready for export")
        }
        System::Epicor => {
            let companies = sandbox.world.companies.join(", ");
            format!("Epicor     {url}  companies {companies}; {} is posted to", sandbox.company())
        }
        System::Acumatica => {
            format!("Acumatica  {url}  tenant {}, branch {BRANCH}", sandbox.tenant())
        }
    }
}

fn secret(sandbox: &Sandbox, system: System) -> String {
    let fields = sandbox.secrets.of(system);
    let lines: String = fields.iter().map(|(field, value)| format!("{field}={value}\\n")).collect();
    let (name, kind, origin) = (system.id(), system.kind(), sandbox.running(system).url());
    format!("printf '{lines}' | purser secrets set {name} --kind {kind} --origin {origin}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_told_names_addresses_configuration_and_commands() {
        let sandbox = Sandbox::start(SandboxOptions::new(10)).await.unwrap();
        let config = sandbox.agent_config_for(&Route::ALL);
        let text = told(&sandbox, &config, None);
        for part in [
            config.render().trim_end(),
            &sandbox.epicor.url(),
            &sandbox.acumatica.url(),
            "| purser secrets set expensify --kind expensify --origin http://127.0.0.1:",
            "| purser secrets set expensify-second --kind expensify --origin http://127.0.0.1:",
            "client_secret=sandbox-api-key\\nuser=PURSER_API\\npassword=sandbox-password\\n' | purser secrets set acumatica ",
            "printf 'token=bxt_sandbox_example_test_0000000000000000\\n' | purser secrets set brex ",
            "printf 'user=PURSER_API\\npassword=sandbox-password\\napi_key=sandbox-api-key\\n' | ",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
