//! Supervision of real actors on real threads. Nothing sleeps: each test waits for a state, with an overall deadline.

use super::*;
use actix::{ActorContext, ActorFutureExt, AsyncContext, ResponseActFuture, WrapFuture};
use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::sync::{oneshot, watch};

const DEADLINE: Duration = Duration::from_secs(20);

/// An actor that fails in every way there is.
struct Subject {
    life: u32,
    effects: Arc<AtomicU32>,
    lease: Lease,
}

impl Actor for Subject {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "u32")]
struct WhichLife;

#[derive(Message)]
#[rtype(result = "()")]
enum Do {
    Panic,
    PanicInSpawned,
    Stop,
    Spin(Arc<AtomicBool>),
}

/// Says that it has begun, and is stuck until it is released.
#[derive(Message)]
#[rtype(result = "()")]
struct Stick(watch::Sender<bool>, Arc<AtomicBool>);

/// Waits for a permission, then has an effect.
#[derive(Message)]
#[rtype(result = "()")]
struct Slow(oneshot::Receiver<()>, watch::Sender<bool>);

impl Handler<WhichLife> for Subject {
    type Result = u32;
    fn handle(&mut self, _: WhichLife, _: &mut Self::Context) -> u32 {
        self.life
    }
}

impl Handler<Do> for Subject {
    type Result = ();
    fn handle(&mut self, what: Do, ctx: &mut Self::Context) {
        match what {
            Do::Panic => panic!("in the handler"),
            Do::PanicInSpawned => {
                ctx.spawn(async { panic!("in the spawned future") }.into_actor(self));
            }
            Do::Stop => ctx.stop(),
            Do::Spin(release) => {
                while !release.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
            }
        }
    }
}

impl Handler<Stick> for Subject {
    type Result = ();
    fn handle(&mut self, Stick(begun, release): Stick, ctx: &mut Self::Context) {
        begun.send_replace(true);
        self.handle(Do::Spin(release), ctx);
    }
}

impl Handler<Slow> for Subject {
    type Result = ResponseActFuture<Self, ()>;
    fn handle(&mut self, Slow(permission, begun): Slow, _: &mut Self::Context) -> Self::Result {
        let wait = async move {
            begun.send_replace(true);
            let _ = permission.await;
        };
        Box::pin(wait.into_actor(self).map(|(), subject, _| {
            if subject.lease.is_current() {
                subject.effects.fetch_add(1, Ordering::SeqCst);
            }
        }))
    }
}

fn quick() -> Policy {
    Policy {
        base: Duration::from_millis(1),
        max: Duration::from_millis(4),
        stable: Duration::from_secs(600),
        budget: 3,
        window: Duration::from_secs(600),
        beat: Duration::from_millis(20),
        missed_beats: 1000,
        stop_grace: Duration::from_millis(50),
    }
}

struct Bench {
    handle: Handle<Subject>,
    effects: Arc<AtomicU32>,
}

fn bench(policy: Policy) -> Bench {
    let (lives, effects) = (AtomicU32::new(0), Arc::new(AtomicU32::new(0)));
    let made = Arc::clone(&effects);
    let make = move |_: &mut Context<Subject>, lease: &Lease| Subject {
        life: lives.fetch_add(1, Ordering::SeqCst) + 1,
        effects: Arc::clone(&made),
        lease: lease.clone(),
    };
    let clock = Clock::manual("2026-03-01T00:00:00Z".parse().unwrap());
    Bench { handle: supervise("subject", make, policy, clock), effects }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("the condition was not met in time")
}

async fn running(handle: &Handle<Subject>, epoch: u64) -> ActorStatus {
    in_time(handle.wait_for(|status| status.state == RunState::Running && status.epoch >= epoch)).await
}

async fn life(handle: &Handle<Subject>) -> Result<u32, CallError> {
    handle.call(WhichLife, DEADLINE).await
}

#[actix_rt::test]
async fn a_panic_in_a_handler_fails_its_call_and_the_actor_is_restarted_while_others_go_on() {
    let (subject, sibling) = (bench(quick()), bench(quick()));
    running(&subject.handle, 1).await;
    running(&sibling.handle, 1).await;
    let (_permission, call) = pending(&subject).await;
    assert_eq!(subject.handle.call(Do::Panic, DEADLINE).await, Err(CallError::Crashed));
    assert_eq!(in_time(call).await.unwrap(), Err(CallError::Crashed), "the pending call fails with it");
    let status = running(&subject.handle, 2).await;
    assert_eq!((status.restarts, status.last_error.as_deref()), (1, Some("panic: in the handler")));
    assert_eq!(life(&subject.handle).await, Ok(2));
    assert_eq!(life(&sibling.handle).await, Ok(1));
    assert_eq!(sibling.handle.status().restarts, 0);
}

