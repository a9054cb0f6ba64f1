//! Tests of the simulator over real sockets, one for each numbered item of the sheet.

use chrono::{NaiveDate, TimeDelta};
use serde_json::{Value, json};

use super::{API_KEY, EpicorKnobs, EpicorSim, PASSWORD, SCOPED_API_KEY, USER};
use crate::faults::{FaultAction, FaultMatch, FaultRule};
use crate::server::{Running, ServeOptions, SimClock, serve};
use crate::world::{World, WorldAccount, WorldEmployee, WorldProject, WorldSegment, WorldVendor};

fn world() -> World {
    let account = |code: &str, active| WorldAccount {
        segments: vec![code.to_owned(), "00".to_owned(), "200".to_owned()],
        description: format!("Account {code}"),
        active,
    };
    let employee = |number: &str, code: &str, inactive, hold| WorldEmployee {
        number: number.to_owned(),
        first_name: "Ann".to_owned(),
        last_name: format!("O'Brien {number}"),
        email: format!("e{number}@example.test"),
        active: true,
        vendor_code: Some(code.to_owned()),
        vendor_inactive: inactive,
        vendor_pay_hold: hold,
        manager_email: String::new(),
    };
    let suppliers =
        (0..250).map(|n| WorldVendor { code: format!("SUP{n:03}"), name: format!("Supplier {n}") });
    World {
        seed: 1,
        currency: "USD".to_owned(),
        companies: vec!["EPIC06".to_owned(), "EPIC07".to_owned()],
        today: NaiveDate::from_ymd_opt(2026, 3, 15).unwrap(),
        accounts: vec![account("6100", true), account("2100", true), account("9999", false)],
        segments: ["Natural", "Department", "Cost centre"]
            .map(|name| WorldSegment {
                name: name.to_owned(),
                dynamic: false,
                values: vec![("00".to_owned(), "None".to_owned(), true)],
            })
            .to_vec(),
        employees: vec![
            employee("1", "ACME", false, false),
            employee("2", "GONE", true, false),
            employee("3", "HELD", false, true),
        ],
        vendors: suppliers.collect(),
        projects: vec![WorldProject { code: "P1".to_owned(), description: "Plant".to_owned(), active: true }],
        categories: Vec::new(),
        reports: Vec::new(),
    }
}

struct Rig {
    run: Running,
    http: reqwest::Client,
}

type Answer = (u16, Value);

