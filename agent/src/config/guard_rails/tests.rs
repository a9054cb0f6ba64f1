//! What the machine's own file says, what it allows when it says nothing, and that nothing from afar is beyond it.

use super::*;

/// What the machine knows by itself.
const OWN: &str = r#"
version = 1
[guard_rails]
max_per_day = { USD = "9000.00" }
[[connection]]
id = "cards"
kind = "brex"
url = "https://cards.example.test"
[[connection]]
id = "erp"
kind = "epicor"
url = "https://erp.example.test/site"
network = { extra_ca = "/etc/purser/ca.pem", proxy = "http://proxy.example.test:3128" }
"#;

/// A revision that fits it.
const GOOD: &str = r#"
version = 1
[[connection]]
id = "cards"
kind = "brex"
url = "https://cards.example.test"
[[connection]]
id = "erp"
kind = "epicor"
url = "https://erp.example.test/site"
network = { extra_ca = "/etc/purser/ca.pem", proxy = "http://proxy.example.test:3128" }
[[flow]]
id = "cards"
source = "cards"
target = "erp"
company = "EPIC06"
document = "journal"
prefix = "CRD"
start = "2026-01-01"
[flow.mapping]
use_category_code = true
offset_card = "2200"
offset_reimbursable = "2100"
[[reference]]
id = "suppliers"
from = "erp"
to = "cards"
company = "EPIC06"
set = "vendors"
"#;

fn machine(file: &str) -> MachineRails {
    let local = if file.is_empty() { LocalRails::default() } else { LocalRails::check(file).unwrap() };
    MachineRails::of(local, Some(crate::config::check(OWN).unwrap().1))
}

/// The paths of all findings.
fn beyond(file: &str, revision: &str) -> Vec<String> {
    let (_, config) = crate::config::check(revision).unwrap_or_else(|findings| panic!("{findings:?}"));
    machine(file).check(&config, Vec::new()).into_iter().map(|finding| finding.path).collect()
}

#[test]
fn a_file_that_cannot_be_understood_is_refused_with_every_finding() {
    let text = r#"
version = 2
origins = ["https://erp.example.test/path", "https://erp.example.test"]
commands = ["run", "dance"]
max_per_day = { usd = "1" }
blackout_dates = ["tomorrow"]
"#;
    let findings = LocalRails::check(text).unwrap_err();
    let paths: Vec<&str> = findings.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(paths, ["version", "blackout_dates[0]", "max_per_day.usd", "origins[0]", "commands[1]"]);
    let findings = LocalRails::check("version = 1\norigin = []\n").unwrap_err();
    assert_eq!((findings.len(), findings[0].line), (1, Some(2)), "{findings:?}");
    let home = tempfile::tempdir().unwrap();
    std::fs::write(path(home.path()), "version = ").unwrap();
    assert!(matches!(LocalRails::load(home.path()), Err(ConfigError::Refused { .. })));
}

#[test]
fn without_a_file_all_commands_but_closing_are_allowed_and_only_counts_are_told() {
    let home = tempfile::tempdir().unwrap();
    let rails = LocalRails::load(home.path()).unwrap();
    assert!(rails.commands.contains("run") && rails.commands.contains("replay"));
    assert!(!rails.commands.contains("handle") && !rails.commands.contains("unknown"));
    assert_eq!(rails.visibility, Visibility::Counts);
    assert_eq!(rails.origins, None);
    let rails = LocalRails::check("version = 1\ncommands = []\nvisibility = \"detail\"").unwrap();
    assert!(rails.commands.is_empty() && rails.visibility == Visibility::Detail);
    assert!(Visibility::Counts < Visibility::Summary && Visibility::Summary < Visibility::Detail);
}

#[test]
fn a_first_file_is_one_that_can_be_read() {
    let origins = BTreeSet::from([Origin::parse("https://erp.example.test").unwrap()]);
    assert_eq!(LocalRails::check(&first_file(&origins)).unwrap().origins, Some(origins));
}

#[test]
fn a_revision_within_the_rails_has_no_finding() {
    assert_eq!(beyond("", GOOD), Vec::<String>::new());
}

