//! The one kind of actor the agent has: a mailbox around a plain struct. Work arrives as a closure over the struct
//! and runs inside the actor, so it dies with the actor; all rules live in the struct, where a plain test reaches
//! them.

use actix::prelude::*;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// An actor around `S`.
pub struct Worker<S> {
    subject: Arc<S>,
    /// Held by the work under way when work is serial.
    turn: Option<Arc<tokio::sync::Mutex<()>>>,
}

impl<S: Send + Sync + 'static> Worker<S> {
    /// Pieces of work run side by side.
    pub fn concurrent(subject: S) -> Self {
        Self { subject: Arc::new(subject), turn: None }
    }

    /// Pieces of work run one after the other, in order of arrival.
    pub fn serial(subject: S) -> Self {
        Self { subject: Arc::new(subject), turn: Some(Arc::default()) }
    }
}

impl<S: Send + Sync + 'static> Actor for Worker<S> {
    type Context = Context<Self>;
}

type Job<S, T> = Box<dyn FnOnce(Arc<S>) -> BoxFuture<'static, T> + Send>;

/// A piece of work.
pub struct Work<S, T>(Job<S, T>);

impl<S, T> Work<S, T> {
    /// Work that `job` does with the subject.
    pub fn new(job: impl FnOnce(Arc<S>) -> BoxFuture<'static, T> + Send + 'static) -> Self {
        Self(Box::new(job))
    }
}

impl<S: 'static, T: Send + 'static> Message for Work<S, T> {
    type Result = T;
}

impl<S: Send + Sync + 'static, T: Send + 'static> Handler<Work<S, T>> for Worker<S> {
    type Result = ResponseActFuture<Self, T>;

    fn handle(&mut self, Work(job): Work<S, T>, _: &mut Self::Context) -> Self::Result {
        let subject = Arc::clone(&self.subject);
        let turn = self.turn.clone();
        let work = async move {
            let _turn = match turn {
                Some(turn) => Some(turn.lock_owned().await),
                None => None,
            };
            job(subject).await
        };
        Box::pin(work.into_actor(self))
    }
}
