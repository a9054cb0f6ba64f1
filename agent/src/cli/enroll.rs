//! `purser enroll`: a one-time code for an identity at a control plane, and the way back.

use super::context::{Access, Context};
use super::errand::{by_the_agent, refused};
use super::{Exit, Format, Global, Usage, output};
use crate::config::guard_rails;
use crate::config::guard_rails::MachineRails;
use crate::config::revisions::{bound_origins, in_force};
use crate::runtime::commands::{Obeyed, Order};
use crate::runtime::link::enroll::{Enrolled, Wish, enroll};
use crate::runtime::obey::leaving;
use crate::secret::Origin;
use crate::service::{private_files, process};
use crate::store::{Enrollment, Store};
use anyhow::{Context as _, Result};
use purser_proto::config::NetworkSettings;
use secrecy::SecretString;
use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Read as _};

/// Examples.
pub const AFTER_HELP: &str = "\
The agent makes its keys itself and sends only their public halves. Compare the fingerprint that is
printed with the one that the control plane shows. A running agent takes the identity up at once.

From then on the control plane may send configurations, sealed secrets and commands. What it may ask
for is limited by guard-rails.toml in the home folder, which it can neither read nor change. Without
that file it may name only places that this machine knows already: those of purser.toml and of the
stored secrets. --allow-origin writes a first file.

Examples:
  purser enroll https://control.example.test ABCD-EFGH-JKMN-PQRS
  purser enroll https://control.example.test - --extra-ca /etc/ssl/proxy.pem < code.txt
  purser enroll https://control.example.test - --allow-origin https://erp.example.test
  purser enroll --forget

Exit code 4: enrolled, and a person has still to approve the fingerprint.";

/// Longest code that is read.
const LONGEST_CODE: u64 = 256;

/// Arguments of `enroll`.
#[derive(Clone, Debug, clap::Args)]
pub struct EnrollArgs {
    /// Address of the control plane, `https://host[:port]`.
    #[arg(required_unless_present = "forget")]
    pub url: Option<String>,
    /// The one-time code; `-` = ask for it, or read it from standard input.
    #[arg(required_unless_present = "forget")]
    pub code: Option<String>,
    /// PEM file with certificate authorities trusted on the way there, in addition to the system's.
    #[arg(long, value_name = "FILE")]
    pub extra_ca: Option<String>,
    /// Proxy on the way there, `http://host:port`; `none` = no proxy also when the environment names one.
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// Name of a stored secret of kind `proxy` with the proxy's login.
    #[arg(long, value_name = "NAME", requires = "proxy")]
    pub proxy_secret: Option<String>,
    /// How this machine is called there. Default: its own name.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// A place that the control plane may name in configurations and secrets; may be given several times. Written to a new
    /// guard-rails.toml, with those that this machine knows already.
    #[arg(long, value_name = "URL")]
    pub allow_origin: Vec<String>,
    /// Allow `http://` to a loopback address (a control plane on this machine, to try things out).
    #[arg(long)]
    pub allow_plain_loopback: bool,
    /// Replace an identity that this agent has already.
    #[arg(long)]
    pub again: bool,
    /// Leave the control plane: forget identity, keys and what waits to be told. The machine's own purser.toml is in force
    /// again.
    #[arg(long, conflicts_with_all = ["url", "code", "again", "allow_origin"])]
    pub forget: bool,
}

/// Enrolls, or leaves.
///
/// # Errors
/// A code, address or way that does not work, each with its mend; an agent that is enrolled already.
pub fn run(global: &Global, args: &EnrollArgs) -> Result<Exit> {
    let context = Context::new(global)?;
    match (&args.url, &args.code) {
        (Some(url), Some(code)) if !args.forget => join(global, &context, args, url, code),
        _ => forget(global, &context),
    }
}

