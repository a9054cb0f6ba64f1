//! The outcome table, row by row, and random walks that try to make the state machine write twice.

use super::*;
use crate::finding::FindingCode;
use crate::mapping::DocumentKind;
use crate::now::Now;
use crate::sample::{self, document, line, moment, rules};
use chrono::TimeDelta;
use proptest::prelude::*;

fn policy() -> PostingPolicy {
    PostingPolicy { max_failures: 2, ..PostingPolicy::default() }
}

fn receipt() -> ErpReceipt {
    ErpReceipt { document: "journal 2026/GJ/417".to_owned(), group: None, stage: Stage::Staged }
}

fn failure(class: FailureClass) -> Failure {
    Failure::new(class, "it failed")
}

fn sample_posting() -> Posting {
    let report = document(vec![line("1", "Travel", 1000)]);
    let plan = sample::plan(&report, &rules(), DocumentKind::Journal);
    Posting::planned(FlowId::from("expenses"), report, plan, moment(0))
}

fn looked(found: LookUp, unique: bool) -> Event {
    Event::LookedUp { found, unique }
}

fn complete() -> LookUp {
    LookUp::Complete { receipt: receipt() }
}

fn different() -> LookUp {
    LookUp::Different { receipt: receipt(), differs: "total".to_owned() }
}

fn unfinished() -> LookUp {
    LookUp::Unfinished { receipt: receipt(), missing: "a line".to_owned() }
}

impl Posting {
    fn after(&self, event: Event, seconds: i64) -> Posting {
        self.apply(event, &policy(), 1.0, &moment(seconds).into()).unwrap()
    }

    fn after_all(&self, events: impl IntoIterator<Item = (i64, Event)>) -> Posting {
        events.into_iter().fold(self.clone(), |posting, (seconds, event)| posting.after(event, seconds))
    }

    fn hold_codes(&self) -> Vec<FindingCode> {
        let PostingState::Held(hold) = &self.state else { panic!("not held but {}", self.state.name()) };
        hold.findings.iter().map(|finding| finding.code).collect()
    }
}

fn claimed() -> Posting {
    sample_posting().after_all([(1, looked(LookUp::Absent, true)), (1, Event::Claimed)])
}

fn in_doubt() -> Posting {
    claimed().after(Event::PostAnswered(Err(failure(FailureClass::InDoubt))), 1)
}

#[test]
fn the_good_way_leads_from_planned_to_acknowledged() {
    let posting = sample_posting();
    assert_eq!(posting.next_action(moment(0)), NextAction::LookUpThenClaim);
    let posting = posting.after(looked(LookUp::Absent, false), 1);
    assert_eq!(posting.next_action(moment(1)), NextAction::LookUpThenClaim);
    let posting = posting.after(Event::Claimed, 1);
    assert_eq!((posting.attempts, posting.next_action(moment(9999))), (1, NextAction::Nothing));
    let posting = posting.after(Event::PostAnswered(Ok(receipt())), 2);
    assert_eq!(posting.next_action(moment(2)), NextAction::Acknowledge);
    let posting = posting.after(Event::Acknowledged, 3);
    assert_eq!(posting.state.receipt(), Some(&receipt()));
    assert!(!posting.is_open());
    assert_eq!((posting.due_at(), posting.updated_at), (None, moment(3)));
}

/// Sheet item: Epicor 11
#[test]
fn what_is_found_before_the_claim_is_adopted_or_held() {
    let adopted = sample_posting().after(looked(complete(), false), 1);
    assert!(matches!(adopted.state, PostingState::Posted { adopted: true, .. }));
    assert_eq!(sample_posting().after(looked(different(), true), 1).hold_codes(), [FindingCode::ErpConflict]);
    assert_eq!(sample_posting().after(looked(unfinished(), true), 1).state, PostingState::Planned);
}

