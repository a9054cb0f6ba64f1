//! The general ledger's manual journals: groups, headers, lines. Journals have no natural key, so a second one is
//! never refused.

use super::amount::Amount;
use super::dataset::{
    Change, change_of, check_types, dataset_answer, dataset_answer_with, dataset_of, echoed, push_row,
    rows_of, set_rows, skeleton,
};
use super::docs::{JOURNAL_CODE, Journal, JournalLine, Stamp, custom_of};
use super::json::{Json, Row, amount_of, int_of, put, row, text_of};
use super::knobs::JournalAmounts;
use super::methods::{table_of, text_argument};
use super::payables::account_in;
use super::reference::{BOOK, CALENDAR, COA, day_of, day_text};
use super::refusal::{Outcome, Refusal};
use super::{EpicorSim, returned};

impl EpicorSim {
    pub(super) fn ledger_call(
        &mut self,
        at: usize,
        service: &str,
        name: &str,
        mut arguments: Row,
    ) -> Outcome<Row> {
        let width = self.knobs.width;
        match (service, name) {
            ("Erp.BO.GLJrnGrpSvc", "GetNewGLJrnGrp" | "GetNewGLJrnGrpNoLock") => {
                let mut dataset = dataset_of(&mut arguments)?;
                let mut known = self.new_gl_group(at);
                if name == "GetNewGLJrnGrp" {
                    put(&mut known, "ActiveUserID", self.user.as_str());
                }
                push_row(&mut dataset, "GLJrnGrp", skeleton("GLJrnGrp", width, known));
                Ok(dataset_answer(dataset))
            }
            ("Erp.BO.GLJrnGrpSvc", "CheckFiscalYear") => self.check_fiscal_year(at, &mut arguments),
            ("Erp.BO.GLJrnGrpSvc", "Update") => {
                let dataset = dataset_of(&mut arguments)?;
                for sent in rows_of(&dataset, "GLJrnGrp") {
                    if change_of(&sent) == Some(Change::Add)
                        && let Some(day) = day_of(&sent, "JEDate")
                    {
                        self.companies[at].reference.open_period(day, "GLJrnGrp", "JEDate")?;
                    }
                }
                self.save_groups(at, "GLJrnGrp", dataset)
            }
            ("Erp.BO.GLJrnGrpSvc", "UnlockGroup") => {
                let id = text_argument(&arguments, "InGroupID")?.to_owned();
                let mut group =
                    self.companies[at].gl_groups.get(&id).cloned().ok_or_else(Refusal::no_record)?;
                put(&mut group, "ActiveUserID", "");
                self.stamp(&mut group);
                self.companies[at].gl_groups.insert(id, group);
                Ok(Row::new())
            }
            ("Erp.BO.GLJrnGrpSvc", _) => self.reference_call(at, service, name, &arguments),
            (_, "GetNewGlJrnHedTran") => self.new_journal(at, &mut arguments),
            (_, "GetNewGLJrnDtlMnl") => self.new_journal_line(at, &mut arguments),
            (_, "PreUpdate") => {
                let dataset = dataset_of(&mut arguments)?;
                Ok(dataset_answer_with(dataset, row([("RequiresUserInput", false.into())])))
            }
            (_, "CheckDtlBeforeUpdate") => {
                let dataset = dataset_of(&mut arguments)?;
                Ok(dataset_answer_with(dataset, row([("OpMessage", "".into())])))
            }
            (_, "Update") => self.save_journals(at, dataset_of(&mut arguments)?),
            (_, "GetByID") => {
                let number = text_argument(&arguments, "journalNum")?.parse().unwrap_or_default();
                let journal = self.companies[at].journals.get(&number).ok_or_else(Refusal::no_record)?;
                Ok(returned(self.whole_journal(at, journal)))
            }
            (_, "GetByGroupID") => {
                let company = &self.companies[at];
                let numbers = company.journals_of.get(text_argument(&arguments, "GroupID")?);
                let journals =
                    numbers.into_iter().flatten().filter_map(|number| company.journals.get(number));
                let mut all = Row::new();
                for journal in journals {
                    for table in ["GLJrnHed", "GLJrnDtlMnl"] {
                        rows_of(&self.whole_journal(at, journal), table)
                            .into_iter()
                            .for_each(|row| push_row(&mut all, table, row));
                    }
                }
                Ok(returned(all))
            }
            _ => {
                Err(Refusal::business("GLJrnHed", "", format!("{name} is not for manual entry."))
                    .wrong_call())
            }
        }
    }

