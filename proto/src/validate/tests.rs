//! Every check by a table: one change of a good file, and the finding it must cause.

use super::*;
use crate::parse::{parse_toml, print_toml, tests::SAMPLE};
use proptest::prelude::*;

const KINDS: &[&str] = &["epicor", "expensify"];

fn findings(text: &str) -> Vec<ConfigFinding> {
    validate(&parse_toml(text).unwrap(), KINDS).unwrap_err()
}

#[test]
fn a_good_file_becomes_typed() {
    let text = SAMPLE.replace("start = ", "prefix = \"exp2\"\nstart = ");
    let valid = validate(&parse_toml(&text).unwrap(), KINDS).unwrap();
    let flow = valid.flow(&"expenses".into()).unwrap();
    assert_eq!(flow.prefix, "EXP2");
    assert_eq!(flow.start, Date::from_ymd_opt(2026, 1, 1).unwrap());
    assert_eq!(flow.zone, chrono_tz::America::New_York);
    assert_eq!(flow.schedule.as_ref().unwrap().text(), "0 6 * * 1-5");
    let erp = valid.connection(&"erp".into()).unwrap();
    assert_eq!((erp.secret.as_str(), erp.network.timeout), ("erp-service", Some(90)));
    assert_eq!(valid.connection(&"expensify".into()).unwrap().secret, "expensify");
    assert_eq!(valid.guard_rails.max_per_document[&Currency::USD], Money::new(500_000, Currency::USD));
    assert_eq!((valid.log.level.as_str(), valid.log.keep_days), ("info,purser::vendors=debug", 14));
}

#[test]
fn an_empty_configuration_is_valid() {
    let valid = validate(&parse_toml("version = 1").unwrap(), KINDS).unwrap();
    assert!(valid.flows.is_empty() && valid.guard_rails == ValidGuardRails::default());
}

