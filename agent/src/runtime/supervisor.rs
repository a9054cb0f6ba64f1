//! Keeps actors alive: a fresh actor from a factory after every end, with growing delays, a budget, and a watchdog for
//! stuck threads. actix's own `Supervisor` is not used: it is gone after the first panic.
//!
//! What a newcomer gets wrong: nobody holds an `Addr`. A [`Handle`] finds the present actor for each call, and a call
//! that its actor does not survive ends with an error, at once. A call that ended with an error may still have had its
//! effect: the posting log decides, not the caller.
//!
//! Rule for supervised actors: handlers return plain values or `ResponseActFuture`, which die with the actor.
//! `ResponseFuture` and `spawn` make orphans that finish their work beside the restarted actor.

mod life;
mod watchdog;

use crate::clock::Clock;
use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Context, Handler, Message};
use life::changed;
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// When an actor is restarted, and when no more.
#[derive(Clone, Debug)]
pub struct Policy {
    /// First delay before a restart; it doubles with each failure in a row.
    pub base: Duration,
    /// Longest delay.
    pub max: Duration,
    /// A life this long ends the row of failures.
    pub stable: Duration,
    /// Failures within `window` beyond this number suspend the actor until it is revived.
    pub budget: usize,
    /// See `budget`.
    pub window: Duration,
    /// How often the actor's thread must show that it is alive.
    pub beat: Duration,
    /// Beats missed in a row after which the thread counts as stuck. Beats are counted, not time, so that a suspended
    /// machine does not look stuck.
    pub missed_beats: u32,
    /// How long a stop waits for the thread.
    pub stop_grace: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            max: Duration::from_secs(300),
            stable: Duration::from_secs(600),
            budget: 5,
            window: Duration::from_secs(600),
            beat: Duration::from_secs(5),
            missed_beats: 24,
            stop_grace: Duration::from_secs(5),
        }
    }
}

/// What a supervised actor is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Being made.
    Starting,
    /// Answers.
    Running,
    /// Waits before it is restarted.
    Backoff,
    /// Not restarted any more until it is revived.
    Failed,
    /// Stopped for good.
    Stopped,
}

/// The state of one supervised actor, for `status`, `doctor` and tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorStatus {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: RunState,
    /// Which life this is; 1 = the first.
    pub epoch: u64,
    /// How often it was restarted because it had failed.
    pub restarts: u64,
    /// Why the last life ended, when it failed.
    pub last_error: Option<String>,
    /// Why the present life was begun, when somebody asked for it: no failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted: Option<String>,
    /// Since when it has been in this state.
    pub since: Timestamp,
}

impl RunState {
    /// The word on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Backoff => "waiting to restart",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

impl ActorStatus {
    /// The state in words, with the cause where there is one.
    pub fn describe(&self) -> String {
        match &self.last_error {
            Some(why) if self.state != RunState::Running => format!("{}: {why}", self.state.name()),
            Some(_) | None => self.state.name().to_owned(),
        }
    }
}

/// Why a call has no answer. None of them says whether the call had its effect, except `Unavailable`: it had none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The actor is not running; nothing was sent.
    #[error("the actor is not running; `purser status` says why")]
    Unavailable,
    /// The actor ended before it answered.
    #[error("the actor ended before it answered; `purser status` says why")]
    Crashed,
    /// No answer in time.
    #[error("no answer from the actor in time")]
    Timeout,
}

/// Reaches a supervised actor, whichever life it is in. Cheap to clone; works from any thread with a tokio runtime.
pub struct Handle<A: Actor<Context = Context<A>>>(Arc<Shared<A>>);

impl<A: Actor<Context = Context<A>>> Clone for Handle<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Actor<Context = Context<A>>> fmt::Debug for Handle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.status()).finish()
    }
}

impl<A: Actor<Context = Context<A>>> Handle<A> {
    /// Sends a message to the present actor and waits for its answer.
    ///
    /// # Errors
    /// [`CallError`] when there is no actor, when it ends first, or when the time is over.
    pub async fn call<M>(&self, message: M, timeout: Duration) -> Result<M::Result, CallError>
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        let mut seat = self.0.seat.subscribe();
        let (addr, epoch) = {
            let seat = seat.borrow_and_update();
            (seat.addr.clone().ok_or(CallError::Unavailable)?, seat.status.epoch)
        };
        let answer = async {
            tokio::select! {
                biased;
                answer = addr.send(message) => answer.map_err(|_| CallError::Crashed),
                // A stuck thread never closes its mailbox; the watchdog's verdict ends the call instead.
                _ = seat.wait_for(|seat| seat.status.epoch != epoch || seat.addr.is_none()) => {
                    Err(CallError::Crashed)
                }
            }
        };
        tokio::time::timeout(timeout, answer).await.unwrap_or(Err(CallError::Timeout))
    }

    /// The present state.
    pub fn status(&self) -> ActorStatus {
        self.0.seat.borrow().status.clone()
    }

    /// Waits until the state is as wanted and returns it. Without a limit of its own: wrap it in a time-out.
    pub async fn wait_for(&self, mut wanted: impl FnMut(&ActorStatus) -> bool) -> ActorStatus {
        let mut seat = self.0.seat.subscribe();
        match seat.wait_for(|seat| wanted(&seat.status)).await {
            Ok(seat) => seat.status.clone(),
            // The sender lives in `self`, so this cannot be reached; the present state is the honest answer.
            Err(_) => self.status(),
        }
    }

    /// Begins a fresh life at once: revives a failed actor with a fresh budget, ends the present life of any other, and
    /// the wait for the next one. It counts as no failure; `why` is shown.
    pub fn restart(&self, why: &str) {
        self.0.control.send_modify(|control| {
            why.clone_into(&mut control.why);
            control.restarts += 1;
        });
    }

    /// Stops the actor for good: its futures are dropped at their next await.
    pub fn stop(&self) {
        self.0.control.send_modify(|control| control.stop = true);
    }
}

