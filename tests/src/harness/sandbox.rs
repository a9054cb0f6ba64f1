//! The simulators, filled from one world.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use chrono::NaiveDate;
use serde_json::Value;

use super::{AgentConfig, CARD_RECORDS, DocumentKind, Purser, Route, System};
use crate::server::{Running, ServeOptions, SimClock, TestCa, serve};
use crate::sim::acumatica::{AcumaticaKnobs, AcumaticaSim, CLIENT_GUID, Duplicates, TENANT};
use crate::sim::brex::{BrexKnobs, BrexSim};
use crate::sim::epicor::{API_KEY, ApiKey, EpicorKnobs, EpicorSim, PASSWORD, USER};
use crate::sim::expensify::{ExpensifyKnobs, ExpensifySim};
use crate::world::{SpendFault, SpendKind, SpendOptions, SpendState, World, WorldOptions, WorldSpend};

/// Path of the Expensify simulator's only door.
const DOOR: &str = crate::sim::expensify::PATH;
/// Where Brex listens, counted from the first port.
const BREX_PORT: u16 = 3;
/// Where the second Expensify account listens.
const SECOND_PORT: u16 = 4;

/// Sessions that Acumatica's licence allows at a time: an agent that signs in anew at each start soon has none.
const SEATS: usize = 5;

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
    /// The second Expensify account.
    pub second_user_id: String,
    /// The second Expensify account.
    pub second_user_secret: String,
    /// Epicor and Acumatica.
    pub user: String,
    /// Epicor and Acumatica.
    pub password: String,
    /// Epicor; with Acumatica the secret of the connected application.
    pub api_key: String,
    /// Brex.
    pub brex_token: String,
}

impl Default for Secrets {
    /// The values that the documentation names.
    fn default() -> Self {
        let expensify = ExpensifyKnobs::default();
        Self {
            second_user_id: format!("{}_second", expensify.partner_user_id),
            second_user_secret: format!("{}-second", expensify.partner_user_secret),
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
            second_user_id: format!("aa_{}_example_test", word(12)),
            second_user_secret: word(40),
        }
    }

    /// All of them.
    pub fn values(&self) -> [&str; 8] {
        [
            &self.partner_user_id,
            &self.partner_user_secret,
            &self.second_user_id,
            &self.second_user_secret,
            &self.user,
            &self.password,
            &self.api_key,
            &self.brex_token,
        ]
    }

    /// Fields of a system's secret.
    pub fn of(&self, system: System) -> Vec<(&'static str, String)> {
        let client = format!("{CLIENT_GUID}@{TENANT}");
        let fields: Vec<(&'static str, &str)> = match system {
            System::Expensify => vec![
                ("partner_user_id", &self.partner_user_id),
                ("partner_user_secret", &self.partner_user_secret),
            ],
            System::SecondExpensify => vec![
                ("partner_user_id", &self.second_user_id),
                ("partner_user_secret", &self.second_user_secret),
            ],
            System::Brex => vec![("token", &self.brex_token)],
            System::Epicor => {
                vec![("user", &self.user), ("password", &self.password), ("api_key", &self.api_key)]
            }
            System::Acumatica => vec![
                ("client_id", &client),
                ("client_secret", self.acumatica_client_secret()),
                ("user", &self.user),
                ("password", &self.password),
            ],
        };
        fields.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
    }

    /// The secret of Acumatica's OAuth 2.0 client: the ERPs share user, password and key.
    pub fn acumatica_client_secret(&self) -> &str {
        &self.api_key
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
    /// Expensify listens here, Epicor, Acumatica, Brex and the second Expensify account on the next ports; `None` = free
    /// ports.
    pub port_base: Option<u16>,
    /// Knobs of both Expensify simulators; their credentials are set from `secrets`.
    pub expensify: ExpensifyKnobs,
    /// Knobs of the Epicor simulator; its credential and `unique` are set from here.
    pub epicor: EpicorKnobs,
    /// Knobs of the Acumatica simulator; its credential and `unique` are set from here.
    pub acumatica: AcumaticaKnobs,
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
            acumatica: AcumaticaKnobs { api_users: SEATS, ..AcumaticaKnobs::default() },
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
    /// The second Expensify account.
    pub second_expensify: Running,
    /// Epicor Kinetic.
    pub epicor: Running,
    /// Acumatica.
    pub acumatica: Running,
    /// Brex.
    pub brex: Running,
    /// What Expensify, Brex and Epicor were filled from.
    pub world: World,
    /// What the second Expensify account and Acumatica were filled from: other people with other reports.
    pub second_world: World,
    /// Card and cash spend of the world.
    pub spend: Vec<WorldSpend>,
    /// What they accept.
    pub secrets: Secrets,
    /// Texts of documents that occur nowhere else.
    pub planted: Vec<String>,
    unique: bool,
    ca: Option<TestCa>,
}

/// What must become of a record that is ready to be booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Minor units.
    pub total: i64,
    /// Currency.
    pub currency: String,
    /// Why it must be held; `None` = it must be booked.
    pub hold: Option<String>,
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

