//! The simulators, filled from one world.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use chrono::NaiveDate;
use serde_json::Value;

use super::{AgentConfig, BREX, DocumentKind, EPICOR, EXPENSIFY, Purser};
use crate::server::{Running, ServeOptions, SimClock, TestCa, serve};
use crate::sim::brex::{BrexKnobs, BrexSim};
use crate::sim::epicor::{API_KEY, ApiKey, EpicorKnobs, EpicorSim, PASSWORD, USER};
use crate::sim::expensify::{ExpensifyKnobs, ExpensifySim};
use crate::world::{SpendOptions, World, WorldOptions};

/// Path of the Expensify simulator's only door.
const DOOR: &str = crate::sim::expensify::PATH;
/// Where Brex listens, counted from the first port; the one before it is left free.
const BREX_PORT: u16 = 3;

/// Today on this machine, in UTC: the world's day unless another is wanted.
pub fn today() -> NaiveDate {
    SimClock::running().now().date_naive()
}

/// What the simulators accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// Expensify.
    pub partner_user_id: String,
    /// Expensify.
    pub partner_user_secret: String,
    /// Epicor.
    pub user: String,
    /// Epicor.
    pub password: String,
    /// Epicor.
    pub api_key: String,
    /// Brex.
    pub brex_token: String,
}

impl Default for Secrets {
    /// The values that the documentation names.
    fn default() -> Self {
        let expensify = ExpensifyKnobs::default();
        Self {
            partner_user_id: expensify.partner_user_id,
            partner_user_secret: expensify.partner_user_secret,
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            api_key: API_KEY.to_owned(),
            brex_token: BrexKnobs::default().user_token,
        }
    }
}

impl Secrets {
    /// Values that occur nowhere else, so that any trace of them is a leak. The password holds what encodings change.
    pub fn canaries(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x05EC_4E75);
        let mut word = |length: usize| (0..length).map(|_| rng.alphanumeric()).collect::<String>();
        Self {
            partner_user_id: format!("aa_{}_example_test", word(12)),
            partner_user_secret: word(40),
            user: format!("PURSER_{}", word(10)),
            password: format!("{}\"%/+ &\\{}", word(12), word(12)),
            api_key: word(32),
            brex_token: format!("bxt_{}", word(40)),
        }
    }

    /// All of them.
    pub fn values(&self) -> [&str; 6] {
        [
            &self.partner_user_id,
            &self.partner_user_secret,
            &self.user,
            &self.password,
            &self.api_key,
            &self.brex_token,
        ]
    }

    /// Fields of the Brex secret.
    pub fn brex(&self) -> [(&str, &str); 1] {
        [("token", &self.brex_token)]
    }

    /// Fields of the Expensify secret.
    pub fn expensify(&self) -> [(&str, &str); 2] {
        [("partner_user_id", &self.partner_user_id), ("partner_user_secret", &self.partner_user_secret)]
    }

    /// Fields of the Epicor secret.
    pub fn epicor(&self) -> [(&str, &str); 3] {
        [("user", &self.user), ("password", &self.password), ("api_key", &self.api_key)]
    }
}

/// What sandbox is wanted.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// The world.
    pub world: WorldOptions,
    /// What the simulators accept.
    pub secrets: Secrets,
    /// Whether the ERP refuses a second invoice with the same number.
    pub unique: bool,
    /// Serve over HTTPS with an authority of its own.
    pub https: bool,
    /// Expensify listens here, Epicor on the next port, Brex on the third after it; `None` = free ports.
    pub port_base: Option<u16>,
    /// Knobs of the Expensify simulator; its credential is set from `secrets`.
    pub expensify: ExpensifyKnobs,
    /// Knobs of the Epicor simulator; its credential and `unique` are set from here.
    pub epicor: EpicorKnobs,
    /// Knobs of the Brex simulator; its token and scheme are set from here.
    pub brex: BrexKnobs,
    /// Movements of card and cash spend that Brex holds.
    pub spend: usize,
    /// The vendors' clock.
    pub clock: SimClock,
    /// Puts texts that occur nowhere else into some reports, so that any trace of them is a leak.
    pub plant: bool,
}

impl SandboxOptions {
    /// A world of so many reports in one currency, made for today.
    pub fn new(reports: usize) -> Self {
        Self {
            world: WorldOptions { seed: 1, reports, today: today(), mixed_currencies: false },
            secrets: Secrets::default(),
            unique: true,
            https: false,
            port_base: None,
            expensify: ExpensifyKnobs::default(),
            epicor: EpicorKnobs::default(),
            brex: BrexKnobs::default(),
            spend: 60,
            clock: SimClock::running(),
            plant: false,
        }
    }
}

/// The running simulators. They stop when this goes.
#[derive(Debug)]
pub struct Sandbox {
    /// Expensify.
    pub expensify: Running,
    /// Epicor Kinetic.
    pub epicor: Running,
    /// Brex.
    pub brex: Running,
    /// What they were filled from.
    pub world: World,
    /// What they accept.
    pub secrets: Secrets,
    /// Texts of documents that occur nowhere else.
    pub planted: Vec<String>,
    unique: bool,
    ca: Option<TestCa>,
}

