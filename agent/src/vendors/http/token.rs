//! The token of one connection: fetched once for everybody who waits, renewed before it ends, and asked for at most
//! once a minute after a refused login, so that a wrong password cannot lock the account.

use crate::clock::Clock;
use crate::secret::BoundSecret;
use chrono::TimeDelta;
use spend::Timestamp;
use spend::posting::{Failure, FailureClass};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// How long before its end a token is renewed.
const MARGIN: TimeDelta = TimeDelta::seconds(60);
/// Least time between a failed login and the next one.
const PAUSE: TimeDelta = TimeDelta::seconds(60);

/// An access token.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token, bound to the origins of the credential it was obtained with.
    pub value: BoundSecret,
    /// When it ends.
    pub expires_at: Timestamp,
    generation: u64,
}

impl Token {
    /// A token as the vendor gave it.
    pub fn new(value: BoundSecret, expires_at: Timestamp) -> Self {
        Self { value, expires_at, generation: 0 }
    }
}

/// The token cache of one connection. Keep it where it outlives restarts of the connection's actor: it remembers
/// refused logins.
#[derive(Debug)]
pub struct TokenCache {
    clock: Clock,
    state: Mutex<State>,
    fetches: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Current>,
    failed: Option<Failed>,
    generation: u64,
}

#[derive(Debug)]
struct Current {
    token: Token,
    renew_at: Timestamp,
}

#[derive(Debug)]
struct Failed {
    fetch: u64,
    at: Timestamp,
    until: Timestamp,
    failure: Failure,
}

impl TokenCache {
    /// Empty.
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default(), fetches: AtomicU64::new(0) }
    }

    /// The current token, or a new one by `fetch`. Of several callers one fetches; the others wait for its result,
    /// good or bad. A failure is not kept, but the next login waits for a minute (not when the first certainly never
    /// arrived), and until then callers get the failure again.
    ///
    /// # Errors
    /// What `fetch` answered.
    pub async fn get<F, Fut>(&self, fetch: F) -> Result<Token, Failure>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Token, Failure>> + Send,
    {
        let seen = self.fetches.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(answer) = self.known(&state, seen) {
            return answer;
        }
        let fetched = fetch().await;
        let fetch = self.fetches.fetch_add(1, Ordering::AcqRel) + 1;
        let now = self.clock.now();
        match fetched {
            Ok(mut token) => {
                state.generation += 1;
                token.generation = state.generation;
                let renew_at = token.expires_at - MARGIN.min((token.expires_at - now) / 4);
                state.current = Some(Current { token: token.clone(), renew_at });
                state.failed = None;
                Ok(token)
            }
            Err(failure) => {
                let until = next_login(&failure.class, now);
                state.failed = Some(Failed { fetch, at: now, until, failure: failure.clone() });
                Err(failure)
            }
        }
    }

    /// Forgets `used` after the vendor refused it; a newer token stays. Whether it was the newest.
    pub async fn invalidate(&self, used: &Token) -> bool {
        let mut state = self.state.lock().await;
        let current = state.current.as_ref().is_some_and(|known| known.token.generation == used.generation);
        if current {
            state.current = None;
        }
        current
    }

    /// Forgets the token, whichever it is.
    pub async fn invalidate_all(&self) {
        self.state.lock().await.current = None;
    }

    /// What can be answered without a login; `seen` is the number of fetches when the caller came.
    fn known(&self, state: &State, seen: u64) -> Option<Result<Token, Failure>> {
        let now = self.clock.now();
        if let Some(current) = state.current.as_ref().filter(|current| now < current.renew_at) {
            return Some(Ok(current.token.clone()));
        }
        let failed = state.failed.as_ref()?;
        if failed.fetch > seen {
            return Some(Err(failed.failure.clone()));
        }
        // A clock that was set back must not lengthen the pause.
        if now < failed.at || now >= failed.until {
            return None;
        }
        let mut failure = failed.failure.clone();
        failure.message = format!(
            "{}; the next login is tried after {}",
            failure.message,
            failed.until.format("%H:%M:%SZ")
        );
        Some(Err(failure))
    }
}

/// When a login may be tried again after a failure of this class.
fn next_login(class: &FailureClass, now: Timestamp) -> Timestamp {
    match class {
        FailureClass::NotSent => now,
        FailureClass::Throttled { until } => *until,
        FailureClass::Rejected { .. }
        | FailureClass::Unauthorised
        | FailureClass::InDoubt
        | FailureClass::Unavailable => now + PAUSE,
    }
}
