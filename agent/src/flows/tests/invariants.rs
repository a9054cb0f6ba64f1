//! What must hold at the end, whatever went wrong on the way. The judgement looks at the source's records and the
//! ERP's books first, and at the posting log only for what neither of them shows.

use super::erp::Doc;
use super::world::{World, codes};
use spend::plan::DocumentReference;
use spend::posting::{Posting, PostingState};
use std::collections::BTreeSet;

/// Every breach, in words; empty = all is well. Reasons of holds that may occur are given by the caller.
pub(super) fn breaches(world: &World, may_be_held_for: &[&str]) -> Vec<String> {
    let mut breaches = Vec::new();
    let documents = world.erp.documents();
    let all = world.postings();
    let mut accounted = 0;
    let mark = world.store().watermark(world.settings.flow()).unwrap();
    let overlap = chrono::Days::new(world.settings.overlap_days.into());
    let oldest_read_again = mark.map(|mark| mark.through - overlap);
    for (id, record) in world.source.records().iter() {
        let stem = DocumentReference::derive(
            &world.settings.context.prefix,
            world.settings.flow(),
            id,
            &record.document.revision,
        );
        let there: Vec<&Doc> = documents.iter().filter(|d| stem.stem_is_in(&d.reference)).collect();
        accounted += there.len();
        let postings: Vec<&Posting> = all.iter().filter(|p| p.source_id == *id).collect();
        let mut fault = |text: String| {
            let states: Vec<_> = postings.iter().map(|p| (p.state.name(), codes(p))).collect();
            breaches.push(format!("{id}: {text}; ERP {there:?}; log {states:?}; marked {}", record.marked));
        };
        let held: Vec<&Posting> =
            postings.iter().filter(|p| matches!(p.state, PostingState::Held(_))).copied().collect();
        for code in held.iter().flat_map(|p| codes(p)) {
            // What was withdrawn and then exported by somebody else is never offered again.
            let elsewhere = ["exported-elsewhere", "no-longer-ready"].contains(&code);
            let justified = if elsewhere { record.elsewhere } else { may_be_held_for.contains(&code) };
            if !justified {
                fault(format!("held for {code}, which nothing justifies"));
            }
        }
        for posting in &postings {
            if !matches!(
                posting.state,
                PostingState::Acknowledged { .. }
                    | PostingState::Held(_)
                    | PostingState::Superseded { .. }
                    | PostingState::Handled { .. }
            ) {
                fault("not at rest".to_owned());
            }
        }
        if record.marked && there.is_empty() && !record.elsewhere {
            fault("marked at the source and not in the ERP".to_owned());
        }
        match there.as_slice() {
            [_, ..] if record.failed => fault("reported as not exported, and in the ERP".to_owned()),
            [] if held.is_empty() && !record.elsewhere && !record.failed => fault("lost".to_owned()),
            [] => {}
            [one] => {
                let booked = record.history.iter().find(|(revision, _)| {
                    one.reference
                        == DocumentReference::derive(
                            &world.settings.context.prefix,
                            world.settings.flow(),
                            id,
                            revision,
                        )
                        .to_string()
                });
                match booked {
                    None => fault("in the ERP with content that the source never had".to_owned()),
                    Some((_, total)) if *total != one.total => fault("altered".to_owned()),
                    Some((revision, _)) if *revision != record.document.revision && held.is_empty() => {
                        fault("changed at the source after posting, and nobody is told".to_owned());
                    }
                    Some((revision, _)) => {
                        let known = postings.iter().any(|p| {
                            p.revision == *revision && matches!(p.state, PostingState::Acknowledged { .. })
                        });
                        if !known && held.is_empty() {
                            fault("in the ERP, and the log does not know".to_owned());
                        }
                        // A mark that the source lost is set again when the record is read again: not while a change
                        // waits for a person, and not when its day of approval is behind the overlap window.
                        let read_again = record.document.approved >= oldest_read_again;
                        let given_up = postings.iter().any(|p| {
                            matches!(&p.state, PostingState::Acknowledged { unmarked: Some(_), .. })
                        });
                        if known && !record.marked && held.is_empty() && read_again && !given_up {
                            fault("booked and not marked at the source".to_owned());
                        }
                    }
                }
                if one.half && held.is_empty() {
                    fault("half a document is left behind".to_owned());
                }
            }
            [_, _, ..] => fault("DOUBLED".to_owned()),
        }
    }
    if accounted != documents.len() {
        breaches.push(format!("{} documents in the ERP, {accounted} explained", documents.len()));
    }
    breaches.extend(sums_and_audit(world, &all, &documents));
    breaches
}

fn sums_and_audit(world: &World, postings: &[Posting], documents: &[Doc]) -> Vec<String> {
    let mut breaches = Vec::new();
    let booked = postings.iter().filter(|p| matches!(p.state, PostingState::Acknowledged { .. }));
    let log: i64 = booked.map(|p| p.total.minor).sum();
    let doubtful = postings.iter().any(|p| matches!(&p.state, PostingState::Held(hold) if hold.in_doubt));
    let erp: i64 = documents.iter().map(|d| d.total.minor).sum();
    if log != erp && !doubtful && documents.iter().all(|d| !d.half) {
        breaches.push(format!("the log says {log}, the ERP {erp}"));
    }
    let mut told = BTreeSet::new();
    world.store().audit().for_each(1, |entry| told.extend(entry.draft.posting)).unwrap();
    for posting in postings.iter().filter(|p| !told.contains(&p.key)) {
        breaches.push(format!("{}: no audit entry", posting.source_id));
    }
    if let Err(fault) = world.store().audit().verify() {
        breaches.push(format!("audit: {fault}"));
    }
    breaches
}

pub(super) fn assert_sound(world: &World, may_be_held_for: &[&str]) {
    let breaches = breaches(world, may_be_held_for);
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}
