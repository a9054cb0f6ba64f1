//! Settled transactions, accounts and statements: the same spend once more, as the bank sees it.

use super::BrexSim;
use super::books::Record;
use super::query::Query;
use super::refusal::{Outcome, Refusal};
use super::wire;
use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use serde_json::{Value, json};

impl BrexSim {
    pub(super) fn card_transactions(&self, query: &Query, token: &str) -> Outcome<Value> {
        let from = query.moment("posted_at_start")?.map(|moment| moment.date_naive());
        let own = self.only_own(token);
        let wanted = |record: &&Record| {
            record.card.is_some()
                && query.allows("user_ids", record.user.as_deref())
                && own.as_ref().is_none_or(|own| record.user.as_ref() == Some(own))
                && from.is_none_or(|bound| record.posted.date_naive() >= bound)
        };
        let mut found: Vec<&Record> = self.books.records.iter().filter(wanted).collect();
        found.sort_by(|a, b| (b.posted, &b.card).cmp(&(a.posted, &a.card)));
        let expand = query.all("expand[]").contains(&"expense_id");
        self.listed(query, &found, |record| self.card_body(record, expand))
    }

    /// A purchase is positive, what comes back and what the company pays negative.
    fn card_body(&self, record: &Record, expand: bool) -> Value {
        let (kind, amount) = match record.kind.as_str() {
            "CARD_PAYMENT" => ("COLLECTION", -record.amount()),
            "CARD_EXPENSE_REFUND" => ("REFUND", -record.amount()),
            _ => ("PURCHASE", record.amount()),
        };
        let merchant = record.merchant.as_ref().map(|(_, merchant)| merchant);
        json!({
            "id": record.card,
            "card_id": (kind != "COLLECTION").then(|| self.books.card_id.clone()),
            "description": merchant.map_or("Card payment", |merchant| merchant.name.as_str()),
            "amount": wire::minor(amount, &record.currency),
            "initiated_at_date": record.purchased.date_naive(),
            "posted_at_date": record.posted.date_naive(),
            "type": kind,
            "merchant": merchant.map(|m| json!({"raw_descriptor": m.name, "mcc": m.mcc, "country": "USA"})),
            "card_metadata": null,
            "expense_id": record.source_id.as_ref().filter(|_| expand)})
    }

    pub(super) fn cash_transactions(&self, id: &str, query: &Query) -> Outcome<Value> {
        self.cash_account(id)?;
        let from = query.moment("posted_at_start")?.map(|moment| moment.date_naive());
        let mut found: Vec<(DateTime<Utc>, Value)> = self.cash_movements();
        found.retain(|(posted, _)| from.is_none_or(|bound| posted.date_naive() >= bound));
        found.sort_by_key(|(posted, _)| std::cmp::Reverse(*posted));
        self.listed(query, &found, |(_, body)| body.clone())
    }

    fn cash_movements(&self) -> Vec<(DateTime<Utc>, Value)> {
        let body = |id: &str,
                    description: &str,
                    amount: Value,
                    posted: DateTime<Utc>,
                    kind: &str,
                    transfer: bool| {
            let day = posted.date_naive();
            (
                posted,
                json!({
                "id": id, "description": description, "amount": amount, "initiated_at_date": day,
                "posted_at_date": day, "type": kind, "transfer_id": transfer.then(|| id.replace("dptx", "transfer"))}),
            )
        };
        let mut all = Vec::new();
        for record in self.books.records.iter().filter(|record| !record.echo) {
            let Some(id) = &record.cash else { continue };
            let (kind, description, sign) = match record.kind.as_str() {
                "CARD_PAYMENT" => ("CARD_COLLECTION", "Card payment", -1),
                "CARD_EXPENSE_REPAYMENT" => ("PAYMENT", "Repayment", 1),
                "BILL_EXPENSE" => ("PAYMENT", "Bill payment", -1),
                _ => ("PAYMENT", "Reimbursement", -1),
            };
            let amount = wire::minor(sign * record.amount(), &record.currency);
            all.push(body(id, description, amount, record.posted, kind, kind == "PAYMENT"));
        }
        for fee in &self.books.fees {
            let amount = fee.amount.map_or(Value::Null, |amount| wire::minor(-amount, &fee.currency));
            all.push(body(&fee.id, "Wire fee", amount, fee.posted, "FEE", false));
        }
        all
    }

    /// A bare array, not a page.
    pub(super) fn card_accounts(&self) -> Value {
        let owed: i64 = self.books.records.iter().filter(|r| r.card.is_some()).map(Record::signed).sum();
        let today = self.clock.now().date_naive();
        json!([{
            "id": self.books.card_account, "status": "ACTIVE",
            "current_balance": wire::minor(owed, &self.books.currency),
            "available_balance": wire::minor(100_000_000 - owed, &self.books.currency),
            "account_limit": wire::minor(100_000_000, &self.books.currency),
            "current_statement_period": period(today)}])
    }

    pub(super) fn cash_accounts(&self, query: &Query) -> Outcome<Value> {
        self.listed(query, &[self.cash_body()], Value::clone)
    }

    pub(super) fn cash_account(&self, id: &str) -> Outcome<Value> {
        if id == "primary" || id == self.books.cash_account {
            return Ok(self.cash_body());
        }
        Err(Refusal::not_found("Account not found", Some("ACCOUNT_NOT_FOUND")))
    }

    fn cash_body(&self) -> Value {
        let balance = wire::minor(500_000_000, &self.books.currency);
        json!({
            "id": self.books.cash_account, "name": "Operating", "status": "ACTIVE", "current_balance": balance,
            "available_balance": balance, "account_number": "000000000000", "routing_number": "000000000",
            "primary": true})
    }

    pub(super) fn card_statements(&self, query: &Query) -> Outcome<Value> {
        self.listed(query, &[self.statement()], Value::clone)
    }

    pub(super) fn cash_statements(&self, id: &str, query: &Query) -> Outcome<Value> {
        self.cash_account(id)?;
        self.listed(query, &[self.statement()], Value::clone)
    }

    fn statement(&self) -> Value {
        let zero = wire::minor(0, &self.books.currency);
        let today = self.clock.now().date_naive();
        let before = today.with_day(1).and_then(|first| first.pred_opt()).unwrap_or(today);
        json!({"id": "statement_1", "start_balance": zero, "end_balance": zero, "period": period(before)})
    }
}

/// The calendar month of a day.
fn period(day: NaiveDate) -> Value {
    let first = day.with_day(1).unwrap_or(day);
    let last = (28..=31).rev().find_map(|number| day.with_day(number)).unwrap_or(day);
    json!({"start_date": first, "end_date": last})
}
