//! The actor of one connection. It owns the vendor's client, built inside its own arbiter; flows reach it through
//! [`ConnectionSource`], [`ConnectionErp`] and [`ConnectionReference`], which look like the vendor traits and send a message.

use super::alarm::{Alarm, CredentialAlarm};
use super::supervisor::{CallError, Handle, RunState};
use super::worker::{Work, Worker};
use crate::vendors::http::CallContext;
use crate::vendors::registry::Connection;
use crate::vendors::{
    ChangeOutcome, Claimed, ErpDocument, ErpTarget, Exported, Probe, ProbeResult, ReferenceTarget,
    SourcePage, SourceWindow, SpendSource, Verdict,
};
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use spend::Date;
use spend::ids::{CompanyId, ConnectionId, SourceId};
use spend::mapping::DocumentKind;
use spend::mirror::{MirrorChange, MirrorEntry, ReferenceSet};
use spend::plan::PostingPlan;
use spend::posting::{ErpReceipt, Failure, FailureClass, LookUp};
use spend::reference::ReferenceData;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Longest time a caller waits for one piece of work: longer than any vendor's own time-outs with their retries.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// Longest time a caller waits for a client that is being made.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// A connection's actor as flows see it.
#[derive(Clone)]
pub struct ConnectionHandle {
    id: ConnectionId,
    handle: Handle<Worker<Connection>>,
    alarm: Arc<CredentialAlarm>,
}

impl ConnectionHandle {
    /// A handle to a supervised actor.
    pub fn new(id: ConnectionId, handle: Handle<Worker<Connection>>, alarm: CredentialAlarm) -> Self {
        Self { id, handle, alarm: Arc::new(alarm) }
    }

    /// What is wrong with its credential, while the vendor refuses it.
    pub fn alarm(&self) -> Option<Alarm> {
        self.alarm.alarm()
    }

    /// Which connection.
    pub fn id(&self) -> &ConnectionId {
        &self.id
    }

    /// The supervised actor.
    pub fn actor(&self) -> &Handle<Worker<Connection>> {
        &self.handle
    }

    /// Test hook: a panic inside the actor.
    pub(crate) fn panic_for_test(&self) {
        let handle = self.handle.clone();
        actix_rt::spawn(async move {
            let work: Work<Connection, ()> = Work::new(|_| panic!("panic asked for by the test hook"));
            let _ = handle.call(work, PATIENCE).await;
        });
    }

    /// Has a vendor call made inside the actor, unless the connection pauses. `lost` is the class of a call whose actor
    /// died under it.
    async fn ask<T, F>(&self, lost: FailureClass, job: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Connection>) -> BoxFuture<'static, Result<T, Failure>> + Send + 'static,
    {
        self.wait_for_start().await;
        let life = self.handle.status().epoch;
        self.alarm.check(life)?;
        let answer = self.ask_anyway(lost, job).await;
        self.alarm.heed(life, &answer);
        answer
    }

    /// At start and after a restart the client is made first; a caller that comes too early waits for it.
    async fn wait_for_start(&self) {
        let settled = self.handle.wait_for(|status| status.state != RunState::Starting);
        let _ = tokio::time::timeout(START_PATIENCE, settled).await;
    }

    async fn ask_anyway<T, F>(&self, lost: FailureClass, job: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Connection>) -> BoxFuture<'static, Result<T, Failure>> + Send + 'static,
    {
        let context = CallContext::current();
        // The work ends with its caller: a write that went on alone could still add lines while the caller's successor
        // settles or resumes the same document.
        let (caller, caller_gone) = tokio::sync::oneshot::channel::<()>();
        let work = Work::new(move |connection| {
            let work = context.scope(job(connection));
            Box::pin(async move {
                tokio::select! {
                    answer = work => answer,
                    _ = caller_gone => Err(Failure::new(FailureClass::InDoubt, "nobody waits for the answer any more")),
                }
            })
        });
        let answered = self.handle.call(work, PATIENCE).await;
        drop(caller);
        match answered {
            Ok(answer) => answer,
            Err(CallError::Unavailable) => Err(Failure::new(
                FailureClass::NotSent,
                format!("connection `{}` is not running ({})", self.id, self.handle.status().describe()),
            )),
            Err(CallError::Crashed) => {
                Err(Failure::new(lost, format!("connection `{}` crashed during the call", self.id)))
            }
            Err(CallError::Timeout) => {
                Err(Failure::new(lost, format!("connection `{}` did not answer in time", self.id)))
            }
        }
    }
}

fn no_role(connection: &Connection, role: &str) -> Failure {
    let why = match &connection.problem {
        Some(problem) => problem.clone(),
        None => format!("connection `{}` is no {role}", connection.id),
    };
    Failure::new(FailureClass::NotSent, why)
}

fn source(connection: &Arc<Connection>) -> Result<Arc<dyn SpendSource>, Failure> {
    connection.roles.source.clone().ok_or_else(|| no_role(connection, "spend system"))
}

