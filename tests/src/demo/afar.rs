//! What comes from afar: a control plane whose nodes never see a credential, an agent that is enrolled there by a one-time
//! code, configuration as a revision, secrets sealed elsewhere, a webhook, and a held record that is tried again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::outcome::Seen;
use crate::harness::{Agent, BREX, Home, Purser, Route, System};
use crate::world::{SpendKind, SpendState, WorldSpend};

/// Longest time for anything here.
const LONGEST: Duration = Duration::from_secs(120);
/// How often the control plane is asked; each question is a process.
const LOOK: Duration = Duration::from_millis(250);
/// How often the ERP is looked at.
const GLANCE: Duration = Duration::from_millis(5);
/// What is bought while everybody watches, in minor units.
const BOUGHT: i64 = 4_217;

impl Stage {
    /// Enrolls the agent and gives it configuration and secrets by way of the control plane.
    pub(super) async fn join(&self) -> Result<()> {
        let systems = Route::systems(&self.options.routes);
        let origins: Vec<String> = systems.iter().map(|system| self.sandbox.running(*system).url()).collect();
        let allowed: Vec<&str> =
            origins.iter().flat_map(|origin| ["--allow-origin", origin.as_str()]).collect();
        let id = self.control.enroll(&self.purser, &allowed).await?;
        self.voice
            .say(&format!("Control    {}, one tenant, one enrollment code, used up", self.control.address()));
        self.voice.say(&format!(
            "Agent      {}, home {}",
            self.purser.binary().display(),
            self.home.path().display()
        ));
        self.voice.say(&format!("           enrolled as {id}; only its public keys have left it"));
        let agent = self.purser.spawn(&["run", "--no-jitter"])?;
        let file = self.home.beside().join("revision.toml");
        std::fs::write(&file, self.config.render())?;
        self.control.configure(&id, &file).await?;
        for system in &systems {
            self.seal(&id, *system).await?;
        }
        let stored = async || {
            let secrets = self.control.secrets(&id).await?;
            ensure!(
                !secrets.iter().any(|line| line.contains(" refused ")),
                "a secret is refused: {secrets:?}"
            );
            anyhow::Ok(secrets.iter().filter(|line| line.contains(" stored ")).count() == systems.len())
        };
        self.until("the sealed secrets are stored", stored).await?;
        let applied = async || {
            anyhow::Ok(self.control.shown(&id).await?.get("revision").is_some_and(|number| number == "1"))
        };
        self.until("the revision is in force", applied).await?;
        end(agent).await?;
        self.voice.say(
            "           its configuration is revision 1, measured by guard rails that stay on the machine",
        );
        self.voice.say(&format!(
            "           its {} secrets came sealed to its key, each bound to its one system",
            systems.len()
        ));
        self.enrolled.set(id).ok().context("the agent is enrolled twice")
    }

    /// Somewhere else: sealing needs nothing but what everybody may know of the agent.
    async fn seal(&self, id: &str, system: System) -> Result<()> {
        let shown = self.control.shown(id).await?;
        let known = |name: &str| {
            shown.get(name).map(String::as_str).with_context(|| format!("the agent has no {name}"))
        };
        let elsewhere = Home::new()?;
        let purser = Purser::with_binary(self.purser.binary(), elsewhere.path());
        let origin = self.sandbox.running(system).url();
        let mut fields = self.sandbox.secrets.of(system);
        if system == System::Brex {
            let listed = self.steer(system, "rotate-secret", &json!({})).await?;
            let secret = listed.pointer("/0/secret").and_then(Value::as_str).context("no signing secret")?;
            fields.push(("webhook_secret", secret.to_owned()));
        }
        let input: String = fields.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let to = ["--agent", id, "--recipient", known("recipient")?, "--fingerprint", known("fingerprint")?];
        let what = ["--connection", system.id(), "--kind", system.kind(), "--origin", &origin];
        let sealed = purser.run_with_input(&[&["seal"][..], &to, &what].concat(), &input).await?;
        ensure!(sealed.code == Some(0), "purser seal: {}", sealed.words());
        let file = elsewhere.beside().join("sealed.age");
        std::fs::write(&file, sealed.stdout)?;
        self.control.send_secret(id, system.id(), &file).await.map(drop)
    }

