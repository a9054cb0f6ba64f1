//! The simulated vendors of a measurement, in this process, with everything they were asked kept whole: the
//! sandbox's own journal cuts bodies and hides credentials, and a call that is to be made again needs both.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::{DateTime, Utc};
use sandbox::harness::{AgentConfig, Home, Purser, Route, Sandbox, SandboxOptions, Secrets, System};
use sandbox::server::{Outgoing, Reply, Request, Running, ServeOptions, SimClock, Simulator, serve};
use sandbox::sim::acumatica::{AcumaticaKnobs, AcumaticaSim, Duplicates};
use sandbox::sim::brex::{BrexKnobs, BrexSim};
use sandbox::sim::epicor::{EpicorKnobs, EpicorSim};
use sandbox::sim::expensify::{ExpensifyKnobs, ExpensifySim};
use sandbox::world::{World, WorldOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which end of the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Side {
    /// The spend system.
    Source,
    /// The ERP.
    Erp,
}

/// A call as it came, and the status it got.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TapedCall {
    /// To whom.
    pub(crate) side: Side,
    /// Method.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Headers in order.
    pub(crate) headers: Vec<(String, String)>,
    /// Body; the vendors take text only.
    pub(crate) body: String,
    /// What it was answered with.
    pub(crate) status: u16,
}

/// What both vendors were asked, in the order in which they took it up.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    inner: Mutex<Inner>,
}

/// When a call came, and how long the vendor let it wait before it looked at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// When it came.
    pub(crate) at: Instant,
    /// How long it waited.
    pub(crate) waited: Duration,
}

#[derive(Debug, Default)]
struct Inner {
    calls: Vec<TapedCall>,
    arrivals: Vec<Arrival>,
    busy: Duration,
}

impl Tape {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.inner() = Inner::default();
    }

    /// Takes the calls away.
    pub(crate) fn take(&self) -> Vec<TapedCall> {
        std::mem::take(&mut *self.inner()).calls
    }

    /// How many calls one side got.
    pub(crate) fn count(&self, side: Side) -> usize {
        self.inner().calls.iter().filter(|call| call.side == side).count()
    }

    /// How many calls got a status.
    pub(crate) fn count_status(&self, status: u16) -> usize {
        self.inner().calls.iter().filter(|call| call.status == status).count()
    }

    /// When the first call came.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.inner().arrivals.first().map(|arrival| arrival.at)
    }

    /// When each call to one side came.
    pub(crate) fn moments(&self, wanted: Side) -> Vec<Instant> {
        self.arrivals(|call| call.side == wanted).into_iter().map(|arrival| arrival.at).collect()
    }

    /// The arrivals of some calls.
    pub(crate) fn arrivals(&self, wanted: impl Fn(&TapedCall) -> bool) -> Vec<Arrival> {
        let inner = self.inner();
        let both = inner.calls.iter().zip(&inner.arrivals);
        both.filter(|(call, _)| wanted(call)).map(|(_, arrival)| *arrival).collect()
    }

    /// Time that the simulators themselves worked.
    pub(crate) fn busy(&self) -> Duration {
        self.inner().busy
    }
}

struct Recorder {
    sim: Box<dyn Simulator>,
    side: Side,
    tape: Arc<Tape>,
}

impl Simulator for Recorder {
    fn name(&self) -> &'static str {
        self.sim.name()
    }

    fn handle(&mut self, request: &Request) -> Reply {
        let moment = Instant::now();
        let reply = self.sim.handle(request);
        let busy = moment.elapsed();
        let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
        let call = TapedCall {
            side: self.side,
            method: request.method.clone(),
            target: format!("{}{query}", request.path),
            headers: request.headers.clone(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            status: reply.status,
        };
        let mut inner = self.tape.inner();
        inner.calls.push(call);
        inner.arrivals.push(Arrival { at: moment, waited: reply.delay });
        inner.busy += busy;
        reply
    }

    fn state(&self) -> Value {
        self.sim.state()
    }

    fn control(&mut self, verb: &str, body: &Value) -> Result<Value, String> {
        self.sim.control(verb, body)
    }

    fn tell_time(&mut self, now: DateTime<Utc>) {
        self.sim.tell_time(now);
    }

    fn misuse(&self) -> Vec<String> {
        self.sim.misuse()
    }

    fn delays_on_clock(&self) -> bool {
        self.sim.delays_on_clock()
    }

    fn outgoing(&mut self, now: DateTime<Utc>) -> Vec<Outgoing> {
        self.sim.outgoing(now)
    }

    fn settled(&mut self, id: u64, status: Option<u16>, now: DateTime<Utc>) {
        self.sim.settled(id, status, now);
    }

    fn next_outgoing(&self) -> Option<DateTime<Utc>> {
        self.sim.next_outgoing()
    }

    fn outgoing_left(&self, now: DateTime<Utc>) -> usize {
        self.sim.outgoing_left(now)
    }

    fn operation(&self, request: &Request) -> String {
        self.sim.operation(request)
    }
}

