//! What the command line understands and says: parsing, help texts, output of each verb on a prepared home.

use super::*;
use crate::clock::Clock;
use crate::runtime::obey;
use crate::secret::Origin;
use crate::store::{AuditDraft, AuditKind, Batch, StateTable, Store, StoredSecret, dir_of, key};
use crate::vendors::{LAST_USE, Notes, StoreNotes};
use clap::CommandFactory;
use secrecy::SecretString;
use spend::document::SpendDocument;
use spend::ids::{ConnectionId, FlowId};
use spend::posting::{Hold, Posting, PostingState};
use std::path::Path;
use std::sync::Arc;

const CANARY: &str = "CANARY-bramble";

/// Beside the flow of the example.
const REFERENCE_FLOW: &str = "\
[[reference]]
id = \"staff\"
from = \"erp\"
to = \"expensify\"
company = \"EPIC06\"
set = \"employees\"
";

#[test]
fn the_definition_of_the_command_line_is_sound() {
    Cli::command().debug_assert();
}

/// Each help text is compared with a file; `PURSER_WRITE_EXPECTED=1` writes them anew, to be read in the diff.
#[test]
fn help_texts_are_as_they_were_agreed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/expected");
    let mut texts = Vec::new();
    collect_help(&mut Cli::command().term_width(100), "purser", &mut texts);
    assert!(texts.len() > 30, "{} verbs", texts.len());
    let mut wrong = Vec::new();
    for (name, text) in &texts {
        let file = folder.join(format!("{name}.txt"));
        if std::env::var_os("PURSER_WRITE_EXPECTED").is_some() {
            std::fs::write(&file, text).unwrap();
        }
        if std::fs::read_to_string(&file).unwrap_or_default().replace('\r', "") != *text {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "run again with PURSER_WRITE_EXPECTED=1 and read the difference: {wrong:?}");
}

fn collect_help(command: &mut clap::Command, path: &str, texts: &mut Vec<(String, String)>) {
    command.build();
    let mut shown = command.clone();
    // What stands in the environment of the test does not belong into the text.
    for name in ["home", "test_hooks"] {
        if shown.get_arguments().any(|argument| argument.get_id() == name) {
            shown = shown.mut_arg(name, |argument| argument.hide_env_values(true));
        }
    }
    let text: Vec<String> =
        shown.render_long_help().to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect();
    texts.push((path.replace(' ', "-"), text.concat()));
    for verb in command.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
        let below = format!("{path} {}", verb.get_name());
        collect_help(verb, &below, texts);
    }
}

#[test]
fn arguments_are_understood_or_refused_with_usage() {
    let good: &[&[&str]] = &[
        &["run", "--once", "--flow", "a", "--flow", "b"],
        &["proof", "--from", "2026-01-01", "--to", "2026-01-31", "--output", "json"],
        &["records", "list", "--state", "in-doubt", "--limit", "5", "--home", "/x"],
        &["records", "replay", "R1", "R2", "--note", "done"],
        &["records", "replay", "--state", "held", "--flow", "a"],
        &["records", "choose", "R1", "ACME", "--note", "a branch"],
        &["merchants", "list", "--flow", "a"],
        &["merchants", "forget", "a", "pmch_1"],
        &["audit", "show", "--kind", "decision", "--since", "2026-01-31T08:00:00+01:00"],
        &["audit", "show", "--kind", "reference"],
        &["audit", "show", "--kind", "webhook"],
        &["secrets", "set", "erp", "--field", "user", "--origin", "https://erp.example.test"],
        &["enroll", "https://control.example.test", "-", "--allow-origin", "https://erp.example.test"],
        &["enroll", "https://control.example.test", "ABCD-EFGH", "--again", "--extra-ca", "/x.pem"],
        &["enroll", "--forget"],
        &["completions", "powershell"],
    ];
    for words in good {
        let parsed = Cli::try_parse_from(std::iter::once("purser").chain(words.iter().copied()));
        assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
    }
    let bad: &[&[&str]] = &[
        &["records", "replay"],
        &["records", "replay", "R1", "--state", "held"],
        &["records", "replay", "--flow", "a"],
        &["records", "handle", "R1"],
        &["records", "choose", "R1"],
        &["merchants", "forget", "pmch_1"],
        &["records", "list", "--state", "hold"],
        &["proof", "--from", "01/02/2026"],
        &["audit", "show", "--kind", "gossip"],
        &["audit", "show", "--limit", "0"],
        &["records", "list", "--limit", "0"],
        &["audit", "show", "--since", "yesterday"],
        &["run", "--settle", "5"],
        &["secrets", "set", "erp", "password=x"],
        &["enroll"],
        &["enroll", "https://control.example.test"],
        &["enroll", "--forget", "--again"],
        &["seal", "--agent", "a1", "--kind", "epicor"],
    ];
    for words in bad {
        let error = Cli::try_parse_from(std::iter::once("purser").chain(words.iter().copied())).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{words:?}");
    }
}