    /// A webhook becomes a document, and a held record is tried again by somebody who sits elsewhere.
    pub(super) async fn reach_from_afar(&self, seen: &mut Seen) -> Result<()> {
        self.voice.step(8, "From afar: a webhook, and a held record that somebody tries again");
        let Some(id) = self.enrolled.get().filter(|_| self.routes().any(|route| route == Route::BrexEpicor))
        else {
            self.voice.say("(webhooks come from Brex, and the flow of card spend takes no part)");
            return Ok(());
        };
        let agent = self.purser.spawn(&["run", "--no-jitter"])?;
        self.wait_until_up(&agent).await?;
        self.until("the link is up", async || anyhow::Ok(self.is_linked())).await?;
        let url = self.control.hook(id, BREX).await?;
        self.steer(System::Brex, "listen", &json!({ "url": url })).await?;
        let begun =
            self.one_more("a webhook", self.steer(System::Brex, "add-spend", &self.purchase()?)).await?;
        seen.webhook_ms = u64::try_from(begun.as_millis()).ok();
        self.voice.say(&format!(
            "a card purchase was approved; Brex signed an event, the control plane sealed it, the agent fetched the record and\n   \
             booked it: {} ms",
            begun.as_millis()
        ));
        self.replay(id, seen).await?;
        end(agent).await
    }

    /// As the agent says in its status file.
    fn is_linked(&self) -> bool {
        let status = std::fs::read(self.home.path().join("status.json")).ok();
        let status: Option<Value> = status.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        status.is_some_and(|status| status.pointer("/link/state").is_some_and(|state| state == "connected"))
    }

    async fn replay(&self, id: &str, seen: &mut Seen) -> Result<()> {
        let held = self.held(Route::BrexEpicor).await?;
        let word = |record: &Value, name: &str| {
            record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let Some(record) = held.iter().find(|record| word(record, "code") == "category-missing") else {
            self.voice.say("(no card record waits for its coding)");
            return Ok(());
        };
        let (source, posting) = (word(record, "source_id"), word(record, "key"));
        let account = self.sandbox.world.categories.iter().find_map(|category| category.gl_code.clone());
        let edit = json!({ "id": source, "account": account.context("no account")? });
        self.steer(System::Brex, "edit", &edit).await?;
        let verb = ["replay", Route::BrexEpicor.flow(), &posting];
        let asked = async { self.control.command(id, "coded in Brex", &verb).await.map(|_| Value::Null) };
        self.one_more("a replay", asked).await?;
        seen.replayed = Some(source.clone());
        self.voice.say(&format!(
            "{source} was held because nobody had coded it; now it is coded, and somebody at the control"
        ));
        self.voice.say("plane asked the agent to try it again: it read it anew, looked it up, and booked it");
        let answered =
            async || anyhow::Ok(self.control.commands(id).await?.iter().any(|line| line.contains(" done ")));
        self.until("the command is answered", answered).await
    }

    /// Does something, and waits until the ERP has one document more; for how long.
    async fn one_more(&self, what: &str, doing: impl Future<Output = Result<Value>>) -> Result<Duration> {
        let (before, begun) = (self.documents(), Instant::now());
        doing.await?;
        while self.documents() == before {
            ensure!(begun.elapsed() < LONGEST, "{what} led to no document");
            tokio::time::sleep(GLANCE).await;
        }
        Ok(begun.elapsed())
    }

    /// A purchase like one of the world's, made now.
    fn purchase(&self) -> Result<Value> {
        let usual = |one: &&WorldSpend| {
            let bought = one.kind == SpendKind::Purchase && one.state == SpendState::Ready;
            bought && one.fault.is_none() && one.lines.len() == 1
        };
        let like = self.sandbox.spend.iter().find(usual);
        let mut spend = serde_json::to_value(like.context("nothing was bought")?)?;
        (spend["lines"][0]["amount"], spend["lines"][0]["original"]) = (BOUGHT.into(), BOUGHT.into());
        Ok(spend)
    }

    async fn steer(&self, system: System, verb: &str, body: &Value) -> Result<Value> {
        let admin = self.admins.get(&system).context("a system that takes no part")?;
        Ok(admin.call("POST", &format!("control/{verb}"), Some(body)).await?)
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !holds().await? {
            if begun.elapsed() > LONGEST {
                bail!("waited in vain until {what}");
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

async fn end(agent: Agent) -> Result<()> {
    agent.terminate().await?;
    let ended = agent.wait().await?;
    ensure!(ended.code == Some(0), "the agent did not end in good order: {}", ended.words());
    Ok(())
}
