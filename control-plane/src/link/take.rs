//! Writes what an agent says, in one transaction: which life of it works, what it has taken, what it reports, where its
//! audit trail ends. A request that says nothing new costs one row, its nonce.

use super::fencing::{self, Known, Speaker};
use super::sync::{Heard, Standing, seconds};
use super::{Refusal, reports};
use crate::clock::Millis;
use crate::store::agents::{Agent, Challenger};
use crate::store::reports::{Origin, notice};
use crate::store::{StoreError, Tx, agents, deliveries, lives};
use purser_proto::link::report::{Notice, NoticeLevel};
use purser_proto::link::sync::SyncRequest;

/// When an agent spoke is written at most so often, unless there is something else to write.
const SEEN: Millis = 30_000;
/// Numbers beyond this are not counted up to: they are made up.
const MOST: u64 = 1 << 53;

/// How it ended within the transaction.
type Taken = Result<Heard, Refusal>;

pub(super) async fn take(
    tx: &mut Tx,
    agent: Agent,
    signed_at: Millis,
    said: SyncRequest,
    now: Millis,
) -> Result<Taken, StoreError> {
    if said.in_force.number > MOST || said.reports.as_slice().iter().any(|report| report.id > MOST) {
        return Ok(Err(Refusal::Malformed(format!("numbers end at {MOST}"))));
    }
    if !is_news(&agent, &said, now) {
        let standing = approval(&agent);
        return Ok(Ok(heard(&agent, &said, agent.reported, standing)));
    }
    // Takes the row, so that requests of one agent at two nodes come one after the other.
    // A moment that was written while the clock was ahead would keep the life alive until it comes.
    let own = sqlx::query(
        "update agents set last_seen = case when last_seen > $2 then $3 else last_seen end where id = $1",
    );
    let own = own.bind(agent.id.as_str()).bind(now + fencing::ALIVE).bind(now);
    own.execute(tx.connection()).await?;
    let Some(agent) = agents::by_id(tx.connection(), &agent.id).await? else {
        return Ok(Err(Refusal::UnknownAgent));
    };
    if agent.revoked_at.is_some() {
        return Ok(Err(Refusal::Revoked));
    }
    let standing = stand(tx, &agent, signed_at, &said, now).await?;
    if !matches!(standing, Standing::Works | Standing::WaitsForApproval) {
        return Ok(Ok(heard(&agent, &said, agent.reported, standing)));
    }
    let update = sqlx::query("update agents set last_seen = $1 where id = $2");
    update.bind(now).bind(agent.id.as_str()).execute(tx.connection()).await?;
    let mut reported = agent.reported;
    if standing == Standing::Works {
        let taken: Vec<&str> = said.taken.as_slice().iter().map(|id| id.as_str()).collect();
        deliveries::taken(tx, &agent.id, &taken, now).await?;
        in_force(tx, &agent, &said, now).await?;
        audit(tx, &agent, &said, now).await?;
        reported = reports::take(tx, &agent, &said, now).await?;
    }
    Ok(Ok(heard(&agent, &said, reported, standing)))
}

fn heard(agent: &Agent, said: &SyncRequest, reported: i64, standing: Standing) -> Heard {
    Heard {
        agent: agent.id.clone(),
        instance: said.instance.id.to_string(),
        in_force: signed(said.in_force.number),
        reported,
        seconds: seconds(said),
        standing,
        challenger: agent.challenger.as_ref().map(|other| other.instance.clone()),
    }
}

fn is_news(agent: &Agent, said: &SyncRequest, now: Millis) -> bool {
    let life = agent.life.as_ref().is_none_or(|life| life.instance != said.instance.id.as_str());
    let audit = said.audit.as_ref().map(|audit| (signed(audit.entries), audit.head.as_str()));
    life || agent.challenger.is_some()
        || agent.last_seen.is_none_or(|seen| (now - seen).abs() >= SEEN)
        || !said.taken.is_empty()
        || !said.reports.is_empty()
        || signed(said.in_force.number) != agent.in_force
        || said.in_force.hash.as_str() != agent.in_force_hash
        || audit.is_some_and(|audit| agent.audit.as_ref().map(|(n, head)| (*n, head.as_str())) != Some(audit))
}

fn approval(agent: &Agent) -> Standing {
    if agent.approved_at.is_some() { Standing::Works } else { Standing::WaitsForApproval }
}

/// Decides which life works, and writes it.
async fn stand(
    tx: &mut Tx,
    agent: &Agent,
    signed_at: Millis,
    said: &SyncRequest,
    now: Millis,
) -> Result<Standing, StoreError> {
    let speaker = Speaker {
        instance: said.instance.id.to_string(),
        started: said.instance.started.timestamp_millis(),
        before: said.instance.before.as_ref().map(ToString::to_string),
        at: signed_at,
    };
    let fenced = lives::fenced(tx.connection(), &agent.id).await?;
    let known = Known {
        life: agent.life.as_ref(),
        challenger: agent.challenger.as_ref(),
        fenced: &fenced,
        last_seen: agent.last_seen,
    };
    let challenger = |fences: &Option<String>| {
        let stays = |other: &&Challenger| {
            other.instance != speaker.instance && Some(&other.instance) != fences.as_ref()
        };
        agent.challenger.as_ref().filter(stays)
    };
    match fencing::judge(known, &speaker, now) {
        fencing::Standing::Works { fences } => {
            if let Some(instance) = &fences {
                lives::set(tx, &agent.id, agent.life.as_ref(), challenger(&fences)).await?;
                fence(tx, agent, instance, &speaker, now).await?;
            }
            Ok(approval(agent))
        }
        fencing::Standing::Begins { life, fences, instead_of_silent } => {
            lives::set(tx, &agent.id, Some(&life), challenger(&fences)).await?;
            // The other life, if it waits, is sent to say whether it lives.
            tx.wake(&agent.id);
            match &fences {
                Some(instance) => fence(tx, agent, instance, &speaker, now).await?,
                None if instead_of_silent => tell(tx, agent, &took_over(&speaker), now).await?,
                None => {}
            }
            Ok(approval(agent))
        }
        fencing::Standing::Challenges => challenge(tx, agent, &speaker, now).await,
        fencing::Standing::Fenced { new } => {
            if new {
                fence(tx, agent, &speaker.instance, &speaker, now).await?;
            }
            Ok(Standing::Fenced { known: !new })
        }
        fencing::Standing::Straggles => Ok(Standing::Straggles),
    }
}

