//! `config plan`, `config apply`: configurations out of a repository, by way of the admin API. A folder holds one
//! `<agent>.toml` per agent, named by the agent's id or name; a single file goes to the agent that `--agent` names.

use super::output::{line, raw};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Configurations out of a repository.
#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Show what files would change, and what is wrong with them. Nothing is changed.
    Plan(Source),
    /// Change what files change, after showing it; nothing, when one of them is refused.
    Apply {
        #[command(flatten)]
        source: Source,
        /// Why; kept with the revisions.
        #[arg(long, default_value = "")]
        note: String,
    },
}

/// Which files, and which server.
#[derive(Clone, Debug, Args)]
pub struct Source {
    /// A TOML file, or a folder of `<agent>.toml`.
    pub path: PathBuf,
    /// Id or name of the agent; the file's name when nothing is said.
    #[arg(long)]
    pub agent: Option<String>,
    /// Address of the control plane: `https://control.example.test`.
    #[arg(long, env = "PURSER_CONTROL_SERVER")]
    pub server: Url,
    /// File that holds a token with `agents-read`, `configuration-read` and, to apply, `configuration-write`.
    #[arg(long)]
    pub token_file: PathBuf,
    /// Of a token of the fleet: id of the tenant that is meant.
    #[arg(long)]
    pub tenant: Option<String>,
}

/// What a file would change.
#[derive(Debug, Deserialize)]
struct Plan {
    base: i64,
    findings: Vec<Found>,
    diff: String,
}

#[derive(Debug, Deserialize)]
struct Found {
    path: String,
    #[serde(default)]
    line: Option<usize>,
    what: String,
    fix: String,
}

/// A file, its agent and what it would change.
struct Change {
    file: PathBuf,
    agent: String,
    toml: String,
    plan: Plan,
}

/// What came of planning or applying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files that change nothing.
    pub same: usize,
    /// Files that change, or have changed, something.
    pub changed: usize,
    /// Files that are refused.
    pub refused: usize,
}

impl Config {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let (source, note) = match self {
            Self::Plan(source) => (source, None),
            Self::Apply { source, note } => (source, Some(note)),
        };
        let summary = go(&source, note.as_deref(), &mut |text| raw(text)).await?;
        let verb = if note.is_some() { "changed" } else { "to change" };
        line(format!(
            "{} {verb}, {} as they are, {} refused",
            summary.changed, summary.same, summary.refused
        ));
        if summary.refused > 0 {
            bail!("{} file(s) are refused; nothing was changed", summary.refused);
        }
        Ok(())
    }
}

/// Plans, and with a note applies. What changes is told to `tell`.
///
/// # Errors
/// In words for the person who asked.
pub async fn go(source: &Source, note: Option<&str>, tell: &mut dyn FnMut(&str)) -> anyhow::Result<Summary> {
    let server = Server::new(source)?;
    let agents = server.agents().await?;
    let mut changes = Vec::new();
    for (file, wanted) in files(source)? {
        let toml =
            std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let agent = meant(&agents, &wanted).with_context(|| file.display().to_string())?;
        let plan = server.plan(&agent, &toml).await?;
        changes.push(Change { file, agent, toml, plan });
    }
    let mut summary = Summary::default();
    for change in &changes {
        tell(&shown(change));
        match (change.plan.findings.is_empty(), change.plan.diff.is_empty() && change.plan.base > 0) {
            (false, _) => summary.refused += 1,
            (true, true) => summary.same += 1,
            (true, false) => summary.changed += 1,
        }
    }
    let Some(note) = note.filter(|_| summary.refused == 0) else { return Ok(summary) };
    for change in changes.iter().filter(|change| !change.plan.diff.is_empty() || change.plan.base == 0) {
        let number = server.apply(change, note).await.with_context(|| change.file.display().to_string())?;
        tell(&format!("{}: revision {number} of agent {}\n", change.file.display(), change.agent));
    }
    Ok(summary)
}

fn shown(change: &Change) -> String {
    let mut text =
        format!("--- agent {}, revision {}\n+++ {}\n", change.agent, change.plan.base, change.file.display());
    text.push_str(&change.plan.diff);
    for finding in &change.plan.findings {
        let place = finding.line.map_or_else(String::new, |line| format!(":{line}"));
        let file = change.file.display();
        text.push_str(&format!("{file}{place}: {}: {}; {}\n", finding.path, finding.what, finding.fix));
    }
    text
}

