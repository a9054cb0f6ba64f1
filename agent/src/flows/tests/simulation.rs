//! Thirty days at many seeds: new reports, edits, faults at every call, deaths, clock steps, late commits, and people who
//! decide. A failure
//! prints its seed; `PURSER_SEED=<n>` replays one and prints its trace, `PURSER_SEEDS=<n>` sets how many are run.
//!
//! What is drawn once per seed: how likely each fault is, whether the ERP refuses duplicates, whether a rewrite
//! without that rule is allowed, batch and page size. The agent's wall clock is set by an hour now and then, forwards
//! and backwards, while the ERP's time goes on evenly: that must not shorten the settle window, on which everything
//! rests where rewriting without uniqueness is allowed. After a death the machine itself has sometimes started again.
//!
//! Density: about one new report, one run and a half and one edit a day, so that a thousand seeds take some two minutes
//! on two cores in a build without optimisation.

use super::faults::{Call, Fault};
use super::invariants::breaches;
use super::world::{Ended, World, document, moment, set_amount};
use crate::flows::replay::Decision;
use chrono::TimeDelta;
use fastrand::Rng;
use spend::ids::SourceId;
use spend::posting::{FailureClass, Posting, PostingState};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const DAYS: i64 = 30;

/// What a seed draws once.
#[derive(Debug)]
struct Temper {
    fault: f64,
    death: f64,
    unique: bool,
    rewrite: bool,
    clock_steps: bool,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn simulation_of_30_days_over_many_seeds() {
    if let Some(seed) = number("PURSER_SEED") {
        let (breaches, trace) = simulate(seed);
        println!("{}", trace.join("\n"));
        assert!(breaches.is_empty(), "seed {seed}:\n{}", breaches.join("\n"));
        return;
    }
    let seeds = number("PURSER_SEEDS").unwrap_or(1000);
    let (next, failed) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds {
                        break;
                    }
                    let outcome = std::panic::catch_unwind(|| simulate(seed).0);
                    let breaches = outcome.unwrap_or_else(|_| vec!["a panic, see above".to_owned()]);
                    if !breaches.is_empty() {
                        println!("seed {seed}: {}", breaches.join("\n"));
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "replay with PURSER_SEED=<n>: {failed:?}");
}

fn simulate(seed: u64) -> (Vec<String>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut trace = Vec::new();
    let breaches = runtime.block_on(days(seed, &mut trace));
    (breaches, trace)
}

async fn days(seed: u64, trace: &mut Vec<String>) -> Vec<String> {
    let mut rng = Rng::with_seed(seed);
    let temper = Temper {
        fault: [0.0, 0.02, 0.1, 0.3][rng.usize(..4)],
        death: [0.0, 0.01, 0.05][rng.usize(..3)],
        unique: rng.bool(),
        rewrite: rng.bool(),
        clock_steps: rng.bool(),
    };
    trace.push(format!("{temper:?}"));
    let mut world = World::new();
    world.seed = seed;
    *world.source.failures.lock().unwrap() = Some(BTreeMap::new());
    world.erp.books().unique = temper.unique;
    world.settings.posting.rewrite_without_uniqueness = temper.rewrite;
    world.settings.batch_size = rng.usize(1..6);
    world.settings.page_size = rng.u32(1..8);
    world.settings.reread_after = TimeDelta::seconds(*rng.choice(&[0, 900, 86_400]).unwrap());
    let mut created = 0;
    for day in 0..DAYS {
        morning(&world, &mut rng, &mut created, trace);
        people(&world, &mut rng, trace).await;
        script(&world, &temper, rng.u64(..));
        for _ in 0..rng.u32(1..3) {
            step_clock(&world, &temper, &mut rng, trace);
            let ended = world.run_or_die().await;
            if matches!(ended, Ended::Died) && rng.bool() {
                world.clock.reboot();
                trace.push("the machine starts again".to_owned());
            }
            trace.push(format!("day {day}: {}", told(&ended)));
            world.pass(*rng.choice(&[1, 7, 40, 150, 3600]).unwrap());
            if rng.u32(..4) == 0 {
                edit(&world, &mut rng, created, trace);
            }
        }
        world.until_morning(day + 1);
    }
    world.faults.clear();
    give_back(&world);
    // What a clock that was set back has put off comes due.
    world.pass(2 * 3600);
    world.until_quiet().await;
    trace.push("quiet".to_owned());
    breaches(&world, &justified(&temper))
}

/// Why a posting may wait for a person in this world.
fn justified(temper: &Temper) -> Vec<&'static str> {
    let mut codes = vec!["changed-after-posting", "category-unmapped"];
    if temper.fault > 0.0 {
        codes.extend(["erp-refused", "attempts-exhausted"]);
    }
    if !temper.unique && !temper.rewrite {
        codes.push("outcome-unknown");
    }
    codes
}

