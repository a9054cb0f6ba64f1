//! Webhooks from end to end: what a sender must be to be believed, that a genuine one makes the flow run, and that
//! webhook and schedule together book nothing twice.

use std::path::PathBuf;

use sandbox::faults::{BodyKind, FaultAction, FaultMatch, FaultRule};
use sandbox::harness::{BREX, EPICOR, SandboxOptions};
use sandbox::invariants::Needles;
use sandbox::world::{ACCRUED_EXPENSES, CARD_CLEARING, DEFAULT_COST_CENTRE, DEFAULT_DEPARTMENT};
use serde_json::{Value, json};

use crate::stage::{Stage, quick, wait_for};

/// The flow that reads from the connection.
const CARDS: &str = "cards";

/// A stage with a card flow, and the secret that is in force at the sender.
struct Line {
    stage: Stage,
    listed: Vec<String>,
    /// Records that somebody else had exported before.
    before: u64,
}

impl Line {
    async fn set() -> Self {
        let options = SandboxOptions { spend: 40, ..quick(2) };
        let stage = Stage::set(options, |_| {}).await;
        let listed = secrets(&stage.sandbox.brex.control("rotate-secret", &json!({})).unwrap());
        let mut line = Self { stage, listed, before: 0 };
        line.before = line.exported();
        let tables = line.tables();
        line.stage.configure(|config| config.tables = tables);
        line
    }

    fn tables(&self) -> Vec<String> {
        let config = &self.stage.config;
        let url = self.stage.sandbox.brex.url();
        let connection = format!(
            "[[connection]]\nid = \"{BREX}\"\nkind = \"brex\"\nurl = \"{url}\"\n\
             network = {{ proxy = \"none\", allow_plain_loopback = true }}\n\
             settings = {{ tag_fields = [\"DEPARTMENT\", \"PROJECT\"], rate_limits = [], company_id = \"{}\" }}",
            self.company()
        );
        let flow = format!(
            "[[flow]]\nid = \"{CARDS}\"\nsource = \"{BREX}\"\ntarget = \"{EPICOR}\"\ncompany = \"{}\"\n\
             document = \"journal\"\nprefix = \"CRD\"\nstart = \"{}\"\n\n[flow.policy]\n\
             settle_window = 3\nsettle_interval = 1\nbackoff_base = 1\n\n[flow.mapping]\nuse_category_code = true\n\
             default_segments = {{ 2 = \"{DEFAULT_DEPARTMENT}\", 3 = \"{DEFAULT_COST_CENTRE}\" }}\n\
             tags = [{{ level = 1, target = {{ segment = 2 }} }}, {{ level = 2, target = \"project\" }}]\n\
             offset_card = \"{CARD_CLEARING}\"\noffset_reimbursable = \"{ACCRUED_EXPENSES}\"",
            config.company,
            config.start(),
        );
        vec![connection, flow]
    }

    fn company(&self) -> String {
        self.stage.sandbox.brex.state()["company_id"].as_str().unwrap().to_owned()
    }

    fn control(&self, verb: &str, body: Value) -> Value {
        self.stage.sandbox.brex.control(verb, &body).unwrap()
    }

    /// Seals the connection's secret with these webhook secrets.
    async fn know(&self, secrets: &[&str]) {
        let names = ["webhook_secret", "webhook_secret_next"];
        let mut fields = vec![("token", self.stage.sandbox.secrets.brex_token.as_str())];
        fields.extend(names.into_iter().zip(secrets.iter().copied()));
        let url = self.stage.sandbox.brex.url();
        self.stage.purser.set_secret(BREX, "brex", &url, &fields).await.unwrap();
    }

    /// All messages so far as a file, each signed anew and altered like this.
    fn write(&self, alter: &str) -> PathBuf {
        let file = self.stage.home.beside().join("deliveries.jsonl");
        let path = file.display().to_string();
        self.control("write-deliveries", json!({ "file": path, "which": "all", "alter": alter }));
        file
    }

    async fn replay(&self, code: i32, file: &std::path::Path) -> Value {
        self.stage.ask(code, &["webhooks", "replay", file.to_str().unwrap()]).await
    }

    fn event(&self, body: Value) {
        self.control("event", json!({ "body": body }));
    }

    /// Records that are marked as exported since the beginning.
    fn exported(&self) -> u64 {
        let now = self.stage.sandbox.brex.state()["statuses"]["EXPORTED"].as_u64().unwrap_or_default();
        now - self.before
    }