    /// Starts the simulators on a given world; of `options.world` only that of the second Expensify account
    /// and Acumatica is made.
    ///
    /// # Errors
    /// When a port is taken.
    pub async fn start_with(mut world: World, options: SandboxOptions) -> Result<Self> {
        let mut second_world = World::generate_with(&second(&options.world));
        let mut planted = Vec::new();
        let spending =
            SpendOptions { count: options.spend, mixed_currencies: options.world.mixed_currencies };
        let mut spend = world.spend_with(&spending);
        if options.plant {
            planted = plant(&mut world);
            planted.extend(plant(&mut second_world));
            planted.extend(plant_spend(&mut spend, world.seed));
        }
        let SandboxOptions { secrets, unique, https, port_base, clock, .. } = options;
        let (mut expensify, mut epicor) = (options.expensify, options.epicor);
        let (mut acumatica, mut brex) = (options.acumatica, options.brex);
        expensify.partner_user_id.clone_from(&secrets.partner_user_id);
        expensify.partner_user_secret.clone_from(&secrets.partner_user_secret);
        let mut second_expensify = expensify.clone();
        second_expensify.partner_user_id.clone_from(&secrets.second_user_id);
        second_expensify.partner_user_secret.clone_from(&secrets.second_user_secret);
        epicor.username.clone_from(&secrets.user);
        epicor.password.clone_from(&secrets.password);
        epicor.api_keys.insert(0, ApiKey { key: secrets.api_key.clone(), scope: Vec::new() });
        epicor.duplicate_refusal = unique;
        acumatica.username.clone_from(&secrets.user);
        acumatica.password.clone_from(&secrets.password);
        secrets.acumatica_client_secret().clone_into(&mut acumatica.client_secret);
        if unique && acumatica.duplicates == Duplicates::Allowed {
            acumatica.duplicates = Duplicates::Error422;
        }
        brex.user_token.clone_from(&secrets.brex_token);
        if https {
            "https".clone_into(&mut brex.scheme);
        }
        let ca = https.then(TestCa::new).transpose()?;
        let settings = |offset: u16| {
            let port = port_base.map_or(Some(0), |base| base.checked_add(offset));
            let port = port.ok_or_else(|| anyhow!("--port-base is too high: five ports are needed"))?;
            let tls = ca.as_ref().map(|ca| ca.issue(&["127.0.0.1", "localhost"])).transpose()?;
            let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            anyhow::Ok(ServeOptions { listen, tls, clock: clock.clone() })
        };
        let expensify = serve(Box::new(ExpensifySim::from_world(&world, expensify)), settings(0)?).await?;
        let epicor = serve(Box::new(EpicorSim::from_world(&world, epicor)), settings(1)?).await?;
        let acumatica =
            serve(Box::new(AcumaticaSim::from_world(&second_world, acumatica)), settings(2)?).await?;
        let brex = BrexSim::with_movements(&world, spend.clone(), brex, clock.clone());
        let brex = serve(Box::new(brex), settings(BREX_PORT)?).await?;
        let second_expensify = ExpensifySim::from_world(&second_world, second_expensify);
        let second_expensify = serve(Box::new(second_expensify), settings(SECOND_PORT)?).await?;
        Ok(Self {
            expensify,
            second_expensify,
            epicor,
            acumatica,
            brex,
            world,
            second_world,
            spend,
            secrets,
            planted,
            unique,
            ca,
        })
    }

    /// A system's simulator.
    pub const fn running(&self, system: System) -> &Running {
        match system {
            System::Expensify => &self.expensify,
            System::SecondExpensify => &self.second_expensify,
            System::Brex => &self.brex,
            System::Epicor => &self.epicor,
            System::Acumatica => &self.acumatica,
        }
    }

    /// Where a route reads.
    pub const fn source(&self, route: Route) -> &Running {
        self.running(route.source())
    }

    /// Where a route writes.
    pub const fn erp(&self, route: Route) -> &Running {
        self.running(route.erp())
    }

    /// What must become of the records of a route that are ready, by their ids.
    pub fn expected(&self, route: Route, document: DocumentKind) -> BTreeMap<String, Expected> {
        let ap = document == DocumentKind::ApInvoice;
        let world = match route {
            Route::ExpensifyEpicor => &self.world,
            Route::ExpensifyAcumatica => &self.second_world,
            Route::BrexEpicor => return self.expected_spend(ap),
        };
        let ready = world.reports_in(&["APPROVED", "REIMBURSED"]);
        let expected = ready.map(|report| {
            let hold = report.hold(ap).map(str::to_owned);
            (report.id.clone(), Expected { total: report.total(), currency: report.currency.clone(), hold })
        });
        expected.collect()
    }

