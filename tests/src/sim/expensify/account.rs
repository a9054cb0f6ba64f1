//! What the vendor holds for one account: policies, reports with their history, files.

use crate::world::{World, WorldEmployee, WorldReport};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A report and what the vendor adds to it.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) data: WorldReport,
    pub(super) policy: usize,
    pub(super) created: NaiveDate,
    /// Numbers of the labels it was marked with.
    pub(super) labels: Vec<usize>,
    /// Action, moment.
    pub(super) history: Vec<(String, DateTime<Utc>)>,
    pub(super) payment_source: String,
}

impl Report {
    /// The later of created and submitted, which date filters look at.
    pub(super) fn filter_date(&self) -> NaiveDate {
        self.data.submitted.map_or(self.created, |s| s.max(self.created))
    }
}

/// A category of a policy.
#[derive(Clone, Debug)]
pub(super) struct Category {
    pub(super) name: String,
    pub(super) enabled: bool,
    pub(super) gl_code: String,
    pub(super) payroll_code: String,
    pub(super) comment_hint: String,
    pub(super) comments_required: Option<bool>,
    pub(super) max_amount: Option<i64>,
}

/// A tag: name, GL code, enabled, and whom its expenses go to for approval.
#[derive(Clone, Debug)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) gl_code: String,
    pub(super) enabled: bool,
    pub(super) approver: String,
}

/// A policy.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) categories: Vec<Category>,
    pub(super) tag_levels: Vec<(String, Vec<Tag>)>,
    pub(super) report_fields: Vec<(String, String, Vec<String>)>,
    /// Tax name; `None` = the getter answers `{}`.
    pub(super) tax: Option<String>,
    pub(super) employees: Vec<PolicyEmployee>,
}

/// A member of a policy.
#[derive(Clone, Debug)]
pub(super) struct PolicyEmployee {
    pub(super) email: String,
    pub(super) role: String,
    pub(super) submits_to: String,
    pub(super) employee_id: String,
    pub(super) custom_field2: String,
}

/// A file that an export left.
#[derive(Clone, Debug)]
pub(super) struct StoredFile {
    pub(super) ready_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) bytes: Vec<u8>,
}

/// Marks that are due when an export finishes.
#[derive(Clone, Debug)]
pub(super) struct PendingMark {
    pub(super) due: DateTime<Utc>,
    pub(super) label: String,
    pub(super) reports: Vec<String>,
}

/// Everything.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) currency: String,
    pub(super) today: NaiveDate,
    pub(super) people: Vec<WorldEmployee>,
    pub(super) policies: Vec<Policy>,
    pub(super) reports: Vec<Report>,
    pub(super) by_id: HashMap<String, usize>,
    pub(super) by_approval: BTreeMap<NaiveDate, BTreeSet<usize>>,
    pub(super) labels: Vec<String>,
    pub(super) files: HashMap<String, StoredFile>,
    pub(super) file_order: Vec<String>,
    pub(super) pending: Vec<PendingMark>,
    pub(super) next_id: u64,
    /// Tags that updates took out of policies, all together.
    pub(super) tags_deleted: usize,
}

/// A count or sum per word, for the state.
pub(super) type Counts = BTreeMap<String, i64>;

/// A report as `state` shows it.
#[derive(Serialize)]
pub(super) struct ReportState<'a> {
    pub(super) id: &'a str,
    pub(super) state: &'a str,
    pub(super) labels: Vec<&'a str>,
    pub(super) total: i64,
    pub(super) total_text: String,
    pub(super) currency: &'a str,
    pub(super) expenses: usize,
}

impl Account {
    pub(super) fn from_world(world: &World) -> Self {
        let mut account = Self {
            currency: world.currency.clone(),
            today: world.today,
            people: world.employees.clone(),
            policies: policies(world),
            reports: Vec::with_capacity(world.reports.len()),
            by_id: HashMap::with_capacity(world.reports.len()),
            by_approval: BTreeMap::new(),
            labels: Vec::new(),
            files: HashMap::new(),
            file_order: Vec::new(),
            pending: Vec::new(),
            next_id: 7_000_000_000_000_000_000,
            tags_deleted: 0,
        };
        for report in &world.reports {
            account.add(report.clone(), 0);
        }
        account
    }

    pub(super) fn add(&mut self, data: WorldReport, policy: usize) -> usize {
        let index = self.reports.len();
        let first = data.expenses.iter().map(|e| e.date).min();
        let created = data.submitted.or(first).unwrap_or(self.today);
        self.by_id.insert(data.id.clone(), index);
        if let Some(date) = data.approved {
            self.by_approval.entry(date).or_default().insert(index);
        }
        let history = Vec::new();
        let payment_source = String::new();
        self.reports.push(Report { data, policy, created, labels: Vec::new(), history, payment_source });
        index
    }

