//! Vendors of the ERP as vendors of Brex.

use super::*;
use crate::vendors::{ChangeOutcome, ReferenceTarget};
use spend::mirror::{MirrorChange, MirrorEntry, ReferenceSet};

const VENDORS: ReferenceSet = ReferenceSet::Vendors;

fn entry(code: &str, name: &str) -> MirrorEntry {
    MirrorEntry { key: code.to_owned(), name: name.to_owned(), active: true, attributes: BTreeMap::new() }
}

fn add(code: &str, name: &str) -> MirrorChange {
    MirrorChange::Add(entry(code, name))
}

fn vendor(id: &str, name: &str) -> Value {
    json!({"id": id, "company_name": name, "email": null, "phone": null,
           "payment_accounts": [{"details": {"account_number": "000111222"}}]})
}

fn ok_of(outcomes: &[ChangeOutcome]) -> Vec<bool> {
    outcomes.iter().map(|outcome| outcome.result.is_ok()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_vendor_of_the_same_name_is_adopted_and_known_under_the_erps_code_afterwards() {
    let present = page(&[vendor("vendor_1", " ACME TOOLS,  Inc. "), vendor("vendor_2", "Unrelated")]);
    let (client, script) = client(Settings::default(), [("brex.vendors", vec![present])]);
    assert_eq!(ok_of(&client.write_set(VENDORS, &[add("ACME", "Acme Tools Inc")]).await.unwrap()), [true]);
    assert!(script.operations().iter().all(|operation| *operation == "vendors"), "nothing was made");
    let keys: Vec<_> = again(Settings::default(), &script)
        .read_set(VENDORS)
        .await
        .unwrap()
        .into_iter()
        .map(|e| e.key)
        .collect();
    assert_eq!(keys, ["ACME", "brex:vendor_2"]);
    assert!(!format!("{:?}", script.notes.lock().unwrap()).contains("000111222"), "no bank number is kept");
}

/// Sheet item: Brex 14
#[tokio::test(start_paused = true)]
async fn a_new_vendor_is_made_once_in_plain_ascii_without_payment_accounts() {
    let made = vec![page(&[]), page(&[vendor("vendor_9", "Schrauben Muller GmbH")])];
    let (client, script) = client(
        Settings::default(),
        [("brex.vendors", made), ("brex.create-vendor", vec![told(&vendor("vendor_9", "x"))])],
    );
    let change = [add("SCHRAU", "Schrauben Müller GmbH")];
    assert_eq!(ok_of(&client.write_set(VENDORS, &change).await.unwrap()), [true]);
    assert_eq!(ok_of(&client.write_set(VENDORS, &change).await.unwrap()), [true]);
    let sent = script.of("brex.create-vendor");
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].body, json!({"company_name": "Schrauben Muller GmbH"}));
    assert!(sent[0].headers.contains_key("idempotency-key"));
}

/// Sheet items: Brex 3, 14
#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_and_a_lost_answer_end_with_the_vendor_that_is_there() {
    let taken = status(400, r#"{"type":"BAD_REQUEST","message":"Vendor with this name already exists"}"#);
    for reply in [taken, lost(FailureClass::InDoubt), status(500, "")] {
        let lists = vec![page(&[]), page(&[vendor("vendor_9", "Acme")])];
        let (client, script) =
            client(Settings::default(), [("brex.vendors", lists), ("brex.create-vendor", vec![reply])]);
        assert_eq!(ok_of(&client.write_set(VENDORS, &[add("ACME", "Acme")]).await.unwrap()), [true]);
        assert!(script.notes.lock().unwrap()["vendor-pairs"].contains("vendor_9"));
    }
    let no = status(400, r#"{"type":"BAD_REQUEST","message":"company_name is invalid"}"#);
    let (client, _) =
        client(Settings::default(), [("brex.vendors", vec![page(&[])]), ("brex.create-vendor", vec![no])]);
    let outcomes = client.write_set(VENDORS, &[add("ACME", "Acme")]).await.unwrap();
    assert!(outcomes[0].result.as_ref().unwrap_err().contains("is invalid"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_list_is_no_empty_list() {
    let some = page_then(&[vendor("vendor_1", "Acme")], "next");
    for lists in [vec![ok("{}")], vec![told(&json!({"items": null}))], vec![some, ok("{}")]] {
        let (client, script) = client(
            Settings::default(),
            [("brex.vendors", lists), ("brex.create-vendor", vec![told(&vendor("vendor_9", "Bolts"))])],
        );
        let failure = client.write_set(VENDORS, &[add("BOLTS", "Bolts")]).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Unavailable, "{failure}");
        assert_eq!(script.of("brex.create-vendor").len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_be_two_is_left_to_a_person() {
    let twins = page(&[vendor("vendor_1", "Acme"), vendor("vendor_2", "ACME.")]);
    let (client, script) = client(Settings::default(), [("brex.vendors", vec![twins])]);
    let outcomes = client.write_set(VENDORS, &[add("ACME", "Acme")]).await.unwrap();
    assert!(outcomes[0].result.as_ref().unwrap_err().contains("several"));
    // Legal forms tell companies apart.
    let other = page(&[vendor("vendor_1", "Acme Ltd")]);
    script.forget("brex.vendors");
    script.then(
        "brex.vendors",
        [other, page(&[vendor("vendor_1", "Acme Ltd"), vendor("vendor_3", "Acme LLC")])],
    );
    script.then("brex.create-vendor", [told(&vendor("vendor_3", "Acme LLC"))]);
    let changes = [add("ACME-LLC", "Acme LLC"), add("ACME-2", "Acme, LLC")];
    let outcomes = client.write_set(VENDORS, &changes).await.unwrap();
    assert_eq!(ok_of(&outcomes), [true, false]);
    assert!(outcomes[1].result.as_ref().unwrap_err().contains("ACME-LLC"));
}

#[tokio::test(start_paused = true)]
async fn a_renamed_vendor_is_renamed_and_a_retired_one_is_remembered_not_deleted() {
    let lists = vec![page(&[vendor("vendor_1", "Old name")]), page(&[vendor("vendor_1", "New name")])];
    let (client, script) =
        client(Settings::default(), [("brex.vendors", lists), ("brex.rename-vendor", vec![ok("{}")])]);
    script.notes.lock().unwrap().insert("vendor-pairs".into(), r#"{"V1":{"id":"vendor_1"}}"#.into());
    let change = MirrorChange::Update { before: entry("V1", "Old name"), after: entry("V1", "New name") };
    assert_eq!(ok_of(&client.write_set(VENDORS, &[change]).await.unwrap()), [true]);
    let sent = &script.of("brex.rename-vendor")[0];
    assert_eq!(
        (sent.path.as_str(), &sent.body),
        ("/v1/vendors/vendor_1", &json!({"company_name": "New name"}))
    );
    let gone = [MirrorChange::Disable(entry("V1", "New name"))];
    assert_eq!(ok_of(&client.write_set(VENDORS, &gone).await.unwrap()), [true]);
    assert!(!client.read_set(VENDORS).await.unwrap()[0].active);
    assert!(script.sent().iter().all(|sent| sent.method != "DELETE"));
    let stranger = [MirrorChange::Disable(entry("brex:vendor_7", "x"))];
    assert_eq!(ok_of(&client.write_set(VENDORS, &stranger).await.unwrap()), [false]);
}
