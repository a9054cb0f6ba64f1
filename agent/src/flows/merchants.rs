//! Which vendor a merchant is: what people chose, remembered per flow and merchant and used by every later plan.

use super::replay::{Decided, Decision, no_posting};
use super::spend_flow::{RunError, Session, SpendFlow};
use crate::store::{AuditDraft, AuditKind, Batch, StateTable, Store, StoreError};
use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::ids::{CompanyId, FlowId, PostingKey, VendorCode};
use spend::mapping::VendorFrom;
use spend::matching::{Merchants, best, merchant_key};
use spend::posting::{Posting, PostingState};
use spend::reference::ReferenceData;
use std::collections::BTreeMap;

/// A person's choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The source's id of the merchant, else its normalised name.
    pub merchant: String,
    /// The merchant's name on the record that the choice was made for.
    pub name: String,
    /// Which vendor it is.
    pub vendor: VendorCode,
    /// In which company: elsewhere the same code is another vendor.
    pub company: CompanyId,
    /// Who, and why.
    pub decision: Decision,
    /// When.
    pub at: Timestamp,
}

/// What documents are planned against: reference data, and what is known of merchants.
pub struct Known {
    /// What the ERP knows.
    pub reference: ReferenceData,
    /// Vendors prepared for comparing, with people's choices.
    pub merchants: Merchants,
}

/// The choices of a flow, by merchant.
///
/// # Errors
/// When the store cannot be read.
pub fn choices(store: &Store, flow: &FlowId) -> Result<BTreeMap<String, Choice>, StoreError> {
    let head = format!("{flow}/");
    let mut choices = BTreeMap::new();
    for name in store.names(StateTable::Choice)? {
        if name.starts_with(&head)
            && let Some(choice) = store.get::<Choice>(StateTable::Choice, &name)?
        {
            choices.insert(choice.merchant.clone(), choice);
        }
    }
    Ok(choices)
}

/// The name that a choice is stored under.
fn name_of(flow: &FlowId, merchant: &str) -> String {
    format!("{flow}/{merchant}")
}

/// Forgetting a choice, with its audit entry.
pub fn forgetting(at: Timestamp, flow: &FlowId, choice: &Choice, decision: &Decision) -> Batch {
    let mut batch = Batch::new();
    batch.audit(AuditDraft {
        flow: Some(flow.clone()),
        actor: decision.actor(),
        ..AuditDraft::new(
            at,
            AuditKind::Decision,
            serde_json::json!({
                "verb": "forget", "merchant": choice.merchant, "name": choice.name, "vendor": choice.vendor,
                "note": decision.note,
            }),
        )
    });
    batch.remove(StateTable::Choice, &name_of(flow, &choice.merchant));
    batch
}

impl SpendFlow {
    /// Reference data together with what is known of merchants, where the flow asks for them.
    pub(super) fn known(&self, reference: ReferenceData) -> Result<Known, RunError> {
        let merchants = match self.settings.rules.vendor_from {
            VendorFrom::Merchant => {
                let choices = choices(&self.store, self.settings.flow())?;
                let company = &self.settings.context.company;
                let here = choices.into_iter().filter(|(_, choice)| choice.company == *company);
                let chosen = here.map(|(merchant, choice)| (merchant, choice.vendor)).collect();
                Merchants::new(&reference.vendors, chosen)
            }
            VendorFrom::Owner | VendorFrom::Fixed => Merchants::default(),
        };
        Ok(Known { reference, merchants })
    }

