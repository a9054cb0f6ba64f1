//! What people and tokens may do: one table. A role is a column, a permission a row; a route asks for a permission and
//! never for a role.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// What a person is within a tenant, or within the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything, people included.
    Owner,
    /// Runs the agents: configuration, secrets, hooks, technical commands. Decides nothing about postings.
    Operator,
    /// Decides about postings: previews, runs, replays, handles.
    Finance,
    /// Looks.
    Viewer,
    /// Looks at everything, the audit log and people included.
    Auditor,
}

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// See the tenants of the fleet.
    TenantsRead,
    /// Create, rename and close tenants.
    TenantsWrite,
    /// See people.
    UsersRead,
    /// Create, change and remove people, end their sessions.
    UsersWrite,
    /// See the tokens of others.
    TokensRead,
    /// Revoke the tokens of others.
    TokensWrite,
    /// See enrollment codes and their fate, never their text.
    CodesRead,
    /// Create and revoke enrollment codes.
    CodesWrite,
    /// See agents and what they report.
    AgentsRead,
    /// Approve, rename, revoke and delete agents.
    AgentsWrite,
    /// See configurations and templates.
    ConfigurationRead,
    /// Make revisions, templates and rollbacks.
    ConfigurationWrite,
    /// See which sealed secrets wait.
    SecretsRead,
    /// Hand in sealed secrets.
    SecretsWrite,
    /// See hooks, never their addresses.
    HooksRead,
    /// Create, disable, rotate and delete hooks.
    HooksWrite,
    /// See commands and what came of them.
    CommandsRead,
    /// Show and start runs.
    CommandsRun,
    /// Pause, resume, test, refresh, gather diagnostics, rotate keys.
    CommandsOperate,
    /// Replay and handle held postings.
    CommandsDecide,
    /// See what agents and the control plane point out.
    NoticesRead,
    /// See alerts and who is told.
    AlertsRead,
    /// Change from when on something is an alert, and who is told.
    AlertsWrite,
    /// Read the admin audit log.
    AuditRead,
}

use Permission as P;
use Role as R;

/// Which roles have which permission. Everything that is not named is refused.
const TABLE: [(Permission, &[Role]); 24] = [
    (P::TenantsRead, &[R::Owner, R::Operator, R::Auditor]),
    (P::TenantsWrite, &[R::Owner, R::Operator]),
    (P::UsersRead, &[R::Owner, R::Auditor]),
    (P::UsersWrite, &[R::Owner]),
    (P::TokensRead, &[R::Owner, R::Auditor]),
    (P::TokensWrite, &[R::Owner]),
    (P::CodesRead, &[R::Owner, R::Operator, R::Auditor]),
    (P::CodesWrite, &[R::Owner, R::Operator]),
    (P::AgentsRead, &[R::Owner, R::Operator, R::Finance, R::Viewer, R::Auditor]),
    (P::AgentsWrite, &[R::Owner, R::Operator]),
    (P::ConfigurationRead, &[R::Owner, R::Operator, R::Finance, R::Viewer, R::Auditor]),
    (P::ConfigurationWrite, &[R::Owner, R::Operator]),
    (P::SecretsRead, &[R::Owner, R::Operator, R::Auditor]),
    (P::SecretsWrite, &[R::Owner, R::Operator]),
    (P::HooksRead, &[R::Owner, R::Operator, R::Viewer, R::Auditor]),
    (P::HooksWrite, &[R::Owner, R::Operator]),
    (P::CommandsRead, &[R::Owner, R::Operator, R::Finance, R::Viewer, R::Auditor]),
    (P::CommandsRun, &[R::Owner, R::Operator, R::Finance]),
    (P::CommandsOperate, &[R::Owner, R::Operator]),
    (P::CommandsDecide, &[R::Owner, R::Finance]),
    (P::NoticesRead, &[R::Owner, R::Operator, R::Finance, R::Viewer, R::Auditor]),
    (P::AlertsRead, &[R::Owner, R::Operator, R::Finance, R::Viewer, R::Auditor]),
    (P::AlertsWrite, &[R::Owner, R::Operator]),
    (P::AuditRead, &[R::Owner, R::Auditor]),
];

