//! Reading accounting records: which lists a window needs, and which of their records belong to it.
//!
//! What newcomers get wrong: a list is bounded by the last *change* of a record, not by its posting date. For records
//! that wait, the change is the approval, so a ready window is a window of changes; a record may bear a posting date
//! of weeks before. Only a period is a window of posting dates, cut out of the changes since then.

use super::calls::{self, Changed, IDS_PER_CALL};
use super::outcome::Refusal;
use super::page::{Item, Walk};
use super::settings::is_id;
use super::wire::Record;
use super::{Brex, convert};
use crate::vendors::{SourceHabits, SourcePage, Unreadable};
use chrono::Days;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use spend::Date;
use spend::ids::SourceId;
use spend::posting::Failure;

/// The state of a record that waits for us.
pub(super) const READY: &str = "READY_FOR_EXPORT";
/// The state of a record that was reported as exported.
pub(super) const EXPORTED: &str = "EXPORTED";
/// Lists by id that are under way at once.
const LISTS_AT_ONCE: usize = 4;

impl Brex {
    /// What a window needs.
    pub(super) async fn read_records(
        &self,
        window: &crate::vendors::SourceWindow,
    ) -> Result<SourcePage, Failure> {
        use crate::vendors::SourceWindow::{Ids, Period, Ready};
        let page = match window {
            Ready { from, to, limit } => self.ready_records(*from, *to, *limit).await,
            Period { from, to } => self.records_of_period(*from, *to).await,
            Ids(ids) => self.named_records(ids).await,
        }?;
        let habits = SourceHabits { keeps_no_mark: false, sweep_days: self.settings.sweep_days };
        Ok(SourcePage { habits, ..page })
    }

    /// Records that wait, changed within the days, at most `limit` of them.
    async fn ready_records(&self, from: Date, to: Date, limit: u32) -> Result<SourcePage, Failure> {
        let limit = limit.max(1);
        let changed = Changed { from, before: self.end_of(to) };
        let page = self.settings.page_size.min(u16::try_from(limit).unwrap_or(u16::MAX));
        let mut walk = Walk::new(calls::records(Some(READY), &changed, page));
        let mut answer = Gathered::default();
        while let Some(items) = walk.next(self).await.map_err(Failure::from)? {
            let read = items.into_iter().filter_map(|item| self.record_of(item, &[READY]));
            answer.extend(read);
            if answer.len() >= limit {
                break;
            }
        }
        Ok(answer.into_page(limit, walk.has_more()))
    }

    /// Records that are approved, marked or not, by posting date.
    async fn records_of_period(&self, from: Date, to: Date) -> Result<SourcePage, Failure> {
        let earliest = from.checked_sub_days(Days::new(self.settings.lead_days.into())).unwrap_or(from);
        let changed = Changed { from: earliest, before: None };
        let mut walk = Walk::new(calls::records(None, &changed, self.settings.page_size));
        let mut answer = Gathered::default();
        while let Some(items) = walk.next(self).await.map_err(Failure::from)? {
            let read = items.into_iter().filter_map(|item| self.record_of(item, &[READY, EXPORTED]));
            answer.extend(read.filter(|read| read.day().is_none_or(|day| (from..=to).contains(&day))));
        }
        Ok(answer.into_page(u32::MAX, false))
    }

    /// These records, marked or not. One that was turned back to review in the meantime is not approved, and not there.
    async fn named_records(&self, ids: &[SourceId]) -> Result<SourcePage, Failure> {
        let (usable, unusable): (Vec<&str>, Vec<&str>) =
            ids.iter().map(SourceId::as_str).partition(|id| is_id(id));
        let items = self.items_by_id(&usable).await?;
        let mut answer = Gathered::default();
        answer.extend(items.into_iter().filter_map(|item| self.record_of(item, &[READY, EXPORTED])));
        answer.extend(unusable.into_iter().map(not_an_id));
        Ok(answer.into_page(u32::MAX, false))
    }

    /// Records by id, each once, whatever their state.
    pub(super) async fn items_by_id(&self, ids: &[&str]) -> Result<Vec<Item>, Failure> {
        let mut lists = Vec::new();
        for chunk in ids.chunks(IDS_PER_CALL) {
            lists.push(self.chunk_by_id(chunk));
        }
        let found: Vec<Vec<Item>> = stream::iter(lists).buffered(LISTS_AT_ONCE).try_collect().await?;
        let mut items: Vec<Item> = found.into_iter().flatten().collect();
        // A server that ignores the filter must not slip other records in.
        items.retain(|item| item.id.as_deref().is_some_and(|id| ids.contains(&id)));
        Ok(items)
    }

