//! Sends calls: authorises them, logs in again once when a token was refused, judges answers, resolves methods
//! against what the instance offers, and reads entity sets page by page.

use super::auth::Identity;
use super::calls::{self, Query, Site};
use super::outcome::{Asked, Kind, Refusal, judge, saved};
use super::profile::{Methods, Resolved, Step, read_metadata, resolve};
use super::settings::Settings;
use super::wire::{Dataset, Envelope, Page, Row};
use crate::vendors::http::{Answer, Call, Effect, Transport};
use serde_json::value::RawValue;
use spend::ids::CompanyId;
use spend::posting::{Failure, FailureClass};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// Most rows of one entity set; a server that gives more is not serving pages.
const MAX_ROWS: usize = 5_000_000;
/// Most pages without rows that are followed.
const BLANK_PAGES: usize = 100;

/// One connection.
pub(super) struct Client {
    transport: Arc<dyn Transport>,
    pub(super) identity: Identity,
    pub(super) site: Site,
    pub(super) settings: Settings,
    services: Mutex<BTreeMap<&'static str, Arc<Option<Methods>>>>,
    longest_page: AtomicUsize,
}

impl Client {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        identity: Identity,
        base: &Url,
        settings: Settings,
    ) -> Self {
        Self {
            transport,
            identity,
            site: Site::new(base),
            settings,
            services: Mutex::default(),
            longest_page: AtomicUsize::new(0),
        }
    }

    fn asked(&self, operation: &'static str, effect: Effect) -> Asked {
        Asked { operation, effect, maintenance_minutes: self.settings.maintenance_minutes }
    }

    /// Sends an authorised call. A refused token is replaced and the call sent again once: a 401 was not processed.
    pub(super) async fn send(
        &self,
        company: &CompanyId,
        call: Call,
        with_key: bool,
    ) -> Result<Answer, Refusal> {
        let asked = self.asked(call.operation, call.effect);
        let answer = self.authorised(company, call, with_key).await?;
        judge(asked, &answer)?;
        Ok(answer)
    }

    async fn authorised(&self, company: &CompanyId, call: Call, with_key: bool) -> Result<Answer, Failure> {
        for attempt in 0..2 {
            let mut call = call.clone();
            let (headers, token) = self.identity.headers(&*self.transport, &self.site, with_key).await?;
            call.headers.extend(headers);
            call.headers.extend(calls::settings_headers(&self.settings, company));
            let answer = self.transport.send(call).await?;
            match token {
                Some(token) if answer.status == 401 && attempt == 0 => self.identity.refused(&token).await,
                _ => return Ok(answer),
            }
        }
        Err(Failure::new(FailureClass::Unauthorised, "the token was refused twice"))
    }

    /// Calls the method of a step with the values it may need.
    pub(super) async fn invoke(
        &self,
        company: &CompanyId,
        step: &'static Step,
        values: &[(&str, Box<RawValue>)],
    ) -> Result<Envelope, Refusal> {
        let resolved = self.resolved(company, step).await?;
        let call = calls::method(&self.site, company, step, &resolved, values)?;
        self.enveloped(company, step, call).await
    }

    /// Calls a read method: `GET` as v2 wants it, `POST` where the instance does not know it that way.
    pub(super) async fn invoke_read(
        &self,
        company: &CompanyId,
        step: &'static Step,
        values: &[(&str, Box<RawValue>)],
    ) -> Result<Envelope, Refusal> {
        let resolved = self.resolved(company, step).await?;
        let call = calls::method_as_get(&self.site, company, step, &resolved, values)?;
        match self.enveloped(company, step, call).await {
            Err(refusal) if refusal.kind == Kind::NotOffered => {
                let call = calls::method(&self.site, company, step, &resolved, values)?;
                self.enveloped(company, step, call).await
            }
            done => done,
        }
    }

    async fn enveloped(&self, company: &CompanyId, step: &Step, call: Call) -> Result<Envelope, Refusal> {
        let asked = self.asked(step.operation, step.effect);
        let answer = self.send(company, call, true).await?;
        let envelope = Envelope::read(&answer.body).map_err(|why| asked.unreadable(&why))?;
        if step.effect == Effect::Write {
            saved(asked, &envelope)?;
        }
        Ok(envelope)
    }

    /// Calls a method that answers with a tableset.
    pub(super) async fn dataset(
        &self,
        company: &CompanyId,
        step: &'static Step,
        values: &[(&str, Box<RawValue>)],
    ) -> Result<Dataset, Refusal> {
        let envelope = self.invoke(company, step, values).await?;
        envelope.dataset().map_err(|why| self.asked(step.operation, step.effect).unreadable(&why))
    }

    /// The same for a step that an instance may lack: then the tableset stays as it is.
    pub(super) async fn refine(
        &self,
        company: &CompanyId,
        step: &'static Step,
        values: &[(&str, Box<RawValue>)],
        dataset: Dataset,
    ) -> Result<Dataset, Refusal> {
        if !self.resolved(company, step).await?.offered {
            return Ok(dataset);
        }
        match self.dataset(company, step, values).await {
            Err(refusal) if refusal.kind == Kind::NotOffered => Ok(dataset),
            answered => answered,
        }
    }

    /// How a step is done on this instance.
    pub(super) async fn resolved(
        &self,
        company: &CompanyId,
        step: &'static Step,
    ) -> Result<Resolved, Failure> {
        let offered = self.methods(company, step.service).await?;
        Ok(resolve(step, self.settings.methods.get(step.key), offered.as_ref().as_ref()))
    }

    /// What a service offers, asked once per connection; `None` when it does not say.
    async fn methods(
        &self,
        company: &CompanyId,
        service: &'static str,
    ) -> Result<Arc<Option<Methods>>, Failure> {
        if !self.settings.discover {
            return Ok(Arc::new(None));
        }
        let known = self.services.lock().unwrap_or_else(PoisonError::into_inner).get(service).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let call = calls::metadata(&self.site, company, service)?;
        let methods = match self.send(company, call, true).await {
            Ok(answer) => read_metadata(&answer.body).ok(),
            // Descriptions may be switched off while the service works: the documented names have to do.
            Err(refusal) => match (refusal.kind, &refusal.failure.class) {
                // Not found, perhaps said by a server that stands before Kinetic: asked again the next time.
                (Kind::NotOffered, FailureClass::NotSent) => return Ok(Arc::new(None)),
                (Kind::Unauthorised, _) | (_, FailureClass::NotSent | FailureClass::Throttled { .. }) => {
                    return Err(refusal.failure);
                }
                (_, FailureClass::Unavailable | FailureClass::InDoubt) => return Ok(Arc::new(None)),
                (_, FailureClass::Rejected { .. } | FailureClass::Unauthorised) => None,
            },
        };
        let methods = Arc::new(methods);
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(services.entry(service).or_insert(methods)))
    }

    /// All rows of a query that finds a few: what looks like its last page is.
    pub(super) async fn rows(&self, company: &CompanyId, query: &Query) -> Result<Vec<Row>, Refusal> {
        let mut all = Vec::new();
        self.pages(company, query, false, |rows| all.extend(rows)).await?;
        Ok(all)
    }

    /// All rows of a query of which none may be missing: its end is seen, not guessed by a short page.
    pub(super) async fn all_rows(&self, company: &CompanyId, query: &Query) -> Result<Vec<Row>, Refusal> {
        let mut all = Vec::new();
        self.each_page(company, query, |rows| all.extend(rows)).await?;
        Ok(all)
    }

    /// The first rows of a query.
    pub(super) async fn some(
        &self,
        company: &CompanyId,
        query: &Query,
        top: usize,
    ) -> Result<Vec<Row>, Refusal> {
        let url = query.page(&self.site, company, top, 0)?;
        Ok(self.page(company, query, url).await?.value)
    }

    /// Hands each page of a query of which no row may be missing to `take`.
    pub(super) async fn each_page(
        &self,
        company: &CompanyId,
        query: &Query,
        take: impl FnMut(Vec<Row>),
    ) -> Result<(), Refusal> {
        self.pages(company, query, true, take).await
    }

    /// A column list that the instance refuses is left away: rows are then whole.
    async fn pages(
        &self,
        company: &CompanyId,
        query: &Query,
        certain: bool,
        mut take: impl FnMut(Vec<Row>),
    ) -> Result<(), Refusal> {
        let mut query = query.clone();
        let asked = usize::from(self.settings.page_size.clamp(1, 1000));
        let longest = self.longest_page.load(Ordering::Relaxed);
        let mut paging = Paging::new(asked, (!certain).then_some(longest));
        let mut url = query.page(&self.site, company, asked, 0)?;
        loop {
            let page = match self.page(company, &query, url).await {
                Err(refusal)
                    if refusal.kind == Kind::BadQuery && paging.skip() == 0 && !query.select.is_empty() =>
                {
                    query.select = &[];
                    url = query.page(&self.site, company, asked, 0)?;
                    continue;
                }
                page => page?,
            };
            let mut rows = page.value;
            self.longest_page.fetch_max(rows.len(), Ordering::Relaxed);
            let link = page.next_link.and_then(|text| self.followed(&text));
            let more = paging
                .after(&mut rows, |row| query.key_of(row), link.is_some())
                .map_err(|why| self.asked(query.operation, Effect::Read).unreadable(&why))?;
            take(rows);
            if !more {
                return Ok(());
            }
            url = match link {
                Some(link) => link,
                None => query.page(&self.site, company, asked, paging.skip())?,
            };
        }
    }

    async fn page(&self, company: &CompanyId, query: &Query, url: Url) -> Result<Page, Refusal> {
        let answer = self.send(company, calls::get(query.operation, url), true).await?;
        Page::read(&answer.body).map_err(|why| self.asked(query.operation, Effect::Read).unreadable(&why))
    }

    /// A next link is followed only within the site.
    fn followed(&self, text: &str) -> Option<Url> {
        Url::parse(text).ok().filter(|url| self.site.owns(url))
    }
}