#[test]
fn the_answer_to_a_write_decides_by_its_class() {
    let answered = |class| claimed().after(Event::PostAnswered(Err(failure(class))), 2);
    assert!(matches!(answered(FailureClass::InDoubt).state, PostingState::InDoubt { .. }));
    assert!(matches!(answered(FailureClass::Unavailable).state, PostingState::InDoubt { .. }));
    assert!(matches!(answered(FailureClass::NotSent).state, PostingState::Waiting { .. }));
    assert!(matches!(answered(FailureClass::Unauthorised).state, PostingState::Waiting { .. }));
    let throttled = answered(FailureClass::Throttled { until: moment(60) });
    assert_eq!((throttled.due_at(), throttled.failures), (Some(moment(60)), 0));
    assert_eq!(answered(FailureClass::Rejected { findings: vec![] }).hold_codes(), [FindingCode::ErpRefused]);
    let finding = Finding::document(FindingCode::PeriodClosed, "date", "", "closed", "open it");
    let refused = answered(FailureClass::Rejected { findings: vec![finding] });
    assert_eq!(refused.hold_codes(), [FindingCode::PeriodClosed]);
}

#[test]
fn an_endless_throttle_is_not_believed() {
    let far = Timestamp::MAX_UTC;
    let throttled =
        claimed().after(Event::PostAnswered(Err(failure(FailureClass::Throttled { until: far }))), 2);
    assert_eq!(throttled.due_at(), Some(moment(2) + TimeDelta::hours(24)));
}

#[test]
fn transient_failures_wait_longer_each_time_and_then_hold() {
    let mut posting = sample_posting();
    let mut waits = Vec::new();
    let mut now = 0;
    for _ in 0..2 {
        posting = posting.after(looked(LookUp::Absent, true), now).after(Event::Claimed, now);
        posting = posting.after(Event::PostAnswered(Err(failure(FailureClass::NotSent))), now);
        let due = posting.due_at().unwrap();
        assert_eq!(posting.next_action(moment(now)), NextAction::WaitUntil(due));
        assert_eq!(
            posting.apply(Event::Claimed, &policy(), 1.0, &moment(now).into()),
            Err(TransitionError::NotDue { at: due })
        );
        waits.push((due - moment(now)).num_seconds());
        now += waits.last().unwrap();
    }
    assert_eq!(waits, [5, 10]);
    let exhausted = posting.after(Event::LookUpFailed(failure(FailureClass::Unavailable)), now);
    assert_eq!(exhausted.hold_codes(), [FindingCode::AttemptsExhausted]);
    assert_eq!(exhausted.after(Event::Replay, now).failures, 0);
}

#[test]
fn a_refused_credential_pauses_long_and_never_exhausts_the_attempts() {
    let mut posting = sample_posting();
    for _ in 0..50 {
        posting = posting.after(Event::LookUpFailed(failure(FailureClass::Unauthorised)), 0);
        assert!(posting.due_at().unwrap() >= moment(900));
    }
    assert_eq!(posting.failures, 0);
}

#[test]
fn what_is_put_off_waits_for_a_bounded_number_of_times_and_only_before_a_write() {
    let put_off = |class| Event::PutOff(failure(class));
    // A refusal by the source says nothing against the document.
    let refused = FailureClass::Rejected { findings: Vec::new() };
    let mut posting = sample_posting();
    for second in 0..2 {
        posting = posting.after(put_off(refused.clone()), second);
        assert!(matches!(posting.state, PostingState::Waiting { .. }), "{posting:?}");
        assert_eq!((posting.attempts, posting.failures), (0, u32::try_from(second).unwrap() + 1));
    }
    assert_eq!(posting.after(put_off(refused), 2).hold_codes(), [FindingCode::AttemptsExhausted]);
    let until = moment(600);
    assert_eq!(sample_posting().after(put_off(FailureClass::Throttled { until }), 1).due_at(), Some(until));
    for sent in [claimed(), in_doubt()] {
        let event = put_off(FailureClass::Unavailable);
        assert!(sent.apply(event, &policy(), 1.0, &moment(1).into()).is_err(), "{sent:?}");
    }
}

#[test]
fn what_is_out_of_date_counts_as_never_attempted() {
    let refused = || Event::PostAnswered(Err(failure(FailureClass::NotSent)));
    let tried = claimed().after(refused(), 1);
    assert_eq!(tried.attempts, 1);
    let waits = tried.after(Event::OutOfDate(failure(FailureClass::Unavailable)), 2);
    assert!(matches!(waits.state, PostingState::Waiting { .. }) && waits.attempts == 0, "{waits:?}");
    for sent in [claimed(), in_doubt()] {
        let event = Event::OutOfDate(failure(FailureClass::Unavailable));
        assert!(sent.apply(event, &policy(), 1.0, &moment(1).into()).is_err(), "{sent:?}");
    }
}