/// A home with a configuration, a secret, one held and one planned posting.
fn home() -> (tempfile::TempDir, Global) {
    let folder = tempfile::tempdir().unwrap();
    let global = Global { home: Some(folder.path().to_owned()), config: None, output: Format::Json };
    let text = format!("{}\n{REFERENCE_FLOW}", configuration::EXAMPLE);
    std::fs::write(folder.path().join("purser.toml"), text).unwrap();
    let store = open(folder.path());
    let mut batch = Batch::new();
    let planned = sample("R100");
    let choice = crate::flows::merchants::Choice {
        merchant: "inn".to_owned(),
        name: "Inn".to_owned(),
        vendor: "ACME".into(),
        company: "EPIC06".into(),
        decision: crate::flows::replay::Decision { by: "ann".to_owned(), note: "seen".to_owned() },
        at: planned.seen_at,
    };
    batch.put(StateTable::Choice, "expenses/inn", &choice);
    let mut held = sample("R200");
    let finding = spend::finding::Finding::source_unreadable("line 7 twice");
    held.state = PostingState::Held(Hold { findings: vec![finding], since: held.seen_at, in_doubt: false });
    for posting in [planned, held] {
        batch.audit(AuditDraft {
            posting: Some(posting.key.clone()),
            ..AuditDraft::new(posting.seen_at, AuditKind::Transition, serde_json::json!({ "event": "seen" }))
        });
        batch.put_posting(posting);
    }
    let secret = StoredSecret {
        kind: "expensify".to_owned(),
        origins: vec![Origin::parse("https://expensify.example.test").unwrap()],
        fields: [("partner_user_id".to_owned(), SecretString::from(CANARY))].into(),
    };
    let decision = context::Context::decision(None);
    batch.append(obey::putting(spend::Timestamp::UNIX_EPOCH, "expensify", secret, &decision));
    store.commit_blocking(batch).unwrap();
    store.close();
    (folder, global)
}

pub(super) fn open(home: &Path) -> Store {
    Store::open(&dir_of(home), key::create_or_open(home, None).unwrap(), Clock::system()).unwrap()
}

pub(super) fn sample(id: &str) -> Posting {
    let mut document: SpendDocument = serde_json::from_value(serde_json::json!({
        "source_id": id, "revision": "", "kind": "expense-report", "title": "Trip", "workspace": "W1",
        "owner": { "email": "ann@example.test" }, "status": "Approved", "currency": "USD", "submitted": null,
        "approved": "2026-01-05", "paid": null, "declared_total": null,
        "lines": [{
            "id": "7", "date": "2026-01-02", "merchant": "Inn", "category": "Meals", "tags": [], "reimbursable": true,
            "amount": { "minor": 1250, "currency": "USD" }, "billable": false, "comment": "",
        }],
    }))
    .unwrap();
    document.revision = document.content_revision();
    let flow = FlowId::from("expenses");
    let at = spend::Timestamp::UNIX_EPOCH;
    Posting {
        key: spend::ids::PostingKey::derive(&flow, &document.source_id, &document.revision),
        flow,
        source_id: document.source_id.clone(),
        revision: document.revision.clone(),
        total: document.total_or_zero(),
        document: Arc::new(document),
        plan: None,
        state: PostingState::Planned,
        attempts: 0,
        failures: 0,
        counted: None,
        read_at: None,
        despite_mark: false,
        route: None,
        seen_at: at,
        updated_at: at,
    }
}

fn ran(global: &Global, words: &[&str]) -> Result<Exit, anyhow::Error> {
    let cli = Cli::try_parse_from(std::iter::once("purser").chain(words.iter().copied())).unwrap();
    dispatch(global, cli.verb)
}