fn morning(world: &World, rng: &mut Rng, created: &mut u32, trace: &mut Vec<String>) {
    for _ in 0..rng.u32(..3) {
        *created += 1;
        // Sources tell of an approval up to three days late.
        let day = world.time.now().date_naive() - chrono::Days::new(rng.u64(..4));
        let mut report = document(&format!("R{created}"), day, rng.i64(1..1_000_000));
        if rng.u32(..12) == 0 {
            report.lines[0].category = Some("Unheard of".to_owned());
        }
        trace.push(format!("new {} of {}: {}", report.source_id, day, report.total_or_zero()));
        world.source.put(report);
    }
    if rng.bool() {
        edit(world, rng, *created, trace);
    }
    give_back(world);
    if rng.u32(..3) == 0 {
        meddle(world, rng, *created, trace);
    }
}

/// People look at what waits for them: one record is reported as not exported, or a mark that has failed is given up; and
/// what was reported may be sent back, as it was or edited since.
async fn people(world: &World, rng: &mut Rng, trace: &mut Vec<String>) {
    let waits = |posting: &Posting| {
        matches!(&posting.state, PostingState::Held(_) | PostingState::Posted { ack_attempts: 1.., .. })
    };
    let waiting: Vec<Posting> = world.postings().into_iter().filter(waits).collect();
    if let Some(posting) = rng.choice(&waiting).filter(|_| rng.u32(..3) == 0) {
        let decision = Decision { by: "ann".to_owned(), note: "looked at it".to_owned() };
        world.faults.clear();
        let flow = world.flow();
        let decided = match posting.state.receipt() {
            None => flow.report_and_handle(&posting.key, &decision).await,
            Some(_) => flow.handle(&posting.key, &decision).await,
        };
        trace.push(format!("{} decided: {:?}", posting.source_id, decided.unwrap()));
    }
    let failed = world.source.records().values().filter(|record| record.failed).cloned().collect::<Vec<_>>();
    for record in failed.iter().filter(|_| rng.u32(..3) == 0) {
        let id = &record.document.source_id;
        world.source.offer_again(id.as_str(), world.time.now().date_naive());
        trace.push(format!("offered again {id}"));
    }
}

/// Somebody withdraws a record until the next morning, or exports one that is not booked by any other way than this
/// flow.
fn meddle(world: &World, rng: &mut Rng, created: u32, trace: &mut Vec<String>) {
    if created == 0 {
        return;
    }
    let id = format!("R{}", created.saturating_sub(rng.u32(..4)).max(1));
    if rng.bool() {
        world.source.with(&id, |record| record.gone = true);
        trace.push(format!("withdrawn {id}"));
    } else if !world.source.marked().contains(&id) && !world.is_in_erp(&id) {
        world.source.export_elsewhere(&id);
        trace.push(format!("exported elsewhere {id}"));
    }
}

fn give_back(world: &World) {
    for record in world.source.records().values_mut() {
        record.gone = false;
    }
}

