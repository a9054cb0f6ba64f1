//! The simulator against the list of what a faithful simulator must imitate.

use super::*;
use crate::world::WorldOptions;
use chrono::NaiveDate;
use std::collections::BTreeSet;

const FULL: &str = include_str!("../../freemarker/fixtures/json_lines.ftl");
const MARK: &str = "<#list reports as report>${report.reportID}<#sep>,</#sep></#list>";
const LABEL: &str = "purser";

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 21).unwrap()
}

/// A simulator with a client that never waits and a clock that is moved by hand.
struct Bench {
    sim: ExpensifySim,
    world: World,
    at: DateTime<Utc>,
}

impl Bench {
    fn new(reports: usize) -> Self {
        Self::with(reports, |knobs| knobs.rate_limits.clear())
    }

    fn with(reports: usize, change: impl Fn(&mut ExpensifyKnobs)) -> Self {
        let world = World::generate(42, reports, today());
        let mut knobs = ExpensifyKnobs::default();
        change(&mut knobs);
        let at = today().and_hms_opt(12, 0, 0).unwrap().and_utc();
        Self { sim: ExpensifySim::from_world(&world, knobs), world, at }
    }

    fn wait(&mut self, milliseconds: i64) {
        self.at += TimeDelta::milliseconds(milliseconds);
    }

    fn raw(&mut self, form: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.sim.handle(&Request {
            method: "POST".to_owned(),
            path: PATH.to_owned(),
            query: String::new(),
            headers: vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())],
            body: body.into_bytes(),
            at: self.at,
        })
    }

    fn send(&mut self, mut job: Value, extra: &[(&str, &str)]) -> Reply {
        let knobs = ExpensifyKnobs::default();
        if job.get("credentials").is_none() {
            job["credentials"] = json!({
                "partnerUserID": knobs.partner_user_id, "partnerUserSecret": knobs.partner_user_secret
            });
        }
        let description = job.to_string();
        let mut form = vec![("requestJobDescription", description.as_str())];
        form.extend_from_slice(extra);
        self.raw(&form)
    }

    fn json(&mut self, job: Value) -> Value {
        parsed(&self.send(job, &[]))
    }

    fn export(&mut self, filters: Value, template: &str) -> Reply {
        self.send(export_job(filters), &[("template", template)])
    }

    fn download(&mut self, name: &str) -> Reply {
        self.send(json!({"type": "download", "fileName": name, "fileSystem": "integrationServer"}), &[])
    }

    /// Exports and downloads.
    fn read(&mut self, filters: Value, template: &str) -> String {
        let name = text_of(&self.export(filters, template));
        text_of(&self.download(&name))
    }

    fn ids(&mut self, filters: Value) -> Vec<String> {
        let text = self.read(filters, MARK);
        text.split(',').filter(|t| !t.is_empty()).map(str::to_owned).collect()
    }

    fn mark(&mut self, ids: &str) -> Reply {
        let mut job = export_job(json!({"reportIDList": ids}));
        job["onFinish"] = json!([{"actionName": "markAsExported", "label": LABEL}]);
        self.send(job, &[("template", MARK)])
    }

    fn lines(&mut self, filters: Value) -> Vec<Value> {
        let text = self.read(filters, FULL);
        text.lines().filter(|l| !l.is_empty()).map(|l| serde_json::from_str(l).expect(l)).collect()
    }

    fn approved(&self) -> Vec<String> {
        self.world.reports_in(&["APPROVED"]).map(|r| r.id.clone()).collect()
    }
}

fn export_job(filters: Value) -> Value {
    json!({
        "type": "file",
        "onReceive": {"immediateResponse": ["returnRandomFileName"]},
        "inputSettings": {"type": "combinedReportData", "reportState": "APPROVED", "filters": filters},
        "outputSettings": {"fileExtension": "json", "fileBasename": "edge"}
    })
}

