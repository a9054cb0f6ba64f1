//! The actor of one connection. It owns the vendor's client, built inside its own arbiter; flows reach it through
//! [`ConnectionSource`] and [`ConnectionErp`], which look like the vendor traits and send a message.

use super::supervisor::{CallError, Handle, RunState};
use super::worker::{Work, Worker};
use crate::vendors::http::CallContext;
use crate::vendors::registry::Connection;
use crate::vendors::{
    Claimed, ErpDocument, ErpTarget, Probe, ProbeResult, SourcePage, SourceWindow, SpendSource, Verdict,
};
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use spend::Date;
use spend::ids::{CompanyId, ConnectionId, SourceId};
use spend::plan::PostingPlan;
use spend::posting::{ErpReceipt, Failure, FailureClass, LookUp};
use spend::reference::ReferenceData;
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
}

impl ConnectionHandle {
    /// A handle to a supervised actor.
    pub fn new(id: ConnectionId, handle: Handle<Worker<Connection>>) -> Self {
        Self { id, handle }
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

    /// Has a vendor call made inside the actor. `lost` is the class of a call whose actor died under it.
    async fn ask<T, F>(&self, lost: FailureClass, job: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Connection>) -> BoxFuture<'static, Result<T, Failure>> + Send + 'static,
    {
        let context = CallContext::current();
        // At start and after a restart the client is made first; a caller that comes too early waits for it.
        let settled = self.handle.wait_for(|status| status.state != RunState::Starting);
        let _ = tokio::time::timeout(START_PATIENCE, settled).await;
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

    async fn acknowledge(&self, ids: &[SourceId]) -> Result<Vec<SourceId>, Failure> {
        let ids = ids.to_vec();
        self.0
            .ask(FailureClass::Unavailable, |c| Box::pin(async move { source(&c)?.acknowledge(&ids).await }))
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
    /// Asked without the actor: it is a property of the settings, no call.
    unique: Arc<dyn Fn(&PostingPlan) -> bool + Send + Sync>,
}

impl ConnectionErp {
    /// The ERP role of a connection; `unique` as [`ErpTarget::refuses_duplicates`].
    pub fn new(handle: ConnectionHandle, unique: Arc<dyn Fn(&PostingPlan) -> bool + Send + Sync>) -> Self {
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
        (self.unique)(plan)
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

#[async_trait]
impl Probe for ConnectionHandle {
    async fn probe(&self) -> Vec<ProbeResult> {
        let asked = self.ask(FailureClass::Unavailable, |c| {
            Box::pin(async move { Ok(c.roles.probe.clone().probe().await) })
        });
        asked.await.unwrap_or_else(|failure| {
            vec![ProbeResult {
                check: "connection".to_owned(),
                verdict: Verdict::Fail,
                detail: failure.to_string(),
                fix: "look at the agent's log for the cause of the crash".to_owned(),
            }]
        })
    }
}