#[test]
fn what_is_held_with_a_part_in_the_erp_stays_in_doubt() {
    let held = sample_posting().after(Event::HeldUnfinished(vec![conflict_like()]), 1);
    assert!(matches!(&held.state, PostingState::Held(hold) if hold.in_doubt), "{held:?}");
    let again = held.after(Event::Held(vec![conflict_like()]), 2);
    assert!(matches!(&again.state, PostingState::Held(hold) if hold.in_doubt), "{again:?}");
}

#[test]
fn nothing_is_written_within_the_settle_window() {
    let mut posting = in_doubt();
    let mut now = 5;
    let mut look_ups = 0;
    while now < 121 {
        assert_eq!(
            posting.apply(Event::Claimed, &policy(), 1.0, &moment(now).into()),
            Err(illegal(&posting, "claimed"))
        );
        let due = posting.due_at().unwrap();
        assert!(due > moment(now) && due <= moment(121), "{due}");
        now = (due - moment(0)).num_seconds();
        if now < 121 {
            posting = posting.after(looked(LookUp::Absent, true), now);
            assert!(matches!(posting.state, PostingState::InDoubt { .. }));
        }
        look_ups += 1;
    }
    assert!((3..=30).contains(&look_ups), "{look_ups}");
}

fn illegal(posting: &Posting, event: &'static str) -> TransitionError {
    TransitionError::Illegal { state: posting.state.name(), event }
}

#[test]
fn after_the_settle_window_two_empty_look_ups_apart_allow_a_new_attempt() {
    let first = in_doubt().after(looked(LookUp::Absent, true), 121);
    assert_eq!(first.next_action(moment(121)), NextAction::WaitUntil(moment(151)));
    let hasty = first.after(looked(LookUp::Absent, true), 130);
    assert_eq!(hasty.due_at(), Some(moment(151)));
    let second = hasty.after(looked(LookUp::Absent, true), 151);
    assert_eq!((&second.state, second.attempts), (&PostingState::Planned, 1));
    assert_eq!(second.next_action(moment(151)), NextAction::LookUpThenClaim);
    assert_eq!(second.after(Event::Claimed, 152).attempts, 2);
}

/// A moment by both clocks: the wall clock may be set, the other cannot.
fn both(wall: i64, boot: &str, ticks: u64) -> Now {
    Now { at: moment(wall), tick: Tick { machine: None, epoch: boot.to_owned(), millis: ticks * 1000 } }
}

fn looked_up_at(posting: &Posting, now: &Now) -> Posting {
    posting.apply(looked(LookUp::Absent, true), &policy(), 1.0, now).unwrap()
}

fn in_doubt_at(now: &Now) -> Posting {
    claimed().apply(Event::PostAnswered(Err(failure(FailureClass::InDoubt))), &policy(), 1.0, now).unwrap()
}

#[test]
fn setting_the_clock_neither_shortens_nor_stretches_the_settle_window() {
    for stepped in [-86_400, 3_600] {
        let lost = in_doubt_at(&both(0, "boot", 500));
        let early = looked_up_at(&lost, &both(stepped + 60, "boot", 560));
        let early = looked_up_at(&early, &both(stepped + 119, "boot", 619));
        let PostingState::InDoubt { empty_look_ups, next_at, .. } = &early.state else { panic!() };
        assert_eq!((empty_look_ups.len(), *next_at), (0, moment(stepped + 120)));
        let first = looked_up_at(&early, &both(stepped + 120, "boot", 620));
        let hasty = looked_up_at(&first, &both(stepped + 120 + 3600, "boot", 649));
        assert!(matches!(hasty.state, PostingState::InDoubt { .. }), "the second look-up came too early");
        assert_eq!(hasty.due_at(), Some(moment(stepped + 121 + 3600)));
        let second = looked_up_at(&hasty, &both(stepped + 121, "boot", 650));
        assert_eq!(second.state, PostingState::Planned);
    }
}

#[test]
fn after_a_reboot_the_settle_window_counts_from_the_reboot() {
    let lost = in_doubt_at(&both(0, "boot-a", 90_000));
    let early = looked_up_at(&lost, &both(7200, "boot-b", 30));
    assert!(
        matches!(&early.state, PostingState::InDoubt { empty_look_ups, .. } if empty_look_ups.is_empty())
    );
    let settled = looked_up_at(&looked_up_at(&early, &both(7290, "boot-b", 120)), &both(7320, "boot-b", 150));
    assert_eq!(settled.state, PostingState::Planned);
}

