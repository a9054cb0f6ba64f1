//! The server: listeners, TLS, limits, the front that every request passes, probes, and an end that loses nothing.
//! What is served is plugged in by [`Services::routes`] and nowhere else.

mod body;
mod connection;
mod front;
mod jobs;
pub mod log;
mod present;
mod probes;
mod proxy;
mod services;
#[cfg(test)]
mod tests;
pub mod tls;

pub use jobs::sweep_once;
pub use present::Present;
pub use probes::StoreCheck;
pub use services::{Addresses, Services, serve, serve_until};

use crate::drain::Drain;
use crate::metrics::Metrics;
use crate::notify::NotifyError;
use crate::settings::{Limits, Settings};
use crate::store::StoreError;
use actix_http::HttpService;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, boxed, fn_service, map_config};
use actix_web::dev::{AppConfig, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpResponse, HttpResponseBuilder, web};
use connection::{Gate, Guarded, Times, Wire};
use front::Front;
use probes::{Figures, Probes};
use purser_proto::link::Problem;
use purser_proto::link::limits::LARGEST_MESSAGE;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tls::{Certificate, TlsError};
use tokio::net::TcpSocket;
use tokio_rustls::TlsAcceptor;

/// How long a client may take to close a connection after its answer.
const DISCONNECT: Duration = Duration::from_secs(3);

/// Connections that wait to be taken; the system allows no more than its own limit (`net.core.somaxconn`, usually 4096). The
/// 128 of the standard library are full when some hundred come at once, and who finds no place tries again after a second.
const BACKLOG: u32 = 4096;

/// Connections above the limit that are taken only to be closed at once, rather than left waiting.
const TURNED_AWAY: usize = 1000;

/// Plugs routes, their data and their own middleware into the application; called once in every worker.
pub type Routes = Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>;

/// What a server is made of.
#[derive(Clone)]
pub struct Parts {
    /// Listeners, limits, TLS.
    pub settings: Arc<Settings>,
    /// The figures.
    pub metrics: Metrics,
    /// Tells everybody that the end has begun.
    pub drain: Drain,
    /// Whether the store is there.
    pub store: StoreCheck,
    /// Called before the figures are shown, for those that are read and not counted.
    pub look: Arc<dyn Fn() + Send + Sync>,
    /// The application; see [`Services::routes`].
    pub routes: Routes,
}

/// Why a server cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: choose another address, or end the process that has it")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It ended badly.
    #[error("the server ended badly")]
    Ended(#[source] io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Alerts.
    #[error(transparent)]
    Notify(NotifyError),
}

/// A server that runs.
pub struct Running {
    /// Where it is reached; differs from the settings for port 0.
    pub address: SocketAddr,
    /// Where the figures are, if they have a listener of their own.
    pub metrics_address: Option<SocketAddr>,
    server: actix_server::Server,
    handle: ServerHandle,
    drain: Drain,
    announce: Duration,
    certificate: Option<Arc<Certificate>>,
}

impl Running {
    /// Ends the server: no new connections, parked syncs are answered, running requests have their time.
    pub fn stopper(&self) -> Stopper {
        Stopper { handle: self.handle.clone(), drain: self.drain.clone(), announce: self.announce }
    }

    /// The certificate that is served, to have it looked at again at once.
    pub fn certificate(&self) -> Option<Arc<Certificate>> {
        self.certificate.clone()
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// When a listener breaks.
    pub async fn run(self) -> io::Result<()> {
        let watch = self.certificate.map(|certificate| actix_web::rt::spawn(certificate.watch()));
        let ended = self.server.await;
        if let Some(watch) = watch {
            watch.abort();
        }
        ended
    }
}

/// Ends a server.
#[derive(Clone, Debug)]
pub struct Stopper {
    handle: ServerHandle,
    drain: Drain,
    announce: Duration,
}

impl Stopper {
    /// Ends it, and waits until it has. Before that it tells, for a while if so set, that nobody should be sent here.
    pub async fn stop(&self) {
        self.drain.leave();
        tokio::time::sleep(self.announce).await;
        self.drain.begin();
        self.handle.stop(true).await;
    }

    /// Ends it at once, whatever still runs.
    pub async fn abort(&self) {
        self.drain.begin();
        self.handle.stop(false).await;
    }
}

impl Parts {
    /// Listens and begins to serve. Called within an actix runtime.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn start(self) -> Result<Running, ServeError> {
        let settings = Arc::clone(&self.settings);
        let certificate = match &settings.tls {
            Some(files) => Some(Certificate::load(files, self.metrics.clone())?),
            None => None,
        };
        let (listener, address) = listen(settings.server.listen)?;
        let figures = match settings.metrics.listen {
            Some(wanted) => Some(listen(wanted)?),
            None => None,
        };
        let limits = &settings.limits;
        let workers = match settings.server.workers {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            workers => workers,
        };
        let broken = |address| move |source| ServeError::Listen { address, source };
        let mut builder = actix_server::Server::build()
            .workers(workers)
            .max_concurrent_connections((limits.connections + TURNED_AWAY).div_ceil(workers))
            .shutdown_timeout(settings.server.drain.as_secs().max(1))
            .disable_signals();
        let front = self.front();
        let acceptor = certificate.as_ref().map(Certificate::acceptor);
        let metrics_address = figures.as_ref().map(|(_, address)| *address);
        if let Some((listener, address)) = figures {
            let parts = self.clone();
            let listener_of_figures = Listener { front: front.clone(), gate: self.gate(), acceptor: None };
            let app: Routes = Arc::new(move |config| parts.probes(Figures::Everybody).routes(config));
            builder = listener_of_figures.add(builder, "figures", listener, app).map_err(broken(address))?;
        }
        let main = Listener { front, gate: self.gate(), acceptor };
        let parts = self.clone();
        let app: Routes = Arc::new(move |config| {
            parts.probes(parts.figures_on_main()).routes(config);
            (parts.routes)(config);
        });
        let server = main.add(builder, "main", listener, app).map_err(broken(address))?.run();
        let handle = server.handle();
        Ok(Running {
            address,
            metrics_address,
            server,
            handle,
            drain: self.drain,
            announce: settings.server.announce,
            certificate,
        })
    }