    pub(super) fn new_gl_group(&self, at: usize) -> Row {
        let period = self.companies[at].reference.period(self.today);
        row([
            ("Company", self.companies[at].id.as_str().into()),
            ("BookID", BOOK.into()),
            ("BookMode", "S".into()),
            ("JournalCode", JOURNAL_CODE.into()),
            ("JEDate", day_text(self.today).into()),
            ("FiscalCalendarID", CALENDAR.into()),
            ("FiscalYear", period.map_or(0, |period| period.year).into()),
            ("FiscalPeriod", period.map_or(0, |period| period.number).into()),
            ("CreatedBy", self.user.as_str().into()),
        ])
    }

    fn check_fiscal_year(&mut self, at: usize, arguments: &mut Row) -> Outcome<Row> {
        let mut dataset = dataset_of(arguments)?;
        let day =
            day_of(arguments, "cJEDate").ok_or_else(|| Refusal::bad_input("cJEDate must be a date."))?;
        let period = self.companies[at].reference.open_period(day, "GLJrnGrp", "JEDate")?;
        let mut rows = rows_of(&dataset, "GLJrnGrp");
        for row in &mut rows {
            put(row, "JEDate", day_text(day));
            put(row, "FiscalYear", period.year);
            put(row, "FiscalPeriod", period.number);
        }
        set_rows(&mut dataset, "GLJrnGrp", rows);
        Ok(dataset_answer_with(dataset, row([("opMessage", "".into())])))
    }

    fn open_gl_group(&self, at: usize, id: &str) -> Outcome<&Row> {
        let group = self.companies[at].gl_groups.get(id);
        let group = group
            .ok_or_else(|| Refusal::business("GLJrnHed", "GroupID", format!("Group {id} is not valid.")))?;
        self.check_lock(group)?;
        Ok(group)
    }

    fn new_journal(&mut self, at: usize, arguments: &mut Row) -> Outcome<Row> {
        let mut dataset = dataset_of(arguments)?;
        let id = text_argument(arguments, "GroupID")?.to_owned();
        let group = self.open_gl_group(at, &id)?.clone();
        let of = |name: &str| group.get(name).cloned().unwrap_or_default();
        let known = row([
            ("Company", self.companies[at].id.as_str().into()),
            ("BookID", of("BookID")),
            ("JournalCode", of("JournalCode")),
            ("JEDate", of("JEDate")),
            ("FiscalYear", of("FiscalYear")),
            ("FiscalPeriod", of("FiscalPeriod")),
            ("FiscalCalendarID", CALENDAR.into()),
            ("CurrencyCode", self.world.currency.as_str().into()),
            ("GroupID", id.into()),
        ]);
        push_row(&mut dataset, "GLJrnHed", skeleton("GLJrnHed", self.knobs.width, known));
        Ok(dataset_answer(dataset))
    }

    fn new_journal_line(&mut self, at: usize, arguments: &mut Row) -> Outcome<Row> {
        let mut dataset = dataset_of(arguments)?;
        let journal =
            self.stored_journal(at, arguments, ["bookID", "fiscalYear", "journalCode", "journalNum"])?;
        let known = row([
            ("Company", self.companies[at].id.as_str().into()),
            ("BookID", BOOK.into()),
            ("FiscalYear", journal.year.into()),
            ("FiscalPeriod", journal.period.into()),
            ("JournalCode", JOURNAL_CODE.into()),
            ("JournalNum", journal.number.into()),
            ("FiscalCalendarID", CALENDAR.into()),
            ("GroupID", journal.group.into()),
            ("JEDate", day_text(journal.date).into()),
            ("COACode", COA.into()),
            ("CurrencyCode", journal.currency.into()),
        ]);
        push_row(&mut dataset, "GLJrnDtlMnl", skeleton("GLJrnDtlMnl", self.knobs.width, known));
        Ok(dataset_answer(dataset))
    }

