//! Which revision may take another's place, and where the configuration of an agent comes from.

use super::*;
use crate::clock::Clock;
use crate::store::{dir_of, key};
use purser_proto::link::limits::Text;

const SMALL: &str = "version = 1\n[log]\nlevel = \"warn\"\n";

fn revision(number: u64, toml: &str) -> Revision {
    Revision {
        number,
        toml: Text::whole(toml).unwrap(),
        hash: Revision::hash_of(toml).into(),
        by: "ann".into(),
        note: "".into(),
        at: Timestamp::UNIX_EPOCH,
    }
}

fn judged(revision: &Revision, kept: Option<&Kept>) -> Vec<String> {
    let evidence = Evidence { kept: kept.cloned(), ..Evidence::default() };
    match judge(revision, evidence, &MachineRails::default()) {
        Judged::InForce => vec!["in force".to_owned()],
        Judged::Good(_) => vec!["good".to_owned()],
        Judged::Refused(findings) => findings.into_iter().map(|finding| finding.path).collect(),
        Judged::Beyond(findings) => findings.into_iter().map(|f| format!("beyond {}", f.path)).collect(),
    }
}

#[test]
fn a_revision_goes_forward_only_and_is_whole() {
    let kept = Kept::new(&revision(5, SMALL), Timestamp::UNIX_EPOCH);
    assert_eq!(judged(&revision(1, SMALL), None), ["good"]);
    assert_eq!(judged(&revision(6, SMALL), Some(&kept)), ["good"]);
    assert_eq!(judged(&revision(5, SMALL), Some(&kept)), ["in force"]);
    assert_eq!(judged(&revision(4, SMALL), Some(&kept)), ["number"]);
    assert_eq!(judged(&revision(5, "version = 1\n"), Some(&kept)), ["number"], "a number has one text");
    let mut changed = revision(7, SMALL);
    changed.toml = Text::whole("version = 1\n").unwrap();
    assert_eq!(judged(&changed, Some(&kept)), ["hash"]);
}

#[test]
fn a_revision_that_is_no_configuration_is_refused_with_every_finding() {
    let text =
        "version = 1\n[[connection]]\nid = \"X\"\nkind = \"none\"\nurl = \"http://erp.example.test\"\n";
    let paths = judged(&revision(1, text), None);
    assert!(paths.len() >= 3, "{paths:?}");
    assert_eq!(judged(&revision(1, "not toml at all ["), None).len(), 1);
    let huge =
        "version = 1\n[[connection]]\nid = \"erp\"\nkind = \"epicor\"\nurl = \"https://x.example.test\"\n";
    assert_eq!(judged(&revision(1, huge), None), ["beyond connection[0].url"]);
}

#[test]
fn the_configuration_is_the_revision_else_the_file_else_of_an_enrolled_agent_empty() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("purser.toml");
    let at = |known: Known| effective(known, home.path(), &file);
    assert!(matches!(at(Known::default()), Err(ConfigError::Unreadable { .. })));
    let empty = at(Known { kept: None, enrolled: true }).unwrap();
    assert!(empty.valid.connections.is_empty() && empty.revision.is_none());
    std::fs::write(&file, "version = 1\n[log]\nlevel = \"debug\"\n").unwrap();
    assert_eq!(at(Known { kept: None, enrolled: true }).unwrap().valid.log.level, "debug");
    let kept = Kept::new(&revision(5, SMALL), Timestamp::UNIX_EPOCH);
    let known = || Known { kept: Some(kept.clone()), enrolled: true };
    let both = at(known()).unwrap();
    assert_eq!(
        (both.valid.log.level.as_str(), both.machine.len()),
        ("warn", 2),
        "and the file's rails hold it"
    );
    std::fs::write(&file, "broken").unwrap();
    assert!(at(known()).is_err(), "limits may stand in a file that cannot be read");
}

#[test]
fn the_revision_in_force_is_kept_in_the_store() {
    let home = tempfile::tempdir().unwrap();
    let keys = key::create_or_open(home.path(), None).unwrap();
    let store = Store::open(&dir_of(home.path()), keys, Clock::manual(Timestamp::UNIX_EPOCH)).unwrap();
    assert_eq!((in_force(&store).unwrap(), told(None).number), (None, 0));
    let kept = Kept::new(&revision(5, SMALL), Timestamp::UNIX_EPOCH);
    let mut batch = Batch::new();
    keep(&mut batch, &kept);
    store.commit_blocking(batch).unwrap();
    assert_eq!(in_force(&store).unwrap().unwrap(), kept);
    assert_eq!(told(Some(&kept)).hash.as_str(), Revision::hash_of(SMALL));
    assert_eq!(kept.read().unwrap().1.log.level, "warn");
}