impl Rig {
    async fn new() -> Self {
        let moment = world().today.and_hms_opt(12, 0, 0).unwrap().and_utc();
        let options = ServeOptions { clock: SimClock::standing_at(moment), ..ServeOptions::default() };
        let sim = EpicorSim::from_world(&world(), EpicorKnobs::default());
        let run = serve(Box::new(sim), options).await.unwrap();
        // Another test may have installed the provider already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        #[expect(
            clippy::disallowed_methods,
            reason = "a plain client, so that the simulator is tested alone"
        )]
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { run, http }
    }

    fn knobs(&self, knobs: Value) {
        self.run.control("knobs", &knobs).unwrap();
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/ERP11/api/v2/odata/EPIC06/{rest}", self.run.url())
    }

    fn request(&self, method: &str, url: String) -> reqwest::RequestBuilder {
        self.http
            .request(method.parse().unwrap(), url)
            .basic_auth(USER, Some(PASSWORD))
            .header("x-api-key", API_KEY)
            .header("accept", "application/json")
    }

    async fn get(&self, rest: &str) -> Answer {
        taken(self.request("GET", self.url(rest))).await
    }

    async fn post(&self, rest: &str, body: Value) -> Answer {
        let body = self
            .request("POST", self.url(rest))
            .header("content-type", "application/json")
            .body(body.to_string());
        taken(body).await
    }

    /// A method that must succeed; its out parameters.
    async fn call(&self, rest: &str, body: Value) -> Value {
        let (status, answer) = self.post(rest, body).await;
        assert_eq!(status, 200, "{rest}: {answer}");
        answer["parameters"].clone()
    }

    async fn ap_group(&self, id: &str) {
        let mut out = self.call(&ap_group("GetNewAPInvGrpNoLock"), json!({"ds": {"APInvGrp": []}})).await;
        out["ds"]["APInvGrp"][0]["GroupID"] = json!(id);
        self.call(&ap_group("Update"), json!({"ds": out["ds"]})).await;
    }

    async fn header_dataset(
        &self,
        group: &str,
        number: &str,
        vendor: &str,
        date: &str,
    ) -> Result<Value, Answer> {
        let out = self.call(&ap("GetNewAPInvHedInvoice"), json!({"cGroupID": group, "ds": {}})).await;
        let body = json!({"ProposedVendorID": vendor, "confirmCheck": false, "ds": out["ds"]});
        let (status, answer) = self.post(&ap("ChangeVendorID"), body).await;
        if status != 200 {
            return Err((status, answer));
        }
        let body = json!({"ProposedInvoiceDate": date, "recalcAmts": "", "ds": answer["parameters"]["ds"]});
        let out = self.call(&ap("ChangeInvoiceDateEx"), body).await;
        let text = format!("{{\"ProposedInvoiceVendorAmt\":125.50,\"ds\":{}}}", out["ds"]);
        let out = self.call(&ap("ChangeInvoiceVendorAmt"), serde_json::from_str(&text).unwrap()).await;
        let mut dataset = out["ds"].clone();
        dataset["APInvHed"][0]["InvoiceNum"] = json!(number);
        Ok(dataset)
    }

    async fn header(&self, group: &str, number: &str) -> Answer {
        let dataset = self.header_dataset(group, number, "ACME", "2026-03-10T00:00:00").await.unwrap();
        self.post(&ap("Update"), json!({"ds": dataset})).await
    }

    async fn line(&self, number: &str, amount: f64) -> Value {
        let out = self
            .call(
                &ap("GetNewAPInvDtlMiscellaneous"),
                json!({"iVendorNum": 100, "cInvoiceNum": number, "ds": {}}),
            )
            .await;
        let out = self.call(&ap("ChangeExtCost"), json!({"ProposedExtCost": amount, "ds": out["ds"]})).await;
        self.master("APInvDtl", out["ds"].clone()).await
    }

    async fn master(&self, table: &str, dataset: Value) -> Value {
        let body = json!({"ds": dataset, "cGroupID": "G1", "cTableName": table, "runChkCPay": false,
            "runChkBankRef": false, "runChkRevChrg": false, "suppressUserPrompts": true});
        self.call(&ap("UpdateMaster"), body).await
    }

    async fn repair(&self, mut dataset: Value) -> Value {
        let row = &mut dataset["APInvExpTGLC"][0];
        (row["GLAccount"], row["RowMod"]) = (json!("6100|00|200"), json!("U"));
        (row["SegValue1"], row["SegValue2"], row["SegValue3"]) = (json!("6100"), json!("00"), json!("200"));
        self.master("APInvExpTGLC", dataset).await
    }

    async fn journal(&self, group: &str, description: &str) -> Value {
        let mut out = self.call(&gl("GetNewGlJrnHedTran"), json!({"GroupID": group, "ds": {}})).await;
        out["ds"]["GLJrnHed"][0]["Description"] = json!(description);
        let out = self.call(&gl("PreUpdate"), json!({"ds": out["ds"]})).await;
        self.call(&gl("Update"), json!({"ds": out["ds"]})).await["ds"].clone()
    }

    async fn gl_group(&self, id: &str) {
        let mut out = self.call("Erp.BO.GLJrnGrpSvc/GetNewGLJrnGrpNoLock", json!({"ds": {}})).await;
        out["ds"]["GLJrnGrp"][0]["GroupID"] = json!(id);
        self.call("Erp.BO.GLJrnGrpSvc/Update", json!({"ds": out["ds"]})).await;
    }

    async fn new_journal_line(&self, dataset: &Value) -> Value {
        let number = &dataset["GLJrnHed"][0]["JournalNum"];
        let body = json!({"bookID": "MAIN", "fiscalYear": 2026, "fiscalYearSuffix": "", "journalCode": "GJ",
            "journalNum": number, "journalLine": 0, "ds": dataset});
        self.call(&gl("GetNewGLJrnDtlMnl"), body).await["ds"].clone()
    }

    async fn journal_line(&self, dataset: &Value, code: &str, column: &str, amount: f64) -> Value {
        let mut dataset = self.new_journal_line(dataset).await;
        let row = dataset["GLJrnDtlMnl"].as_array_mut().unwrap().last_mut().unwrap();
        row["GLAccount"] = json!(format!("{code}|00|200"));
        (row["SegValue1"], row["SegValue2"], row["SegValue3"]) = (json!(code), json!("00"), json!("200"));
        row[column] = json!(amount);
        self.call(&gl("Update"), json!({"ds": dataset})).await["ds"].clone()
    }
}

fn ap(method: &str) -> String {
    format!("Erp.BO.APInvoiceSvc/{method}")
}

fn ap_group(method: &str) -> String {
    format!("Erp.BO.APInvGrpSvc/{method}")
}

fn gl(method: &str) -> String {
    format!("Erp.BO.GLJournalEntrySvc/{method}")
}