fn text_of(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

fn parsed(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

fn since(days: u64) -> Value {
    json!({"approvedAfter": (today() - chrono::Days::new(days)).to_string()})
}

fn recent() -> Value {
    since(40)
}

/// Sheet item: Expensify 1
#[test]
fn http_200_carries_error_codes_in_the_body() {
    let mut bench = Bench::new(10);
    let reply = bench.send(json!({"type": "get", "inputSettings": {"type": "policy"}}), &[]);
    assert_eq!(reply.status, 200);
    assert_eq!(
        parsed(&reply),
        json!({"responseMessage": "Required parameter 'policyIDList' is missing", "responseCode": 410})
    );
    let reply = bench.json(json!({"type": "nonsense"}));
    assert_eq!(reply["responseMessage"], "Argument 'type' is missing or malformed");
}

/// Sheet item: Expensify 2
#[test]
fn an_export_answers_with_a_bare_file_name() {
    let mut bench = Bench::new(10);
    let reply = bench.export(recent(), MARK);
    assert_eq!(reply.headers[0].1, "text/plain;charset=utf-8");
    let name = text_of(&reply);
    assert!(name.starts_with("edge") && name.ends_with(".json") && name.len() > 40, "{name}");
    let again = text_of(&bench.export(recent(), MARK));
    assert_ne!(name, again);
}

/// Sheet item: Expensify 3
#[test]
fn json_arrives_as_plain_text() {
    let mut bench = Bench::new(10);
    let reply =
        bench.send(json!({"type": "get", "inputSettings": {"type": "policyList", "adminOnly": true}}), &[]);
    assert_eq!(reply.headers[0].1, "text/plain;charset=utf-8");
    assert_eq!(parsed(&reply)["responseCode"], 200);
}

/// Sheet item: Expensify 4
#[test]
fn both_windows_of_the_rate_limit_hold_and_each_form_of_429_is_said() {
    let mut bench = Bench::with(10, |_| {});
    let list = || json!({"type": "get", "inputSettings": {"type": "policyList"}});
    let mut admitted = 0;
    for _ in 0..5 {
        admitted += u32::from(bench.send(list(), &[]).status == 200);
    }
    assert_eq!((admitted, bench.send(list(), &[]).status), (5, 429));
    bench.wait(10_000);
    for _ in 0..3 {
        for _ in 0..5 {
            assert_eq!(bench.send(list(), &[]).status, 200);
        }
        bench.wait(10_000);
    }
    assert_eq!(bench.send(list(), &[]).status, 429, "twenty calls in the last minute");
    for (form, status) in [("body", 200), ("html", 429)] {
        bench.sim.control("knobs", &json!({"rate_form": form})).unwrap();
        bench.wait(2_000);
        let reply = bench.send(list(), &[]);
        assert_eq!((reply.status, reply.body.starts_with(b"{")), (status, form == "body"));
    }
    assert!(bench.sim.misuse().is_empty(), "{:?}", bench.sim.misuse());
    bench.send(list(), &[]);
    assert_eq!(bench.sim.misuse(), ["a call followed a 429 without waiting"]);
    assert_eq!(bench.sim.state()["throttled"], 5);
}

/// Sheet item: Expensify 5
#[test]
fn what_is_no_job_gets_a_page() {
    let mut bench = Bench::new(10);
    let reply = bench.raw(&[("other", "x")]);
    assert_eq!(reply.status, 500);
    assert!(text_of(&reply).contains("requestJobDescription"));
    let reply = bench.raw(&[("requestJobDescription", "{'type':'get',}")]);
    assert!(text_of(&reply).contains("JSONObject"));
    assert_eq!(bench.sim.misuse().len(), 1);
    bench.sim.control("fail", &json!({"job": "download", "form": "html"})).unwrap();
    assert_eq!(bench.download("x").status, 500);
    assert_eq!(bench.download("x").status, 200);
}

#[test]
fn lenient_json_is_read_when_the_knob_says_so() {
    let mut bench = Bench::with(10, |k| k.lenient_json = true);
    let reply = bench.raw(&[(
        "requestJobDescription",
        "{'type':'get','credentials':{'partnerUserID':'aa_sandbox_example_test','partnerUserSecret':'5eed00000000000000000000000000000000cafe',},'inputSettings':{'type':'policyList',},}",
    )]);
    assert_eq!(parsed(&reply)["responseCode"], 200);
}

/// Sheet item: Expensify 6
#[test]
fn a_file_that_is_not_ready_shows_in_every_form() {
    let mut bench = Bench::with(10, |k| {
        k.rate_limits.clear();
        k.ready_delay_ms = 5_000;
        k.not_ready = NotReady::Rotate;
    });
    let name = text_of(&bench.export(recent(), FULL));
    let forms: Vec<Reply> = (0..6).map(|_| bench.download(&name)).collect();
    assert!(forms[0].status == 200 && forms[0].body.is_empty());
    assert_eq!(parsed(&forms[1])["responseCode"], 404);
    assert!(parsed(&forms[2]).get("responseCode").is_none());
    assert_eq!((forms[3].status, forms[4].status), (404, 500));
    assert!(!text_of(&forms[5]).contains("\"k\":\"F\"") && forms[5].body.len() > 10);
    bench.wait(5_000);
    assert!(text_of(&bench.download(&name)).ends_with("{\"k\":\"F\"}\n"));
    bench.wait(86_400_000);
    assert_eq!(parsed(&bench.download(&name))["responseMessage"], "File not found");
}

#[test]
fn a_file_of_one_store_is_not_found_in_the_other() {
    let mut bench = Bench::new(10);
    let name = text_of(&bench.export(recent(), MARK));
    let answer = bench.json(json!({"type": "download", "fileName": name, "fileSystem": "reconciliation"}));
    assert_eq!(answer["responseCode"], 404);
}

/// Sheet item: Expensify 7
#[test]
fn filters_that_match_nothing_give_an_empty_result() {
    let mut bench = Bench::new(10);
    assert_eq!(bench.read(json!({"reportIDList": "R00nothere"}), MARK), "");
    assert_eq!(bench.lines(json!({"reportIDList": "R00nothere"})).len(), 2);
    bench.sim.control("knobs", &json!({"no_match": "empty-file"})).unwrap();
    assert_eq!(bench.read(json!({"reportIDList": "R00nothere"}), FULL), "");
    bench.sim.control("knobs", &json!({"no_match": "error"})).unwrap();
    assert_eq!(parsed(&bench.export(json!({"reportIDList": "x"}), FULL))["responseCode"], 404);
}

/// Sheet items: Expensify 8, Expensify 12, Expensify 13
#[test]
fn every_approved_report_comes_with_its_expenses_and_amounts_to_the_cent() {
    let mut bench = Bench::new(300);
    let lines = bench.lines(recent());
    let of_kind = |k: &str| lines.iter().filter(|l| l["k"] == k).collect::<Vec<_>>();
    let ids: BTreeSet<&str> = of_kind("R").iter().map(|l| l["reportID"].as_str().unwrap()).collect();
    assert_eq!(ids, bench.approved().iter().map(String::as_str).collect());
    let effective = |l: &Value| {
        ["convertedAmount", "modifiedAmount", "amount"].iter().find_map(|k| l[*k].as_i64()).unwrap()
    };
    for report in bench.world.reports_in(&["APPROVED"]) {
        let line = of_kind("R").into_iter().find(|l| l["reportID"] == report.id.as_str()).unwrap();
        let expenses: Vec<_> =
            of_kind("E").into_iter().filter(|l| l["reportID"] == report.id.as_str()).collect();
        assert_eq!(expenses.len(), report.expenses.len());
        assert_eq!(line["total"], report.total());
        assert_eq!(expenses.iter().map(|e| effective(e)).sum::<i64>(), report.total());
        assert!(expenses.iter().all(|e| e["transactionID"].as_str().unwrap().len() == 19));
    }
    assert!(bench.world.reports_in(&["APPROVED"]).any(|r| r.expenses.is_empty()));
    assert!(of_kind("E").iter().any(|e| e["convertedAmount"].is_i64()));
    assert!(of_kind("E").iter().any(|e| e["amount"] == 0));
}

/// Sheet item: Expensify 9
#[test]
fn one_answer_holds_both_tag_shapes() {
    let mut bench = Bench::new(10);
    let list = bench.json(json!({"type": "get", "inputSettings": {"type": "policyList"}}));
    let ids: Vec<&str> =
        list["policyList"].as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap()).collect();
    let answer = bench.json(json!({"type": "get", "inputSettings": {
        "type": "policy", "policyIDList": ids, "fields": ["tags", "tax", "categories", "employees", "reportFields"]}}));
    let tags = |i: usize| &answer["policyInfo"][ids[i]]["tags"];
    assert!(tags(0)[0]["tags"].is_array() && tags(0)[1]["name"] == "Project");
    assert!(tags(1)[0]["glCode"].is_string() && tags(1)[0].get("tags").is_none());
    assert_eq!(answer["policyInfo"][ids[0]]["employees"].as_array().unwrap().len(), 30);
}

/// Sheet items: Expensify 10, Expensify 23
#[test]
fn missing_values_are_empty_texts_and_unknown_kinds_occur() {
    let mut bench = Bench::new(40);
    let list = bench.json(json!({"type": "get", "inputSettings": {"type": "policyList"}}));
    assert_eq!(list["policyList"][2]["type"], "personalPolicy");
    let id = list["policyList"][1]["id"].clone();
    let answer = bench.json(json!({"type": "get", "inputSettings": {
        "type": "policy", "policyIDList": [id], "fields": ["tax", "categories"]}}));
    let section = &answer["policyInfo"][id.as_str().unwrap()];
    assert_eq!(section["tax"], json!({}));
    assert!(section["categories"].as_array().unwrap().iter().any(|c| c["glCode"] == ""));
    let text = bench.read(
        recent(),
        "<#list reports as r>[${r.reimbursed}]<#list r.transactionList as e>${e.convertedAmount?is_string?c},</#list></#list>",
    );
    assert!(text.contains("[]") && text.contains("true,"));
}

/// Sheet item: Expensify 11
#[test]
fn names_carry_entities_and_escaped_colons_and_texts_survive_as_json() {
    let mut bench = Bench::new(400);
    let lines = bench.lines(recent());
    let all = |field: &str| lines.iter().filter_map(|l| l[field].as_str()).collect::<BTreeSet<_>>();
    assert!(all("category").contains("Postage &amp; courier"));
    assert!(all("ntag1").contains("R&amp;D\\: Laboratory"));
    assert!(all("ntag1GlCode").contains("20"));
    assert!(all("merchant").contains("O&apos;Hara &quot;&amp; Sons&quot;"));
    assert!(all("comment").contains("Line one\nline two"));
    bench.sim.control("knobs", &json!({"escape_entities": false})).unwrap();
    let lines = bench.lines(recent());
    let merchants: BTreeSet<_> = lines.iter().filter_map(|l| l["merchant"].as_str()).collect();
    assert!(merchants.contains("O'Hara \"& Sons\"") && merchants.contains("Snack\tBar\u{1F354}"));
}

/// Sheet item: Expensify 14
#[test]
fn merging_tags_deletes_the_others_and_says_200() {
    let mut bench = Bench::new(10);
    let id = bench.sim.policy_id().to_owned();
    let answer = bench.json(json!({"type": "update", "inputSettings": {"type": "policy", "policyID": id},
        "tags": {"source": "inline", "action": "merge",
                 "data": [{"name": "Project", "tags": [{"name": "P-1", "glCode": "1", "enabled": true}]}]},
        "categories": {"action": "merge", "data": [{"name": "New", "enabled": true, "glCode": "6100"}]}}));
    assert_eq!(answer["responseCode"], 200);
    let state = bench.sim.state();
    assert_eq!(state["policies"][0]["tags"], json!([{"name": "Project", "count": 1}]));
    assert_eq!(state["policies"][0]["categories"], bench.world.categories.len() + 1);
    let answer = bench
        .json(json!({"type": "update", "inputSettings": {"type": "policy", "policyID": "0000"},
        "categories": {"action": "replace", "data": []}}));
    assert_eq!(answer["responseCode"], 404);
}

#[test]
fn approvers_of_tags_are_set_and_cleared_where_there_is_a_single_level() {
    let mut bench = Bench::new(10);
    let state = bench.sim.state();
    let (two_levels, one_level) = (state["policies"][0]["id"].clone(), state["policies"][1]["id"].clone());
    let tag =
        bench.sim.control("policy", &json!({"policy": 1})).unwrap()["tags"][0]["tags"][0]["name"].clone();
    let mut set = |policy: &Value, name: &Value, approver: &str| {
        bench.json(json!({"type": "update", "inputSettings": {"type": "tagApprovers", "policyID": policy},
            "tagApprovers": [{"name": name, "approver": approver}]}))
    };
    assert_eq!(set(&one_level, &tag, "boss@example.test")["responseCode"], 200);
    let refused = set(&one_level, &json!("InvalidTag"), "");
    assert_eq!(
        (&refused["responseCode"], &refused["responseMessage"]),
        (&json!(410), &json!("Invalid tag name 'InvalidTag'"))
    );
    assert_eq!(set(&two_levels, &tag, "")["responseCode"], 410);
    let shown = |bench: &mut Bench| {
        bench.sim.control("policy", &json!({"policy": 1})).unwrap()["tags"][0]["tags"][0]["approver"].clone()
    };
    assert_eq!(shown(&mut bench), "boss@example.test");
    bench.sim.control("knobs", &json!({"policy_admin": false})).unwrap();
    let refused = bench
        .json(json!({"type": "update", "inputSettings": {"type": "tagApprovers", "policyID": one_level},
        "tagApprovers": []}));
    assert_eq!(refused["responseCode"], 403);
}

/// Sheet item: Expensify 15
#[test]
fn reimbursing_says_200_and_names_what_it_skipped() {
    let mut bench = Bench::new(40);
    let open = bench.world.reports_in(&["OPEN"]).next().unwrap().id.clone();
    let good = bench.approved()[0].clone();
    let answer = bench
        .json(json!({"type": "update", "inputSettings": {"type": "reportStatus", "status": "REIMBURSED",
        "paymentSource": "ERP", "filters": {"reportIDList": format!("{good},{open}")}}}));
    assert_eq!(answer["responseCode"], 200);
    assert_eq!(answer["reportIDs"], json!([good]));
    assert_eq!(answer["skippedReports"], json!([{"reportID": open, "reason": "Report is in status 'Open'"}]));
    assert!(answer.get("failedReports").is_none());
}

/// Sheet item: Expensify 16
#[test]
fn skipped_employee_rows_do_not_change_the_code() {
    let mut bench = Bench::new(10);
    let id = bench.sim.policy_id().to_owned();
    let row = |email: &str, policy: &str| json!({"employeeEmail": email, "managerEmail": "b@example.test", "employeeID": email, "policyID": policy});
    let data = json!([row("new@example.test", &id), row("lost@example.test", "X")]).to_string();
    for (dry, members) in [(true, 30), (false, 31)] {
        let job = json!({"type": "update", "dry-run": dry, "dataSource": "request",
                         "inputSettings": {"type": "employees", "entity": "generic"}});
        let answer = parsed(&bench.send(job, &[("data", &data)]));
        assert_eq!((&answer["responseCode"], &answer["updatedEmployeesCount"]), (&json!(200), &json!(1)));
        assert_eq!(answer["skippedEmployees"][0]["reason"], "No policy found for 'X'");
        assert_eq!(answer["diff"]["diffToAdd"][&id], json!(["new@example.test"]));
        assert_eq!(bench.sim.state()["policies"][0]["employees"], members);
    }
}

/// Sheet item: Expensify 17
#[test]
fn ranges_over_a_year_and_missing_bounds_are_refused() {
    let mut bench = Bench::new(10);
    for filters in [
        json!({"approvedAfter": "2025-01-01"}),
        json!({"approvedAfter": "2025-01-01", "endDate": "2026-11-21"}),
        json!({"markedAsExported": LABEL}),
        json!({"approvedAfter": "16-01-01"}),
        json!({"reportIDList": ["R1"]}),
    ] {
        assert_eq!(parsed(&bench.export(filters.clone(), MARK))["responseCode"], 410, "{filters}");
    }
    let misuse = bench.sim.misuse().join("; ");
    assert!(misuse.contains("endDate") && misuse.contains("reportIDList"), "{misuse}");
    let reply = bench.export(json!({"approvedAfter": "2025-01-01", "endDate": "2025-06-01"}), MARK);
    assert!(text_of(&reply).starts_with("edge"));
}

/// Sheet item: Expensify 18
#[test]
fn the_boundary_of_approved_after_can_be_moved() {
    let mut bench = Bench::new(200);
    let on_day = today() - chrono::Days::new(10);
    let count = |bench: &Bench, inclusive: bool| {
        let after = |r: &&crate::world::WorldReport| {
            r.approved.is_some_and(|a| a > on_day || inclusive && a == on_day)
        };
        bench.world.reports_in(&["APPROVED"]).filter(after).count()
    };
    assert_ne!(count(&bench, true), count(&bench, false));
    for inclusive in [false, true] {
        bench.sim.control("knobs", &json!({"approved_after_inclusive": inclusive})).unwrap();
        assert_eq!(bench.ids(since(10)).len(), count(&bench, inclusive));
    }
}

/// Sheet item: Expensify 19
#[test]
fn marks_are_set_when_the_export_finishes_even_if_nobody_downloads() {
    let mut bench = Bench::with(10, |k| {
        k.rate_limits.clear();
        k.ready_delay_ms = 3_000;
    });
    let id = bench.approved()[0].clone();
    bench.mark(&id);
    assert_eq!(bench.sim.state()["marked"], json!({}));
    bench.wait(3_000);
    bench.download("whatever");
    assert_eq!(bench.sim.state()["marked"][LABEL], 1);
    assert_eq!(bench.sim.control("labels", &json!({})).unwrap()[LABEL], json!([id]));
    assert!(bench.sim.misuse().is_empty());
}

#[test]
fn a_test_export_does_not_mark_and_a_reading_export_must_not() {
    let mut bench = Bench::new(10);
    let mut job = export_job(recent());
    job["onFinish"] = json!([{"actionName": "markAsExported", "label": LABEL}]);
    job["test"] = json!("true");
    bench.send(job.clone(), &[("template", MARK)]);
    assert_eq!(bench.sim.state()["marked"], json!({}));
    assert!(bench.sim.misuse().is_empty());
    bench.send(job, &[("template", FULL)]);
    assert!(bench.sim.misuse()[0].contains("marks them before"));
}

/// Sheet items: Expensify 20, Expensify 21
#[test]
fn validation_and_permission_errors_can_be_500() {
    let mut bench = Bench::with(10, |k| {
        k.validation_as_500 = true;
        k.policy_admin = false;
    });
    let answer = bench.json(json!({"type": "create", "inputSettings": {"type": "policy"}}));
    assert_eq!(answer["responseCode"], 500);
    assert_eq!(answer["responseMessage"], "Required parameter 'policyName' is missing");
    let id = bench.sim.policy_id().to_owned();
    let answer = bench.json(json!({"type": "get", "inputSettings": {
        "type": "policy", "policyIDList": [id], "fields": ["tags"]}}));
    assert_eq!(answer["responseCode"], 500);
    assert!(answer["responseMessage"].as_str().unwrap().starts_with("Not authorized"));
}

/// Sheet item: Expensify 22
#[test]
fn a_report_that_left_its_state_is_not_in_the_mark_jobs_file() {
    let mut bench = Bench::new(20);
    let ids = bench.approved();
    bench.sim.control("unapprove", &json!({"id": ids[0]})).unwrap();
    let name = text_of(&bench.mark(&format!("{},{}", ids[0], ids[1])));
    assert_eq!(text_of(&bench.download(&name)), ids[1]);
    assert_eq!(bench.sim.state()["marked"][LABEL], 1);
    bench.sim.control("approve", &json!({"id": ids[0], "date": "2026-11-20"})).unwrap();
    assert!(bench.ids(since(2)).contains(&ids[0]));
    bench.sim.control("reimburse", &json!({"id": ids[1]})).unwrap();
    assert!(!bench.ids(recent()).contains(&ids[1]));
}

/// Sheet item: Expensify 24
#[test]
fn exports_can_be_slow() {
    let mut bench = Bench::with(10, |k| k.export_delay_ms = 90_000);
    assert_eq!(bench.export(recent(), MARK).delay.as_secs(), 90);
}

/// Sheet item: Expensify 25
#[test]
fn a_create_that_is_sent_twice_makes_two() {
    let mut bench = Bench::new(10);
    let job = json!({"type": "create", "inputSettings": {"type": "expenses", "employeeEmail": "a@example.test",
        "transactionList": [{"created": "2026-11-03", "currency": "USD", "merchant": "M", "amount": 777}]}});
    let (first, second) = (bench.json(job.clone()), bench.json(job));
    assert_eq!(first["transactionList"][0]["amount"], 777);
    assert_ne!(first["transactionList"][0]["transactionID"], second["transactionList"][0]["transactionID"]);
    assert_eq!(bench.sim.state()["report_count"], 12);
    assert_eq!(bench.sim.misuse(), ["an expense was created"]);
}

/// Sheet item: Expensify 26
#[test]
fn old_categories_stay_on_expenses_and_empty_ones_have_a_name() {
    let mut bench = Bench::new(300);
    let first_with = |bench: &mut Bench, category: &str| {
        let lines = bench.lines(recent());
        lines.into_iter().find(|l| l["k"] == "E" && l["category"] == category).unwrap()
    };
    assert_eq!(first_with(&mut bench, "Dues (old)")["categoryGlCode"], "6410");
    bench.sim.control("delete-category", &json!({"name": "Dues (old)"})).unwrap();
    assert_eq!(first_with(&mut bench, "Dues (old)")["categoryGlCode"], Value::Null);
    let report = bench.world.reports_in(&["APPROVED"]).find(|r| !r.expenses.is_empty()).unwrap().id.clone();
    bench.sim.control("edit", &json!({"report": report, "category": ""})).unwrap();
    assert_eq!(first_with(&mut bench, "Uncategorized")["reportID"], report);
}

/// Sheet item: Expensify 27
#[test]
fn a_label_hides_reports_from_everybody_who_uses_it() {
    let mut bench = Bench::new(50);
    let all = bench.approved();
    bench.mark(&all.join(","));
    let mut filters = recent();
    filters["markedAsExported"] = json!(LABEL);
    assert_eq!(bench.ids(filters.clone()).len(), 0);
    filters["markedAsExported"] = json!("Purser");
    assert_eq!(bench.ids(filters).len(), all.len(), "labels match exactly");
    assert_eq!(bench.ids(recent()).len(), all.len());
}

#[test]
fn limit_and_label_together_page_through_everything() {
    let mut bench = Bench::new(120);
    let mut seen = BTreeSet::new();
    loop {
        let mut job = export_job(recent());
        job["inputSettings"]["limit"] = json!("25");
        job["inputSettings"]["filters"]["markedAsExported"] = json!(LABEL);
        let name = text_of(&bench.send(job, &[("template", MARK)]));
        let page = text_of(&bench.download(&name));
        if page.is_empty() {
            break;
        }
        assert!(page.split(',').all(|id| seen.insert(id.to_owned())));
        bench.mark(&page);
    }
    assert_eq!(seen, bench.approved().into_iter().collect());
    let mut job = export_job(recent());
    job["inputSettings"]["limit"] = json!(25);
    assert_eq!(parsed(&bench.send(job, &[("template", MARK)]))["responseCode"], 410);
}

#[test]
fn pieces_repeat_the_end_line_but_not_the_header() {
    let mut bench = Bench::with(60, |k| {
        k.rate_limits.clear();
        k.piece_size = 7;
    });
    let lines = bench.lines(recent());
    let count = |k: &str| lines.iter().filter(|l| l["k"] == k).count();
    assert_eq!(count("B"), 1);
    assert_eq!(count("F"), bench.approved().len().div_ceil(7));
    assert_eq!(count("R"), bench.approved().len());
}

#[test]
fn template_errors_are_an_envelope_or_a_file() {
    let mut bench = Bench::new(10);
    let answer = parsed(&bench.export(recent(), "${nothing}"));
    assert_eq!(answer["responseCode"], 500);
    assert!(answer["responseMessage"].as_str().unwrap().contains("==> nothing"));
    bench.sim.control("knobs", &json!({"template_error_in_file": true})).unwrap();
    assert!(bench.read(recent(), "${nothing}").contains("==> nothing"));
}

#[test]
fn credentials_are_checked_before_the_type_and_can_be_rotated() {
    let mut bench = Bench::new(10);
    let bad = json!({"type": "nonsense", "credentials": {"partnerUserID": "x", "partnerUserSecret": "y"}});
    assert_eq!(bench.json(bad.clone())["responseMessage"], "Authentication error");
    bench.sim.control("knobs", &json!({"credential_form": "http401"})).unwrap();
    assert_eq!(bench.send(bad, &[]).status, 401);
    let list = || json!({"type": "get", "inputSettings": {"type": "policyList"}});
    assert_eq!(bench.send(list(), &[]).status, 200);
    let fresh = bench.sim.control("rotate-credential", &json!({})).unwrap();
    assert_eq!(bench.send(list(), &[]).status, 401);
    let mut job = list();
    job["credentials"] = fresh;
    assert_eq!(bench.json(job)["responseCode"], 200);
}

#[test]
fn amounts_without_decimals_are_cents_unless_the_knob_says_otherwise() {
    let options = WorldOptions { seed: 4, reports: 100, today: today(), mixed_currencies: true };
    let world = World::generate_with(&options);
    let report = world.reports_in(&["APPROVED"]).find(|r| r.currency == "JPY").unwrap();
    let mut bench = Bench::new(1);
    bench.sim = ExpensifySim::from_world(&world, bench.sim.knobs.clone());
    let template = "<#list reports as r>${r.total?c}</#list>";
    let filters = || json!({"reportIDList": report.id});
    assert_eq!(bench.read(filters(), template), (report.total() * 100).to_string());
    bench.sim.control("knobs", &json!({"two_decimals_always": false})).unwrap();
    assert_eq!(bench.read(filters(), template), report.total().to_string());
}

#[test]
fn an_edit_changes_the_total_and_a_new_report_can_be_read() {
    let mut bench = Bench::new(20);
    let report = bench.world.reports_in(&["APPROVED"]).find(|r| r.expenses.len() == 1).unwrap().clone();
    bench.sim.control("edit", &json!({"report": report.id, "amount": 123_456})).unwrap();
    let filters = json!({"reportIDList": report.id});
    assert_eq!(bench.read(filters, "<#list reports as r>${r.total}</#list>"), "123456");
    let mut copy = report.clone();
    copy.id = "R00newreport".to_owned();
    bench.sim.control("add-report", &serde_json::to_value(&copy).unwrap()).unwrap();
    assert!(bench.ids(recent()).contains(&copy.id));
    bench.sim.control("remove-report", &json!({"id": copy.id})).unwrap();
    assert!(!bench.ids(recent()).contains(&copy.id));
    let error = bench.sim.control("dance", &json!({})).unwrap_err();
    assert!(error.contains("approve"), "{error}");
    assert!(bench.sim.control("knobs", &json!({"no_such_knob": 1})).is_err());
}

#[test]
fn grouped_numbers_appear_only_where_a_template_does_not_ask_for_plain_ones() {
    let mut bench = Bench::with(20, |k| {
        k.rate_limits.clear();
        k.grouped_numbers = true;
    });
    let id = bench.world.reports_in(&["APPROVED"]).find(|r| !r.expenses.is_empty()).unwrap().id.clone();
    bench.sim.control("edit", &json!({"report": id, "amount": 1_234_567})).unwrap();
    let text = bench.read(
        json!({"reportIDList": id}),
        "<#list reports as r><#list r.transactionList as e>${e.modifiedAmount} ${e.modifiedAmount?c}<#break></#list></#list>",
    );
    assert_eq!(text, "1,234,567 1234567");
}

#[test]
fn calls_that_a_client_must_never_make_are_remembered() {
    let mut bench = Bench::new(10);
    let mut request = Request {
        method: "GET".to_owned(),
        path: "/elsewhere".to_owned(),
        query: String::new(),
        headers: vec![("expect".to_owned(), "100-continue".to_owned())],
        body: Vec::new(),
        at: bench.at,
    };
    assert_eq!(bench.sim.handle(&request).status, 404);
    request.path = PATH.to_owned();
    assert_eq!(bench.sim.handle(&request).status, 405);
    assert_eq!(bench.sim.misuse().len(), 3);
}

#[test]
fn a_reset_forgets_marks_files_and_counts() {
    let mut bench = Bench::new(10);
    let id = bench.approved()[0].clone();
    bench.mark(&id);
    assert_eq!(bench.sim.state()["marked"][LABEL], 1);
    bench.sim.control("reset", &Value::Null).unwrap();
    let state = bench.sim.state();
    assert_eq!((&state["marked"], &state["jobs"], &state["files"]), (&json!({}), &json!({}), &json!(0)));
}

#[test]
fn a_world_that_is_handed_over_gives_the_same_simulator() {
    let world = World::generate(8, 30, today());
    let copied = ExpensifySim::from_world(&world, ExpensifyKnobs::default());
    let moved = ExpensifySim::from_owned_world(world, ExpensifyKnobs::default());
    assert_eq!(copied.state(), moved.state());
}

#[tokio::test]
async fn an_export_travels_over_a_socket() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::generate(42, 10, today());
    let sim = ExpensifySim::from_world(&world, ExpensifyKnobs::default());
    let clock = crate::server::SimClock::standing_at(today().and_hms_opt(9, 0, 0).unwrap().and_utc());
    let options = crate::server::ServeOptions { clock, ..Default::default() };
    let running = crate::server::serve(Box::new(sim), options).await.unwrap();
    let mut job = export_job(recent());
    let knobs = ExpensifyKnobs::default();
    job["credentials"] =
        json!({"partnerUserID": knobs.partner_user_id, "partnerUserSecret": knobs.partner_user_secret});
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("requestJobDescription", &job.to_string())
        .append_pair("template", MARK)
        .finish();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(running.address()).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, name) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain"), "{head}");
    assert!(name.starts_with("edge") && name.ends_with(".json"), "{name}");
    assert_eq!(running.state()["jobs"]["file/combinedReportData"], 1);
    assert!(running.misuse().is_empty());
}
