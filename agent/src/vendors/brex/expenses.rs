//! The fall-back surface: settled card expenses, and the card and cash transactions that are no expenses. Brex keeps no
//! mark that we could set, so everything is offered again and the posting log alone keeps records apart.
//!
//! Ids of transactions are prefixed (`card:`, `cash:ACCOUNT:`), because they cannot be read by id and are looked for in
//! their list. Money is whole minor units here.

use super::Brex;
use super::book::Book;
use super::calls::{self, Changed};
use super::coding::{self, Coded, Place};
use super::convert::{day, owner, text, tidy, title};
use super::outcome::Refusal;
use super::page::{Item, Walk};
use super::read::{Gathered, Read, not_an_id};
use super::settings::{Settings, is_id};
use super::surface::filter;
use super::wire::{Expense, Transaction, User};
use crate::vendors::{SourceHabits, SourcePage, SourceWindow, Unreadable};
use chrono::Days;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use spend::Date;
use spend::document::{Owner, RecordKind, SpendDocument, SpendLine};
use spend::ids::{LineId, Revision, SourceId};
use spend::money::Money;
use spend::posting::Failure;

/// Expenses that are read by id at once.
const READS_AT_ONCE: usize = 8;
/// How far back transactions are looked for by id.
const LOOK_BACK: Days = Days::new(400);
const CARD: &str = "card:";
const CASH: &str = "cash:";

/// Which expenses belong to the answer.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// Those that were not exported by somebody else.
    Ready,
    /// Those posted within the days.
    Posted(Date, Date),
    /// All that are settled.
    Named,
}

impl Brex {
    /// What a window needs.
    pub(super) async fn read_expenses(&self, window: &SourceWindow) -> Result<SourcePage, Failure> {
        let page = match window {
            SourceWindow::Ready { from, to, limit } => self.ready_expenses(*from, *to, *limit).await,
            SourceWindow::Period { from, to } => self.expenses_of_period(*from, *to).await,
            SourceWindow::Ids(ids) => self.named_expenses(ids).await,
        }?;
        let habits = SourceHabits { keeps_no_mark: true, sweep_days: self.settings.sweep_days };
        Ok(SourcePage { habits, ..page })
    }

    async fn ready_expenses(&self, from: Date, to: Date, limit: u32) -> Result<SourcePage, Failure> {
        let limit = limit.max(1);
        let changed = Changed { from, before: self.end_of(to) };
        let size = self.settings.page_size.min(u16::try_from(limit).unwrap_or(u16::MAX));
        let mut answer = Gathered::default();
        let mut walk = Walk::new(calls::expenses(filter(&self.settings), &changed, size));
        while answer.len() < limit
            && let Some(items) = walk.next(self).await.map_err(Failure::from)?
        {
            answer.extend(self.expenses_of(items, Wanted::Ready).await?);
        }
        let more = walk.has_more();
        if !more {
            answer.extend(self.transactions(from, to).await?);
        }
        Ok(answer.into_page(limit, more))
    }

    async fn expenses_of_period(&self, from: Date, to: Date) -> Result<SourcePage, Failure> {
        let earliest = from.checked_sub_days(Days::new(self.settings.lead_days.into())).unwrap_or(from);
        let changed = Changed { from: earliest, before: None };
        let request = calls::expenses(filter(&self.settings), &changed, self.settings.page_size);
        let items = Walk::all(request, self).await.map_err(Failure::from)?;
        let mut answer = Gathered::default();
        answer.extend(self.expenses_of(items, Wanted::Posted(from, to)).await?);
        answer.extend(self.transactions(from, to).await?);
        Ok(answer.into_page(u32::MAX, false))
    }

