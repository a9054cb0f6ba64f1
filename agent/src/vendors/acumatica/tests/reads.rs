//! Lists page by page, reference data, what changed, the proof, the checks of `doctor`.

use super::super::settings::Settings;
use super::*;
use crate::vendors::acumatica::{Mirror, Watched};
use crate::vendors::http::Call;
use crate::vendors::{ErpTarget, Probe, Verdict};
use async_trait::async_trait;
use spend::posting::{Failure, FailureClass};

type Answerer = Box<dyn Fn(&str, &[(String, String)]) -> Answer + Send + Sync>;

/// Answers lists by a function of entity and query.
struct Lists {
    by: Answerer,
    asked: Mutex<Vec<String>>,
}

impl Lists {
    fn new(by: impl Fn(&str, &[(String, String)]) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { by: Box::new(by), asked: Mutex::default() })
    }
}

#[async_trait]
impl Transport for Lists {
    async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let path = call.url.path().to_owned();
        if path.ends_with("/token") {
            return Ok(answer(200, r#"{"access_token":"t","expires_in":3600}"#));
        }
        if path.ends_with("/entity") {
            return Ok(answer(200, r#"[{"name":"Default","version":"24.200.001"}]"#));
        }
        let entity = path.rsplit('/').next().unwrap_or_default().to_owned();
        let query: Vec<(String, String)> = call.url.query_pairs().into_owned().collect();
        let options: Vec<String> = query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        self.asked.lock().unwrap().push(format!("{entity}?{}", options.join("&")));
        assert!(!call.url.query().unwrap_or_default().contains('+'), "a plus would be a blank");
        Ok((self.by)(&entity, &query))
    }
}

fn option(query: &[(String, String)], name: &str) -> Option<String> {
    query.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

fn number(query: &[(String, String)], name: &str) -> usize {
    option(query, name).map_or(0, |text| text.parse().unwrap())
}

fn wrapped(fields: &[(&str, Value)]) -> Value {
    fields.iter().map(|(name, value)| ((*name).to_owned(), json!({ "value": value }))).collect()
}

fn row(id: usize, fields: &[(&str, Value)]) -> Value {
    let mut row = wrapped(fields);
    row["id"] = json!(format!("id-{id}"));
    row
}

fn list(rows: &[Value]) -> Answer {
    answer(200, Value::Array(rows.to_vec()).to_string())
}

/// One record of everything.
fn everything(entity: &str, _: &[(String, String)]) -> Answer {
    let rows = match entity {
        "Account" => vec![
            row(
                1,
                &[("AccountCD", json!("61000")), ("Description", json!("Travel")), ("Active", json!(true))],
            ),
            row(2, &[("AccountCD", json!("62000")), ("Active", json!(false))]),
        ],
        "Subaccount" => vec![
            row(
                1,
                &[("SubaccountCD", json!("000-HQ")), ("Description", json!("Head")), ("Active", json!(true))],
            ),
            row(2, &[("SubaccountCD", json!("000-EA")), ("Active", json!(false))]),
        ],
        "Vendor" => {
            let vendor = |id, code: &str, status: &str, email: &str, overrides: bool| {
                let mut vendor = row(
                    id,
                    &[
                        ("VendorID", json!(code)),
                        ("VendorName", json!("Acme Tooling")),
                        ("Status", json!(status)),
                        ("Terms", json!("30D")),
                        ("CurrencyID", json!("USD")),
                        ("EnableCurrencyOverride", json!(overrides)),
                    ],
                );
                vendor["MainContact"] = wrapped(&[("Email", json!(email))]);
                vendor
            };
            vec![
                vendor(1, "V000123", "Active", "ann@example.test", true),
                vendor(2, "V2", "Hold Payments", "both@example.test", false),
                vendor(3, "V3", "Inactive", "both@example.test", true),
                vendor(4, "EP01", "Active", "x@example.test", true),
            ]
        }
        "Employee" => {
            let employee = |id, code: &str, status: &str, email: &str| {
                let mut employee = row(
                    id,
                    &[
                        ("EmployeeID", json!(code)),
                        ("EmployeeName", json!("Ann Lee")),
                        ("Status", json!(status)),
                    ],
                );
                employee["ContactInfo"] = wrapped(&[("Email", json!(email))]);
                employee
            };
            vec![
                employee(1, "EP01", "Active", "bo@example.test"),
                employee(2, "EP02", "Active", "Ann@Example.test"),
                employee(3, "EP03", "Inactive", "both@example.test"),
            ]
        }
        "Project" => vec![
            row(1, &[("ProjectID", json!("PX01")), ("Status", json!("Active"))]),
            row(2, &[("ProjectID", json!("PX02")), ("Status", json!("Completed"))]),
        ],
        "ProjectTask" => vec![
            row(
                1,
                &[
                    ("ProjectID", json!("PX01")),
                    ("ProjectTaskID", json!("T1")),
                    ("Status", json!("Active")),
                    ("Default", json!(true)),
                ],
            ),
            row(
                2,
                &[
                    ("ProjectID", json!("PX02")),
                    ("ProjectTaskID", json!("T1")),
                    ("Status", json!("Completed")),
                ],
            ),
        ],
        "CostCode" => {
            return exception(403, "PX.Data.PXAccessViolationException", "You have insufficient rights");
        }
        "Ledger" => {
            let mut ledger = row(1, &[("LedgerID", json!("ACTUAL"))]);
            ledger["Branches"] = json!([
                { "BranchID": { "value": "HQ" }, "BranchName": { "value": "Head" }, "Active": { "value": true } },
                { "BranchID": { "value": "EAST" }, "Active": { "value": false } },
            ]);
            vec![ledger]
        }
        "FinancialPeriod" => {
            let mut year = row(1, &[("FinancialYear", json!("2026"))]);
            let period = |number: &str, start: &str, end: &str, status: &str, ap: bool| {
                wrapped(&[
                    ("PeriodNbr", json!(number)),
                    ("StartDate", json!(format!("2026-{start}T00:00:00+00:00"))),
                    ("EndDate", json!(format!("2026-{end}T00:00:00+00:00"))),
                    ("Status", json!(status)),
                    ("ClosedInAP", json!(ap)),
                ])
            };
            year["Details"] = json!([
                period("02", "02-01", "03-01", "Open", false),
                period("01", "01-01", "02-01", "Closed", true),
                period("03", "03-01", "04-01", "Open", true),
            ]);
            vec![year]
        }
        _ => vec![],
    };
    list(&rows)
}

/// Sheet items: Acumatica 20, Acumatica 21, Acumatica 22
#[tokio::test]
async fn reference_data_is_read_from_every_list_and_does_without_what_is_switched_off() {
    let erp = connect(Lists::new(everything), json!({}));
    let data = erp.reference_data(&"MYCO".into()).await.unwrap();
    let accounts: Vec<_> = data.accounts.iter().map(|(code, a)| (code.to_string(), a.active)).collect();
    assert_eq!(accounts, [("61000".to_owned(), true), ("62000".to_owned(), false)]);
    let segment = &data.segments[&2];
    assert_eq!((segment.name.as_str(), segment.dynamic), ("Subaccount", true));
    assert_eq!(segment.values["000-HQ"].name, "Head");
    assert!(!segment.values["000-EA"].active);
    let vendor = |code: &str| data.vendors[&VendorCode::from(code)].clone();
    assert_eq!((vendor("V2").pay_hold, vendor("V2").currency), (true, Some(Currency::USD)));
    assert_eq!((vendor("V3").inactive, vendor("V000123").currency), (true, None));
    assert_eq!(vendor("V000123").terms.as_deref(), Some("30D"));
    let paid = |email: &str| data.employees[email].expense_vendor.clone().map(|code| code.to_string());
    assert_eq!(paid("bo@example.test").as_deref(), Some("EP01"), "the vendor with the same id");
    assert_eq!(paid("ann@example.test").as_deref(), Some("V000123"), "the one with the same address");
    assert_eq!(paid("both@example.test"), None, "two share the address");
    assert!(!data.employees["both@example.test"].active);
    assert_eq!(data.projects.values().map(|p| p.active).collect::<Vec<_>>(), [true, false]);
    let tasks: Vec<_> =
        data.dimensions["project-task"].iter().map(|(code, t)| (code.as_str(), t.active)).collect();
    let expected = [("PX01|", true), ("PX01|T1", true), ("PX02|T1", false)];
    assert_eq!(tasks, expected, "open in one project, where it is the default, and closed in the other");
    assert!(!data.dimensions["branch"]["EAST"].active);
    assert!(!data.dimensions.contains_key("cost-code"), "not readable, so not checked");
    let periods = data.periods.unwrap();
    assert_eq!(
        periods.iter().map(|p| (p.number, p.closed)).collect::<Vec<_>>(),
        [(1, true), (2, false), (3, true)]
    );
    assert_eq!(periods[0].end.to_string(), "2026-01-31", "the end is told as the next one's start");

    let several = json!({ "subaccount_segments": ["Department", "Site"], "employees_are_vendors": true,
        "period_closed_flags": [] });
    let erp = connect(Lists::new(everything), several);
    let data = erp.reference_data(&"MYCO".into()).await.unwrap();
    assert_eq!(data.segments[&2].values.keys().collect::<Vec<_>>(), ["000"]);
    assert!(data.segments[&2].values["000"].active);
    assert!(!data.segments[&3].values["EA"].active);
    assert_eq!(data.employees["ann@example.test"].expense_vendor, Some("EP02".into()));
    assert!(!data.periods.unwrap()[2].closed);
}

#[tokio::test]
async fn two_active_employees_with_one_address_lead_to_no_payee_in_either_order() {
    for turned in [false, true] {
        let lists = Lists::new(move |entity, query| {
            if entity != "Employee" {
                return everything(entity, query);
            }
            // The first is a vendor itself, the second is paid by address.
            let mut rows: Vec<Value> = ["EP01", "EP02"]
                .iter()
                .enumerate()
                .map(|(n, code)| {
                    let mut row = row(n, &[("EmployeeID", json!(code)), ("Status", json!("Active"))]);
                    row["ContactInfo"] = wrapped(&[("Email", json!("ann@example.test"))]);
                    row
                })
                .collect();
            if turned {
                rows.reverse();
            }
            list(&rows)
        });
        let data = connect(lists, json!({})).reference_data(&"MYCO".into()).await.unwrap();
        let ann = &data.employees["ann@example.test"];
        assert_eq!((ann.number.as_str(), &ann.expense_vendor, ann.active), ("EP01", &None, true));
    }
}

/// Sheet item: Acumatica 18
#[tokio::test]
async fn pages_overlap_and_no_row_is_lost_or_doubled_while_rows_come_and_go() {
    let reads = Mutex::new(0_usize);
    let lists = Lists::new(move |entity, query| {
        if entity != "Account" {
            return everything(entity, query);
        }
        assert_eq!(option(query, "$orderby"), None, "there is no order to ask for");
        let mut reads = reads.lock().unwrap();
        // With each page a row at the head goes away, so that the rest moves up.
        let gone = *reads;
        *reads += 1;
        let rows: Vec<Value> = (gone..103)
            .skip(number(query, "$skip"))
            .take(number(query, "$top"))
            .map(|n| row(n, &[("AccountCD", json!(format!("{n:05}"))), ("Active", json!(true))]))
            .collect();
        list(&rows)
    });
    let erp = connect(lists.clone(), json!({ "page_size": 20, "page_overlap": 4 }));
    let data = erp.reference_data(&"MYCO".into()).await.unwrap();
    assert_eq!(data.accounts.len(), 103);
    let asked = lists.asked.lock().unwrap();
    let pages = asked.iter().filter(|call| call.starts_with("Account")).count();
    assert!((6..=8).contains(&pages), "{pages}");
}

#[tokio::test]
async fn a_site_that_serves_the_same_page_for_ever_is_not_believed() {
    let lists = Lists::new(|entity, query| {
        if entity != "Account" {
            return everything(entity, query);
        }
        let rows: Vec<Value> =
            (0..number(query, "$top")).map(|n| row(n, &[("AccountCD", json!("1"))])).collect();
        list(&rows)
    });
    let erp = connect(lists, json!({ "page_size": 20 }));
    let failure = erp.reference_data(&"MYCO".into()).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Unavailable);
    assert!(failure.message.contains("same page"), "{failure}");
}

/// Sheet item: Acumatica 20
#[tokio::test]
async fn a_list_that_cannot_be_optimised_is_asked_for_without_the_fields_that_are_to_blame() {
    let lists = Lists::new(|entity, query| {
        let select = option(query, "$select").unwrap_or_default();
        let whole = select.is_empty();
        let bad = ["Terms", "MainContact/Email"].iter().any(|field| select.contains(field));
        if entity == "Vendor" && (whole || bad || option(query, "$expand").is_some()) {
            let words = "Optimization cannot be performed. The View MainContact has BQL delegate.";
            return exception(500, "PX.Api.ContractBased.OptimizationException", words);
        }
        if entity == "Project" {
            return exception(
                500,
                "PX.Data.PXSetupNotEnteredException",
                "Projects Preferences are not entered.",
            );
        }
        everything(entity, query)
    });
    let erp = connect(lists.clone(), json!({}));
    let data = erp.reference_data(&"MYCO".into()).await.unwrap();
    assert_eq!(data.vendors.len(), 4);
    assert!(data.projects.is_empty());
    let asked = lists.asked.lock().unwrap().join("\n");
    let narrow = "Vendor?$select=VendorID,VendorName,Status,CurrencyID,EnableCurrencyOverride,LastModifiedDateTime&$top=200";
    assert!(asked.contains(narrow), "{asked}");
}

/// Sheet items: Acumatica 19, Acumatica 21
#[tokio::test]
async fn changes_are_read_by_date_where_there_is_one_and_by_hash_where_there_is_none() {
    let renamed = Arc::new(Mutex::new(false));
    let by = Arc::clone(&renamed);
    let lists = Lists::new(move |entity, query| {
        let renamed = *by.lock().unwrap();
        let name = if renamed { "Acme" } else { "Acme Tooling" };
        match entity {
            "Vendor" if option(query, "$filter").is_some() && !renamed => list(&[]),
            "Vendor" => list(&[row(
                1,
                &[
                    ("VendorID", json!("V1")),
                    ("VendorName", json!(name)),
                    ("LastModifiedDateTime", json!("2026-01-31T09:12:44.117+00:00")),
                ],
            )]),
            "Subaccount" => {
                assert_eq!(option(query, "$filter"), None, "subaccounts bear no date of change");
                let all = [("000-HQ", name), ("000-EA", "East")];
                let kept = if renamed { &all[..1] } else { &all[..] };
                let rows = kept.iter().enumerate();
                let rows: Vec<Value> = rows
                    .map(|(n, (code, name))| {
                        row(n, &[("SubaccountCD", json!(code)), ("Description", json!(name))])
                    })
                    .collect();
                list(&rows)
            }
            _ => list(&[]),
        }
    });
    let erp = connect(lists.clone(), json!({}));
    let (mut vendors, mut subaccounts) = (Mirror::default(), Mirror::default());
    let changed = async |watched, mirror: &mut Mirror| erp.changes(watched, mirror, false).await.unwrap();
    assert_eq!(changed(Watched::Vendors, &mut vendors).await.changed, ["V1"]);
    assert!(changed(Watched::Vendors, &mut vendors).await.changed.is_empty());
    assert_eq!(changed(Watched::Subaccounts, &mut subaccounts).await.changed, ["000-HQ", "000-EA"]);
    assert!(changed(Watched::Subaccounts, &mut subaccounts).await.changed.is_empty());
    *renamed.lock().unwrap() = true;
    assert_eq!(changed(Watched::Vendors, &mut vendors).await.changed, ["V1"]);
    let seen = changed(Watched::Subaccounts, &mut subaccounts).await;
    assert_eq!((seen.changed, seen.gone), (vec!["000-HQ".to_owned()], vec!["000-EA".to_owned()]));
    let asked = lists.asked.lock().unwrap().join("\n");
    assert!(
        asked.contains("LastModifiedDateTime gt datetimeoffset'2026-01-31T09:07:44.117+00:00'"),
        "{asked}"
    );
}

/// Sheet item: Acumatica 19
#[tokio::test]
async fn an_empty_answer_to_two_predicates_is_asked_again_with_one() {
    let plan = invoice_plan();
    let reference = plan.reference.to_string();
    let lists = Lists::new(move |entity, query| {
        let filter = option(query, "$filter").unwrap_or_default();
        if entity != "Bill" || filter.contains(" and ") {
            return list(&[]);
        }
        let bill = |id, date: &str, kind: &str, amount: &str| {
            row(
                id,
                &[
                    ("Type", json!(kind)),
                    ("ReferenceNbr", json!("000159")),
                    ("VendorRef", json!(reference)),
                    ("Status", json!("Open")),
                    ("Date", json!(date)),
                    ("CurrencyID", json!("USD")),
                    ("Amount", json!(amount)),
                ],
            )
        };
        list(&[
            bill(1, "2026-01-31T00:00:00-04:00", "Bill", "100.5"),
            bill(2, "2026-01-31T00:00:00-04:00", "Debit Adj.", "20.00"),
            bill(3, "2025-12-31T00:00:00+00:00", "Bill", "7.00"),
            bill(4, "2026-01-15T00:00:00+00:00", "Prepayment", "9.00"),
        ])
    });
    let erp = connect(lists, json!({}));
    let back = erp.read_back("EXP-", "2026-01-01".parse().unwrap(), plan.date).await.unwrap();
    let totals: Vec<_> = back.iter().map(|d| d.total.to_string()).collect();
    assert_eq!(totals, ["100.50 USD", "-20.00 USD"]);
}

/// Sheet items: Acumatica 18, Acumatica 20
#[tokio::test]
async fn doctor_names_each_screen_that_cannot_be_read_the_branches_and_the_period_of_today() {
    let lists = Lists::new(|entity, query| match entity {
        "JournalTransaction" => {
            exception(403, "PX.Data.PXAccessViolationException", "You have insufficient rights")
        }
        _ => everything(entity, query),
    });
    let erp =
        connect(lists, json!({ "branches": { "MYCO": "HQ" }, "endpoint": { "version": "24.200.001" } }));
    let results = erp.probe().await;
    let of = |check: &str| {
        results.iter().find(|r| r.check == check).unwrap_or_else(|| panic!("{check}: {results:#?}"))
    };
    assert_eq!(of("credentials").verdict, Verdict::Pass);
    assert_eq!(of("version").verdict, Verdict::Pass);
    assert_eq!(of("tenant").verdict, Verdict::Pass);
    assert!(of("tenant").detail.contains("EAST, HQ"), "{:?}", of("tenant"));
    assert_eq!(of("permission JournalTransaction").verdict, Verdict::Fail);
    assert!(of("permission JournalTransaction").fix.contains("rights"), "{results:?}");
    assert_eq!(of("permission CostCode").verdict, Verdict::Warn);
    assert_eq!(of("fiscal-period").verdict, Verdict::Pass);
    assert_eq!(of("licence").verdict, Verdict::Warn);
    assert!(results.iter().all(|r| r.verdict == Verdict::Pass || !r.fix.is_empty()));
    let erp = connect(Lists::new(everything), json!({ "branches": { "MYCO": "WEST" } }));
    let results = erp.probe().await;
    let tenant = results.iter().find(|r| r.check == "tenant").unwrap();
    assert_eq!(tenant.verdict, Verdict::Fail, "{tenant:?}");
    let unpinned = results.iter().find(|r| r.check == "version").unwrap();
    assert_eq!(unpinned.verdict, Verdict::Warn);
    assert!(unpinned.fix.contains("24.200.001"), "{unpinned:?}");
    assert_eq!(Settings::default().page_size, 200);
}