#[test]
fn without_uniqueness_the_new_attempt_is_left_to_a_person() {
    let empty = |policy: &PostingPolicy| {
        [121, 151].iter().fold(in_doubt(), |posting, seconds| {
            posting.apply(looked(LookUp::Absent, false), policy, 1.0, &moment(*seconds).into()).unwrap()
        })
    };
    let held = empty(&policy());
    assert_eq!(held.hold_codes(), [FindingCode::OutcomeUnknown]);
    assert!(matches!(&held.state, PostingState::Held(hold) if hold.in_doubt));
    assert!(held.apply(Event::Superseded { by: "2".into() }, &policy(), 1.0, &moment(200).into()).is_err());
    assert_eq!(held.after(Event::Replay, 200).next_action(moment(200)), NextAction::LookUpThenClaim);
    assert!(matches!(
        held.after(looked(complete(), false), 200).state,
        PostingState::Posted { adopted: true, .. }
    ));
    let allowed = PostingPolicy { rewrite_without_uniqueness: true, ..policy() };
    assert_eq!(empty(&allowed).state, PostingState::Planned);
}

#[test]
fn one_look_up_suffices_only_for_a_unique_erp_without_a_settle_window() {
    let instant = PostingPolicy { settle_window: TimeDelta::zero(), ..policy() };
    let once = |unique| {
        in_doubt().apply(looked(LookUp::Absent, unique), &instant, 1.0, &moment(6).into()).unwrap().state
    };
    assert_eq!(once(true), PostingState::Planned);
    assert!(matches!(once(false), PostingState::InDoubt { .. }));
}

/// Sheet items: Epicor 20, Expensify 25
#[test]
fn what_a_lost_answer_left_behind_is_adopted_resumed_or_held() {
    assert!(matches!(
        in_doubt().after(looked(complete(), false), 6).state,
        PostingState::Posted { adopted: true, .. }
    ));
    let early = in_doubt().after(looked(different(), false), 6);
    assert!(matches!(early.state, PostingState::InDoubt { .. }));
    assert_eq!(early.after(looked(different(), false), 121).hold_codes(), [FindingCode::ErpConflict]);
    let early = in_doubt().after(looked(unfinished(), false), 6);
    assert!(matches!(early.state, PostingState::InDoubt { .. }));
    assert_eq!(early.after(looked(unfinished(), false), 121).state, PostingState::Planned);
}

#[test]
fn look_ups_in_doubt_are_retried_without_end() {
    let mut posting = in_doubt();
    for number in 0..100 {
        posting = posting.after(Event::LookUpFailed(failure(FailureClass::Unavailable)), number);
    }
    assert!(matches!(posting.state, PostingState::InDoubt { .. }));
    assert_eq!(posting.due_at(), Some(moment(99 + 1800)));
}

#[test]
fn a_claim_without_result_is_in_doubt_after_a_restart() {
    let posting = claimed().after(Event::Recovered, 1000);
    let PostingState::InDoubt { cut_at, next_at, .. } = &posting.state else { panic!() };
    assert_eq!((*cut_at, *next_at), (moment(1000), moment(1000)));
    assert_eq!(posting.next_action(moment(1000)), NextAction::LookUp);
}

/// Claims come in batches: a request may leave long after its claim, so the claim's age says nothing.
#[test]
fn the_settle_window_counts_from_the_lost_answer_and_not_from_the_claim() {
    let lost = claimed().after(Event::PostAnswered(Err(failure(FailureClass::InDoubt))), 600);
    let early = lost.after_all([(601, looked(LookUp::Absent, true)), (640, looked(LookUp::Absent, true))]);
    assert!(matches!(early.state, PostingState::InDoubt { .. }));
    let late = early.after_all([(720, looked(LookUp::Absent, true)), (750, looked(LookUp::Absent, true))]);
    assert_eq!(late.state, PostingState::Planned);
}

