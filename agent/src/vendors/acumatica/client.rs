//! Sends calls: settles which contract is spoken, authorises, paces, signs in again once when a token or session was
//! refused, judges answers, and reads lists page by page.

use super::auth::Identity;
use super::calls::{self, Contract, Query, Site};
use super::endpoint::Published;
use super::licence::Licence;
use super::outcome::{Asked, Kind, Refusal, is_signed_out, judge};
use super::settings::Settings;
use super::wire::Record;
use crate::clock::Clock;
use crate::vendors::http::{Answer, Call, Effect, Transport};
use crate::vendors::sites::Sites;
use chrono::TimeDelta;
use spend::Timestamp;
use spend::posting::{Failure, FailureClass};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::RwLock;
use url::Url;

/// Most rows of one list; a server that gives more is not serving pages.
const MAX_ROWS: usize = 5_000_000;
/// How often it is asked whether the site still publishes the contract.
const RECHECK: TimeDelta = TimeDelta::days(1);

/// One connection.
pub(super) struct Client {
    transport: Arc<dyn Transport>,
    pub(super) identity: Identity,
    pub(super) site: Site,
    pub(super) settings: Settings,
    clock: Clock,
    contract: tokio::sync::Mutex<Option<Settled>>,
    /// Shared with every other connection to the site.
    pub(super) licence: Arc<Licence>,
    /// Held alone while a release runs: other calls of the session would be refused meanwhile (D).
    quiet: RwLock<()>,
    /// Pieces of work under way, and how many there ever were.
    busy: AtomicUsize,
    works: AtomicUsize,
}

/// What is spoken, and since when that is known.
#[derive(Clone)]
struct Settled {
    contract: Contract,
    at: Timestamp,
}

