//! The way back: reference data into workspaces. Employees become members, accounts become GL codes of categories, cost
//! centres and projects become tags. No expense and no report is ever written.
//!
//! - An update of tags **replaces** all of them, whatever it says (observed): so they are read, merged, written whole and
//!   read again, and one that has vanished is an error.
//! - Categories are merged by name; what is not sent along may be blanked, so all that was read is sent along.
//! - An employee update answers 200 also where it skipped rows; a dry run goes before each, and one that would remove
//!   somebody who was not asked for is not followed by the real one.
//! - A list that is not told is not an empty one, and one that has shrunk much is not written to (`guard.rs`).
//! - What is not wanted any more is disabled. Names are keys here: a renamed entry is a new one beside the disabled old
//!   one.

mod guard;
mod items;
mod people;

use super::outcome::unavailable;
use super::settings::{NameForm, TagSettings};
use super::wire::{EmployeeAnswer, Envelope, PolicyDetail};
use super::{Expensify, calls};
use crate::vendors::http::Call;
use crate::vendors::{ChangeOutcome, ReferenceTarget};
use async_trait::async_trait;
use guard::{Guard, Purpose};
use items::Item;
use people::{Members, Row};
use serde_json::{Value, json};
use spend::mirror::{MirrorChange, MirrorEntry, ReferenceSet, fold, in_effect};
use spend::posting::{Failure, FailureClass};
use std::collections::{BTreeMap, BTreeSet};

/// What this vendor can hold.
const SETS: &[ReferenceSet] =
    &[ReferenceSet::Accounts, ReferenceSet::Employees, ReferenceSet::CostCentres, ReferenceSet::Projects];

/// Most attempts at one policy while the vendor refuses a part of the changes: half by half, the one that it refuses is
/// found, and the others go on.
const MOST_PARTS: usize = 16;

/// Why changes were not made, by folded key.
type Reasons = BTreeMap<String, Reason>;

/// Why a change was not made.
#[derive(Default)]
struct Reason {
    words: String,
    /// Workspaces that have refused it, or to which it was not sent.
    refusals: usize,
    /// It was sent, and what became of it was not told.
    doubt: bool,
}

/// Notes that one workspace has refused a change.
fn refuse(reasons: &mut Reasons, key: &str, words: String) {
    let reason = reasons.entry(fold(key)).or_default();
    reason.refusals = reason.refusals.saturating_add(1);
    reason.words = words;
}

/// Where a set of named items goes.
#[derive(Clone, Copy)]
enum Place<'a> {
    Categories(NameForm),
    Tags(&'a TagSettings),
}

/// The named items of one policy.
#[derive(Clone, Default)]
struct Shelf {
    /// Categories: one level without a name. Tags: level by level.
    levels: Vec<(String, Vec<Item>)>,
    /// The level that the set goes to.
    at: usize,
}

impl Shelf {
    fn own(&self) -> &[Item] {
        self.levels.get(self.at).map(|(_, items)| items.as_slice()).unwrap_or_default()
    }

    fn names(&self) -> BTreeSet<(String, String)> {
        let of = |(level, items): &(String, Vec<Item>)| {
            items.iter().map(|item| (level.clone(), item.name.clone())).collect::<Vec<_>>()
        };
        self.levels.iter().flat_map(of).collect()
    }
}

impl Place<'_> {
    const fn attribute(self) -> &'static str {
        match self {
            Place::Categories(_) => "gl_code",
            Place::Tags(_) => "code",
        }
    }

    const fn section(self) -> &'static str {
        match self {
            Place::Categories(_) => "categories",
            Place::Tags(_) => "tags",
        }
    }

    const fn names(self) -> NameForm {
        match self {
            Place::Categories(names) => names,
            Place::Tags(settings) => settings.names,
        }
    }
}

