//! Employees as members of policies: what they are as mirrored entries, and the rows of an employee update. Pure.
//!
//! What a newcomer gets wrong: the employee number is a person's identity. A row with a known number and another address
//! **renames the login** of whoever has that number; and a row without a role makes an administrator a user.

use crate::vendors::expensify::settings::EmployeeSettings;
use crate::vendors::expensify::wire::Member;
use serde_json::{Map, Value, json};
use spend::mirror::{MirrorChange, MirrorEntry, fold};
use std::collections::BTreeMap;

/// Why a known member without a role is not written.
const ROLE_NOT_TOLD: &str = "the workspace does not tell the role of this member, and a row without it would make a user \
                             of an administrator";

/// Members by folded address, by policy id.
pub(super) type Members = BTreeMap<String, BTreeMap<String, Member>>;

/// The row that a change asks of one policy.
pub(super) struct Row {
    /// Folded address.
    pub(super) email: String,
    pub(super) terminates: bool,
    pub(super) json: Value,
}

/// Members as entries. A person who is missing in one of the policies where he or she belongs has a blank address, which
/// makes a difference to what is wanted.
pub(super) fn entries(members: &Members, settings: &EmployeeSettings) -> Vec<MirrorEntry> {
    let mut people: BTreeMap<&String, Vec<&Member>> = BTreeMap::new();
    for (policy, of_policy) in members {
        for (email, member) in of_policy {
            if settings.policies_of(email).iter().any(|id| id.eq_ignore_ascii_case(policy)) {
                people.entry(email).or_default().push(member);
            }
        }
    }
    let one = |(email, found): (&String, Vec<&Member>)| {
        let complete = found.len() == settings.policies_of(email).len();
        let common = |field: fn(&Member) -> &str| {
            let first = found.first().map(|member| field(member)).unwrap_or_default();
            let same = found.iter().all(|member| field(member).eq_ignore_ascii_case(first));
            if same { first.to_owned() } else { String::new() }
        };
        let approver = common(|member| member.submits_to.get().unwrap_or_default()).trim().to_lowercase();
        MirrorEntry {
            key: email.clone(),
            name: String::new(),
            active: true,
            attributes: BTreeMap::from([
                ("email".to_owned(), if complete { email.clone() } else { String::new() }),
                ("employee_number".to_owned(), common(|member| member.employee_id.get().unwrap_or_default())),
                ("manager".to_owned(), approver),
            ]),
        }
    };
    people.into_iter().map(one).collect()
}

/// The rows of a change, one for each policy that it concerns.
///
/// # Errors
/// Why it cannot be made, in words.
pub(super) fn rows(
    change: &MirrorChange,
    members: &Members,
    all: &[MirrorChange],
    settings: &EmployeeSettings,
) -> Result<Vec<Row>, String> {
    let email = fold(change.key());
    let policies = settings.policies_of(&email);
    if policies.is_empty() {
        return Err("no workspace is named for this address in settings.reference.employees".to_owned());
    }
    let known = |policy: &str| {
        members.iter().find(|(id, _)| id.eq_ignore_ascii_case(policy)).and_then(|(_, of)| of.get(&email))
    };
    match change.target() {
        Some(entry) => {
            let number = entry.attribute("employee_number").ok_or("the ERP gives no employee number")?;
            let approver = entry.attribute("manager").or(settings.default_approver.as_deref());
            let approver = approver.ok_or(
                "the ERP names no approver; name one there, or set settings.reference.employees.default_approver",
            )?;
            may_use(number, &email, members, all)?;
            let row = |policy: &String| {
                let known = known(policy);
                if known.is_some_and(|member| member.role.get().is_none()) {
                    return Err(ROLE_NOT_TOLD.to_owned());
                }
                Ok(row(policy, &email, number, approver, &entry.name, known))
            };
            policies.iter().map(row).collect()
        }
        None => leaving(&email, policies, &known, members, all, settings),
    }
}

/// The rows that end a membership.
fn leaving<'a>(
    email: &str,
    policies: &[String],
    known: &impl Fn(&str) -> Option<&'a Member>,
    members: &Members,
    all: &[MirrorChange],
    settings: &EmployeeSettings,
) -> Result<Vec<Row>, String> {
    let there = || policies.iter().filter_map(|policy| Some((policy, known(policy)?)));
    let numbers = || there().filter_map(|(_, member)| member.employee_id.get()).map(str::trim);
    let renamed = all.iter().any(|other| {
        let number = other.target().and_then(|entry| entry.attribute("employee_number"));
        number.is_some() && number == numbers().next() && fold(other.key()) != email
    });
    if renamed {
        // The row of the new address renames the login; ending the old one would end the new one with it.
        return Ok(Vec::new());
    }
    numbers().try_for_each(|number| may_end(number, email, members, all))?;
    let row = |(policy, member): (&String, &Member)| {
        let number = member
            .employee_id
            .get()
            .ok_or("the workspace knows no employee number of this member; remove the member in Expensify")?;
        let approver = member.submits_to.get().or(settings.default_approver.as_deref()).unwrap_or(email);
        let mut row = row(policy, email, number, approver, "", Some(member));
        row.terminates = true;
        row.json["isTerminated"] = json!(true);
        Ok(row)
    };
    there().map(row).collect()
}

/// A number is a person: whoever else has it and stays would be ended too.
fn may_end(number: &str, email: &str, members: &Members, all: &[MirrorChange]) -> Result<(), String> {
    match holders(number, email, members).find(|other| !goes(other, all)) {
        None => Ok(()),
        Some(other) => Err(format!(
            "employee number {number} is also that of `{other}` in Expensify, whose membership would end with this one; \
             correct one of the numbers there"
        )),
    }
}

/// A number that another address has there may be used only where that address goes in the same step.
fn may_use(number: &str, email: &str, members: &Members, all: &[MirrorChange]) -> Result<(), String> {
    match holders(number, email, members).find(|other| !goes(other, all)) {
        None => Ok(()),
        Some(other) => Err(format!(
            "employee number {number} belongs to `{other}` in Expensify, whose login would be renamed; correct the \
             number there or in the ERP"
        )),
    }
}

/// Other addresses that have a number in any of the workspaces.
fn holders<'a>(number: &'a str, email: &'a str, members: &'a Members) -> impl Iterator<Item = &'a String> {
    let has = move |member: &Member| member.employee_id.get().is_some_and(|own| own.trim() == number);
    let others = members.values().flatten().filter(move |(other, member)| *other != email && has(member));
    others.map(|(other, _)| other)
}

fn goes(email: &str, all: &[MirrorChange]) -> bool {
    all.iter().any(|change| change.target().is_none() && fold(change.key()) == email)
}

fn row(policy: &str, email: &str, number: &str, approver: &str, name: &str, known: Option<&Member>) -> Row {
    let mut json = Map::new();
    let mut put = |field: &str, value: &str| json.insert(field.to_owned(), json!(value));
    put("employeeEmail", email);
    put("managerEmail", approver);
    put("employeeID", number);
    put("policyID", policy);
    // What the workspace knows of a member is sent along: a row that leaves it out may blank it.
    if let Some(role) = known.map_or(Some("user"), |member| member.role.get()) {
        put("role", role);
    }
    if let Some(own) = known.and_then(|member| member.custom_field2.get()) {
        put("customField2", own);
    }
    if let (Some((first, last)), None) = (name.trim().rsplit_once(' '), known) {
        put("firstName", first);
        put("lastName", last);
    }
    Row { email: email.to_owned(), terminates: false, json: Value::Object(json) }
}