#[test]
fn verbs_that_read_need_no_agent_and_end_with_their_codes() {
    let (_folder, global) = home();
    for output in [Format::Json, Format::Text] {
        let global = Global { output, ..global.clone() };
        let table: &[(&[&str], Exit)] = &[
            (&["status"], Exit::Attention),
            (&["flows", "list"], Exit::Done),
            (&["connections", "list"], Exit::Done),
            (&["records", "list"], Exit::Done),
            (&["records", "show", "R200"], Exit::Done),
            (&["records", "show", "R10"], Exit::Done),
            (&["merchants", "list"], Exit::Done),
            (&["merchants", "list", "--flow", "expenses"], Exit::Done),
            (&["audit", "show"], Exit::Done),
            (&["audit", "show", "--posting", "R200", "--kind", "transition"], Exit::Done),
            (&["audit", "verify"], Exit::Done),
            (&["secrets", "list"], Exit::Done),
            (&["config", "validate"], Exit::Done),
            (&["config", "show"], Exit::Done),
            (&["config", "schema"], Exit::Done),
            (&["explain"], Exit::Done),
            (&["explain", "tag-missing"], Exit::Done),
            (&["explain", " Tag-Missing "], Exit::Done),
            (&["explain", " "], Exit::Done),
            (&["version"], Exit::Done),
        ];
        for (words, exit) in table {
            assert_eq!(ran(&global, words).unwrap(), *exit, "{words:?}");
        }
    }
}

/// Sheet item: Brex 13
#[test]
fn a_credential_that_is_about_to_die_unused_wants_attention_in_status() {
    for (idle, exit) in [(0, Exit::Done), (24, Exit::Done), (25, Exit::Attention), (40, Exit::Attention)] {
        let folder = tempfile::tempdir().unwrap();
        let global = Global { home: Some(folder.path().to_owned()), config: None, output: Format::Text };
        let text = "version = 1\n[[connection]]\nid = \"cards\"\nkind = \"brex\"\nurl = \"https://api.example.test\"\n";
        std::fs::write(folder.path().join("purser.toml"), text).unwrap();
        let last = Clock::system().now().date_naive() - chrono::Days::new(idle);
        let store = open(folder.path());
        StoreNotes::new(&store, &ConnectionId::new("cards")).write(LAST_USE, &last.to_string()).unwrap();
        store.close();
        assert_eq!(ran(&global, &["status"]).unwrap(), exit, "{idle} days");
    }
}

#[test]
fn postings_under_way_of_a_flow_that_is_gone_want_attention_in_status() {
    let at = spend::Timestamp::UNIX_EPOCH;
    let done = PostingState::Superseded { by: "2".into(), at };
    for (state, exit) in [(PostingState::Claimed { at }, Exit::Attention), (done, Exit::Done)] {
        let folder = tempfile::tempdir().unwrap();
        let global = Global { home: Some(folder.path().to_owned()), config: None, output: Format::Text };
        std::fs::write(folder.path().join("purser.toml"), "version = 1\n").unwrap();
        let store = open(folder.path());
        let mut batch = Batch::new();
        batch.put_posting(Posting { state, ..sample("R1") });
        store.commit_blocking(batch).unwrap();
        store.close();
        assert_eq!(ran(&global, &["status"]).unwrap(), exit);
        let overview = status::overview(&context::Context::new(&global).unwrap()).unwrap();
        let told = serde_json::to_value(&overview).unwrap()["flows"]["expenses"]["unattended"].clone();
        assert_eq!(
            told,
            if exit == Exit::Attention { serde_json::json!(1) } else { serde_json::Value::Null }
        );
    }
}

#[test]
fn what_is_not_there_is_wrong_usage_and_says_what_is() {
    let (_folder, global) = home();
    let table: &[(&[&str], &str)] = &[
        (&["records", "show", "R999"], "there is no record `R999`"),
        (&["records", "show", "R"], "too short"),
        (&["records", "list", "--flow", "expences"], "did you mean `expenses`?"),
        (&["flows", "preview", "expense"], "did you mean `expenses`?"),
        (&["connections", "test", "expensfy"], "did you mean `expensify`?"),
        (&["secrets", "rm", "expensifi", "--yes"], "did you mean `expensify`?"),
        (&["secrets", "set", "Bad Name"], "not a name for a secret"),
        // No configuration could name it.
        (&["secrets", "set", "my_erp"], "not a name for a secret"),
        (&["proof", "--flow", "staff"], "`staff` is a reference flow"),
        (&["records", "list", "--flow", "staff"], "`staff` is a reference flow"),
        (&["merchants", "list", "--flow", "staff"], "`staff` is a reference flow"),
        (&["flows", "run", "expenses", "--expect", "zzz"], "neither a plan hash"),
        (&["proof", "--csv", "/none/january.csv"], "cannot write /none/january.csv"),
        (&["audit", "export", "--file", "/none/audit.jsonl"], "cannot write /none/audit.jsonl"),
        (&["audit", "show", "--posting", "R999"], "there is no record `R999`"),
        (&["secrets", "set", "x", "--kind", "epicore"], "did you mean `epicor`?"),
        (&["webhooks", "replay", "none.jsonl"], "no connection of the configuration receives webhooks"),
        (&["explain", "period"], "period-missing` or `period-closed"),
    ];
    for (words, expected) in table {
        let error = ran(&global, words).unwrap_err();
        assert!(error.downcast_ref::<Usage>().is_some(), "{words:?}: {error}");
        assert!(error.to_string().contains(expected), "{words:?}: {error}");
    }
}