#[test]
fn a_late_answer_is_never_lost() {
    let late = Event::PostAnswered(Ok(receipt()));
    assert!(matches!(in_doubt().after(late.clone(), 7).state, PostingState::Posted { .. }));
    let held =
        in_doubt().after_all([(121, looked(LookUp::Absent, false)), (151, looked(LookUp::Absent, false))]);
    assert!(matches!(held.after(late, 200).state, PostingState::Posted { .. }));
}

#[test]
fn a_claim_that_was_never_sent_is_no_attempt() {
    let posting = claimed().after(Event::Released, 2);
    assert_eq!((&posting.state, posting.attempts), (&PostingState::Planned, 0));
}

#[test]
fn marking_the_source_is_retried_alone() {
    let posted = claimed().after(Event::PostAnswered(Ok(receipt())), 2);
    let failed = posted.after(Event::AcknowledgeFailed(failure(FailureClass::Unavailable)), 3);
    assert_eq!(failed.next_action(moment(3)), NextAction::WaitUntil(moment(8)));
    assert_eq!(failed.next_action(moment(8)), NextAction::Acknowledge);
    assert_eq!(failed.state.receipt(), Some(&receipt()));
}

#[test]
fn replaying_what_is_posted_resolves_to_the_same_document() {
    let posted = claimed().after(Event::PostAnswered(Ok(receipt())), 2);
    let same = Err(TransitionError::AlreadyPosted { receipt: receipt() });
    assert_eq!(posted.apply(Event::Replay, &policy(), 1.0, &moment(3).into()), same);
    let acknowledged = posted.after(Event::Acknowledged, 3);
    assert_eq!(acknowledged.apply(Event::Replay, &policy(), 1.0, &moment(4).into()), same);
}

#[test]
fn a_held_record_is_planned_again_and_never_with_the_plan_of_another() {
    let planned = sample_posting();
    let finding = Finding::document(FindingCode::CategoryUnmapped, "category", "", "unmapped", "map it");
    let held = Posting::held(
        planned.flow.clone(),
        SpendDocument::clone(&planned.document),
        None,
        vec![finding.clone()],
        moment(0),
    );
    assert_eq!((&held.key, held.total), (&planned.key, planned.total));
    assert_eq!(held.apply(Event::Replay, &policy(), 1.0, &moment(1).into()), Err(TransitionError::NoPlan));
    let plan = planned.plan.clone().unwrap();
    let replanned = held.after(Event::Replanned(plan.clone(), planned.document.clone()), 1);
    assert_eq!(replanned.state, PostingState::Planned);
    assert_eq!(replanned.plan.as_ref(), Some(&plan));

    let other = PostingPlan { key: PostingKey::from("other"), ..PostingPlan::clone(&plan) };
    let foreign = Event::Replanned(Arc::new(other), planned.document.clone());
    assert!(matches!(
        held.apply(foreign, &policy(), 1.0, &moment(1).into()),
        Err(TransitionError::OtherPosting { .. })
    ));
    let again = Event::Replanned(plan, planned.document.clone());
    assert_eq!(
        in_doubt().apply(again, &policy(), 1.0, &moment(6).into()),
        Err(illegal(&in_doubt(), "replanned"))
    );
    assert_eq!(
        held.apply(Event::Held(vec![]), &policy(), 1.0, &moment(1).into()),
        Err(TransitionError::NoFindings)
    );
}

#[test]
fn planning_again_never_overrides_what_only_a_person_may_decide() {
    let replanned = || {
        let posting = sample_posting();
        Event::Replanned(posting.plan.unwrap(), posting.document)
    };
    let held_for = |code| {
        let finding = Finding::document(code, "", "", "wrong", "mend it");
        sample_posting().after(Event::Held(vec![finding]), 1).after(replanned(), 2)
    };
    assert_eq!(held_for(FindingCode::PeriodClosed).state, PostingState::Planned);
    for code in [FindingCode::ErpRefused, FindingCode::ErpConflict, FindingCode::ChangedAfterPosting] {
        assert_eq!(held_for(code).hold_codes(), [code]);
        assert_eq!(held_for(code).after(Event::Replay, 3).state, PostingState::Planned);
    }
    let empty = || looked(LookUp::Absent, false);
    let in_doubt = in_doubt().after_all([(121, empty()), (151, empty())]);
    assert_eq!(
        in_doubt.apply(replanned(), &policy(), 1.0, &moment(152).into()),
        Err(illegal(&in_doubt, "replanned"))
    );
    let still = in_doubt.after(Event::Held(vec![Finding::source_unreadable("gone")]), 153);
    assert!(matches!(&still.state, PostingState::Held(hold) if hold.in_doubt));
}

