//! What the rules need to know, read from the store.

use crate::alerts::rules::{AgentFacts, EVENT, Happened};
use crate::clock::Millis;
use crate::store::{Connection, StoreError};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use std::collections::HashMap;

/// Agents read at once.
const PAGE: i64 = 500;
/// Most events of a tenant that are looked at; more of them say nothing new.
const EVENTS: i64 = 5000;
/// Code of the notice that an audit trail is shorter than it was.
const AUDIT: &str = "audit-went-back";

/// What is known of a tenant beside each agent's own row.
pub(super) struct TenantFacts {
    refused: HashMap<String, i64>,
    security: HashMap<String, Vec<Happened>>,
    audit: HashMap<String, Millis>,
}

impl TenantFacts {
    pub(super) async fn read(
        connection: &mut Connection,
        tenant: &str,
        now: Millis,
    ) -> Result<Self, StoreError> {
        let mut facts = Self { refused: HashMap::new(), security: HashMap::new(), audit: HashMap::new() };
        let refused = sqlx::query(
            "select r.agent, r.number from revisions r where r.tenant = $1 and r.state = 'refused' and r.number = (select \
             max(n.number) from revisions n where n.agent = r.agent)",
        );
        for row in refused.bind(tenant).fetch_all(&mut *connection).await? {
            facts.refused.insert(row.try_get(0)?, row.try_get(1)?);
        }
        let events = sqlx::query(
            "select agent, code, coalesce(concerns, '') as concerns, max(received_at) as at from notices where tenant = $1 \
             and received_at > $2 and (level = 'security' or code = $3) group by agent, code, coalesce(concerns, '') order \
             by at desc limit $4",
        );
        let events = events.bind(tenant).bind(now - EVENT).bind(AUDIT).bind(EVENTS);
        for row in events.fetch_all(connection).await? {
            facts.happened(&row)?;
        }
        Ok(facts)
    }

    fn happened(&mut self, row: &AnyRow) -> Result<(), StoreError> {
        let (agent, code, at) =
            (row.try_get("agent")?, row.try_get::<String, _>("code")?, row.try_get("at")?);
        if code == AUDIT {
            self.audit.insert(agent, at);
        } else {
            let concerns =
                Some(row.try_get::<String, _>("concerns")?).filter(|concerns| !concerns.is_empty());
            self.security.entry(agent).or_default().push(Happened { code, concerns, at });
        }
        Ok(())
    }

    /// The next agents after one, in the order of their ids.
    pub(super) async fn agents(
        &mut self,
        connection: &mut Connection,
        tenant: &str,
        after: &str,
    ) -> Result<Vec<AgentFacts>, StoreError> {
        let query = sqlx::query(
            "select a.id, a.name, a.enrolled_at, a.last_seen, s.body from agents a left join statuses s on s.agent = a.id \
             where a.tenant = $1 and a.approved_at is not null and a.revoked_at is null and a.id > $2 order by a.id limit $3",
        );
        let rows = query.bind(tenant).bind(after).bind(PAGE).fetch_all(connection).await?;
        rows.iter().map(|row| self.agent(row)).collect()
    }

    fn agent(&mut self, row: &AnyRow) -> Result<AgentFacts, StoreError> {
        let agent: String = row.try_get("id")?;
        let status: Option<String> = row.try_get("body")?;
        Ok(AgentFacts {
            name: row.try_get("name")?,
            last_seen: match row.try_get::<Option<Millis>, _>("last_seen")? {
                Some(seen) => seen,
                None => row.try_get("enrolled_at")?,
            },
            // One that cannot be read is as good as none; the link refuses such.
            status: status.and_then(|body| serde_json::from_str(&body).ok()),
            refused_revision: self.refused.remove(&agent),
            security: self.security.remove(&agent).unwrap_or_default(),
            audit_went_back: self.audit.remove(&agent),
            agent,
        })
    }
}