#[test]
fn a_configuration_that_cannot_be_used_wants_attention_in_status() {
    let (folder, global) = home();
    let config = folder.path().join("purser.toml");
    let shown = |global: &Global| {
        let context = context::Context::new(global).unwrap();
        serde_json::to_value(status::overview(&context).unwrap()).unwrap()["configuration"].clone()
    };
    assert!(shown(&global).is_null());
    std::fs::write(&config, "version = 1\n[[flow]]\nid = \"a\"\n").unwrap();
    assert_eq!(ran(&global, &["status"]).unwrap(), Exit::Attention);
    assert!(shown(&global)["error"].as_str().unwrap().contains("is refused"), "{}", shown(&global));
    assert!(!shown(&global)["findings"].as_array().unwrap().is_empty());
    std::fs::remove_file(&config).unwrap();
    assert_eq!(ran(&global, &["status"]).unwrap(), Exit::Attention);
    assert!(shown(&global)["error"].as_str().unwrap().contains("there is no configuration"));

    // One that is named is missed also where nothing was begun.
    let empty = tempfile::tempdir().unwrap();
    let named = |config| Global { home: Some(empty.path().to_owned()), config, output: Format::Text };
    assert_eq!(ran(&named(None), &["status"]).unwrap(), Exit::Done);
    assert_eq!(ran(&named(Some("/none/purser.toml".into())), &["status"]).unwrap(), Exit::Attention);
}

#[test]
fn a_configuration_without_a_flow_that_books_has_nothing_to_prove() {
    let folder = tempfile::tempdir().unwrap();
    let global = Global { home: Some(folder.path().to_owned()), config: None, output: Format::Json };
    std::fs::write(folder.path().join("purser.toml"), "version = 1\n").unwrap();
    let error = ran(&global, &["proof"]).unwrap_err();
    assert!(error.is::<Usage>() && error.to_string().contains("has no [[flow]] that books"), "{error}");
}

#[test]
fn a_home_without_anything_is_left_without_anything() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("none");
    let global = Global { home: Some(home.clone()), config: None, output: Format::Json };
    assert_eq!(ran(&global, &["status"]).unwrap(), Exit::Done);
    assert_eq!(ran(&global, &["doctor"]).unwrap(), Exit::CheckFailed);
    for words in [&["records", "list"][..], &["audit", "verify"], &["secrets", "list"]] {
        let error = ran(&global, words).unwrap_err().to_string();
        assert!(error.contains("nothing is stored in"), "{error}");
    }
    let error = ran(&global, &["config", "validate"]).unwrap_err();
    assert!(error.to_string().contains("purser config example --file"), "{error}");
    assert_eq!(output::failure(&global, &error), Exit::Configuration);
    assert!(!home.exists(), "a reading verb has made the home");
}

#[test]
fn an_export_holds_every_entry_and_overwrites_nothing() {
    let (folder, global) = home();
    assert_eq!(ran(&global, &["audit", "verify"]).unwrap(), Exit::Done);
    let file = folder.path().join("export.jsonl");
    let path = file.to_str().unwrap();
    assert_eq!(ran(&global, &["audit", "export", "--file", path]).unwrap(), Exit::Done);
    let lines: Vec<serde_json::Value> = std::fs::read_to_string(&file)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2]["detail"]["fields"][0], "partner_user_id");
    let again = ran(&global, &["audit", "export", "--file", path]).unwrap_err();
    assert!(again.to_string().contains("exists already"), "{again}");
}