#[test]
fn each_fault_is_found_where_it_is() {
    let second_flow = "[[flow]]\nid = \"two\"\nsource = \"expensify\"\ntarget = \"erp\"\ncompany = \"EPIC06\"\n\
                       start = \"2026-01-01\"\nprefix = \"EX\"\nmapping = { offset_card = \"1\" }\n[[flow]]\nid = \"expenses\"";
    #[rustfmt::skip]
    let table = [
        ("version = 1", "version = 2", "version", "not known"),
        ("\"info,purser", "\"info,pur ser", "log.level", "neither a level nor a filter"),
        ("level = \"info", "keep_days = 0\nlevel = \"info", "log.keep_days", "out of range"),
        ("\"5000.00\"", "\"5000.001\"", "guard_rails.max_per_document.USD", "more decimals"),
        ("\"5000.00\"", "\"5,000\"", "guard_rails.max_per_document.USD", "not a plain decimal"),
        ("\"5000.00\"", "\"-1\"", "guard_rails.max_per_document.USD", "not above zero"),
        ("{ USD", "{ usd", "guard_rails.max_per_document.usd", "not a currency code"),
        ("\"2026-12-31\"", "\"2026-2-31\"", "guard_rails.blackout_dates[0]", "not a date"),
        ("companies = [\"EPIC06\"]", "companies = [\"OTHER\"]", "flow[0].company", "not among guard_rails.companies"),
        ("companies =", "document_kinds = [\"ap-invoice\"]\ncompanies =", "flow[0].document", "not among guard_rails.document_kinds"),
        ("companies =", "max_documents_per_run = 0\ncompanies =", "guard_rails.max_documents_per_run", "nothing be posted"),
        ("id = \"erp\"", "id = \"ERP\"", "connection[1].id", "not a well-formed name"),
        ("id = \"erp\"", "id = \"erp-01234567890123456789012345678901234567\"", "connection[1].id", "not a well-formed name"),
        ("id = \"erp\"", "id = \"expensify\"", "connection[1].id", "already the name of connection[0]"),
        ("kind = \"epicor\"", "kind = \"epicore\"", "connection[1].kind", "did you mean `epicor`"),
        ("kind = \"epicor\"", "kind = \"sap\"", "connection[1].kind", "known vendors: epicor, expensify"),
        ("\"https://erp.example.test/erp\"", "\"erp.example.test/erp\"", "connection[1].url", "not an absolute"),
        ("\"https://erp.example.test/erp\"", "\"ftp://erp.example.test/erp\"", "connection[1].url", "not an absolute"),
        ("\"https://erp.example.test/erp\"", "\"https://u:canary@erp.example.test/\"", "connection[1].url", "carries credentials"),
        ("\"https://erp.example.test/erp\"", "\"https://erp.example.test/?a=1\"", "connection[1].url", "query"),
        ("\"https://erp.example.test/erp\"", "\"http://erp.example.test/\"", "connection[1].url", "plain http is refused"),
        ("\"https://erp.example.test/erp\"", "\"http://127.0.0.1:80/\"", "connection[1].url", "allow_plain_loopback"),
        ("timeout = 90", "timeout = 90\nallow_plain_loopback = true\n[[connection]]\nid = \"x\"\nkind = \"epicor\"\nurl = \"http://10.0.0.1\"\nnetwork = { allow_plain_loopback = true }", "connection[2].url", "plain http is refused"),
        ("secret = \"erp-service\"", "secret = \"erp service\"", "connection[1].secret", "not a well-formed name"),
        ("api_version = \"v2\"", "auth = { Password = \"canary\" }", "connection[1].settings.auth.Password", "a secret stands"),
        ("api_version = \"v2\"", "api_key = [\"canary\"]", "connection[1].settings.api_key[0]", "a secret stands"),
        ("\"http://proxy.example.test:3128\"", "\"proxy\"", "connection[1].network.proxy", "not the URL of a proxy"),
        ("\"http://proxy.example.test:3128\"", "\"http://u:canary@proxy.example.test\"", "connection[1].network.proxy", "carries credentials"),
        ("timeout = 90", "timeout = 0", "connection[1].network.timeout", "out of range"),
        ("timeout = 90", "connect_timeout = 301", "connection[1].network.connect_timeout", "out of range"),
        ("id = \"expenses\"", "id = \"Expenses!\"", "flow[0].id", "not a well-formed name"),
        ("source = \"expensify\"", "source = \"expensfy\"", "flow[0].source", "did you mean `expensify`"),
        ("target = \"erp\"", "target = \"ledger\"", "flow[0].target", "no connection `ledger`"),
        ("target = \"erp\"", "target = \"expensify\"", "flow[0].target", "same connection"),
        ("\nstart =", "\nprefix = \"TOOLONG\"\nstart =", "flow[0].prefix", "cannot be a prefix"),
        ("\nstart =", "\nprefix = \"É\"\nstart =", "flow[0].prefix", "cannot be a prefix"),
        ("[[flow]]\nid = \"expenses\"", second_flow, "flow[1].prefix", "begin alike"),
        ("\"0 6 * * 1-5\"", "\"0 0 6 * * 1-5\"", "flow[0].schedule", "no seconds"),
        ("\"America/New_York\"", "\"America/NewYork\"", "flow[0].timezone", "did you mean `America/New_York`"),
        ("start = \"2026-01-01\"", "start = \"01/02/2026\"", "flow[0].start", "not a date"),
        ("overlap_days = 14", "overlap_days = 400", "flow[0].policy.overlap_days", "out of range"),
        ("overlap_days = 14", "page_size = 0", "flow[0].policy.page_size", "1 to 1000"),
        ("overlap_days = 14", "batch_size = 501", "flow[0].policy.batch_size", "1 to 500"),
        ("overlap_days = 14", "settle_window = 3601", "flow[0].policy.settle_window", "0 to 3600"),
        ("overlap_days = 14", "settle_window = 0", "flow[0].policy.settle_window", "refused for journals"),
        ("overlap_days = 14", "max_attempts = 0", "flow[0].policy.max_attempts", "out of range"),
        ("overlap_days = 14", "backoff_base = 60\nbackoff_max = 30", "flow[0].policy.backoff_max", "shorter than the first"),
        ("segment_count = 3", "segment_count = 21", "flow[0].mapping.segment_count", "out of range"),
        ("{ 3 = \"000\" }", "{ 4 = \"000\" }", "flow[0].mapping.default_segments.4", "no segment 4"),
        ("{ 2 = \"10\" }", "{ 1 = \"10\" }", "flow[0].mapping.categories.\"Travel & Meals\".segments.1", "natural account"),
        ("\"6100\"", "\"6100|10\"", "flow[0].mapping.categories.\"Travel & Meals\".account", "holds a `|`"),
        ("\"6100\"", "\" 6100\"", "flow[0].mapping.categories.\"Travel & Meals\".account", "spaces around"),
        ("level = 1", "level = 11", "flow[0].mapping.tags[0].level", "out of range"),
        ("{ segment = 2 }", "{ segment = 5 }", "flow[0].mapping.tags[0].target", "no segment 5"),
        ("[[flow.mapping.tags]]", "[[flow.mapping.tags]]\nlevel = 1\ntarget = \"project\"\n[[flow.mapping.tags]]", "flow[0].mapping.tags[1].level", "already has the rule"),
        ("[[flow.mapping.tags]]", "[[flow.mapping.tags]]\nlevel = 2\ntarget = { segment = 2 }\n[[flow.mapping.tags]]", "flow[0].mapping.tags[1].target", "same target"),
        ("\"Sales\" = \"20\"", "\"Sales\" = \"\"", "flow[0].mapping.tags[0].values.\"Sales\"", "empty"),
        ("offset_reimbursable = \"2100\"", "", "flow[0].mapping.offset_reimbursable", "needs an offset account"),
        ("offset_reimbursable = \"2100\"", "offset_card = \"1|2\"", "flow[0].mapping.offset_card", "holds a `|`"),
        ("segment_count = 3", "segment_count = 3\nowners = { \"Ann@example.test\" = \"V1\" }", "flow[0].mapping.owners.\"Ann@example.test\"", "lower-case"),
        ("segment_count = 3", "segment_count = 3\ndefault_dimensions = { branhc = \"HQ\" }", "flow[0].mapping.default_dimensions.\"branhc\"", "did you mean `branch`"),
        ("segment_count = 3", "segment_count = 3\ndefault_dimensions = { Cost_Code = \"1\" }", "flow[0].mapping.default_dimensions.\"Cost_Code\"", "did you mean `cost-code`"),
        ("segment_count = 3", "segment_count = 3\ndefault_dimensions = { \"a--b\" = \"1\" }", "flow[0].mapping.default_dimensions.\"a--b\"", "lower-case letters"),
        ("segment_count = 3", "segment_count = 3\ndefault_dimensions = { branch = \" \" }", "flow[0].mapping.default_dimensions.\"branch\"", "empty"),
        ("{ 2 = \"10\" }", "{ 2 = \"10\" }\ndimensions = { departmnt = \"IT\" }", "flow[0].mapping.categories.\"Travel & Meals\".dimensions.\"departmnt\"", "did you mean `department`"),
        ("{ segment = 2 }", "{ dimension = \"projct-task\" }", "flow[0].mapping.tags[0].target.dimension", "did you mean `project-task`"),
        ("segment_count = 3", "segment_count = 3\nmatch_threshold = 92", "flow[0].mapping.match_threshold", "500 to 1000"),
        ("segment_count = 3", "segment_count = 3\nmerchants = { pmch_1 = \"ACME\" }", "flow[0].mapping.merchants", "nothing looks at them"),
        ("segment_count = 3", "segment_count = 3\nvendor_from = \"merchant\"\nmerchants = { pmch_1 = \" ACME\" }", "flow[0].mapping.merchants.\"pmch_1\"", "spaces around"),
        ("segment_count = 3", "segment_count = 3\nvendor_from = \"merchant\"\nmerchants = { \" \" = \"ACME\" }", "flow[0].mapping.merchants.\" \"", "the merchant is empty"),
        ("segment_count = 3", "segment_count = 3\nvendor_from = \"merchant\"", "flow[0].mapping.vendor_from", "a journal has no vendor"),
        ("segment_count = 3", "segment_count = 3\nselect = \"reimbursable\"\nvendor_from = \"merchant\"", "flow[0].mapping.select", "every record would be held"),
        ("segment_count = 3", "segment_count = 3\nvendor_from = \"fixed\"", "flow[0].mapping.default_vendor", "no vendor is named"),
        ("segment_count = 3", "segment_count = 3\ncurrencies = [\"US\"]", "flow[0].mapping.currencies[0]", "not a currency code"),
    ];
    for (from, to, path, part) in table {
        let text = SAMPLE.replacen(from, to, 1);
        assert_ne!(text, SAMPLE, "the sample holds `{from}`");
        let found = findings(&text);
        let one =
            found.iter().find(|finding| finding.path == path).unwrap_or_else(|| panic!("{to}: {found:#?}"));
        assert!(one.to_string().contains(part), "{one}");
        assert!(!found.iter().any(|finding| finding.to_string().contains("canary")), "{found:?}");
    }
}

