//! Changes that are written together.

use super::{MirrorChange, fold};
use std::collections::BTreeMap;

/// Splits changes into portions of about `most`, in their order, but those about one person (by employee number) in one
/// portion. A new address in one portion and the end of the old one in another would be a login that cannot be renamed
/// and, after it, somebody who leaves.
pub fn portions(changes: &[MirrorChange], most: usize) -> Vec<Vec<MirrorChange>> {
    let mut groups: Vec<Vec<MirrorChange>> = Vec::new();
    let mut by_number: BTreeMap<String, usize> = BTreeMap::new();
    for change in changes {
        let number = employee_number(change);
        let known = number.as_ref().and_then(|number| by_number.get(number).copied());
        match known.and_then(|at| groups.get_mut(at)) {
            Some(group) => group.push(change.clone()),
            None => {
                by_number.extend(number.map(|number| (number, groups.len())));
                groups.push(vec![change.clone()]);
            }
        }
    }
    let mut portions: Vec<Vec<MirrorChange>> = Vec::new();
    for group in groups {
        match portions.last_mut() {
            Some(last) if last.len() + group.len() <= most => last.extend(group),
            Some(_) | None => portions.push(group),
        }
    }
    portions
}

fn employee_number(change: &MirrorChange) -> Option<String> {
    let (MirrorChange::Add(entry) | MirrorChange::Update { after: entry, .. } | MirrorChange::Disable(entry)) =
        change;
    entry.attribute("employee_number").map(fold)
}
