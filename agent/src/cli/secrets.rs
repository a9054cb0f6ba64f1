//! `purser secrets`: values come from a prompt or from standard input, never from the command line; they are sealed
//! together with the origins they may be sent to, and are never shown again.

pub(super) mod origins;
pub(super) mod values;

use super::context::{Access, Context};
use super::errand::{by_the_agent, refused};
use super::{Exit, Format, Global, Usage, output};
use crate::runtime::commands::{Obeyed, Order};
use crate::runtime::obey;
use crate::secret::Origin;
use crate::store::{SecretInfo, StoredSecret};
use crate::vendors::registry;
use anyhow::Result;
use purser_proto::suggest::nearest;
use purser_proto::validate::{NAME_RULE, ValidConfig, is_name};
use std::io::{IsTerminal, Write};

/// The kind of a secret for a proxy.
const PROXY: &str = "proxy";
const PROXY_FIELDS: &[&str] = &["user", "password"];

/// What can be done with secrets.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum SecretsVerb {
    /// Store a secret, or replace it as a whole.
    #[command(after_help = "\
On a terminal each field is asked for; otherwise they are read from standard input, as lines `field=value` or as one
JSON object. Kind and origins come from the connections of the configuration that use the secret; they are shown before
anything is sealed. A running agent takes the new value up at once.

Examples:
  purser secrets set erp
  purser secrets set erp --field user --field password --field api_key < erp.txt
  vault read -format=json -field=data purser/erp | purser secrets set erp --yes
  purser secrets set corporate-proxy --kind proxy --origin http://proxy.example.test:3128")]
    Set(SetArgs),
    /// List names, kinds, origins and fields; values are never shown.
    #[command(after_help = "Example:\n  purser secrets list")]
    List,
    /// Forget a secret.
    #[command(after_help = "Example:\n  purser secrets rm old-erp")]
    Rm {
        /// Which.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Why; stands in the audit trail.
        #[arg(long, default_value = "")]
        note: String,
    },
}

/// Arguments of `secrets set`.
#[derive(Clone, Debug, clap::Args)]
pub struct SetArgs {
    /// Name, as connections refer to it (default there: the connection's id).
    pub name: String,
    /// Kind of system: a vendor, or `proxy`. Default: that of the connections that use it.
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// The only places it may be sent to, `https://host[:port]`; may be given several times. Default: those of the
    /// connections that use it.
    #[arg(long, value_name = "URL")]
    pub origin: Vec<String>,
    /// Fields to store; may be given several times. Default: those of the kind that are entered.
    #[arg(long, value_name = "NAME")]
    pub field: Vec<String>,
    /// Do not ask, and allow that fields of the present secret are dropped.
    #[arg(long)]
    pub yes: bool,
    /// Why; stands in the audit trail.
    #[arg(long, default_value = "")]
    pub note: String,
}

/// Does what is asked.
///
/// # Errors
/// A store that cannot be used, a value or origin that is refused.
pub fn run(global: &Global, verb: &SecretsVerb) -> Result<Exit> {
    let context = Context::new(global)?;
    match verb {
        SecretsVerb::Set(args) => set(global, &context, args),
        SecretsVerb::List => list(global, &context),
        SecretsVerb::Rm { name, yes, note } => rm(global, &context, name, *yes, note),
    }
}

fn set(global: &Global, context: &Context, args: &SetArgs) -> Result<Exit> {
    well_formed(&args.name)?;
    // Secrets can be stored before there is a valid configuration, when everything is said here.
    let config = context.config();
    let users = config.as_ref().map_or_else(|_| Vec::new(), |config| origins::users(config, &args.name));
    let kind = match origins::kind(args, &users) {
        Ok(kind) => kind,
        Err(error) => {
            return Err(config.err().map_or(error, |cause| {
                cause.context("without --kind and --origin the configuration is needed")
            }));
        }
    };
    let known = known_fields(&kind)?;
    let origins = origins::choose(args, &kind, &users)?;
    for field in &args.field {
        values::known(field, &kind, known)?;
    }
    let by_hand = std::io::stdin().is_terminal();
    describe(args, &kind, &origins, users.iter().map(|user| user.id.as_str()));
    let fields = if by_hand {
        values::ask(known, &args.field)?
    } else {
        values::read(std::io::stdin().lock(), &kind, known, &args.field)?
    };
    let present = context.look().ok().and_then(|store| store.secrets().ok()).unwrap_or_default();
    let dropped = dropped(present.iter().find(|info| info.name == args.name), &fields);
    agree(args, by_hand, &dropped)?;
    let secret = StoredSecret { kind, origins, fields };
    let told = SecretInfo {
        name: args.name.clone(),
        kind: secret.kind.clone(),
        origins: secret.origins.iter().map(ToString::to_string).collect(),
        fields: secret.fields.keys().cloned().collect(),
    };
    store(global, context, args, secret)?;
    match global.output {
        Format::Json => output::json(&serde_json::json!({ "stored": told }))?,
        Format::Text => output::line(format!("secret `{}` is sealed: {}", told.name, told.fields.join(", "))),
    }
    Ok(Exit::Done)
}

pub(super) fn well_formed(name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    Err(Usage(format!("`{name}` is not a name for a secret: it has {NAME_RULE}")).into())
}