const REFERENCES: &str = r#"
[[reference]]
id = "staff"
from = "erp"
to = "expensify"
company = "EPIC06"
set = "employees"
schedule = "@daily"

[[reference]]
id = "departments"
from = "erp"
to = "expensify"
company = "EPIC06"
set = "cost-centres"
max_disable_percent = 5
options = { segment = 2, include = ["1*", "200..299"] }
"#;

#[test]
fn a_reference_flow_becomes_typed() {
    let text =
        SAMPLE.replace("overlap_days = 14", "wait_for = [\"staff\"]\nwait_max_age = 3600") + REFERENCES;
    let valid = validate(&parse_toml(&text).unwrap(), KINDS).unwrap();
    let staff = valid.reference(&"staff".into()).unwrap();
    assert_eq!((staff.set, staff.zone), (ReferenceSet::Employees, chrono_tz::UTC));
    assert_eq!(staff.ceiling, MirrorCeiling { max_changes: 1000, max_disable_percent: 10 });
    assert_eq!(valid.reference(&"departments".into()).unwrap().rules.segment, Some(2));
    assert_eq!(
        valid.flow_ids().map(FlowId::as_str).collect::<Vec<_>>(),
        ["staff", "departments", "expenses"]
    );
}

#[test]
fn each_fault_of_a_reference_flow_is_found_where_it_is() {
    #[rustfmt::skip]
    let table = [
        ("id = \"staff\"", "id = \"expenses\"", "reference[0].id", "already the name of another flow"),
        ("id = \"departments\"", "id = \"staff\"", "reference[1].id", "already the name of another flow"),
        ("from = \"erp\"", "from = \"ledger\"", "reference[0].from", "no connection `ledger`"),
        ("to = \"expensify\"", "to = \"erp\"", "reference[0].to", "same connection"),
        ("set = \"employees\"", "set = \"cost-centres\"", "reference[0].options.segment", "which segment"),
        ("set = \"cost-centres\"", "set = \"employees\"", "reference[1].set", "each would disable"),
        ("set = \"cost-centres\"", "set = \"projects\"", "reference[1].options.segment", "without effect on projects"),
        ("segment = 2", "segment = 1", "reference[1].options.segment", "2 to 20"),
        ("segment = 2", "segment = 2, dimension = \"department\"", "reference[1].options.dimension", "both a segment and a dimension"),
        ("segment = 2", "segment = 2, whole_accounts = true", "reference[1].options.whole_accounts", "without effect"),
        ("\"1*\"", "\"1*2\"", "reference[1].options.include[0]", "elsewhere than at the end"),
        ("200..299", "299..200", "reference[1].options.include[1]", "wrong way round"),
        ("max_disable_percent = 5", "max_disable_percent = 101", "reference[1].max_disable_percent", "0 to 100"),
        ("max_disable_percent = 5", "max_changes = 0", "reference[1].max_changes", "out of range"),
        ("\"@daily\"", "\"@sometimes\"", "reference[0].schedule", "five cron fields"),
        ("overlap_days = 14", "wait_for = [\"stuff\"]", "flow[0].policy.wait_for[0]", "did you mean `staff`"),
        ("overlap_days = 14", "wait_max_age = 5", "flow[0].policy.wait_max_age", "out of range"),
    ];
    let whole = format!("{SAMPLE}{REFERENCES}");
    for (from, to, path, part) in table {
        let text = whole.replacen(from, to, 1);
        // The sample has fields of the same names in front.
        let text = if path.starts_with("reference") {
            format!("{SAMPLE}{}", REFERENCES.replacen(from, to, 1))
        } else {
            text
        };
        assert_ne!(text, whole, "the sample holds `{from}`");
        let found = findings(&text);
        let one = found.iter().find(|finding| finding.path == path);
        let one = one.unwrap_or_else(|| panic!("{to}: {found:#?}"));
        assert!(one.to_string().contains(part), "{one}");
    }
}