    async fn named_expenses(&self, ids: &[SourceId]) -> Result<SourcePage, Failure> {
        let all = ids.iter().map(SourceId::as_str);
        let (transactions, expenses): (Vec<&str>, Vec<&str>) =
            all.partition(|id| id.starts_with(CARD) || id.starts_with(CASH));
        let (usable, unusable): (Vec<&str>, Vec<&str>) = expenses.into_iter().partition(|id| is_id(id));
        let mut reads = Vec::new();
        for id in usable {
            reads.push(self.expense_by_id(id));
        }
        let found: Vec<Option<Item>> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
        let mut answer = Gathered::default();
        answer.extend(self.expenses_of(found.into_iter().flatten().collect(), Wanted::Named).await?);
        answer.extend(unusable.into_iter().map(not_an_id));
        if !transactions.is_empty() {
            let today = self.today();
            let reads = self.transactions(today.checked_sub_days(LOOK_BACK).unwrap_or(today), today).await?;
            answer.extend(
                reads.into_iter().filter(|read| read.id().is_some_and(|id| transactions.contains(&id))),
            );
        }
        Ok(answer.into_page(u32::MAX, false))
    }

    async fn expense_by_id(&self, id: &str) -> Result<Option<Item>, Failure> {
        match self.get(&calls::expense(id)).await {
            Ok(raw) => Ok(Some(Item { id: Some(id.to_owned()), raw })),
            Err(Refusal { status: 404, .. }) => Ok(None),
            Err(refusal) => Err(refusal.failure),
        }
    }

    /// Expenses that are settled, and meant.
    async fn expenses_of(&self, items: Vec<Item>, wanted: Wanted) -> Result<Vec<Read>, Failure> {
        let mut reads = Vec::new();
        let mut settled = Vec::new();
        for item in items {
            match serde_json::from_str::<Expense>(item.raw.get()) {
                Ok(expense) if self.is_wanted(&expense, wanted) => settled.push((item.id, expense)),
                Ok(_) => {}
                Err(error) => {
                    let message = format!("the expense is not understood: {error}");
                    let source_id = item.id.map(SourceId::new);
                    reads.push(Read::from(Err(Unreadable { source_id, message })));
                }
            }
        }
        self.learn_people(settled.iter().filter_map(|(_, expense)| expense.user_id.as_deref())).await?;
        let book = self.learn_fields(&settled).await?;
        let people = self.people.lock().await;
        for (id, expense) in settled {
            let email = expense.user_id.as_ref().and_then(|id| people.get(id)).and_then(Option::as_deref);
            let read = document(&expense, email, &book, &self.settings)
                .map_err(|message| Unreadable { source_id: id.map(SourceId::new), message });
            reads.push(Read::from(read).exported(text(expense.exported_at.as_deref()).is_some()));
        }
        Ok(reads)
    }

    /// The list is filtered by Brex; an expense by id, and a state that changed under the walk, are filtered here. What
    /// is not told counts as yes.
    fn is_wanted(&self, expense: &Expense, wanted: Wanted) -> bool {
        let chosen = &self.settings.expenses;
        let is_one_of = |word: &Option<String>, words: &[String]| {
            text(word.as_deref()).is_none_or(|word| words.iter().any(|known| known == word))
        };
        let settled = is_one_of(&expense.expense_type, &chosen.types)
            && is_one_of(&expense.status, &chosen.statuses)
            && is_one_of(&expense.payment_status, &chosen.payment_statuses);
        let meant = match wanted {
            Wanted::Ready => text(expense.exported_at.as_deref()).is_none(),
            Wanted::Posted(from, to) => booking_day(expense, &self.settings)
                .ok()
                .flatten()
                .is_none_or(|day| (from..=to).contains(&day)),
            Wanted::Named => true,
        };
        settled && meant
    }

    /// Reads the users once when one is not known yet: expenses name them without an address (D). Without the right to
    /// read users, owners stay empty; any other failure fails the reading, because an owner that is missing for a moment
    /// would be booked as nobody's.
    async fn learn_people(&self, ids: impl Iterator<Item = &str>) -> Result<(), Failure> {
        let mut people = self.people.lock().await;
        let unknown: Vec<String> = ids.filter(|id| !people.contains_key(*id)).map(str::to_owned).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        match Walk::all(calls::users(), self).await {
            Ok(items) => {
                for item in items {
                    let user: User = serde_json::from_str(item.raw.get()).unwrap_or_default();
                    if let (Some(id), email) = (item.id, user.email) {
                        people.insert(id, email.map(|email| email.trim().to_lowercase()));
                    }
                }
            }
            Err(refusal) if refusal.is_missing_right() => {
                tracing::warn!(failure = %refusal.failure, "users cannot be read: expenses stay without owner");
            }
            Err(refusal) => return Err(refusal.failure),
        }
        for id in unknown {
            people.entry(id).or_insert(None);
        }
        Ok(())
    }