/// Where a read of many pages stands. The server may give fewer rows than asked without saying so, and rows come and go
/// while it is read: so each page begins with the last row of the one before, which must be the same.
#[derive(Debug)]
pub(super) struct Paging {
    asked: usize,
    rows: usize,
    /// Where a short page ends the read: the longest page that the server has given so far.
    longest: Option<usize>,
    linked: bool,
    /// The row that the next page must begin with.
    overlap: Option<String>,
    newest: Option<String>,
    blank: usize,
}

impl Paging {
    /// With `longest` a page ends the read when it is shorter than one that the server has given before, else only an
    /// empty one does.
    pub(super) fn new(asked: usize, longest: Option<usize>) -> Self {
        Self { asked, rows: 0, longest, linked: false, overlap: None, newest: None, blank: 0 }
    }

    /// Rows to be skipped for the next page.
    pub(super) fn skip(&self) -> usize {
        self.rows - usize::from(self.overlap.is_some())
    }

    /// Takes note of a page and takes away what was read before; `true` = ask for another one.
    pub(super) fn after(
        &mut self,
        rows: &mut Vec<Row>,
        key: impl Fn(&Row) -> String,
        link: bool,
    ) -> Result<bool, &'static str> {
        let given = rows.len();
        if let Some(known) = self.overlap.take() {
            if rows.first().map(&key) != Some(known) {
                return Err("rows came or went while they were read; they are read again later");
            }
            rows.remove(0);
        }
        let Some(newest) = rows.last().map(&key) else { return self.after_blank(link) };
        if self.newest.as_ref() == Some(&newest) {
            return Err("the same page came twice: the server does not skip rows");
        }
        self.rows += rows.len();
        if self.rows > MAX_ROWS {
            return Err("more rows than an entity set can have");
        }
        let short = self.longest.is_some_and(|longest| given < self.asked && given < longest);
        // A server that links its pages says itself which one is the last.
        let more = if self.linked || link { link } else { !short };
        self.linked |= link;
        self.longest = self.longest.map(|longest| longest.max(given));
        if more && !link && given > 1 {
            self.overlap = Some(newest.clone());
        }
        self.newest = Some(newest);
        Ok(more)
    }

    /// A page without rows is the end, unless the server links another one.
    fn after_blank(&mut self, link: bool) -> Result<bool, &'static str> {
        self.linked |= link;
        self.blank += 1;
        if link && self.blank > BLANK_PAGES {
            return Err("pages without rows link each other for ever");
        }
        Ok(link)
    }
}
