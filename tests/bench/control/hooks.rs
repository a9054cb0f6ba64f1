//! Webhooks: how fast they are durable, what a burst does while the agent is away, and that none is lost.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context as _, Result, ensure};
use purser_proto::link::limits::Name;
use purser_proto::link::sync::{DeliveryBody, SyncAnswer};
use tokio::task::JoinSet;

use crate::control::lean::{Lean, Wire};

/// Connections of a steady sender.
pub(super) const STEADY: usize = 64;
/// Connections of a burst.
pub(super) const BURST: usize = 512;
/// How often what came is opened, to see that it is what was sent.
const LOOK_INTO: usize = 100;
/// Webhooks that a bare append shares a sync among.
const SHARED: usize = 64;

/// What became of many webhooks.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Answered with 2xx.
    pub(super) acked: usize,
    /// Answered with anything else, or not at all.
    pub(super) other: usize,
    /// From the first to the last.
    pub(super) wall: Duration,
    /// From sending to the answer, of those with 2xx, sorted.
    pub(super) latencies: Vec<Duration>,
}

impl Sent {
    /// Acknowledged per second.
    pub(super) fn rate(&self) -> f64 {
        self.acked as f64 / self.wall.as_secs_f64()
    }
}

/// Sends so many over so many connections, each as soon as the one before is answered.
pub(super) async fn send(to: SocketAddr, path: &str, count: usize, connections: usize) -> Result<Sent> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = JoinSet::new();
    let began = Instant::now();
    for number in 0..connections {
        let (next, path) = (next.clone(), path.to_owned());
        senders.spawn(async move {
            let mut sent = Sent::default();
            let mut wire = Wire::to(to, number);
            loop {
                let event = next.fetch_add(1, Ordering::Relaxed);
                if event >= count {
                    return sent;
                }
                let (headers, body) = (headers(event), body(event));
                let asked = Instant::now();
                match wire.post(&path, &headers, body.as_bytes()).await {
                    Ok(answer) if (200..300).contains(&answer.status) => {
                        sent.acked += 1;
                        sent.latencies.push(asked.elapsed());
                    }
                    Ok(_) | Err(_) => sent.other += 1,
                }
            }
        });
    }
    let mut all = Sent::default();
    while let Some(sent) = senders.join_next().await {
        let sent = sent?;
        all.acked += sent.acked;
        all.other += sent.other;
        all.latencies.extend(sent.latencies);
    }
    all.wall = began.elapsed();
    all.latencies.sort_unstable();
    Ok(all)
}

/// What Svix sends along.
fn headers(event: usize) -> String {
    format!(
        "svix-id: msg_{event:027}\r\nsvix-timestamp: 1761999999\r\n\
         svix-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=\r\n"
    )
}

/// An event like one of Brex's.
fn body(event: usize) -> String {
    format!(
        "{{\"event_type\":\"ACCOUNTING_RECORD_READY_FOR_EXPORT\",\"id\":\"acr_{event:024}\",\
         \"company_id\":\"cuacc_000000000000000000000000\",\"type\":\"CARD_EXPENSE_POST\",\"legal_entity_id\":\
         \"le_000000000000000000000000\",\"occurred_at\":\"2026-11-02T10:11:12.131Z\",\"padding\":\"{:200}\"}}",
        ""
    )
}

/// What the agent found when it came back.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// Different webhooks, each taken and acknowledged.
    pub(super) webhooks: usize,
    /// How long it took.
    pub(super) wall: Duration,
}

/// The agent comes back and takes all that waits for it.
pub(super) async fn fetch(agent: &mut Lean) -> Result<Fetched> {
    let began = Instant::now();
    let mut known: BTreeSet<Name> = BTreeSet::new();
    let mut taken: Vec<Name> = Vec::new();
    loop {
        let mut said = agent.agent.says_nothing();
        said.taken = taken.drain(..).collect();
        let SyncAnswer { deliveries, .. } = agent.sync(&said).await?;
        if deliveries.as_slice().is_empty() {
            return Ok(Fetched { webhooks: known.len(), wall: began.elapsed() });
        }
        for delivery in deliveries.as_slice() {
            let DeliveryBody::Webhook(webhook) = &delivery.body else { continue };
            if known.len().is_multiple_of(LOOK_INTO) {
                let received = agent.agent.open(webhook);
                ensure!(received.headers.contains_key("svix-id"), "a webhook came without its headers");
            }
            known.insert(delivery.id.clone());
            taken.push(delivery.id.clone());
        }
    }
}

/// The floor: the same requests against a handler that reads the body and answers.
pub(super) async fn bare(count: usize) -> Result<Sent> {
    let server = HttpServer::new(|| {
        App::new().route(
            "/hooks/bare",
            web::post().to(|_: web::Bytes| async { HttpResponse::NoContent().finish() }),
        )
    });
    let server = server.workers(2).disable_signals().shutdown_timeout(1).bind("127.0.0.1:0")?;
    let to = *server.addrs().first().context("no address")?;
    let server = server.run();
    let handle = server.handle();
    let serving = tokio::spawn(server);
    let sent = send(to, "/hooks/bare", count, STEADY).await;
    handle.stop(false).await;
    serving.await??;
    sent
}

/// The floor of what is durable: appends of the same size that share a sync, webhooks a second.
pub(super) fn bare_appends(folder: &Path) -> Result<f64> {
    const ROUNDS: usize = 200;
    const KEPT: usize = 1536;
    let mut file = File::create(folder.join("appends"))?;
    let began = Instant::now();
    for _ in 0..ROUNDS {
        file.write_all(&[b'.'; SHARED * KEPT])?;
        file.sync_data()?;
    }
    Ok((ROUNDS * SHARED) as f64 / began.elapsed().as_secs_f64())
}