impl Sandbox {
    /// Starts the simulators.
    ///
    /// # Errors
    /// When a port is taken.
    pub async fn start(options: SandboxOptions) -> Result<Self> {
        let world = World::generate_with(&options.world);
        Self::start_with(world, options).await
    }

    /// Starts the simulators on a given world; of `options.world` only the currencies of card spend are looked at.
    ///
    /// # Errors
    /// When a port is taken.
    pub async fn start_with(mut world: World, options: SandboxOptions) -> Result<Self> {
        let planted = if options.plant { plant(&mut world) } else { Vec::new() };
        let SandboxOptions {
            secrets,
            unique,
            https,
            port_base,
            mut expensify,
            mut epicor,
            mut brex,
            clock,
            ..
        } = options;
        expensify.partner_user_id.clone_from(&secrets.partner_user_id);
        expensify.partner_user_secret.clone_from(&secrets.partner_user_secret);
        epicor.username.clone_from(&secrets.user);
        epicor.password.clone_from(&secrets.password);
        epicor.api_keys.insert(0, ApiKey { key: secrets.api_key.clone(), scope: Vec::new() });
        epicor.duplicate_refusal = unique;
        brex.user_token.clone_from(&secrets.brex_token);
        if https {
            "https".clone_into(&mut brex.scheme);
        }
        let ca = https.then(TestCa::new).transpose()?;
        let settings = |offset: u16| {
            let port = port_base.map_or(Some(0), |base| base.checked_add(offset));
            let port = port.ok_or_else(|| anyhow!("--port-base is too high: four ports are needed"))?;
            let tls = ca.as_ref().map(|ca| ca.issue(&["127.0.0.1", "localhost"])).transpose()?;
            let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            anyhow::Ok(ServeOptions { listen, tls, clock: clock.clone() })
        };
        let expensify = serve(Box::new(ExpensifySim::from_world(&world, expensify)), settings(0)?).await?;
        let epicor = serve(Box::new(EpicorSim::from_world(&world, epicor)), settings(1)?).await?;
        let spend = SpendOptions { count: options.spend, mixed_currencies: options.world.mixed_currencies };
        let brex = BrexSim::with_spend(&world, &spend, brex, clock.clone());
        let brex = serve(Box::new(brex), settings(BREX_PORT)?).await?;
        Ok(Self { expensify, epicor, brex, world, secrets, planted, unique, ca })
    }

    /// The authority's certificate as PEM, when it is served over HTTPS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca.as_ref().map(|ca| ca.pem.as_str())
    }

    /// Writes the authority's certificate into a folder, when there is one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_ca(&self, folder: &Path) -> Result<Option<PathBuf>> {
        let Some(pem) = self.ca_pem() else { return Ok(None) };
        let file = folder.join("sandbox-ca.pem");
        std::fs::write(&file, pem).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Some(file))
    }

    /// The configuration that fits: journals, a settle window of three seconds, no schedule.
    pub fn agent_config(&self) -> AgentConfig {
        AgentConfig {
            expensify: format!("{}{DOOR}", self.expensify.url()),
            epicor: self.epicor.url(),
            ca_file: None,
            company: self.company().to_owned(),
            document: DocumentKind::Journal,
            unique: self.unique,
            today: self.world.today,
            schedule: None,
            paced: true,
            settle_window: 3,
            settle_interval: 1,
            rewrite_without_uniqueness: true,
            policy: vec!["backoff_base = 1".to_owned()],
            mapping: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// The company posted to.
    pub fn company(&self) -> &str {
        self.world.companies.first().map_or("", String::as_str)
    }

    /// Seals both secrets into an agent's home.
    ///
    /// # Errors
    /// When the agent refuses them.
    pub async fn give_secrets(&self, purser: &Purser) -> Result<()> {
        purser.set_secret(EXPENSIFY, "expensify", &self.expensify.url(), &self.secrets.expensify()).await?;
        purser.set_secret(EPICOR, "epicor", &self.epicor.url(), &self.secrets.epicor()).await
    }

    /// Seals the Brex secret into an agent's home.
    ///
    /// # Errors
    /// When the agent refuses it.
    pub async fn give_brex_secret(&self, purser: &Purser) -> Result<()> {
        purser.set_secret(BREX, "brex", &self.brex.url(), &self.secrets.brex()).await
    }

    /// How many documents the ERP holds.
    pub fn documents_in_erp(&self) -> u64 {
        self.epicor.state().pointer("/summary/documents").and_then(Value::as_u64).unwrap_or_default()
    }
}

/// Texts in the first expense of every fifth report.
fn plant(world: &mut World) -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(world.seed ^ 0x00CA_4A47);
    let mut planted = Vec::new();
    let reports = world.reports.iter_mut().step_by(5);
    for expense in reports.filter_map(|report| report.expenses.first_mut()) {
        let mut word =
            |head: &str| format!("{head} {}", (0..16).map(|_| rng.alphanumeric()).collect::<String>());
        (expense.merchant, expense.modified_merchant) = (word("Canary inn"), None);
        expense.comment = word("canary comment");
        planted.extend([expense.merchant.clone(), expense.comment.clone()]);
    }
    planted
}
