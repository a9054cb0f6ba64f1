//! The link from end to end: real agents, the real control plane, the simulators of the vendors. One list of tests runs on
//! SQLite and on PostgreSQL with two nodes.

mod enrolling;
mod hand;
mod hostile;

/// Each test on both databases.
macro_rules! on_both {
    ($($file:ident: $($name:ident),+;)+) => {
        mod sqlite {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$file::$name(sandbox::harness::ControlOptions::Sqlite).await;
                }
            )+)+
        }
        mod postgres {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$file::$name(sandbox::harness::ControlOptions::Postgres).await;
                }
            )+)+
        }
    };
}

on_both! {
    enrolling: of_a_hundred_that_use_one_code_one_wins, a_request_counts_once_on_whichever_node;
}