#[async_trait]
impl ReferenceTarget for Expensify {
    fn sets(&self) -> &'static [ReferenceSet] {
        SETS
    }

    async fn read_set(&self, set: ReferenceSet) -> Result<Vec<MirrorEntry>, Failure> {
        let policies = self.policies_for(set)?;
        match self.place(set) {
            Some(place) => Ok(combined(&self.shelves(place, &policies, Purpose::Look).await?, place)),
            None => {
                let members = self.members(&policies, Purpose::Look).await?;
                Ok(people::entries(&members, &self.settings.reference.employees))
            }
        }
    }

    async fn write_set(
        &self,
        set: ReferenceSet,
        changes: &[MirrorChange],
    ) -> Result<Vec<ChangeOutcome>, Failure> {
        let policies = self.policies_for(set)?;
        let _turn = self.one_write.lock().await;
        let mut reasons = Reasons::new();
        let present = match self.place(set) {
            Some(place) => {
                let mut written = BTreeMap::new();
                for policy in &policies {
                    let whole = self.write_items(place, policy, changes, &mut reasons).await?;
                    written.extend(whole.map(|shelf| (policy.clone(), shelf)));
                }
                let shelves = self.shelves(place, &policies, Purpose::Look).await?;
                self.nothing_vanished(&written, &shelves)?;
                combined(&shelves, place)
            }
            None => {
                self.write_people(&policies, changes, &mut reasons).await?;
                let members = self.members(&policies, Purpose::Look).await?;
                people::entries(&members, &self.settings.reference.employees)
            }
        };
        let outcome = |change: &MirrorChange| {
            let places = match self.place(set) {
                Some(_) => policies.len(),
                None => self.settings.reference.employees.policies_of(&fold(change.key())).len(),
            };
            outcome(change, places, &present, &reasons)
        };
        Ok(changes.iter().map(outcome).collect())
    }
}

/// What was read back decides; a reason only explains.
fn outcome(
    change: &MirrorChange,
    places: usize,
    present: &[MirrorEntry],
    reasons: &Reasons,
) -> ChangeOutcome {
    let seen = in_effect(change, present);
    let reason = reasons.get(&fold(change.key()));
    let there = present.iter().any(|entry| fold(&entry.key) == fold(change.key()));
    ChangeOutcome {
        key: change.key().to_owned(),
        refused: !there && reason.is_some_and(|reason| !reason.doubt && reason.refusals >= places),
        result: seen.map_err(|seen| reason.map_or(seen, |reason| reason.words.clone())),
    }
}

