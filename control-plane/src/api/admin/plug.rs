//! Where routes are plugged in: to be served, or to be described as well. Each worker of a server plugs all of them in, and a
//! description of them is megabytes that the worker's own heap would keep; only the document needs it.

use actix_web::dev::HttpServiceFactory;
use utoipa_actix_web::OpenApiFactory;
use utoipa_actix_web::service_config::ServiceConfig;

/// Takes routes.
pub(super) struct Plug<'p, 's> {
    config: &'p mut ServiceConfig<'s>,
    described: bool,
}

impl<'p, 's> Plug<'p, 's> {
    pub(super) fn new(config: &'p mut ServiceConfig<'s>, described: bool) -> Self {
        Self { config, described }
    }

    /// Takes one more.
    pub(super) fn service(&mut self, route: impl HttpServiceFactory + OpenApiFactory + 'static) -> &mut Self {
        if self.described {
            self.config.service(route);
        } else {
            self.config.map(|config| config.service(route));
        }
        self
    }
}