    async fn audit(&self, kind: &str) -> Vec<Value> {
        let shown = self.stage.ask(0, &["audit", "show", "--kind", kind, "--limit", "100000"]).await;
        shown["entries"].as_array().unwrap_or_else(|| panic!("{shown}")).clone()
    }
}

fn secrets(listed: &Value) -> Vec<String> {
    let all = listed.as_array().unwrap().iter();
    all.map(|each| each["secret"].as_str().unwrap().to_owned()).collect()
}

fn codes(answer: &Value) -> Vec<&str> {
    let deliveries = answer["deliveries"].as_array().unwrap().iter();
    deliveries.map(|each| each["code"].as_str().or(each["outcome"].as_str()).unwrap()).collect()
}

/// Sheet item: Brex 10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_genuine_fresh_and_new_delivery_makes_the_flow_run_and_every_one_is_audited() {
    let line = Line::set().await;
    let (new, old) = (line.listed[0].clone(), line.listed[1].clone());
    line.know(&[&old]).await;
    line.control("announce", json!({}));
    for (alter, code) in [
        ("body", "bad-signature"),
        ("secret", "bad-signature"),
        ("time", "bad-signature"),
        ("stale", "stale"),
        ("ahead", "ahead"),
        ("version", "no-signature"),
        ("headerless", "missing-header"),
        ("mixed", "missing-header"),
    ] {
        let answer = line.replay(4, &line.write(alter)).await;
        assert_eq!(codes(&answer), [code], "{alter}: {answer}");
        assert_eq!(answer["flows"], json!([]), "{alter}");
    }
    let calls = line.stage.sandbox.brex.state()["calls"].clone();
    assert_eq!(
        calls.as_object().map(serde_json::Map::len),
        Some(0),
        "a refused webhook caused a call: {calls}"
    );
    assert_eq!(line.audit("security").await.len(), 8);

    // Two secrets sign during a rotation; the agent knows the older one.
    let file = line.write("none");
    let answer = line.replay(4, &file).await;
    assert_eq!(codes(&answer), ["accepted"], "{answer}");
    let report = &answer["flows"][0]["report"];
    let posted = report["posted"].as_u64().unwrap();
    assert!(posted > 0 && report["errors"] == json!([]), "{report}");
    assert_eq!((line.stage.sandbox.documents_in_erp(), line.exported()), (posted, posted));

    // The same file, and the same message signed anew.
    let told = std::fs::read_to_string(&file).unwrap();
    for anew in [false, true] {
        let file = if anew { line.write("none") } else { file.clone() };
        let answer = line.replay(0, &file).await;
        assert_eq!((codes(&answer), &answer["flows"]), (vec!["known-already"], &json!([])));
    }

    // After the overlap only the new secret signs.
    line.control("drop-old-secret", json!({}));
    line.event(json!({ "event_type": "ACCOUNTING_RECORD_READY_FOR_EXPORT", "accountingRecordIds": [],
        "companyId": line.company() }));
    assert_eq!(codes(&line.replay(4, &line.write("none")).await), ["bad-signature"; 2]);
    line.know(&[&old, &new]).await;
    assert_eq!(codes(&line.replay(0, &line.write("none")).await), ["known-already", "accepted"]);

    let accepted = line.audit("webhook").await;
    assert_eq!(accepted.len(), 5);
    assert!(accepted.iter().all(|entry| entry["detail"]["what"] == "webhook"), "{accepted:?}");
    assert_eq!(line.audit("security").await.len(), 10);
    assert_eq!(line.stage.ask(0, &["audit", "verify"]).await["intact"], true);
    assert_eq!(line.stage.sandbox.documents_in_erp(), posted);

    // Neither a secret nor a signature is left in any file of the agent.
    let delivery: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    let signature = delivery["headers"]["webhook-signature"].as_str().unwrap();
    let needles =
        Needles::default().with("secret", [new.as_str(), old.as_str()]).with("signature", [signature]);
    let (found, files) = needles.below(line.stage.home.path()).unwrap();
    assert_eq!((found, files > 4), (Vec::new(), true));
}

