//! Forgets what is too old. The audit log, revisions, templates and agents are never forgotten here; what carries its own expiry (deliveries) is swept with it. Rows are removed in
//! small portions, so that nobody waits long for the writer.

use super::error::StoreError;
use super::{Engine, Store, Tx};
use crate::clock::Millis;
use crate::settings::Retention;
use std::time::Duration;

/// Rows of one portion.
const PORTION: i64 = 1000;
/// How long an enrollment code is shown after it has ended.
const CODES: Duration = Duration::from_secs(30 * 86_400);
/// How long it is noted that an agent was to be woken.
const WAKES: Duration = Duration::from_secs(600);

/// One kind of rows: how old they may be, and the statement that removes a portion of older ones.
struct Rule {
    age: fn(&Retention) -> Duration,
    delete: &'static str,
    /// The engine that has such rows, if only one has.
    only: Option<Engine>,
}

/// What is forgotten. `$1` is the moment before which it is too old, `$2` the size of a portion.
const RULES: &[Rule] = &[
    Rule {
        age: |kept| kept.notices,
        delete: "delete from notices where seq in (select seq from notices where received_at < $1 limit $2)",
        only: None,
    },
    Rule {
        age: |kept| kept.reports,
        delete: "delete from commands where id in (select id from commands where finished_at < $1 limit $2)",
        only: None,
    },
    // A command that was taken and never answered.
    Rule {
        age: |kept| kept.reports,
        delete: "delete from commands where id in (select id from commands where finished_at is null and expires_at < $1 \
                 limit $2)",
        only: None,
    },
    Rule {
        age: |kept| kept.reports,
        delete: "delete from secrets where id in (select id from secrets where decided_at < $1 limit $2)",
        only: None,
    },
    Rule {
        age: |kept| kept.reports,
        delete: "delete from webhook_outcomes where day in (select distinct day from webhook_outcomes where day < $1 order \
                 by day limit $2)",
        only: None,
    },
    Rule {
        age: |_| CODES,
        delete: "delete from codes where id in (select id from codes where expires_at < $1 limit $2)",
        only: None,
    },
    Rule {
        age: |_| WAKES,
        delete: "delete from wakes where seq in (select seq from wakes where at < $1 limit $2)",
        only: Some(Engine::Sqlite),
    },
    Rule {
        age: |kept| kept.alerts,
        delete: "delete from alert_messages where id in (select id from alert_messages where finished_at < $1 limit $2)",
        only: None,
    },
    Rule {
        age: |kept| kept.alerts,
        delete: "delete from alerts where id in (select id from alerts where open = 0 and resolved_at < $1 limit $2)",
        only: None,
    },
];

/// Forgets everything that is too old; answers how many rows.
///
/// # Errors
/// [`StoreError::Database`]; what is forgotten by then stays forgotten.
pub async fn forget(store: &Store, kept: &Retention, now: Millis) -> Result<u64, StoreError> {
    let mut all = 0;
    for rule in RULES.iter().filter(|rule| rule.only.is_none_or(|only| only == store.engine())) {
        let age = Millis::try_from((rule.age)(kept).as_millis()).unwrap_or(Millis::MAX);
        let before = now.saturating_sub(age);
        loop {
            let removed = store.write(move |tx| Box::pin(portion(tx, rule.delete, before))).await?;
            all += removed;
            if removed < PORTION.unsigned_abs() {
                break;
            }
        }
    }
    Ok(all)
}

async fn portion(tx: &mut Tx, delete: &'static str, before: Millis) -> Result<u64, StoreError> {
    Ok(sqlx::query(delete).bind(before).bind(PORTION).execute(tx.connection()).await?.rows_affected())
}

#[cfg(test)]
mod tests;
