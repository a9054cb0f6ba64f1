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

/// A configuration with four accounts (`cards` and `again` are the same one) and these flows.
fn text(flows: &[Line<'_>]) -> String {
    let mut text = "version = 1\n".to_owned();
    for (id, kind, host, secret) in [
        ("cards", "brex", "cards", "cards"),
        ("again", "brex", "cards", "cards"),
        ("other", "brex", "cards", "other"),
        ("reports", "expensify", "reports", "reports"),
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
    Owner { flow, open, undecided: 0, begun: vec![begun] }
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
            "version = 1\n{rename}origins = [\"https://cards.example.test\", \"https://reports.example.test\", \
             \"https://erp.example.test\"]\n"
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

#[test]
fn what_is_held_and_may_be_in_the_erp_keeps_its_flow_until_a_person_has_decided() {
    let before = config(&[CARDS]);
    let held = [Owner { undecided: 3, ..owner(&before, "cards", 0) }];
    let told = |newer: &[Line<'_>], owners: &[Owner]| {
        let found = check(&config(newer), Some(&before), owners);
        found.into_iter().map(|one| format!("{}: {}; {}", one.path, one.what, one.fix)).collect::<Vec<_>>()
    };
    assert!(told(&[CARDS], &held).is_empty());
    for newer in [&[][..], &[("cards", "cards", "EPIC07")]] {
        let told = told(newer, &held);
        assert!(told[0].contains("3 held posting(s) of flow `cards` may be in the ERP"), "{told:?}");
        assert!(told[0].contains("purser records list --flow cards --state held"), "{told:?}");
        assert!(!told[0].contains("under way"), "{told:?}");
    }
    let both = [Owner { undecided: 3, ..owner(&before, "cards", 2) }];
    let told = told(&[], &both);
    for word in ["2 posting(s) of flow `cards` are under way", "3 held", "purser status", "replay or close"] {
        assert!(told[0].contains(word), "{word} is not in {told:?}");
    }
}

#[test]
fn what_is_under_way_and_was_never_begun_keeps_its_flow_and_books_nothing_twice() {
    let before = config(&[CARDS]);
    let waits = [Owner { begun: Vec::new(), ..owner(&before, "cards", 2) }];
    assert_eq!(paths(&[], Some(&[CARDS]), &waits), ["flow"]);
    assert_eq!(paths(&[("cards", "other", "EPIC06")], Some(&[CARDS]), &waits), ["flow[0].source"]);
    // A flow that comes back finds nothing of it in any ERP.
    assert_eq!(paths(&[CARDS], Some(&[]), &waits), Vec::<String>::new());
    assert_eq!(paths(&[("cards", "other", "EPIC07")], None, &waits), Vec::<String>::new());
}

#[test]
fn the_name_of_a_company_says_which_books_in_every_system_of_a_kind_or_in_none() {
    let epicor = config(&[CARDS]);
    assert_eq!(all(&epicor).values().map(|route| route.by_name).collect::<Vec<_>>(), [true]);
    let branch = text(&[CARDS]).replace(
        "kind = \"epicor\"",
        "kind = \"acumatica\"\nsettings = { branches = { EPIC06 = \"EPIC06\" } }",
    ) + "[flow.policy]\nsettle_window = 700\n";
    let acumatica = match read(&branch) {
        Ok((_, valid)) => valid,
        Err(findings) => panic!("{findings:#?}"),
    };
    let route = Way::find(&acumatica, &FlowId::from("cards")).unwrap().route();
    assert_eq!((route.books.as_deref(), route.by_name), (Some("EPIC06"), false));
}

#[test]
fn what_an_earlier_release_has_booked_keeps_out_no_flow_of_another_account_while_its_own_goes_on() {
    let before = config(&[CARDS]);
    let mut old = owner(&before, "cards", 0);
    old.begun[0].route = None;
    let owners = [old];
    let judged = |newer: &[Line<'_>]| paths(newer, Some(&[CARDS]), &owners);
    let reports = ("expenses", "reports", "EPIC06");
    assert_eq!(judged(&[CARDS, reports]), Vec::<String>::new());
    // The same books under another name, and what cannot be told because its flow goes or leads elsewhere.
    assert_eq!(judged(&[CARDS, ("twin", "again", "EPIC06")]), ["flow[1].id"]);
    assert_eq!(judged(&[("renamed", "cards", "EPIC06")]), ["flow[0].id"]);
    assert_eq!(judged(&[reports]), ["flow[0].id"]);
    assert_eq!(judged(&[("cards", "other", "EPIC07"), reports]), ["flow[1].id"]);
}

/// A configuration in which two flows of one account take these lines of each record.
fn selecting(lines: [&str; 2]) -> ValidConfig {
    let both = text(&[CARDS, ("owed", "again", "EPIC06")]);
    let rest = both.replace("[flow.mapping]\n", "[flow.mapping]\nselect = \"*\"\n");
    let chosen = lines.iter().fold(rest, |text, lines| text.replacen("\"*\"", &format!("\"{lines}\""), 1));
    match read(&chosen) {
        Ok((_, valid)) => valid,
        Err(findings) => panic!("{findings:#?}"),
    }
}

#[test]
fn a_flow_that_takes_more_lines_is_refused_where_another_one_books_them() {
    let before = selecting(["non-reimbursable", "reimbursable"]);
    let owners = [owner(&before, "cards", 0), owner(&before, "owed", 0)];
    let judged = |newer: [&str; 2], owners: &[Owner]| {
        let found = check(&selecting(newer), Some(&before), owners);
        found.into_iter().map(|finding| finding.path).collect::<Vec<_>>()
    };
    assert_eq!(judged(["non-reimbursable", "reimbursable"], &owners), Vec::<String>::new());
    assert_eq!(judged(["all", "reimbursable"], &owners), ["flow[0].mapping.select"]);
    assert_eq!(judged(["non-reimbursable", "all"], &[]), ["flow[1].mapping.select"]);
    assert_eq!(judged(["reimbursable", "non-reimbursable"], &owners).len(), 2, "exchanged");
    assert_eq!(judged(["all", "all"], &[]), ["flow[1].mapping.select"], "of two the later one");
    // What the other one has booked stays booked when it goes.
    let one = |select: &str| {
        let text =
            text(&[CARDS]).replace("[flow.mapping]\n", &format!("[flow.mapping]\nselect = \"{select}\"\n"));
        read(&text).unwrap().1
    };
    let found = check(&one("all"), Some(&before), &owners);
    assert_eq!(found.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["flow[0].mapping.select"]);
    assert!(check(&one("all"), Some(&one("non-reimbursable")), &owners[..1]).is_empty(), "nobody else");
    // Fewer lines are nobody else's, and what a person has let overlap may stay so.
    let all = selecting(["all", "all"]);
    assert!(check(&before, Some(&all), &owners).is_empty());
    assert!(check(&all, Some(&selecting(["non-reimbursable", "all"])), &owners).is_empty());
}