#[test]
fn only_what_was_never_sent_or_waits_for_a_person_is_closed_or_superseded() {
    let handled = || closed_by_kim(false);
    let superseded = || Event::Superseded { by: "2".into() };
    for event in [handled, superseded as fn() -> Event] {
        assert!(!sample_posting().after(event(), 1).is_open());
        assert!(
            sample_posting()
                .after(looked(different(), true), 1)
                .apply(event(), &policy(), 1.0, &moment(2).into())
                .is_ok()
        );
        for begun in [claimed(), in_doubt(), claimed().after(Event::PostAnswered(Ok(receipt())), 2)] {
            assert!(
                begun.apply(event(), &policy(), 1.0, &moment(9).into()).is_err(),
                "{}",
                begun.state.name()
            );
        }
        let waiting = claimed().after(Event::PostAnswered(Err(failure(FailureClass::NotSent))), 2);
        assert_eq!(
            waiting.apply(event(), &policy(), 1.0, &moment(9).into()),
            Err(TransitionError::WriteBegun)
        );
    }
    let own = Event::Superseded { by: sample_posting().revision };
    assert!(sample_posting().apply(own, &policy(), 1.0, &moment(1).into()).is_err());
}

fn closed_by_kim(reported: bool) -> Event {
    Event::Handled { note: "looked at it".to_owned(), by: "kim".to_owned(), reported, left_to: None }
}

#[test]
fn what_may_be_in_the_erp_is_never_closed_as_reported_and_what_was_reported_is_not_there() {
    let reported =
        sample_posting().after(Event::Held(vec![conflict_like()]), 1).after(closed_by_kim(true), 2);
    assert!(reported.is_reported_failed() && !reported.may_be_in_erp() && !reported.is_open());
    let by_hand = sample_posting().after(closed_by_kim(false), 1);
    assert!(!by_hand.is_reported_failed() && by_hand.may_be_in_erp());
    let half = sample_posting().after(Event::HeldUnfinished(vec![conflict_like()]), 1);
    for held in [half, sample_posting().after(looked(different(), true), 1)] {
        let refused = held.apply(closed_by_kim(true), &policy(), 1.0, &moment(2).into());
        assert_eq!(refused, Err(TransitionError::MayBeBooked));
        assert!(held.after(closed_by_kim(false), 2).may_be_in_erp());
    }
}

#[test]
fn a_mark_is_given_up_by_a_person_only_after_it_has_failed() {
    let posted = claimed().after(Event::PostAnswered(Ok(receipt())), 2);
    let already = Err(TransitionError::AlreadyPosted { receipt: receipt() });
    assert_eq!(posted.apply(closed_by_kim(false), &policy(), 1.0, &moment(3).into()), already);
    let failed = posted.after(Event::AcknowledgeFailed(failure(FailureClass::Unavailable)), 3);
    assert_eq!(failed.apply(closed_by_kim(true), &policy(), 1.0, &moment(4).into()), already);
    let closed = failed.after(closed_by_kim(false), 4);
    let PostingState::Acknowledged { receipt: kept, posted_at, at, unmarked } = &closed.state else {
        panic!("{closed:?}")
    };
    assert_eq!((kept, *posted_at, *at), (&receipt(), moment(2), moment(4)));
    assert_eq!(unmarked.as_deref(), Some("looked at it"));
    assert_eq!((closed.due_at(), closed.next_action(moment(9999))), (None, NextAction::Nothing));
}

#[test]
fn a_due_time_that_no_delay_can_have_set_is_due() {
    let (now, day) = (moment(0), 24 * 3600);
    for (ahead, due) in [(-1, true), (0, true), (1, false), (day, false), (day + 1, true), (365 * day, true)]
    {
        assert_eq!(is_due(moment(ahead), now), due, "{ahead} s ahead");
    }
    assert!(!is_due(Timestamp::MAX_UTC, Timestamp::MAX_UTC - TimeDelta::seconds(1)));
}