fn join(global: &Global, context: &Context, args: &EnrollArgs, url: &str, code: &str) -> Result<Exit> {
    let access = context.open()?;
    if let Some(present) = access.store().enrollment()?.filter(|_| !args.again) {
        return Err(Usage(format!(
            "this agent is enrolled at {} as {} ({}) already; say --again to replace that identity, or leave with \
             `purser enroll --forget`",
            present.url, present.name, present.agent
        ))
        .into());
    }
    // Before the code is used up.
    let rails = first_rails(context, args, access.store())?;
    let wish = wish(args, url, code_of(code)?, access.store())?;
    let enrolled = actix::System::new().block_on(enroll(wish, &context.clock))?;
    if let Some(text) = rails {
        let path = guard_rails::path(context.home());
        private_files::write_private(&path, text.as_bytes(), false)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    keep(global, context, access, &enrolled)?;
    tell(global, &enrolled)?;
    Ok(if enrolled.enrollment.waited_for_approval { Exit::Attention } else { Exit::Done })
}

fn wish(args: &EnrollArgs, url: &str, code: SecretString, store: &Store) -> Result<Wish> {
    let network = NetworkSettings {
        proxy: args.proxy.clone(),
        proxy_secret: args.proxy_secret.clone(),
        extra_ca: args.extra_ca.clone(),
        allow_plain_loopback: args.allow_plain_loopback,
        ..NetworkSettings::default()
    };
    let proxy = network.proxy_secret.as_ref().map(|name| store.secret(name)).transpose()?.flatten();
    let host = args.name.clone().unwrap_or_else(process::machine_label);
    Ok(Wish { url: url.to_owned(), code, network, proxy, host })
}

fn code_of(code: &str) -> Result<SecretString> {
    if code != "-" {
        return Ok(SecretString::from(code));
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Ok(SecretString::from(
            rpassword::prompt_password("code: ").context("the prompt cannot be shown")?,
        ));
    }
    let mut text = String::new();
    stdin.lock().take(LONGEST_CODE).read_to_string(&mut text).context("the code cannot be read")?;
    anyhow::ensure!(!text.trim().is_empty(), Usage("standard input holds no code".to_owned()));
    Ok(SecretString::from(text.trim()))
}

/// The text of a first file of guard rails, when one is wanted.
fn first_rails(context: &Context, args: &EnrollArgs, store: &Store) -> Result<Option<String>> {
    // Broken ones are told before the code is used up.
    let known = MachineRails::load(context.home(), context.config_file())?;
    if args.allow_origin.is_empty() {
        return Ok(None);
    }
    let path = guard_rails::path(context.home());
    if path.exists() {
        let words = format!("{} exists already: add the places to `origins` there", path.display());
        return Err(Usage(words).into());
    }
    let mut origins: BTreeSet<Origin> = known.origins(bound_origins(&store.secrets()?));
    for text in &args.allow_origin {
        origins.insert(Origin::parse(text).map_err(|error| Usage(error.to_string()))?);
    }
    Ok(Some(guard_rails::first_file(&origins)))
}

fn keep(global: &Global, context: &Context, access: Access, enrolled: &Enrolled) -> Result<()> {
    let decision = Context::decision(None);
    match access {
        Access::Alone(store) => {
            store.commit_blocking(enrolled.batch(decision.actor()))?;
            store.close();
            Ok(())
        }
        Access::Beside(_) => {
            let sealed = enrolled.seal(context.home()).map_err(anyhow::Error::msg)?;
            order(global, context, "handing the identity over", Order::Join { sealed, decision })
        }
    }
}

fn order(global: &Global, context: &Context, words: &str, order: Order) -> Result<()> {
    match by_the_agent(global, context, words, vec![order])?.pop() {
        Some(Obeyed::Done) => Ok(()),
        Some(other) => refused(other),
        None => anyhow::bail!("the agent did not answer"),
    }
}

fn tell(global: &Global, enrolled: &Enrolled) -> Result<()> {
    let Enrollment { url, agent, name, tenant, waited_for_approval, .. } = &enrolled.enrollment;
    let public = enrolled.keys.current.public();
    let fingerprint = public.fingerprint();
    match global.output {
        Format::Json => output::json(&serde_json::json!({ "enrolled": {
            "url": url, "agent": agent, "name": name, "tenant": tenant, "fingerprint": fingerprint,
            "recipient": public.recipient, "waits_for_approval": waited_for_approval,
        }}))?,
        Format::Text => {
            output::line(format!("enrolled at {url} as {name} ({agent}), tenant {tenant}"));
            output::line(format!("fingerprint {fingerprint}"));
            output::line(format!("recipient   {}", public.recipient));
            if *waited_for_approval {
                output::line(
                    "a person has still to approve this agent at the control plane: compare the fingerprint there with \
                     the one above",
                );
            }
            output::line("the link begins with the agent (`purser run`); see `purser status`");
        }
    }
    Ok(())
}

fn forget(global: &Global, context: &Context) -> Result<Exit> {
    let access = context.open()?;
    let Some(present) = access.store().enrollment()? else {
        return Err(Usage("this agent is not enrolled; there is nothing to forget".to_owned()).into());
    };
    // So that the agent works on: the revision becomes the machine's own file where there is none.
    let file = context.config_file();
    let kept = in_force(access.store())?.filter(|_| !file.exists());
    if let Some(kept) = &kept {
        private_files::write_private(file, kept.toml.as_bytes(), false)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let decision = Context::decision(Some("purser enroll --forget"));
    match access {
        Access::Alone(store) => {
            store.commit_blocking(leaving(context.clock.now(), &decision))?;
            store.close();
        }
        Access::Beside(_) => order(global, context, "leaving", Order::Leave { decision })?,
    }
    match global.output {
        Format::Json => output::json(&serde_json::json!({ "forgotten": present.agent, "url": present.url }))?,
        Format::Text => {
            output::line(format!("left {}; this machine is no agent of it any more", present.url));
            output::line(format!("the configuration is {} from here on", file.display()));
            output::line("revoke the agent at the control plane, too, if it has not been done");
        }
    }
    Ok(Exit::Done)
}