fn files(source: &Source) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let name =
        |file: &Path| file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if source.path.is_file() {
        let agent = source.agent.clone().unwrap_or_else(|| name(&source.path));
        return Ok(vec![(source.path.clone(), agent)]);
    }
    if source.agent.is_some() {
        bail!("--agent goes with one file, and {} is none", source.path.display());
    }
    let entries = std::fs::read_dir(&source.path)
        .with_context(|| format!("{} cannot be read", source.path.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            files.push((file.clone(), name(&file)));
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("{} holds no `<agent>.toml`", source.path.display());
    }
    Ok(files)
}

/// The agent of an id or a name.
fn meant(agents: &[(String, String)], wanted: &str) -> anyhow::Result<String> {
    if agents.iter().any(|(id, _)| id == wanted) {
        return Ok(wanted.to_owned());
    }
    let named: Vec<&String> = agents.iter().filter(|(_, name)| name == wanted).map(|(id, _)| id).collect();
    match named[..] {
        [id] => Ok(id.clone()),
        [] => bail!("there is no agent with the id or name `{wanted}`"),
        _ => bail!("{} agents are named `{wanted}`; name the file by the agent's id", named.len()),
    }
}

struct Server {
    client: reqwest::Client,
    url: Url,
    token: SecretString,
    tenant: Option<String>,
}

impl Server {
    #[expect(
        clippy::disallowed_methods,
        reason = "the gate is the agent's; this call goes to the operator's own server"
    )]
    fn new(source: &Source) -> anyhow::Result<Self> {
        if !crate::accounts::oidc::is_safe(&source.server) {
            bail!("{} is not https; a token is sent there", source.server);
        }
        let file = source.token_file.display();
        let token =
            std::fs::read_to_string(&source.token_file).with_context(|| format!("{file} cannot be read"))?;
        // A provider that is installed already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .context("this machine has no usable TLS")?;
        let token = token.trim().to_owned().into();
        Ok(Self { client, url: source.server.clone(), token, tenant: source.tenant.clone() })
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let url = self.url.join(path)?;
        let mut request = self.client.request(method, url).bearer_auth(self.token.expose_secret());
        if let Some(tenant) = &self.tenant {
            request = request.header(crate::api::admin::access::TENANT_HEADER, tenant);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.with_context(|| format!("{} cannot be reached", self.url))?;
        let status = answer.status();
        let text = answer.text().await?;
        let value: Value = serde_json::from_str(&text)
            .with_context(|| format!("{path} was answered with {status} and no JSON"))?;
        if status.is_success() {
            return Ok(value);
        }
        let words = |name: &str| value[name].as_str().unwrap_or_default();
        bail!("{path} was refused with {status}: {}; {}", words("title"), words("detail"))
    }

    /// Ids and names of all agents.
    async fn agents(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut agents = Vec::new();
        let mut path = "/v1/agents?limit=200".to_owned();
        loop {
            let page = self.call(Method::GET, &path, None).await?;
            for agent in page["items"].as_array().into_iter().flatten() {
                let text = |name: &str| agent[name].as_str().unwrap_or_default().to_owned();
                agents.push((text("id"), text("name")));
            }
            let Some(next) = page["next"].as_str() else { return Ok(agents) };
            path = format!("/v1/agents?limit=200&after={next}");
        }
    }

    async fn plan(&self, agent: &str, toml: &str) -> anyhow::Result<Plan> {
        let body = json!({ "toml": toml });
        let plan =
            self.call(Method::POST, &format!("/v1/agents/{agent}/configuration/plan"), Some(&body)).await?;
        Ok(serde_json::from_value(plan)?)
    }

    async fn apply(&self, change: &Change, note: &str) -> anyhow::Result<i64> {
        let body = json!({ "toml": change.toml, "note": note, "base": change.plan.base });
        let made =
            self.call(Method::POST, &format!("/v1/agents/{}/revisions", change.agent), Some(&body)).await?;
        made["number"].as_i64().context("the server made a revision without a number")
    }
}

#[cfg(test)]
mod tests;
