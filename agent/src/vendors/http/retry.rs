//! Repeating reads: a few tries, spread at random, never sooner than the vendor asked for. A write passed here is
//! refused: what may have taken effect is settled by look-up.

use super::{Answer, Call, Effect, Gate};
use chrono::TimeDelta;
use spend::Timestamp;
use spend::posting::{Failure, FailureClass};
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait that a vendor can ask for.
const RETRY_AFTER_CAP: TimeDelta = TimeDelta::hours(1);

/// How reads are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRetries {
    /// Most tries.
    pub tries: u32,
    /// Whole time; a try that could only begin later is not made.
    pub within: Duration,
    /// Longest first delay; it doubles with each try.
    pub base: Duration,
    /// Longest delay.
    pub longest: Duration,
}

impl Default for ReadRetries {
    fn default() -> Self {
        Self {
            tries: 5,
            within: Duration::from_secs(120),
            base: Duration::from_secs(1),
            longest: Duration::from_secs(30),
        }
    }
}

/// The moment before which the vendor does not want to be asked again (`Retry-After` as seconds or as a date), at
/// most an hour from `now`. A date is read against the answer's own `Date`, so a wrong clock does no harm.
pub fn retry_after(answer: &Answer, now: Timestamp) -> Option<Timestamp> {
    let text = answer.headers.get("retry-after")?.trim();
    let wait = seconds(text).or_else(|| {
        let date = http_date(text)?;
        let sent = answer.headers.get("date").and_then(|sent| http_date(sent)).unwrap_or(now);
        Some(date - sent)
    })?;
    Some(now + wait.clamp(TimeDelta::zero(), RETRY_AFTER_CAP))
}

/// Sends a read, with [`ReadRetries::default`].
///
/// # Errors
/// As [`Gate::send`]; a write is refused as not sent.
pub async fn send_read(gate: &Gate, make_call: impl Fn() -> Call) -> Result<Answer, Failure> {
    send_read_with(gate, ReadRetries::default(), make_call).await
}

/// Sends a read. Repeated are transport failures and the statuses 429, 502, 503 and 504; whatever came last is
/// returned.
///
/// # Errors
/// As [`Gate::send`]; a write is refused as not sent.
pub async fn send_read_with(
    gate: &Gate,
    retries: ReadRetries,
    make_call: impl Fn() -> Call,
) -> Result<Answer, Failure> {
    let end = Instant::now() + retries.within;
    let mut tried = 0;
    loop {
        let call = make_call();
        if call.effect != Effect::Read {
            let message =
                format!("{}: a write is never repeated: send it through the gate once", call.operation);
            return Err(Failure::new(FailureClass::NotSent, message));
        }
        let (outcome, refused) = gate.send_told(call).await;
        tried += 1;
        let Some(asked) = worth_repeating(&outcome, gate.now()).filter(|_| !refused) else { return outcome };
        let wait = asked.max(jitter(&retries, tried));
        if tried >= retries.tries || Instant::now() + wait > end {
            return outcome;
        }
        tokio::time::sleep(wait).await;
    }
}

/// `None` = final; otherwise the least delay that the other side asked for.
fn worth_repeating(outcome: &Result<Answer, Failure>, now: Timestamp) -> Option<Duration> {
    let until = |until: Timestamp| (until - now).to_std().unwrap_or_default();
    match outcome {
        Ok(answer) => matches!(answer.status, 429 | 502..=504)
            .then(|| retry_after(answer, now).map(until).unwrap_or_default()),
        Err(failure) => match &failure.class {
            FailureClass::Unavailable | FailureClass::NotSent => Some(Duration::ZERO),
            FailureClass::Throttled { until: moment } => Some(until(*moment)),
            FailureClass::Rejected { .. } | FailureClass::Unauthorised | FailureClass::InDoubt => None,
        },
    }
}

/// A delay between nothing and twice the one before.
fn jitter(retries: &ReadRetries, tried: u32) -> Duration {
    let most = retries.base.saturating_mul(1 << tried.saturating_sub(1).min(16)).min(retries.longest);
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(fastrand::u64(0..=most))
}

/// Whole seconds, however many; a fraction is rounded up.
fn seconds(text: &str) -> Option<TimeDelta> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let more = i64::from(fraction.bytes().any(|byte| byte != b'0'));
    let whole: i64 = whole.parse().unwrap_or(i64::MAX);
    TimeDelta::try_seconds(whole.saturating_add(more)).or(Some(RETRY_AFTER_CAP))
}

fn http_date(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text.trim()).ok().map(Timestamp::from)
}
