//! Brex as a spend system that takes reference data: the list.

use super::bench::{Plug, Wire};
use super::brex::{Account, TOKEN, knobs};
use super::reference::{ReferenceFixture, reference_conformance};
use async_trait::async_trait;
use purser::vendors::ReferenceTarget;
use serde_json::{Value, json};
use spend::mirror::{MirrorChange, MirrorEntry, MirrorRules, Ours, ReferenceSet, compare};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An account whose vendors are paired with those of the ERP already.
struct Return(Account);

fn target(wire: &Wire, plug: Plug) -> Arc<dyn ReferenceTarget> {
    plug.into(wire).reference.expect("Brex takes reference data")
}

/// The name of the attribute that holds the ERP's code, and the remote id of the field.
fn place(set: ReferenceSet) -> Option<(&'static str, &'static str)> {
    match set {
        ReferenceSet::Accounts => Some(("gl_code", "GL_ACCOUNT")),
        ReferenceSet::CostCentres => Some(("code", "DEPT")),
        ReferenceSet::Projects => Some(("code", "PROJECT")),
        ReferenceSet::Vendors | ReferenceSet::Employees => None,
    }
}

fn entry(set: ReferenceSet, key: &str, code: &str, name: &str) -> MirrorEntry {
    let code = place(set).map(|(attribute, _)| (attribute.to_owned(), code.to_owned()));
    let attributes: BTreeMap<String, String> = code.into_iter().collect();
    MirrorEntry { key: key.to_owned(), name: name.to_owned(), active: true, attributes }
}

impl Return {
    fn plug() -> Plug {
        let field = |remote_id: &str| json!({ "remote_id": remote_id, "name": remote_id });
        let reference = json!({ "cost_centres": field("DEPT"), "projects": field("PROJECT") });
        Account::plug().set("reference", reference)
    }

    /// Pairs the vendors that are there, as the first run of a flow does with those of the same name.
    async fn pair_vendors(&self) {
        let client = self.client();
        let there = client.read_set(ReferenceSet::Vendors).await.unwrap();
        let known = |(n, vendor): (usize, MirrorEntry)| {
            let key = format!("V{n:03}");
            MirrorChange::Add(entry(ReferenceSet::Vendors, &key, &key, &vendor.name))
        };
        let changes: Vec<MirrorChange> = there.into_iter().enumerate().map(known).collect();
        for outcome in client.write_set(ReferenceSet::Vendors, &changes).await.unwrap() {
            assert_eq!(outcome.result, Ok(()), "{}", outcome.key);
        }
    }
}

#[async_trait]
impl ReferenceFixture for Return {
    async fn start() -> Self {
        let account = Self(Account::with(knobs()).await);
        account.pair_vendors().await;
        account
    }

    fn wire(&self) -> &Wire {
        &self.0.wire
    }

    fn client(&self) -> Arc<dyn ReferenceTarget> {
        target(self.wire(), Self::plug())
    }

    fn stranger(&self) -> Arc<dyn ReferenceTarget> {
        target(self.wire(), Self::plug().secret("token", "bxt_not_the_token"))
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned()]
    }

    fn sets(&self) -> Vec<ReferenceSet> {
        vec![ReferenceSet::Accounts, ReferenceSet::CostCentres, ReferenceSet::Projects, ReferenceSet::Vendors]
    }

    fn fresh(&self, set: ReferenceSet, n: usize) -> MirrorEntry {
        let code = format!("81{n:02}");
        entry(set, &code, &code, &format!("Büro & \"power\": <hall> {n}"))
    }

    /// Beside key and name there is nothing, and names are left as people have them by default.
    fn changed(&self, _: ReferenceSet, _: &MirrorEntry) -> Option<MirrorEntry> {
        None
    }

    fn is_made_by_hand(&self, key: &str) -> bool {
        key.starts_with("brex:")
    }

    fn impossible(&self, set: ReferenceSet) -> MirrorEntry {
        // A value without any text, and a name that another vendor of the ERP has already.
        match set {
            ReferenceSet::Vendors => {
                let taken = self.0.wire.sim.state()["vendors"][0]["name"].as_str().unwrap().to_owned();
                entry(set, "9990", "", &taken)
            }
            _ => {
                self.wire().forgive("value is required");
                entry(set, "9990", "", "")
            }
        }
    }

    fn plant(&self, set: ReferenceSet) -> String {
        let made = match place(set) {
            Some((_, field)) => {
                self.0.wire.control("add-value", json!({ "field": field, "name": "By hand: A & B" }))
            }
            None => self.0.wire.control("add-vendor", json!({ "name": "Made by hand" })),
        };
        format!("brex:{}", made["id"].as_str().unwrap())
    }

    fn records(&self) -> Value {
        self.0.wire.sim.state()["records"].clone()
    }

    fn foreign_calls(&self) -> Vec<String> {
        let journal = self.0.wire.sim.journal();
        let foreign = journal.iter().map(|call| call.path.as_str()).filter(|path| {
            !path.starts_with("/v1/fields")
                && !path.starts_with("/v1/vendors")
                && !path.starts_with("/v1/accounting/fields")
        });
        foreign.map(str::to_owned).collect()
    }
}

reference_conformance!(Return);

#[tokio::test]
async fn codes_that_hold_the_sign_between_segments_stay_themselves() {
    let account = Return::start().await;
    let client = target(account.wire(), Return::plug().set("remote_separator", json!("-")));
    for set in [ReferenceSet::Accounts, ReferenceSet::CostCentres, ReferenceSet::Projects] {
        let mut wanted = ["Z-100", "Z-200|9"].map(|key| entry(set, key, key, "Hall"));
        let known: BTreeSet<String> = wanted.iter().map(|entry| entry.key.clone()).collect();
        for (active, changes) in [(true, 2), (true, 0), (false, 1), (false, 0), (true, 1)] {
            wanted.iter_mut().for_each(|entry| entry.active = active || entry.key == "Z-200|9");
            let present = client.read_known(set, &known).await.unwrap();
            let delta = compare(&wanted, &present, &Ours::new(), &MirrorRules::default());
            assert_eq!(delta.changes.len(), changes, "{}: {:?}", set.as_str(), delta.changes);
            for outcome in client.write_set(set, &delta.changes).await.unwrap() {
                assert_eq!(outcome.result, Ok(()), "{}", outcome.key);
            }
        }
    }
}