/// Says whether a life is still the present one. An actor asks it right before each write to the outside: a thread
/// that was given up as stuck may come back and finish the step it was in, and must then write no more.
#[derive(Clone, Debug)]
pub struct Lease {
    current: Arc<AtomicU64>,
    number: u64,
}

impl Lease {
    /// Whether the life that holds this lease is the present one.
    pub fn is_current(&self) -> bool {
        self.current.load(Ordering::SeqCst) == self.number
    }

    /// A lease that never ends, for code that runs without supervision.
    pub fn unlimited() -> Self {
        Self { current: Arc::default(), number: 0 }
    }

    fn next(current: &Arc<AtomicU64>) -> Self {
        Self { current: Arc::clone(current), number: current.fetch_add(1, Ordering::SeqCst) + 1 }
    }

    /// Ends this lease, and no later one.
    fn end(&self) {
        let _ =
            self.current.compare_exchange(self.number, self.number + 1, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// Makes one actor for each life. A panic in it counts as a failure of that life.
pub type Factory<A> = Arc<dyn Fn(&mut Context<A>, &Lease) -> A + Send + Sync>;

/// Starts an actor on a thread of its own and keeps it alive. Called on the thread of the actix `System`, where the
/// watchdog runs.
pub fn supervise<A>(
    name: impl Into<String>,
    make: impl Fn(&mut Context<A>, &Lease) -> A + Send + Sync + 'static,
    policy: Policy,
    clock: Clock,
) -> Handle<A>
where
    A: Actor<Context = Context<A>>,
{
    let status = ActorStatus {
        name: name.into(),
        state: RunState::Starting,
        epoch: 0,
        restarts: 0,
        last_error: None,
        restarted: None,
        since: clock.now(),
    };
    let shared = Arc::new(Shared {
        seat: watch::Sender::new(Seat { status, addr: None }),
        control: watch::Sender::new(Control::default()),
        lease: Arc::default(),
        heeded: AtomicU64::default(),
        make: Arc::new(make),
        policy,
        clock,
    });
    actix_rt::spawn(watchdog::watch_over(Arc::clone(&shared)));
    Handle(shared)
}

/// What the handle, the loop of lives and the watchdog have in common.
struct Shared<A: Actor<Context = Context<A>>> {
    seat: watch::Sender<Seat<A>>,
    control: watch::Sender<Control>,
    /// The number of the lease that is valid.
    lease: Arc<AtomicU64>,
    /// How many restarts had been asked for when the present life began: one that is asked for later ends it, or the wait
    /// for the next, whatever state the actor comes into meanwhile.
    heeded: AtomicU64,
    make: Factory<A>,
    policy: Policy,
    clock: Clock,
}

/// Who sits there now.
struct Seat<A: Actor<Context = Context<A>>> {
    status: ActorStatus,
    addr: Option<Addr<A>>,
}

/// What is asked of the loop of lives.
#[derive(Clone, Debug, Default)]
struct Control {
    stop: bool,
    /// How many restarts were asked for; one revives an actor that has failed.
    restarts: u64,
    /// Why the last restart was asked for.
    why: String,
    /// Raised when a stuck thread is given up: a loop of an older generation has no say any more.
    generation: u64,
}

/// How a life came to its end.
#[derive(Clone, Debug)]
enum End {
    /// Somebody asked for the next one.
    Asked(String),
    /// It failed.
    Failed(String),
}

impl<A: Actor<Context = Context<A>>> Shared<A> {
    /// Publishes a state, unless a newer generation has taken over. `end` is that of the life before.
    fn publish(&self, generation: u64, state: RunState, addr: Option<Addr<A>>, end: Option<End>) {
        let since = self.clock.now();
        self.seat.send_if_modified(|seat| {
            if self.control.borrow().generation != generation {
                return false;
            }
            let status = &mut seat.status;
            match end {
                Some(End::Asked(why)) => (status.last_error, status.restarted) = (None, Some(why)),
                Some(End::Failed(why)) => (status.last_error, status.restarted) = (Some(why), None),
                None => {}
            }
            if state == RunState::Starting {
                status.restarts += u64::from(status.epoch > 0 && status.restarted.is_none());
                status.epoch += 1;
            }
            status.state = state;
            status.since = since;
            seat.addr = addr;
            true
        });
    }

    /// Ends whatever lease is valid.
    fn end_lease(&self) {
        self.lease.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes note of the restarts that were asked for so far: the life that begins is what they wanted.
    fn heed(&self) {
        self.heeded.store(self.control.borrow().restarts, Ordering::SeqCst);
    }

    /// Resolves when a restart was asked for that the present life is too old for.
    async fn restart_asked(&self) {
        let heeded = self.heeded.load(Ordering::SeqCst);
        changed(self.control.subscribe(), |control| control.restarts != heeded).await;
    }

    /// The end of a life after which the next was asked for.
    fn asked(&self) -> End {
        End::Asked(self.control.borrow().why.clone())
    }

    fn name(&self) -> String {
        self.seat.borrow().status.name.clone()
    }
}

#[cfg(test)]
mod tests;