async fn taken(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn values(answer: &Answer) -> &Vec<Value> {
    answer.1["value"].as_array().unwrap_or_else(|| panic!("no rows: {answer:?}"))
}

/// Sheet item: Epicor 1
#[tokio::test]
async fn company_in_the_path_is_mandatory_and_books_are_apart() {
    let rig = Rig::new().await;
    let other = |company: &str| {
        format!("{}/ERP11/api/v2/odata/{company}/Erp.BO.VendorSvc/Vendors?$top=1", rig.run.url())
    };
    assert_eq!(taken(rig.request("GET", other("EPIC99"))).await.0, 403);
    let second = taken(rig.request("GET", other("EPIC07"))).await;
    assert_eq!(values(&second)[0]["VendorNum"], 10_100);
    assert_eq!(values(&rig.get("Erp.BO.VendorSvc/Vendors?$top=1").await)[0]["VendorNum"], 100);
}

/// Sheet item: Epicor 2
#[tokio::test]
async fn api_key_is_needed_beside_the_identity() {
    let rig = Rig::new().await;
    let with = |key: Option<&str>, service: &str| {
        let request = rig
            .http
            .get(rig.url(service))
            .basic_auth(USER, Some(PASSWORD))
            .header("accept", "application/json");
        taken(match key {
            Some(key) => request.header("x-api-key", key),
            None => request,
        })
    };
    assert_eq!(with(None, "Erp.BO.VendorSvc/Vendors").await.0, 401);
    assert_eq!(with(Some("other-environment"), "Erp.BO.VendorSvc/Vendors").await.0, 401);
    assert_eq!(with(Some(SCOPED_API_KEY), "Erp.BO.VendorSvc/Vendors").await.0, 200);
    assert_eq!(with(Some(SCOPED_API_KEY), "Erp.BO.ProjectSvc/Projects").await.0, 403);
}

/// Sheet item: Epicor 3
#[tokio::test]
async fn refused_identity_is_xml_without_a_json_accept() {
    let rig = Rig::new().await;
    let url = rig.url("Erp.BO.VendorSvc/Vendors");
    let (status, body) = taken(rig.http.get(&url)).await;
    assert!(
        status == 401 && body.as_str().unwrap().contains("<HttpStatus>Unauthorized</HttpStatus>"),
        "{body}"
    );
    let (_, body) = taken(rig.http.get(&url).header("accept", "application/json")).await;
    assert_eq!(body["ErrorType"], "System.UnauthorizedAccessException");
    rig.knobs(json!({"xml_errors": true}));
    let (_, body) = taken(rig.http.get(&url).header("accept", "application/json")).await;
    assert!(body.is_string());
}

/// Sheet item: Epicor 4
#[tokio::test]
async fn token_is_pascal_case_expires_and_can_be_revoked() {
    let rig = Rig::new().await;
    let url = format!("{}/ERP11/TokenResource.svc/", rig.run.url());
    let login = |accept: &'static str| {
        taken(
            rig.http
                .post(&url)
                .header("username", USER)
                .header("password", PASSWORD)
                .header("accept", accept),
        )
    };
    assert!(login("*/*").await.1.as_str().unwrap().starts_with("<Token>"));
    let token = login("application/json").await.1["AccessToken"].as_str().unwrap().to_owned();
    let read = || {
        let request = rig.http.get(rig.url("Erp.BO.VendorSvc/Vendors?$top=1")).bearer_auth(&token);
        taken(request.header("x-api-key", API_KEY))
    };
    assert_eq!(read().await.0, 200);
    rig.run.advance_clock(TimeDelta::seconds(3601));
    assert_eq!(read().await.0, 401);
    let token = login("application/json").await.1["AccessToken"].as_str().unwrap().to_owned();
    rig.run.control("revoke-tokens", &Value::Null).unwrap();
    let request = rig.http.get(rig.url("Erp.BO.VendorSvc/Vendors?$top=1")).bearer_auth(token);
    assert_eq!(taken(request.header("x-api-key", API_KEY)).await.0, 401);
    let oauth = |scope: &str| {
        let form = format!(
            "grant_type=client_credentials&client_id=purser&client_secret=sandbox-client-secret&scope={scope}"
        );
        taken(rig.http.post(format!("{}/connect/token", rig.run.url())).body(form))
    };
    assert_eq!(oauth("openid").await.1["error"], "invalid_scope");
    assert_eq!(oauth("epicor_erp").await.1["token_type"], "Bearer");
}