impl Client {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        identity: Identity,
        base: &Url,
        settings: Settings,
        clock: Clock,
        sites: &Sites,
    ) -> Self {
        let site = Site::new(base);
        let licence = sites.of("acumatica", &site.name(), || Licence::new(&settings));
        licence.join(&settings);
        Self {
            transport,
            identity,
            site,
            settings,
            clock,
            contract: tokio::sync::Mutex::default(),
            licence,
            quiet: RwLock::default(),
            busy: AtomicUsize::new(0),
            works: AtomicUsize::new(0),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn asked(&self, operation: &'static str, effect: Effect) -> Asked {
        Asked { operation, effect, maintenance_minutes: self.settings.maintenance_minutes }
    }

    // What is spoken

    /// The contract that is spoken, checked against what the site publishes, once a day.
    pub(super) async fn contract(&self) -> Result<Contract, Failure> {
        let mut settled = self.contract.lock().await;
        let now = self.now();
        if let Some(known) = settled.as_ref().filter(|known| now - known.at < RECHECK && known.at <= now) {
            return Ok(known.contract.clone());
        }
        let version = match self.published().await {
            Ok(published) => published.choose(&self.settings.endpoint).map_err(not_sent)?,
            // A site that does not tell is spoken to in the pinned version.
            Err(refusal) => match (&self.settings.endpoint.version, &refusal.kind) {
                (Some(pinned), Kind::Forbidden | Kind::NotOffered | Kind::BadQuery | Kind::Refused) => {
                    pinned.clone()
                }
                _ => return Err(refusal.failure),
            },
        };
        let contract = Contract { name: self.settings.endpoint.name.clone(), version };
        *settled = Some(Settled { contract: contract.clone(), at: now });
        Ok(contract)
    }

    /// What the site publishes.
    pub(super) async fn published(&self) -> Result<Published, Refusal> {
        let call = calls::get("acumatica.endpoints", self.site.published());
        let answer = self.dispatch(call).await?;
        Published::read(&answer.body)
            .map_err(|why| self.asked("acumatica.endpoints", Effect::Read).unreadable(&why))
    }

    // Sending

    /// Sends a call. One of an entity that is suddenly not there any more makes the contract be checked anew.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, Refusal> {
        let answered = self.dispatch(call).await;
        if answered.as_ref().is_err_and(|refusal| refusal.kind == Kind::NotOffered) {
            *self.contract.lock().await = None;
        }
        answered
    }

    async fn dispatch(&self, call: Call) -> Result<Answer, Refusal> {
        let _others = self.quiet.read().await;
        self.dispatch_alone(call).await
    }

    /// Keeps every other call of this connection waiting.
    pub(super) async fn alone(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.quiet.write().await
    }

    /// Sends a call while [`Client::alone`] is held.
    pub(super) async fn dispatch_alone(&self, call: Call) -> Result<Answer, Refusal> {
        let asked = self.asked(call.operation, call.effect);
        for attempt in 0..2 {
            let mut call = call.clone();
            let (header, token) = self.identity.header(&*self.transport, &self.site).await?;
            call.headers.push(header);
            let answer = self.licence.send(&*self.transport, call).await?;
            // A call that was refused for its token was not processed, so even a write may be sent again.
            if attempt == 0 && is_signed_out(&answer) {
                self.identity.refused(&token).await;
                continue;
            }
            return judge(asked, &answer).map(|()| answer);
        }
        Err(Failure::new(
            FailureClass::Unauthorised,
            format!("{}: the sign-in was refused twice", asked.operation),
        )
        .into())
    }

    // Reading

    /// One record with its details; `None` when it is not there (told by a 500).
    pub(super) async fn record(
        &self,
        operation: &'static str,
        entity: &str,
        id: &str,
        expand: &[&str],
    ) -> Result<Option<Record>, Refusal> {
        let contract = self.contract().await?;
        let call = calls::by_id(operation, &self.site, &contract, entity, id, expand)?;
        match self.send(call).await {
            Ok(answer) => Record::read(&answer.body)
                .map(Some)
                .map_err(|why| self.asked(operation, Effect::Read).unreadable(&why)),
            Err(refusal) if refusal.kind == Kind::Missing => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// All records of a query, each once.
    pub(super) async fn list(&self, query: &Query) -> Result<Vec<Record>, Refusal> {
        let mut all = Vec::new();
        self.each_page(query, |rows| all.extend(rows)).await?;
        Ok(all)
    }

    /// Hands the new records of each page to `take`. Pages overlap, because a list that changes under the reading shifts;
    /// what came before is left out by its identifier. A field list that the site cannot serve is left away.
    pub(super) async fn each_page(
        &self,
        query: &Query,
        mut take: impl FnMut(Vec<Record>),
    ) -> Result<(), Refusal> {
        let contract = self.contract().await?;
        let top = usize::from(self.settings.page_size);
        let mut query = query.clone();
        let (mut seen, mut skip) = (BTreeSet::new(), 0);
        loop {
            let call = query.page(&self.site, &contract, top, skip);
            let answer = match self.send(call).await {
                Err(refusal) if refusal.kind.is_of_query() && skip == 0 && query.dropped.is_empty() => {
                    query = self.narrowed(&query, refusal).await?;
                    continue;
                }
                answer => answer?,
            };
            let unreadable =
                |why: &dyn std::fmt::Display| self.asked(query.operation, Effect::Read).unreadable(why);
            let rows = Record::read_list(&answer.body).map_err(|why| unreadable(&why))?;
            let count = rows.len();
            let fresh: Vec<Record> = rows.into_iter().filter(|row| seen.insert(key(row))).collect();
            let stuck = fresh.is_empty() && count > 0;
            take(fresh);
            if count < top {
                return Ok(());
            }
            if stuck || seen.len() > MAX_ROWS {
                return Err(unreadable(&"the same page came twice: the site does not skip rows"));
            }
            skip += count - usize::from(self.settings.page_overlap).min(count / 2);
        }
    }

    /// A list that cannot be made because of some of its fields, without those: each is tried alone with one row. What
    /// is left out counts as empty, and Acumatica itself judges it; a needed field is never left out.
    async fn narrowed(&self, query: &Query, refusal: Refusal) -> Result<Query, Refusal> {
        let mut kept = query.clone();
        for field in query.select {
            match self.some(&query.only(field), 1).await {
                Ok(_) => {}
                Err(refusal) if refusal.kind.is_of_query() => kept.dropped.push(field),
                Err(refusal) => return Err(refusal),
            }
        }
        if kept.dropped.is_empty() || kept.fields().is_empty() {
            return Err(refusal);
        }
        if let Some(field) = query.needed.iter().find(|field| kept.dropped.contains(field)) {
            let (operation, entity) = (query.operation, query.entity);
            let message =
                format!("{operation}: the site does not list `{field}` of {entity}, which is needed");
            return Err(Failure::new(FailureClass::Unavailable, message).into());
        }
        tracing::warn!(
            entity = query.entity,
            fields = kept.dropped.join(","),
            "the site cannot list these fields"
        );
        Ok(kept)
    }

    /// The first records of a query.
    pub(super) async fn some(&self, query: &Query, top: usize) -> Result<Vec<Record>, Refusal> {
        let contract = self.contract().await?;
        let answer = self.send(query.page(&self.site, &contract, top, 0)).await?;
        Record::read_list(&answer.body)
            .map_err(|why| self.asked(query.operation, Effect::Read).unreadable(&why))
    }

    // Sessions

    /// A piece of work begins: the session must not be signed out under it.
    pub(super) fn begin(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::AcqRel);
        self.works.fetch_add(1, Ordering::AcqRel);
        Busy(self)
    }

    /// Signs the session out when nothing has been done for a while. Called after each piece of work.
    pub(super) async fn rest(self: &Arc<Self>) {
        let Some(linger) = self.identity.linger() else { return };
        let works = self.works.load(Ordering::Acquire);
        if linger == 0 {
            return self.sign_out_if_idle(works).await;
        }
        let client = Arc::clone(self);
        // Beside the caller, who has his answer; it writes nothing but the end of an idle session.
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(linger.into())).await;
            client.sign_out_if_idle(works).await;
        });
    }

    async fn sign_out_if_idle(&self, works: usize) {
        let idle = self.busy.load(Ordering::Acquire) == 0 && self.works.load(Ordering::Acquire) == works;
        if idle {
            let _alone = self.quiet.write().await;
            self.identity.sign_out(&*self.transport, &self.site).await;
        }
    }
}

/// Work under way.
pub(super) struct Busy<'a>(&'a Client);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What tells rows apart; an inquiry's rows bear no identifier.
fn key(row: &Record) -> String {
    match row.id() {
        id if id.is_empty() => row.content(),
        id => id,
    }
}

/// A site that does not speak our contract was not asked for anything else.
fn not_sent(words: String) -> Failure {
    Failure::new(FailureClass::NotSent, words)
}