#[test]
fn delays_survive_absurd_policies() {
    let absurd = PostingPolicy {
        settle_window: TimeDelta::MAX,
        settle_interval: TimeDelta::MAX,
        max_failures: u32::MAX,
        backoff_base: TimeDelta::MIN,
        backoff_max: TimeDelta::MAX,
        rewrite_without_uniqueness: true,
    };
    for jitter in [f64::NAN, f64::INFINITY, -1.0, 0.0, 2.0] {
        for now in [Timestamp::MIN_UTC, moment(0), Timestamp::MAX_UTC] {
            for event in [
                looked(LookUp::Absent, false),
                Event::LookUpFailed(failure(FailureClass::NotSent)),
                Event::LookUpFailed(failure(FailureClass::Throttled { until: Timestamp::MIN_UTC })),
            ] {
                assert!(in_doubt().apply(event, &absurd, jitter, &now.into()).unwrap().due_at().is_some());
            }
        }
    }
}

#[test]
fn postings_survive_being_stored() {
    let conflict = sample_posting().after(looked(different(), true), 1);
    for posting in
        [sample_posting(), claimed(), in_doubt(), conflict, sample_posting().after(closed_by_kim(true), 1)]
    {
        let stored = serde_json::to_vec(&posting).unwrap();
        assert_eq!(serde_json::from_slice::<Posting>(&stored).unwrap(), posting);
    }
}

fn some_failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        Just(FailureClass::NotSent),
        Just(FailureClass::Rejected { findings: vec![] }),
        Just(FailureClass::Unauthorised),
        (0_i64..2000).prop_map(|seconds| FailureClass::Throttled { until: moment(seconds) }),
        Just(FailureClass::InDoubt),
        Just(FailureClass::Unavailable),
    ]
    .prop_map(failure)
}

fn some_event() -> impl Strategy<Value = Event> {
    let found = prop_oneof![3 => Just(LookUp::Absent), 1 => Just(complete()), 1 => Just(unfinished()), 1 => Just(different())];
    prop_oneof![
        6 => Just(Event::Claimed),
        8 => (found, any::<bool>()).prop_map(|(found, unique)| looked(found, unique)),
        2 => some_failure().prop_map(Event::LookUpFailed),
        1 => some_failure().prop_map(Event::PutOff),
        4 => some_failure().prop_map(|failure| Event::PostAnswered(Err(failure))),
        1 => Just(Event::PostAnswered(Ok(receipt()))),
        2 => Just(Event::Recovered),
        1 => Just(Event::Released),
        1 => Just(Event::Acknowledged),
        1 => some_failure().prop_map(Event::AcknowledgeFailed),
        1 => Just(Event::Held(vec![conflict_like()])),
        2 => Just(Event::Replay),
        1 => any::<bool>().prop_map(closed_by_kim),
        1 => Just(Event::Superseded { by: Revision::from("2") }),
        1 => Just({
            let posting = sample_posting();
            Event::Replanned(posting.plan.unwrap(), posting.document)
        }),
    ]
}

fn conflict_like() -> Finding {
    Finding::document(FindingCode::GuardRail, "total", "", "too much", "raise it")
}

/// What an observer knows, told by the outcome table and not by the code under test.
#[derive(Default)]
struct Observer {
    /// A write may have taken effect since this moment.
    unknown_since: Option<Timestamp>,
    empty: Vec<Timestamp>,
}

impl Observer {
    fn watch(&mut self, before: &Posting, event: &Event, policy: &PostingPolicy, now: Timestamp) {
        let settled = self.unknown_since.is_some_and(|since| now - since >= policy.settle_window);
        match event {
            Event::Claimed => {
                assert_eq!(self.unknown_since, None, "claimed while an earlier write may have taken effect");
                *self = Observer { unknown_since: Some(now), empty: vec![] };
            }
            Event::PostAnswered(Err(failure)) => match failure.class {
                FailureClass::InDoubt | FailureClass::Unavailable => {}
                FailureClass::NotSent
                | FailureClass::Rejected { .. }
                | FailureClass::Unauthorised
                | FailureClass::Throttled { .. } => self.unknown_since = None,
            },
            Event::PostAnswered(Ok(_)) | Event::Released => self.unknown_since = None,
            Event::LookedUp { found: LookUp::Absent, unique } if settled => {
                if self.empty.last().is_none_or(|last| now - *last >= policy.settle_interval) {
                    self.empty.push(now);
                }
                if self.empty.len() >= 2 && (*unique || policy.rewrite_without_uniqueness) {
                    self.unknown_since = None;
                }
            }
            Event::LookedUp { found: LookUp::Unfinished { .. }, .. } if settled => self.unknown_since = None,
            Event::LookedUp { found: LookUp::Complete { .. } | LookUp::Different { .. }, .. } => {
                self.unknown_since = None;
            }
            // The decision of a person.
            Event::Replay if matches!(before.state, PostingState::Held(_)) => self.unknown_since = None,
            Event::LookedUp { .. }
            | Event::LookUpFailed(_)
            | Event::PutOff(_)
            | Event::OutOfDate(_)
            | Event::HeldUnfinished(_)
            | Event::Recovered
            | Event::Acknowledged
            | Event::AcknowledgeFailed(_)
            | Event::Replanned(..)
            | Event::Held(_)
            | Event::Replay
            | Event::Handled { .. }
            | Event::Superseded { .. } => {}
        }
    }
}

