//! The one exchange. What the agent says is written first, in one transaction; then the request is kept, with next to no
//! memory, until there is something for the agent or its time is over.

use super::authenticate::once;
use super::{Link, Refusal, Request, message, take};
use crate::clock::timestamp;
use crate::store::agents::Agent;
use crate::store::{agents, deliveries};
use crate::wake::Parked;
use purser_proto::link::VERSION;
use purser_proto::link::limits::Line;
use purser_proto::link::sync::{SyncAnswer, SyncRequest, WAIT_SECONDS};
use std::time::Duration;
use tokio::time::Instant;

/// What is kept of a request while it waits.
#[derive(Debug)]
pub struct Heard {
    pub(super) agent: String,
    pub(super) instance: String,
    pub(super) in_force: i64,
    pub(super) reported: i64,
    pub(super) seconds: u16,
    pub(super) standing: Standing,
    /// Another life wants its place, and that was so when it spoke.
    pub(super) challenger: Option<String>,
}

impl Heard {
    /// Which agent spoke.
    pub fn agent(&self) -> &str {
        &self.agent
    }
}

/// How the life that speaks stands, as far as the answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It gets what there is.
    Works,
    /// It gets the same as one that works, once a person has approved the agent.
    WaitsForApproval,
    /// It gets nothing, and is told so.
    Fenced {
        /// It was told before, so there is no hurry.
        known: bool,
    },
    /// It gets an empty answer, at once.
    Straggles,
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
        let _turn = self.turn().await;
        Box::pin(self.hear_now(request)).await
    }

    async fn hear_now(&self, request: Request<'_>) -> Result<Heard, Refusal> {
        let (agent, genuine) = self.caller(request).await?;
        let said: SyncRequest = message(request.body)?;
        let now = self.now();
        let op = self.store.write(move |tx| {
            Box::pin(async move {
                match once(tx, &agent.id, &genuine, now).await? {
                    Ok(()) => take::take(tx, agent, genuine.at, said, now).await,
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
        let until = Instant::now() + Duration::from_secs(u64::from(heard.seconds));
        match heard.standing {
            Standing::Straggles => return Ok(self.empty(heard.reported, None)),
            // It does not wait by the agent's name: that is the other life's.
            Standing::Fenced { known } => {
                if known {
                    self.linger(until).await;
                }
                return Ok(self.empty(0, Some(FENCED)));
            }
            Standing::Works | Standing::WaitsForApproval => {}
        }
        let parked = (heard.seconds > 0).then(|| self.wake.park(&heard.agent));
        loop {
            let home = parked.as_ref().is_none_or(Parked::is_sent_home) || Instant::now() >= until;
            let turn = self.turn().await;
            if let Some(answer) = Box::pin(self.look(&heard, home)).await? {
                return Ok(answer);
            }
            drop(turn);
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
        let challenger = agent.challenger.as_ref().map(|other| &other.instance);
        let challenged = challenger.is_some() && challenger != heard.challenger.as_ref();
        if challenged || !works(&agent, &heard.instance) {
            // Another life has come meanwhile. Whoever lives says so, and who does not is told, with the next request.
            return Ok(Some(self.empty(heard.reported, None)));
        }
        if agent.approved_at.is_none() {
            return if home { Err(Refusal::WaitsForApproval) } else { Ok(None) };
        }
        let deliveries = deliveries::waiting(&mut connection, &heard.agent, heard.in_force, now).await?;
        if deliveries.is_empty() && !home && heard.standing == Standing::Works {
            return Ok(None);
        }
        Ok(Some(SyncAnswer {
            deliveries: deliveries.into_iter().collect(),
            ..self.empty(heard.reported, None)
        }))
    }

    fn empty(&self, reported: i64, fenced: Option<&str>) -> SyncAnswer {
        SyncAnswer {
            version: VERSION,
            at: timestamp(self.now()),
            reported: u64::try_from(reported).unwrap_or_default(),
            deliveries: [].into_iter().collect(),
            fenced: fenced.map(Line::from),
        }
    }

    /// Lets time pass for one that asks again and again.
    async fn linger(&self, until: Instant) {
        tokio::time::timeout_at(until, self.wake.drained()).await.unwrap_or_default();
    }
}

/// What a fenced life is told.
const FENCED: &str = "another machine works with this agent's identity and started before this one; end one of the two, or \
                      enroll this machine with a code of its own";

fn works(agent: &Agent, instance: &str) -> bool {
    agent.life.as_ref().is_none_or(|life| life.instance == instance)
}

/// How long an agent may have its request kept.
pub(super) fn seconds(said: &SyncRequest) -> u16 {
    said.wait_seconds.min(WAIT_SECONDS)
}