#[actix_rt::test]
async fn a_panic_in_a_spawned_future_and_a_stop_of_its_own_restart_the_actor() {
    let subject = bench(quick());
    running(&subject.handle, 1).await;
    let _ = subject.handle.call(Do::PanicInSpawned, DEADLINE).await;
    let status = running(&subject.handle, 2).await;
    assert_eq!(status.last_error.as_deref(), Some("panic: in the spawned future"));
    let _ = subject.handle.call(Do::Stop, DEADLINE).await;
    let status = running(&subject.handle, 3).await;
    assert_eq!(status.last_error.as_deref(), Some("the actor stopped itself"));
    assert_eq!(status.restarts, 2);
}

#[actix_rt::test]
async fn a_restart_that_was_asked_for_comes_at_once_and_is_no_failure() {
    // Whoever waited for a delay would wait for ever, and one failure more is one too many.
    let subject = bench(Policy { base: Duration::from_secs(3600), budget: 1, ..quick() });
    running(&subject.handle, 1).await;
    for epoch in 2..6 {
        subject.handle.restart("its secret was changed");
        let status = running(&subject.handle, epoch).await;
        let said = (status.restarts, status.last_error.as_deref(), status.restarted.as_deref());
        assert_eq!(said, (0, None, Some("its secret was changed")));
    }
    assert_eq!(subject.handle.call(Do::Panic, DEADLINE).await, Err(CallError::Crashed));
    let status = in_time(subject.handle.wait_for(|status| status.state == RunState::Backoff)).await;
    assert_eq!((status.last_error.as_deref(), status.restarted), (Some("panic: in the handler"), None));
    subject.handle.restart("its secret was changed");
    let status = running(&subject.handle, 6).await;
    assert_eq!((status.restarts, status.last_error), (0, None), "the wait is over, and so is what was wrong");
    assert_eq!(life(&subject.handle).await, Ok(6));
}

#[actix_rt::test]
async fn a_panic_in_the_factory_counts_as_a_failure() {
    let tries = AtomicU32::new(0);
    let make = move |_: &mut Context<Subject>, lease: &Lease| {
        assert!(tries.fetch_add(1, Ordering::SeqCst) > 1, "in the factory");
        Subject { life: 7, effects: Arc::default(), lease: lease.clone() }
    };
    let handle = supervise("subject", make, quick(), Clock::manual("2026-03-01T00:00:00Z".parse().unwrap()));
    let status = running(&handle, 3).await;
    assert_eq!(status.last_error.as_deref(), Some("panic: in the factory"));
    assert_eq!(life(&handle).await, Ok(7));
}

#[actix_rt::test]
async fn a_used_up_budget_is_visible_until_the_actor_is_revived() {
    let subject = bench(quick());
    for epoch in 1..=4 {
        running(&subject.handle, epoch).await;
        assert_eq!(subject.handle.call(Do::Panic, DEADLINE).await, Err(CallError::Crashed));
    }
    let status = in_time(subject.handle.wait_for(|status| status.state == RunState::Failed)).await;
    assert_eq!((status.epoch, status.last_error.as_deref()), (4, Some("panic: in the handler")));
    assert_eq!(life(&subject.handle).await, Err(CallError::Unavailable));
    subject.handle.restart("a person asked for it");
    running(&subject.handle, 5).await;
    assert_eq!(life(&subject.handle).await, Ok(5));
}

/// Asks for a restart with its last breath: after its end was noticed, before anything is said of it.
struct Phoenix {
    dying: Arc<AtomicBool>,
    handle: Arc<OnceLock<Handle<Phoenix>>>,
}

impl Actor for Phoenix {
    type Context = Context<Self>;
}

impl Handler<Do> for Phoenix {
    type Result = ();
    fn handle(&mut self, _: Do, _: &mut Self::Context) {
        panic!("in the handler")
    }
}

