//! Categories and tags as lists of named items with a code: what they are as mirrored entries, and how a change alters
//! them. Pure. An item is known by its GL code, else by the code that its name begins with, else by its name; nothing
//! is ever taken out of a list.

use crate::vendors::expensify::convert::decode_entities;
use crate::vendors::expensify::settings::NameForm;
use crate::vendors::expensify::wire::{Category, PolicyTag};
use serde_json::{Map, Value, json};
use spend::mirror::{MirrorChange, MirrorEntry, fold};
use std::collections::{BTreeMap, BTreeSet};

/// A category or a tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) code: String,
    pub(super) enabled: bool,
    /// What else is known of it and must be sent along, because a change that leaves it out may blank it.
    pub(super) more: Map<String, Value>,
}

impl Item {
    /// A category as it was read.
    pub(super) fn category(category: &Category, entities: bool) -> Option<Self> {
        let mut more = Map::new();
        let mut keep = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                more.insert(name.to_owned(), value);
            }
        };
        keep("payrollCode", category.payroll_code.get().map(|text| json!(decoded(text, entities))));
        keep("areCommentsRequired", category.are_comments_required.get().map(|text| json!(text == "true")));
        keep("commentHint", category.comment_hint.get().map(|text| json!(decoded(text, entities))));
        let most = category.max_expense_amount.get().and_then(|text| text.parse::<i64>().ok());
        keep("maxExpenseAmount", most.map(Value::from));
        Some(Self {
            name: decoded(category.name.get()?, entities),
            code: decoded(category.gl_code.get().unwrap_or_default(), entities).trim().to_owned(),
            enabled: category.enabled.get() != Some("false"),
            more,
        })
    }

    /// A tag as it was read. A colon within its name is escaped; a bare one separates dependent levels.
    ///
    /// # Errors
    /// For tags with dependent levels, which cannot be written back level by level.
    pub(super) fn tag(tag: &PolicyTag, entities: bool) -> Result<Option<Self>, String> {
        let Some(name) = tag.name.get() else { return Ok(None) };
        let name = decoded(name, entities);
        if name.replace("\\:", "").contains(':') {
            return Err(format!(
                "tag `{name}` belongs to dependent levels, which are not written by this agent"
            ));
        }
        Ok(Some(Self {
            name: name.replace("\\:", ":"),
            code: decoded(tag.gl_code.get().unwrap_or_default(), entities).trim().to_owned(),
            enabled: tag.enabled.get() != Some("false"),
            more: Map::new(),
        }))
    }

    /// As it is written.
    pub(super) fn to_category(&self) -> Value {
        let mut row = self.more.clone();
        row.insert("name".to_owned(), json!(self.name));
        row.insert("enabled".to_owned(), json!(self.enabled));
        row.insert("glCode".to_owned(), json!(self.code));
        Value::Object(row)
    }

    /// As it is written.
    pub(super) fn to_tag(&self) -> Value {
        json!({ "name": self.name.replace(':', "\\:"), "glCode": self.code, "enabled": self.enabled })
    }

    /// What it is known by.
    fn key(&self) -> String {
        if !self.code.is_empty() {
            return self.code.clone();
        }
        leading_code(&self.name).unwrap_or(self.name.trim()).to_owned()
    }

    fn is(&self, key: &str) -> bool {
        fold(&self.key()) == key
    }
}

fn decoded(text: &str, entities: bool) -> String {
    if entities { decode_entities(text) } else { text.to_owned() }
}

/// Names often carry the account number in front: `5000. Meals`.
fn leading_code(name: &str) -> Option<&str> {
    let (first, rest) = name.trim().split_once(char::is_whitespace)?;
    let code = first.trim_end_matches(['.', ':', '-']);
    (code.chars().any(|c| c.is_ascii_digit()) && !rest.trim().is_empty()).then_some(code)
}

/// The name of a new item.
pub(super) fn named(form: NameForm, code: &str, name: &str) -> String {
    match form {
        _ if name.is_empty() => code.to_owned(),
        NameForm::CodeName => format!("{code} {name}"),
        NameForm::Name => name.to_owned(),
        NameForm::Code => code.to_owned(),
    }
}

/// The entry's name within an item's name; empty where the form holds none.
fn name_within(form: NameForm, code: &str, name: &str) -> String {
    match form {
        NameForm::Name => name.trim().to_owned(),
        NameForm::Code => String::new(),
        NameForm::CodeName => {
            let rest =
                name.trim().strip_prefix(code).map(|rest| rest.trim_start_matches(['.', ':', '-', ' ']));
            rest.unwrap_or(name.trim()).to_owned()
        }
    }
}