    async fn chunk_by_id(&self, ids: &[&str]) -> Result<Vec<Item>, Failure> {
        match Walk::all(calls::records_by_id(ids), self).await {
            Ok(items) => Ok(items),
            // Whether an unknown id spoils the list is not documented: then one by one.
            Err(Refusal { status: 400 | 404 | 422, .. }) => self.one_by_one(ids).await,
            Err(refusal) => Err(refusal.failure),
        }
    }

    async fn one_by_one(&self, ids: &[&str]) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::new();
        for id in ids {
            match self.get(&calls::record(id)).await {
                Ok(raw) => items.push(Item { id: Some((*id).to_owned()), raw }),
                Err(Refusal { status: 404, .. }) => {}
                Err(refusal) => return Err(refusal.failure),
            }
        }
        Ok(items)
    }

    /// The day before which changes count. Up to today means up to now: the clocks of both sides may differ.
    pub(super) fn end_of(&self, to: Date) -> Option<Date> {
        (to < self.today()).then(|| to.checked_add_days(Days::new(1))).flatten()
    }

    /// What an item is, if it is in one of these states and meant for us.
    fn record_of(&self, item: Item, states: &[&str]) -> Option<Read> {
        let record: Record = match serde_json::from_str(item.raw.get()) {
            Ok(record) => record,
            Err(error) => {
                let message = format!("the record is not understood: {error}");
                return Some(Err(Unreadable { source_id: item.id.map(SourceId::new), message }).into());
            }
        };
        let state = record.review_status.as_deref().map(str::trim).unwrap_or_default();
        // A state that is not told counts as asked for, so that nothing disappears unseen.
        if !state.is_empty() && !states.contains(&state) {
            return None;
        }
        if record.kind.as_deref().is_some_and(|kind| self.settings.ignored_types.contains(kind)) {
            return None;
        }
        let read = convert::document(&record, &self.settings)
            .map_err(|message| Unreadable { source_id: item.id.map(SourceId::new), message });
        let day = convert::posting_day(&record, self.settings.tz());
        Some(Read { day, exported: state == EXPORTED, ..read.into() })
    }
}

/// Something that cannot be the id of a record.
pub(super) fn not_an_id(id: &str) -> Read {
    let message = "this is not an id that Brex gives to records".to_owned();
    Err(Unreadable { source_id: Some(SourceId::new(id)), message }).into()
}

/// One record that was read, or why not.
pub(super) struct Read {
    result: Result<spend::document::SpendDocument, Unreadable>,
    day: Option<Date>,
    exported: bool,
}

impl From<Result<spend::document::SpendDocument, Unreadable>> for Read {
    fn from(result: Result<spend::document::SpendDocument, Unreadable>) -> Self {
        let day = result.as_ref().ok().and_then(|document| document.approved);
        Self { result, day, exported: false }
    }
}

impl Read {
    /// Its id, when that could be read.
    pub(super) fn id(&self) -> Option<&str> {
        match &self.result {
            Ok(document) => Some(document.source_id.as_str()),
            Err(unreadable) => unreadable.source_id.as_ref().map(SourceId::as_str),
        }
    }

    /// The same, of a record that Brex says was exported.
    pub(super) fn exported(self, exported: bool) -> Self {
        Self { exported, ..self }
    }

    /// Its posting date, also of one that could not be read otherwise.
    pub(super) fn day(&self) -> Option<Date> {
        self.day
    }
}

/// What was read so far.
#[derive(Default)]
pub(super) struct Gathered {
    reads: Vec<Read>,
}

impl Gathered {
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.reads.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn extend(&mut self, reads: impl IntoIterator<Item = Read>) {
        self.reads.extend(reads);
    }

    /// At most `limit` of them; `more` says whether there are others behind.
    pub(super) fn into_page(mut self, limit: u32, more: bool) -> SourcePage {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = more || self.reads.len() > limit;
        self.reads.truncate(limit);
        let mut page = SourcePage { more, ..SourcePage::default() };
        for read in self.reads {
            match read.result {
                Ok(document) => {
                    page.exported.extend(read.exported.then(|| document.source_id.clone()));
                    page.documents.push(document);
                }
                Err(unreadable) => page.unreadable.push(unreadable),
            }
        }
        page
    }
}
