//! Walking through the pages of a list: opaque cursors that may never end, pages that shift under writes, so that an item
//! can come twice. Every item counts once.

use super::Brex;
use super::calls::Request;
use super::outcome::{Refusal, unavailable};
use super::wire::{Named, Page};
use serde_json::value::RawValue;
use spend::posting::{Failure, FailureClass};
use std::collections::BTreeSet;
use std::time::Duration;

/// Pages in a row that bring nothing new before the list counts as endless.
const MOST_EMPTY: u32 = 20;
/// Times that a later page is asked for again, so that a passing fault does not cost the pages before it.
const TRIES: u32 = 4;
/// Longest pause that is waited out in the middle of a list.
const LONGEST_PAUSE: Duration = Duration::from_secs(65);

/// One item of a list.
#[derive(Debug)]
pub(super) struct Item {
    /// Its id, when even that can be read.
    pub(super) id: Option<String>,
    /// The item as it came.
    pub(super) raw: Box<RawValue>,
}

/// A walk through a list.
pub(super) struct Walk {
    first: Request,
    cursor: Option<String>,
    begun: bool,
    cursors: BTreeSet<String>,
    seen: BTreeSet<String>,
    empty: u32,
    /// What v3 says there is in all.
    pub(super) total: Option<u64>,
}

impl Walk {
    /// From the first page on. Filters stay the same on every page (D).
    pub(super) fn new(first: Request) -> Self {
        Self {
            first,
            cursor: None,
            begun: false,
            cursors: BTreeSet::new(),
            seen: BTreeSet::new(),
            empty: 0,
            total: None,
        }
    }

    /// Whether there is another page.
    pub(super) fn has_more(&self) -> bool {
        !self.begun || self.cursor.is_some()
    }

    /// The next page, without items that came before; `None` after the last one.
    pub(super) async fn next(&mut self, client: &Brex) -> Result<Option<Vec<Item>>, Refusal> {
        if !self.has_more() {
            return Ok(None);
        }
        let request = match &self.cursor {
            None => self.first.clone(),
            Some(cursor) => self.first.at_cursor(cursor),
        };
        let page: Page =
            if self.begun { patiently(client, &request).await? } else { client.get(&request).await? };
        self.begun = true;
        let Some(items) = page.items else {
            let operation = self.first.operation;
            return Err(unavailable(format!(
                "{operation}: the answer holds no `items`; that is no empty list"
            ))
            .into());
        };
        self.total = page.total_count.or(self.total);
        // `null`, absent, empty and `has_next_page: false` all mean the end (D).
        let cursor = page.next_cursor.filter(|cursor| !cursor.is_empty());
        self.cursor = cursor.filter(|_| page.has_next_page != Some(false));
        let operation = self.first.operation;
        if let Some(cursor) = &self.cursor
            && !self.cursors.insert(cursor.clone())
        {
            return Err(unavailable(format!(
                "{operation}: the same cursor comes again: the list never ends"
            ))
            .into());
        }
        let fresh: Vec<Item> = items
            .into_iter()
            .map(read)
            .filter(|i| i.id.as_ref().is_none_or(|id| self.seen.insert(id.clone())))
            .collect();
        self.empty = if fresh.is_empty() { self.empty + 1 } else { 0 };
        if self.empty >= MOST_EMPTY && self.has_more() {
            let message =
                format!("{operation}: {MOST_EMPTY} pages in a row hold nothing new: the list never ends");
            return Err(unavailable(message).into());
        }
        Ok(Some(fresh))
    }

    /// Every item of the list.
    pub(super) async fn all(first: Request, client: &Brex) -> Result<Vec<Item>, Refusal> {
        let mut walk = Self::new(first);
        let mut items = Vec::new();
        while let Some(page) = walk.next(client).await? {
            items.extend(page);
        }
        Ok(items)
    }
}

fn read(raw: Box<RawValue>) -> Item {
    let named: Named = serde_json::from_str(raw.get()).unwrap_or_default();
    Item { id: named.id.or(named.brex_id), raw }
}

/// A later page, asked for again after a passing fault.
async fn patiently(client: &Brex, request: &Request) -> Result<Page, Refusal> {
    let mut tried = 0;
    loop {
        let refusal = match client.get(request).await {
            Ok(page) => return Ok(page),
            Err(refusal) => refusal,
        };
        tried += 1;
        let pause = pause(&refusal.failure, client, tried).filter(|pause| *pause <= LONGEST_PAUSE);
        let Some(pause) = pause.filter(|_| tried < TRIES) else { return Err(refusal) };
        tokio::time::sleep(pause).await;
    }
}

fn pause(failure: &Failure, client: &Brex, tried: u32) -> Option<Duration> {
    match &failure.class {
        FailureClass::Unavailable | FailureClass::NotSent => {
            let most = 500_u64 << tried.min(4);
            Some(Duration::from_millis(fastrand::u64(most / 2..=most)))
        }
        FailureClass::Throttled { until } => Some((*until - client.clock.now()).to_std().unwrap_or_default()),
        FailureClass::Rejected { .. } | FailureClass::Unauthorised | FailureClass::InDoubt => None,
    }
}