/// The items of one policy as entries, by folded key. `attribute` is the name that the code goes by.
pub(super) fn entries(items: &[Item], attribute: &str, form: NameForm) -> BTreeMap<String, MirrorEntry> {
    let mut groups: BTreeMap<String, Vec<&Item>> = BTreeMap::new();
    for item in items {
        groups.entry(fold(&item.key())).or_default().push(item);
    }
    let one = |(key, group): (String, Vec<&Item>)| {
        let enabled: Vec<&&Item> = group.iter().filter(|item| item.enabled).collect();
        let shown = enabled.first().copied().or(group.first())?;
        // Several names for one code are the workspace's own affair: none of them is compared.
        let name =
            if enabled.len() > 1 { String::new() } else { name_within(form, &shown.key(), &shown.name) };
        let entry = MirrorEntry {
            key: shown.key(),
            name,
            active: shown.enabled,
            attributes: BTreeMap::from([(attribute.to_owned(), shown.code.clone())]),
        };
        Some((key, entry))
    };
    groups.into_iter().filter_map(one).collect()
}

/// Alters the items as a change says. Names of items that are new or altered.
///
/// # Errors
/// Why it cannot be made, in words.
pub(super) fn apply(
    items: &mut Vec<Item>,
    change: &MirrorChange,
    attribute: &str,
    form: NameForm,
) -> Result<BTreeSet<String>, String> {
    let key = fold(change.key());
    let Some(entry) = change.target() else {
        return Ok(alter(items, |item| item.is(&key) && item.enabled, |item| item.enabled = false));
    };
    let code = entry.attribute(attribute).unwrap_or(&entry.key).to_owned();
    let mut touched = BTreeSet::new();
    if let MirrorChange::Update { before, after } = change
        && before.name != after.name
        && !before.name.is_empty()
    {
        touched.extend(renamed(items, &key, &code, &named(form, &code, &after.name))?);
        return Ok(touched);
    }
    let own: Vec<&Item> = items.iter().filter(|item| item.is(&key)).collect();
    if own.is_empty() {
        touched.insert(added(items, &code, &entry.name, form)?);
        return Ok(touched);
    }
    let all_disabled = own.iter().all(|item| !item.enabled);
    touched.extend(alter(
        items,
        |item| item.is(&key) && (item.code != code || all_disabled),
        |item| {
            item.code.clone_from(&code);
            item.enabled |= all_disabled;
        },
    ));
    Ok(touched)
}

fn alter(
    items: &mut [Item],
    which: impl Fn(&Item) -> bool,
    mut how: impl FnMut(&mut Item),
) -> BTreeSet<String> {
    let mut touched = BTreeSet::new();
    for item in items.iter_mut().filter(|item| which(item)) {
        how(item);
        touched.insert(item.name.clone());
    }
    touched
}

/// A name is a key of the vendor: a changed one is a new item, and the old one is disabled, because expenses hold it.
fn renamed(items: &mut Vec<Item>, key: &str, code: &str, name: &str) -> Result<BTreeSet<String>, String> {
    if let Some(other) = items.iter().find(|item| fold(&item.name) == fold(name) && !item.is(key)) {
        return Err(format!("`{}` has the code `{}` already", other.name, other.code));
    }
    let mut touched = alter(
        items,
        |item| item.is(key) && item.enabled && item.name != name,
        |item| {
            item.enabled = false;
        },
    );
    touched.insert(name.to_owned());
    match items.iter_mut().find(|item| item.name == name) {
        Some(known) => {
            known.enabled = true;
            known.code = code.to_owned();
        }
        None => {
            items.push(Item { name: name.to_owned(), code: code.to_owned(), enabled: true, more: Map::new() })
        }
    }
    Ok(touched)
}

/// Gives the code to an item of that name which has none, or makes a new item.
fn added(items: &mut Vec<Item>, code: &str, name: &str, form: NameForm) -> Result<String, String> {
    let own = named(form, code, name);
    let like = |item: &&mut Item| {
        fold(&item.name) == fold(&own) || !name.is_empty() && fold(&item.name) == fold(name)
    };
    if let Some(known) = items.iter_mut().filter(|item| item.code.is_empty()).find(like) {
        known.code = code.to_owned();
        known.enabled = true;
        return Ok(known.name.clone());
    }
    if let Some(other) = items.iter().find(|item| fold(&item.name) == fold(&own)) {
        return Err(format!(
            "`{}` stands there with the code `{}`; correct it in Expensify, or choose another form of names",
            other.name, other.code
        ));
    }
    items.push(Item { name: own.clone(), code: code.to_owned(), enabled: true, more: Map::new() });
    Ok(own)
}
