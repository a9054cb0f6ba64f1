//! Actions, long operations and push notifications.

use std::sync::{Arc, Mutex};

use super::*;
use crate::server::{Reply, Request, Simulator};

async fn released(rig: &Rig, bill: &Value) -> Whole {
    let entity = json!({ "Type": { "value": "Bill" }, "ReferenceNbr": bill["ReferenceNbr"] });
    rig.post("Bill/ReleaseBill", &json!({ "entity": entity })).await
}

async fn poll(rig: &Rig, location: &str) -> Whole {
    whole(rig.http.get(format!("{}{location}", rig.run.url())).bearer_auth(&rig.token)).await
}

/// Sheet item: Acumatica 14
#[tokio::test]
async fn a_release_runs_after_its_answer_and_blocks_the_form_for_its_session() {
    let rig = Rig::new().await;
    let bill = rig.bill(&sound_bill(json!({}))).await;
    let answer = released(&rig, &bill).await;
    let location = answer.header("location").to_owned();
    assert_eq!(answer.status, 202);
    assert!(location.starts_with("/AcumaticaERP/entity/Default/24.200.001/Bill/ReleaseBill/status/"));
    let (status, body) = rig.get("Bill?$top=1").await;
    assert!(status == 500 && body["exceptionMessage"].as_str().unwrap().contains("has not been completed"));
    assert_eq!(rig.get("Vendor?$top=1").await.0, 200);
    let other = rig.password("api").await.1["access_token"].as_str().unwrap().to_owned();
    assert_eq!(taken(rig.http.get(rig.url("Bill?$top=1")).bearer_auth(other)).await.0, 200);
    for expected in [202, 202, 204] {
        assert_eq!(poll(&rig, &location).await.status, expected);
    }
    let number = bill["ReferenceNbr"]["value"].as_str().unwrap();
    assert_eq!(rig.get(&format!("Bill/Bill/{number}")).await.1["Status"]["value"], "Open");
    let done = poll(&rig, &location).await;
    assert_eq!(poll(&rig, done.header("location")).await.status, 500);
    let again = wrap(json!({ "Type": "Bill", "ReferenceNbr": number, "Description": "late" }));
    assert_eq!(rig.put("Bill", &again).await.0, 422);
}

/// Sheet item: Acumatica 14
#[tokio::test]
async fn a_release_can_fail_after_its_answer() {
    let rig = Rig::new().await;
    let bill = rig.bill(&sound_bill(json!({}))).await;
    rig.knobs(json!({ "fail_releases": 1, "operation_polls": 0 }));
    let location = released(&rig, &bill).await.header("location").to_owned();
    let failed = poll(&rig, &location).await;
    assert_eq!(failed.status, 500);
    assert!(failed.json()["exceptionMessage"].as_str().unwrap().contains("release failed"));
    assert_eq!(rig.documents()[0]["status"], "Balanced");
    // Time alone completes an operation as well.
    rig.knobs(json!({ "operation_polls": 1000 }));
    let location = released(&rig, &bill).await.header("location").to_owned();
    assert_eq!(poll(&rig, &location).await.status, 202);
    rig.run.advance_clock(TimeDelta::seconds(61));
    assert_eq!(poll(&rig, &location).await.status, 204);
    assert_eq!(rig.documents()[0]["posted"], true);
    let held = rig.bill(&sound_bill(json!({ "Hold": true }))).await;
    let location = released(&rig, &held).await.header("location").to_owned();
    rig.run.control("run-operations", &Value::Null).unwrap();
    assert!(poll(&rig, &location).await.body.contains("Status is invalid"));
}

/// Sheet item: Acumatica 14
#[tokio::test]
async fn actions_may_be_done_at_once_and_unknown_ones_are_not_found() {
    let rig = Rig::new().await;
    rig.knobs(json!({ "asynchronous": false }));
    let batch = rig.journal(&sound_journal(json!({ "Hold": true }))).await;
    let entity = json!({ "entity": { "id": batch["id"] } });
    assert_eq!(rig.post("JournalTransaction/ReleaseJournalTransaction", &entity).await.status, 500);
    assert_eq!(rig.post("JournalTransaction/releaseFromHold", &entity).await.status, 204);
    let done = rig.post("JournalTransaction/ReleaseJournalTransaction", &entity).await;
    assert_eq!(done.status, 204);
    assert_eq!(poll(&rig, done.header("location")).await.status, 500);
    assert_eq!(rig.documents()[0]["status"], "Posted");
    assert_eq!(rig.post("Bill/Dance", &json!({ "entity": {} })).await.status, 404);
    let nobody = wrap(json!({ "entity": { "Type": "Bill", "ReferenceNbr": "000999" } }));
    assert_eq!(rig.post("Bill/ReleaseBill", &nobody).await.status, 500);
    let bill = rig.bill(&sound_bill(json!({}))).await;
    released(&rig, &bill).await;
    let entity = json!({ "entity": { "id": bill["id"] } });
    assert_eq!(rig.post("Bill/ReverseBill", &entity).await.status, 204);
    // The reversal has the same reference and another type.
    let found = rig.list("Bill?$filter=VendorRef eq 'EXP-R00123'&$select=Type").await;
    assert_eq!(found[1]["Type"]["value"], "Debit Adj.");
    assert_eq!(rig.run.state()["companies"][TENANT]["summary"]["duplicates_by_reference"], json!({}));
}