    /// Card and cash transactions that are no expenses, posted within the days.
    async fn transactions(&self, from: Date, to: Date) -> Result<Vec<Read>, Failure> {
        let mut reads = Vec::new();
        let chosen = &self.settings.expenses;
        // One day more: whether the first day counts is not told, and the moment is without a zone.
        let first = from.pred_opt().unwrap_or(from);
        let size = self.settings.page_size;
        let within = |read: &Read| read.day().is_none_or(|day| (from..=to).contains(&day));
        if !chosen.card_transactions.is_empty() {
            let items =
                Walk::all(calls::card_transactions(first, size), self).await.map_err(Failure::from)?;
            let found =
                items.into_iter().filter_map(|i| transaction(i, CARD, &chosen.card_transactions, true));
            reads.extend(found.filter(within));
        }
        for account in &chosen.cash_accounts {
            let items = Walk::all(calls::cash_transactions(account, first, size), self)
                .await
                .map_err(Failure::from)?;
            let prefix = format!("{CASH}{account}:");
            let positive = !chosen.cash_out_is_negative;
            let found = items
                .into_iter()
                .filter_map(|i| transaction(i, &prefix, &chosen.cash_transactions, positive));
            reads.extend(found.filter(within));
        }
        Ok(reads)
    }
}

/// The day an expense is booked on: when its payment was posted; what is owed to an employee, when it was approved.
fn booking_day(expense: &Expense, settings: &Settings) -> Result<Option<Date>, String> {
    let zone = settings.tz();
    let moments = if is_owed(expense) {
        [&expense.approved_at, &expense.submitted_at, &expense.purchased_at]
    } else {
        [&expense.payment_posted_at, &expense.purchased_at, &expense.approved_at]
    };
    let told = moments.into_iter().find_map(|moment| text(moment.as_deref()));
    day(told, zone, "the day of the expense")
}

fn is_owed(expense: &Expense) -> bool {
    expense.expense_type.as_deref() == Some("REIMBURSEMENT")
}

/// An expense as a spend document, or why not.
pub(super) fn document(
    expense: &Expense,
    email: Option<&str>,
    book: &Book,
    settings: &Settings,
) -> Result<SpendDocument, String> {
    let id = text(expense.id.as_deref()).ok_or("the expense has no id")?;
    let approved = booking_day(expense, settings)?.ok_or("the expense has no day")?;
    let billed = expense.billing_amount.as_ref().ok_or("the expense has no billed amount")?;
    let amount = billed.money().map_err(|why| format!("the billed amount: {why}"))?;
    let original = expense.original_amount.as_ref().and_then(|original| original.money().ok());
    let descriptor = expense.merchant.as_ref().and_then(|merchant| merchant.raw_descriptor.as_deref());
    let merchant = descriptor.map(tidy).unwrap_or_default();
    let memo = expense.memo.as_deref().map(tidy).unwrap_or_default();
    let place = Place {
        department: (
            text(expense.department_id.as_deref()),
            expense.department.as_ref().and_then(|d| text(d.name.as_deref())),
        ),
        location: (
            text(expense.location_id.as_deref()),
            expense.location.as_ref().and_then(|l| text(l.name.as_deref())),
        ),
    };
    let fields = expense.custom_fields.as_deref().unwrap_or_default();
    let Coded { category, category_code, tags } =
        coding::of_custom_fields(fields, expense.category.as_deref(), &place, book, settings)?;
    let line = SpendLine {
        id: LineId::new(id),
        date: day(expense.purchased_at.as_deref(), settings.tz(), "the day of purchase")?,
        merchant: merchant.clone(),
        merchant_id: text(expense.merchant_id.as_deref()).map(str::to_owned),
        category,
        category_code,
        tags,
        amount,
        original: original.filter(|original| original.currency != amount.currency),
        tax: None,
        reimbursable: is_owed(expense),
        billable: false,
        comment: memo.clone(),
        receipt_url: None,
    };
    let person = expense.user.as_ref().map(owner).unwrap_or_default();
    let kind = text(expense.expense_type.as_deref()).unwrap_or("EXPENSE");
    let document = SpendDocument {
        source_id: SourceId::new(id),
        revision: Revision::new(""),
        kind: if is_owed(expense) { RecordKind::Reimbursement } else { RecordKind::CardTransaction },
        title: title(&memo, &merchant, kind),
        owner: Owner {
            email: email
                .map(str::to_owned)
                .or(Some(person.email).filter(|e| !e.is_empty()))
                .unwrap_or_default(),
            ..person
        },
        workspace: String::new(),
        status: expense.status.clone().unwrap_or_default(),
        currency: amount.currency,
        submitted: None,
        approved: Some(approved),
        paid: None,
        declared_total: Some(amount),
        lines: vec![line],
        same_as: None,
        part_of: text(expense.parent_expense_id.as_deref()).map(SourceId::new),
    };
    Ok(document.with_content_revision())
}

