//! Reading reports: which exports a window needs, and which of their reports belong to it.

use super::calls::{self, ExportQuery};
use super::settings::{MAX_SPAN_DAYS, is_id};
use super::template::{ExportFile, RawReport};
use super::{Expensify, convert};
use crate::vendors::{SourcePage, Unreadable};
use spend::Date;
use spend::document::SpendDocument;
use spend::ids::SourceId;
use spend::posting::Failure;
use std::collections::{BTreeMap, BTreeSet};

/// Most ids of one job.
pub(super) const IDS_PER_JOB: usize = 100;

/// What a report must be to belong to the answer.
#[derive(Clone, Debug)]
enum Wanted<'a> {
    Approved(Date, Date),
    Named(&'a [&'a str]),
}

impl Expensify {
    /// Unmarked reports approved within the days, about `limit` of them.
    ///
    /// The vendor has no cursor, so when more is asked for than one export may hold, a full export is read again day
    /// by day: otherwise ten thousand reports that wait for a person would hide all others.
    pub(super) async fn read_ready(&self, from: Date, to: Date, limit: u32) -> Result<SourcePage, Failure> {
        let limit = limit.max(1);
        let most = self.settings.page_limit;
        let mut answer = Gathered::default();
        let mut spans: Vec<(Date, Date)> = calls::spans(from, to, MAX_SPAN_DAYS);
        spans.reverse();
        while let Some((first, last)) = spans.pop() {
            let room = limit.saturating_sub(answer.len()).clamp(1, most);
            // Of one part among several a false "none" would be passed by the high-water mark of the others.
            let alone = (first, last) == (from, to);
            let (full, part) = self.ready_part(first, last, room, alone).await?;
            // A full page of reports that are none of ours must not hide ours behind it.
            let again = full && room < most && (part.is_empty() || limit > most);
            let (full, part) =
                if again { self.ready_part(first, last, most, alone).await? } else { (full, part) };
            let divide = full && (part.is_empty() || limit > most);
            if let Some((earlier, later)) = halves(first, last).filter(|_| divide) {
                spans.extend([later, earlier]);
                continue;
            }
            answer.absorb(part);
            if divide {
                // Said as a record without an id: the run counts as incomplete, so the high-water mark stays.
                answer.hide(format!(
                    "more than {most} reports without our mark are dated around {first}, which is all that one export may \
                     hold: book or close those that are held, or narrow `policies` in the settings of the connection"
                ));
            }
            if (full && !divide) || (answer.len() >= limit && !spans.is_empty()) {
                answer.more = true;
                break;
            }
        }
        Ok(answer.into_page())
    }

    async fn ready_part(
        &self,
        first: Date,
        last: Date,
        limit: u32,
        blank_is_final: bool,
    ) -> Result<(bool, Gathered), Failure> {
        let query = ExportQuery {
            limit: Some(limit),
            without_mark: Some(self.settings.label.clone()),
            ..self.approved_within(first, last)
        };
        let file = self.export(&query, blank_is_final).await?;
        let full = u32::try_from(file.reports.len()).is_ok_and(|found| found >= limit);
        Ok((full, self.gather(&file, &Wanted::Approved(first, last))))
    }

    /// All reports approved within the days, marked or not.
    pub(super) async fn read_period(&self, from: Date, to: Date) -> Result<SourcePage, Failure> {
        let mut answer = Gathered::default();
        for (first, last) in calls::spans(from, to, self.settings.period_days.min(MAX_SPAN_DAYS)) {
            let file = self.export(&self.approved_within(first, last), false).await?;
            answer.absorb(self.gather(&file, &Wanted::Approved(first, last)));
        }
        Ok(answer.into_page())
    }

    /// These reports, marked or not.
    pub(super) async fn read_ids(&self, ids: &[SourceId]) -> Result<SourcePage, Failure> {
        let (usable, unusable): (Vec<&str>, Vec<&str>) =
            ids.iter().map(SourceId::as_str).partition(|id| is_id(id));
        let mut answer = Gathered::default();
        for chunk in usable.chunks(IDS_PER_JOB) {
            let reports = chunk.iter().map(|id| (*id).to_owned()).collect();
            let query =
                ExportQuery { states: self.settings.states.clone(), reports, ..ExportQuery::default() };
            let file = self.export(&query, false).await?;
            answer.absorb(self.gather(&file, &Wanted::Named(chunk)));
        }
        let mut page = answer.into_page();
        page.unreadable.extend(unusable.into_iter().map(|id| Unreadable {
            source_id: Some(SourceId::new(id)),
            message: "this is not an id that Expensify gives to reports".to_owned(),
        }));
        Ok(page)
    }