impl Expensify {
    /// Named items have a place; employees have none.
    fn place(&self, set: ReferenceSet) -> Option<Place<'_>> {
        let settings = &self.settings.reference;
        match set {
            ReferenceSet::Accounts => Some(Place::Categories(settings.accounts.names)),
            ReferenceSet::CostCentres => Some(Place::Tags(&settings.cost_centres)),
            ReferenceSet::Projects => Some(Place::Tags(&settings.projects)),
            ReferenceSet::Employees | ReferenceSet::Vendors => None,
        }
    }

    /// The policies that a set goes to.
    fn policies_for(&self, set: ReferenceSet) -> Result<Vec<String>, Failure> {
        let settings = &self.settings.reference;
        let (name, policies) = match set {
            ReferenceSet::Accounts => ("accounts", settings.accounts.policies.clone()),
            ReferenceSet::CostCentres => ("cost_centres", settings.cost_centres.policies.clone()),
            ReferenceSet::Projects => ("projects", settings.projects.policies.clone()),
            ReferenceSet::Employees => ("employees", settings.employees.all_policies()),
            ReferenceSet::Vendors => {
                return Err(
                    self.refuse("Expensify holds no vendors", "choose another set for this reference flow")
                );
            }
        };
        if policies.is_empty() {
            return Err(self.refuse(
                &format!("it is not said which workspaces {} go to", set.as_str()),
                &format!("name them in settings.reference.{name}.policies of the connection"),
            ));
        }
        Ok(policies)
    }

    fn refuse(&self, said: &str, fix: &str) -> Failure {
        self.judge("expensify.reference").rejected(said, fix)
    }

    /// One section of policies; each must be answered, and told whole.
    async fn sections(
        &self,
        policies: &[String],
        section: &str,
        purpose: Purpose,
    ) -> Result<Vec<(String, PolicyDetail)>, Failure> {
        let mut details = self.policy_details(policies, &[section]).await?;
        let take = |id: &String| {
            let key = details.keys().find(|key| key.eq_ignore_ascii_case(id)).cloned();
            let found = key.and_then(|key| details.remove(&key));
            found.map(|detail| (id.clone(), detail)).ok_or_else(|| {
                unavailable(format!("expensify.policy: the answer says nothing of workspace {id}"))
            })
        };
        let sections = policies.iter().map(take).collect::<Result<Vec<_>, _>>()?;
        self.guard().pass(section, &sections, purpose)?;
        Ok(sections)
    }

    fn guard(&self) -> Guard<'_> {
        Guard { notes: &*self.notes, max_shrink_percent: self.settings.reference.max_shrink_percent }
    }

    async fn shelves(
        &self,
        place: Place<'_>,
        policies: &[String],
        purpose: Purpose,
    ) -> Result<BTreeMap<String, Shelf>, Failure> {
        let sections = self.sections(policies, place.section(), purpose).await?;
        sections.into_iter().map(|(id, detail)| Ok((id.clone(), self.shelf(place, &id, &detail)?))).collect()
    }

    fn shelf(&self, place: Place<'_>, policy: &str, detail: &PolicyDetail) -> Result<Shelf, Failure> {
        let entities = self.settings.decode_entities;
        let settings = match place {
            Place::Categories(_) => {
                let listed = detail.categories.iter().flatten();
                let items = listed.filter_map(|category| Item::category(category, entities));
                return Ok(Shelf { levels: vec![(String::new(), items.collect())], at: 0 });
            }
            Place::Tags(settings) => settings,
        };
        let mut levels = Vec::new();
        let told = detail.tags.as_deref().unwrap_or_default();
        for level in told {
            let read = level.tags.iter().filter_map(|tag| Item::tag(tag, entities).transpose());
            let items = read.collect::<Result<Vec<_>, _>>().map_err(|why| {
                self.refuse(
                    &format!("workspace {policy}: {why}"),
                    "choose a workspace without dependent tags",
                )
            })?;
            // The one level of a workspace with a single level comes without its name.
            let name = level.name.get().map(|name| match entities {
                true => super::convert::decode_entities(name),
                false => name.to_owned(),
            });
            levels.push((name.unwrap_or_else(|| settings.level.clone()), items));
        }
        if levels.is_empty() {
            levels.push((settings.level.clone(), Vec::new()));
        }
        let nameless = told.len() == 1 && told.iter().any(|level| level.name.get().is_none());
        if nameless && self.is_shared(policy) {
            return Err(self.refuse(
                &format!("workspace {policy} has a single tag level, and two sets are to go there"),
                "add the second level in Expensify, or send one of the sets elsewhere",
            ));
        }
        match levels.iter().position(|(name, _)| fold(name) == fold(&settings.level)) {
            Some(at) => Ok(Shelf { levels, at }),
            None => {
                let there: Vec<&str> = levels.iter().map(|(name, _)| name.as_str()).collect();
                Err(self.refuse(
                    &format!(
                        "workspace {policy} has no tag level `{}`; it has {}",
                        settings.level,
                        there.join(", ")
                    ),
                    "correct the level in settings.reference of the connection, or add it in Expensify",
                ))
            }
        }
    }

    /// Whether both cost centres and projects go to a policy.
    fn is_shared(&self, policy: &str) -> bool {
        let settings = &self.settings.reference;
        let named = |ids: &[String]| ids.iter().any(|id| id.eq_ignore_ascii_case(policy));
        named(&settings.cost_centres.policies) && named(&settings.projects.policies)
    }

    /// Makes changes in one policy, from a fresh reading each time. What was written, when anything was.
    async fn write_items(
        &self,
        place: Place<'_>,
        policy: &String,
        changes: &[MirrorChange],
        reasons: &mut Reasons,
    ) -> Result<Option<Shelf>, Failure> {
        let mut written = None;
        let mut parts = vec![changes];
        let mut tries = 0;
        while let Some(part) = parts.pop() {
            let mut shelves = self.shelves(place, std::slice::from_ref(policy), Purpose::Write).await?;
            let Some(mut shelf) = shelves.remove(policy) else { return Ok(written) };
            let touched = alter(&mut shelf, place, part, reasons);
            if touched.is_empty() {
                continue;
            }
            tries += 1;
            match self.job(self.item_call(place, policy, &shelf, &touched)?).await {
                Ok(_) => written = Some(shelf),
                Err(failure) => match after(&failure, part, tries) {
                    After::Halves(first, second) => parts.extend([second, first]),
                    After::Explain => explain(reasons, part.iter().map(MirrorChange::key), &failure),
                    After::GiveUp => return Err(failure),
                },
            }
        }
        Ok(written)
    }

    fn item_call(
        &self,
        place: Place<'_>,
        policy: &str,
        shelf: &Shelf,
        touched: &BTreeSet<String>,
    ) -> Result<Call, Failure> {
        match place {
            Place::Categories(_) => {
                let rows =
                    shelf.own().iter().filter(|item| touched.contains(&item.name)).map(Item::to_category);
                calls::merge_categories(&self.credential, &self.base, policy, &rows.collect::<Vec<_>>())
            }
            Place::Tags(_) => {
                let levels = shelf.levels.iter().map(|(name, items)| {
                    let tags: Vec<Value> = items.iter().map(Item::to_tag).collect();
                    let mut level = json!({ "name": name, "tags": tags });
                    if let Some(required) = self.required(name) {
                        level["setRequired"] = json!(required);
                    }
                    level
                });
                calls::replace_tags(&self.credential, &self.base, policy, &levels.collect::<Vec<_>>())
            }
        }
    }

    fn required(&self, level: &str) -> Option<bool> {
        let settings = &self.settings.reference;
        let own = |tags: &&TagSettings| !tags.level.is_empty() && fold(&tags.level) == fold(level);
        [&settings.cost_centres, &settings.projects].into_iter().find(own).and_then(|tags| tags.required)
    }

    /// A replaced list must hold all that stood there before.
    fn nothing_vanished(
        &self,
        written: &BTreeMap<String, Shelf>,
        present: &BTreeMap<String, Shelf>,
    ) -> Result<(), Failure> {
        for (policy, shelf) in written {
            let there = present.get(policy).map(Shelf::names).unwrap_or_default();
            let gone: Vec<String> =
                shelf.names().difference(&there).map(|(_, name)| format!("`{name}`")).collect();
            if !gone.is_empty() {
                tracing::error!(policy, gone = gone.len(), "entries are gone after an update");
                return Err(unavailable(format!(
                    "workspace {policy}: after the update, {} are not there: {}; somebody else may be changing them",
                    gone.len(),
                    gone.iter().take(5).cloned().collect::<Vec<_>>().join(", ")
                )));
            }
        }
        Ok(())
    }

    async fn members(&self, policies: &[String], purpose: Purpose) -> Result<Members, Failure> {
        let sections = self.sections(policies, "employees", purpose).await?;
        let by_address = |detail: PolicyDetail| {
            let one = |member: super::Member| Some((fold(member.email.get()?), member));
            detail.employees.into_iter().flatten().filter_map(one).collect()
        };
        Ok(sections.into_iter().map(|(id, detail)| (id, by_address(detail))).collect())
    }

    async fn write_people(
        &self,
        policies: &[String],
        changes: &[MirrorChange],
        reasons: &mut Reasons,
    ) -> Result<(), Failure> {
        let members = self.members(policies, Purpose::Write).await?;
        let settings = &self.settings.reference.employees;
        let mut all = Vec::new();
        for change in changes {
            match people::rows(change, &members, changes, settings) {
                Ok(rows) => all.extend(rows),
                // Not sent anywhere.
                Err(words) => {
                    let reason = Reason { words, refusals: usize::MAX, doubt: false };
                    reasons.insert(fold(change.key()), reason);
                }
            }
        }
        self.expect_leavers(&all)?;
        let mut parts: Vec<&[Row]> = if all.is_empty() { Vec::new() } else { vec![&all] };
        let mut tries = 0;
        while let Some(part) = parts.pop() {
            tries += 1;
            match self.write_rows(part, reasons).await {
                Ok(()) => {}
                Err(failure) => match after(&failure, part, tries) {
                    After::Halves(first, second) => parts.extend([second, first]),
                    After::Explain => explain(reasons, part.iter().map(|row| row.email.as_str()), &failure),
                    After::GiveUp => return Err(failure),
                },
            }
        }
        Ok(())
    }

    /// Leavers of our own making are no reason to distrust the list afterwards.
    fn expect_leavers(&self, rows: &[Row]) -> Result<(), Failure> {
        let mut fewer: BTreeMap<String, usize> = BTreeMap::new();
        for policy in rows.iter().filter(|row| row.terminates).filter_map(|row| row.json["policyID"].as_str())
        {
            *fewer.entry(policy.to_owned()).or_default() += 1;
        }
        self.guard().expect_fewer("employees", &fewer)
    }

    /// A dry run, then the rows that it did not skip. Reasons for skipped rows come from both.
    async fn write_rows(&self, rows: &[Row], reasons: &mut Reasons) -> Result<(), Failure> {
        let would = self.update(rows.iter(), true).await?;
        let terminated = |email: &String| rows.iter().any(|row| row.terminates && row.email == *email);
        let strangers: Vec<&String> = would.removed.iter().filter(|email| !terminated(email)).collect();
        if let Some(first) = strangers.first() {
            tracing::error!(strangers = strangers.len(), "an employee update would remove others too");
            // Not a refusal of the vendor, and no half of the rows would fare better.
            return Err(unavailable(format!(
                "a dry run says that {} members would be removed who are to stay, `{first}` first; nothing was changed",
                strangers.len()
            )));
        }
        for (email, reason) in &would.skipped {
            refuse(reasons, email, reason.clone());
        }
        let skipped = |row: &&Row| !would.skipped.iter().any(|(email, _)| *email == row.email);
        let good: Vec<&Row> = rows.iter().filter(skipped).collect();
        if good.is_empty() {
            return Ok(());
        }
        let done = self.update(good.into_iter(), false).await?;
        done.skipped.into_iter().for_each(|(email, reason)| refuse(reasons, &email, reason));
        Ok(())
    }

    async fn update(
        &self,
        rows: impl Iterator<Item = &Row> + Send,
        dry_run: bool,
    ) -> Result<EmployeeAnswer, Failure> {
        let rows: Vec<Value> = rows.map(|row| row.json.clone()).collect();
        let settings = &self.settings.reference.employees;
        let call = calls::update_employees(&self.credential, &self.base, &rows, dry_run, settings)?;
        let operation = call.operation;
        let (envelope, _): (Option<Envelope>, _) = self.job(call).await?;
        let envelope =
            envelope.ok_or_else(|| unavailable(format!("{operation}: the answer is not an object")))?;
        EmployeeAnswer::read(&envelope).map_err(|why| unavailable(format!("{operation}: {why}")))
    }
}

