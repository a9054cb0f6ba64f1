//! What all routes share, and a server's life: start, jobs, signals, end.

use super::{Parts, Present, Routes, ServeError, StoreCheck, jobs};
use crate::api;
use crate::api::admin::Admin;
use crate::clock::Clock;
use crate::drain::Drain;
use crate::ingress::Ingress;
use crate::link::Link;
use crate::metrics::Metrics;
use crate::notify::Notify;
use crate::settings::Settings;
use crate::store::{self, Store};
use crate::wake::{self, Wake};
use actix_web::web::{Data, ServiceConfig};
use purser::service::shutdown::StopRequests;
use std::net::SocketAddr;
use std::sync::Arc;

/// What all routes share.
#[derive(Clone)]
pub struct Services {
    /// The database.
    pub store: Store,
    /// Requests that wait.
    pub wake: Wake,
    /// The time.
    pub clock: Clock,
    /// The time that jobs go by which throw things away.
    pub present: Present,
    /// Webhooks on their way in.
    pub ingress: Ingress,
    /// The admin API, where there is one.
    pub admin: Option<Admin>,
    /// The settings.
    pub settings: Arc<Settings>,
    /// The figures.
    pub metrics: Metrics,
    /// Whether the end has begun.
    pub drain: Drain,
}

/// Where a server is reached.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The API.
    pub main: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The figures, where they have a listener of their own.
    pub metrics: Option<SocketAddr>,
}

impl Services {
    /// Services over a store, with the settings' defaults.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self::with(store, clock, Settings::defaults())
    }

    /// Services over a store.
    pub fn with(store: Store, clock: Clock, settings: Settings) -> Self {
        let metrics = Metrics::new();
        let batches = metrics.writer_batch.clone();
        store.set_observer(Box::new(move |operations| batches.observe(operations as f64)));
        let ingress = Ingress::new(store.clone(), clock.clone());
        let (wake, settings, drain) = (Wake::new(), Arc::new(settings), Drain::new());
        let present = Present::default();
        Self { store, wake, clock, present, ingress, admin: None, settings, metrics, drain }
    }

    /// The same with the admin API.
    #[must_use]
    pub fn with_admin(self, admin: Admin) -> Self {
        Self { admin: Some(admin), ..self }
    }

    /// All routes, with what they share. **The one place where the application is plugged in**: data that handlers
    /// take, then one `configure` a group of routes; a group brings its own middleware with its scope. What every
    /// request passes (limits, log, figures, panics) is in the server's front and needs nothing here.
    pub fn routes(&self, config: &mut ServiceConfig) {
        let link = Link::new(self.store.clone(), self.wake.clone(), self.clock.clone());
        config
            .app_data(Data::new(link))
            .app_data(Data::new(self.metrics.clone()))
            .app_data(Data::new(self.ingress.clone()))
            .configure(api::agent::routes)
            .configure(api::hooks::routes);
        // After the link: its routes lie below the same `/v1`.
        if let Some(admin) = &self.admin {
            admin.routes(config);
        }
    }

    /// Who tells people.
    ///
    /// # Errors
    /// [`ServeError::Notify`].
    pub fn notify(&self) -> Result<Notify, ServeError> {
        let notify =
            Notify::new(self.store.clone(), self.clock.clone(), self.metrics.clone(), &self.settings);
        notify.map_err(ServeError::Notify)
    }

    /// What the server is made of.
    pub fn parts(&self) -> Parts {
        let routes: Routes = {
            let services = self.clone();
            Arc::new(move |config| services.routes(config))
        };
        let check: StoreCheck = {
            let store = self.store.clone();
            Arc::new(move || {
                let store = store.clone();
                Box::pin(async move { reachable(&store).await })
            })
        };
        let look = {
            let services = self.clone();
            Arc::new(move || services.look())
        };
        Parts {
            settings: Arc::clone(&self.settings),
            metrics: self.metrics.clone(),
            drain: self.drain.clone(),
            store: check,
            look,
            routes,
        }
    }

    /// Figures that are read when somebody asks for them.
    fn look(&self) {
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.parked.set(whole(self.wake.waiting()));
        self.metrics.writer_queue.set(whole(self.store.writer_queue()));
    }
}

/// Whether the store answers, has all the tables of this version, and takes what is written.
async fn reachable(store: &Store) -> Result<(), &'static str> {
    let mut connection = store.read().await.map_err(|_| "the store cannot be reached")?;
    let newest = sqlx::query_scalar::<_, i64>("select coalesce(max(number), 0) from migrations");
    match newest.fetch_one(&mut *connection).await {
        Ok(newest) if newest == store::NEWEST => {}
        Ok(_) => return Err("the store belongs to another version"),
        Err(_) => return Err("the store does not answer"),
    }
    drop(connection);
    store.commits().await.map_err(|_| "the store takes nothing that is written")
}

/// Serves until a signal ends it: the first lets running requests end, a second does not. `on_bound` is told the
/// addresses, which differ from the settings for port 0.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(services: Services, on_bound: impl FnOnce(Addresses)) -> Result<(), ServeError> {
    let mut signals = StopRequests::listen().map_err(ServeError::Ended)?;
    serve_until(services, on_bound, async move |stopper| {
        signals.next().await;
        tracing::info!("stopping: running requests may end");
        tokio::select! {
            () = stopper.stop() => {}
            _ = signals.next() => stopper.abort().await,
        }
    })
    .await
}

/// Serves until `end` has stopped it.
///
/// # Errors
/// [`ServeError`].
pub async fn serve_until(
    services: Services,
    on_bound: impl FnOnce(Addresses),
    end: impl AsyncFnOnce(super::Stopper) + 'static,
) -> Result<(), ServeError> {
    let following = wake::follow(&services.store, &services.wake).await?;
    services.ingress.learn().await?;
    let running = services.parts().start()?;
    on_bound(Addresses {
        main: running.address,
        tls: services.settings.tls.is_some(),
        metrics: running.metrics_address,
    });
    let jobs = jobs::start(&services)?;
    let sent_home = tokio::spawn({
        let (drain, wake) = (services.drain.clone(), services.wake.clone());
        async move {
            drain.begun().await;
            wake.drain();
        }
    });
    let ending = actix_web::rt::spawn(end(running.stopper()));
    let ended = running.run().await;
    ending.abort();
    services.drain.begin();
    services.wake.drain();
    sent_home.abort();
    jobs.end().await;
    services.ingress.flush().await?;
    following.abort();
    services.store.close().await;
    tracing::info!("stopped");
    ended.map_err(ServeError::Ended)
}