/// Sheet item: Brex 10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_others_unknown_empty_large_and_malformed_ones_are_told_apart() {
    let line = Line::set().await;
    line.know(&[&line.listed[0]]).await;
    let company = line.company();
    let ready = "ACCOUNTING_RECORD_READY_FOR_EXPORT";
    let many: Vec<String> = (0..600).map(|n| format!("accr_none{n}")).collect();
    line.event(json!({ "event_type": ready, "accountingRecordIds": ["accr_1"], "companyId": "cuacc_other" }));
    line.event(json!({ "event_type": "SOMETHING_NEW", "company_id": company }));
    line.event(json!({ "event_type": ready, "accountingRecordIds": "accr_1", "companyId": company }));
    line.event(json!({ "event_type": ready, "accounting_record_ids": [], "company_id": company }));
    line.event(json!({ "event_type": ready, "accountingRecordIds": many, "companyId": company }));
    let file = line.write("none");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("\nthis is no delivery\n{\"received_at\": 7}\n");
    std::fs::write(&file, text).unwrap();
    let answer = line.replay(4, &file).await;
    assert_eq!(
        codes(&answer),
        ["ignored", "ignored", "bad-event", "accepted", "accepted", "no-delivery", "no-delivery"],
        "{answer}"
    );
    assert_eq!(answer["deliveries"][4]["records"], 600);
    assert_eq!(answer["flows"].as_array().unwrap().len(), 1, "two accepted events make one run");
    let said = line.stage.say(4, &["webhooks", "replay", file.to_str().unwrap()]).await;
    assert!(said.stdout.contains("known already") && said.stdout.contains("REFUSED"), "{}", said.words());
    assert!(
        said.stdout.contains("brex: 0 accepted, 0 with nothing to fetch, 4 known already, 3 refused"),
        "{}",
        said.words()
    );

    let wrong =
        line.stage.ask(2, &["webhooks", "replay", file.to_str().unwrap(), "--connection", EPICOR]).await;
    assert!(wrong["error"].as_str().unwrap().contains("receives no webhooks"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_webhook_announced_while_its_sender_was_down_is_booked_without_another_word() {
    let line = Line::set().await;
    line.know(&[&line.listed[0]]).await;
    line.control("announce", json!({}));
    let file = line.write("none");
    let agent = line.stage.purser.spawn(&["run", "--no-jitter"]).unwrap();
    line.stage
        .status_when("the agent runs", |status| status["connections"][BREX]["state"] == "running")
        .await;
    let down = FaultAction::Status { code: 503, retry_after: None, body: BodyKind::default() };
    line.stage.sandbox.brex.faults([FaultRule::always(FaultMatch::path("/accounting/records"), down)]);
    let answer = line.replay(4, &file).await;
    let report = &answer["flows"][0]["report"];
    assert_eq!((codes(&answer), &report["posted"]), (vec!["accepted"], &json!(0)), "{answer}");
    assert!(!report["next_due"].is_null(), "{report}");
    line.stage.sandbox.brex.clear_faults();
    let booked = || line.exported() > 0 && line.exported() == line.stage.sandbox.documents_in_erp();
    assert!(wait_for(booked).await, "{} exported", line.exported());
    agent.terminate().await.unwrap();
    agent.wait().await.unwrap();
}

/// Sheet item: Brex 11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_and_poll_that_meet_book_nothing_twice() {
    let line = Line::set().await;
    line.know(&[&line.listed[0]]).await;
    line.control("announce", json!({}));
    let file = line.write("none");
    let agent = line.stage.purser.spawn(&["run", "--no-jitter"]).unwrap();
    line.stage
        .status_when("the agent runs", |status| status["connections"][BREX]["state"] == "running")
        .await;
    let path = file.to_str().unwrap();
    let (receive, run) = (["webhooks", "replay", path], ["flows", "run", CARDS]);
    let (hook, poll, again) = tokio::join!(
        line.stage.purser.json(&receive),
        line.stage.purser.json(&run),
        line.stage.purser.json(&receive),
    );
    let (hook, poll, again) = (hook.unwrap().1, poll.unwrap().1, again.unwrap().1);
    let mut outcomes = [codes(&hook), codes(&again)].concat();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["accepted", "known-already"], "{hook} {again}");
    agent.terminate().await.unwrap();
    agent.wait().await.unwrap();

    let posted: u64 = [&hook, &poll, &again]
        .into_iter()
        .flat_map(|answer| answer["flows"].as_array().unwrap())
        .map(|flow| flow["report"]["posted"].as_u64().unwrap())
        .sum();
    assert!(posted > 0);
    assert_eq!((line.stage.sandbox.documents_in_erp(), line.exported()), (posted, posted));
    assert_eq!(line.stage.ask(0, &["audit", "verify"]).await["intact"], true);
}
