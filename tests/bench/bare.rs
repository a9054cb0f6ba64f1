//! The floor of a run: a loop that makes the same calls, with the same client settings, and does nothing else. It runs
//! as a process of its own, so that its CPU time is not mixed with the simulators'.
//!
//! With `sync_every` it also appends a little to a file and syncs it after so many calls: the least that a program
//! must do which wants to remember what it has sent.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::process;
use crate::vendors::{Side, TapedCall, Vendors};

/// Calls to the ERP in flight at once, as the agent has them; the source is called one after the other.
const ERP_AT_ONCE: usize = 2;
/// Bytes that a group commit appends.
const RECORD: [u8; 512] = [b'.'; 512];
/// Headers that the client writes itself.
const OWN_HEADERS: [&str; 4] = ["host", "content-length", "accept-encoding", "user-agent"];

/// Arguments of the hidden verb that this process calls itself with.
#[derive(Debug, clap::Args)]
pub(crate) struct BareArgs {
    /// The calls, one JSON object a line.
    #[arg(long)]
    tape: PathBuf,
    /// Root URL of the source.
    #[arg(long)]
    source: String,
    /// Root URL of the ERP.
    #[arg(long)]
    erp: String,
    /// Append and sync after so many calls; 0 = never.
    #[arg(long, default_value_t = 0)]
    sync_every: usize,
}

/// What the loop cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BareResult {
    /// Calls made.
    pub(crate) calls: usize,
    /// Time of the loop alone.
    pub(crate) wall: Duration,
    /// CPU of the loop alone.
    pub(crate) cpu: Duration,
    /// Syncs made.
    pub(crate) syncs: usize,
    /// Calls that were answered with another status than the agent's.
    pub(crate) differing: usize,
}

/// Makes the calls again, at vendors that know nothing of them yet.
pub(crate) async fn replay(tape: &Path, vendors: &Vendors, sync_every: usize) -> Result<BareResult> {
    let output = Command::new(std::env::current_exe()?)
        .arg("bare")
        .arg("--tape")
        .arg(tape)
        .args(["--source", &vendors.source.url(), "--erp", &vendors.erp.url()])
        .args(["--sync-every", &sync_every.to_string()])
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot start the bare loop")?;
    ensure!(output.status.success(), "the bare loop failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Writes calls for [`replay`].
pub(crate) fn write_tape(calls: &[TapedCall], file: &Path) -> Result<()> {
    let mut out = std::io::BufWriter::new(File::create(file)?);
    for call in calls {
        serde_json::to_writer(&mut out, call)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// The loop itself, on one thread as the agent's connections.
pub(crate) async fn run(args: &BareArgs) -> Result<BareResult> {
    let mut requests = VecDeque::new();
    let client = client()?;
    for line in BufReader::new(File::open(&args.tape)?).lines() {
        let call: TapedCall = serde_json::from_str(&line?)?;
        let (side, status) = (call.side, call.status);
        requests.push_back((side, status, prepared(&client, call, args)?));
    }
    let calls = requests.len();
    let mut log = Log::beside(&args.tape, args.sync_every)?;
    let (cpu, started) = (process::own_cpu()?, Instant::now());
    let mut flying = tokio::task::JoinSet::new();
    let (mut flying_to, mut differing) = (Side::Source, 0);
    while let Some((side, wanted, request)) = requests.pop_front() {
        let room = if side == Side::Erp { ERP_AT_ONCE } else { 1 };
        while flying.len() >= room || (side != flying_to && !flying.is_empty()) {
            differing += usize::from(!settled(flying.join_next().await)?);
            log.answered()?;
        }
        flying_to = side;
        let client = client.clone();
        flying.spawn(async move {
            let answer = client.execute(request).await?;
            let status = answer.status().as_u16();
            answer.bytes().await?;
            anyhow::Ok(status == wanted)
        });
    }
    while let Some(ended) = flying.join_next().await {
        differing += usize::from(!settled(Some(ended))?);
        log.answered()?;
    }
    Ok(BareResult {
        calls,
        wall: started.elapsed(),
        cpu: process::own_cpu()?.saturating_sub(cpu),
        syncs: log.syncs,
        differing,
    })
}

type Ended = std::result::Result<Result<bool>, tokio::task::JoinError>;

fn settled(ended: Option<Ended>) -> Result<bool> {
    ended.context("a call got lost")??
}

/// The name that a bare client gives to vendors.
pub(crate) const USER_AGENT: &str = "bare-loop";

/// The same settings as the agent's gate.
#[expect(clippy::disallowed_methods, reason = "this is the floor that the gate is compared with")]
pub(crate) fn client() -> Result<reqwest::Client> {
    purser::vendors::http::install_crypto();
    Ok(reqwest::Client::builder()
        .tls_backend_rustls()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(Duration::from_secs(10))
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_keepalive(Duration::from_secs(30))
        .gzip(true)
        .no_proxy()
        .user_agent(USER_AGENT)
        .build()?)
}

fn prepared(client: &reqwest::Client, call: TapedCall, args: &BareArgs) -> Result<reqwest::Request> {
    let root = if call.side == Side::Source { &args.source } else { &args.erp };
    let mut headers = HeaderMap::new();
    for (name, value) in &call.headers {
        if !OWN_HEADERS.contains(&name.as_str()) {
            headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
        }
    }
    let request = client.request(call.method.parse()?, format!("{root}{}", call.target)).headers(headers);
    let request = if call.body.is_empty() { request } else { request.body(call.body) };
    Ok(request.timeout(Duration::from_secs(60)).build()?)
}

/// The file of the group commit.
struct Log {
    file: File,
    every: usize,
    answers: usize,
    syncs: usize,
}

impl Log {
    fn beside(tape: &Path, every: usize) -> Result<Self> {
        let file = File::create(tape.with_extension("log"))?;
        Ok(Self { file, every, answers: 0, syncs: 0 })
    }

    fn answered(&mut self) -> Result<()> {
        self.answers += 1;
        if self.every > 0 && self.answers.is_multiple_of(self.every) {
            self.file.write_all(&RECORD)?;
            self.file.sync_data()?;
            self.syncs += 1;
        }
        Ok(())
    }
}
