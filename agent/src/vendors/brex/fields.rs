//! Accounts, cost centres and projects as values of Brex fields. A value's remote id is the ERP's key behind a prefix;
//! it is what a record carries back, and what a value is found by. Values made in Brex by hand have none: they are left
//! alone.
//!
//! A batch is answered as a whole (U), so after every batch the values are read back by remote id, and after a refusal
//! the batch is halved until the values that Brex does not take stand alone.

mod remote;

use super::Brex;
use super::calls;
use super::outcome::{Refusal, unavailable};
use super::page::Walk;
use super::settings::{FieldGroup, FieldSettings};
use super::wire::{Field, FieldValue, Integration};
use crate::vendors::ChangeOutcome;
use remote::RemoteIds;
use serde_json::{Value, json};
use spend::mirror::{MirrorChange, MirrorEntry, ReferenceSet};
use spend::posting::{Failure, FailureClass};
use std::collections::{BTreeMap, BTreeSet};

/// Remote ids of one look: they stand in the address.
const LOOKED_UP_AT_ONCE: usize = 50;
/// What the key of a value begins with that was made in Brex by hand.
const BY_HAND: &str = "brex:";

/// Plain ASCII: several texts are refused otherwise (D), and nobody says which.
pub(super) fn ascii(text: &str) -> String {
    spend::mirror::in_plain_letters(text)
}

/// What a batch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Create,
    Update,
}

/// What became of values, by key.
#[derive(Default)]
struct Told {
    results: BTreeMap<String, Result<(), String>>,
    /// Those of which nothing was made.
    refused: BTreeSet<String>,
}

/// A value as it is to be.
#[derive(Clone, Debug)]
struct Wanted {
    key: String,
    remote_id: String,
    code: String,
    name: String,
    disabled: bool,
}

impl Brex {
    /// The field of a set.
    fn field_settings(&self, set: ReferenceSet) -> Option<(&FieldSettings, &'static str)> {
        let reference = &self.settings.reference;
        match set {
            ReferenceSet::Accounts => Some((&reference.accounts, "gl_code")),
            ReferenceSet::CostCentres => Some((&reference.cost_centres, "code")),
            ReferenceSet::Projects => Some((&reference.projects, "code")),
            ReferenceSet::Vendors | ReferenceSet::Employees => None,
        }
    }

    /// All values of the set's field; none when there is no such field yet. `known` are keys that they may have.
    pub(super) async fn read_values(
        &self,
        set: ReferenceSet,
        known: &BTreeSet<String>,
    ) -> Result<Vec<MirrorEntry>, Failure> {
        let Some((field, attribute)) = self.field_settings(set) else { return Ok(Vec::new()) };
        let Some(id) = self.field_id(field).await? else { return Ok(Vec::new()) };
        let items = Walk::all(calls::field_values(&id, &[]), self).await.map_err(Failure::from)?;
        let ids = self.remote_ids(set);
        let known = ids.known(known);
        let mut entries = Vec::new();
        for item in items {
            let value: FieldValue = serde_json::from_str(item.raw.get()).map_err(|error| {
                unavailable(format!("brex.field-values: a value is not understood: {error}"))
            })?;
            let own = value.remote_id.as_deref();
            let own = own.and_then(|remote| ids.key(remote, value.value_id.as_deref(), &known));
            entries.extend(entry(&value, own, attribute));
        }
        Ok(entries)
    }

