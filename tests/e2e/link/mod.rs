//! The link from end to end: real agents, the real control plane, the simulators of the vendors. One list of tests runs on
//! SQLite and on PostgreSQL with two nodes.

mod clones;
mod commanding;
mod configuring;
mod desk;
mod enrolling;
mod hand;
mod hooks;
mod hostile;
mod killed;
mod leaks;
mod outage;
mod restoring;
mod site;

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
    enrolling: of_a_hundred_that_use_one_code_one_wins, a_request_counts_once_on_whichever_node,
        a_code_is_typed_as_people_type;
    configuring: a_revision_is_put_in_force_and_a_refused_one_keeps_the_last_good,
        an_agent_without_a_file_works_by_revision_and_sealed_secrets_alone;
    hooks: a_signed_webhook_leads_to_a_document, senders_are_never_told_that_an_event_is_lost;
    commanding: a_held_record_is_replayed_from_afar_and_booked,
        what_a_machine_does_not_allow_is_refused_and_the_rest_is_answered;
    outage: a_node_that_is_killed_under_load_loses_nothing_and_the_agent_works_on,
        an_agent_works_and_reports_later_when_nobody_answers;
    clones: a_copy_of_an_agent_stops_and_both_sides_say_so;
    leaks: nothing_secret_is_left_at_the_control_plane;
}
