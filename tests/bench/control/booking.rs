//! From a webhook to a document: a real agent, enrolled, between the simulators of Brex and Epicor, which answer at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sandbox::harness::{
    Agent, BREX, Control, ControlOptions, Home, Purser, Route, Sandbox, SandboxOptions, System,
};
use serde_json::{Value, json};

/// What is booked.
const ROUTE: Route = Route::BrexEpicor;
/// Longest time that anything may take.
const LONGEST: Duration = Duration::from_secs(60);
/// How often the ERP is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// How often the agent's word of itself is looked at.
const LOOK_AT_AGENT: Duration = Duration::from_millis(100);

/// One site.
struct Site {
    sandbox: Sandbox,
    home: Home,
    purser: Purser,
    _control: Control,
    agent: Agent,
    /// A movement that can be booked, to be made again and again.
    model: Value,
}

/// Times from the moment in which Brex has something to announce to the document in Epicor, sorted.
pub(super) async fn measure(on: ControlOptions, count: usize) -> Result<Vec<Duration>> {
    let site = Site::open(on).await?;
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let wanted = site.documents() + 1;
        let began = Instant::now();
        site.buy(1000 + i64::try_from(number)?)?;
        until(LOOK, || Ok(site.documents() >= wanted)).await.context("a webhook led to no document")?;
        times.push(began.elapsed());
    }
    site.close().await?;
    times.sort_unstable();
    Ok(times)
}

impl Site {
    async fn open(on: ControlOptions) -> Result<Self> {
        let mut options = SandboxOptions::new(3);
        options.expensify.rate_limits = Vec::new();
        options.brex.rate_limit = 0;
        options.spend = 10;
        let sandbox = Sandbox::start(options).await?;
        let home = Home::new()?;
        let mut config = sandbox.agent_config_for(&[ROUTE]);
        config.paced = false;
        home.configure(&config)?;
        let purser = Purser::new(home.path()).await?;
        sandbox.give_secrets_for(&purser, &[ROUTE]).await?;
        let control = Control::start(on).await?;
        let id = control.enroll(&purser, &[]).await?;
        let hook = ["hook", "create", "--tenant", control.tenant(), "--agent", &id, "--connection", BREX];
        let hook = format!("{}{}", control.address(), control.says(&hook).await?);
        listen(&sandbox, &purser, &hook).await?;
        let agent = purser.spawn(&["run", "--no-jitter"])?;
        let model = model(&sandbox)?;
        let site = Self { sandbox, home, purser, _control: control, agent, model };
        let connected = || Ok(site.status().is_some_and(|status| status["link"]["state"] == "connected"));
        until(LOOK_AT_AGENT, connected).await.context("the agent's link is not up")?;
        // What Brex had before is booked first.
        let ran = site.purser.run(&["flows", "run", ROUTE.flow()]).await?;
        ensure!(matches!(ran.code, Some(0 | 4)), "the flow did not run: {}", ran.words());
        let mut last = None;
        until(Duration::from_secs(2), || Ok(last.replace(site.documents()) == Some(site.documents())))
            .await?;
        Ok(site)
    }

    fn status(&self) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.home.path().join("status.json")).ok()?).ok()
    }

    fn documents(&self) -> u64 {
        self.sandbox.documents_of(&[ROUTE])
    }

    /// Adds a purchase; Brex announces it to whoever listens.
    fn buy(&self, minor: i64) -> Result<()> {
        let mut spend = self.model.clone();
        (spend["lines"][0]["amount"], spend["lines"][0]["original"]) = (minor.into(), minor.into());
        let made = self.sandbox.brex.control("add-spend", &spend);
        made.map_err(|why| anyhow::anyhow!("no purchase: {why}"))?;
        Ok(())
    }

    async fn close(self) -> Result<()> {
        self.agent.terminate().await?;
        self.agent.wait_within(Duration::from_secs(30)).await?;
        let wrong = [self.sandbox.brex.misuse(), self.sandbox.epicor.misuse()].concat();
        ensure!(
            wrong.is_empty(),
            "the agent made wrong calls, so nothing of this counts: {}",
            wrong.join("; ")
        );
        Ok(())
    }
}

/// A purchase that can be booked.
fn model(sandbox: &Sandbox) -> Result<Value> {
    let one = sandbox.spend.iter().find(|one| one.lines.len() == 1 && one.fault.is_none());
    let mut model = serde_json::to_value(one.context("no movement of one line")?)?;
    (model["kind"], model["state"]) = ("purchase".into(), "ready".into());
    Ok(model)
}

/// Registers the hook with Brex, and gives the agent the secret that Brex signs with.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever sets the account up speaks to the simulator, not the agent"
)]
async fn listen(sandbox: &Sandbox, purser: &Purser, hook: &str) -> Result<()> {
    let listed = sandbox.brex.control("rotate-secret", &json!({}));
    let listed = listed.map_err(|why| anyhow::anyhow!("no secret: {why}"))?;
    let secret = listed[0]["secret"].as_str().context("no secret")?;
    let fields = sandbox.secrets.of(System::Brex);
    let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.push(("webhook_secret", secret));
    purser.set_secret(BREX, System::Brex.kind(), &sandbox.brex.url(), &fields).await?;
    let endpoint = json!({ "url": hook, "event_types": ["ACCOUNTING_RECORD_READY_FOR_EXPORT"] });
    let asked = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .post(format!("{}/v1/webhooks", sandbox.brex.url()))
        .bearer_auth(&sandbox.secrets.brex_token)
        .header("Idempotency-Key", "5f0c8a52-7d1e-4c39-9b64-2e6a1d3f8b07")
        .header("content-type", "application/json")
        .body(endpoint.to_string());
    let answer = asked.send().await?;
    ensure!(answer.status().is_success(), "Brex takes no hook: {}", answer.text().await?);
    Ok(())
}

async fn until(look: Duration, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + LONGEST;
    while !holds()? {
        ensure!(Instant::now() < until, "waited for {} seconds in vain", LONGEST.as_secs());
        tokio::time::sleep(look).await;
    }
    Ok(())
}