    /// The journal that a row or arguments name: book, year, code and number must all be right.
    fn stored_journal(
        &self,
        at: usize,
        row: &Row,
        [book, year, code, number]: [&str; 4],
    ) -> Outcome<Journal> {
        let found = self.companies[at].journals.get(&int_of(row, number)).filter(|journal| {
            text_of(row, book) == BOOK
                && int_of(row, year) == journal.year
                && text_of(row, code) == JOURNAL_CODE
        });
        found.cloned().ok_or_else(|| Refusal::business("GLJrnDtlMnl", "JournalNum", "Journal is not valid."))
    }

    /// Saves every marked row, all or none.
    fn save_journals(&mut self, at: usize, dataset: Row) -> Outcome<Row> {
        let company = &self.companies[at];
        let last = company.last_journal;
        let rows = ["GLJrnHed", "GLJrnDtlMnl"].into_iter().flat_map(|table| rows_of(&dataset, table));
        let before: Vec<Journal> =
            rows.filter_map(|row| company.journals.get(&int_of(&row, "JournalNum")).cloned()).collect();
        let outcome = self.save_marked_journals(at, dataset);
        if outcome.is_err() {
            let company = &mut self.companies[at];
            for number in last + 1..=company.last_journal {
                company.remove_journal(number);
            }
            company.last_journal = last;
            before.into_iter().for_each(|journal| company.put_journal(journal));
        }
        outcome
    }

    fn save_marked_journals(&mut self, at: usize, mut dataset: Row) -> Outcome<Row> {
        let mut numbers = Vec::new();
        for table in ["GLJrnHed", "GLJrnDtlMnl"] {
            let mut answered = Vec::new();
            for sent in rows_of(&dataset, table) {
                let Some(change) = change_of(&sent) else {
                    answered.push(sent);
                    continue;
                };
                check_types(table, &sent)?;
                let saved = match table {
                    "GLJrnHed" => self.save_journal(at, change, &sent)?,
                    _ => self.save_journal_line(at, change, &sent)?,
                };
                // The before-image of a changed row has done its work.
                answered.retain(|row: &Row| text_of(row, "SysRowID") != text_of(&sent, "SysRowID"));
                if let Some(saved) = saved {
                    numbers.push(int_of(&saved, "JournalNum"));
                    answered.push(echoed(&sent, saved, table, self.knobs.width));
                }
            }
            set_rows(&mut dataset, table, answered);
        }
        self.refresh_headers(at, &mut dataset, &numbers);
        Ok(dataset_answer(dataset))
    }

    /// Headers carry totals and a version that change with their lines.
    fn refresh_headers(&self, at: usize, dataset: &mut Row, numbers: &[i64]) {
        let company = &self.companies[at];
        let mut rows = rows_of(dataset, "GLJrnHed");
        for row in &mut rows {
            let number = int_of(row, "JournalNum");
            if let Some(journal) = company.journals.get(&number).filter(|_| numbers.contains(&number)) {
                row.extend(journal.row(&company.id));
            }
        }
        set_rows(dataset, "GLJrnHed", rows);
    }

    fn save_journal(&mut self, at: usize, change: Change, sent: &Row) -> Outcome<Option<Row>> {
        let group = self.open_gl_group(at, text_of(sent, "GroupID"))?.clone();
        if change == Change::Delete {
            let journal =
                self.stored_journal(at, sent, ["BookID", "FiscalYear", "JournalCode", "JournalNum"])?;
            not_posted(&journal)?;
            self.companies[at].remove_journal(journal.number);
            return Ok(None);
        }
        let day = day_of(sent, "JEDate").or_else(|| day_of(&group, "JEDate"));
        let day = day.ok_or_else(|| Refusal::business("GLJrnHed", "JEDate", "Journal date is required."))?;
        let period = self.companies[at].reference.open_period(day, "GLJrnHed", "JEDate")?;
        let old = match change {
            Change::Add => None,
            _ => {
                Some(self.stored_journal(at, sent, ["BookID", "FiscalYear", "JournalCode", "JournalNum"])?)
            }
        };
        if let Some(old) = &old {
            not_posted(old)?;
            if old.stamp.rev != int_of(sent, "SysRevID") {
                return Err(Refusal::stale("GLJrnHed"));
            }
        }
        let rev = self.next_revision();
        let company = &mut self.companies[at];
        if old.is_none() {
            company.last_journal += 1;
        }
        let journal = Journal {
            stamp: old.as_ref().map_or(Stamp::new(rev), |old| Stamp { rev, born: old.stamp.born }),
            number: old.as_ref().map_or(company.last_journal, |old| old.number),
            group: text_of(sent, "GroupID").to_owned(),
            date: day,
            year: period.year,
            period: period.number,
            description: text_of(sent, "Description").to_owned(),
            comment: text_of(sent, "CommentText").to_owned(),
            currency: text_of(sent, "CurrencyCode").to_owned(),
            posted: None,
            created: old.as_ref().map_or(self.today, |old| old.created),
            entered_by: self.user.clone(),
            custom: custom_of(sent),
            lines: old.map(|old| old.lines).unwrap_or_default(),
        };
        let saved = journal.row(&company.id);
        company.put_journal(journal);
        Ok(Some(saved))
    }