/// A new amount, a mended category, or the way it was before.
fn edit(world: &World, rng: &mut Rng, created: u32, trace: &mut Vec<String>) {
    if created == 0 {
        return;
    }
    let id = format!("R{}", created.saturating_sub(rng.u32(..6)).max(1));
    let history: Vec<i64> =
        world.source.records()[&SourceId::from(id.as_str())].history.values().map(|m| m.minor).collect();
    let what = rng.u32(..3);
    let cents = if what == 0 { rng.i64(1..1_000_000) } else { *rng.choice(&history).unwrap() };
    world.source.edit(&id, |document| {
        set_amount(document, cents);
        if what == 2 {
            document.lines[0].category = Some("Travel".to_owned());
        }
    });
    trace.push(format!("edit {id}: {cents}"));
}

fn step_clock(world: &World, temper: &Temper, rng: &mut Rng, trace: &mut Vec<String>) {
    if !temper.clock_steps || rng.u32(..15) != 0 {
        return;
    }
    let forwards = rng.bool();
    let ahead = world.clock.now() > world.time.now();
    // One hour off at most.
    let hours = if forwards && !ahead { 1 } else { -1 };
    if hours < 0 && world.clock.now() < world.time.now() {
        return;
    }
    world.clock.set_by(TimeDelta::hours(hours));
    trace.push(format!("the clock is set by {hours} h"));
}

fn script(world: &World, temper: &Temper, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let (fault, death) = (temper.fault, temper.death);
    let now = world.clock.clone();
    world.faults.script(move |_, call| {
        if rng.f64() < death {
            return if rng.bool() { Fault::DieBefore } else { Fault::DieAfter };
        }
        if rng.f64() >= fault {
            return Fault::None;
        }
        let until = now.now() + TimeDelta::seconds(rng.i64(1..600));
        match (rng.u32(..9), call) {
            (0, _) => Fault::Fail(FailureClass::NotSent),
            (1, _) => Fault::Fail(FailureClass::Unauthorised),
            (2, _) => Fault::Fail(FailureClass::Throttled { until }),
            (3, Call::Post) => Fault::Fail(FailureClass::Rejected { findings: Vec::new() }),
            (3 | 4, Call::Acknowledge) => Fault::MarkLost,
            (5, Call::Acknowledge) => Fault::MarkSome,
            (4, Call::Post) => Fault::Half,
            (5 | 6, Call::Post) => Fault::Late(TimeDelta::seconds(rng.i64(1..120))),
            (7, Call::Post) => Fault::Fail(FailureClass::InDoubt),
            (_, Call::Post | Call::Acknowledge) => Fault::LostAnswer,
            _ => Fault::Fail(FailureClass::Unavailable),
        }
    });
}

fn told(ended: &Ended) -> String {
    match ended {
        Ended::Died => "died".to_owned(),
        Ended::Report(r) => format!(
            "read {} new {} posted {} adopted {} marked {} held {} in doubt {} waiting {} errors {}",
            r.read,
            r.new,
            r.posted,
            r.adopted,
            r.acknowledged,
            r.held,
            r.in_doubt,
            r.waiting,
            r.errors.len()
        ),
    }
}

/// The simulation can fail: an ERP that takes a write twice is noticed.
#[tokio::test]
async fn a_doubled_document_is_a_breach() {
    let mut world = World::new();
    world.erp.books().unique = false;
    world.report("R1", 100);
    world.run().await;
    assert!(breaches(&world, &[]).is_empty());
    let copy = world.erp.documents().remove(0);
    world.erp.books().documents.push(copy);
    assert!(breaches(&world, &[]).iter().any(|breach| breach.contains("DOUBLED")));
    world.erp.books().documents.clear();
    assert!(breaches(&world, &[]).iter().any(|breach| breach.contains("not in the ERP")));
    assert!(world.clock.now() >= moment("2026-01-15T08:00:00Z"));
}
