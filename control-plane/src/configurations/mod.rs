//! Configurations of agents: checked by the agent's own code, kept as revisions that never change, made by hand or of a
//! template. Nothing here reaches an agent that a person has not made: a database that is empty, or was restored, hands out
//! nothing by itself.

pub mod diff;
pub mod template;

use crate::clock::{Clock, millis};
use crate::store::revisions::{self, NewRevision, RevisionRow};
use crate::store::{Store, StoreError, agents, templates};
use purser_proto::finding::ConfigFinding;
use std::collections::BTreeMap;

/// Why there is no new revision.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The text is refused.
    #[error("the configuration is refused: {} finding(s)", .0.len())]
    Refused(Vec<ConfigFinding>),
    /// The database, a missing thing, or somebody else who was faster.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What somebody wants an agent to work with.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whose agent.
    pub tenant: String,
    /// Which agent.
    pub agent: String,
    /// The configuration: the same TOML that an agent without a control plane reads.
    pub toml: String,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub note: String,
}

/// What a new revision would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The revision that it is compared with; 0 = there is none.
    pub base: i64,
    /// Every reason to refuse it; empty = it can be applied.
    pub findings: Vec<ConfigFinding>,
    /// The difference, line by line; empty = the same text.
    pub diff: String,
}

/// What a template makes of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Which agent.
    pub agent: String,
    /// The text, or why there is none.
    pub plan: Plan,
    /// The text.
    pub toml: String,
}

/// Revisions and templates over a store. Shared by cloning.
#[derive(Clone)]
pub struct Configurations {
    store: Store,
    clock: Clock,
}

/// Checks a text as the agent will.
pub fn findings(toml: &str) -> Vec<ConfigFinding> {
    purser::config::check(toml).err().unwrap_or_default()
}

impl Configurations {
    /// Over a store.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// What a text would change for an agent, without changing anything.
    ///
    /// # Errors
    /// [`StoreError`], also when the tenant has no such agent.
    pub async fn plan(&self, tenant: &str, agent: &str, toml: &str) -> Result<Plan, StoreError> {
        let mut connection = self.store.read().await?;
        agents::of(&mut connection, tenant, agent).await?;
        let newest = revisions::newest(&mut connection, tenant, agent).await?;
        drop(connection);
        let (base, text) = newest.map_or((0, String::new()), |newest| (newest.number, newest.toml));
        Ok(Plan { base, findings: findings(toml), diff: diff::lines(&text, toml) })
    }

    /// Makes the next revision of an agent; nothing, when the text is the newest one's.
    ///
    /// # Errors
    /// [`ConfigurationError`] with every finding.
    pub async fn apply(&self, wanted: Wanted) -> Result<Option<RevisionRow>, ConfigurationError> {
        self.revise(wanted, None).await
    }

    /// Makes a new revision with the text of an earlier one. That is done also when the text is the newest one's: it is
    /// what somebody asked for.
    ///
    /// # Errors
    /// [`ConfigurationError`]; an old text can be refused by a newer program.
    pub async fn roll_back(
        &self,
        tenant: &str,
        agent: &str,
        to: i64,
        by: &str,
        note: &str,
    ) -> Result<RevisionRow, ConfigurationError> {
        let old = revisions::of(&mut *self.store.read().await?, tenant, agent, to).await?;
        let wanted = Wanted {
            tenant: tenant.to_owned(),
            agent: agent.to_owned(),
            toml: old.toml,
            by: by.to_owned(),
            note: note.to_owned(),
        };
        let made = self.revise(wanted, Some(to)).await?;
        made.ok_or_else(|| StoreError::missing("revision", &to.to_string()).into())
    }

    async fn revise(
        &self,
        wanted: Wanted,
        rolls_back: Option<i64>,
    ) -> Result<Option<RevisionRow>, ConfigurationError> {
        let plan = self.plan(&wanted.tenant, &wanted.agent, &wanted.toml).await?;
        if !plan.findings.is_empty() {
            return Err(ConfigurationError::Refused(plan.findings));
        }
        if plan.base > 0 && plan.diff.is_empty() && rolls_back.is_none() {
            return Ok(None);
        }
        let Wanted { tenant, agent, toml, by, note } = wanted;
        let new = NewRevision { tenant, agent, toml, by, note, diff: plan.diff, base: plan.base, rolls_back };
        let now = millis(&self.clock);
        let op = self.store.write(move |tx| Box::pin(revisions::insert(tx, new, now)));
        Ok(Some(op.await?))
    }

    /// What a text of a template makes of each agent that uses it.
    ///
    /// # Errors
    /// [`StoreError`], also when the tenant has no such template.
    pub async fn plan_template(
        &self,
        tenant: &str,
        template: &str,
        toml: &str,
    ) -> Result<Vec<Rendered>, StoreError> {
        let users = {
            let mut connection = self.store.read().await?;
            let template = templates::of(&mut connection, tenant, template).await?;
            templates::users(&mut connection, tenant, &template.id).await?
        };
        let mut all = Vec::with_capacity(users.len());
        for (agent, values) in users {
            all.push(self.rendered(tenant, agent, toml, &values).await?);
        }
        Ok(all)
    }

    async fn rendered(
        &self,
        tenant: &str,
        agent: String,
        toml: &str,
        values: &str,
    ) -> Result<Rendered, StoreError> {
        let values: BTreeMap<String, serde_json::Value> = serde_json::from_str(values)
            .map_err(|why| StoreError::damaged("template values", &agent, why))?;
        match template::render(toml, &values) {
            Ok(toml) => Ok(Rendered { plan: self.plan(tenant, &agent, &toml).await?, agent, toml }),
            Err(findings) => {
                let plan = Plan { base: 0, findings, diff: String::new() };
                Ok(Rendered { agent, plan, toml: String::new() })
            }
        }
    }

    /// Makes a revision for each agent that uses a template and whose text it changes, if it can be applied to all; answers
    /// the agents and their revisions.
    ///
    /// # Errors
    /// [`ConfigurationError::Refused`] with the findings of all agents, each path beginning with the agent's id: then
    /// nothing is changed.
    pub async fn apply_template(
        &self,
        tenant: &str,
        template: &str,
        by: &str,
        note: &str,
    ) -> Result<Vec<RevisionRow>, ConfigurationError> {
        let template = templates::of(&mut *self.store.read().await?, tenant, template).await?;
        let all = self.plan_template(tenant, &template.id, &template.toml).await?;
        let refused: Vec<ConfigFinding> = all.iter().flat_map(of_agent).collect();
        if !refused.is_empty() {
            return Err(ConfigurationError::Refused(refused));
        }
        let mut made = Vec::new();
        for Rendered { agent, toml, .. } in all {
            let (tenant, by) = (tenant.to_owned(), by.to_owned());
            made.extend(self.apply(Wanted { tenant, agent, toml, by, note: note.to_owned() }).await?);
        }
        Ok(made)
    }
}

fn of_agent(rendered: &Rendered) -> impl Iterator<Item = ConfigFinding> {
    rendered.plan.findings.iter().map(|finding| {
        let path = format!("{}: {}", rendered.agent, finding.path);
        ConfigFinding { path, ..finding.clone() }
    })
}

#[cfg(test)]
mod tests;