    fn gate(&self) -> Arc<Gate> {
        Gate::new(&self.settings.limits, &self.settings.proxy.trusted, self.metrics.clone())
    }

    fn front(&self) -> Front {
        let limits = &self.settings.limits;
        Front {
            proxy: Arc::new(self.settings.proxy.clone()),
            limits: Arc::new(limits.clone()),
            room: body::Room::new(limits.bodies_bytes),
            metrics: self.metrics.clone(),
        }
    }

    fn figures_on_main(&self) -> Figures {
        match &self.settings.metrics.token {
            Some(token) => Figures::Token(token.clone()),
            None => Figures::Nobody,
        }
    }

    fn probes(&self, figures: Figures) -> Probes {
        Probes {
            drain: self.drain.clone(),
            metrics: self.metrics.clone(),
            store: Arc::clone(&self.store),
            look: Arc::clone(&self.look),
            figures,
        }
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // As the standard library does: elsewhere than on Unix it would let two processes share the address.
        if cfg!(unix) {
            socket.set_reuseaddr(true)?;
        }
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?.into_std()?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound().map_err(|source| ServeError::Listen { address, source })
}

/// One listener: from the accepted connection to the application.
struct Listener {
    front: Front,
    gate: Arc<Gate>,
    acceptor: Option<TlsAcceptor>,
}

impl Listener {
    /// Not generic in what it serves: all of HTTP would be in the program once a listener.
    fn add(
        self,
        builder: actix_server::ServerBuilder,
        name: &str,
        listener: TcpListener,
        app: Routes,
    ) -> io::Result<actix_server::ServerBuilder> {
        let Self { front, gate, acceptor } = self;
        let ending = builder.graceful_shutdown_signal();
        builder.listen(name, listener, move || {
            let limits = &front.limits;
            let ending = ending.clone();
            let http = HttpService::build()
                .keep_alive(limits.keep_alive)
                .client_request_timeout(limits.header_time)
                .client_disconnect_timeout(DISCONNECT)
                .graceful_shutdown_signal(move || {
                    let ending = ending.clone();
                    async move { ending.notified().await }
                })
                .on_connect_ext(|io: &Guarded, data| drop(data.insert(io.phase())))
                .finish(map_config(application(front.clone(), Arc::clone(&app)).into_factory(), |()| {
                    AppConfig::default()
                }));
            let door = Door { gate: Arc::clone(&gate), acceptor: acceptor.clone(), times: Times::of(limits) };
            // The server moves what it is given into a task of its own, which holds it twice, for as long as the connection
            // lives; and TLS is spoken with more state than is needed afterwards. So both are behind a pointer.
            let entered = fn_service(move |io: TcpStream| {
                let door = door.clone();
                Box::pin(async move { door.enter(io).await })
            });
            boxed::factory(entered.and_then(http.map_err(drop)))
        })
    }
}

/// What a connection passes before HTTP is spoken.
#[derive(Clone)]
struct Door {
    gate: Arc<Gate>,
    acceptor: Option<TlsAcceptor>,
    times: Times,
}

type Entered = (Guarded, actix_http::Protocol, Option<SocketAddr>);

impl Door {
    async fn enter(&self, io: TcpStream) -> Result<Entered, ()> {
        let peer = io.peer_addr().map_err(drop)?;
        let place = self.gate.admit(peer.ip()).ok_or(())?;
        drop(io.set_nodelay(true));
        let wire = match &self.acceptor {
            None => Wire::Plain(io),
            Some(acceptor) => {
                let spoken = tokio::time::timeout(self.times.head, acceptor.accept(io)).await;
                Wire::Tls(Box::new(spoken.map_err(drop)?.map_err(drop)?))
            }
        };
        Ok((Guarded::new(wire, place, self.times), actix_http::Protocol::Http1, Some(peer)))
    }
}

/// The application: the front around everything, then what is plugged in.
fn application(
    front: Front,
    plug: Routes,
) -> App<
    impl actix_service::ServiceFactory<
        actix_web::dev::ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse<impl actix_web::body::MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let limits: Arc<Limits> = Arc::clone(&front.limits);
    App::new()
        .app_data(web::PayloadConfig::new(LARGEST_MESSAGE))
        .app_data(web::JsonConfig::default().limit(limits.admin_body_bytes))
        .default_service(web::to(|| async {
            problem_response(&Problem::new(404, "not-found", "there is nothing here", "check the address"))
        }))
        .configure(|config| plug(config))
        // In a box, so that a connection between requests does not keep the room for one.
        .wrap(from_fn(move |request, next| Box::pin(front.clone().pass(request, next))))
}

/// A problem as an answer.
pub fn problem_response(problem: &Problem) -> HttpResponse {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponseBuilder::new(status);
    builder.insert_header((CONTENT_TYPE, "application/problem+json"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        builder.insert_header((RETRY_AFTER, "5"));
    }
    match serde_json::to_vec(problem) {
        Ok(body) => builder.body(body),
        Err(_) => builder.finish(),
    }
}

fn too_large(most: usize) -> Problem {
    let detail = format!("at most {most} bytes are allowed here; send less at once");
    Problem::new(413, "too-large", "the request is too large", detail)
}
