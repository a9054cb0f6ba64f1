//! The exact text of requests, and how they are authorised.

use super::super::calls::{
    Query, Site, date_literal, get, literal, metadata, method, method_as_get, settings_headers, token_oauth2,
    token_resource,
};
use super::super::convert::group_id;
use super::super::profile::{AP_GET, AP_LINE_NEW, AP_SAVE, resolve, step};
use super::super::settings::{Auth, Settings};
use super::super::wire::{number, raw};
use super::{By, answer, base, credential, epicor, invoice_plan, journal_plan, settings};
use crate::vendors::ErpTarget;
use crate::vendors::http::{Body, Call};
use secrecy::ExposeSecret;
use spend::posting::FailureClass;
use std::sync::{Arc, Mutex};
use url::Url;

fn body(call: &Call) -> String {
    match &call.body {
        Body::Json(text) => text.expose().expose_secret().to_owned(),
        Body::Form(fields) => fields
            .iter()
            .map(|(k, v)| format!("{k}={}", v.expose().expose_secret()))
            .collect::<Vec<_>>()
            .join("&"),
        Body::Empty => String::new(),
    }
}

fn header(call: &Call, name: &str) -> Option<String> {
    let found = call.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.expose().expose_secret().to_owned())
}

#[test]
fn every_pasted_form_of_the_url_leads_to_the_same_site() {
    for text in [
        "https://erp.example.test/ERP11",
        "https://erp.example.test/ERP11/",
        "https://erp.example.test/ERP11/api/v2/odata/EPIC06/",
        "https://erp.example.test/ERP11/api/help/v2/index.html",
        "https://erp.example.test/ERP11/TokenResource.svc/",
    ] {
        let site = Site::new(&Url::parse(text).unwrap());
        let url = site.odata(&"EPIC06".into(), "Erp.BO.VendorSvc", "Vendors").unwrap();
        assert_eq!(
            url.as_str(),
            "https://erp.example.test/ERP11/api/v2/odata/EPIC06/Erp.BO.VendorSvc/Vendors"
        );
        assert_eq!(site.token().as_str(), "https://erp.example.test/ERP11/TokenResource.svc/");
    }
    let cloud = Site::new(&Url::parse("https://eu1app01.epicorsaas.example.test/SaaS123").unwrap());
    assert_eq!(
        cloud.v1("Erp.BO.VendorSvc", "Vendors").as_str(),
        "https://eu1app01.epicorsaas.example.test/SaaS123/api/v1/Erp.BO.VendorSvc/Vendors"
    );
}

/// Sheet item: Epicor 1: the company is a path segment; nothing that could leave the path gets into it.
#[test]
fn company_that_could_change_the_path_is_refused() {
    let site = Site::new(&base());
    for company in ["", "..", "A/B", "A B", "A?x"] {
        assert!(site.odata(&company.into(), "S", "T").is_err(), "{company}");
    }
}

/// Sheet item: Epicor 6 and 23: exact names, OData 4 dates, quotes doubled, keys by filter.
#[test]
fn query_is_written_as_the_documentation_writes_it() {
    let query = Query {
        service: "Erp.BO.APInvoiceSvc",
        set: "APInvoices",
        select: &["VendorNum", "InvoiceNum"],
        filter: format!(
            "InvoiceNum eq {} and InvoiceDate ge {}",
            literal("O'Brien/1 & +"),
            date_literal("2026-01-31".parse().unwrap())
        ),
        order: "VendorNum,InvoiceNum",
        ..Query::default()
    };
    let url = query.page(&Site::new(&base()), &"EPIC06".into(), 100, 200).unwrap();
    assert_eq!(
        url.query().unwrap(),
        "$select=VendorNum%2CInvoiceNum&$filter=InvoiceNum%20eq%20%27O%27%27Brien%2F1%20%26%20%2B%27%20and%20InvoiceDate\
         %20ge%202026-01-31T00%3A00%3A00&$orderby=VendorNum%2CInvoiceNum&$top=100&$skip=200"
    );
}

