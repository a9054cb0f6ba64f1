//! New keys for an agent: the request is signed with the present key, and the new one proves that it belongs to the agent.
//! The answer can be lost, so the same request with the key before is answered again, and changes nothing.

use super::authenticate::{are_keys, assertion, genuine, is_signed, once, signature};
use super::take::tell;
use super::{Link, Refusal, Request, message};
use crate::clock::Millis;
use crate::store::agents::Agent;
use crate::store::{StoreError, Tx, agents};
use purser_proto::link::enrollment::{KeysRequest, PublicKeys};
use purser_proto::link::report::{Notice, NoticeLevel};

impl Link {
    /// Replaces an agent's keys. Secrets and webhooks that wait were sealed to the recipient before: the agent keeps that
    /// identity until it has taken them.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn rotate(&self, request: Request<'_>) -> Result<(), Refusal> {
        let said = assertion(request)?;
        let agent = {
            let mut connection = self.store.read().await?;
            agents::by_id(&mut connection, &said.claims.agent).await?.ok_or(Refusal::UnknownAgent)?
        };
        let now = self.now();
        let present = genuine(&said, request, &agent.signing, now);
        let (genuine, repeated) = match (present, &agent.previous_signing) {
            (Err(Refusal::BadSignature), Some(previous)) => (genuine(&said, request, previous, now)?, true),
            (present, _) => (present?, false),
        };
        if agent.revoked_at.is_some() {
            return Err(Refusal::Revoked);
        }
        let ask: KeysRequest = message(request.body)?;
        proven(&agent, &ask)?;
        if repeated && ask.keys.fingerprint() != agent.fingerprint {
            return Err(Refusal::BadSignature);
        }
        let op = self.store.write(move |tx| {
            Box::pin(async move {
                if let Err(refusal) = once(tx, &agent.id, &genuine, now).await? {
                    return Ok(Err(refusal));
                }
                if ask.keys.fingerprint() == agent.fingerprint {
                    return Ok(Ok(()));
                }
                replace(tx, &agent, &ask.keys, now).await
            })
        });
        op.await?
    }
}

fn proven(agent: &Agent, ask: &KeysRequest) -> Result<(), Refusal> {
    are_keys(&ask.keys)?;
    let message = KeysRequest::proven(&agent.id, &ask.keys);
    let good = signature(ask.proof.as_str())
        .is_some_and(|signature| is_signed(ask.keys.signing.as_str(), &message, &signature));
    if good { Ok(()) } else { Err(Refusal::BadKeys("`proof` is not signed with the new key for this agent")) }
}

async fn replace(
    tx: &mut Tx,
    agent: &Agent,
    keys: &PublicKeys,
    now: Millis,
) -> Result<Result<(), Refusal>, StoreError> {
    let update = sqlx::query(
        "update agents set signing = $1, recipient = $2, fingerprint = $3, previous_signing = signing
         where id = $4 and fingerprint = $5 and revoked_at is null",
    );
    let update = update.bind(keys.signing.as_str()).bind(keys.recipient.as_str()).bind(keys.fingerprint());
    let update = update.bind(agent.id.as_str()).bind(agent.fingerprint.as_str());
    if update.execute(tx.connection()).await?.rows_affected() == 0 {
        // Another request was faster, or a person has ended the identity.
        return Ok(Err(Refusal::BadSignature));
    }
    let rotated = Notice {
        level: NoticeLevel::Info,
        code: "keys-rotated".into(),
        concerns: None,
        what: format!("the agent has new keys; the fingerprint is {}", keys.fingerprint()).into(),
        fix: "seal secrets to the new recipient from here on".into(),
    };
    tell(tx, agent, &rotated, now).await?;
    Ok(Ok(()))
}