    pub(super) fn find(&mut self, id: &str) -> Option<&mut Report> {
        let index = *self.by_id.get(id)?;
        self.reports.get_mut(index)
    }

    /// Moves a report to another state, keeping the index.
    pub(super) fn set_state(&mut self, id: &str, state: &str, approved: Option<NaiveDate>) -> bool {
        let Some(&index) = self.by_id.get(id) else { return false };
        let report = &mut self.reports[index];
        if let Some(old) = report.data.approved
            && let Some(same_day) = self.by_approval.get_mut(&old)
        {
            same_day.remove(&index);
        }
        report.data.approved = approved;
        report.data.state = state.to_owned();
        if let Some(date) = approved {
            report.data.submitted.get_or_insert(date);
            self.by_approval.entry(date).or_default().insert(index);
        }
        true
    }

    /// Takes a report out; its place stays empty so that positions keep their meaning.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let known = self.set_state(id, "DELETED", None);
        self.by_id.remove(id);
        known
    }

    pub(super) fn label_number(&self, label: &str) -> Option<usize> {
        self.labels.iter().position(|l| l == label)
    }

    pub(super) fn mark(&mut self, id: &str, label: &str, at: DateTime<Utc>) {
        let number = self.label_number(label).unwrap_or_else(|| {
            self.labels.push(label.to_owned());
            self.labels.len() - 1
        });
        if let Some(report) = self.find(id) {
            if !report.labels.contains(&number) {
                report.labels.push(number);
            }
            report.history.push((format!("Exported to {label}"), at));
        }
    }

    /// Does what has become due.
    pub(super) fn settle(&mut self, now: DateTime<Utc>) {
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(|p| p.due <= now);
        self.pending = later;
        for mark in due {
            for id in &mark.reports {
                self.mark(id, &mark.label, mark.due);
            }
        }
    }

    pub(super) fn policy(&self, id: &str) -> Option<usize> {
        self.policies.iter().position(|p| p.id == id)
    }

    pub(super) fn new_transaction_id(&mut self) -> String {
        self.next_id += 1;
        self.next_id.to_string()
    }
}

/// The first policy holds all reports; the second is empty and lists tags without levels; the third is of a kind that
/// the manual does not name.
fn policies(world: &World) -> Vec<Policy> {
    let id = |n: u64| format!("{:016X}", world.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(n));
    let first = Policy {
        id: id(1),
        name: "Main works & offices".to_owned(),
        kind: "corporate".to_owned(),
        categories: world.categories.iter().map(category).collect(),
        tag_levels: tag_levels(world),
        report_fields: vec![
            ("title".to_owned(), "formula".to_owned(), Vec::new()),
            ("Cost Center".to_owned(), "dropdown".to_owned(), vec!["Ops".to_owned(), "Eng".to_owned()]),
        ],
        tax: Some("VAT".to_owned()),
        employees: world.employees.iter().map(member).collect(),
    };
    let second = Policy {
        id: id(2),
        name: "Second company".to_owned(),
        kind: "team".to_owned(),
        tag_levels: first.tag_levels.iter().take(1).cloned().collect(),
        tax: None,
        ..first.clone()
    };
    let third = Policy {
        id: id(3),
        name: "Personal".to_owned(),
        kind: "personalPolicy".to_owned(),
        categories: Vec::new(),
        tag_levels: Vec::new(),
        report_fields: Vec::new(),
        tax: None,
        employees: Vec::new(),
    };
    vec![first, second, third]
}

fn category(category: &crate::world::WorldCategory) -> Category {
    Category {
        name: category.name.clone(),
        enabled: category.enabled,
        gl_code: category.gl_code.clone().unwrap_or_default(),
        payroll_code: String::new(),
        comment_hint: String::new(),
        comments_required: category.name.len().is_multiple_of(2).then_some(false),
        max_amount: None,
    }
}

fn tag_levels(world: &World) -> Vec<(String, Vec<Tag>)> {
    let tag = |name: &str, code: &str, enabled| Tag {
        name: name.to_owned(),
        gl_code: code.to_owned(),
        enabled,
        approver: String::new(),
    };
    let departments = world.segments.get(1).map_or(&[][..], |s| &s.values);
    vec![
        (
            "Department".to_owned(),
            departments.iter().map(|(code, name, active)| tag(name, code, *active)).collect(),
        ),
        ("Project".to_owned(), world.projects.iter().map(|p| tag(&p.description, &p.code, true)).collect()),
    ]
}

fn member(employee: &WorldEmployee) -> PolicyEmployee {
    PolicyEmployee {
        email: employee.email.clone(),
        role: "user".to_owned(),
        submits_to: employee.manager_email.clone(),
        employee_id: employee.number.clone(),
        custom_field2: String::new(),
    }
}