/// A life wants the place of one that may be alive: it may not work, and the other one is asked whether it lives.
async fn challenge(
    tx: &mut Tx,
    agent: &Agent,
    speaker: &Speaker,
    now: Millis,
) -> Result<Standing, StoreError> {
    let known = agent.challenger.as_ref().is_some_and(|other| other.instance == speaker.instance);
    if !known {
        let challenger = Challenger { instance: speaker.instance.clone(), started: speaker.started };
        lives::set(tx, &agent.id, agent.life.as_ref(), Some(&challenger)).await?;
        tell(tx, agent, &two_machines(&speaker.instance), now).await?;
        tx.wake(&agent.id);
    }
    Ok(Standing::Fenced { known })
}

/// Forbids a life to work and says so, unless that was said when it came.
async fn fence(
    tx: &mut Tx,
    agent: &Agent,
    instance: &str,
    speaker: &Speaker,
    now: Millis,
) -> Result<(), StoreError> {
    let told = agent.challenger.as_ref().is_some_and(|other| other.instance == instance);
    if lives::fence(tx, agent, instance, now).await? && !told {
        tell(tx, agent, &two_machines(instance), now).await?;
    }
    tracing::warn!(agent = %agent.id, fenced = instance, speaks = %speaker.instance, "two machines, one identity");
    tx.wake(&agent.id);
    Ok(())
}

fn two_machines(instance: &str) -> Notice {
    Notice {
        level: NoticeLevel::Security,
        code: "cloned-identity".into(),
        concerns: None,
        what: format!("two machines use this agent's identity; the one that started later (life {instance}) may not work")
            .into(),
        fix: "find out whether the machine was copied; end one of the two and enroll it with a code of its own".into(),
    }
}

fn took_over(speaker: &Speaker) -> Notice {
    Notice {
        level: NoticeLevel::Warning,
        code: "took-over".into(),
        concerns: None,
        what: format!(
            "a life of this agent (life {}) that does not know the one before it took its place, which had fallen silent",
            speaker.instance
        )
        .into(),
        fix: "expected after the machine was restored from a backup or an image; otherwise revoke the agent".into(),
    }
}

/// Keeps what the agent works with. A number that went back is told: revisions never do that by themselves.
async fn in_force(tx: &mut Tx, agent: &Agent, said: &SyncRequest, now: Millis) -> Result<(), StoreError> {
    let number = signed(said.in_force.number);
    if number == agent.in_force && said.in_force.hash.as_str() == agent.in_force_hash {
        return Ok(());
    }
    let update = sqlx::query("update agents set in_force = $1, in_force_hash = $2 where id = $3");
    let update = update.bind(number).bind(said.in_force.hash.as_str()).bind(agent.id.as_str());
    update.execute(tx.connection()).await?;
    if number < agent.in_force {
        let words =
            format!("the agent works with revision {number}, after it had worked with {}", agent.in_force);
        let went_back = Notice {
            level: NoticeLevel::Warning,
            code: "configuration-went-back".into(),
            concerns: None,
            what: words.into(),
            fix: "expected after its machine was restored; make a new revision if it is to change".into(),
        };
        tell(tx, agent, &went_back, now).await?;
    }
    Ok(())
}

/// Keeps where the audit trail ends. One that is shorter than it was, or another one of the same length, was cut.
async fn audit(tx: &mut Tx, agent: &Agent, said: &SyncRequest, now: Millis) -> Result<(), StoreError> {
    let Some(audit) = &said.audit else { return Ok(()) };
    let (entries, head) = (signed(audit.entries), audit.head.as_str());
    let cut = match &agent.audit {
        Some((before, known)) if *before == entries && known == head => return Ok(()),
        Some((before, _)) if entries <= *before => Some(*before),
        _ => None,
    };
    let update = sqlx::query("update agents set audit_entries = $1, audit_head = $2 where id = $3");
    update.bind(entries).bind(head).bind(agent.id.as_str()).execute(tx.connection()).await?;
    if let Some(before) = cut {
        let words = format!(
            "the audit trail ended at entry {before} and ends at {entries}: entries were cut or replaced"
        );
        let notice = Notice {
            level: NoticeLevel::Security,
            code: "audit-went-back".into(),
            concerns: None,
            what: words.into(),
            fix:
                "run `purser audit verify` on the machine; expected only after it was restored from a backup"
                    .into(),
        };
        tell(tx, agent, &notice, now).await?;
    }
    Ok(())
}

pub(super) async fn tell(tx: &mut Tx, agent: &Agent, what: &Notice, now: Millis) -> Result<(), StoreError> {
    notice(tx, &agent.tenant, &agent.id, Origin::ControlPlane, what, now, now).await
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