#[test]
fn secrets_are_in_no_file_of_the_home_and_in_no_order() {
    let (folder, _global) = home();
    let secret = StoredSecret {
        kind: "expensify".to_owned(),
        origins: vec![Origin::parse("https://expensify.example.test").unwrap()],
        fields: [("partner_user_secret".to_owned(), SecretString::from(CANARY))].into(),
    };
    let sealed = secret.seal(folder.path(), "expensify").unwrap();
    assert!(!sealed.contains(CANARY));
    let (name, opened) = StoredSecret::open_sealed(folder.path(), &sealed).unwrap();
    assert_eq!((name.as_str(), opened.kind.as_str(), opened.fields.len()), ("expensify", "expensify", 1));
    let other = tempfile::tempdir().unwrap();
    key::create_or_open(other.path(), None).unwrap();
    assert!(StoredSecret::open_sealed(other.path(), &sealed).is_err(), "another agent must not open it");
    let mut folders = vec![folder.path().to_owned()];
    let mut files = 0;
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&entry).unwrap();
            assert!(!bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes()), "{entry:?}");
        }
    }
    assert!(files >= 4, "{files} files");
}

#[test]
fn terminal_commands_in_a_title_are_shown_and_not_obeyed() {
    assert_eq!(output::clean("a\u{1b}[2Jb\u{7}\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c");
    assert_eq!(output::short("abcdef", 4), "abc\u{2026}");
}

#[test]
fn what_an_agent_cannot_do_without_a_control_plane_is_told() {
    let (folder, global) = home();
    let error = ran(&global, &["enroll", "--forget"]).unwrap_err();
    assert!(error.is::<Usage>() && error.to_string().contains("not enrolled"), "{error}");
    let error = ran(&global, &["enroll", "http://control.example.test", "x"]).unwrap_err();
    assert!(error.to_string().contains("plain http is refused"), "{error}");
    std::fs::write(folder.path().join("guard-rails.toml"), "version = 1\n").unwrap();
    let words = ["enroll", "https://control.example.test", "x", "--allow-origin", "https://erp.example.test"];
    let error = ran(&global, &words).unwrap_err();
    assert!(error.is::<Usage>() && error.to_string().contains("exists already"), "{error}");
    std::fs::write(folder.path().join("guard-rails.toml"), "version = 1\norigin = []\n").unwrap();
    let error = ran(&global, &["enroll", "https://control.example.test", "x"]).unwrap_err();
    assert_eq!(output::failure(&global, &error), Exit::Configuration);
    assert!(ran(&global, &["run", "--once"]).is_err(), "limits that cannot be read are not none");
}

#[test]
fn a_revision_in_force_is_the_configuration_until_the_agent_leaves() {
    let (folder, global) = home();
    let file = folder.path().join("purser.toml");
    let kept = crate::config::revisions::Kept {
        number: 7,
        hash: "00".to_owned(),
        toml: "version = 1\n".to_owned(),
        by: "ann".to_owned(),
        note: String::new(),
        at: spend::Timestamp::UNIX_EPOCH,
        since: spend::Timestamp::UNIX_EPOCH,
    };
    let enrollment = crate::store::Enrollment {
        url: "https://control.example.test:443".to_owned(),
        agent: "a1".to_owned(),
        name: "plant".to_owned(),
        tenant: "works".to_owned(),
        network: purser_proto::config::NetworkSettings::default(),
        at: spend::Timestamp::UNIX_EPOCH,
        waited_for_approval: false,
    };
    let keys = crate::store::LinkKeyring::first(crate::store::LinkKeys::generate());
    let store = open(folder.path());
    let mut batch = Batch::new();
    batch.enroll(&enrollment, &keys);
    crate::config::revisions::keep(&mut batch, &kept);
    store.commit_blocking(batch).unwrap();
    store.close();
    let context = context::Context::new(&global).unwrap();
    assert_eq!(context.revision(), Some(kept));
    assert!(context.config().unwrap().connections.is_empty());
    assert_eq!(context.effective().unwrap().machine.len(), 2, "the file's own rails go on counting");
    assert_eq!(ran(&global, &["config", "validate"]).unwrap(), Exit::Done);
    assert_eq!(
        ran(&Global { output: Format::Text, ..global.clone() }, &["status"]).unwrap(),
        Exit::Attention
    );
    let error = ran(&global, &["enroll", "https://control.example.test", "x"]).unwrap_err();
    assert!(error.is::<Usage>() && error.to_string().contains("--again"), "{error}");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(ran(&global, &["enroll", "--forget"]).unwrap(), Exit::Done);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "version = 1\n", "the agent works on with it");
    assert_eq!(context::Context::new(&global).unwrap().revision(), None);
}

#[test]
fn a_choice_for_a_merchant_is_forgotten_once() {
    let (_folder, global) = home();
    let forget = ["merchants", "forget", "expenses", "inn", "--note", "sold"];
    assert_eq!(ran(&global, &forget).unwrap(), Exit::Done);
    let error = ran(&global, &forget).unwrap_err();
    assert!(error.to_string().contains("nobody has chosen"), "{error}");
}
