//! Which contract is spoken: both shapes of the list, the pinned version, the mismatch in words, the daily recheck.

use super::super::endpoint::Published;
use super::super::settings::Endpoint;
use super::fake::Fake;
use super::*;
use crate::vendors::{ErpTarget, Probe, Verdict};
use chrono::TimeDelta;
use spend::posting::{FailureClass, LookUp};

fn endpoint(version: Option<&str>) -> Endpoint {
    Endpoint { name: "Default".to_owned(), version: version.map(str::to_owned) }
}

/// Sheet item: Acumatica 1
#[test]
fn both_shapes_of_the_list_are_read_and_the_newest_known_version_is_chosen() {
    let rows = r#"[{"name":"Default","version":"26.200.001","href":"x"},{"name":"Default","version":"24.200.001"},
        {"name":"Default","version":"23.200.001"},{"name":"MANUFACTURING","version":"25.200.001"}]"#;
    let whole = format!(
        r#"{{"version":{{"acumaticaBuildVersion":"26.101.0225","databaseVersion":"x"}},"endpoints":{rows}}}"#
    );
    for (body, build) in [(rows.to_owned(), ""), (whole, "26.101.0225")] {
        let published = Published::read(body.as_bytes()).unwrap();
        assert_eq!(published.build, build);
        assert_eq!(published.choose(&endpoint(None)).as_deref(), Ok("24.200.001"));
        assert_eq!(published.choose(&endpoint(Some("26.200.001"))).as_deref(), Ok("26.200.001"));
        let words = published.choose(&endpoint(Some("22.200.001"))).unwrap_err();
        assert!(words.contains("version mismatch"), "{words}");
        assert!(words.contains(
            "Default/26.200.001, Default/24.200.001, Default/23.200.001, MANUFACTURING/25.200.001"
        ));
    }
    for body in ["", "{}", "[1]", "<html>", "{\"endpoints\":{}}"] {
        assert!(Published::read(body.as_bytes()).is_err(), "{body}");
    }
}

/// Sheet item: Acumatica 1
#[tokio::test]
async fn a_version_that_is_not_published_is_named_with_those_that_are_and_nothing_else_is_asked() {
    for bare in [false, true] {
        let fake = Fake::with(|state| state.bare = bare);
        let erp = connect(fake.clone(), json!({ "endpoint": { "version": "23.200.001" } }));
        let failure = erp.look_up(&invoice_plan()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::NotSent);
        assert!(failure.message.contains("Default/25.200.001, Default/24.200.001"), "{failure}");
        assert_eq!(fake.count("Bill"), 0);
        let results = erp.probe().await;
        let version = results.iter().find(|r| r.check == "version").unwrap();
        assert_eq!(version.verdict, Verdict::Fail);
        assert!(version.detail.contains("version mismatch"), "{version:?}");
    }
}

#[tokio::test]
async fn the_contract_is_settled_once_and_looked_at_again_the_next_day() {
    let fake = Fake::with(|_| ());
    let clock = Clock::manual(now());
    let erp = connect_with(
        fake.clone(),
        json!({ "endpoint": { "version": "24.200.001" } }),
        &[],
        Arc::default(),
        clock.clone(),
    );
    for _ in 0..3 {
        assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
    }
    assert_eq!(fake.count("GET /AcumaticaERP/entity?"), 1);
    clock.advance(TimeDelta::hours(25));
    assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
    assert_eq!(fake.count("GET /AcumaticaERP/entity?"), 2);
}

#[test]
fn settings_are_checked_with_their_paths() {
    let faults = |more: Value| {
        let Value::Object(map) = more else { panic!() };
        Settings::from_json(&map).unwrap_err().join("\n")
    };
    assert_eq!(settings(json!({})), Settings::default());
    for (wrong, path) in [
        (json!({ "endpoint": { "name": "a/b" } }), "settings.endpoint.name"),
        (json!({ "endpoint": { "version": "../x" } }), "settings.endpoint.version"),
        (
            json!({ "auth": { "method": "oauth2", "scope": "api api:concurrent_access" } }),
            "exhausts the licence",
        ),
        (json!({ "auth": { "method": "oauth2", "scope": "offline_access" } }), "must hold `api`"),
        (
            json!({ "auth": { "method": "oauth2", "grant": "authorization-code", "scope": "api" } }),
            "offline_access",
        ),
        (json!({ "auth": { "method": "oauth2", "scope": "api" } }), "No Refresh Tokens"),
        (json!({ "auth": { "method": "oauth2", "warn_days": 30 } }), "settings.auth.warn_days"),
        (json!({ "auth": { "method": "cookie", "tenant_member": "x" } }), "settings.auth.tenant_member"),
        (json!({ "requests_per_minute": 1 }), "settings.requests_per_minute"),
        (json!({ "share": 5 }), "settings.share"),
        (json!({ "vendor_ref_length": 20 }), "settings.vendor_ref_length"),
        (json!({ "subaccount_segments": [] }), "settings.subaccount_segments"),
        (
            json!({ "subaccount_segments": ["A", "B"], "subaccount_separator": "" }),
            "settings.subaccount_separator",
        ),
        (json!({ "send_currency": false }), "settings.currency"),
        (json!({ "lines_per_request": 0 }), "settings.lines_per_request"),
        (json!({ "page_size": 10, "page_overlap": 5 }), "settings.page_size"),
        (json!({ "text_limits": { "document": 10 } }), "settings.text_limits"),
        (json!({ "dimension_fields": { "class": "a b" } }), "settings.dimension_fields"),
        (json!({ "webhook_header": "a b" }), "settings.webhook_header"),
        (json!({ "unknown": 1 }), "unknown"),
    ] {
        let words = faults(wrong.clone());
        assert!(words.contains(path), "{wrong}: {words}");
    }
}

#[test]
fn pasted_addresses_lead_to_the_instance() {
    use super::super::calls::{Contract, Site};
    let contract = Contract { name: "Default".to_owned(), version: "24.200.001".to_owned() };
    for pasted in [
        "https://erp.example.test/AcumaticaERP",
        "https://erp.example.test/AcumaticaERP/",
        "https://erp.example.test/AcumaticaERP/entity/Default/24.200.001/Bill?$top=1#x",
        "https://erp.example.test/AcumaticaERP/Frames/Login.aspx",
    ] {
        let site = Site::new(&Url::parse(pasted).unwrap());
        assert_eq!(
            site.entity(&contract, &["Bill"]).as_str(),
            "https://erp.example.test/AcumaticaERP/entity/Default/24.200.001/Bill"
        );
        assert_eq!(site.token().as_str(), "https://erp.example.test/AcumaticaERP/identity/connect/token");
    }
    let bare = Site::new(&Url::parse("https://x.example.test").unwrap());
    assert_eq!(bare.published().as_str(), "https://x.example.test/entity");
    // A status address is followed only within the instance.
    let site = Site::new(&base());
    let asked = site.entity(&contract, &["Bill", "ReleaseBill"]);
    assert!(
        site.followed(&asked, "/AcumaticaERP/entity/Default/24.200.001/Bill/ReleaseBill/status/1").is_some()
    );
    assert!(site.followed(&asked, "https://evil.example.test/AcumaticaERP/x").is_none());
}