    /// Movements in the order of the records that Brex made of them.
    fn expected_spend(&self, ap: bool) -> BTreeMap<String, Expected> {
        let card = |spend: &&WorldSpend| matches!(spend.kind, SpendKind::Purchase | SpendKind::Refund);
        let state = self.brex.state();
        let records = state.get("records").and_then(Value::as_array).into_iter().flatten();
        let word = |record: &Value, name: &str| {
            record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let records = records.filter(|record| CARD_RECORDS.contains(&word(record, "type").as_str()));
        let pairs = self.spend.iter().filter(card).zip(records);
        let ready = pairs.filter(|(spend, _)| spend.state == SpendState::Ready);
        let expected = ready.map(|(spend, record)| {
            let hold = spend.fault.and_then(|fault| hold_of(fault, ap)).map(str::to_owned);
            let currency = spend.currency.clone();
            (word(record, "id"), Expected { total: spend.signed(), currency, hold })
        });
        expected.collect()
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

    /// The configuration that fits the flow from Expensify to Epicor: journals, a settle window of three seconds, no
    /// schedule.
    pub fn agent_config(&self) -> AgentConfig {
        self.agent_config_for(&[Route::ExpensifyEpicor])
    }

    /// The same for other routes.
    pub fn agent_config_for(&self, routes: &[Route]) -> AgentConfig {
        AgentConfig {
            routes: routes.to_vec(),
            expensify: format!("{}{DOOR}", self.expensify.url()),
            second_expensify: format!("{}{DOOR}", self.second_expensify.url()),
            brex: self.brex.url(),
            epicor: self.epicor.url(),
            acumatica: self.acumatica.url(),
            ca_file: None,
            company: self.company().to_owned(),
            tenant: self.tenant().to_owned(),
            document: DocumentKind::Journal,
            unique: self.unique,
            today: self.world.today,
            schedule: None,
            paced: true,
            settle_window: 3,
            settle_interval: 1,
            rewrite_without_uniqueness: true,
            settings: BTreeMap::new(),
            policy: vec!["backoff_base = 1".to_owned()],
            mapping: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// The company of Epicor that is posted to.
    pub fn company(&self) -> &str {
        self.world.companies.first().map_or("", String::as_str)
    }

    /// The tenant of Acumatica that is posted to.
    pub const fn tenant(&self) -> &str {
        TENANT
    }

    /// The company that a route posts to, as its ERP's simulator calls it.
    pub fn company_of(&self, route: Route) -> &str {
        if route.erp() == System::Acumatica { self.tenant() } else { self.company() }
    }

    /// Seals the secrets of the flow from Expensify to Epicor into an agent's home.
    ///
    /// # Errors
    /// When the agent refuses them.
    pub async fn give_secrets(&self, purser: &Purser) -> Result<()> {
        self.give_secrets_for(purser, &[Route::ExpensifyEpicor]).await
    }

    /// The same for other routes.
    ///
    /// # Errors
    /// When the agent refuses them.
    pub async fn give_secrets_for(&self, purser: &Purser, routes: &[Route]) -> Result<()> {
        for system in Route::systems(routes) {
            let fields = self.secrets.of(system);
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let origin = self.running(system).url();
            purser.set_secret(system.id(), system.kind(), &origin, &fields).await?;
        }
        Ok(())
    }

    /// How many documents Epicor holds.
    pub fn documents_in_erp(&self) -> u64 {
        documents_in(&self.epicor)
    }

    /// How many documents Acumatica holds.
    pub fn documents_in_acumatica(&self) -> u64 {
        documents_in(&self.acumatica)
    }

    /// How many documents the ERPs of some routes hold.
    pub fn documents_of(&self, routes: &[Route]) -> u64 {
        let erp = |system: &System| matches!(system, System::Epicor | System::Acumatica);
        let erps = Route::systems(routes).into_iter().filter(erp);
        erps.map(|system| documents_in(self.running(system))).sum()
    }
}

/// Another company.
fn second(options: &WorldOptions) -> WorldOptions {
    WorldOptions { seed: options.seed ^ 0x0002_ACC0, ..options.clone() }
}

/// Why a movement with this fault must be held; `ap` = as an invoice of the merchant's supplier.
const fn hold_of(fault: SpendFault, ap: bool) -> Option<&'static str> {
    match fault {
        SpendFault::NoAccount => Some("category-missing"),
        SpendFault::ByHand => Some("category-unmapped"),
        SpendFault::AccountInactive => Some("account-inactive"),
        SpendFault::ProjectClosed => Some("project-closed"),
        SpendFault::MerchantUnknown | SpendFault::MerchantAmbiguous if ap => Some("merchant-unmatched"),
        SpendFault::NoMerchant if ap => Some("merchant-missing"),
        SpendFault::MerchantUnknown | SpendFault::MerchantAmbiguous | SpendFault::NoMerchant => None,
    }
}

fn documents_in(erp: &Running) -> u64 {
    erp.state().pointer("/summary/documents").and_then(Value::as_u64).unwrap_or_default()
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

/// Texts in the memo of every fifth movement.
fn plant_spend(spend: &mut [WorldSpend], seed: u64) -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x00CA_4A48);
    let planted = spend.iter_mut().step_by(5).map(|movement| {
        movement.memo = format!("canary memo {}", (0..16).map(|_| rng.alphanumeric()).collect::<String>());
        movement.memo.clone()
    });
    planted.collect()
}
