//! From the ERP's reference data to the entries that a spend system is to have.

use super::pattern::{Pattern, admits};
use super::{MirrorEntry, MirrorRules, ReferenceSet, fold};
use crate::Date;
use crate::reference::{Employee, ReferenceData, SegmentValue};
use std::collections::BTreeMap;

/// The entries of a set, inactive ones included, by key. What is not effective on the day of the data is inactive.
pub fn wanted(set: ReferenceSet, reference: &ReferenceData, rules: &MirrorRules) -> Vec<MirrorEntry> {
    let day = reference.as_of.date_naive();
    let entries = match set {
        ReferenceSet::Vendors => vendors(reference),
        ReferenceSet::Accounts if rules.whole_accounts => whole_accounts(reference, day),
        ReferenceSet::Accounts => natural_accounts(reference, day),
        ReferenceSet::Employees => reference.employees.iter().map(|(email, e)| employee(email, e)).collect(),
        ReferenceSet::CostCentres => cost_centres(reference, rules, day),
        ReferenceSet::Projects => projects(reference, day),
    };
    let read =
        |texts: &[String]| texts.iter().filter_map(|text| Pattern::parse(text).ok()).collect::<Vec<_>>();
    let (include, exclude) = (read(&rules.include), read(&rules.exclude));
    let mut by_key: BTreeMap<String, MirrorEntry> = BTreeMap::new();
    for entry in entries {
        let key = fold(&entry.key);
        if key.is_empty() || !admits(&include, &exclude, &key) {
            continue;
        }
        // Codes that differ in case only: the active one counts.
        match by_key.get(&key) {
            Some(known) if known.active || !entry.active => {}
            Some(_) | None => {
                by_key.insert(key, entry);
            }
        }
    }
    by_key.into_values().collect()
}

fn entry(key: &str, name: &str, active: bool, attributes: &[(&str, Option<&str>)]) -> MirrorEntry {
    let attributes =
        attributes.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_owned())));
    MirrorEntry {
        key: key.trim().to_owned(),
        name: name.trim().to_owned(),
        active,
        attributes: attributes.filter(|(_, value)| !value.is_empty()).collect(),
    }
}

fn vendors(reference: &ReferenceData) -> Vec<MirrorEntry> {
    let one = |(code, vendor): (&crate::ids::VendorCode, &crate::reference::Vendor)| {
        let currency = vendor.currency.map(|currency| currency.code().to_owned());
        let attributes = [("terms", vendor.terms.as_deref()), ("currency", currency.as_deref())];
        entry(code.as_str(), &vendor.name, !vendor.inactive, &attributes)
    };
    reference.vendors.iter().map(one).collect()
}

fn whole_accounts(reference: &ReferenceData, day: Date) -> Vec<MirrorEntry> {
    let one = |(code, account): (&crate::ids::GlAccount, &crate::reference::Account)| {
        let active = account.active && account.effective.covers(day);
        entry(code.as_str(), &account.description, active, &[("gl_code", Some(code.as_str()))])
    };
    reference.accounts.iter().map(one).collect()
}

/// The values of the first segment; where the ERP lists none, the first segments of its accounts.
fn natural_accounts(reference: &ReferenceData, day: Date) -> Vec<MirrorEntry> {
    if let Some(first) = reference.segments.get(&1).filter(|segment| !segment.values.is_empty()) {
        let one = |(code, value): (&String, &SegmentValue)| {
            entry(code, &value.name, usable(value, day), &[("gl_code", Some(code))])
        };
        return first.values.iter().map(one).collect();
    }
    let mut natural: BTreeMap<&str, (bool, &str)> = BTreeMap::new();
    for (code, account) in &reference.accounts {
        let Some(first) = code.segments().first().copied() else { continue };
        let active = account.active && account.effective.covers(day);
        let known = natural.entry(first).or_insert((false, &account.description));
        known.0 |= active;
    }
    natural
        .into_iter()
        .map(|(code, (active, name))| entry(code, name, active, &[("gl_code", Some(code))]))
        .collect()
}

fn employee(email: &str, employee: &Employee) -> MirrorEntry {
    let key = fold(email);
    let manager = employee.manager.as_deref().map(fold);
    let attributes = [
        ("email", Some(key.as_str())),
        ("employee_number", Some(employee.number.as_str())),
        ("manager", manager.as_deref()),
        ("vendor", employee.expense_vendor.as_ref().map(crate::ids::VendorCode::as_str)),
    ];
    entry(&key, &employee.name, employee.active, &attributes)
}

fn cost_centres(reference: &ReferenceData, rules: &MirrorRules, day: Date) -> Vec<MirrorEntry> {
    let values = match (&rules.dimension, rules.segment) {
        (Some(dimension), _) => reference.dimensions.get(dimension),
        (None, Some(number)) => reference.segments.get(&number).map(|segment| &segment.values),
        (None, None) => None,
    };
    let one = |(code, value): (&String, &SegmentValue)| {
        entry(code, &value.name, usable(value, day), &[("code", Some(code))])
    };
    // `<project>|` is no value: it says that the ERP has a default within the project.
    values.into_iter().flatten().filter(|(code, _)| !code.ends_with('|')).map(one).collect()
}

fn projects(reference: &ReferenceData, day: Date) -> Vec<MirrorEntry> {
    let one = |(code, project): (&crate::ids::ProjectCode, &crate::reference::Project)| {
        let active = project.active && project.effective.covers(day);
        entry(code.as_str(), &project.description, active, &[("code", Some(code.as_str()))])
    };
    reference.projects.iter().map(one).collect()
}

fn usable(value: &SegmentValue, day: Date) -> bool {
    value.active && value.effective.covers(day)
}