/// A connection in the role of a spend system.
pub struct ConnectionSource(pub ConnectionHandle);

#[async_trait]
impl SpendSource for ConnectionSource {
    async fn read(&self, window: &SourceWindow) -> Result<SourcePage, Failure> {
        let window = window.clone();
        self.0
            .ask(FailureClass::Unavailable, |c| Box::pin(async move { source(&c)?.read(&window).await }))
            .await
    }

    async fn acknowledge(&self, exported: &[Exported]) -> Result<Vec<SourceId>, Failure> {
        let exported = exported.to_vec();
        self.0
            .ask(FailureClass::Unavailable, |c| {
                Box::pin(async move { source(&c)?.acknowledge(&exported).await })
            })
            .await
    }

    async fn report_failure(&self, id: &SourceId, why: &str) -> Result<(), Failure> {
        let (id, why) = (id.clone(), why.to_owned());
        self.0
            .ask(FailureClass::InDoubt, move |c| {
                Box::pin(async move { source(&c)?.report_failure(&id, &why).await })
            })
            .await
    }
}

/// A connection in the role of an ERP.
pub struct ConnectionErp {
    handle: ConnectionHandle,
    /// Known without the actor: it is a property of the settings.
    unique: &'static [DocumentKind],
}

impl ConnectionErp {
    /// The ERP role of a connection; `unique` lists the kinds of which it refuses duplicates.
    pub fn new(handle: ConnectionHandle, unique: &'static [DocumentKind]) -> Self {
        Self { handle, unique }
    }
}

#[async_trait]
impl ErpTarget for ConnectionErp {
    async fn look_up(&self, plan: &PostingPlan) -> Result<LookUp, Failure> {
        let plan = plan.clone();
        self.handle
            .ask(FailureClass::Unavailable, |c| Box::pin(async move { erp(&c)?.look_up(&plan).await }))
            .await
    }

    async fn post(&self, claimed: &Claimed, found: &LookUp) -> Result<ErpReceipt, Failure> {
        let (claimed, found) = (claimed.hand_over(), found.clone());
        self.handle
            .ask(FailureClass::InDoubt, |c| Box::pin(async move { erp(&c)?.post(&claimed, &found).await }))
            .await
    }

    async fn read_back(&self, prefix: &str, from: Date, to: Date) -> Result<Vec<ErpDocument>, Failure> {
        let prefix = prefix.to_owned();
        self.handle
            .ask(FailureClass::Unavailable, move |c| {
                Box::pin(async move { erp(&c)?.read_back(&prefix, from, to).await })
            })
            .await
    }

    fn refuses_duplicates(&self, plan: &PostingPlan) -> bool {
        self.unique.contains(&plan.document.kind())
    }

    async fn reference_data(&self, company: &CompanyId) -> Result<ReferenceData, Failure> {
        let company = company.clone();
        self.handle
            .ask(FailureClass::Unavailable, |c| {
                Box::pin(async move { erp(&c)?.reference_data(&company).await })
            })
            .await
    }
}

fn erp(connection: &Arc<Connection>) -> Result<Arc<dyn ErpTarget>, Failure> {
    connection.roles.erp.clone().ok_or_else(|| no_role(connection, "ERP"))
}

/// A connection in the role of a spend system that takes reference data.
pub struct ConnectionReference(pub ConnectionHandle);

/// All sets: whether the vendor holds one is known only inside its actor, where the client is.
const ALL_SETS: &[ReferenceSet] = &[
    ReferenceSet::Vendors,
    ReferenceSet::Accounts,
    ReferenceSet::Employees,
    ReferenceSet::CostCentres,
    ReferenceSet::Projects,
];

#[async_trait]
impl ReferenceTarget for ConnectionReference {
    fn sets(&self) -> &'static [ReferenceSet] {
        ALL_SETS
    }

    async fn read_set(&self, set: ReferenceSet) -> Result<Vec<MirrorEntry>, Failure> {
        self.0
            .ask(FailureClass::Unavailable, move |c| {
                Box::pin(async move { reference(&c, set)?.read_set(set).await })
            })
            .await
    }

    async fn read_known(
        &self,
        set: ReferenceSet,
        known: &BTreeSet<String>,
    ) -> Result<Vec<MirrorEntry>, Failure> {
        let known = known.clone();
        self.0
            .ask(FailureClass::Unavailable, move |c| {
                Box::pin(async move { reference(&c, set)?.read_known(set, &known).await })
            })
            .await
    }

    async fn write_set(
        &self,
        set: ReferenceSet,
        changes: &[MirrorChange],
    ) -> Result<Vec<ChangeOutcome>, Failure> {
        let changes = changes.to_vec();
        self.0
            .ask(FailureClass::InDoubt, move |c| {
                Box::pin(async move { reference(&c, set)?.write_set(set, &changes).await })
            })
            .await
    }
}

