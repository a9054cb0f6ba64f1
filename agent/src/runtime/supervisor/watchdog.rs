//! Gives each supervised actor its thread and watches that the thread still turns. A thread that does not is given up:
//! its generation ends, a fresh thread takes over, and the old one is leaked because a thread cannot be ended from
//! outside. A second stuck thread suspends the actor until it is revived, unless the first was long ago.

use super::life::{changed, lives};
use super::{End, RunState, Shared};
use actix::{Actor, Context};
use actix_rt::Arbiter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

/// How the watch over one thread ended.
enum Verdict {
    Stopped,
    Stuck,
}

pub(super) async fn watch_over<A: Actor<Context = Context<A>>>(shared: Arc<Shared<A>>) {
    let mut spare_thread = true;
    loop {
        let generation = shared.control.borrow().generation;
        let began = Instant::now();
        let why = match Arbiter::try_new() {
            Ok(arbiter) => {
                let loop_of_lives = Arc::clone(&shared);
                arbiter.spawn_fn(move || {
                    actix_rt::spawn(lives(loop_of_lives, generation));
                });
                match watch(&shared, &arbiter, generation).await {
                    Verdict::Stopped => {
                        arbiter.stop();
                        return;
                    }
                    Verdict::Stuck => "stuck: its thread did not turn any more".to_owned(),
                }
            }
            Err(error) => format!("cannot start a thread: {error}"),
        };
        give_up(&shared, why);
        // As with failures: a thread that turned for so long ends the row.
        spare_thread |= began.elapsed() >= shared.policy.stable;
        if spare_thread {
            spare_thread = false;
            continue;
        }
        tokio::select! {
            () = changed(shared.control.subscribe(), |control| control.stop) => {
                shared.publish(shared.control.borrow().generation, RunState::Stopped, None, None);
                return;
            }
            // Also one that the stuck thread could not heed.
            () = shared.restart_asked() => {}
        }
    }
}

/// Ends the generation, so that the old loop has no say any more even if its thread comes back.
fn give_up<A: Actor<Context = Context<A>>>(shared: &Shared<A>, why: String) {
    shared.end_lease();
    tracing::error!(actor = shared.name(), reason = why, "actor's thread is given up");
    shared.control.send_modify(|control| control.generation += 1);
    let generation = shared.control.borrow().generation;
    shared.publish(generation, RunState::Failed, None, Some(End::Failed(why)));
}

async fn watch<A: Actor<Context = Context<A>>>(
    shared: &Arc<Shared<A>>,
    arbiter: &Arbiter,
    generation: u64,
) -> Verdict {
    let beats = Arc::new(AtomicU64::new(0));
    let (mut seen, mut missed) = (0, 0);
    loop {
        let beat = Arc::clone(&beats);
        arbiter.spawn(async move {
            beat.fetch_add(1, Ordering::Relaxed);
        });
        tokio::select! {
            biased;
            () = changed(shared.control.subscribe(), |control| control.stop) => {
                wait_for_end(shared, generation).await;
                return Verdict::Stopped;
            }
            () = tokio::time::sleep(shared.policy.beat) => {}
        }
        let now = beats.load(Ordering::Relaxed);
        missed = if now == seen { missed + 1 } else { 0 };
        seen = now;
        if missed >= shared.policy.missed_beats {
            return Verdict::Stuck;
        }
    }
}

/// A stuck thread cannot say that it has stopped; then it is said for it.
async fn wait_for_end<A: Actor<Context = Context<A>>>(shared: &Arc<Shared<A>>, generation: u64) {
    let mut seat = shared.seat.subscribe();
    let ended = seat.wait_for(|seat| seat.status.state == RunState::Stopped);
    if tokio::time::timeout(shared.policy.stop_grace, ended).await.is_err() {
        shared.end_lease();
        let why = Some(End::Failed("stuck: its thread did not stop in time".to_owned()));
        shared.publish(generation, RunState::Stopped, None, why);
    }
}
