//! A site: the systems of one company, an enrolled agent that works, and the control plane that it belongs to.

use std::time::Duration;

use purser_proto::link::command::Verb;
use sandbox::harness::{Agent, BREX, Control, ControlOptions, Home, Purser, Route, SandboxOptions, System};
use serde_json::Value;

use super::desk::Desk;
use crate::stage::{LONGEST, Stage, quick};

/// What every site books.
pub(super) const ROUTE: Route = Route::BrexEpicor;
/// How often something at the control plane is looked at.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Site {
    pub(super) stage: Stage,
    pub(super) control: Control,
    pub(super) desk: Desk,
    /// The agent's id.
    pub(super) id: String,
    pub(super) agent: Option<Agent>,
}

impl Site {
    /// An agent with its own configuration and secrets, enrolled and at work.
    pub(super) async fn open(on: ControlOptions) -> Self {
        Self::with(on, quick(30)).await
    }

    pub(super) async fn with(on: ControlOptions, options: SandboxOptions) -> Self {
        let (stage, control) = tokio::join!(Stage::set_route(ROUTE, options, |_| {}), Control::start(on));
        let control = control.unwrap();
        let id = control.enroll(&stage.purser, &[]).await.unwrap();
        Self { desk: Desk::at(&control).await, agent: Some(start(&stage.purser)), stage, control, id }
            .connected()
            .await
    }

    /// An agent that has nothing but its identity and the places that it may go to.
    pub(super) async fn bare(on: ControlOptions, options: SandboxOptions) -> Self {
        let (mut stage, control) = tokio::join!(Stage::set_route(ROUTE, options, |_| {}), Control::start(on));
        let control = control.unwrap();
        stage.home = Home::new().unwrap();
        stage.purser = Purser::new(stage.home.path()).await.unwrap();
        let (brex, epicor) = (stage.config.brex.clone(), stage.config.epicor.clone());
        let further = ["--allow-origin", &brex, "--allow-origin", &epicor];
        let id = control.enroll(&stage.purser, &further).await.unwrap();
        Self { desk: Desk::at(&control).await, agent: Some(start(&stage.purser)), stage, control, id }
            .connected()
            .await
    }

    async fn connected(self) -> Self {
        self.stage.status_when("the link is up", |status| status["link"]["state"] == "connected").await;
        self
    }

    /// Pushes a configuration and waits until the agent works with it.
    pub(super) async fn configure(&self, toml: &str) -> i64 {
        let number = self.desk.configure(&self.id, toml).await;
        until("the revision is decided", async || {
            self.desk.revision(&self.id, number).await.decided_at.is_some()
        })
        .await;
        let decided = self.desk.revision(&self.id, number).await;
        assert_eq!(decided.state, "applied", "{}", decided.findings);
        number
    }

    /// Has somebody seal a secret with what the control plane shows of the agent, and hands it in.
    pub(super) async fn seal(&self, system: System, further: &[(&str, &str)]) {
        let agent = self.desk.agent(&self.id).await;
        let origin = self.stage.sandbox.running(system).url();
        let arguments = [
            "seal",
            "--agent",
            &self.id,
            "--recipient",
            &agent.recipient,
            "--fingerprint",
            &agent.fingerprint,
            "--connection",
            system.id(),
            "--kind",
            system.kind(),
            "--origin",
            &origin,
        ];
        let fields = self.stage.sandbox.secrets.of(system);
        let fields =
            fields.iter().map(|(name, value)| (*name, value.as_str())).chain(further.iter().copied());
        let input: String = fields.map(|(name, value)| format!("{name}={value}\n")).collect();
        // Anywhere: not on the agent's machine.
        let elsewhere = Home::new().unwrap();
        let purser = Purser::new(elsewhere.path()).await.unwrap();
        let sealed = purser.run_with_input(&arguments, &input).await.unwrap();
        assert_eq!(sealed.code, Some(0), "{}", sealed.words());
        let id = self.desk.hand_in(&self.id, system.id(), &sealed.stdout).await;
        until("the secret is decided", async || self.desk.secret(&self.id, &id).await.decided_at.is_some())
            .await;
        let decided = self.desk.secret(&self.id, &id).await;
        assert_eq!(decided.refused, None);
    }

    /// Asks for something and waits for how it ended.
    pub(super) async fn ask(&self, verb: Verb) -> (String, String) {
        let id = self.desk.command(&self.id, verb).await;
        until("the command is answered", async || self.desk.outcome(&id).await.finished_at.is_some()).await;
        let ended = self.desk.outcome(&id).await;
        (ended.state, ended.words)
    }

    pub(super) async fn run(&self) -> (String, String) {
        self.ask(Verb::Run { flow: ROUTE.flow().into() }).await
    }

    /// Adds a purchase that can be booked, so many minor units; Brex announces it to whoever listens.
    pub(super) fn buy(&self, minor: i64) -> String {
        let spend = self.stage.sandbox.spend.iter().find(|one| one.lines.len() == 1 && one.fault.is_none());
        let mut spend = serde_json::to_value(spend.unwrap()).unwrap();
        (spend["kind"], spend["state"]) = ("purchase".into(), "ready".into());
        (spend["lines"][0]["amount"], spend["lines"][0]["original"]) = (minor.into(), minor.into());
        let made = self.stage.sandbox.brex.control("add-spend", &spend).unwrap();
        made["ids"][0].as_str().unwrap().to_owned()
    }

    /// Registers a hook of the control plane with Brex; its path. The secret that Brex signs with is sealed to the agent.
    pub(super) async fn listen(&self) -> String {
        let brex = &self.stage.sandbox.brex;
        let listed = brex.control("rotate-secret", &serde_json::json!({})).unwrap();
        let secret = listed[0]["secret"].as_str().unwrap();
        self.seal(System::Brex, &[("webhook_secret", secret)]).await;
        let path = self.desk.hook(&self.id, BREX).await;
        let endpoint = serde_json::json!({
            "url": format!("{}{path}", self.control.address()),
            "event_types": ["ACCOUNTING_RECORD_READY_FOR_EXPORT"],
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = client
            .post(format!("{}/v1/webhooks", brex.url()))
            .bearer_auth(&self.stage.sandbox.secrets.brex_token)
            .header("Idempotency-Key", "register")
            .header("content-type", "application/json")
            .body(endpoint.to_string());
        let answer = asked.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        path
    }

    /// Ends the agent in good order and starts it again.
    pub(super) async fn restart(&mut self) {
        self.stop().await;
        self.agent = Some(start(&self.stage.purser));
    }

    pub(super) async fn stop(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.terminate().await.unwrap();
            agent.wait().await.unwrap();
        }
    }

    /// The agent's own word on its link.
    pub(super) async fn link_when(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.stage.status_when(what, |status| holds(&status["link"])).await["link"].clone()
    }
}

/// Starts the agent of a home.
pub(super) fn start(purser: &Purser) -> Agent {
    purser.spawn(&["run", "--no-jitter"]).unwrap()
}

/// Waits until something holds at the control plane.
pub(super) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    assert!(tokio::time::timeout(LONGEST, waiting).await.is_ok(), "waited in vain until {what}");
}
