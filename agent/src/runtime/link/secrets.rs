//! Secrets that somebody sealed to this agent. Anybody can seal something to it, the control plane too, so all that is
//! inside is compared with what the machine knows: itself, its configuration, the places that its guard rails allow, and
//! what was taken before, since whoever forwards it may have kept an old one.

use super::exchange::Exchange;
use super::words;
use crate::config::destinations;
use crate::config::guard_rails::MachineRails;
use crate::config::revisions::{bound_origins, effective, known};
use crate::flows::replay::Decision;
use crate::runtime::{freshness, obey};
use crate::secret::Origin;
use crate::store::{AuditKind, Batch, HandedSecret, StoreError};
use crate::vendors::registry;
use purser_proto::link::limits::Name;
use purser_proto::link::report::{Notice, NoticeLevel, ReportBody};
use purser_proto::link::sealed::SealedSecret;
use purser_proto::validate::{ValidConfig, is_name};
use std::collections::BTreeSet;

/// The kind of a proxy's login, beside those of the vendors.
const PROXY: &str = "proxy";
const PROXY_FIELDS: &[&str] = &["user", "password"];

/// Why a sealed secret is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) why: String,
    /// Somebody may be trying what they must not; the word of the notice.
    pub(super) security: Option<&'static str>,
}

/// It is bound to somebody or something else.
const ELSEWHERE: &str = "secret-bound-elsewhere";
/// It is an old one.
const REPLAYED: &str = "secret-replayed";

impl Refused {
    fn plain(why: impl Into<String>) -> Self {
        Self { why: why.into(), security: None }
    }

    fn foreign(why: impl Into<String>) -> Self {
        Self { why: why.into(), security: Some(ELSEWHERE) }
    }
}

impl Exchange {
    pub(super) async fn take_secret(&self, id: &Name, sealed: &SealedSecret) -> Result<(), StoreError> {
        let by = sealed.by.as_str();
        match self.open_secret(sealed)? {
            Ok((handed, fresh)) => {
                let mut batch = self.taking(id);
                let decision = Decision::from_afar(by, "sealed to this agent");
                let name = handed.name.clone();
                batch.append(obey::storing(self.parts.clock.now(), &name, handed.secret, &decision));
                batch.append(fresh);
                self.tell_secret(&mut batch, id, &name, None);
                match self.parts.desk.secret(&name, batch).await {
                    Ok(()) => {
                        tracing::info!(secret = name, "a sealed secret is stored");
                        self.is_decided(id);
                    }
                    // Nothing was written, perhaps because a person has set it in this moment; it comes again and is
                    // judged again.
                    Err(why) => tracing::warn!(secret = name, why, "a sealed secret could not be stored"),
                }
                Ok(())
            }
            Err(refused) => self.refuse_secret(id, sealed, refused).await,
        }
    }

    async fn refuse_secret(
        &self,
        id: &Name,
        sealed: &SealedSecret,
        refused: Refused,
    ) -> Result<(), StoreError> {
        let (by, name) = (sealed.by.as_str(), sealed.name.as_str());
        tracing::warn!(secret = name, why = refused.why, "a sealed secret is refused");
        let mut batch = self.taking(id);
        let detail = serde_json::json!({ "verb": "set", "secret": name, "refused": refused.why });
        let kind = if refused.security.is_some() { AuditKind::Security } else { AuditKind::Secret };
        let code = refused.security.unwrap_or("secret-refused");
        self.audit_refused(&mut batch, "secrets", [(code, self.entry(kind, by, detail))])?;
        self.tell_secret(&mut batch, id, name, Some(&refused.why));
        if let Some(code) = refused.security {
            self.notice(
                &mut batch,
                Notice {
                    level: NoticeLevel::Security,
                    code: code.into(),
                    concerns: Some(sealed.name.clone()),
                    what: format!("a sealed secret handed in by {by} was refused: {}", refused.why).into(),
                    fix: "ask who sealed it; if it is right, seal it again for this agent and its connection"
                        .into(),
                },
            );
        }
        self.decide(id, batch).await
    }

    fn tell_secret(&self, batch: &mut Batch, id: &Name, name: &str, refused: Option<&str>) {
        let body =
            ReportBody::Secret { delivery: id.clone(), name: name.into(), refused: refused.map(Into::into) };
        batch.report(self.parts.clock.now(), &body);
    }