/// What vendors are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Which two.
    pub(crate) route: Route,
    /// Reports that the source holds, or movements of card and cash spend.
    pub(crate) records: usize,
    /// Whether the source's documented rate ceilings are in force; else none are.
    pub(crate) paced: bool,
    /// Requests a minute that Acumatica is licensed for; `None` = no limit.
    pub(crate) licensed: Option<u32>,
}

impl Wanted {
    /// Vendors that answer at once, however often they are called.
    pub(crate) const fn unlimited(route: Route, records: usize) -> Self {
        Self { route, records, paced: false, licensed: None }
    }
}

/// Both vendors of a route, filled from one world. They stop when this goes.
pub(crate) struct Vendors {
    /// The spend system.
    pub(crate) source: Running,
    /// The ERP.
    pub(crate) erp: Running,
    /// What they were asked.
    pub(crate) tape: Arc<Tape>,
    /// What they accept.
    pub(crate) secrets: Secrets,
    wanted: Wanted,
}

impl Vendors {
    /// Starts them.
    pub(crate) async fn start(wanted: Wanted) -> Result<Self> {
        let reports = if wanted.route.source() == System::Brex { 1 } else { wanted.records };
        let options = WorldOptions { reports, ..SandboxOptions::new(reports).world };
        let world = World::generate_with(&options);
        let secrets = Secrets::default();
        let tape = Arc::new(Tape::default());
        let recorded = |side, sim| Box::new(Recorder { sim, side, tape: Arc::clone(&tape) });
        let erp = recorded(Side::Erp, erp(&world, wanted, &secrets));
        let source = recorded(Side::Source, source(world, wanted, &secrets));
        Ok(Self {
            source: serve(source, ServeOptions::default()).await?,
            erp: serve(erp, ServeOptions::default()).await?,
            tape,
            secrets,
            wanted,
        })
    }

    /// A home whose agent works with these vendors. `policy` lines go below `[flow.policy]`.
    pub(crate) async fn agent(&self, home: &Home, policy: &[&str]) -> Result<Purser> {
        let route = self.wanted.route;
        // The sandbox knows which configuration fits; only its addresses are others here.
        let model = Sandbox::start(SandboxOptions::new(1)).await?;
        let mut config = AgentConfig {
            paced: self.wanted.paced,
            policy: policy.iter().map(|line| (*line).to_owned()).collect(),
            ..model.agent_config_for(&[route])
        };
        let licence = self.wanted.licensed.map(|calls| format!("requests_per_minute = {calls}"));
        config.settings.insert(System::Acumatica, licence.into_iter().collect());
        let ends = [(route.source(), &self.source), (route.erp(), &self.erp)];
        for (system, running) in ends {
            let known = config.url(system).to_owned();
            let door = known.strip_prefix(&model.running(system).url()).unwrap_or_default();
            *address(&mut config, system) = format!("{}{door}", running.url());
        }
        home.configure(&config)?;
        let purser = Purser::new(home.path()).await?;
        for (system, running) in ends {
            let fields = self.secrets.of(system);
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            purser.set_secret(system.id(), system.kind(), &running.url(), &fields).await?;
        }
        Ok(purser)
    }
}

fn address(config: &mut AgentConfig, system: System) -> &mut String {
    match system {
        System::Expensify => &mut config.expensify,
        System::SecondExpensify => &mut config.second_expensify,
        System::Brex => &mut config.brex,
        System::Epicor => &mut config.epicor,
        System::Acumatica => &mut config.acumatica,
    }
}

/// The simulator of a route's ERP.
fn erp(world: &World, wanted: Wanted, secrets: &Secrets) -> Box<dyn Simulator> {
    if wanted.route.erp() != System::Acumatica {
        return Box::new(EpicorSim::from_world(world, EpicorKnobs::default()));
    }
    let knobs = AcumaticaKnobs {
        username: secrets.user.clone(),
        password: secrets.password.clone(),
        client_secret: secrets.acumatica_client_secret().to_owned(),
        duplicates: Duplicates::Error422,
        requests_per_minute: wanted.licensed.map_or(0, |calls| calls as usize),
        ..AcumaticaKnobs::default()
    };
    Box::new(AcumaticaSim::from_world(world, knobs))
}

/// The simulator of a route's source.
fn source(world: World, wanted: Wanted, secrets: &Secrets) -> Box<dyn Simulator> {
    let system = wanted.route.source();
    if system == System::Brex {
        let mut knobs = BrexKnobs { user_token: secrets.brex_token.clone(), ..BrexKnobs::default() };
        if !wanted.paced {
            knobs.rate_limit = 0;
        }
        return Box::new(BrexSim::from_world(&world, wanted.records, knobs, SimClock::running()));
    }
    let (id, secret) = match system {
        System::SecondExpensify => (&secrets.second_user_id, &secrets.second_user_secret),
        _ => (&secrets.partner_user_id, &secrets.partner_user_secret),
    };
    let mut knobs = ExpensifyKnobs {
        partner_user_id: id.clone(),
        partner_user_secret: secret.clone(),
        ..ExpensifyKnobs::default()
    };
    if !wanted.paced {
        knobs.rate_limits.clear();
    }
    Box::new(ExpensifySim::from_owned_world(world, knobs))
}