impl Drop for Phoenix {
    fn drop(&mut self) {
        if let (true, Some(handle)) = (self.dying.load(Ordering::SeqCst), self.handle.get()) {
            handle.restart("its secret was changed");
        }
    }
}

#[actix_rt::test]
async fn a_restart_that_was_asked_for_just_as_the_budget_was_used_up_is_not_lost() {
    let (dying, own) = (Arc::new(AtomicBool::new(false)), Arc::new(OnceLock::new()));
    let (said, known) = (Arc::clone(&dying), Arc::clone(&own));
    let make = move |_: &mut Context<Phoenix>, _: &Lease| Phoenix {
        dying: Arc::clone(&said),
        handle: Arc::clone(&known),
    };
    let clock = Clock::manual("2026-03-01T00:00:00Z".parse().unwrap());
    let handle = supervise("phoenix", make, Policy { budget: 0, ..quick() }, clock);
    assert!(own.set(handle.clone()).is_ok());
    let alive =
        |epoch: u64| in_time(handle.wait_for(move |s| s.state == RunState::Running && s.epoch == epoch));
    alive(1).await;
    dying.store(true, Ordering::SeqCst);
    assert_eq!(handle.call(Do::Panic, DEADLINE).await, Err(CallError::Crashed));
    let status = alive(2).await;
    assert_eq!(status.restarted.as_deref(), Some("its secret was changed"));
    // Nothing of it is left that would revive the actor once more.
    dying.store(false, Ordering::SeqCst);
    assert_eq!(handle.call(Do::Panic, DEADLINE).await, Err(CallError::Crashed));
    in_time(handle.wait_for(|status| status.state == RunState::Failed)).await;
    handle.stop();
    let status = in_time(handle.wait_for(|status| status.state == RunState::Stopped)).await;
    assert_eq!(status.epoch, 2);
}

#[actix_rt::test]
async fn a_restart_that_a_stuck_thread_cannot_heed_is_not_lost_when_it_is_given_up() {
    let subject = bench(Policy { missed_beats: 50, ..quick() });
    let releases: Vec<Arc<AtomicBool>> = (0..2).map(|_| Arc::default()).collect();
    for (epoch, release) in (1..).zip(&releases) {
        running(&subject.handle, epoch).await;
        let begun = watch::Sender::new(false);
        let stick = Stick(begun.clone(), Arc::clone(release));
        let call = tokio::spawn({
            let handle = subject.handle.clone();
            async move { handle.call(stick, DEADLINE).await }
        });
        in_time(begun.subscribe().wait_for(|begun| *begun)).await.unwrap();
        // The second one has no thread to spare: only who asks for it brings the actor back.
        if epoch == 2 {
            subject.handle.restart("its secret was changed");
        }
        assert_eq!(in_time(call).await.unwrap(), Err(CallError::Crashed), "the watchdog ends the call");
    }
    running(&subject.handle, 3).await;
    assert_eq!(life(&subject.handle).await, Ok(3));
    for release in releases {
        release.store(true, Ordering::Relaxed);
    }
}

#[actix_rt::test]
async fn a_stuck_thread_is_given_up_once_and_has_no_say_when_it_comes_back() {
    let subject = bench(Policy { missed_beats: 50, ..quick() });
    let sibling = bench(quick());
    running(&subject.handle, 1).await;
    let (first, second) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));

    let answer = subject.handle.call(Do::Spin(Arc::clone(&first)), DEADLINE).await;
    assert_eq!(answer, Err(CallError::Crashed), "the watchdog ends the call");
    let status = running(&subject.handle, 2).await;
    assert!(status.last_error.unwrap().starts_with("stuck"));
    assert_eq!(life(&subject.handle).await, Ok(2));
    assert_eq!(in_time(life(&sibling.handle)).await, Ok(1));

    first.store(true, Ordering::Relaxed);
    let _ = subject.handle.call(Do::Spin(Arc::clone(&second)), DEADLINE).await;
    let status =
        in_time(subject.handle.wait_for(|status| status.state == RunState::Failed && status.epoch == 2))
            .await;
    assert!(status.last_error.unwrap().starts_with("stuck"));
    second.store(true, Ordering::Relaxed);
    subject.handle.restart("x");
    running(&subject.handle, 3).await;
    assert_eq!(life(&subject.handle).await, Ok(3));
}