    /// How remote ids of a set are made. Only those of accounts have segments.
    fn remote_ids(&self, set: ReferenceSet) -> RemoteIds<'_> {
        let separator = match set {
            ReferenceSet::Accounts => self.settings.remote_separator.as_str(),
            ReferenceSet::CostCentres
            | ReferenceSet::Projects
            | ReferenceSet::Vendors
            | ReferenceSet::Employees => "",
        };
        RemoteIds { prefix: &self.settings.remote_prefix, separator }
    }

    /// Makes changes in the set's field; an answer per change, in order.
    pub(super) async fn write_values(
        &self,
        set: ReferenceSet,
        changes: &[MirrorChange],
    ) -> Result<Vec<ChangeOutcome>, Failure> {
        let Some((settings, attribute)) = self.field_settings(set) else { return Ok(Vec::new()) };
        let ids = self.remote_ids(set);
        let mut told = Told::default();
        let field = match self.field_id(settings).await? {
            Some(id) => id,
            None => self.make_field(settings).await?,
        };
        let (mut made, mut changed) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                MirrorChange::Add(entry) => made.push(Wanted::new(entry, ids, attribute, !entry.active)),
                MirrorChange::Update { after, .. } => {
                    changed.push(Wanted::new(after, ids, attribute, !after.active))
                }
                MirrorChange::Disable(entry) => changed.push(Wanted::new(entry, ids, attribute, true)),
            }
        }
        for (kind, wanted) in [(Kind::Create, made), (Kind::Update, changed)] {
            let (by_hand, ours): (Vec<Wanted>, Vec<Wanted>) =
                wanted.into_iter().partition(|wanted| wanted.key.starts_with(BY_HAND));
            for wanted in by_hand {
                let why = "it was made in Brex by hand and is changed there only".to_owned();
                told.refused.insert(wanted.key.clone());
                told.results.insert(wanted.key, Err(why));
            }
            for batch in ours.chunks(usize::from(self.settings.reference.batch_size)) {
                self.write_batch(&field, kind, batch, &mut told).await?;
            }
        }
        let of = |change: &MirrorChange| {
            let key = key_of_change(change).to_owned();
            let result = told.results.get(&key).cloned();
            let refused = result.is_none() || told.refused.contains(&key);
            ChangeOutcome {
                key,
                result: result.unwrap_or_else(|| Err("it was not written".to_owned())),
                refused,
            }
        };
        Ok(changes.iter().map(of).collect())
    }

    /// Writes a batch and sees what became of it. What a refusal is about is found by halving.
    async fn write_batch(
        &self,
        field: &str,
        kind: Kind,
        batch: &[Wanted],
        told: &mut Told,
    ) -> Result<(), Failure> {
        // Values that are there already (an earlier attempt whose answer was lost) are not made twice.
        let open: Vec<Wanted> = match kind {
            Kind::Create => self.not_there(field, batch, told).await?,
            Kind::Update => batch.to_vec(),
        };
        if open.is_empty() {
            return Ok(());
        }
        let today = self.today();
        let request = match kind {
            Kind::Create => calls::create_values(field, open.iter().map(Wanted::creation).collect(), today),
            Kind::Update => calls::update_values(field, open.iter().map(Wanted::update).collect()),
        };
        let refusal = match self.send(&request).await {
            Ok(_) => return self.see(field, &open, "", told).await,
            Err(refusal) => refusal,
        };
        match refusal.failure.class {
            FailureClass::InDoubt => self.see(field, &open, &refusal.failure.message, told).await,
            FailureClass::Rejected { .. } if refusal.denied.is_none() && open.len() > 1 => {
                let (left, right) = open.split_at(open.len() / 2);
                Box::pin(self.write_batch(field, kind, left, told)).await?;
                Box::pin(self.write_batch(field, kind, right, told)).await
            }
            FailureClass::Rejected { .. } if refusal.denied.is_none() => {
                let why = refusal.failure.message;
                told.refused.extend(open.iter().map(|wanted| wanted.key.clone()));
                told.results.extend(open.into_iter().map(|wanted| (wanted.key, Err(why.clone()))));
                Ok(())
            }
            _ => Err(refusal.failure),
        }
    }

    /// Those that have no value yet; what is there as wanted is told.
    async fn not_there(
        &self,
        field: &str,
        batch: &[Wanted],
        told: &mut Told,
    ) -> Result<Vec<Wanted>, Failure> {
        let there = self.values_by_remote_id(field, batch).await?;
        let mut open = Vec::new();
        let mut differing = Vec::new();
        for wanted in batch {
            match there.get(&wanted.remote_id) {
                None => open.push(wanted.clone()),
                Some(value) if wanted.differs_from(value).is_none() => {
                    told.results.insert(wanted.key.clone(), Ok(()));
                }
                Some(_) => differing.push(wanted.clone()),
            }
        }
        if !differing.is_empty() {
            Box::pin(self.write_batch(field, Kind::Update, &differing, told)).await?;
        }
        Ok(open)
    }

    /// Reads written values back and tells what became of each.
    async fn see(&self, field: &str, batch: &[Wanted], unsure: &str, told: &mut Told) -> Result<(), Failure> {
        let there = self.values_by_remote_id(field, batch).await?;
        for wanted in batch {
            let differs = match there.get(&wanted.remote_id) {
                None => Some("read back, it is not there".to_owned()),
                Some(value) => wanted.differs_from(value),
            };
            let result = match differs {
                None => Ok(()),
                Some(why) if unsure.is_empty() => Err(why),
                Some(why) => Err(format!("{why} ({unsure})")),
            };
            told.results.insert(wanted.key.clone(), result);
        }
        Ok(())
    }

    async fn values_by_remote_id(
        &self,
        field: &str,
        batch: &[Wanted],
    ) -> Result<BTreeMap<String, FieldValue>, Failure> {
        let mut found = BTreeMap::new();
        for chunk in batch.chunks(LOOKED_UP_AT_ONCE) {
            let ids: Vec<&str> = chunk.iter().map(|wanted| wanted.remote_id.as_str()).collect();
            for item in Walk::all(calls::field_values(field, &ids), self).await.map_err(Failure::from)? {
                let value: FieldValue = serde_json::from_str(item.raw.get()).unwrap_or_default();
                if let Some(remote) = value.remote_id.clone() {
                    found.insert(remote, value);
                }
            }
        }
        Ok(found)
    }

    /// The field with this remote id.
    async fn field_id(&self, settings: &FieldSettings) -> Result<Option<String>, Failure> {
        let items = Walk::all(calls::fields(), self).await.map_err(Failure::from)?;
        let fields = items.into_iter().filter_map(|item| serde_json::from_str::<Field>(item.raw.get()).ok());
        let mut fields = fields.filter(|f| f.remote_id.as_deref() == Some(settings.remote_id.as_str()));
        // A disabled one counts too: another of the same remote id would be a double.
        Ok(fields.next().and_then(|field| field.brex_id))
    }

    async fn make_field(&self, settings: &FieldSettings) -> Result<String, Failure> {
        let mut body = json!({
            "name": ascii(&settings.name),
            "remote_id": settings.remote_id,
            "group": match self.settings.reference.group {
                FieldGroup::Accounting => "ACCOUNTING",
                FieldGroup::Erp => "ERP",
            },
        });
        if self.settings.reference.group == FieldGroup::Erp {
            body["integration_id"] = Value::String(self.integration().await?);
        }
        let request = calls::create_field(body, self.today());
        let made: Field = match self.send(&request).await {
            Ok(answer) => self.understood(&request, &answer)?,
            Err(refusal) if refusal.failure.class == FailureClass::InDoubt => Field::default(),
            Err(refusal) => return Err(refusal.failure),
        };
        tracing::info!(field = settings.remote_id, "field made in Brex");
        match made.brex_id {
            Some(id) => Ok(id),
            None => self.field_id(settings).await?.ok_or_else(|| {
                unavailable(format!("brex.create-field: field {} is not there", settings.remote_id))
            }),
        }
    }

    /// The connection of this ERP at Brex. Making it again answers the one that is there; another ERP's is never
    /// touched.
    async fn integration(&self) -> Result<String, Failure> {
        let reference = &self.settings.reference;
        // Proven by the check of the settings.
        let (vendor, account) = (
            reference.integration_vendor.as_deref().unwrap_or_default(),
            reference.integration_account.as_deref().unwrap_or_default(),
        );
        let request = calls::create_integration(vendor, account);
        let answer = self.send(&request).await.map_err(|refusal| self.another_erp(refusal))?;
        let made: Integration = self.understood(&request, &answer)?;
        if made.status.as_deref() == Some("DISABLED") {
            return Err(super::outcome::rejected(
                request.operation,
                "the integration of this ERP is disabled in Brex".to_owned(),
                "reactivate it in Brex (Accounting > Settings), then run the flow again",
            ));
        }
        made.id
            .or(made.integration_id)
            .ok_or_else(|| unavailable("brex.create-integration: the answer names no integration".to_owned()))
    }

    /// A conflict in words that say who must decide. Nothing is ever disconnected from here.
    fn another_erp(&self, refusal: Refusal) -> Failure {
        if refusal.status != 409 {
            return refusal.failure;
        }
        let existing = refusal.detail("existing_vendor").unwrap_or("another system").to_owned();
        let what = match refusal.code.as_str() {
            "VENDOR_ACCOUNT_ID_MISMATCH" => {
                "this ERP is connected to the Brex account for another company (`integration_account`)"
                    .to_owned()
            }
            _ => format!("the Brex account is connected to {existing}; only one can be"),
        };
        super::outcome::rejected(
            "brex.create-integration",
            format!("{what}; nothing was changed"),
            "decide in Brex (Accounting > Settings) which one is to stay, or set `reference.group` to `accounting`, \
             which needs no integration",
        )
    }
}