impl Role {
    /// All of them, the mightiest first.
    pub const ALL: [Self; 5] = [R::Owner, R::Operator, R::Finance, R::Viewer, R::Auditor];

    /// Whether the table gives this role the permission.
    pub fn may(self, permission: Permission) -> bool {
        TABLE.iter().any(|(row, roles)| *row == permission && roles.contains(&self))
    }

    /// The word in the API and in the store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Finance => "finance",
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
        }
    }

    /// The role of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::of(word)
            .ok_or_else(|| format!("`{word}` is no role; write owner, operator, finance, viewer or auditor"))
    }
}

impl Permission {
    /// All of them, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(permission, _)| *permission)
    }

    /// The word in the API and in the store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::TenantsRead => "tenants-read",
            Self::TenantsWrite => "tenants-write",
            Self::UsersRead => "users-read",
            Self::UsersWrite => "users-write",
            Self::TokensRead => "tokens-read",
            Self::TokensWrite => "tokens-write",
            Self::CodesRead => "codes-read",
            Self::CodesWrite => "codes-write",
            Self::AgentsRead => "agents-read",
            Self::AgentsWrite => "agents-write",
            Self::ConfigurationRead => "configuration-read",
            Self::ConfigurationWrite => "configuration-write",
            Self::SecretsRead => "secrets-read",
            Self::SecretsWrite => "secrets-write",
            Self::HooksRead => "hooks-read",
            Self::HooksWrite => "hooks-write",
            Self::CommandsRead => "commands-read",
            Self::CommandsRun => "commands-run",
            Self::CommandsOperate => "commands-operate",
            Self::CommandsDecide => "commands-decide",
            Self::NoticesRead => "notices-read",
            Self::AlertsRead => "alerts-read",
            Self::AlertsWrite => "alerts-write",
            Self::AuditRead => "audit-read",
        }
    }

    /// The permission of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::all().find(|permission| permission.word() == word)
    }

    /// Whether it concerns people and what they did, whom the fleet has as well; everything else belongs to a tenant.
    pub const fn concerns_people(self) -> bool {
        matches!(
            self,
            Self::UsersRead | Self::UsersWrite | Self::TokensRead | Self::TokensWrite | Self::AuditRead
        )
    }

    /// Whether only people of the fleet can have it, whatever their role.
    pub const fn is_of_the_fleet(self) -> bool {
        matches!(self, Self::TenantsRead | Self::TenantsWrite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_is_in_the_table_once_and_every_word_is_read_back() {
        for (at, permission) in Permission::all().enumerate() {
            assert_eq!(Permission::all().position(|other| other == permission), Some(at));
            assert_eq!(Permission::of(permission.word()), Some(permission));
            assert_eq!(serde_json::to_value(permission).unwrap(), permission.word());
        }
        for role in Role::ALL {
            assert_eq!(role.word().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.word());
        }
        assert!("root".parse::<Role>().is_err());
    }

    #[test]
    fn an_owner_may_everything_and_those_who_look_change_nothing() {
        for permission in Permission::all() {
            assert!(Role::Owner.may(permission));
            if !permission.word().ends_with("-read") {
                assert!(!Role::Viewer.may(permission) && !Role::Auditor.may(permission), "{permission:?}");
            } else {
                assert!(Role::Auditor.may(permission), "{permission:?}");
            }
        }
    }

    #[test]
    fn who_runs_the_agents_does_not_decide_about_postings() {
        assert!(!Role::Operator.may(Permission::CommandsDecide));
        assert!(!Role::Operator.may(Permission::UsersWrite));
        assert!(Role::Finance.may(Permission::CommandsDecide));
        assert!(!Role::Finance.may(Permission::ConfigurationWrite));
        assert!(!Role::Finance.may(Permission::SecretsWrite));
    }
}