    /// Remembers which vendor the merchant of a record is, and plans the record again where it is held.
    ///
    /// # Errors
    /// [`RunError`] when the posting log is unusable.
    pub async fn choose(
        &self,
        key: &PostingKey,
        vendor: &VendorCode,
        decision: &Decision,
    ) -> Result<Decided, RunError> {
        let refused = |why: String| Ok(Decided::Refused { why });
        let Some(posting) = self.own(key)? else {
            return Ok(no_posting(key, self.settings.flow()));
        };
        let mut session = self.session("choose", self.clock.now());
        let merchant = match self.one_merchant(&posting) {
            Ok(merchant) => merchant,
            Err(why) => return refused(why),
        };
        let Some(reference) = self.reference(&mut session).await? else {
            return refused("the ERP's vendors cannot be read at present; try again later".to_owned());
        };
        if let Err(why) = usable(&reference, vendor, &merchant.1) {
            return refused(why);
        }
        self.remember(&session, &posting, merchant, vendor, decision).await?;
        match &posting.state {
            PostingState::Held(hold) if !hold.in_doubt => self.replay(key, decision).await,
            state @ (PostingState::Held(_)
            | PostingState::Planned
            | PostingState::Waiting { .. }
            | PostingState::Claimed { .. }
            | PostingState::InDoubt { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. }
            | PostingState::Superseded { .. }
            | PostingState::Handled { .. }) => Ok(Decided::Remembered { state: state.name().to_owned() }),
        }
    }

    /// Key and name of the record's merchant, about which nothing else is said.
    fn one_merchant(&self, posting: &Posting) -> Result<(String, String), String> {
        let rules = &self.settings.rules;
        if rules.vendor_from != VendorFrom::Merchant {
            return Err(
                "this flow does not make invoices out to merchants (flow.mapping.vendor_from)".to_owned()
            );
        }
        let mut merchants = BTreeMap::new();
        for line in &posting.document.lines {
            if let Some(key) = merchant_key(line) {
                merchants.insert(key, line.merchant.trim().to_owned());
            }
        }
        let Some((key, name)) = merchants.pop_first() else {
            return Err("the record has no merchant".to_owned());
        };
        if !merchants.is_empty() {
            return Err(
                "the record has several merchants; name their vendors in flow.mapping.merchants in purser.toml".to_owned()
            );
        }
        match spend::matching::ruled(&rules.merchants, &key, &name) {
            Some(code) => Err(format!(
                "flow.mapping.merchants in purser.toml says already that `{name}` is {code}, and rules come first"
            )),
            None => Ok((key, name)),
        }
    }

    async fn remember(
        &self,
        session: &Session,
        posting: &Posting,
        (merchant, name): (String, String),
        vendor: &VendorCode,
        decision: &Decision,
    ) -> Result<(), RunError> {
        let stored = name_of(self.settings.flow(), &merchant);
        let before: Option<Choice> = self.store.get(StateTable::Choice, &stored)?;
        let choice = Choice {
            merchant,
            name,
            vendor: vendor.clone(),
            company: self.settings.context.company.clone(),
            decision: decision.clone(),
            at: self.clock.now(),
        };
        let detail = serde_json::json!({
            "verb": "choose", "merchant": choice.merchant, "name": choice.name, "vendor": choice.vendor,
            "before": before.map(|choice| choice.vendor), "note": decision.note, "from": posting.state,
        });
        let mut batch = Batch::new();
        batch.audit(AuditDraft {
            kind: AuditKind::Decision,
            actor: decision.actor(),
            ..self.about(session, posting, detail)
        });
        batch.put(StateTable::Choice, &stored, &choice);
        self.commit(batch).await
    }
}

/// Why a vendor cannot be chosen, with the one that may have been meant.
fn usable(reference: &ReferenceData, vendor: &VendorCode, merchant: &str) -> Result<(), String> {
    match reference.vendors.get(vendor) {
        Some(known) if known.inactive => {
            Err(format!("vendor {vendor} ({}) is inactive in the ERP", known.name))
        }
        Some(_) => Ok(()),
        None => {
            let codes = reference.vendors.keys().map(VendorCode::as_str);
            let near = match purser_proto::suggest::nearest(vendor.as_str(), codes) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let best: Vec<String> =
                        best(merchant, &reference.vendors).iter().map(ToString::to_string).collect();
                    format!(
                        "nearest to `{merchant}`: {}",
                        if best.is_empty() { "none".to_owned() } else { best.join("; ") }
                    )
                }
            };
            Err(format!(
                "there is no vendor `{vendor}` in company {} (codes are case-sensitive); {near}",
                reference.company
            ))
        }
    }
}
