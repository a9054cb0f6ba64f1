//! Groups of invoices and of journals: made, locked, deleted when empty.

use super::EpicorSim;
use super::dataset::{Change, change_of, check_types, dataset_answer, dataset_of, echoed, rows_of, set_rows};
use super::json::{Json, Row, int_of, put, row, text_of};
use super::methods::text_argument;
use super::reference::{CALENDAR, day_text};
use super::refusal::{Outcome, Refusal};
use crate::server::{Reply, Request};

/// Longest group id.
const GROUP_ID: usize = 9;

impl EpicorSim {
    pub(super) fn new_ap_group(&self, at: usize, owner: &str) -> Row {
        let period = self.companies[at].reference.period(self.today);
        row([
            ("Company", self.companies[at].id.as_str().into()),
            ("FiscalCalendarID", CALENDAR.into()),
            ("FiscalYear", period.map_or(0, |period| period.year).into()),
            ("FiscalPeriod", period.map_or(0, |period| period.number).into()),
            ("ApplyDate", day_text(self.today).into()),
            ("ActiveUserID", owner.into()),
            ("CreatedBy", self.user.as_str().into()),
        ])
    }

    /// Saves group rows, of payables and of the ledger alike.
    pub(super) fn save_groups(&mut self, at: usize, table: &'static str, mut dataset: Row) -> Outcome<Row> {
        let mut answered = Vec::new();
        for sent in rows_of(&dataset, table) {
            let Some(change) = change_of(&sent) else { continue };
            check_types(table, &sent)?;
            if let Some(saved) = self.save_group(at, table, change, &sent)? {
                answered.push(echoed(&sent, saved, table, self.knobs.width));
            }
        }
        set_rows(&mut dataset, table, answered);
        Ok(dataset_answer(dataset))
    }

    fn groups(&mut self, at: usize, table: &str) -> &mut std::collections::BTreeMap<String, Row> {
        let company = &mut self.companies[at];
        if table == "APInvGrp" { &mut company.ap_groups } else { &mut company.gl_groups }
    }

    pub(super) fn save_group(
        &mut self,
        at: usize,
        table: &'static str,
        change: Change,
        sent: &Row,
    ) -> Outcome<Option<Row>> {
        let id = text_of(sent, "GroupID").to_owned();
        let refuse = |message: &str| Err(Refusal::business(table, "GroupID", message));
        let stored = self.groups(at, table).get(&id).cloned();
        match (change, stored) {
            (_, _) if id.is_empty() => refuse("Group ID is required."),
            (Change::Add, _) if id.chars().count() > GROUP_ID => {
                refuse("Group ID is longer than 9 characters.")
            }
            (Change::Add, Some(_)) => Err(self.duplicate("Group ID already exists. Duplicate entry.")),
            (Change::Update | Change::Delete, None) => Err(Refusal::no_record()),
            (Change::Delete, Some(_)) => self
                .delete_group(at, if table == "APInvGrp" { "APInvGrps" } else { "GLJrnGrps" }, &id)
                .map(|()| None),
            (Change::Add | Change::Update, stored) => {
                if let Some(stored) = &stored {
                    self.check_lock(stored)?;
                    if int_of(stored, "SysRevID") != int_of(sent, "SysRevID") {
                        return Err(Refusal::stale(table));
                    }
                }
                let known =
                    super::methods::table_of(if table == "APInvGrp" { "APInvGrps" } else { "GLJrnGrps" });
                let mut kept: Row = sent
                    .iter()
                    .filter(|(name, value)| known.is_listed(name) && **value != Json::Null)
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                if stored.is_none() {
                    kept.remove("SysRowID");
                }
                let company = self.companies[at].id.clone();
                put(&mut kept, "Company", company);
                put(&mut kept, "CreatedBy", self.user.as_str());
                self.stamp(&mut kept);
                self.groups(at, table).insert(id, kept.clone());
                Ok(Some(kept))
            }
        }
    }

    pub(super) fn create_group(&mut self, request: &Request, at: usize, set: &str) -> Outcome<Reply> {
        let (table, base) = if set == "APInvGrps" {
            ("APInvGrp", self.new_ap_group(at, ""))
        } else {
            ("GLJrnGrp", self.new_gl_group(at))
        };
        let sent = Json::parse(&request.body).map_err(Refusal::bad_input)?;
        let mut whole = base;
        whole.extend(sent.as_row().cloned().unwrap_or_default());
        check_types(table, &whole)?;
        let mut saved = self.save_group(at, table, Change::Add, &whole)?.unwrap_or_default();
        super::methods::table_of(set).widen(&mut saved, self.knobs.width);
        Ok(Reply::new(201, "application/json; charset=utf-8", Json::Obj(saved).text()))
    }

    pub(super) fn delete_group(&mut self, at: usize, set: &str, id: &str) -> Outcome<()> {
        let company = &mut self.companies[at];
        let (documents, groups, table) = if set == "APInvGrps" {
            (company.invoices_of.get(id), &mut company.ap_groups, "APInvGrp")
        } else {
            (company.journals_of.get(id), &mut company.gl_groups, "GLJrnGrp")
        };
        if documents.is_some_and(|ids| !ids.is_empty()) {
            return Err(Refusal::business(table, "GroupID", "The group has entries and cannot be deleted."));
        }
        groups.remove(id).map(|_| ()).ok_or_else(Refusal::no_record)
    }

    pub(super) fn lock_call(&mut self, at: usize, name: &str, arguments: &mut Row) -> Outcome<Row> {
        let argument = if name == "UnlockGroup" { "InGroupID" } else { "groupID" };
        let id = text_argument(arguments, argument)?.to_owned();
        let mut group = self.companies[at].ap_groups.get(&id).cloned().ok_or_else(Refusal::no_record)?;
        if name == "LockAPGroup" {
            self.check_lock(&group)?;
        }
        put(&mut group, "ActiveUserID", if name == "LockAPGroup" { self.user.as_str() } else { "" });
        self.stamp(&mut group);
        self.companies[at].ap_groups.insert(id, group);
        Ok(dataset_answer(dataset_of(arguments)?))
    }

    pub(super) fn check_lock(&self, group: &Row) -> Outcome<()> {
        let owner = text_of(group, "ActiveUserID");
        if owner.is_empty() || owner == self.user {
            return Ok(());
        }
        Err(Refusal::business("APInvGrp", "ActiveUserID", format!("Group is locked by user {owner}.")))
    }

    pub(super) fn open_ap_group(&self, at: usize, id: &str) -> Outcome<&Row> {
        let group = self.companies[at].ap_groups.get(id);
        let group = group
            .ok_or_else(|| Refusal::business("APInvHed", "GroupID", format!("Group {id} is not valid.")))?;
        self.check_lock(group)?;
        Ok(group)
    }
}