    /// One day more on either side: whether the day of `approvedAfter` counts is contradictory, `endDate` looks at
    /// other dates than approval, and the time zone of both is not told.
    fn approved_within(&self, first: Date, last: Date) -> ExportQuery {
        ExportQuery {
            states: self.settings.states.clone(),
            approved_after: Some(first.pred_opt().unwrap_or(first)),
            end: Some(last.succ_opt().unwrap_or(last)),
            policies: self.settings.policies.clone(),
            ..ExportQuery::default()
        }
    }

    fn gather(&self, file: &ExportFile, wanted: &Wanted<'_>) -> Gathered {
        let mut gathered = Gathered::default();
        let mut seen: BTreeMap<&str, &RawReport> = BTreeMap::new();
        for report in file.reports.iter().filter(|report| self.belongs(report, wanted)) {
            let id = report.header.report_id.get();
            match id.and_then(|id| seen.insert(id, report)) {
                Some(before) if before == report => {}
                Some(_) => gathered.contradict(id.unwrap_or_default()),
                None => gathered.add(id, convert::document(report, &self.settings)),
            }
        }
        gathered
    }

    /// Whether a report is asked for; what cannot be told counts as yes, so that nothing disappears unseen.
    fn belongs(&self, report: &RawReport, wanted: &Wanted<'_>) -> bool {
        let head = &report.header;
        let state_fits =
            convert::state_of(head).is_none_or(|state| self.settings.states.iter().any(|s| s == state));
        let policies = &self.settings.policies;
        let policy_fits = policies.is_empty()
            || head
                .policy_id
                .get()
                .is_none_or(|id| policies.iter().any(|policy| policy.eq_ignore_ascii_case(id)));
        let asked_for = match wanted {
            Wanted::Approved(first, last) => match convert::date(&head.approved, "") {
                Ok(Some(day)) => (*first..=*last).contains(&day),
                Ok(None) | Err(_) => true,
            },
            Wanted::Named(ids) => head.report_id.get().is_none_or(|id| ids.contains(&id)),
        };
        state_fits && policy_fits && asked_for
    }
}

/// Two parts of a span of days; `None` for a single day.
fn halves(first: Date, last: Date) -> Option<((Date, Date), (Date, Date))> {
    let days = u64::try_from((last - first).num_days()).ok().filter(|days| *days > 0)?;
    let middle = first.checked_add_days(chrono::Days::new((days - 1) / 2))?;
    Some(((first, middle), (middle.succ_opt()?, last)))
}

/// What was read so far, each report once.
#[derive(Default)]
struct Gathered {
    page: SourcePage,
    more: bool,
    known: BTreeSet<String>,
}

impl Gathered {
    fn len(&self) -> u32 {
        u32::try_from(self.page.documents.len() + self.page.unreadable.len()).unwrap_or(u32::MAX)
    }

    /// Something that could not be read, and of which not even the id is known.
    fn hide(&mut self, message: String) {
        self.page.unreadable.push(Unreadable { source_id: None, message });
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add(&mut self, id: Option<&str>, converted: Result<SpendDocument, String>) {
        self.known.extend(id.map(str::to_owned));
        match converted {
            Ok(document) => self.page.documents.push(document),
            Err(message) => {
                self.page.unreadable.push(Unreadable { source_id: id.map(SourceId::new), message });
            }
        }
    }

    /// Two versions of one report in one answer: neither can be trusted.
    fn contradict(&mut self, id: &str) {
        self.page.documents.retain(|document| document.source_id.as_str() != id);
        self.page
            .unreadable
            .retain(|other| other.source_id.as_ref().is_none_or(|other| other.as_str() != id));
        self.page.unreadable.push(Unreadable {
            source_id: Some(SourceId::new(id)),
            message:
                "the report stands in the export twice with different content; it is read again next time"
                    .to_owned(),
        });
    }

    /// Adds what a later export brought. A report that both hold may have changed between them: the later one counts.
    fn absorb(&mut self, later: Gathered) {
        let newer = |id: &str| later.known.contains(id);
        self.page.documents.retain(|document| !newer(document.source_id.as_str()));
        self.page.unreadable.retain(|other| !other.source_id.as_ref().is_some_and(|id| newer(id.as_str())));
        self.page.documents.extend(later.page.documents);
        self.page.unreadable.extend(later.page.unreadable);
        self.known.extend(later.known);
    }

    fn into_page(self) -> SourcePage {
        SourcePage { more: self.more, ..self.page }
    }
}