#[test]
fn rules_for_merchants_and_dimensions_are_accepted() {
    let text = SAMPLE
        .replace(
            "segment_count = 3",
            "segment_count = 3\nvendor_from = \"merchant\"\ncard_lines_on_invoice = true\nmatch_threshold = 950\n\
             merchants = { pmch_1 = \"ACME\", \"Acme Tools\" = \"ACME\" }\n\
             default_dimensions = { branch = \"HQ\", branch-2 = \"WH\", region = \"EU|1\" }",
        )
        .replace("{ segment = 2 }", "{ dimension = \"cost-code\" }")
        .replace("\"Sales\" = \"20\"", "\"Sales\" = \"\"")
        .replace("[[flow]]", "[[flow]]\ndocument = \"ap-invoice\"");
    let parsed = parse_toml(&text).unwrap();
    let mapping = &parsed.flows[0].mapping;
    assert_eq!(mapping.tags[0].target, spend::mapping::TagTarget::Dimension("cost-code".to_owned()));
    assert_eq!((mapping.vendor_from, mapping.match_threshold), (spend::mapping::VendorFrom::Merchant, 950));
    validate(&parsed, KINDS).unwrap();
}

#[test]
fn plain_http_to_loopback_is_accepted_where_it_is_allowed() {
    for host in ["127.0.0.1:8080", "localhost", "[::1]:99"] {
        let text = SAMPLE
            .replace("\"https://erp.example.test/erp\"", &format!("\"http://{host}/\""))
            .replace("timeout = 90", "allow_plain_loopback = true");
        validate(&parse_toml(&text).unwrap(), KINDS).unwrap();
    }
}

