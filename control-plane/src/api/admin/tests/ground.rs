//! Where a world stands: on a SQLite file of its own or on a PostgreSQL database of its own. What the tests of this folder
//! that are on the list below say holds on both.

use super::world::World;
use super::{audited, once, routes, work};
#[cfg(unix)]
use crate::testing::Postgres;

/// Makes worlds on one engine.
pub(super) enum Ground {
    Sqlite,
    #[cfg(unix)]
    Postgres(Postgres),
}

impl Ground {
    /// A new world.
    pub(super) async fn world(&self) -> World {
        match self {
            Self::Sqlite => World::new().await,
            #[cfg(unix)]
            Self::Postgres(server) => World::on(&server.database().await).await,
        }
    }
}

macro_rules! list {
    ($($file:ident :: $name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[actix_web::test]
            async fn $name() {
                super::$file::$name(&super::Ground::Sqlite).await;
            })*
        }

        /// One server for all of them.
        #[cfg(unix)]
        #[actix_web::test]
        async fn everything_of_the_list_holds_on_postgresql() {
            let ground = Ground::Postgres(Postgres::start().await);
            $(
                eprintln!(stringify!($name));
                $file::$name(&ground).await;
            )*
        }
    };
}

list! {
    audited::every_change_that_the_document_names_leaves_an_entry_and_no_reading_does,
    routes::nobody_gets_in_without_a_credential,
    routes::no_page_of_strangers_changes_anything,
    routes::things_of_another_tenant_do_not_exist,
    routes::naming_another_tenant_helps_nobody_but_the_fleet,
    routes::every_route_keeps_the_table_of_roles_and_scopes,
    routes::what_is_no_route_is_a_problem_document,
    routes::a_method_that_an_address_does_not_have_is_refused_with_those_that_it_has,
    work::a_configuration_is_checked_planned_made_compared_exported_and_rolled_back,
    work::a_template_is_rolled_to_its_agents_or_to_none,
    work::the_address_of_a_hook_is_shown_once_and_nowhere_else,
    work::who_runs_agents_and_who_decides_about_postings_ask_for_different_things,
    work::a_sealed_secret_is_passed_on_and_not_shown,
    work::an_agent_is_approved_by_its_fingerprint_revoked_and_then_removed,
    once::the_same_create_with_the_same_key_is_done_once,
    once::what_was_shown_once_is_not_shown_to_another_session_of_the_same_person,
    once::the_address_of_a_hook_is_kept_nowhere_also_not_to_be_answered_again,
    once::a_key_is_forgotten_after_a_day_and_a_failed_create_keeps_none,
    once::twenty_at_once_with_one_key_create_one_thing,
    once::a_token_lives_until_it_is_revoked_expires_or_its_owner_may_not_log_in,
    once::nobody_gives_a_token_more_than_they_have,
    once::a_change_of_role_ends_sessions_and_the_last_owner_stays,
    once::every_change_is_in_the_audit_log_and_the_log_is_whole,
    once::the_database_refuses_to_change_the_audit_log_and_a_forged_one_is_noticed,
    once::lists_are_read_page_by_page,
}
