//! A sandbox, an agent's home and the real binary, set up for one test; and what is judged at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sandbox::harness::{
    AgentConfig, DocumentKind, Expected, Finished, Home, Purser, Route, Sandbox, SandboxOptions,
};
use sandbox::invariants::{Evidence, Tally, booked_documents, verify_audit};
use sandbox::server::Running;
use sandbox::world::WorldReport;
use serde_json::Value;

/// Longest time that anything may take before a test gives up.
pub(crate) const LONGEST: Duration = Duration::from_secs(90);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Everything that one test works with.
pub(crate) struct Stage {
    /// What is judged; the only flow of the agent.
    pub(crate) route: Route,
    pub(crate) sandbox: Sandbox,
    pub(crate) home: Home,
    pub(crate) purser: Purser,
    pub(crate) config: AgentConfig,
}

/// A sandbox without rate limits, so that tests with many short runs need not wait for the vendor's pace.
pub(crate) fn quick(reports: usize) -> SandboxOptions {
    let mut options = SandboxOptions::new(reports);
    options.expensify.rate_limits = Vec::new();
    options.brex.rate_limit = 0;
    options.spend = reports;
    options
}

impl Stage {
    /// Starts the sandbox, writes the configuration (after `tweak`) and seals the secrets: Expensify to Epicor.
    pub(crate) async fn set(options: SandboxOptions, tweak: impl FnOnce(&mut AgentConfig)) -> Self {
        Self::set_route(Route::ExpensifyEpicor, options, tweak).await
    }

    /// The same for another route.
    pub(crate) async fn set_route(
        route: Route,
        options: SandboxOptions,
        tweak: impl FnOnce(&mut AgentConfig),
    ) -> Self {
        let paced = !options.expensify.rate_limits.is_empty();
        let sandbox = Sandbox::start(options).await.unwrap();
        Self::set_on(sandbox, route, |config| {
            config.paced = paced;
            tweak(config);
        })
        .await
    }

    /// The same on a sandbox that runs.
    pub(crate) async fn set_on(sandbox: Sandbox, route: Route, tweak: impl FnOnce(&mut AgentConfig)) -> Self {
        let home = Home::new().unwrap();
        let mut config = sandbox.agent_config_for(&[route]);
        config.ca_file = sandbox.write_ca(home.beside()).unwrap();
        tweak(&mut config);
        home.configure(&config).unwrap();
        let purser = Purser::new(home.path()).await.unwrap();
        sandbox.give_secrets_for(&purser, &[route]).await.unwrap();
        Self { route, sandbox, home, purser, config }
    }

    /// The simulator that is read.
    pub(crate) fn source(&self) -> &Running {
        self.sandbox.source(self.route)
    }

    /// The simulator that is written to.
    pub(crate) fn erp(&self) -> &Running {
        self.sandbox.erp(self.route)
    }

    /// How many documents that one holds.
    pub(crate) fn documents(&self) -> u64 {
        self.sandbox.documents_of(&[self.route])
    }

    /// References of the documents of the flow.
    pub(crate) fn references(&self) -> BTreeSet<String> {
        let company = self.sandbox.company_of(self.route);
        let booked = booked_documents(&self.erp().state(), company, self.route).unwrap();
        booked.into_iter().map(|document| document.reference).collect()
    }

    /// Credentials that occur nowhere but in the sealed secrets: account names stand in documents too.
    pub(crate) fn hidden(&self) -> Vec<&str> {
        let secrets = &self.sandbox.secrets;
        vec![
            &secrets.partner_user_secret,
            &secrets.second_user_secret,
            &secrets.password,
            &secrets.api_key,
            &secrets.brex_token,
        ]
    }

    /// Whether it writes AP invoices.
    pub(crate) fn is_ap(&self) -> bool {
        self.config.document == DocumentKind::ApInvoice
    }