    /// What is inside, and what is to be remembered of it.
    fn open_secret(
        &self,
        sealed: &SealedSecret,
    ) -> Result<Result<(HandedSecret, Batch), Refused>, StoreError> {
        let store = &self.parts.store;
        let handed = match HandedSecret::open(&self.keys(), sealed.armored.as_str()) {
            Ok(handed) => handed,
            Err(error) => return Ok(Err(Refused::plain(error.to_string()))),
        };
        let (home, file) = (&self.parts.home, &self.parts.config_file);
        let read = effective(known(store)?, home, file).and_then(|known| Ok((known, self.rails()?)));
        let (known, rails) = match read {
            Ok(read) => read,
            Err(error) => {
                let what = "the configuration in force or the guard rails cannot be read";
                return Ok(Err(Refused::plain(self.sight().because(what, &words(&error)))));
            }
        };
        let bound = bound_origins(&store.secrets()?);
        let judged = judge(&handed, &self.enrollment.agent, &known.valid, &rails, bound);
        if let Err(refused) = judged {
            return Ok(Err(refused));
        }
        let fresh = freshness::take(store, &handed, self.parts.clock.now())?;
        Ok(fresh.map(|fresh| (handed, fresh)).map_err(|stale| Refused {
            security: stale.is_replay().then_some(REPLAYED),
            why: stale.to_string(),
        }))
    }
}

/// Compares all that is inside with what the machine knows.
pub(super) fn judge(
    handed: &HandedSecret,
    agent: &str,
    config: &ValidConfig,
    rails: &MachineRails,
    bound: Vec<Origin>,
) -> Result<(), Refused> {
    if handed.agent != agent {
        return Err(Refused::foreign("it is bound to another agent"));
    }
    if !is_name(&handed.name) {
        return Err(Refused::plain("its name is not well-formed"));
    }
    let connection = config.connections.iter().find(|known| known.id.as_str() == handed.connection);
    let Some(connection) = connection else {
        return Err(Refused::plain(format!(
            "there is no connection `{}` in the configuration in force; send the configuration first",
            handed.connection.chars().take(40).collect::<String>()
        )));
    };
    let kind = handed.secret.kind.as_str();
    let (name, wanted_kind, places) = if kind == PROXY {
        let places: BTreeSet<Origin> = destinations::of_proxy(connection).into_iter().collect();
        (connection.network.proxy_secret.as_deref(), PROXY, places)
    } else {
        (Some(connection.secret.as_str()), connection.kind.as_str(), destinations::of_vendor(connection))
    };
    if kind != wanted_kind {
        let why =
            format!("it is of another kind than connection `{}`, which is `{wanted_kind}`", connection.id);
        return Err(Refused::foreign(why));
    }
    if name != Some(handed.name.as_str()) {
        let why = format!("connection `{}` uses no secret of that name for this purpose", connection.id);
        return Err(Refused::foreign(why));
    }
    judge_places(handed, &places, &rails.origins(bound))?;
    judge_fields(handed)
}

fn judge_places(
    handed: &HandedSecret,
    places: &BTreeSet<Origin>,
    allowed: &BTreeSet<Origin>,
) -> Result<(), Refused> {
    if handed.secret.origins.is_empty() {
        return Err(Refused::plain("it is bound to no origin"));
    }
    for origin in &handed.secret.origins {
        if !places.contains(origin) {
            let why = format!("{origin} is not where connection `{}` goes", handed.connection);
            return Err(Refused::foreign(why));
        }
        if !allowed.contains(origin) {
            let why = format!("{origin} is not allowed by this machine's guard rails");
            return Err(Refused::foreign(why));
        }
    }
    Ok(())
}

fn judge_fields(handed: &HandedSecret) -> Result<(), Refused> {
    let known = match registry::vendor(&handed.secret.kind) {
        Some(vendor) => vendor.credential_fields,
        None => PROXY_FIELDS,
    };
    if handed.secret.fields.is_empty() {
        return Err(Refused::plain("it has no fields"));
    }
    // A name that is not known may be a value in the wrong place, so it is not repeated.
    match handed.secret.fields.keys().all(|name| known.contains(&name.as_str())) {
        true => Ok(()),
        false => {
            Err(Refused::plain(format!("it has a field that is not known; known: {}", known.join(", "))))
        }
    }
}
