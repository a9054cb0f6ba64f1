//! `purser seal`: a secret for an agent that works elsewhere. It needs nothing of that agent but what everybody may know,
//! and works on any machine, so that a password never passes through a control plane in readable form.

use super::secrets::{known_fields, origins, values, well_formed};
use super::{Exit, Format, Global, Usage, output};
use crate::clock::Clock;
use crate::store::{HandedSecret, StoredSecret};
use anyhow::Result;
use std::io::IsTerminal as _;

/// Examples.
pub const AFTER_HELP: &str = "\
Recipient, fingerprint and id are those that the agent shows (`purser status`) and the control plane
repeats; compare them with the agent's when the control plane itself is not trusted. The agent stores
the secret only when everything fits: its own id and fingerprint, a connection of that kind and name
in its configuration, and origins that this connection goes to and the machine's guard rails allow.
It says when it was sealed, by this machine's clock: an older text does not replace a later one.

On a terminal each field is asked for; otherwise they are read from standard input, as lines
`field=value` or as one JSON object. What is printed can be handed to anybody: only the agent opens it.

Examples:
  purser seal --agent aXYZ --recipient age1... --fingerprint 0123-4567-... \\
      --connection erp --kind epicor --origin https://erp.example.test < erp.txt > erp.sealed";

/// Arguments of `seal`.
#[derive(Clone, Debug, clap::Args)]
pub struct SealArgs {
    /// The agent's public recipient (`age1...`).
    #[arg(long, value_name = "AGE")]
    pub recipient: String,
    /// The fingerprint of the agent's keys.
    #[arg(long, value_name = "HEX")]
    pub fingerprint: String,
    /// The agent's id.
    #[arg(long, value_name = "ID")]
    pub agent: String,
    /// The connection that uses the secret.
    #[arg(long, value_name = "ID")]
    pub connection: String,
    /// Kind of system: a vendor, or `proxy`.
    #[arg(long, value_name = "KIND")]
    pub kind: String,
    /// The only places it may be sent to, `https://host[:port]`; may be given several times.
    #[arg(long, value_name = "URL", required = true)]
    pub origin: Vec<String>,
    /// Name of the secret, where the connection names one. Default: the connection's id.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Fields to seal; may be given several times. Default: those of the kind that are entered.
    #[arg(long, value_name = "NAME")]
    pub field: Vec<String>,
}

/// Seals a secret and prints the text.
///
/// # Errors
/// A value, origin or recipient that is refused.
pub fn run(global: &Global, args: &SealArgs) -> Result<Exit> {
    let name = args.name.clone().unwrap_or_else(|| args.connection.clone());
    well_formed(&name)?;
    well_formed(&args.connection)?;
    let known = known_fields(&args.kind)?;
    let origins = origins::given(&args.origin, &args.kind)?;
    for field in &args.field {
        values::known(field, &args.kind, known)?;
    }
    output::aside(format!(
        "secret `{name}` of kind {}, for connection {} of agent {}",
        args.kind, args.connection, args.agent
    ));
    output::aside("it may be sent to, and to nowhere else:");
    for origin in &origins {
        output::aside(format!("  {origin}"));
    }
    let fields = if std::io::stdin().is_terminal() {
        values::ask(known, &args.field)?
    } else {
        values::read(std::io::stdin().lock(), &args.kind, known, &args.field)?
    };
    let handed = HandedSecret {
        agent: args.agent.trim().to_owned(),
        fingerprint: args.fingerprint.trim().to_lowercase(),
        name,
        connection: args.connection.clone(),
        sealed_at: Some(Clock::system().now()),
        secret: StoredSecret { kind: args.kind.clone(), origins, fields },
    };
    let armored = handed.seal(&args.recipient).map_err(|error| Usage(error.to_string()))?;
    match global.output {
        Format::Json => output::json(&serde_json::json!({ "name": handed.name, "armored": armored }))?,
        Format::Text => output::raw(&armored)?,
    }
    Ok(Exit::Done)
}
