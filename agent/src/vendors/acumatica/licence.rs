//! The licence of one site as all connections to it use it. The site counts requests and running requests of everybody
//! together, whoever is signed in and to whichever tenant; so connections share one pace and its few calls at a time.

use super::settings::Settings;
use super::throttle::Throttle;
use crate::vendors::http::{Answer, Call, Transport};
use spend::posting::Failure;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Calls at the same time: each takes one of the site's few licensed cores while it runs.
pub(super) const CONCURRENCY: usize = 2;

/// What is used of a licence.
pub(super) struct Licence {
    slots: Semaphore,
    /// Held by whose turn is next: first come, first served, or one connection could keep the others waiting for ever.
    line: tokio::sync::Mutex<()>,
    throttle: Mutex<Throttle>,
    began: Instant,
}

impl Licence {
    pub(super) fn new(settings: &Settings) -> Self {
        let throttle = Throttle::new(settings.requests_per_minute, settings.share);
        Self {
            slots: Semaphore::new(CONCURRENCY),
            line: tokio::sync::Mutex::default(),
            throttle: Mutex::new(throttle),
            began: Instant::now(),
        }
    }

    /// A further connection to the site.
    pub(super) fn join(&self, settings: &Settings) {
        self.throttle().join(settings.requests_per_minute, settings.share);
    }

    /// Waits for a turn, sends, and learns from how long the answer took.
    pub(super) async fn send(&self, transport: &dyn Transport, call: Call) -> Result<Answer, Failure> {
        let _slot = self.slots.acquire().await;
        self.turn().await;
        let (operation, sent) = (call.operation, Instant::now());
        let answered = transport.send(call).await;
        let took = sent.elapsed();
        let now = self.began.elapsed();
        match &answered {
            Ok(answer) if answer.status == 429 => self.throttle().refused(now),
            Ok(answer) if answer.status < 300 => self.throttle().answered(operation, took, now),
            Ok(_) | Err(_) => {}
        }
        answered
    }

    async fn turn(&self) {
        let _first = self.line.lock().await;
        loop {
            let wait = {
                let mut throttle = self.throttle();
                let now = self.began.elapsed();
                let wait = throttle.wait(now);
                if wait.is_zero() {
                    throttle.sent(now);
                }
                wait
            };
            if wait.is_zero() {
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
