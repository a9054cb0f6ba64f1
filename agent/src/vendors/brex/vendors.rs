//! Vendors of the ERP as vendors of Brex. Brex has no field for the ERP's code (D), so the pair of ids is noted here; on
//! the first run a vendor of the same name is adopted instead of made twice. Payment accounts are neither sent nor read:
//! they move money, and sending them overwrites.

use super::Brex;
use super::calls;
use super::fields::{ascii, key_of_change};
use super::outcome::{Refusal, unavailable};
use super::page::Walk;
use super::surface::unnoted;
use super::wire::Vendor;
use crate::vendors::ChangeOutcome;
use serde::{Deserialize, Serialize};
use spend::mirror::{MirrorChange, MirrorEntry};
use spend::posting::{Failure, FailureClass};
use std::collections::BTreeMap;

/// The note that holds the pairs.
const NOTE: &str = "vendor-pairs";
/// What the key of a vendor begins with that is paired with none of the ERP.
const UNPAIRED: &str = "brex:";

/// A vendor of the ERP at Brex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pair {
    /// Id at Brex.
    id: String,
    /// No longer used by the ERP. Brex cannot disable a vendor (D by absence), and deleting one would lose its history.
    #[serde(default)]
    retired: bool,
}

/// Pairs by the ERP's code.
type Pairs = BTreeMap<String, Pair>;

/// Vendors of Brex by id, with their names.
type Present = BTreeMap<String, String>;

impl Brex {
    /// All vendors of Brex: paired ones under the ERP's code.
    pub(super) async fn read_vendors(&self) -> Result<Vec<MirrorEntry>, Failure> {
        let pairs = self.pairs()?;
        let codes: BTreeMap<&str, (&str, bool)> =
            pairs.iter().map(|(code, pair)| (pair.id.as_str(), (code.as_str(), pair.retired))).collect();
        let present = self.present_vendors().await?;
        let entry = |(id, name): (String, String)| {
            let (key, retired) = match codes.get(id.as_str()) {
                Some((code, retired)) => ((*code).to_owned(), *retired),
                None => (format!("{UNPAIRED}{id}"), false),
            };
            MirrorEntry { key, name, active: !retired, attributes: BTreeMap::new() }
        };
        Ok(present.into_iter().map(entry).collect())
    }