/// The role, provided that the vendor holds the set.
fn reference(connection: &Arc<Connection>, set: ReferenceSet) -> Result<Arc<dyn ReferenceTarget>, Failure> {
    let role = connection.roles.reference.clone();
    let Some(role) = role else { return Err(no_role(connection, "system that takes reference data")) };
    if role.sets().contains(&set) {
        return Ok(role);
    }
    let held: Vec<&str> = role.sets().iter().map(|set| set.as_str()).collect();
    Err(Failure::new(
        FailureClass::Rejected { findings: Vec::new() },
        format!("connection `{}` cannot take {}; it takes {}", connection.id, set.as_str(), held.join(", ")),
    ))
}

#[async_trait]
impl Probe for ConnectionHandle {
    /// Also while the connection pauses, because a person asks; good checks end the pause.
    async fn probe(&self) -> Vec<ProbeResult> {
        self.wait_for_start().await;
        let asked = self.ask_anyway(FailureClass::Unavailable, |c| {
            Box::pin(async move { Ok(c.roles.probe.clone().probe().await) })
        });
        let asked = asked.await;
        let all_good = |results: &Vec<ProbeResult>| {
            results.iter().all(|result| matches!(result.verdict, Verdict::Pass | Verdict::Warn))
        };
        if asked.as_ref().is_ok_and(all_good) {
            self.alarm.clear();
        }
        asked.unwrap_or_else(|failure| {
            vec![ProbeResult {
                check: "connection".to_owned(),
                verdict: Verdict::Fail,
                detail: failure.to_string(),
                fix: "look at the agent's log for the cause of the crash".to_owned(),
            }]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::runtime::supervisor::{Policy, supervise};
    use crate::vendors::registry::Roles;
    use chrono::TimeDelta;
    use spend::Timestamp;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    /// A vendor that lets nobody in until its door is opened.
    #[derive(Default)]
    struct Door {
        open: AtomicBool,
        calls: AtomicU32,
    }

    impl Door {
        fn knock(&self) -> Result<(), Failure> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let open = self.open.load(Ordering::SeqCst);
            open.then_some(())
                .ok_or_else(|| Failure::new(FailureClass::Unauthorised, "HTTP 401: wrong password"))
        }
    }

    #[async_trait]
    impl SpendSource for Door {
        async fn read(&self, _: &SourceWindow) -> Result<SourcePage, Failure> {
            self.knock().map(|()| SourcePage::default())
        }

        async fn acknowledge(&self, _: &[Exported]) -> Result<Vec<SourceId>, Failure> {
            self.knock().map(|()| Vec::new())
        }
    }

    #[async_trait]
    impl Probe for Door {
        async fn probe(&self) -> Vec<ProbeResult> {
            let verdict = if self.knock().is_ok() { Verdict::Pass } else { Verdict::Fail };
            let (detail, fix) = (String::new(), String::new());
            vec![ProbeResult { check: "credentials".to_owned(), verdict, detail, fix }]
        }
    }

    fn connection(door: &Arc<Door>, clock: &Clock) -> ConnectionHandle {
        let id = ConnectionId::from("spend");
        let (door, made) = (Arc::clone(door), id.clone());
        let make = move |_: &mut actix::Context<_>, _: &_| {
            let (source, probe) = (Arc::clone(&door) as _, Arc::clone(&door) as _);
            let roles = Roles { source: Some(source), erp: None, probe, reference: None };
            Worker::concurrent(Connection { id: made.clone(), roles, problem: None })
        };
        let handle = supervise("spend", make, Policy::default(), clock.clone());
        let alarm = CredentialAlarm::new(id.clone(), clock.clone(), TimeDelta::minutes(30));
        ConnectionHandle::new(id, handle, alarm)
    }

    #[actix_rt::test]
    async fn a_connection_whose_credential_is_refused_pauses_and_says_so() {
        let (door, clock) = (Arc::new(Door::default()), Clock::manual(Timestamp::UNIX_EPOCH));
        let connection = connection(&door, &clock);
        let source = ConnectionSource(connection.clone());
        let window = SourceWindow::Ids(Vec::new());
        for _ in 0..5 {
            assert_eq!(source.read(&window).await.unwrap_err().class, FailureClass::Unauthorised);
        }
        assert_eq!(door.calls.load(Ordering::SeqCst), 1, "further calls may lock the account");
        assert!(connection.alarm().unwrap().why.contains("wrong password"));
        clock.advance(TimeDelta::minutes(30));
        assert!(source.acknowledge(&[]).await.is_err());
        assert_eq!(door.calls.load(Ordering::SeqCst), 2, "tried again after the longest delay");
        // A person has mended the account and asks for a check.
        door.open.store(true, Ordering::SeqCst);
        assert_eq!(connection.probe().await[0].verdict, Verdict::Pass);
        source.read(&window).await.unwrap();
        assert_eq!(connection.alarm(), None);
        connection.actor().stop();
    }
}