/// A transaction of one of these types; `positive` says whether an outflow is positive there.
fn transaction(item: Item, prefix: &str, types: &[String], positive: bool) -> Option<Read> {
    let source_id = |id: &str| SourceId::new(format!("{prefix}{id}"));
    let read: Transaction = match serde_json::from_str(item.raw.get()) {
        Ok(read) => read,
        Err(error) => {
            let message = format!("the transaction is not understood: {error}");
            return Some(Err(Unreadable { source_id: item.id.as_deref().map(source_id), message }).into());
        }
    };
    let kind = text(read.kind.as_deref()).unwrap_or_default().to_owned();
    if !types.contains(&kind) {
        return None;
    }
    let converted = transaction_document(&read, &kind, &source_id, positive);
    let unreadable = |message| Unreadable { source_id: item.id.as_deref().map(source_id), message };
    Some(converted.map_err(unreadable).into())
}

fn transaction_document(
    read: &Transaction,
    kind: &str,
    source_id: &dyn Fn(&str) -> SourceId,
    positive: bool,
) -> Result<SpendDocument, String> {
    let id = text(read.id.as_deref()).ok_or("the transaction has no id")?;
    let amount = read.amount.as_ref().ok_or("the transaction has no amount")?.money()?;
    let amount: Money =
        if positive { Ok(amount) } else { amount.negated() }.map_err(|error| error.to_string())?;
    let plain_day = |told: Option<&str>, what: &str| day(told, chrono_tz::Tz::UTC, what);
    let posted = plain_day(read.posted_at_date.as_deref(), "the day of posting")?
        .ok_or("the transaction has no day of posting")?;
    let descriptor = read.merchant.as_ref().and_then(|merchant| merchant.raw_descriptor.as_deref());
    let description = read.description.as_deref().map(tidy).unwrap_or_default();
    let merchant =
        descriptor.map(tidy).filter(|name| !name.is_empty()).unwrap_or_else(|| description.clone());
    let line = SpendLine {
        id: LineId::new(id),
        date: plain_day(read.initiated_at_date.as_deref(), "the day of the transaction")?,
        merchant: merchant.clone(),
        merchant_id: None,
        // There is no coding; the type leads to an account through the rules of the flow.
        category: Some(kind.to_owned()),
        category_code: None,
        tags: Vec::new(),
        amount,
        original: None,
        tax: None,
        reimbursable: false,
        billable: false,
        comment: text(read.expense_id.as_deref()).map(|id| format!("of {id}")).unwrap_or_default(),
        receipt_url: None,
    };
    let document = SpendDocument {
        source_id: source_id(id),
        revision: Revision::new(""),
        kind: RecordKind::CardTransaction,
        title: title(&description, "", kind),
        owner: Owner::default(),
        workspace: String::new(),
        status: kind.to_owned(),
        currency: amount.currency,
        submitted: None,
        approved: Some(posted),
        paid: None,
        declared_total: Some(amount),
        lines: vec![line],
        same_as: None,
        part_of: text(read.expense_id.as_deref()).map(SourceId::new),
    };
    Ok(document.with_content_revision())
}