    fn save_journal_line(&mut self, at: usize, change: Change, sent: &Row) -> Outcome<Option<Row>> {
        let mut journal =
            self.stored_journal(at, sent, ["BookID", "FiscalYear", "JournalCode", "JournalNum"])?;
        not_posted(&journal)?;
        self.open_gl_group(at, &journal.group)?;
        let number = int_of(sent, "JournalLine");
        let place = journal.lines.iter().position(|line| line.number == number);
        let account = account_in(sent);
        if change != Change::Delete {
            if account.is_empty() {
                let message = "G/L Account is required.";
                return Err(Refusal::business("GLJrnDtlMnl", "GLAccount", message));
            }
            self.companies[at].reference.check_account(&account, journal.date, "GLJrnDtlMnl")?;
        }
        let rev = self.next_revision();
        let (debit, credit) = self.journal_amounts(sent)?;
        let mut line = JournalLine {
            stamp: Stamp::new(rev),
            number,
            account,
            description: text_of(sent, "Description").to_owned(),
            comment: text_of(sent, "CommentText").to_owned(),
            debit,
            credit,
            custom: custom_of(sent),
        };
        let saved = match (change, place) {
            (Change::Add, _) => {
                line.number = journal.lines.last().map_or(1, |line| line.number + 1);
                journal.lines.push(line.clone());
                Some(line)
            }
            (_, None) => {
                return Err(Refusal::business("GLJrnDtlMnl", "GLAccount", "G/L Account is required."));
            }
            (Change::Delete, Some(place)) => {
                journal.lines.remove(place);
                None
            }
            (Change::Update, Some(place)) => {
                let old = &journal.lines[place];
                if old.stamp.rev != int_of(sent, "SysRevID") {
                    return Err(Refusal::stale("GLJrnDtlMnl"));
                }
                line.stamp.born = old.stamp.born;
                journal.lines[place] = line.clone();
                Some(line)
            }
        };
        journal.stamp.rev = self.next_revision();
        let company = &mut self.companies[at];
        let row = saved.map(|line| journal.line_row(&company.id, &line));
        company.put_journal(journal);
        Ok(row)
    }

    fn journal_amounts(&self, sent: &Row) -> Outcome<(Amount, Amount)> {
        let (debit, credit) = match self.knobs.journal_amounts {
            JournalAmounts::Tot => ("TotDebit", "TotCredit"),
            JournalAmounts::Debit => ("DebitAmount", "CreditAmount"),
        };
        let (debit, credit) = (amount_of(sent, debit), amount_of(sent, credit));
        if debit.is_zero() || credit.is_zero() {
            return Ok((debit, credit));
        }
        Err(Refusal::business("GLJrnDtlMnl", "TotDebit", "A line is either a debit or a credit."))
    }

    fn whole_journal(&self, at: usize, journal: &Journal) -> Row {
        let company = &self.companies[at].id;
        let wide = |table: &str, mut row: Row| {
            put(&mut row, "RowMod", "");
            table_of(table).widen(&mut row, self.knobs.width);
            Json::Obj(row)
        };
        let lines = journal.lines.iter().map(|line| wide("GLJrnDtlMnl", journal.line_row(company, line)));
        row([
            ("GLJrnDtlMnl", lines.collect::<Vec<_>>().into()),
            ("GLJrnHed", vec![wide("GLJrnHed", journal.row(company))].into()),
            ("ExtensionTables", Vec::new().into()),
        ])
    }
}

fn not_posted(journal: &Journal) -> Outcome<()> {
    if journal.posted.is_none() {
        return Ok(());
    }
    Err(Refusal::business("GLJrnHed", "Posted", "The journal is posted and cannot be changed."))
}
