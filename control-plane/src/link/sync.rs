//! The one exchange. What the agent says is written first, in one transaction; then the request is kept, with next to no
//! memory, until there is something for the agent or its time is over.

use super::authenticate::{Genuine, once};
use super::{Link, Refusal, Request, message};
use crate::clock::{Millis, timestamp};
use crate::store::agents::Agent;
use crate::store::{StoreError, Tx, agents, deliveries};
use crate::wake::Parked;
use purser_proto::link::VERSION;
use purser_proto::link::sync::{SyncAnswer, SyncRequest, WAIT_SECONDS};
use std::time::Duration;
use tokio::time::Instant;

/// When an agent spoke is written at most so often, unless there is something else to write.
const SEEN: Millis = 30_000;

/// What is kept of a request while it waits.
#[derive(Debug)]
pub struct Heard {
    agent: String,
    in_force: i64,
    reported: i64,
    approved: bool,
    seconds: u16,
}

impl Link {
    /// Takes what an agent says and answers with what there is for it, at once or within the time that it allows.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn sync(&self, request: Request<'_>) -> Result<SyncAnswer, Refusal> {
        let heard = self.hear(request).await?;
        self.answer(heard).await
    }

    /// Writes what an agent says. The request itself is not needed any more after that.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn hear(&self, request: Request<'_>) -> Result<Heard, Refusal> {
        let (agent, genuine) = self.caller(request).await?;
        let said: SyncRequest = message(request.body)?;
        let now = self.now();
        let op = self.store.write(move |tx| {
            Box::pin(async move {
                match once(tx, &agent.id, &genuine.nonce, now).await? {
                    Ok(()) => take(tx, agent, genuine, said, now).await.map(Ok),
                    Err(refusal) => Ok(Err(refusal)),
                }
            })
        });
        op.await?
    }

    /// Answers once there is something, or the time is over.
    ///
    /// # Errors
    /// [`Refusal`], also for what a person decides while the request waits.
    pub async fn answer(&self, heard: Heard) -> Result<SyncAnswer, Refusal> {
        let parked = (heard.seconds > 0).then(|| self.wake.park(&heard.agent));
        let until = Instant::now() + Duration::from_secs(u64::from(heard.seconds));
        loop {
            let home = parked.as_ref().is_none_or(Parked::is_sent_home) || Instant::now() >= until;
            if let Some(answer) = Box::pin(self.look(&heard, home)).await? {
                return Ok(answer);
            }
            if let Some(parked) = &parked {
                // Either way it looks once more.
                let _over = tokio::time::timeout_at(until, parked.woken()).await;
            }
        }
    }

    /// What there is to answer; nothing, when there is a reason to wait on.
    async fn look(&self, heard: &Heard, home: bool) -> Result<Option<SyncAnswer>, Refusal> {
        let now = self.now();
        let mut connection = self.store.read().await?;
        let agent = agents::by_id(&mut connection, &heard.agent).await?.ok_or(Refusal::UnknownAgent)?;
        if agent.revoked_at.is_some() {
            return Err(Refusal::Revoked);
        }
        if agent.approved_at.is_none() {
            return if home { Err(Refusal::WaitsForApproval) } else { Ok(None) };
        }
        let deliveries = deliveries::waiting(&mut connection, &heard.agent, heard.in_force, now).await?;
        if deliveries.is_empty() && !home && heard.approved {
            return Ok(None);
        }
        Ok(Some(SyncAnswer {
            version: VERSION,
            at: timestamp(now),
            reported: u64::try_from(heard.reported).unwrap_or_default(),
            deliveries: deliveries.into_iter().collect(),
            fenced: None,
        }))
    }
}

/// Writes what the agent says.
async fn take(
    tx: &mut Tx,
    agent: Agent,
    _genuine: Genuine,
    said: SyncRequest,
    now: Millis,
) -> Result<Heard, StoreError> {
    let in_force = i64::try_from(said.in_force.number).unwrap_or(i64::MAX);
    let heard = Heard {
        in_force,
        reported: agent.reported,
        approved: agent.approved_at.is_some(),
        seconds: said.wait_seconds.min(WAIT_SECONDS),
        agent: agent.id,
    };
    if agent.last_seen.is_none_or(|seen| now - seen >= SEEN) {
        let update = sqlx::query("update agents set last_seen = $1 where id = $2");
        update.bind(now).bind(heard.agent.as_str()).execute(tx.connection()).await?;
    }
    Ok(heard)
}
