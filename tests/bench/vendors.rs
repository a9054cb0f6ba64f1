//! The simulated vendors of a measurement, in this process, with everything they were asked kept whole: the
//! sandbox's own journal cuts bodies and hides credentials, and a call that is to be made again needs both.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use sandbox::harness::{AgentConfig, Home, Purser, Sandbox, SandboxOptions, Secrets, System};
use sandbox::server::{Reply, Request, Running, ServeOptions, Simulator, serve};
use sandbox::sim::epicor::{EpicorKnobs, EpicorSim};
use sandbox::sim::expensify::{ExpensifyKnobs, ExpensifySim};
use sandbox::world::{World, WorldOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Side {
    /// Expensify.
    Source,
    /// Epicor Kinetic.
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

#[derive(Debug, Default)]
struct Inner {
    calls: Vec<TapedCall>,
    moments: Vec<Instant>,
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
        self.inner().moments.first().copied()
    }

    /// When each call to one side came.
    pub(crate) fn moments(&self, wanted: Side) -> Vec<Instant> {
        let inner = self.inner();
        let both = inner.calls.iter().zip(&inner.moments);
        both.filter(|(call, _)| call.side == wanted).map(|(_, moment)| *moment).collect()
    }

    /// Time that the simulators themselves worked.
    pub(crate) fn busy(&self) -> Duration {
        self.inner().busy
    }
}

struct Recorder<S> {
    sim: S,
    side: Side,
    tape: Arc<Tape>,
}

impl<S: Simulator> Simulator for Recorder<S> {
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
        inner.moments.push(moment);
        inner.busy += busy;
        reply
    }

    fn state(&self) -> Value {
        self.sim.state()
    }

    fn control(&mut self, verb: &str, body: &Value) -> Result<Value, String> {
        self.sim.control(verb, body)
    }

    fn misuse(&self) -> Vec<String> {
        self.sim.misuse()
    }

    fn operation(&self, request: &Request) -> String {
        self.sim.operation(request)
    }
}

/// Both vendors, filled from one world. They stop when this goes.
pub(crate) struct Vendors {
    /// Expensify.
    pub(crate) source: Running,
    /// Epicor Kinetic.
    pub(crate) erp: Running,
    /// What they were asked.
    pub(crate) tape: Arc<Tape>,
    paced: bool,
}

impl Vendors {
    /// Vendors that answer at once; `paced` = Expensify's documented rate ceilings are in force, else none are.
    pub(crate) async fn start(reports: usize, paced: bool) -> Result<Self> {
        let options = WorldOptions { reports, ..SandboxOptions::new(reports).world };
        let world = World::generate_with(&options);
        let secrets = Secrets::default();
        let mut expensify = ExpensifyKnobs {
            partner_user_id: secrets.partner_user_id.clone(),
            partner_user_secret: secrets.partner_user_secret.clone(),
            ..ExpensifyKnobs::default()
        };
        if !paced {
            expensify.rate_limits.clear();
        }
        let tape = Arc::new(Tape::default());
        let epicor = EpicorSim::from_world(&world, EpicorKnobs::default());
        let expensify = ExpensifySim::from_owned_world(world, expensify);
        let erp = Recorder { sim: epicor, side: Side::Erp, tape: Arc::clone(&tape) };
        let source = Recorder { sim: expensify, side: Side::Source, tape: Arc::clone(&tape) };
        Ok(Self {
            source: serve(Box::new(source), ServeOptions::default()).await?,
            erp: serve(Box::new(erp), ServeOptions::default()).await?,
            tape,
            paced,
        })
    }

    /// A home whose agent works with these vendors. `policy` lines go below `[flow.policy]`.
    pub(crate) async fn agent(&self, home: &Home, policy: &[&str]) -> Result<Purser> {
        // The sandbox knows which configuration fits; only its addresses are others here.
        let model = Sandbox::start(SandboxOptions::new(1)).await?;
        let usual = model.agent_config();
        let door = usual.expensify.strip_prefix(&model.expensify.url()).unwrap_or_default();
        let expensify = format!("{}{door}", self.source.url());
        let config = AgentConfig {
            expensify,
            epicor: self.erp.url(),
            paced: self.paced,
            policy: policy.iter().map(|line| (*line).to_owned()).collect(),
            ..usual
        };
        home.configure(&config)?;
        let purser = Purser::new(home.path()).await?;
        for (system, running) in [(System::Expensify, &self.source), (System::Epicor, &self.erp)] {
            let fields = model.secrets.of(system);
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            purser.set_secret(system.id(), system.kind(), &running.url(), &fields).await?;
        }
        Ok(purser)
    }
}
