//! A code is traded for an identity. Of any number that try, one wins; that one may ask again with the same keys, because
//! the answer can be lost.

use super::authenticate::{are_keys, assertion, genuine, once};
use super::{Link, Refusal, Request, message};
use crate::clock::Millis;
use crate::secrets::{code_hash, draw_id};
use crate::store::agents::NewAgent;
use crate::store::codes::Code;
use crate::store::{StoreError, Tx, agents, codes, tenants};
use purser_proto::link::enrollment::{EnrollAnswer, EnrollRequest, PublicKeys};
use purser_proto::link::{VERSION, codes as problem};

/// How an attempt ended within the transaction.
type Attempt = Result<EnrollAnswer, Refusal>;

impl Link {
    /// Enrolls an agent.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn enroll(&self, request: Request<'_>) -> Result<EnrollAnswer, Refusal> {
        let assertion = assertion(request)?;
        let ask: EnrollRequest = message(request.body)?;
        are_keys(&ask.keys)?;
        let genuine = genuine(&assertion, request, ask.keys.signing.as_str(), self.now())?;
        if assertion.claims.agent != ask.keys.fingerprint() {
            return Err(Refusal::BadAssertion);
        }
        let hash = code_hash(ask.code.as_str());
        // Who guesses codes leaves no rows behind.
        if codes::by_hash(&mut *self.store.read().await?, &hash).await?.is_none() {
            return Err(Refusal::Code(problem::CODE_UNKNOWN));
        }
        let now = self.now();
        let op = self.store.write(move |tx| {
            Box::pin(async move {
                match once(tx, &ask.keys.fingerprint(), &genuine, now).await? {
                    Ok(()) => attempt(tx, &hash, ask, now).await,
                    Err(refusal) => Ok(Err(refusal)),
                }
            })
        });
        op.await?
    }
}

async fn attempt(tx: &mut Tx, hash: &str, ask: EnrollRequest, now: Millis) -> Result<Attempt, StoreError> {
    let Some(code) = codes::by_hash(tx.connection(), hash).await? else {
        return Ok(Err(Refusal::Code(problem::CODE_UNKNOWN)));
    };
    if code.revoked_at.is_some() {
        return Ok(Err(Refusal::Code(problem::CODE_REVOKED)));
    }
    if code.expires_at <= now {
        return Ok(Err(Refusal::Code(problem::CODE_EXPIRED)));
    }
    if code.used_at.is_some() {
        return again(tx, &code, &ask.keys).await;
    }
    let id = draw_id('a')?;
    if !codes::use_up(tx, &code.id, &id, now).await? {
        // Somebody was faster since the code was read, on another node; perhaps the same agent.
        return match codes::by_hash(tx.connection(), hash).await? {
            Some(code) => again(tx, &code, &ask.keys).await,
            None => Ok(Err(Refusal::Code(problem::CODE_UNKNOWN))),
        };
    }
    let host = ask.host.as_str().trim();
    let name = if code.name.is_empty() { host } else { code.name.as_str() };
    let new = NewAgent {
        tenant: code.tenant.clone(),
        name: if name.is_empty() { id.clone() } else { name.to_owned() },
        host: host.to_owned(),
        platform: ask.platform.to_string(),
        agent_version: ask.agent_version.to_string(),
        keys: ask.keys,
        approved: !code.approve,
        id,
    };
    agents::insert(tx, &new, now).await?;
    let tenant = tenants::find(tx.connection(), &code.tenant).await?;
    Ok(Ok(answer(&new.id, &new.name, &tenant.name, code.approve)))
}

/// The same agent asks again because it has not heard the answer.
async fn again(tx: &mut Tx, code: &Code, keys: &PublicKeys) -> Result<Attempt, StoreError> {
    let used = || Ok(Err(Refusal::Code(problem::CODE_USED)));
    let Some(id) = &code.agent else { return used() };
    let Some(agent) = agents::by_id(tx.connection(), id).await? else { return used() };
    if agent.fingerprint != keys.fingerprint() || agent.revoked_at.is_some() {
        return used();
    }
    let tenant = tenants::find(tx.connection(), &agent.tenant).await?;
    Ok(Ok(answer(&agent.id, &agent.name, &tenant.name, agent.approved_at.is_none())))
}

fn answer(agent: &str, name: &str, tenant: &str, waits_for_approval: bool) -> EnrollAnswer {
    EnrollAnswer {
        version: VERSION,
        agent: agent.into(),
        name: name.into(),
        tenant: tenant.into(),
        waits_for_approval,
    }
}