/// A receiver of notifications: it answers as it is told and remembers.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<(Vec<u16>, Vec<Request>)>>);

impl Simulator for Ear {
    fn name(&self) -> &'static str {
        "ear"
    }

    fn handle(&mut self, request: &Request) -> Reply {
        let mut heard = self.0.lock().unwrap();
        heard.1.push(request.clone());
        let status = heard.0.pop().unwrap_or(200);
        Reply::json(status, &Value::Null)
    }

    fn state(&self) -> Value {
        Value::Null
    }

    fn control(&mut self, _verb: &str, _body: &Value) -> Result<Value, String> {
        Ok(Value::Null)
    }

    fn misuse(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Ear {
    async fn calls(&self, count: usize) -> Vec<Request> {
        loop {
            let heard = self.0.lock().unwrap().1.clone();
            if heard.len() >= count {
                return heard;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Sheet item: Acumatica 25
#[tokio::test]
async fn notifications_come_flat_doubled_out_of_order_and_at_most_five_times() {
    let rig = Rig::new().await;
    let ear = Ear::default();
    let hearing = serve(Box::new(ear.clone()), ServeOptions::default()).await.unwrap();
    let destination = |changes: Value| {
        let mut all = json!({ "url": format!("{}/hook", hearing.url()), "header_name": "X-Secret",
            "header_value": "good", "entities": ["Vendor"] });
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        rig.run.control("push-clear", &Value::Null).unwrap();
        rig.run.control("push-destination", &all).unwrap();
    };
    let rename = |name: &str| {
        let change = json!({ "id": "AIRNORTH", "tenant": TENANT, "set": { "VendorName": name } });
        rig.run.control("edit-vendor", &change).unwrap();
    };
    destination(json!({ "duplicates": 1, "header_value": "wrong" }));
    rename("Air South");
    let heard = ear.calls(2).await;
    assert_eq!(heard[0].header("x-secret"), Some("wrong"));
    assert_eq!(heard[0].body, heard[1].body);
    let body: Value = serde_json::from_slice(&heard[0].body).unwrap();
    assert_eq!((&body["Query"], &body["CompanyId"]), (&json!("ML-Vendors"), &json!(TENANT)));
    assert_eq!(body["Deleted"][0]["VendorName"], "Air North Ltd.");
    assert_eq!(body["Inserted"][0]["VendorName"], "Air South");
    assert!(body["Inserted"][0]["Vendor_lastModifiedDateTime"].is_string());
    let stamp = |request: &Request| {
        serde_json::from_slice::<Value>(&request.body).unwrap()["TimeStamp"].as_i64().unwrap()
    };
    assert!(stamp(&heard[0]) > 1 << 53);
    destination(json!({ "held": true }));
    rename("Air East");
    rename("Air West");
    rig.run.control("push-send", &json!({ "reversed": true })).unwrap();
    let heard = ear.calls(4).await;
    assert!(stamp(&heard[2]) > stamp(&heard[3]));
    destination(json!({}));
    ear.0.lock().unwrap().0 = vec![500; 9];
    rename("Air Void");
    assert_eq!(ear.calls(9).await.len(), 9);
    while rig.run.state()["push"]["sent"][0]["parked"] != true {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.run.state()["push"]["sent"][0]["attempts"], 5);
    ear.0.lock().unwrap().0.clear();
    rig.run.control("delete-vendor", &json!({ "id": "AIRNORTH", "tenant": TENANT })).unwrap();
    let gone: Value = serde_json::from_slice(&ear.calls(10).await[9].body).unwrap();
    assert_eq!((&gone["Inserted"], &gone["Deleted"][0]["VendorID"]), (&json!([]), &json!("AIRNORTH")));
}
