//! The actor of one flow: its runs and a person's decisions, one after the other. Flows that book and reference flows
//! have the same kind of actor around them.

use super::commands::Obeyed;
use super::supervisor::{CallError, Handle, Lease, Policy, RunState, supervise};
use super::worker::{Work, Worker};
use crate::clock::Clock;
use crate::flows::preview::{Agreed, Preview};
use crate::flows::proof::Proof;
use crate::flows::reference_flow::{Agreement, MirrorEnded, MirrorPreview};
use crate::flows::replay::Decision;
use crate::flows::{ReferenceFlow, RunError, RunReport, SpendFlow};
use spend::Date;
use spend::ids::{FlowId, PostingKey, VendorCode};
use spend::posting::{Failure, FailureClass};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Longest time a caller waits for a run: a first run over months of records takes hours at the vendors' pace.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Longest time a caller waits for a flow that is being made.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Attempts at a preview or proof while a vendor says that there were too many calls, and the longest wait between.
const THROTTLED_TRIES: u32 = 5;
const THROTTLED_PATIENCE: Duration = Duration::from_secs(120);

/// The actor of a flow that books, as the scheduler and the command line see it.
pub type FlowHandle = FlowActor<SpendFlow>;

/// The actor of a reference flow.
pub type ReferenceHandle = FlowActor<ReferenceFlow>;

/// The actor of a flow of the kind `S`.
pub struct FlowActor<S: Send + Sync + 'static> {
    id: FlowId,
    handle: Handle<Worker<S>>,
    progress: watch::Receiver<RunReport>,
    running: Arc<AtomicUsize>,
    /// Whole runs that wait for their turn.
    waiting: Arc<AtomicUsize>,
    clock: Clock,
}

/// Counts work for as long as it lives, also when it is dropped half way.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S: Send + Sync + 'static> FlowActor<S> {
    /// Starts the supervised actor; `build` makes the flow afresh for each life.
    pub fn start(
        id: FlowId,
        policy: Policy,
        clock: Clock,
        build: impl Fn(watch::Sender<RunReport>, Lease) -> S + Send + Sync + 'static,
    ) -> Self {
        let (sender, progress) = watch::channel(RunReport::default());
        let handle = supervise(
            id.as_str(),
            move |_: &mut actix::Context<_>, lease: &Lease| {
                Worker::serial(build(sender.clone(), lease.clone()))
            },
            policy,
            clock.clone(),
        );
        Self { id, handle, progress, running: Arc::default(), waiting: Arc::default(), clock }
    }

    /// Which flow.
    pub fn id(&self) -> &FlowId {
        &self.id
    }

    /// The supervised actor.
    pub fn actor(&self) -> &Handle<Worker<S>> {
        &self.handle
    }

    /// Whether work is under way or waits for its turn.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }

    /// Whether a run waits for its turn that will do all there is to do.
    pub fn run_waits(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Counters of the run under way, or of the last one; `None` before the first.
    pub fn last_report(&self) -> Option<RunReport> {
        Some(self.progress.borrow().clone()).filter(|report| *report != RunReport::default())
    }

    /// Counters of the run under way as they change.
    pub fn progress(&self) -> watch::Receiver<RunReport> {
        self.progress.clone()
    }

    /// Asks again when a vendor says that there were too many calls, as long as it says when: a person waits for the
    /// answer.
    async fn patiently<T, R>(&self, ask: impl Fn() -> R) -> Result<T, String>
    where
        R: Future<Output = Result<Result<Result<T, Failure>, RunError>, String>>,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let failure = match ask().await? {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(failure)) => failure,
                Err(error) => return Err(format!("flow `{}`: {}", self.id, super::words(&error))),
            };
            let FailureClass::Throttled { until } = failure.class else {
                return Err(format!("flow `{}`: {failure}", self.id));
            };
            let wait = (until - self.clock.now()).to_std().unwrap_or_default();
            if tries == THROTTLED_TRIES || wait > THROTTLED_PATIENCE {
                return Err(format!("flow `{}`: {failure}", self.id));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Has something done with the flow, in its turn.
    ///
    /// # Errors
    /// When the actor is not running or died under the work.
    pub async fn ask<T, F>(&self, job: F) -> Result<T, String>
    where
        T: Send + 'static,
        F: FnOnce(Arc<S>) -> futures_util::future::BoxFuture<'static, T> + Send + 'static,
    {
        let _running = Counted::begin(&self.running);
        let settled = self.handle.wait_for(|status| status.state != RunState::Starting);
        let _ = tokio::time::timeout(START_PATIENCE, settled).await;
        self.handle.call(Work::new(job), PATIENCE).await.map_err(|error| match error {
            CallError::Unavailable => {
                format!("flow `{}` is not running ({})", self.id, self.handle.status().describe())
            }
            CallError::Crashed => format!("flow `{}` crashed; what was open is settled by look-up", self.id),
            CallError::Timeout => format!("flow `{}` did not end in time", self.id),
        })
    }
}