#[test]
fn update_master_sends_all_its_seven_parameters() {
    let values = [
        ("ds", number(r#"{"APInvDtl":[{"DocUnitCost":125.50}]}"#)),
        ("cGroupID", raw(&"EXP260131")),
        ("cTableName", raw(&"APInvDtl")),
        ("runChkCPay", raw(&false)),
        ("runChkBankRef", raw(&false)),
        ("runChkRevChrg", raw(&false)),
        ("suppressUserPrompts", raw(&true)),
    ];
    let call =
        method(&Site::new(&base()), &"EPIC06".into(), &AP_SAVE, &resolve(&AP_SAVE, None, None), &values)
            .unwrap();
    assert_eq!(call.url.path(), "/ERP11/api/v2/odata/EPIC06/Erp.BO.APInvoiceSvc/UpdateMaster");
    assert_eq!(
        body(&call),
        r#"{"cGroupID":"EXP260131","cTableName":"APInvDtl","ds":{"APInvDtl":[{"DocUnitCost":125.50}]},"runChkBankRef":false,"runChkCPay":false,"runChkRevChrg":false,"suppressUserPrompts":true}"#
    );
}

/// Sheet item: Epicor 18: read methods go as GET with plain query values.
#[test]
fn read_method_is_a_get() {
    let values = [("vendorNum", number("123")), ("invoiceNum", raw(&"EXP-R1/2"))];
    let call =
        method_as_get(&Site::new(&base()), &"EPIC06".into(), &AP_GET, &resolve(&AP_GET, None, None), &values)
            .unwrap();
    assert_eq!(call.url.query(), Some("invoiceNum=EXP-R1%2F2&vendorNum=123"));
    assert_eq!(body(&call), "");
}

#[test]
fn logins_carry_secrets_in_headers_or_form_only() {
    let credential = credential();
    let field = |name: &str| credential.get(name).unwrap();
    let site = Site::new(&base());
    let call = token_resource(&site, field("user"), field("password"), field("api_key"));
    assert_eq!(header(&call, "username").unwrap(), "XX_API_AP");
    assert_eq!(header(&call, "password").unwrap(), "s3cret-pass");
    assert_eq!(header(&call, "accept").unwrap(), "application/json");
    assert!(call.secret_answer && !format!("{call:?}").contains("s3cret-pass"));
    let url = Url::parse("https://login.example.test/connect/token").unwrap();
    let call = token_oauth2(url, "epicor_erp", field("client_id"), field("client_secret"));
    assert_eq!(
        body(&call),
        "grant_type=client_credentials&client_id=id-1&client_secret=cs-1&scope=epicor_erp"
    );
    assert!(!format!("{call:?}").contains("cs-1"));
}

#[test]
fn call_settings_name_company_and_site() {
    let settings = Settings {
        site: Some("MfgSys".to_owned()),
        license_type: Some("guid-1".to_owned()),
        ..Settings::default()
    };
    let headers = settings_headers(&settings, &"EPIC06".into());
    let text: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {}", value.redacted())).collect();
    assert_eq!(
        text,
        [
            r#"CallSettings: {"Company":"EPIC06","FormatCulture":"","Language":"","Plant":"MfgSys"}"#,
            r#"License: {"ClaimedLicense":"guid-1"}"#
        ]
    );
}

#[test]
fn metadata_is_asked_per_service() {
    let call = metadata(&Site::new(&base()), &"EPIC06".into(), "Erp.BO.APInvoiceSvc").unwrap();
    assert_eq!(call.url.path(), "/ERP11/api/v2/odata/EPIC06/Erp.BO.APInvoiceSvc/$metadata");
    assert_eq!(header(&get("x", base()), "content-type").unwrap(), "application/json");
}

#[test]
fn group_ids_fit_nine_characters_and_name_flow_and_day() {
    let plan = journal_plan();
    assert_eq!(group_id(&plan, &settings()), "EXP260131");
    assert_eq!(group_id(&plan, &Settings { group_prefix: Some("ab".to_owned()), ..settings() }), "AB260131");
    let own = Settings { submit: true, ..settings() };
    assert_eq!(group_id(&plan, &own).len(), 9);
    assert_ne!(group_id(&plan, &own), "EXP260131");
}

/// Sheet item: Epicor 2: the key goes with every call, whatever the identity.
#[tokio::test]
async fn every_call_bears_key_and_identity() {
    let seen: Arc<Mutex<Vec<Call>>> = Arc::default();
    let log = Arc::clone(&seen);
    let transport = By(move |call: &Call| {
        log.lock().unwrap().push(call.clone());
        Ok(answer(200, r#"{"value":[]}"#))
    });
    epicor(Arc::new(transport), settings()).look_up(&invoice_plan()).await.unwrap();
    for call in seen.lock().unwrap().iter() {
        assert_eq!(header(call, "x-api-key").unwrap(), "key-0001");
        assert_eq!(header(call, "authorization").unwrap(), "Basic WFhfQVBJX0FQOnMzY3JldC1wYXNz");
        assert!(header(call, "CallSettings").unwrap().contains("EPIC06"));
    }
}

/// Sheet item: Epicor 4: a token that ended early is replaced once; a second refusal is final.
#[tokio::test]
async fn refused_token_is_replaced_once() {
    for revoked in [1, 5] {
        let (logins, refusals) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
        let (l, r) = (Arc::clone(&logins), Arc::clone(&refusals));
        let transport = By(move |call: &Call| {
            if call.operation == "epicor.token" {
                *l.lock().unwrap() += 1;
                let token = format!(
                    r#"{{"AccessToken":"t{}","ExpiresIn":3600,"RefreshToken":"","TokenType":"Bearer"}}"#,
                    l.lock().unwrap()
                );
                return Ok(answer(200, token));
            }
            let mut refused = r.lock().unwrap();
            if *refused < revoked {
                *refused += 1;
                return Ok(answer(401, ""));
            }
            assert_eq!(header(call, "authorization").unwrap(), "Bearer t2");
            Ok(answer(200, r#"{"value":[]}"#))
        });
        let done = epicor(Arc::new(transport), Settings { auth: Auth::Token, ..settings() })
            .look_up(&invoice_plan())
            .await;
        match done {
            Ok(_) => assert_eq!(revoked, 1),
            Err(failure) => assert_eq!((failure.class, revoked), (FailureClass::Unauthorised, 5)),
        }
        assert_eq!(*logins.lock().unwrap(), 2);
    }
}

#[test]
fn steps_are_found_by_their_names_in_the_settings() {
    assert_eq!(step("ap.line_new").unwrap().method, AP_LINE_NEW.method);
    let wrong: Settings = serde_json::from_str(
        r#"{"companies":["A/B"],"page_size":0,"methods":{"ap.nothing":{}},"auth":{"method":"oauth2","token_url":"x"}}"#,
    )
    .unwrap();
    let paths: Vec<_> = wrong.faults().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["companies", "auth.token_url", "page_size", "methods.ap.nothing"]);
    assert!(serde_json::from_str::<Settings>(r#"{"colour":"red"}"#).is_err());
    assert!(settings().faults().is_empty());
}
