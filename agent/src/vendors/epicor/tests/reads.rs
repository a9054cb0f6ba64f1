//! Paging, reference data, row versions, the probe.

use super::super::reference::{Changes, Mirror};
use super::super::settings::Auth;
use super::{By, answer, epicor, settings};
use crate::vendors::http::{Answer, Call};
use crate::vendors::{ErpTarget, Probe, Verdict};
use serde_json::{Value, json};
use spend::ids::VendorCode;
use std::sync::{Arc, Mutex};

fn option(call: &Call, name: &str) -> Option<String> {
    call.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn tail(call: &Call) -> String {
    call.url.path().rsplit('/').next().unwrap_or_default().to_owned()
}

fn page(call: &Call, all: &[Value], cap: usize) -> Answer {
    let number = |name| option(call, name).and_then(|text| text.parse::<usize>().ok());
    let top = number("$top").unwrap_or(100).min(cap);
    let rows: Vec<_> = all.iter().skip(number("$skip").unwrap_or(0)).take(top).collect();
    answer(200, json!({ "value": rows }).to_string())
}

fn vendors(count: usize) -> Vec<Value> {
    (0..count).map(|n| json!({"VendorNum": n, "VendorID": format!("V{n}"), "Name": "N", "Inactive": false, "PayHold": n == 1, "TermsCode": "N30", "CurrencyCode": "USD", "SysRevID": n + 1})).collect()
}

/// Sheet item: Epicor 5: a server that clips pages loses no row, whatever its limit.
#[tokio::test]
async fn clipped_pages_lose_no_row() {
    for (count, cap) in
        [(0, 100), (1, 100), (99, 100), (100, 100), (101, 100), (250, 100), (250, 40), (40, 40), (7, 1)]
    {
        let rows = vendors(count);
        let transport = By(move |call: &Call| {
            Ok(if tail(call) == "Vendors" { page(call, &rows, cap) } else { page(call, &[], cap) })
        });
        let data = epicor(Arc::new(transport), settings()).reference_data(&"EPIC06".into()).await.unwrap();
        assert_eq!(data.vendors.len(), count, "{count} rows, cap {cap}");
    }
}

/// A row that goes while pages are read moves a live one before the next page: nothing may be taken for the whole then.
#[tokio::test]
async fn rows_that_move_between_pages_end_the_read() {
    let all = Mutex::new(vendors(250));
    let transport = By(move |call: &Call| {
        if tail(call) != "Vendors" {
            return Ok(page(call, &[], 100));
        }
        let mut rows = all.lock().unwrap();
        let answer = page(call, &rows, 100);
        if rows.len() == 250 {
            rows.remove(3);
        }
        Ok(answer)
    });
    let epicor = epicor(Arc::new(transport), settings());
    let failure = epicor.reference_data(&"EPIC06".into()).await.unwrap_err();
    assert!(failure.message.contains("came or went"), "{failure}");
    assert_eq!(epicor.reference_data(&"EPIC06".into()).await.unwrap().vendors.len(), 249);
}

#[tokio::test]
async fn server_that_gives_shorter_pages_than_before_loses_no_row() {
    let (rows, cap) = (vendors(250), Arc::new(Mutex::new(100)));
    let now = Arc::clone(&cap);
    let transport = By(move |call: &Call| {
        let rows: &[Value] = if tail(call) == "Vendors" { &rows } else { &[] };
        Ok(page(call, rows, *now.lock().unwrap()))
    });
    let epicor = epicor(Arc::new(transport), settings());
    for shorter in [100, 50] {
        *cap.lock().unwrap() = shorter;
        assert_eq!(epicor.reference_data(&"EPIC06".into()).await.unwrap().vendors.len(), 250);
    }
}

#[tokio::test]
async fn page_without_rows_that_links_another_one_is_not_the_end() {
    let rows = vendors(1);
    let transport = By(move |call: &Call| {
        const NEXT: &str =
            "https://erp.example.test/ERP11/api/v2/odata/EPIC06/Erp.BO.VendorSvc/Vendors?$skiptoken=x";
        if tail(call) != "Vendors" {
            return Ok(page(call, &[], 100));
        }
        Ok(match call.url.query().unwrap_or_default() {
            query if query.contains("skiptoken") => answer(200, json!({ "value": rows }).to_string()),
            _ => answer(200, json!({"value": [], "@odata.nextLink": NEXT}).to_string()),
        })
    });
    let data = epicor(Arc::new(transport), settings()).reference_data(&"EPIC06".into()).await.unwrap();
    assert_eq!(data.vendors.len(), 1);
}

#[tokio::test]
async fn server_that_does_not_skip_rows_is_an_error_and_no_endless_read() {
    let rows = vendors(100);
    let transport = By(move |call: &Call| {
        Ok(if tail(call) == "Vendors" {
            answer(200, json!({"value": rows}).to_string())
        } else {
            page(call, &[], 100)
        })
    });
    assert!(epicor(Arc::new(transport), settings()).reference_data(&"EPIC06".into()).await.is_err());
}

#[tokio::test]
async fn next_link_is_followed_within_the_site_only() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let rows = vendors(2);
    let transport = By(move |call: &Call| {
        if tail(call) != "Vendors" {
            return Ok(page(call, &[], 100));
        }
        log.lock().unwrap().push(call.url.to_string());
        let first = json!({"value": [rows[0]], "@odata.nextLink": "https://erp.example.test/ERP11/api/v2/odata/EPIC06/Erp.BO.VendorSvc/Vendors?$skiptoken=x"});
        let foreign =
            json!({"value": [rows[1]], "@odata.nextLink": "https://evil.example.test/ERP11/Vendors"});
        Ok(match call.url.query().unwrap_or_default() {
            query if query.contains("skiptoken") => answer(200, foreign.to_string()),
            _ => answer(200, first.to_string()),
        })
    });
    let data = epicor(Arc::new(transport), settings()).reference_data(&"EPIC06".into()).await.unwrap();
    assert_eq!(data.vendors.len(), 2);
    assert!(seen.lock().unwrap().iter().all(|url| url.starts_with("https://erp.example.test/ERP11/")));
}