/// Each row: the machine's file, what is changed in the revision, and where the findings are.
#[test]
fn a_revision_beyond_the_rails_has_a_finding_for_each() {
    let other = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{from}");
        GOOD.replace(from, to)
    };
    let rails = |lines: &str| other("version = 1\n", &format!("version = 1\n[guard_rails]\n{lines}\n"));
    let rows: Vec<(&str, String, Vec<&str>)> = vec![
        ("", other("https://cards.example.test", "https://evil.example.test"), vec!["connection[0].url"]),
        (
            "",
            other("https://cards.example.test", "https://cards.example.test:8443"),
            vec!["connection[0].url"],
        ),
        (
            "",
            other(
                "url = \"https://cards.example.test\"",
                "url = \"http://127.0.0.1:9\"\nnetwork = { allow_plain_loopback = true }",
            ),
            vec!["connection[0].url"],
        ),
        (
            "",
            other("http://proxy.example.test:3128", "http://evil.example.test:3128"),
            vec!["connection[1].network.proxy"],
        ),
        ("", other("/etc/purser/ca.pem", "/tmp/evil.pem"), vec!["connection[1].network.extra_ca"]),
        (
            "version = 1\norigins = [\"https://erp.example.test\"]",
            GOOD.to_owned(),
            vec!["connection[0].url", "connection[1].network.proxy"],
        ),
        (
            "version = 1\ncompanies = [\"EPIC07\"]",
            GOOD.to_owned(),
            vec!["flow[0].company", "reference[0].company"],
        ),
        ("version = 1\ndocument_kinds = [\"ap-invoice\"]", GOOD.to_owned(), vec!["flow[0].document"]),
        // The limits of the machine's own purser.toml cannot be lifted either.
        ("", rails("max_per_day = { USD = \"9000.01\" }"), vec!["guard_rails.max_per_day.USD"]),
        ("", rails("max_per_day = { EUR = \"1.00\" }"), vec!["guard_rails.max_per_day.EUR"]),
        ("", rails("max_per_day = { USD = \"9000.00\" }"), vec![]),
        (
            "version = 1\nmax_documents_per_run = 10\nmax_per_document = { USD = \"5\" }",
            rails("max_documents_per_run = 11\nmax_per_document = { USD = \"5.01\" }"),
            vec!["guard_rails.max_per_document.USD", "guard_rails.max_documents_per_run"],
        ),
        (
            "version = 1\ncompanies = [\"EPIC06\"]",
            rails("companies = [\"EPIC06\", \"EPIC07\"]"),
            vec!["guard_rails.companies"],
        ),
    ];
    for (file, revision, paths) in rows {
        assert_eq!(beyond(file, &revision), paths, "{file}\n{revision}");
    }
}

#[test]
fn an_address_that_only_the_settings_name_is_a_place_as_well() {
    let revision = format!(
        "{GOOD}\n[[connection]]\nid = \"second\"\nkind = \"epicor\"\nurl = \"https://erp.example.test/site\"\n\
         [connection.settings.auth]\nmethod = \"oauth2\"\ntoken_url = \"https://evil.example.test/token\"\n"
    );
    let config = purser_proto::parse_toml(&revision).unwrap();
    let config = validate(&config, &["brex", "epicor"]).unwrap();
    let findings = machine("").check(&config, Vec::new());
    let paths: Vec<&str> = findings.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(paths, ["connection[2].settings"]);
}

#[test]
fn secrets_of_the_machine_allow_the_places_that_they_are_bound_to_unless_the_file_says() {
    let bound = || vec![Origin::parse("https://bound.example.test").unwrap()];
    assert!(machine("").origins(bound()).contains(&bound()[0]));
    assert!(!machine("version = 1\norigins = []").origins(bound()).contains(&bound()[0]));
    assert!(machine("version = 1\norigins = []").origins(bound()).is_empty());
}

#[test]
fn every_set_of_limits_counts_by_itself() {
    let limits = machine("version = 1\nmax_per_day = { USD = \"5.00\" }\nmax_documents_per_day = 3").limits();
    assert_eq!(limits.len(), 2);
    assert_eq!((limits[0].max_documents_per_day, limits[0].place), (Some(3), LimitPlace::Machine));
    let usd = Currency::new("USD").unwrap();
    let most: Vec<i64> = limits.iter().map(|limits| limits.max_per_day[&usd].minor).collect();
    assert_eq!(most, [500, 900_000]);
}

#[test]
fn a_broken_configuration_of_the_machine_is_not_taken_for_none() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("purser.toml");
    assert!(MachineRails::load(home.path(), &file).is_ok());
    std::fs::write(&file, "version = 1\n[guard_rails]\nmax_per_day = { USD = \"x\" }\n").unwrap();
    assert!(MachineRails::load(home.path(), &file).is_err());
}