pub(super) fn known_fields(kind: &str) -> Result<&'static [&'static str]> {
    if kind == PROXY {
        return Ok(PROXY_FIELDS);
    }
    let kinds: Vec<&str> = registry::kinds().into_iter().chain([PROXY]).collect();
    registry::vendor(kind).map(|vendor| vendor.credential_fields).ok_or_else(|| {
        let near = nearest(kind, kinds.iter().copied())
            .map(|near| format!("did you mean `{near}`? "))
            .unwrap_or_default();
        Usage(format!("kind `{kind}` is not known; {near}known: {}", kinds.join(", "))).into()
    })
}

fn describe<'a>(args: &SetArgs, kind: &str, origins: &[Origin], users: impl Iterator<Item = &'a str>) {
    let users: Vec<&str> = users.collect();
    let users = if users.is_empty() { "no connection yet".to_owned() } else { users.join(", ") };
    output::aside(format!("secret `{}` of kind {kind}, used by {users}", args.name));
    output::aside("it may be sent to, and to nowhere else:");
    for origin in origins {
        output::aside(format!("  {origin}"));
    }
}

/// Fields that the present secret has and the new one lacks: it is replaced as a whole.
fn dropped(present: Option<&SecretInfo>, fields: &values::Fields) -> Vec<String> {
    let names = present.map(|info| info.fields.clone()).unwrap_or_default();
    names.into_iter().filter(|name| !fields.contains_key(name)).collect()
}

fn agree(args: &SetArgs, by_hand: bool, dropped: &[String]) -> Result<()> {
    if !dropped.is_empty() {
        let words = format!("the present secret also has {}, which would be dropped", dropped.join(", "));
        if !args.yes && !by_hand {
            return Err(Usage(format!("{words}; give all fields, or say --yes")).into());
        }
        output::aside(words);
    }
    if args.yes || !by_hand || confirmed("seal it?")? {
        return Ok(());
    }
    anyhow::bail!("nothing was stored")
}

fn confirmed(question: &str) -> Result<bool> {
    let mut to = std::io::stderr().lock();
    write!(to, "{question} [y/N] ")?;
    to.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn store(global: &Global, context: &Context, args: &SetArgs, secret: StoredSecret) -> Result<()> {
    let decision = Context::decision(Some(&args.note));
    match context.open()? {
        Access::Alone(store) => {
            store.commit_blocking(obey::putting(context.clock.now(), &args.name, secret, &decision))?;
            store.close();
            Ok(())
        }
        Access::Beside(_) => {
            let sealed = secret.seal(context.home(), &args.name)?;
            let order = Order::PutSecret { name: args.name.clone(), sealed, decision };
            tell(global, context, order)
        }
    }
}

fn tell(global: &Global, context: &Context, order: Order) -> Result<()> {
    match by_the_agent(global, context, "handing the secret over", vec![order])?.pop() {
        Some(Obeyed::Done) => Ok(()),
        Some(other) => refused(other),
        None => anyhow::bail!("the agent did not answer"),
    }
}

fn list(global: &Global, context: &Context) -> Result<Exit> {
    let secrets = context.look()?.secrets()?;
    match global.output {
        Format::Json => output::json(&serde_json::json!({ "secrets": secrets }))?,
        Format::Text if secrets.is_empty() => {
            output::line("no secret is stored yet: purser secrets set NAME")
        }
        Format::Text => {
            let mut table = output::table(&["secret", "kind", "fields", "may be sent to"]);
            for secret in &secrets {
                table.add_row([
                    output::cell(&secret.name),
                    output::cell(&secret.kind),
                    output::cell(secret.fields.join(", ")),
                    output::cell(secret.origins.join("\n")),
                ]);
            }
            output::show(&table);
        }
    }
    Ok(Exit::Done)
}

fn rm(global: &Global, context: &Context, name: &str, yes: bool, note: &str) -> Result<Exit> {
    let known = context.look()?.secrets()?;
    if !known.iter().any(|info| info.name == name) {
        let near = nearest(name, known.iter().map(|info| info.name.as_str()));
        let help =
            near.map_or("see `purser secrets list`".to_owned(), |near| format!("did you mean `{near}`?"));
        return Err(Usage(format!("there is no secret `{name}`; {help}")).into());
    }
    let users =
        context.config().map_or_else(|_| Vec::new(), |config: ValidConfig| obey::users_of(&config, name));
    if !users.is_empty() {
        let users: Vec<&str> = users.iter().map(|id| id.as_str()).collect();
        output::aside(format!("used by {}: without it they cannot work", users.join(", ")));
    }
    if !yes {
        if !std::io::stdin().is_terminal() {
            return Err(Usage("say --yes to forget a secret without being asked".to_owned()).into());
        }
        anyhow::ensure!(confirmed(&format!("forget `{name}`?"))?, "nothing was changed");
    }
    let decision = Context::decision(Some(note));
    match context.open()? {
        Access::Alone(store) => {
            store.commit_blocking(obey::removing(context.clock.now(), name, &decision))?;
            store.close();
        }
        Access::Beside(_) => tell(global, context, Order::RemoveSecret { name: name.to_owned(), decision })?,
    }
    match global.output {
        Format::Json => output::json(&serde_json::json!({ "forgotten": name }))?,
        Format::Text => output::line(format!("secret `{name}` is forgotten")),
    }
    Ok(Exit::Done)
}