#[test]
fn all_faults_are_listed_together() {
    let text = SAMPLE
        .replace("kind = \"epicor\"", "kind = \"sap\"")
        .replace("0 6 * * 1-5", "later")
        .replace("America/New_York", "Mars")
        .replace("\"6100\"", "\"\"");
    let paths: Vec<String> = findings(&text).into_iter().map(|finding| finding.path).collect();
    assert_eq!(
        paths,
        [
            "connection[1].kind",
            "flow[0].timezone",
            "flow[0].schedule",
            "flow[0].mapping.categories.\"Travel & Meals\".account",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn printing_and_reading_is_the_identity(
        ids in proptest::collection::vec("[a-z][a-z0-9-]{0,12}", 1..4), texts in proptest::collection::vec("\\PC{0,16}", 6),
        number in 1_u16.., segment in 1_u8..9, flag in any::<bool>(),
    ) {
        let mut config = parse_toml(SAMPLE).unwrap();
        config.log.level = flag.then(|| texts[0].clone());
        config.connections[0].id = ids[0].as_str().into();
        config.connections[0].settings.insert(texts[1].clone(), serde_json::json!([texts[2], number, flag, {"a": texts[3]}]));
        config.guard_rails.max_per_run.insert(texts[4].clone(), texts[5].clone());
        let flow = &mut config.flows[0];
        flow.policy.overlap_days = number;
        flow.mapping.default_segments.insert(segment, texts[1].clone());
        flow.mapping.default_category =
            flag.then(|| spend::mapping::CategoryRule { account: texts[2].clone(), segments: BTreeMap::new(), dimensions: BTreeMap::new() });
        flow.mapping.owners.insert(texts[3].clone(), texts[0].as_str().into());
        flow.schedule = flag.then(|| texts[5].clone());
        prop_assert_eq!(parse_toml(&print_toml(&config).unwrap()).unwrap(), config);
    }

    #[test]
    fn no_configuration_makes_the_checks_panic(texts in proptest::collection::vec("\\PC{0,16}", 8), number in any::<u16>(), segment in any::<u8>()) {
        let mut config = parse_toml(SAMPLE).unwrap();
        config.connections[0].url = texts[0].clone();
        config.connections[1].network.proxy = Some(texts[1].clone());
        let flow = &mut config.flows[0];
        flow.prefix = texts[2].clone();
        flow.schedule = Some(texts[3].clone());
        flow.timezone = texts[4].clone();
        flow.start = texts[5].clone();
        flow.company = texts[6].as_str().into();
        flow.policy.batch_size = number;
        flow.mapping.segment_count = segment;
        config.guard_rails.max_per_day.insert(texts[7].clone(), texts[0].clone());
        let _ = validate(&config, KINDS);
    }
}
