//! Real agents killed with SIGKILL at random moments. `PURSER_KILLS=1000` asks for more than the hundred of every day;
//! `sandbox crash` is the same for people.

use sandbox::crash::{CrashOptions, CrashReport, Mode, torment};
use sandbox::harness::Route;

/// Kills when nobody asks for more, shared out over modes and flows.
const KILLS: usize = 100;

async fn killed(mode: Mode) {
    let asked = std::env::var("PURSER_KILLS").ok().map(|text| text.parse::<usize>().unwrap());
    let share = asked.unwrap_or(KILLS).div_ceil(Mode::ALL.len() * Route::ALL.len());
    let kills = u32::try_from(share).unwrap();
    let mut report = CrashReport::default();
    for route in Route::ALL {
        let options = CrashOptions { kills, seed: 1, reports: 30, route, mode };
        let told = |report: &CrashReport| eprintln!("{}: {} of {kills}", route.flow(), report.kills);
        let one = torment(options, &told).await.unwrap();
        eprintln!("{}, {}: {one}", route.flow(), mode.words());
        assert_eq!(one.kills, kills);
        assert!(one.is_sound(), "{one}");
        report.add(one);
    }
    assert!(
        report.fell.keys().any(|state| state.starts_with("claimed")),
        "no kill fell into a write: {report}"
    );
}

/// Product §5.1, §5.2, §5.4.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_agents_book_each_invoice_once_where_the_erp_refuses_duplicates() {
    killed(Mode::Refused).await;
}

/// Product §5.2, §5.3: the ERP does not help.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_agents_book_each_invoice_once_where_the_erp_takes_a_number_again() {
    killed(Mode::Taken).await;
}

/// Product §5.2, §5.3: nothing about a journal is unique.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_agents_book_each_journal_once_though_nothing_about_it_is_unique() {
    killed(Mode::Journals).await;
}