/// Alters a shelf as changes say; the names that a write is about. What cannot be made is explained.
fn alter(
    shelf: &mut Shelf,
    place: Place<'_>,
    changes: &[MirrorChange],
    reasons: &mut Reasons,
) -> BTreeSet<String> {
    let mut touched = BTreeSet::new();
    let Some((_, items)) = shelf.levels.get_mut(shelf.at) else { return touched };
    for change in changes {
        match items::apply(items, change, place.attribute(), place.names()) {
            Ok(names) => touched.extend(names),
            Err(why) => refuse(reasons, change.key(), why),
        }
    }
    touched
}

/// One set over all its policies. An entry that is not the same everywhere has a blank code, which makes a difference to
/// what is wanted, so that it is written everywhere.
fn combined(shelves: &BTreeMap<String, Shelf>, place: Place<'_>) -> Vec<MirrorEntry> {
    let attribute = place.attribute();
    let mut found: BTreeMap<String, Vec<MirrorEntry>> = BTreeMap::new();
    for shelf in shelves.values() {
        for (key, entry) in items::entries(shelf.own(), attribute, place.names()) {
            found.entry(key).or_default().push(entry);
        }
    }
    let one = |entries: Vec<MirrorEntry>| {
        let complete = entries.len() == shelves.len();
        let alike = entries.iter().all(|entry| entry.active && entry.attributes == entries[0].attributes);
        let one_name = entries.iter().all(|entry| entry.name == entries[0].name);
        let mut shown = entries.into_iter().max_by_key(|entry| entry.active)?;
        if shown.active && !(complete && alike) {
            shown.attributes.insert(attribute.to_owned(), String::new());
        }
        if !one_name {
            shown.name.clear();
        }
        Some(shown)
    };
    found.into_values().filter_map(one).collect()
}

