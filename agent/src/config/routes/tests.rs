//! Which changes of flows are refused from afar.

use super::*;
use crate::config::check as read;
use crate::config::guard_rails::{LocalRails, MachineRails};
use crate::config::revisions::{Evidence, Judged, Kept, judge};
use purser_proto::link::configuration::Revision;
use purser_proto::link::limits::Text;
use spend::Timestamp;
use spend::document::{Owner as Person, RecordKind, SpendDocument};
use spend::ids::{Revision as State, SourceId};
use spend::money::Currency;
use spend::posting::{Posting, PostingState};

/// A flow: its name, connection, company.
type Line<'a> = (&'a str, &'a str, &'a str);

/// A configuration with three accounts (`cards` and `again` are the same one) and these flows.
fn text(flows: &[Line<'_>]) -> String {
    let mut text = "version = 1\n".to_owned();
    for (id, kind, host, secret) in [
        ("cards", "brex", "cards", "cards"),
        ("again", "brex", "cards", "cards"),
        ("other", "brex", "cards", "other"),
        ("erp", "epicor", "erp", "erp"),
    ] {
        text += &format!(
            "[[connection]]\nid = \"{id}\"\nkind = \"{kind}\"\nurl = \"https://{host}.example.test\"\n\
             secret = \"{secret}\"\n"
        );
    }
    for (at, (id, source, company)) in flows.iter().enumerate() {
        text += &format!(
            "[[flow]]\nid = \"{id}\"\nsource = \"{source}\"\ntarget = \"erp\"\ncompany = \"{company}\"\n\
             prefix = \"P{at}\"\nstart = \"2026-01-01\"\n\
             [flow.mapping]\noffset_card = \"2200\"\noffset_reimbursable = \"2100\"\n"
        );
    }
    text
}

fn config(flows: &[Line<'_>]) -> ValidConfig {
    match read(&text(flows)) {
        Ok((_, valid)) => valid,
        Err(findings) => panic!("{findings:#?}"),
    }
}

/// The flow of a configuration as one that has begun to book something, of which so much is under way.
fn owner(config: &ValidConfig, flow: &str, open: u64) -> Owner {
    let flow = FlowId::from(flow);
    let document = SpendDocument {
        source_id: SourceId::from("R1"),
        revision: State::from("1"),
        kind: RecordKind::CardTransaction,
        title: String::new(),
        owner: Person::default(),
        workspace: String::new(),
        status: String::new(),
        currency: Currency::USD,
        submitted: None,
        approved: None,
        paid: None,
        declared_total: None,
        lines: Vec::new(),
        same_as: None,
        part_of: None,
    };
    let now = Timestamp::UNIX_EPOCH;
    let begun = Posting {
        attempts: 1,
        state: PostingState::Claimed { at: now },
        route: Way::find(config, &flow).map(|way| way.route()),
        ..Posting::held(flow.clone(), document, None, Vec::new(), now)
    };
    Owner { flow, open, begun: vec![begun] }
}

fn paths(newer: &[Line<'_>], in_force: Option<&[Line<'_>]>, owners: &[Owner]) -> Vec<String> {
    let in_force = in_force.map(config);
    let found = check(&config(newer), in_force.as_ref(), owners);
    for finding in &found {
        assert!(finding.fix.contains("rename_flows = true set in guard-rails.toml"), "{finding}");
    }
    found.into_iter().map(|finding| finding.path).collect()
}

const CARDS: Line<'_> = ("cards", "cards", "EPIC06");

#[test]
fn what_is_under_way_keeps_its_flow_and_where_that_leads() {
    let before = config(&[CARDS]);
    let open = [owner(&before, "cards", 2)];
    let judged = |newer: &[Line<'_>]| paths(newer, Some(&[CARDS]), &open);
    assert_eq!(judged(&[CARDS]), Vec::<String>::new());
    assert_eq!(judged(&[]), ["flow"]);
    assert_eq!(judged(&[("cards", "other", "EPIC06")]), ["flow[0].source"]);
    assert_eq!(judged(&[("cards", "again", "EPIC06")]), ["flow[0].source"]);
    assert_eq!(judged(&[("cards", "cards", "EPIC07")]), ["flow[0].company"]);
    // The same names, and another ERP behind them.
    let moved = text(&[CARDS]).replace("https://erp.", "https://test-erp.");
    let moved = read(&moved).unwrap().1;
    let found = check(&moved, Some(&before), &open);
    assert_eq!(found[0].path, "flow[0].target");
    assert!(found[0].what.contains("2 posting(s) of flow `cards`"), "{}", found[0]);
    // With nothing under way it may go, and lead elsewhere.
    let rested = [owner(&before, "cards", 0)];
    for newer in [&[][..], &[("cards", "other", "EPIC06")], &[("cards", "cards", "EPIC07")]] {
        assert_eq!(paths(newer, Some(&[CARDS]), &rested), Vec::<String>::new());
    }
}

#[test]
fn a_new_name_for_what_a_flow_has_booked_is_refused_also_in_two_steps() {
    let before = config(&[CARDS]);
    let rested = [owner(&before, "cards", 0)];
    let renamed = [("renamed", "cards", "EPIC06")];
    assert_eq!(paths(&renamed, Some(&[CARDS]), &rested), ["flow[0].id"]);
    // Without it first, then under the new name: the postings still tell.
    assert_eq!(paths(&renamed, Some(&[]), &rested), ["flow[0].id"]);
    assert_eq!(paths(&renamed, None, &rested), ["flow[0].id"]);
    // The former name comes back; another company is other money.
    assert_eq!(paths(&[CARDS], Some(&[]), &rested), Vec::<String>::new());
    assert_eq!(paths(&[("renamed", "cards", "EPIC07")], Some(&[CARDS]), &rested), Vec::<String>::new());
    // Under way as well: each is told.
    let open = [owner(&before, "cards", 1)];
    assert_eq!(paths(&renamed, Some(&[CARDS]), &open), ["flow", "flow[0].id"]);
}

#[test]
fn a_twin_and_an_exchange_of_names_are_refused_and_another_account_is_not() {
    let before = config(&[CARDS]);
    let rested = [owner(&before, "cards", 0)];
    let judged = |newer: &[Line<'_>]| paths(newer, Some(&[CARDS]), &rested);
    assert_eq!(judged(&[CARDS, ("twin", "again", "EPIC06")]), ["flow[1].id"]);
    assert_eq!(judged(&[("twin", "again", "EPIC06"), CARDS]), ["flow[0].id"]);
    assert_eq!(judged(&[CARDS, ("twin", "again", "EPIC07")]), Vec::<String>::new());
    assert_eq!(judged(&[CARDS, ("second", "other", "EPIC06")]), Vec::<String>::new());
    // The old name is led elsewhere, a new one takes over what it read.
    assert_eq!(judged(&[("cards", "other", "EPIC07"), ("new", "cards", "EPIC06")]), ["flow[1].id"]);
    let two = [CARDS, ("second", "other", "EPIC06")];
    let both = config(&two);
    let owners = [owner(&both, "cards", 0), owner(&both, "second", 0)];
    let exchanged = [("cards", "other", "EPIC06"), ("second", "cards", "EPIC06")];
    assert_eq!(paths(&exchanged, Some(&two), &owners), ["flow[0].id", "flow[1].id"]);
    // Twins that a person has set up on the machine stay.
    let twins = [CARDS, ("twin", "again", "EPIC06")];
    assert_eq!(paths(&twins, Some(&twins), &rested), Vec::<String>::new());
}

#[test]
fn what_is_under_way_of_a_flow_that_no_configuration_names_is_told() {
    let under_way = [("cards", 2), ("former", 3)].map(|(flow, count)| (FlowId::from(flow), count));
    let left: Vec<_> = unattended(&config(&[CARDS]), under_way.into()).collect();
    assert_eq!(left, [(FlowId::from("former"), 3)]);
}

#[test]
fn a_person_at_the_machine_may_let_it_through() {
    let renamed = text(&[("renamed", "cards", "EPIC06")]);
    let revision = |number, toml: &str| Revision {
        number,
        toml: Text::whole(toml).unwrap(),
        hash: Revision::hash_of(toml).into(),
        by: "ann".into(),
        note: "".into(),
        at: Timestamp::UNIX_EPOCH,
    };
    let kept = Kept::new(&revision(5, &text(&[CARDS])), Timestamp::UNIX_EPOCH);
    let own = config(&[CARDS]);
    let evidence = || Evidence {
        kept: Some(kept.clone()),
        owners: vec![owner(&own, "cards", 1)],
        ..Evidence::default()
    };
    let rails = |rename: &str| {
        let local = format!(
            "version = 1\n{rename}origins = [\"https://cards.example.test\", \"https://erp.example.test\"]\n"
        );
        MachineRails::of(LocalRails::check(&local).unwrap(), None)
    };
    let Judged::Beyond(findings) = judge(&revision(6, &renamed), evidence(), &rails("")) else {
        panic!("it was not refused")
    };
    assert_eq!(findings.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["flow", "flow[0].id"]);
    let let_through = judge(&revision(6, &renamed), evidence(), &rails("rename_flows = true\n"));
    assert!(matches!(let_through, Judged::Good(_)), "{let_through:?}");
    // Without a revision in force the machine's own file says what the flows were.
    let own_file = MachineRails::of(rails("").local, Some(own.clone()));
    let fresh = Evidence { kept: None, ..evidence() };
    assert!(matches!(judge(&revision(1, &renamed), fresh, &own_file), Judged::Beyond(_)));
}