    /// Makes changes, one by one: each is a call of its own.
    pub(super) async fn write_vendors(
        &self,
        changes: &[MirrorChange],
    ) -> Result<Vec<ChangeOutcome>, Failure> {
        let mut pairs = self.pairs()?;
        let mut present = self.present_vendors().await?;
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            let result = match self.write_vendor(change, &mut pairs, &mut present).await {
                Ok(result) => result,
                // What was done so far is noted; the rest is met by the next run.
                Err(failure) if !outcomes.is_empty() => {
                    let rest = changes.iter().skip(outcomes.len());
                    let why = failure.to_string();
                    outcomes.extend(rest.map(|c| ChangeOutcome::unsure(key_of_change(c), &why)));
                    return Ok(outcomes);
                }
                Err(failure) => return Err(failure),
            };
            // A vendor that shows up later has no pair, so that it is nobody's in any case.
            outcomes.push(ChangeOutcome { key: key_of_change(change).to_owned(), result, refused: false });
        }
        Ok(outcomes)
    }

    async fn write_vendor(
        &self,
        change: &MirrorChange,
        pairs: &mut Pairs,
        present: &mut Present,
    ) -> Result<Result<(), String>, Failure> {
        let (entry, retired) = match change {
            MirrorChange::Add(entry) | MirrorChange::Update { after: entry, .. } => (entry, false),
            MirrorChange::Disable(entry) => (entry, true),
        };
        if entry.key.starts_with(UNPAIRED) {
            return Ok(Err("it is a vendor of Brex alone and is changed there only".to_owned()));
        }
        let paired = pairs.get(&entry.key).filter(|pair| present.contains_key(&pair.id)).cloned();
        match (paired, retired) {
            (Some(pair), true) => {
                pairs.insert(entry.key.clone(), Pair { retired: true, ..pair });
                self.note_pairs(pairs)?;
                Ok(Ok(()))
            }
            (None, true) => Ok(Ok(())),
            (Some(pair), false) => self.align(entry, pair, pairs, present).await,
            (None, false) => self.add(entry, pairs, present).await,
        }
    }

    /// A vendor that is there gets the ERP's name.
    async fn align(
        &self,
        entry: &MirrorEntry,
        pair: Pair,
        pairs: &mut Pairs,
        present: &mut Present,
    ) -> Result<Result<(), String>, Failure> {
        let name = ascii(&entry.name);
        let same = present.get(&pair.id).is_some_and(|there| ascii(there) == name);
        if !same && !name.is_empty() {
            let request = calls::rename_vendor(&pair.id, &name);
            match self.send(&request).await {
                Ok(_) => {}
                Err(refusal) if is_about_this(&refusal) => return Ok(Err(refusal.failure.message)),
                Err(refusal) => return Err(settled_by_look(refusal.failure)),
            }
            *present = self.present_vendors().await?;
            if present.get(&pair.id).is_none_or(|there| there.trim() != name) {
                return Ok(Err("read back, it has not got the name".to_owned()));
            }
        }
        pairs.insert(entry.key.clone(), Pair { retired: false, ..pair });
        self.note_pairs(pairs)?;
        Ok(Ok(()))
    }

    /// Adopts the vendor of that name, or makes it.
    async fn add(
        &self,
        entry: &MirrorEntry,
        pairs: &mut Pairs,
        present: &mut Present,
    ) -> Result<Result<(), String>, Failure> {
        let name = ascii(&entry.name);
        if name.is_empty() {
            return Ok(Err("it has no name".to_owned()));
        }
        let mut found = of_name(&name, entry, pairs, present);
        if matches!(found, Ok(None)) {
            let request = calls::create_vendor(&name, self.today());
            let refused = match self.send(&request).await {
                Ok(_) => None,
                // "The name is taken" is not documented (U): whoever has it is looked for.
                Err(refusal) if is_about_this(&refusal) => Some(refusal.failure.message),
                Err(refusal) if refusal.failure.class == FailureClass::InDoubt => {
                    Some(refusal.failure.message)
                }
                Err(refusal) => return Err(refusal.failure),
            };
            *present = self.present_vendors().await?;
            found = of_name(&name, entry, pairs, present);
            if let (Ok(None), why) = (&found, refused) {
                return Ok(Err(why.unwrap_or_else(|| "read back, it is not there".to_owned())));
            }
        }
        match found {
            Err(why) => Ok(Err(why)),
            Ok(None) => Ok(Err("read back, it is not there".to_owned())),
            Ok(Some(id)) => {
                pairs.insert(entry.key.clone(), Pair { id, retired: false });
                self.note_pairs(pairs)?;
                Ok(Ok(()))
            }
        }
    }

    async fn present_vendors(&self) -> Result<Present, Failure> {
        let mut present = Present::new();
        for item in Walk::all(calls::vendors(), self).await.map_err(Failure::from)? {
            let vendor: Vendor = serde_json::from_str(item.raw.get())
                .map_err(|error| unavailable(format!("brex.vendors: a vendor is not understood: {error}")))?;
            if let Some(id) = vendor.id {
                present.insert(id, vendor.company_name.unwrap_or_default().trim().to_owned());
            }
        }
        Ok(present)
    }

    fn pairs(&self) -> Result<Pairs, Failure> {
        let Some(text) = self.notes.read(NOTE).map_err(unnoted)? else { return Ok(Pairs::new()) };
        serde_json::from_str(&text)
            .map_err(|error| unavailable(format!("brex: the noted pairs of vendors cannot be read: {error}")))
    }

    fn note_pairs(&self, pairs: &Pairs) -> Result<(), Failure> {
        let text = serde_json::to_string(pairs).unwrap_or_default();
        self.notes.write(NOTE, &text).map_err(unnoted)
    }
}

/// The vendor of a name that is free to be paired; an error says why none may be taken.
fn of_name(
    name: &str,
    entry: &MirrorEntry,
    pairs: &Pairs,
    present: &Present,
) -> Result<Option<String>, String> {
    let wanted = normalised(name);
    let same: Vec<&String> =
        present.iter().filter(|(_, there)| normalised(there) == wanted).map(|(id, _)| id).collect();
    let taken = |id: &str| pairs.iter().find(|(code, pair)| pair.id == id && **code != entry.key);
    let free: Vec<&&String> = same.iter().filter(|id| taken(id).is_none()).collect();
    match (free.as_slice(), same.first().and_then(|id| taken(id))) {
        ([id], _) => Ok(Some((**id).clone())),
        ([], None) => Ok(None),
        ([], Some((code, _))) => Err(format!(
            "the vendor of that name in Brex belongs to vendor {code} of the ERP; give one another name"
        )),
        _ => {
            Err("there are several vendors of that name in Brex; remove or rename all but one there"
                .to_owned())
        }
    }
}

/// A name without case, accents, punctuation and surplus blanks. Legal forms stay: they tell companies apart.
fn normalised(name: &str) -> String {
    let plain = ascii(name).to_lowercase();
    let words: Vec<&str> =
        plain.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words.join(" ")
}

/// Whether a refusal is about this vendor and not about the connection.
fn is_about_this(refusal: &Refusal) -> bool {
    matches!(refusal.failure.class, FailureClass::Rejected { .. }) && refusal.denied.is_none()
}

/// A write whose answer was lost: the next run reads what became of it.
fn settled_by_look(failure: Failure) -> Failure {
    match failure.class {
        FailureClass::InDoubt => unavailable(failure.message),
        FailureClass::NotSent
        | FailureClass::Rejected { .. }
        | FailureClass::Unauthorised
        | FailureClass::Throttled { .. }
        | FailureClass::Unavailable => failure,
    }
}