    /// Changes the configuration.
    pub(crate) fn configure(&mut self, tweak: impl FnOnce(&mut AgentConfig)) {
        tweak(&mut self.config);
        self.home.configure(&self.config).unwrap();
    }

    /// Runs until nothing is open, and answers the counters.
    pub(crate) async fn run(&self) -> Value {
        let (ran, answer) = self.purser.json(&["run", "--once", "--settle", "60"]).await.unwrap();
        assert!(matches!(ran.code, Some(0 | 4)), "{}", ran.words());
        answer["flows"][0]["report"].clone()
    }

    /// A command that must end with this code; its JSON.
    pub(crate) async fn ask(&self, code: i32, arguments: &[&str]) -> Value {
        let (finished, answer) = self.purser.json(arguments).await.unwrap();
        assert_eq!(finished.code, Some(code), "purser {}: {}", arguments.join(" "), finished.words());
        answer
    }

    /// A command that must end with this code; what it said.
    pub(crate) async fn say(&self, code: i32, arguments: &[&str]) -> Finished {
        let finished = self.purser.run(arguments).await.unwrap();
        assert_eq!(finished.code, Some(code), "purser {}: {}", arguments.join(" "), finished.words());
        finished
    }

    /// The proof over the whole period of the world.
    pub(crate) async fn proof(&self, code: i32) -> Value {
        let (from, to) = (self.config.start().to_string(), self.config.today.to_string());
        self.ask(code, &["proof", "--flow", self.route.flow(), "--from", &from, "--to", &to]).await["proof"]
            .clone()
    }

    /// Records in a state, with what the agent says of them.
    pub(crate) async fn records(&self, state: &str) -> Vec<Value> {
        let answer = self.ask(0, &["records", "list", "--limit", "100000", "--state", state]).await;
        answer["records"].as_array().unwrap().clone()
    }

    /// Wrong calls that the simulators have received.
    pub(crate) fn misuse(&self) -> Vec<String> {
        let mut misuse = self.source().misuse();
        misuse.extend(self.erp().misuse());
        misuse
    }

    /// Records that are ready to be booked, of any route, with what must become of them.
    pub(crate) fn expected(&self) -> BTreeMap<String, Expected> {
        self.sandbox.expected(self.route, self.config.document)
    }

    /// Reports that are ready to be booked.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &WorldReport> {
        self.sandbox.world.reports_in(&["APPROVED", "REIMBURSED"])
    }

    /// Reports that must be booked.
    pub(crate) fn bookable(&self) -> Vec<&WorldReport> {
        let ap = self.is_ap();
        self.ready().filter(|report| report.hold(ap).is_none()).collect()
    }

    /// Reports that must be held.
    pub(crate) fn holdable(&self) -> Vec<&WorldReport> {
        let ap = self.is_ap();
        self.ready().filter(|report| report.hold(ap).is_some()).collect()
    }

    /// Judges both systems; nothing may be wrong or unfinished, and no call misused.
    pub(crate) async fn judge(&self) -> Tally {
        let tally = self.tally().await;
        assert_eq!(tally.faults(), Vec::<String>::new());
        verify_audit(&self.purser).await.unwrap();
        tally
    }

    /// What both systems hold, whatever it is.
    pub(crate) async fn tally(&self) -> Tally {
        let evidence = Evidence::gather(&self.sandbox, self.route, &self.purser).await.unwrap();
        evidence.examine().unwrap()
    }

    /// What the agent says of itself in its status file, once it satisfies the condition.
    pub(crate) async fn status_when(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let file = self.home.path().join("status.json");
        let mut last = Value::Null;
        let found = wait_for(|| {
            last = std::fs::read(&file)
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .unwrap_or(Value::Null);
            holds(&last)
        });
        if !found.await {
            panic!("waited in vain for: {what}; the status is {last:#}");
        }
        last
    }
}

/// Waits until a condition holds; says whether it did in time.
pub(crate) async fn wait_for(mut condition: impl FnMut() -> bool) -> bool {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(LONGEST, waiting).await.is_ok()
}