/// Sheet item: Epicor 8: unusual set names, property suffix `1`; employees resolve to their vendor's code.
#[tokio::test]
async fn reference_data_is_read_from_the_sets_as_they_are_named() {
    let transport = By(|call: &Call| {
        let rows = match tail(call).as_str() {
            "GLAccounts" => vec![
                json!({"COACode": "MAIN", "GLAccount1": "6100|00|200", "AccountDesc": "Travel", "Active": true, "EffFrom": "2020-01-01T00:00:00", "EffTo": null}),
            ],
            "COASegmentSearches" => {
                vec![json!({"SegmentNbr": 3, "SegmentName": "Department", "Dynamic": true})]
            }
            "COASegValues" => vec![
                json!({"SegmentNbr": 3, "SegmentCode": "200", "SegmentName": "Sales", "ActiveFlag": true}),
            ],
            "Vendors" => vendors(2),
            "EmpBasics" => vec![
                json!({"EmpID": "7", "Name": "Ann", "EMailAddress": "Ann@Example.test", "EmpStatus": "A", "ExpenseVendorNum": 1}),
                json!({"EmpID": "3", "Name": "Ann", "EMailAddress": "ann@example.test", "EmpStatus": "T", "ExpenseVendorNum": 0}),
            ],
            "Projects" => vec![json!({"ProjectID": "P1", "Description": "Line 4", "ActiveProject": true})],
            _ => return Ok(answer(404, r#"{"ErrorType":"ApiException"}"#)),
        };
        Ok(page(call, &rows, 100))
    });
    let data = epicor(Arc::new(transport), settings()).reference_data(&"EPIC06".into()).await.unwrap();
    assert!(data.accounts[&"6100|00|200".into()].active);
    assert!(data.segments[&3].dynamic && data.segments[&3].values["200"].active);
    assert!(data.vendors[&VendorCode::from("V1")].pay_hold);
    let ann = &data.employees["ann@example.test"];
    assert_eq!((ann.number.as_str(), ann.active, ann.expense_vendor.clone()), ("7", true, Some("V1".into())));
    assert!(data.projects[&"P1".into()].active);
    assert_eq!(data.periods, None);
}

#[tokio::test]
async fn two_active_employees_with_one_address_lead_to_no_payee_in_either_order() {
    for turned in [false, true] {
        let transport = By(move |call: &Call| {
            let rows = match tail(call).as_str() {
                "Vendors" => vendors(3),
                "EmpBasics" => {
                    let mut rows: Vec<_> = (1..3)
                        .map(|n| json!({"EmpID": n.to_string(), "EMailAddress": "ann@example.test", "EmpStatus": "A", "ExpenseVendorNum": n}))
                        .collect();
                    if turned {
                        rows.reverse();
                    }
                    rows
                }
                _ => Vec::new(),
            };
            Ok(page(call, &rows, 100))
        });
        let data = epicor(Arc::new(transport), settings()).reference_data(&"EPIC06".into()).await.unwrap();
        let ann = &data.employees["ann@example.test"];
        assert_eq!((ann.number.as_str(), &ann.expense_vendor, ann.active), ("1", &None, true));
    }
}

/// Sheet item: Epicor 6: a column that the instance does not know costs the column list, not the read.
#[tokio::test]
async fn unknown_column_leads_to_whole_rows() {
    let rows = vendors(3);
    let transport = By(move |call: &Call| {
        if tail(call) != "Vendors" {
            return Ok(page(call, &[], 100));
        }
        if option(call, "$select").is_some() {
            return Ok(answer(
                400,
                r#"{"ErrorType":"Microsoft.OData.ODataException","ErrorMessage":"no property PayHold"}"#,
            ));
        }
        Ok(page(call, &rows, 100))
    });
    let data = epicor(Arc::new(transport), settings()).reference_data(&"EPIC06".into()).await.unwrap();
    assert_eq!(data.vendors.len(), 3);
}

/// Sheet item: Epicor 7: late lower versions are caught by the margin, deletions by the full compare.
#[test]
fn row_versions_tell_changes_and_a_full_compare_tells_deletions() {
    let row = |key: &str, version: i64| (key.to_owned(), version, format!("{key}@{version}"));
    let mut mirror = Mirror::default();
    assert_eq!(mirror.delta_filter(10), None);
    mirror.take_all([row("1", 100), row("2", 101), row("3", 102)]);
    assert_eq!(mirror.delta_filter(10).unwrap(), "SysRevID gt 92");
    let late = mirror.take_delta([row("2", 95), row("3", 102), row("4", 110)]);
    assert_eq!(late, Changes { changed: vec!["2".to_owned(), "4".to_owned()], gone: vec![] });
    let whole = mirror.take_all([row("2", 95), row("4", 110)]);
    assert_eq!(whole, Changes { changed: vec![], gone: vec!["1".to_owned(), "3".to_owned()] });
    mirror.cannot_filter();
    assert_eq!(mirror.delta_filter(10), None);
}

#[tokio::test]
async fn instance_that_cannot_filter_by_version_is_compared_in_full() {
    let asked: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    let log = Arc::clone(&asked);
    let transport = By(move |call: &Call| {
        let filter = option(call, "$filter");
        log.lock().unwrap().push(filter.clone());
        Ok(match filter {
            Some(_) => answer(400, r#"{"ErrorType":"Microsoft.OData.ODataException"}"#),
            None => page(call, &vendors(2), 100),
        })
    });
    let (epicor, mut mirror) = (epicor(Arc::new(transport), settings()), Mirror::default());
    let first = epicor.vendor_changes(&"EPIC06".into(), &mut mirror, 5).await.unwrap();
    assert_eq!(first.changed.len(), 2);
    let second = epicor.vendor_changes(&"EPIC06".into(), &mut mirror, 5).await.unwrap();
    assert_eq!(second, Changes::default());
    epicor.vendor_changes(&"EPIC06".into(), &mut mirror, 5).await.unwrap();
    let filters = asked.lock().unwrap().iter().filter(|filter| filter.is_some()).count();
    assert_eq!(filters, 2, "asked once with and once without the column list; the refusal is remembered");
}

async fn probed(transport: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Vec<(String, Verdict)> {
    let epicor = epicor(Arc::new(By(move |call: &Call| Ok(transport(call)))), settings());
    epicor
        .probe()
        .await
        .into_iter()
        .map(|r| {
            assert!(r.verdict != Verdict::Fail || !r.fix.is_empty(), "{r:?}");
            (r.check, r.verdict)
        })
        .collect()
}

fn verdict(results: &[(String, Verdict)], check: &str) -> Option<Verdict> {
    results.iter().find(|(name, _)| name == check).map(|(_, verdict)| *verdict)
}

/// Sheet item: Epicor 2: a bad key is told from a bad identity.
#[tokio::test]
async fn probe_tells_a_bad_key_from_a_bad_password() {
    let bad_key = probed(|call| {
        if call.url.path().contains("/api/v1/") { answer(200, r#"{"value":[]}"#) } else { answer(401, "") }
    })
    .await;
    assert_eq!(verdict(&bad_key, "api-key"), Some(Verdict::Fail));
    let bad_user = probed(|_| answer(401, "")).await;
    assert_eq!(verdict(&bad_user, "credentials"), Some(Verdict::Fail));
    assert_eq!(verdict(&bad_user, "fiscal-period"), Some(Verdict::Skipped));
}

#[tokio::test]
async fn probe_names_company_permission_and_period() {
    let company = probed(|call| {
        if call.operation == "epicor.session.patch-level" {
            answer(200, r#"{"returnObj":"11.3.200"}"#)
        } else {
            answer(403, "")
        }
    })
    .await;
    assert_eq!(verdict(&company, "company"), Some(Verdict::Fail));
    let period = |closed: bool| {
        move |call: &Call| match tail(call).as_str() {
            "FiscalPers" => page(
                call,
                &[
                    json!({"FiscalYear": 2026, "FiscalPeriod": 2, "StartDate": "2026-02-01T00:00:00", "EndDate": "2026-02-28T00:00:00", "ClosedPeriod": closed}),
                ],
                100,
            ),
            "Projects" => answer(403, ""),
            "$metadata" => answer(404, ""),
            _ => answer(200, r#"{"value":[],"returnObj":"11.3.200"}"#),
        }
    };
    let open = probed(period(false)).await;
    assert_eq!(verdict(&open, "company"), Some(Verdict::Pass));
    assert_eq!(verdict(&open, "permission Erp.BO.ProjectSvc"), Some(Verdict::Fail));
    assert_eq!(verdict(&open, "fiscal-period"), Some(Verdict::Pass));
    assert_eq!(verdict(&open, "version"), Some(Verdict::Pass));
    assert_eq!(verdict(&probed(period(true)).await, "fiscal-period"), Some(Verdict::Fail));
}

#[test]
fn secret_fields_follow_the_way_of_authorisation() {
    let oauth = Auth::Oauth2 { token_url: "https://login.example.test/t".to_owned(), scope: "s".to_owned() };
    assert_eq!(super::Settings { auth: oauth, ..settings() }.secret_fields()[0], "client_id");
    assert_eq!(settings().secret_fields()[0], "user");
}