/// Sheet item: Epicor 5
#[tokio::test]
async fn pages_are_clipped_silently() {
    let rig = Rig::new().await;
    let vendors = "Erp.BO.VendorSvc/Vendors?$orderby=VendorNum";
    assert_eq!(values(&rig.get(vendors).await).len(), 100);
    rig.knobs(json!({"page_cap": 50}));
    let page = rig.get(&format!("{vendors}&$top=80&$skip=40")).await;
    assert_eq!((values(&page).len(), &values(&page)[0]["VendorNum"]), (50, &json!(140)));
    assert!(page.1.get("@odata.nextLink").is_none());
    rig.knobs(json!({"next_link": true}));
    let mut url = rig.url(vendors);
    let mut seen = 0;
    loop {
        let page = taken(rig.request("GET", url)).await;
        seen += values(&page).len();
        match page.1["@odata.nextLink"].as_str() {
            Some(next) => url = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, 253);
    assert_eq!(rig.get("Erp.BO.VendorSvc/Vendors/$count").await.1, 253);
}

/// Sheet item: Epicor 6
#[tokio::test]
async fn names_are_exact_and_old_date_literals_are_refused() {
    let rig = Rig::new().await;
    for bad in [
        "Erp.BO.VendorSvc/Vendors?$select=vendorid",
        "Erp.BO.VendorSvc/Vendors?$filter=Nope eq 1",
        "Erp.BO.VendorSvc/Vendors?$filter=VendorNum eq '1'",
        "Erp.BO.VendorSvc/Vendors?$filter=Name eq 'x",
        "Erp.BO.POSvc/POes?$filter=OrderDate ge datetime'2026-01-31T00:00:00'",
    ] {
        let (status, body) = rig.get(bad).await;
        assert_eq!(status, 400, "{bad}");
        assert!(body["ErrorType"].as_str().unwrap().contains("ODataException"));
    }
    assert_eq!(rig.get("Erp.BO.VendorSvc/vendors").await.0, 404);
    assert_eq!(rig.run.misuse().len(), 6);
    let found = rig
        .get("Erp.BO.VendorSvc/Vendors?$filter=(startswith(VendorID,'AC') or contains(Name,'O''Brien 2')) and not (Inactive eq true)&$select=VendorID")
        .await;
    assert_eq!(found.1["value"], json!([{"VendorID": "ACME"}]));
    assert_eq!(
        values(&rig.get("Erp.BO.POSvc/POes?$filter=OrderDate ge 2026-01-31T00:00:00Z").await).len(),
        5
    );
}

/// Sheet item: Epicor 7
#[tokio::test]
async fn row_versions_grow_except_for_late_commits() {
    let rig = Rig::new().await;
    let top = rig.get("Erp.BO.VendorSvc/Vendors?$orderby=SysRevID desc&$top=1").await;
    let mark = values(&top)[0]["SysRevID"].as_i64().unwrap();
    let newer = format!("Erp.BO.VendorSvc/Vendors?$filter=SysRevID gt {mark}&$select=VendorID,SysRevID");
    rig.run
        .control("edit-vendor", &json!({"id": "ACME", "company": "EPIC06", "set": {"PayHold": true}}))
        .unwrap();
    assert_eq!(values(&rig.get(&newer).await)[0]["VendorID"], "ACME");
    rig.run.control("touch-vendor", &json!({"id": "SUP001", "company": "EPIC06"})).unwrap();
    let top = rig.get("Erp.BO.VendorSvc/Vendors?$orderby=SysRevID desc&$top=1").await;
    let mark = values(&top)[0]["SysRevID"].as_i64().unwrap();
    rig.run.control("touch-vendor", &json!({"id": "SUP002", "late": true})).unwrap();
    let late = rig.get("Erp.BO.VendorSvc/Vendors?$filter=VendorID eq 'SUP002'").await;
    assert!(values(&late)[0]["SysRevID"].as_i64().unwrap() < mark);
    rig.run.control("delete-vendor", &json!({"id": "SUP003"})).unwrap();
    assert!(
        values(&rig.get(&format!("Erp.BO.VendorSvc/Vendors?$filter=SysRevID gt {mark}")).await).is_empty()
    );
    rig.knobs(json!({"sysrevid_filter": false}));
    assert_eq!(rig.get(&newer).await.0, 400);
}

/// Sheet item: Epicor 8
#[tokio::test]
async fn sets_have_the_vendors_own_spelling() {
    let rig = Rig::new().await;
    for (set, column) in [
        ("Erp.BO.POSvc/POes", "PONum"),
        ("Erp.BO.EmpBasicSvc/EmpBasics", "ExpenseVendorNum"),
        ("Erp.BO.COASegmentSearchSvc/COASegmentSearches", "SegmentNbr"),
        ("Erp.BO.COASegValuesSvc/COASegValues", "SegmentCode"),
        ("Erp.BO.GLAccountSvc/GLAccounts", "GLAccount1"),
        ("Erp.BO.JCDeptSvc/JCDepts", "JCDept1"),
        ("Erp.BO.PerConSvc/PerCons", "PerConID"),
        ("Erp.BO.ProjectSvc/Projects", "ProjectID"),
        ("Erp.BO.PurTermsSvc/PurTerms", "TermsCode"),
        ("Erp.BO.GLBookSvc/GLBooks", "BookID"),
        ("Erp.BO.FiscalPerSvc/FiscalPers", "ClosedPeriod"),
    ] {
        let answer = rig.get(set).await;
        assert!(values(&answer)[0].get(column).is_some(), "{set}: {answer:?}");
    }
    assert_eq!(rig.get("Erp.BO.POSvc/POs").await.0, 404);
    rig.knobs(json!({"fiscal_periods": false}));
    assert_eq!(rig.get("Erp.BO.FiscalPerSvc/FiscalPers").await.0, 404);
}

/// Sheet item: Epicor 9
#[tokio::test]
async fn rows_are_wide_and_unknown_members_come_back() {
    let rig = Rig::new().await;
    let mut out = rig.call(&ap_group("GetNewAPInvGrpNoLock"), json!({"ds": {"APInvGrp": []}})).await;
    let row = &mut out["ds"]["APInvGrp"][0];
    assert!(row.as_object().unwrap().len() >= 60);
    assert_eq!((&row["RowMod"], &row["SysRevID"]), (&json!("A"), &json!(0)));
    (row["GroupID"], row["Mystery"]) = (json!("G1"), json!(7));
    let out = rig.call(&ap_group("Update"), json!({"ds": out["ds"]})).await;
    assert_eq!(
        (&out["ds"]["APInvGrp"][0]["Mystery"], &out["ds"]["APInvGrp"][0]["RowMod"]),
        (&json!(7), &json!(""))
    );
    let mut dataset = rig.header_dataset("G1", "EXP-1", "ACME", "2026-03-10T00:00:00").await.unwrap();
    dataset["APInvHed"][0]["SpendReference_c"] = json!("ours");
    rig.call(&ap("Update"), json!({"ds": dataset})).await;
    let found = rig.get("Erp.BO.APInvoiceSvc/APInvoices?$filter=SpendReference_c eq 'ours'").await;
    assert_eq!(values(&found)[0]["InvoiceNum"], "EXP-1");
}

/// Sheet item: Epicor 10
#[tokio::test]
async fn locked_group_is_refused_until_unlocked() {
    let rig = Rig::new().await;
    rig.ap_group("G1").await;
    rig.run.control("lock-group", &json!({"id": "G1"})).unwrap();
    let body = json!({"cGroupID": "G1", "ds": {}});
    let (status, answer) = rig.post(&ap("GetNewAPInvHedInvoice"), body.clone()).await;
    assert!(status == 400 && answer["ErrorMessage"].as_str().unwrap().contains("locked"));
    rig.post(&ap_group("UnlockGroup"), json!({"InGroupID": "G1"})).await;
    assert_eq!(rig.post(&ap("GetNewAPInvHedInvoice"), body).await.0, 200);
}

/// Sheet item: Epicor 11
#[tokio::test]
async fn duplicate_header_is_refused_in_either_manner_or_stored_when_refusal_is_off() {
    let rig = Rig::new().await;
    rig.ap_group("G1").await;
    assert_eq!(rig.header("G1", "EXP-1").await.0, 200);
    let (status, answer) = rig.header("G1", "EXP-1").await;
    assert!(status == 409 && answer["ErrorType"].as_str().unwrap().ends_with("DuplicateRecordException"));
    rig.knobs(json!({"duplicate_status": 400}));
    let (status, answer) = rig.header("G1", "EXP-1").await;
    assert!(status == 400 && answer["ErrorMessage"].as_str().unwrap().to_lowercase().contains("duplicate"));
    rig.knobs(json!({"duplicate_refusal": false}));
    assert_eq!(rig.header("G1", "EXP-1").await.0, 200);
    let state = rig.run.state();
    assert_eq!(state["summary"]["duplicates_by_reference"], json!({"EXP-1": 2}));
    assert_eq!(
        values(&rig.get("Erp.BO.APInvoiceSvc/APInvoices?$filter=InvoiceNum eq 'EXP-1'").await).len(),
        2
    );
}

/// Sheet item: Epicor 12
#[tokio::test]
async fn account_is_empty_until_a_second_save_supplies_it() {
    let rig = Rig::new().await;
    rig.ap_group("G1").await;
    rig.header("G1", "EXP-1").await;
    let out = rig.line("EXP-1", 125.5).await;
    assert_eq!((&out["lUpdateRan"], &out["ds"]["APInvExpTGLC"][0]["GLAccount"]), (&json!(true), &json!("")));
    rig.post(
        "Erp.PROC.APInvoicePostSvc/RunDirect",
        json!({"ds": {"APInvoicePostParam": [{"GroupID": "G1"}]}}),
    )
    .await;
    rig.run.control("run-posts", &Value::Null).unwrap();
    let group = rig.get("Erp.BO.APInvGrpSvc/APInvGrps?$filter=GroupID eq 'G1'").await;
    assert!(values(&group)[0]["PostErrorLog"].as_str().unwrap().contains("GL Account is missing"));
    rig.repair(out["ds"].clone()).await;
    let rows =
        rig.get("Erp.BO.APInvoiceSvc/APInvExpTGLCs?$filter=VendorNum eq 100 and InvoiceNum eq 'EXP-1'").await;
    assert_eq!(values(&rows)[0]["GLAccount"], "6100|00|200");
    rig.run.control("vendor-default-account", &json!({"id": "ACME", "account": "2100|00|200"})).unwrap();
    let out = rig.line("EXP-1", 1.0).await;
    assert_eq!(out["ds"]["APInvExpTGLC"][1]["GLAccount"], "2100|00|200");
}

/// Sheet item: Epicor 13
#[tokio::test]
async fn control_total_that_differs_is_saved_but_not_posted() {
    let rig = Rig::new().await;
    rig.ap_group("G1").await;
    rig.header("G1", "EXP-1").await;
    let out = rig.line("EXP-1", 100.0).await;
    rig.repair(out["ds"].clone()).await;
    let found = rig.get("Erp.BO.APInvoiceSvc/APInvoices?$filter=InvoiceNum eq 'EXP-1'").await;
    assert_eq!(values(&found)[0]["DocInvoiceVariance"], 25.5);
    let out = rig.call(&ap_group("PrePostGroupInvoices"), json!({"PostGroupID": "G1"})).await;
    assert!(out["VarianceMessage"].as_str().unwrap().contains("EXP-1"));
    rig.post(
        "Erp.PROC.APInvoicePostSvc/RunDirect",
        json!({"ds": {"APInvoicePostParam": [{"GroupID": "G1"}]}}),
    )
    .await;
    rig.run.control("run-posts", &Value::Null).unwrap();
    assert_eq!(rig.run.state()["companies"]["EPIC06"]["documents"][0]["posted"], false);
}

/// Sheet item: Epicor 14
#[tokio::test]
async fn success_status_may_hide_that_nothing_was_saved() {
    let rig = Rig::new().await;
    rig.ap_group("G1").await;
    rig.header("G1", "EXP-1").await;
    rig.knobs(json!({"prompts": 1}));
    let out = rig.line("EXP-1", 125.5).await;
    assert_eq!((&out["lUpdateRan"], &out["requiresUserInput"]), (&json!(false), &json!(true)));
    assert_eq!(rig.run.state()["companies"]["EPIC06"]["documents"][0]["lines"], json!([]));
}

/// Sheet item: Epicor 15
#[tokio::test]
async fn business_rules_refuse_with_table_and_field() {
    let rig = Rig::new().await;
    rig.ap_group("G1").await;
    for vendor in ["GONE", "HELD", "NOBODY"] {
        let (status, answer) = rig.header_dataset("G1", "X", vendor, "2026-03-10").await.unwrap_err();
        assert_eq!((status, &answer["ErrorDetails"][0]["Table"]), (400, &json!("APInvHed")), "{vendor}");
    }
    let dataset = rig.header_dataset("G1", "X", "ACME", "2025-12-10").await.unwrap();
    let (status, answer) = rig.post(&ap("Update"), json!({"ds": dataset})).await;
    assert_eq!((status, &answer["ErrorDetails"][0]["Field"]), (400, &json!("ApplyDate")), "{answer}");
    rig.gl_group("J1").await;
    let dataset = rig.journal("J1", "ref").await;
    let mut dataset = rig.new_journal_line(&dataset).await;
    let row = &mut dataset["GLJrnDtlMnl"][0];
    row["GLAccount"] = json!("9999|00|200");
    (row["SegValue1"], row["SegValue2"], row["SegValue3"]) = (json!("9999"), json!("00"), json!("200"));
    let (status, answer) = rig.post(&gl("Update"), json!({"ds": dataset})).await;
    assert_eq!((status, &answer["ErrorMessage"]), (400, &json!("GL Account is inactive.")));
}

/// Sheet item: Epicor 16
#[tokio::test]
async fn stale_row_version_is_a_conflict() {
    let rig = Rig::new().await;
    rig.ap_group("G1").await;
    let mut saved = rig.header("G1", "EXP-1").await.1["parameters"]["ds"].clone();
    saved["APInvHed"][0]["RowMod"] = json!("U");
    assert_eq!(rig.post(&ap("Update"), json!({"ds": saved})).await.0, 200);
    assert_eq!(rig.post(&ap("Update"), json!({"ds": saved})).await.0, 409);
}

/// Sheet item: Epicor 17
#[tokio::test]
async fn editing_the_wrong_row_says_that_the_account_is_required() {
    let rig = Rig::new().await;
    rig.gl_group("J1").await;
    let dataset = rig.journal("J1", "ref").await;
    let dataset = rig.journal_line(&dataset, "6100", "TotDebit", 10.0).await;
    let mut dataset = rig.new_journal_line(&dataset).await;
    dataset["GLJrnDtlMnl"][0]["GLAccount"] = json!("2100|00|200");
    let (status, answer) = rig.post(&gl("Update"), json!({"ds": dataset})).await;
    assert_eq!((status, &answer["ErrorMessage"]), (400, &json!("G/L Account is required.")));
}

/// Sheet item: Epicor 18
#[tokio::test]
async fn read_methods_answer_get_and_post() {
    let rig = Rig::new().await;
    let (_, answer) = rig.get("Erp.BO.VendorSvc/GetByVendID?vendorID=ACME").await;
    assert_eq!(answer["returnObj"]["Vendor"][0]["VendorNum"], 100);
    let (_, answer) = rig.post("Erp.BO.VendorSvc/GetByVendID", json!({"vendorID": "ACME"})).await;
    assert_eq!(answer["returnObj"]["Vendor"][0]["VendorNum"], 100);
    let (_, answer) = rig
        .get("Erp.BO.VendorSvc/GetRows?whereClauseVendor=VendorID%20%3D%20'ACME'&pageSize=0&absolutePage=0")
        .await;
    assert_eq!(answer["returnObj"]["Vendor"].as_array().unwrap().len(), 1);
    assert_eq!(rig.get(&ap("GetByID?vendorNum=100&invoiceNum=NONE")).await.0, 404);
    assert_eq!(rig.get(&ap("Update")).await.0, 405);
    rig.knobs(json!({"get_for_reads": false}));
    assert_eq!(rig.get("Ice.LIB.SessionModSvc/GetPatchLevelApp").await.0, 405);
    assert_eq!(rig.post("Ice.LIB.SessionModSvc/GetPatchLevelApp", json!({})).await.0, 200);
}

/// Sheet item: Epicor 19
#[tokio::test]
async fn sessions_end_servers_fail_and_the_first_call_is_slow() {
    let rig = Rig::new().await;
    let (_, login) = rig.post("Ice.LIB.SessionModSvc/Login", json!({})).await;
    let session = json!({"SessionID": login["returnObj"]}).to_string();
    let read = || {
        taken(rig.request("GET", rig.url("Erp.BO.VendorSvc/Vendors?$top=1")).header("SessionInfo", &session))
    };
    assert_eq!(read().await.0, 200);
    rig.run.control("expire-sessions", &Value::Null).unwrap();
    let (status, answer) = read().await;
    assert!(status == 410 && answer["ErrorType"].as_str().unwrap().ends_with("InvalidSessionException"));
    rig.knobs(json!({"internal_errors": 1}));
    let (status, answer) = rig.get("Erp.BO.VendorSvc/Vendors?$top=1").await;
    assert!(status == 500 && answer["ErrorMessage"].as_str().unwrap().contains("Correlation ID"));
    rig.run.faults([FaultRule::once(FaultMatch::default(), FaultAction::Maintenance { seconds: 60 })]);
    assert_eq!(rig.get("Erp.BO.VendorSvc/Vendors?$top=1").await.0, 503);
    rig.run.advance_clock(TimeDelta::seconds(61));
    rig.knobs(json!({"first_call_ms": 30}));
    let begin = std::time::Instant::now();
    assert_eq!(rig.get("Erp.BO.VendorSvc/Vendors?$top=1").await.0, 200);
    assert!(begin.elapsed().as_millis() >= 30);
}

/// Sheet item: Epicor 20
#[tokio::test]
async fn call_without_an_answer_may_have_committed() {
    let rig = Rig::new().await;
    rig.ap_group("G1").await;
    let dataset = rig.header_dataset("G1", "EXP-1", "ACME", "2026-03-10").await.unwrap();
    rig.run.faults([FaultRule::once(FaultMatch::path("APInvoiceSvc/Update"), FaultAction::CutAfterCommit)]);
    let body = json!({"ds": dataset}).to_string();
    let lost = rig
        .request("POST", rig.url(&ap("Update")))
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await;
    assert!(lost.is_err());
    assert_eq!(
        values(&rig.get("Erp.BO.APInvoiceSvc/APInvoices?$filter=InvoiceNum eq 'EXP-1'").await).len(),
        1
    );
}

/// Sheet item: Epicor 21
#[tokio::test]
async fn seats_run_out_with_a_configurable_answer() {
    let rig = Rig::new().await;
    rig.knobs(json!({"no_seats": 1, "seat_status": 403, "seat_message": "No seat."}));
    let (status, answer) = rig.get("Erp.BO.VendorSvc/Vendors?$top=1").await;
    assert_eq!((status, &answer["ErrorMessage"]), (403, &json!("No seat.")));
    assert_eq!(rig.get("Erp.BO.VendorSvc/Vendors?$top=1").await.0, 200);
}

/// Sheet item: Epicor 22
#[tokio::test]
async fn amounts_keep_their_digits() {
    let rig = Rig::new().await;
    rig.ap_group("G1").await;
    rig.header("G1", "EXP-1").await;
    let out = rig
        .call(
            &ap("GetNewAPInvDtlMiscellaneous"),
            json!({"iVendorNum": 100, "cInvoiceNum": "EXP-1", "ds": {}}),
        )
        .await;
    let body = format!("{{\"ProposedExtCost\":99999999999.99,\"ds\":{}}}", out["ds"]);
    let request = rig
        .request("POST", rig.url(&ap("ChangeExtCost")))
        .header("content-type", "application/json")
        .body(body);
    let text = request.send().await.unwrap().text().await.unwrap();
    assert!(text.contains("\"DocExtCost\":99999999999.99"), "{text}");
}

/// Sheet item: Epicor 23
#[tokio::test]
async fn slash_in_a_path_key_fails_and_a_filter_works() {
    let rig = Rig::new().await;
    rig.ap_group("G1").await;
    rig.header("G1", "EXP/1").await;
    rig.header("G1", "EXP-2").await;
    let by_key = |number: &str| rig.url(&format!("Erp.BO.APInvoiceSvc/APInvoices('EPIC06',100,'{number}')"));
    assert_eq!(taken(rig.request("GET", by_key("EXP-2"))).await.0, 200);
    assert_eq!(taken(rig.request("GET", by_key("EXP%2F1"))).await.0, 404);
    assert_eq!(
        values(&rig.get("Erp.BO.APInvoiceSvc/APInvoices?$filter=InvoiceNum eq 'EXP%2F1'").await).len(),
        1
    );
}

/// Sheet item: Epicor 24
#[tokio::test]
async fn posting_comes_later_and_only_in_part() {
    let rig = Rig::new().await;
    rig.gl_group("J1").await;
    let dataset = rig.journal("J1", "good").await;
    let dataset = rig.journal_line(&dataset, "6100", "TotDebit", 10.1).await;
    let dataset = rig.journal_line(&dataset, "2100", "TotCredit", 10.1).await;
    assert_eq!(
        (&dataset["GLJrnDtlMnl"][1]["TransAmt"], &dataset["GLJrnDtlMnl"][1]["JournalLine"]),
        (&json!(-10.1), &json!(2))
    );
    let dataset = rig.journal("J1", "bad").await;
    rig.journal_line(&dataset, "6100", "TotDebit", 5.0).await;
    let open = "Erp.BO.GLJournalEntrySvc/GLJournalEntries?$filter=Posted eq true";
    rig.call("Erp.BO.GLJrnGrpSvc/PostGroupJournals", json!({"postGroupID": "J1"})).await;
    assert!(values(&rig.get(open).await).is_empty());
    rig.run.advance_clock(TimeDelta::seconds(120));
    rig.get(open).await;
    assert_eq!(values(&rig.get(open).await)[0]["Description"], "good");
    let group = rig.get("Erp.BO.GLJrnGrpSvc/GLJrnGrps").await;
    assert!(values(&group)[0]["PostErrorLog"].as_str().unwrap().contains("out of balance"));
    assert_eq!(values(&rig.get("Erp.BO.GLJrnDtlSvc/GLJrnDtls").await).len(), 2);
    assert_eq!(rig.run.state()["summary"]["total_by_currency"]["USD"], "15.10");
}

/// Sheet item: Epicor 25
#[tokio::test]
async fn older_release_has_and_lists_other_signatures() {
    let rig = Rig::new().await;
    rig.knobs(json!({"release": "2021"}));
    rig.ap_group("G1").await;
    let (_, metadata) = rig.get(&ap("$metadata")).await;
    let metadata = metadata.as_str().unwrap().to_owned();
    assert!(metadata.contains("UpdateMaster") && !metadata.contains("confirmCheck"));
    let out = rig.call(&ap("GetNewAPInvHedInvoice"), json!({"cGroupID": "G1", "ds": {}})).await;
    let newer = json!({"ProposedVendorID": "ACME", "confirmCheck": false, "ds": out["ds"]});
    assert_eq!(rig.post(&ap("ChangeVendorID"), newer).await.0, 400);
    rig.call(&ap("ChangeVendorID"), json!({"ProposedVendorID": "ACME", "ds": out["ds"]})).await;
}

#[tokio::test]
async fn half_written_documents_can_be_deleted() {
    let rig = Rig::new().await;
    rig.ap_group("G1").await;
    let mut saved = rig.header("G1", "EXP-1").await.1["parameters"]["ds"].clone();
    saved["APInvHed"][0]["RowMod"] = json!("D");
    assert_eq!(rig.post(&ap("Update"), json!({"ds": saved})).await.0, 200);
    rig.gl_group("J1").await;
    let mut dataset = rig.journal("J1", "ref").await;
    dataset["GLJrnHed"][0]["RowMod"] = json!("D");
    rig.call(&gl("Update"), json!({"ds": dataset})).await;
    assert_eq!(rig.run.state()["summary"]["documents"], 0);
    assert_eq!(rig.run.misuse(), Vec::<String>::new());
}

#[tokio::test]
async fn refused_save_leaves_nothing_behind() {
    let rig = Rig::new().await;
    rig.gl_group("J1").await;
    let mut out = rig.call(&gl("GetNewGlJrnHedTran"), json!({"GroupID": "J1", "ds": {}})).await;
    out["ds"]["GLJrnDtlMnl"] = json!([{"RowMod": "A", "JournalNum": 401, "GLAccount": ""}]);
    assert_eq!(rig.post(&gl("Update"), json!({"ds": out["ds"]})).await.0, 400);
    rig.ap_group("G1").await;
    let mut dataset = rig.header_dataset("G1", "EXP-1", "ACME", "2026-03-10").await.unwrap();
    dataset["APInvDtl"] = json!([{"RowMod": "U", "VendorNum": 100, "InvoiceNum": "EXP-1", "InvoiceLine": 9}]);
    assert_ne!(rig.post(&ap("Update"), json!({"ds": dataset})).await.0, 200);
    assert_eq!(rig.run.state()["summary"]["documents"], 0);
}

/// The book stays small and quick to look into: a look-up must not grow with the number of documents.
#[test]
fn look_up_among_many_documents_finds_the_one() {
    use crate::server::{Request, Simulator as _};
    let mut sim = EpicorSim::from_world(&world(), EpicorKnobs::default());
    let at = world().today.and_hms_opt(12, 0, 0).unwrap().and_utc();
    let auth =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{USER}:{PASSWORD}"));
    let mut call = |method: &str, rest: &str, query: &str, body: String| {
        let headers = [("authorization", format!("Basic {auth}")), ("x-api-key", API_KEY.to_owned())]
            .into_iter()
            .chain([
                ("accept", "application/json".to_owned()),
                ("content-type", "application/json".to_owned()),
            ])
            .map(|(name, value)| (name.to_owned(), value));
        let reply = sim.handle(&Request {
            method: method.to_owned(),
            path: format!("/ERP11/api/v2/odata/EPIC06/{rest}"),
            query: query.to_owned(),
            headers: headers.collect(),
            body: body.into_bytes(),
            at,
        });
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        serde_json::from_slice::<Value>(&reply.body).unwrap()
    };
    let group = json!({"ds": {"APInvGrp": [{"GroupID": "G1", "RowMod": "A"}]}});
    call("POST", "Erp.BO.APInvGrpSvc/Update", "", group.to_string());
    for n in 0..MANY {
        let header = json!({"InvoiceNum": format!("EXP-{n}"), "VendorNum": 100, "GroupID": "G1", "TermsCode": "N30",
            "CurrencyCode": "USD", "InvoiceDate": "2026-03-10", "DocInvoiceVendorAmt": 1.0, "RowMod": "A"});
        call("POST", "Erp.BO.APInvoiceSvc/Update", "", json!({"ds": {"APInvHed": [header]}}).to_string());
    }
    for n in 0..MANY {
        let query =
            format!("$filter=VendorNum%20eq%20100%20and%20InvoiceNum%20eq%20'EXP-{n}'&$select=InvoiceNum");
        let found = call("GET", "Erp.BO.APInvoiceSvc/APInvoices", &query, String::new());
        assert_eq!(found["value"], json!([{ "InvoiceNum": format!("EXP-{n}") }]));
    }
}

/// Documents in the test above.
const MANY: usize = 1_000;