/// A value as an entry: under its key where it has one of ours.
fn entry(value: &FieldValue, own: Option<String>, attribute: &str) -> Option<MirrorEntry> {
    let code = value.value_id.as_deref().unwrap_or_default().trim();
    let name = value.value.as_deref().unwrap_or_default();
    let name = name.strip_prefix(code).filter(|rest| rest.starts_with(' ')).unwrap_or(name).trim();
    let key = match own {
        Some(key) => key,
        None => format!("{BY_HAND}{}", value.brex_id.as_deref()?),
    };
    let attributes = [(attribute.to_owned(), code.to_owned())];
    Some(MirrorEntry {
        key,
        name: name.to_owned(),
        active: value.is_disabled != Some(true),
        attributes: attributes.into_iter().filter(|(_, code)| !code.is_empty()).collect(),
    })
}

impl Wanted {
    fn new(entry: &MirrorEntry, ids: RemoteIds<'_>, attribute: &str, disabled: bool) -> Self {
        let code = entry.attributes.get(attribute).unwrap_or(&entry.key);
        let code = ascii(code);
        let name = ascii(&entry.name);
        Self {
            key: entry.key.clone(),
            remote_id: ids.remote_id(&entry.key),
            name: if name.is_empty() { code.clone() } else { format!("{code} {name}") },
            code,
            disabled,
        }
    }

    fn creation(&self) -> Value {
        json!({
            "value": self.name, "value_id": self.code, "remote_id": self.remote_id, "is_disabled": self.disabled,
        })
    }

    fn update(&self) -> Value {
        json!({ "remote_id": self.remote_id, "data": { "value": self.name, "is_disabled": self.disabled } })
    }

    fn differs_from(&self, value: &FieldValue) -> Option<String> {
        let disabled = value.is_disabled == Some(true);
        if disabled != self.disabled {
            return Some(format!("read back, it is {}", if disabled { "disabled" } else { "still enabled" }));
        }
        let name = value.value.as_deref().unwrap_or_default().trim();
        (name != self.name && !self.disabled).then(|| format!("read back, it is called `{name}`"))
    }
}

pub(super) fn key_of_change(change: &MirrorChange) -> &str {
    match change {
        MirrorChange::Add(entry)
        | MirrorChange::Update { after: entry, .. }
        | MirrorChange::Disable(entry) => &entry.key,
    }
}