/// What to do after a failed write.
enum After<'a, T> {
    /// Try both halves: the refusal may be about one of them.
    Halves(&'a [T], &'a [T]),
    /// Keep the reason; what reading back shows decides.
    Explain,
    /// No further call would fare better.
    GiveUp,
}

fn after<'a, T>(failure: &Failure, part: &'a [T], tries: usize) -> After<'a, T> {
    match &failure.class {
        FailureClass::Rejected { .. } if part.len() > 1 && tries < MOST_PARTS => {
            let (first, second) = part.split_at(part.len() / 2);
            After::Halves(first, second)
        }
        FailureClass::Rejected { .. } | FailureClass::InDoubt | FailureClass::Unavailable => After::Explain,
        FailureClass::NotSent | FailureClass::Unauthorised | FailureClass::Throttled { .. } => After::GiveUp,
    }
}

fn explain<'a>(reasons: &mut Reasons, keys: impl Iterator<Item = &'a str>, failure: &Failure) {
    let refused = matches!(failure.class, FailureClass::Rejected { .. });
    for key in keys {
        let reason = reasons.entry(fold(key)).or_default();
        reason.words = failure.to_string();
        reason.refusals = reason.refusals.saturating_add(usize::from(refused));
        reason.doubt |= !refused;
    }
}
