//! The admin API: REST under `/v1`, for people in a browser and for programs. Handlers translate; the floors below
//! decide. The OpenAPI document is made of the handlers themselves, and tests call every route that it names, so that a
//! route without a check cannot be added unseen. Each operation says the permission that it needs (`x-permission`).

pub mod access;
pub mod agents;
pub mod alerts;
pub mod audit;
pub mod codes;
pub mod commands;
pub mod docs;
pub mod exchange;
pub mod hooks;
pub mod me;
mod methods;
pub mod notices;
pub mod oidc;
mod plug;
pub mod refusal;
pub mod revisions;
pub mod secrets;
pub mod session;
pub mod templates;
pub mod tenants;
pub mod tokens;
pub mod users;

use crate::accounts::oidc::ProviderSettings;
use crate::accounts::service::{AccountError, Accounts};
use crate::clock::{Clock, Millis, millis};
use crate::configurations::Configurations;
use crate::notify::Notify;
use crate::store::Store;
#[cfg(test)]
mod tests;

use actix_web::dev::HttpServiceFactory;
use actix_web::error::InternalError;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, PathConfig, PayloadConfig, QueryConfig, ServiceConfig};
use actix_web::{App, ResponseError as _};
use plug::Plug;
use refusal::Refusal;
use url::Url;
use utoipa::openapi::OpenApi;
use utoipa_actix_web::{AppExt as _, OpenApiFactory, scope};

/// Largest body.
const LARGEST_BODY: usize = 2 << 20;

/// What the handlers share. Cloning is cheap; every worker uses the same one.
#[derive(Clone)]
pub struct Admin {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) accounts: Accounts,
    pub(crate) configurations: Configurations,
    pub(crate) public_url: Option<Url>,
    pub(crate) notify: Notify,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}

impl Admin {
    /// Ties them together. `public_url` is how browsers reach this server.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn new(
        store: Store,
        clock: Clock,
        public_url: Option<Url>,
        providers: Vec<ProviderSettings>,
    ) -> Result<Self, AccountError> {
        let accounts = Accounts::new(store.clone(), clock.clone(), providers)?;
        let configurations = Configurations::new(store.clone(), clock.clone());
        let notify = Notify::plain(store.clone(), clock.clone())?;
        Ok(Self { store, clock, accounts, configurations, public_url, notify })
    }

    /// The same with alerts by the settings of this control plane.
    #[must_use]
    pub fn with_notify(self, notify: Notify) -> Self {
        Self { notify, ..self }
    }

    /// Accounts, for what is done beside HTTP.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    pub(crate) fn now(&self) -> Millis {
        millis(&self.clock)
    }

    /// All routes under `/v1`; the link's own come first.
    pub fn routes(&self, config: &mut ServiceConfig) {
        config.app_data(Data::new(self.clone())).service(all(false));
    }
}

/// The document that describes the API.
pub fn document() -> OpenApi {
    let (_, made) = App::new().into_utoipa_app().service(all(true)).split_for_parts();
    docs::completed(made)
}

/// One a line, in the order of the document's tags.
const ROUTES: &[fn(&mut Plug<'_, '_>)] = &[
    session::routes,
    oidc::routes,
    me::routes,
    users::routes,
    tokens::routes,
    tenants::routes,
    codes::routes,
    agents::routes,
    commands::routes,
    hooks::routes,
    notices::routes,
    revisions::routes,
    secrets::routes,
    templates::routes,
    alerts::routes,
    audit::routes,
    docs::routes,
];

/// All routes, to be served, or described as well.
fn all(described: bool) -> impl HttpServiceFactory + OpenApiFactory + 'static {
    let refuse = |refusal: Refusal| {
        let answer = refusal.error_response();
        actix_web::Error::from(InternalError::from_response(refusal, answer))
    };
    scope::scope("/v1")
        .app_data(PayloadConfig::new(LARGEST_BODY))
        .app_data(PathConfig::default().error_handler(move |_, _| refuse(Refusal::missing())))
        .app_data(QueryConfig::default().error_handler(move |why, _| refuse(Refusal::malformed(why))))
        .configure(|config| {
            let mut plug = Plug::new(config, described);
            ROUTES.iter().for_each(|routes| routes(&mut plug));
        })
        .default_service(web::to(methods::nothing_here))
        .wrap(from_fn(access::guard))
}
