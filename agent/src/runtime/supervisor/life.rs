//! The loop of lives: make an actor, let it run, see why it ended, wait, make the next one. Runs on the actor's thread.

use super::{Control, End, Lease, Policy, RunState, Shared};
use actix::dev::{AsyncContextParts, ContextFut};
use actix::{Actor, AsyncContext, Context};
use futures_util::FutureExt;
use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Runs one life after the other until the actor is stopped or its thread is given up.
pub(super) async fn lives<A: Actor<Context = Context<A>>>(shared: Arc<Shared<A>>, generation: u64) {
    let mut failures = Failures::default();
    let mut asked = None;
    // A loop that was given up in a destructor begins no life: it would end the lease of the present one.
    while !is_over(&shared.control.borrow(), generation) {
        let born = Instant::now();
        shared.heed();
        shared.publish(generation, RunState::Starting, None, asked.take());
        let lease = Lease::next(&shared.lease);
        let life = one_life(Arc::clone(&shared), generation, lease.clone());
        let mut life = Box::pin(AssertUnwindSafe(life).catch_unwind());
        let end = tokio::select! {
            biased;
            // Asked first: after a stuck handler has come back, nothing more of this life may happen.
            () = over(shared.control.subscribe(), generation) => None,
            () = shared.restart_asked() => Some(shared.asked()),
            end = &mut life => Some(End::Failed(match end {
                Ok(()) => "the actor stopped itself".to_owned(),
                Err(panic) => format!("panic: {}", panic_text(panic.as_ref())),
            })),
        };
        lease.end();
        // A destructor may panic too; that is part of the same failure.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(life)));
        let name = shared.name();
        let why = match end {
            None => break,
            Some(End::Failed(why)) => why,
            Some(end @ End::Asked(_)) => {
                tracing::info!(actor = name, ?end, "actor begins anew");
                asked = Some(end);
                continue;
            }
        };
        if failures.exhausted(&shared.policy, born) {
            tracing::error!(actor = name, reason = why, "actor failed too often and waits to be revived");
            shared.publish(generation, RunState::Failed, None, Some(End::Failed(why)));
            tokio::select! {
                biased;
                () = over(shared.control.subscribe(), generation) => break,
                () = shared.restart_asked() => asked = Some(shared.asked()),
            }
            failures = Failures::default();
        } else {
            let delay = failures.delay(&shared.policy);
            tracing::warn!(
                actor = name,
                reason = why,
                delay_ms = delay.as_millis(),
                "actor ended and is restarted"
            );
            shared.publish(generation, RunState::Backoff, None, Some(End::Failed(why)));
            tokio::select! {
                biased;
                () = over(shared.control.subscribe(), generation) => break,
                () = shared.restart_asked() => asked = Some(shared.asked()),
                () = tokio::time::sleep(delay) => {}
            }
        }
    }
    shared.publish(generation, RunState::Stopped, None, None);
}

/// The factory runs inside, so its panics count too.
async fn one_life<A: Actor<Context = Context<A>>>(shared: Arc<Shared<A>>, generation: u64, lease: Lease) {
    let mut context = Context::<A>::new();
    let actor = (shared.make)(&mut context, &lease);
    let addr = context.address();
    let life = Life(context.into_future(actor));
    shared.publish(generation, RunState::Running, Some(addr), None);
    drop(shared);
    life.await;
}

/// An actor's future that is never polled again once it is dropped: actix polls a live one in its destructor, which
/// would run `stopping` and `stopped` on an actor that a panic may have left broken.
struct Life<A, C>(ContextFut<A, C>)
where
    C: AsyncContextParts<A> + Unpin,
    A: Actor<Context = C>;

impl<A, C> Future for Life<A, C>
where
    C: AsyncContextParts<A> + Unpin,
    A: Actor<Context = C>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<A, C> Unpin for Life<A, C>
where
    C: AsyncContextParts<A> + Unpin,
    A: Actor<Context = C>,
{
}

impl<A, C> Drop for Life<A, C>
where
    C: AsyncContextParts<A> + Unpin,
    A: Actor<Context = C>,
{
    fn drop(&mut self) {
        self.0.ctx().terminate();
    }
}

/// Resolves when the loop must end: stopped, or its thread was given up.
async fn over(control: watch::Receiver<Control>, generation: u64) {
    changed(control, |control| is_over(control, generation)).await;
}

fn is_over(control: &Control, generation: u64) -> bool {
    control.stop || control.generation != generation
}

/// Resolves when the control is as wanted; never, when nobody is left who could change it.
pub(super) async fn changed(mut control: watch::Receiver<Control>, wanted: impl FnMut(&Control) -> bool) {
    if control.wait_for(wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Failures so far.
#[derive(Default)]
struct Failures {
    recent: VecDeque<Instant>,
    in_a_row: u32,
}

impl Failures {
    /// Counts the end of a life; whether the budget is used up.
    fn exhausted(&mut self, policy: &Policy, born: Instant) -> bool {
        let now = Instant::now();
        if now - born > policy.stable {
            self.in_a_row = 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|at| now - *at > policy.window) {
            self.recent.pop_front();
        }
        self.recent.len() > policy.budget
    }

    /// Doubles with each failure in a row; the random part keeps many actors from coming back at once.
    fn delay(&self, policy: &Policy) -> Duration {
        let doubled = policy.base.saturating_mul(1 << self.in_a_row.saturating_sub(1).min(16));
        doubled.min(policy.max).mul_f64(0.5 + fastrand::f64() * 0.5)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a text".to_owned());
    text.chars().take(400).collect()
}
