//! Reading and writing the file.

use super::*;

pub(crate) const SAMPLE: &str = r#"version = 1

[log]
level = "info,purser::vendors=debug"

[guard_rails]
companies = ["EPIC06"]
max_per_document = { USD = "5000.00" }
blackout_dates = ["2026-12-31"]

[[connection]]
id = "expensify"
kind = "expensify"
url = "https://integrations.example.test/Integration-Server"

[[connection]]
id = "erp"
kind = "epicor"
url = "https://erp.example.test/erp"
secret = "erp-service"
settings = { api_version = "v2", plants = ["MAIN"] }

[connection.network]
proxy = "http://proxy.example.test:3128"
timeout = 90

[[flow]]
id = "expenses"
source = "expensify"
target = "erp"
company = "EPIC06"
schedule = "0 6 * * 1-5"
timezone = "America/New_York"
start = "2026-01-01"

[flow.policy]
overlap_days = 14

[flow.mapping]
segment_count = 3
offset_reimbursable = "2100"
default_segments = { 3 = "000" }

[flow.mapping.categories."Travel & Meals"]
account = "6100"
segments = { 2 = "10" }

[[flow.mapping.tags]]
level = 1
target = { segment = 2 }
values = { "Sales" = "20" }
"#;

#[test]
fn the_sample_is_read_and_printing_it_changes_nothing() {
    let config = parse_toml(SAMPLE).unwrap();
    assert_eq!(config.flows[0].mapping.categories["Travel & Meals"].segments[&2], "10");
    assert_eq!(config.connections[1].network.timeout, Some(90));
    let printed = print_toml(&config).unwrap();
    assert_eq!(parse_toml(&printed).unwrap(), config, "{printed}");
}

/// What `parse_toml` says about the sample after one replacement: path, line, column, what and fix.
fn faults(from: &str, to: &str) -> Vec<ConfigFinding> {
    let text = SAMPLE.replacen(from, to, 1);
    assert_ne!(text, SAMPLE, "the sample holds `{from}`");
    parse_toml(&text).unwrap_err()
}

#[test]
fn a_fault_is_named_with_its_field_its_place_and_its_mend() {
    #[rustfmt::skip]
    let table = [
        ("schedule =", "schedul =", "flow[0].schedul", (32, 1), "unknown field `schedul`", "did you mean `schedule`?"),
        ("timeout =", "time-out =", "connection[1].network.time-out", (25, 1), "unknown field", "did you mean `timeout`?"),
        ("account = \"6100\"", "acount = \"6100\"", "flow[0].mapping.categories.\"Travel & Meals\".acount", (45, 1), "unknown field", "did you mean `account`?"),
        ("segment_count =", "vendor_fromm = \"owner\"\nsegment_count =", "flow[0].mapping.vendor_fromm", (40, 1), "unknown field", "did you mean `vendor_from`?"),
        ("[log]", "[logging]", "logging", (3, 2), "unknown field `logging`", "known here: "),
        ("\"info,", "info,", "log.level", (4, 13), "", "double quotes"),
        ("timeout = 90", "timeout = \"90\"", "connection[1].network.timeout", (25, 11), "invalid type", "expected form"),
        ("level = 1", "level = 300", "flow[0].mapping.tags[0].level", (49, 9), "", ""),
        ("start = \"2026-01-01\"\n", "", "flow[0]", (27, 1), "missing field `start`", "add the field"),
        ("id = \"erp\"", "id = \"erp\"\nid = \"erp2\"", "", (18, 1), "duplicate key `id`", "keep one"),
    ];
    for (from, to, path, (line, column), what, fix) in table {
        let found = faults(from, to);
        assert_eq!(found.len(), 1, "{to}: {found:?}");
        let one = &found[0];
        assert_eq!((one.path.as_str(), one.line, one.column), (path, Some(line), Some(column)), "{one}");
        assert!(one.what.contains(what) && one.fix.contains(fix), "{one}");
    }
}

#[test]
fn all_unknown_fields_are_listed_at_once() {
    let text = SAMPLE.replace("proxy =", "porxy =").replace("target = \"erp\"", "traget = \"erp\"");
    let paths: Vec<String> = parse_toml(&text).unwrap_err().into_iter().map(|finding| finding.path).collect();
    assert_eq!(paths, ["connection[1].network.porxy", "flow[0].traget"]);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_the_parser_panic(cut in 0..SAMPLE.len(), insert in "\\PC{0,12}", drop in 0_usize..20) {
        let start = (0..=cut).rev().find(|at| SAMPLE.is_char_boundary(*at)).unwrap_or(0);
        let end = (start + drop).min(SAMPLE.len());
        let _ = parse_toml(&format!("{}{insert}{}", &SAMPLE[..start], &SAMPLE[end..]));
    }
}
