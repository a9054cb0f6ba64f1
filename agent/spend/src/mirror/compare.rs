//! The difference of two sets, and whether a change has taken effect.

use super::{MirrorChange, MirrorEntry, MirrorRules, Ours, Strangers, fold};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is to be changed, and what not. Each list is ordered by key, whatever the order of what was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// What is to be changed: additions first, then changes, then what is disabled.
    pub changes: Vec<MirrorChange>,
    /// Entries that are as they are wanted.
    pub untouched: Vec<MirrorEntry>,
    /// Entries that stay as they are although they differ: none of ours, or the rules say so.
    pub left_alone: Vec<MirrorEntry>,
}

impl Delta {
    /// How many changes go by a name of [`MirrorChange::name`].
    pub fn count(&self, name: &str) -> usize {
        self.changes.iter().filter(|change| change.name() == name).count()
    }

    /// A hash over all changes: what a person agreed to has this hash.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for change in &self.changes {
            hasher.update(change.name().as_bytes());
            if let MirrorChange::Update { before, .. } = change {
                hasher.update(before.content_hash().as_bytes());
            }
            let entry = match change {
                MirrorChange::Add(entry)
                | MirrorChange::Update { after: entry, .. }
                | MirrorChange::Disable(entry) => entry,
            };
            hasher.update(entry.content_hash().as_bytes());
        }
        hasher.finalize().to_hex().chars().take(16).collect()
    }
}

/// One difference between an entry as it is and as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `name`, `active` or the name of an attribute.
    pub field: String,
    /// As it is.
    pub before: String,
    /// As it is to be.
    pub after: String,
}

/// Compares what is wanted with what is present. `ours` are the keys that the mirror is answerable for.
pub fn compare(wanted: &[MirrorEntry], present: &[MirrorEntry], ours: &Ours, rules: &MirrorRules) -> Delta {
    let (wanted, present) = (by_key(wanted), by_key(present));
    let mut delta = Delta::default();
    let (mut updates, mut disables) = (Vec::new(), Vec::new());
    for (key, entry) in &wanted {
        let Some(there) = present.get(key) else {
            if entry.active && rules.create {
                delta.changes.push(MirrorChange::Add((*entry).clone()));
            }
            continue;
        };
        match (entry.active, there.active) {
            (false, false) => delta.untouched.push((*there).clone()),
            (false, true) if rules.disable => disables.push(MirrorChange::Disable((*there).clone())),
            (true, false) if !rules.enable => delta.left_alone.push((*there).clone()),
            (false, true) => delta.left_alone.push((*there).clone()),
            (true, _) => {
                let after = merged(entry, there, rules);
                if differences(there, &after).is_empty() {
                    delta.untouched.push((*there).clone());
                } else {
                    updates.push(MirrorChange::Update { before: (*there).clone(), after });
                }
            }
        }
    }
    for (key, there) in present.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
        let answerable = ours.contains_key(key) || rules.strangers == Strangers::Disable;
        if there.active && answerable && rules.disable {
            disables.push(MirrorChange::Disable((*there).clone()));
        } else {
            delta.left_alone.push((*there).clone());
        }
    }
    disables.sort_by_key(|change| fold(change.key()));
    delta.left_alone.sort_by_key(|entry| fold(&entry.key));
    delta.changes.extend(updates);
    delta.changes.extend(disables);
    delta
}

/// As a system writes a name that takes ASCII only, without surplus blanks.
pub fn in_plain_letters(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    any_ascii::any_ascii(&clean).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What differs. Only what both say counts, and a name that stands there in plain letters is the same name.
pub fn differences(before: &MirrorEntry, after: &MirrorEntry) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut look = |field: &str, before: &str, after: &str| {
        if before != after {
            let [before, after] = [before, after].map(str::to_owned);
            found.push(Difference { field: field.to_owned(), before, after });
        }
    };
    let word = |active: bool| if active { "yes" } else { "no" };
    look("active", word(before.active), word(after.active));
    if !before.name.is_empty() && !after.name.is_empty() && before.name != in_plain_letters(&after.name) {
        look("name", &before.name, &after.name);
    }
    for (name, value) in &after.attributes {
        if let Some(own) = before.attributes.get(name).filter(|_| !value.is_empty()) {
            look(name, own, value);
        }
    }
    found
}

/// Whether a change is seen in what was read back; else what is still different, in words.
///
/// # Errors
/// The words.
pub fn in_effect(change: &MirrorChange, present: &[MirrorEntry]) -> Result<(), String> {
    let key = fold(change.key());
    let there = by_key(present).get(&key).copied();
    match (change, there) {
        (MirrorChange::Disable(_), None) => Ok(()),
        (MirrorChange::Disable(_), Some(there)) if !there.active => Ok(()),
        (MirrorChange::Disable(_), Some(_)) => Err("read back, it is still active".to_owned()),
        (MirrorChange::Add(_) | MirrorChange::Update { .. }, None) => {
            Err("read back, it is not there".to_owned())
        }
        (MirrorChange::Add(entry), Some(there)) => {
            // A spend system may show a new entry's name in a form of its own.
            still_different(there, &MirrorEntry { name: String::new(), ..entry.clone() })
        }
        (MirrorChange::Update { before, after }, Some(there)) => {
            let renamed = before.name != after.name;
            let name = if renamed { after.name.clone() } else { String::new() };
            still_different(there, &MirrorEntry { name, ..after.clone() })
        }
    }
}

fn still_different(there: &MirrorEntry, wanted: &MirrorEntry) -> Result<(), String> {
    match differences(there, wanted).first() {
        None => Ok(()),
        Some(Difference { field, before, after }) => {
            Err(format!("read back, {field} is `{before}` instead of `{after}`"))
        }
    }
}

/// What an entry is to be: as wanted, with what only the spend system knows, and with its own name unless names are
/// carried over.
fn merged(wanted: &MirrorEntry, there: &MirrorEntry, rules: &MirrorRules) -> MirrorEntry {
    let mut after = there.clone();
    after.active = true;
    if (rules.rename || there.name.is_empty()) && !wanted.name.is_empty() {
        after.name.clone_from(&wanted.name);
    }
    for (name, value) in wanted.attributes.iter().filter(|(_, value)| !value.is_empty()) {
        after.attributes.insert(name.clone(), value.clone());
    }
    after
}

/// Entries by folded key. Of several with one key the active one counts, then the first by content.
fn by_key(entries: &[MirrorEntry]) -> BTreeMap<String, &MirrorEntry> {
    let mut index: BTreeMap<String, &MirrorEntry> = BTreeMap::new();
    for entry in entries {
        let key = fold(&entry.key);
        match index.get(&key) {
            Some(known) if (!known.active, *known) <= (!entry.active, entry) => {}
            Some(_) | None => {
                index.insert(key, entry);
            }
        }
    }
    index
}