impl FlowActor<ReferenceFlow> {
    /// Runs once.
    ///
    /// # Errors
    /// Why the run ended early, in words.
    pub async fn run(&self, trigger: &str, agreed: Agreement) -> Result<MirrorEnded, String> {
        let trigger = trigger.to_owned();
        let waits = (agreed == Agreement::default()).then(|| Counted::begin(&self.waiting));
        let job = move |flow: Arc<ReferenceFlow>| -> futures_util::future::BoxFuture<'static, _> {
            drop(waits);
            Box::pin(async move { flow.run(&trigger, &agreed).await })
        };
        let ran = self.ask(job).await?;
        ran.map_err(|error| format!("flow `{}`: {}", self.id, super::words(&error)))
    }

    /// Previews a run.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub async fn preview(&self) -> Result<MirrorPreview, String> {
        self.patiently(|| self.ask(|flow| Box::pin(async move { flow.preview().await }))).await
    }
}

impl FlowActor<SpendFlow> {
    /// Runs once; with `agreed` nothing else is booked.
    ///
    /// # Errors
    /// Why the run ended early, in words.
    pub async fn run(&self, trigger: &str, agreed: Option<Agreed>) -> Result<RunReport, String> {
        let trigger = trigger.to_owned();
        let waits = agreed.is_none().then(|| Counted::begin(&self.waiting));
        let job = move |flow: Arc<SpendFlow>| -> futures_util::future::BoxFuture<'static, _> {
            drop(waits);
            Box::pin(async move { flow.run_only(&trigger, agreed).await })
        };
        let ran = self.ask(job).await?;
        ran.map_err(|error| format!("flow `{}`: {}", self.id, super::words(&error)))
    }

    /// Makes the proof for a period of approval dates.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub async fn proof(&self, from: Date, to: Date) -> Result<Proof, String> {
        self.patiently(|| self.ask(move |flow| Box::pin(async move { flow.proof(from, to).await }))).await
    }

    /// Previews a run.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub async fn preview(&self) -> Result<Preview, String> {
        self.patiently(|| self.ask(|flow| Box::pin(async move { flow.preview().await }))).await
    }

    /// Replays a posting.
    pub async fn replay(&self, key: PostingKey, decision: Decision) -> Obeyed {
        self.decided(move |flow| Box::pin(async move { flow.replay(&key, &decision).await })).await
    }

    /// Remembers which vendor the merchant of a posting is.
    pub async fn choose(&self, key: PostingKey, vendor: VendorCode, decision: Decision) -> Obeyed {
        self.decided(move |flow| Box::pin(async move { flow.choose(&key, &vendor, &decision).await })).await
    }

    /// Closes a posting; with `report_failure` the spend system is told first that the record is not exported.
    pub async fn handle(&self, key: PostingKey, decision: Decision, report_failure: bool) -> Obeyed {
        let job = move |flow: Arc<SpendFlow>| -> futures_util::future::BoxFuture<'static, _> {
            Box::pin(async move {
                if report_failure {
                    flow.report_and_handle(&key, &decision).await
                } else {
                    flow.handle(&key, &decision).await
                }
            })
        };
        self.decided(job).await
    }

    async fn decided<F>(&self, job: F) -> Obeyed
    where
        F: FnOnce(
                Arc<SpendFlow>,
            ) -> futures_util::future::BoxFuture<
                'static,
                Result<crate::flows::replay::Decided, crate::flows::RunError>,
            > + Send
            + 'static,
    {
        match self.ask(job).await {
            Ok(Ok(decided)) => Obeyed::Decided { decided },
            Ok(Err(error)) => Obeyed::Refused { why: super::words(&error) },
            Err(why) => Obeyed::Refused { why },
        }
    }
}