/// Either what a flow does next, with answers drawn at random, or any event at all.
#[derive(Clone, Debug)]
enum Step {
    Flow { found: LookUp, unique: bool, failure: Failure },
    Any(Event),
}

impl Step {
    fn events(&self, posting: &Posting, now: Timestamp) -> Vec<Event> {
        match self {
            Self::Any(event) => vec![event.clone()],
            Self::Flow { found, unique, failure } => {
                let look_up = looked(found.clone(), *unique);
                match posting.next_action(now) {
                    NextAction::LookUpThenClaim => vec![look_up, Event::Claimed],
                    NextAction::LookUp => vec![look_up],
                    NextAction::Acknowledge => vec![Event::AcknowledgeFailed(failure.clone())],
                    NextAction::WaitUntil(_) => vec![],
                    NextAction::Nothing => vec![Event::PostAnswered(Err(failure.clone())), Event::Replay],
                }
            }
        }
    }
}

fn some_step() -> impl Strategy<Value = Step> {
    let found = prop_oneof![12 => Just(LookUp::Absent), 1 => Just(complete()), 1 => Just(unfinished())];
    let failure = prop_oneof![2 => Just(failure(FailureClass::InDoubt)), 1 => some_failure()];
    prop_oneof![
        5 => (found, any::<bool>(), failure).prop_map(|(found, unique, failure)| Step::Flow { found, unique, failure }),
        1 => some_event().prop_map(Step::Any),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_sequence_of_events_writes_twice_or_loses_a_receipt(
        steps in prop::collection::vec((some_step(), 0_i64..60, 0.0_f64..1.0), 1..60),
        rewrite_without_uniqueness: bool,
    ) {
        let policy = PostingPolicy { rewrite_without_uniqueness, ..policy() };
        let mut posting = sample_posting();
        let mut observer = Observer::default();
        let mut now = moment(0);
        for (step, seconds, jitter) in steps {
            now += TimeDelta::seconds(seconds);
            for event in step.events(&posting, now) {
                let Ok(next) = posting.apply(event.clone(), &policy, jitter, &now.into()) else { continue };
                observer.watch(&posting, &event, &policy, now);
                check_transition(&posting, &event, &next, now)?;
                posting = next;
            }
        }
    }
}

fn check_transition(
    before: &Posting,
    event: &Event,
    next: &Posting,
    now: Timestamp,
) -> Result<(), TestCaseError> {
    if let Some(receipt) = before.state.receipt() {
        prop_assert_eq!(next.state.receipt(), Some(receipt), "a receipt was lost by {}", event.name());
    }
    if let PostingState::Held(hold) = &next.state {
        prop_assert!(!hold.findings.is_empty());
    }
    let begun = matches!(before.state, PostingState::Claimed { .. } | PostingState::InDoubt { .. });
    prop_assert!(next.is_open() || !begun, "closed by {} while in doubt", event.name());
    if let Some(due) = next.due_at() {
        let action = next.next_action(due);
        prop_assert!(!matches!(action, NextAction::Nothing | NextAction::WaitUntil(_)));
    }
    if matches!(event, Event::Handled { reported: true, .. }) {
        prop_assert!(!before.may_be_in_erp(), "reported as not exported while {}", before.state.name());
    }
    prop_assert_eq!(next.updated_at, now);
    Ok(())
}
