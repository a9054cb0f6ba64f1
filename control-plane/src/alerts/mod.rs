//! Alerts: what operators are told without asking. [`rules`] say from facts what is wrong, [`state`] says when that is
//! worth a message, [`message`] and [`digest`] say it in words. All of it is pure; `notify` reads the facts and sends.
//!
//! Messages carry counts and the names of agents, connections and flows; nothing that a vendor or a person wrote.

pub mod digest;
pub mod message;
pub mod rules;
pub mod state;

#[cfg(test)]
mod tests;

use std::fmt;

/// What alerts are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An agent has not been heard from.
    AgentOffline,
    /// A credential is about to die.
    CredentialExpiring,
    /// More postings of a flow are held than is usual.
    Holds,
    /// Somebody tries what they must not.
    SecurityEvent,
    /// An agent's audit trail is shorter than it was.
    AuditWentBack,
    /// An agent does not take its configuration.
    ConfigurationRefused,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AgentOffline,
        Self::CredentialExpiring,
        Self::Holds,
        Self::SecurityEvent,
        Self::AuditWentBack,
        Self::ConfigurationRefused,
    ];

    /// Stable word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AgentOffline => "agent-offline",
            Self::CredentialExpiring => "credential-expiring",
            Self::Holds => "holds",
            Self::SecurityEvent => "security-event",
            Self::AuditWentBack => "audit-went-back",
            Self::ConfigurationRefused => "configuration-refused",
        }
    }

    /// The kind of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// In words, for many at once.
    pub const fn many(self) -> &'static str {
        match self {
            Self::AgentOffline => "agents have not been heard from",
            Self::CredentialExpiring => "credentials are about to expire",
            Self::Holds => "flows hold many postings",
            Self::SecurityEvent => "security events",
            Self::AuditWentBack => "audit trails are shorter than they were",
            Self::ConfigurationRefused => "agents refuse their configuration",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