#[actix_rt::test]
async fn a_thread_that_turned_for_long_before_it_stuck_is_replaced_each_time() {
    let subject = bench(Policy { missed_beats: 50, stable: Duration::ZERO, ..quick() });
    let releases: Vec<Arc<AtomicBool>> = (0..3).map(|_| Arc::default()).collect();
    for (epoch, release) in (1..).zip(&releases) {
        running(&subject.handle, epoch).await;
        let answer = subject.handle.call(Do::Spin(Arc::clone(release)), DEADLINE).await;
        assert_eq!(answer, Err(CallError::Crashed));
        running(&subject.handle, epoch + 1).await;
        release.store(true, Ordering::Relaxed);
    }
}

/// A call that has begun and waits for permission to have its effect.
async fn pending(subject: &Bench) -> (oneshot::Sender<()>, tokio::task::JoinHandle<Result<(), CallError>>) {
    let (permission, receiver) = oneshot::channel();
    let begun = watch::Sender::new(false);
    let call = tokio::spawn({
        let (handle, begun) = (subject.handle.clone(), begun.clone());
        async move { handle.call(Slow(receiver, begun), DEADLINE).await }
    });
    in_time(begun.subscribe().wait_for(|begun| *begun)).await.unwrap();
    (permission, call)
}

#[actix_rt::test]
async fn the_effect_of_a_pending_call_does_not_happen_after_a_restart() {
    let subject = bench(quick());
    for (life_before, kill) in [(1, false), (2, true)] {
        running(&subject.handle, life_before).await;
        let (permission, call) = pending(&subject).await;
        if kill {
            subject.handle.restart("x");
        } else {
            let _ = subject.handle.call(Do::Panic, DEADLINE).await;
        }
        running(&subject.handle, life_before + 1).await;
        assert!(permission.send(()).is_err(), "the old future is gone, nobody waits for the permission");
        assert_eq!(in_time(call).await.unwrap(), Err(CallError::Crashed));
    }
    assert_eq!(life(&subject.handle).await, Ok(3));
    assert_eq!(subject.effects.load(Ordering::SeqCst), 0);
    let (permission, call) = pending(&subject).await;
    permission.send(()).unwrap();
    assert_eq!(in_time(call).await.unwrap(), Ok(()));
    assert_eq!(subject.effects.load(Ordering::SeqCst), 1, "the present life has its effects");
}

#[actix_rt::test]
async fn a_stuck_thread_that_comes_back_finishes_its_step_without_effect() {
    let subject = bench(Policy { missed_beats: 50, ..quick() });
    running(&subject.handle, 1).await;
    let (mut permission, call) = pending(&subject).await;
    let (granted, granted_call) = pending(&subject).await;
    let release = Arc::new(AtomicBool::new(false));
    let _ = subject.handle.call(Do::Spin(Arc::clone(&release)), DEADLINE).await;
    running(&subject.handle, 2).await;
    for call in [call, granted_call] {
        assert_eq!(in_time(call).await.unwrap(), Err(CallError::Crashed));
    }
    // Ready while the thread is stuck: it runs in the same step in which the thread comes back.
    granted.send(()).unwrap();
    release.store(true, Ordering::Relaxed);
    in_time(permission.closed()).await;
    assert_eq!(subject.effects.load(Ordering::SeqCst), 0);
    assert_eq!(life(&subject.handle).await, Ok(2));
}

#[actix_rt::test]
async fn a_stopped_actor_stays_stopped_and_a_stuck_one_is_declared_stopped() {
    let (subject, stuck) = (bench(quick()), bench(quick()));
    running(&subject.handle, 1).await;
    running(&stuck.handle, 1).await;
    subject.handle.stop();
    in_time(subject.handle.wait_for(|status| status.state == RunState::Stopped)).await;
    subject.handle.restart("x");
    assert_eq!(life(&subject.handle).await, Err(CallError::Unavailable));

    let release = Arc::new(AtomicBool::new(false));
    let call = stuck.handle.call(Do::Spin(Arc::clone(&release)), Duration::from_millis(100)).await;
    assert_eq!(call, Err(CallError::Timeout));
    stuck.handle.stop();
    let status = in_time(stuck.handle.wait_for(|status| status.state == RunState::Stopped)).await;
    assert!(status.last_error.unwrap().starts_with("stuck"));
    release.store(true, Ordering::Relaxed);
}

#[test]
fn handles_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Handle<Subject>>();
}
