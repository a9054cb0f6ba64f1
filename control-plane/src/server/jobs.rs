//! What is done beside the requests, again and again: forgetting, alerts, mails. Each is asked whether there is anything
//! to do; none keeps state that a restart would lose. With several nodes on one database a *turn* is taken first, so that
//! one of them does it.

use super::{ServeError, Services};
use crate::clock::millis;
use crate::ingress::Ingress;
use crate::notify::Notify;
use crate::store::{StoreError, commands, deliveries, nonces, retention, times};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use purser_proto::link::assertion::TOLERANCE_SECONDS;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often what is too old to matter within minutes is forgotten.
const SWEEP: Duration = Duration::from_secs(30);

/// One round of a job.
type Job = Box<dyn Fn() -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync>;

/// The jobs of a server.
pub(super) struct Jobs(Vec<JoinHandle<()>>);

/// How often it is looked whether a message is due.
const SEND: Duration = Duration::from_secs(2);
/// How often it is looked which hooks are new.
const LEARN: Duration = Duration::from_secs(5);

pub(super) fn start(services: &Services) -> Result<Jobs, ServeError> {
    let settings = &services.settings;
    let (alerts, retained) = (settings.alerts.every, settings.retention.every);
    let notify = services.notify()?;
    let pause = i64::try_from(alerts.as_millis()).unwrap_or(i64::MAX);
    let (asking, sending, forgetting, sweeping) =
        (notify.clone(), notify, services.clone(), services.clone());
    let sweeps: Job = Box::new(move || Box::pin(sweep(sweeping.clone())));
    let retires: Job = Box::new(move || Box::pin(retire(forgetting.clone())));
    let asks: Job = Box::new(move || Box::pin(ask(asking.clone(), pause)));
    let sends: Job = Box::new(move || Box::pin(send(sending.clone())));
    let ingress = services.ingress.clone();
    let learns: Job = Box::new(move || Box::pin(learn(ingress.clone())));
    let jobs = [
        ("learning hooks", LEARN, learns),
        ("sweeping", SWEEP, sweeps),
        ("forgetting old rows", retained, retires),
        ("alert rules", alerts, asks),
        ("sending alerts", SEND, sends),
    ];
    Ok(Jobs(jobs.into_iter().map(|(name, pause, job)| tokio::spawn(every(name, pause, job))).collect()))
}

async fn ask(notify: Notify, every: i64) -> Result<(), StoreError> {
    notify.evaluate(every).await.map(drop)
}

async fn learn(ingress: Ingress) -> Result<(), StoreError> {
    ingress.learn().await
}

/// Sends until nothing is due.
async fn send(notify: Notify) -> Result<(), StoreError> {
    while notify.send_due().await? > 0 {}
    Ok(())
}

async fn retire(services: Services) -> Result<(), StoreError> {
    let now = services.present.look(&services.store, &services.clock).await?;
    let removed = retention::forget(&services.store, &services.settings.retention, now).await?;
    services.metrics.retired.inc_by(removed);
    Ok(())
}

impl Jobs {
    /// Ends them. What one of them was doing is done again by whoever comes next.
    pub(super) async fn end(self) {
        for job in self.0 {
            job.abort();
            // Either it was cut off, which is what was asked, or it had ended.
            drop(job.await);
        }
    }
}

/// Does a job again and again, until the store is closed.
async fn every(name: &'static str, pause: Duration, job: Job) {
    loop {
        tokio::time::sleep(pause).await;
        match AssertUnwindSafe(async { job().await }).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(StoreError::Stopped)) => return,
            Err(_) => tracing::error!(job = name, "it panicked; trying again"),
            Ok(Err(error)) => tracing::warn!(%error, job = name, "it did not work; trying again"),
        }
    }
}

async fn sweep(services: Services) -> Result<(), StoreError> {
    sweep_once(&services).await
}

/// What is done now and then: what is too old to matter is forgotten, and what was counted is written.
///
/// # Errors
/// [`StoreError`].
pub async fn sweep_once(services: &Services) -> Result<(), StoreError> {
    let now = services.present.look(&services.store, &services.clock).await?;
    // While a leap is doubted the present lags behind a clock that may well be right: only what is ahead of both is wrong.
    let latest = now.max(millis(&services.clock));
    let brought = services.store.write(move |tx| Box::pin(times::bring_back(tx, latest))).await?;
    if brought > 0 {
        tracing::warn!(rows = brought, "a clock was ahead: what it wrote is taken for written now");
    }
    // What is written now was signed at most one tolerance before or after; what is refused for its age, one before.
    let tolerance = TOLERANCE_SECONDS * 1000;
    let (before, signed_before) = (now - 3 * tolerance, now - 2 * tolerance);
    services.store.write(move |tx| Box::pin(nonces::forget(tx, before, signed_before))).await?;
    services.store.write(move |tx| Box::pin(commands::expire(tx, now))).await?;
    deliveries::expire(&services.store, now).await?;
    if let Some(admin) = &services.admin {
        admin.accounts().prune().await?;
    }
    services.ingress.flush().await
}
