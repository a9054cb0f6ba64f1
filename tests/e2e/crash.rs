//! Real agents killed with SIGKILL at random moments. `PURSER_KILLS=1000` asks for more than the hundred of every day;
//! `sandbox crash` is the same for people.

use sandbox::crash::{CrashOptions, Mode, torment};

/// Kills of one mode when nobody asks for more; three modes make a hundred.
const KILLS: u32 = 34;

async fn killed(mode: Mode) {
    let asked = std::env::var("PURSER_KILLS").ok().map(|text| text.parse::<u32>().unwrap());
    let kills = asked.map_or(KILLS, |all| all.div_ceil(3));
    let options = CrashOptions { kills, seed: 1, reports: 30, mode };
    let report = torment(options, &|report| eprintln!("{} of {kills} kills", report.kills)).await.unwrap();
    eprintln!("{}: {report}", mode.words());
    assert_eq!(report.kills, kills);
    assert!(report.is_sound(), "{report}");
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
