//! Having orders carried out: by the running agent when there is one, else in this process with an agent of its own.

use super::context::{Access, Context};
use super::{Global, output};
use crate::runtime::agent::{Agent, Parts};
use crate::runtime::commands::{self, Obeyed, Order};
use crate::runtime::link;
use crate::runtime::supervisor::Policy;
use crate::store::Store;
use crate::telemetry::{LogFiles, Telemetry};
use anyhow::Result;
use purser_proto::validate::ValidConfig;
use std::rc::Rc;
use std::time::Duration;

/// Longest time an order may take: a first run over months of records takes hours at the vendors' pace. An agent that
/// stops answering is noticed long before.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// How often it is looked whether the agent is still there.
const WATCH: Duration = Duration::from_secs(2);
/// How long another process is given to show that it is an agent: one that has just been started has not said so yet.
const SHOWS_WITHIN: Duration = Duration::from_secs(3);

/// Orders together with the words shown while they are carried out.
pub struct Errand<'a> {
    /// What every verb understands.
    pub global: &'a Global,
    /// Where things are.
    pub context: &'a Context,
    /// What an agent of this process would work with.
    pub config: &'a ValidConfig,
    /// Shown on a terminal meanwhile.
    pub words: &'a str,
}

impl Errand<'_> {
    /// Has one order carried out.
    ///
    /// # Errors
    /// When nobody can carry it out. A refusal is an answer, no error.
    pub fn order(&self, order: Order) -> Result<Obeyed> {
        let mut answers = self.orders(vec![order])?;
        answers.pop().ok_or_else(|| anyhow::anyhow!("the order was not carried out"))
    }

    /// Has orders carried out one after the other; the answers in the same order.
    ///
    /// # Errors
    /// When nobody can carry them out. A refusal is an answer, no error.
    pub fn orders(&self, orders: Vec<Order>) -> Result<Vec<Obeyed>> {
        match self.context.open()? {
            Access::Alone(store) => self.here(store, orders),
            Access::Beside(_) => by_the_agent(self.global, self.context, self.words, orders),
        }
    }

    /// In this process.
    fn here(&self, store: Store, orders: Vec<Order>) -> Result<Vec<Obeyed>> {
        let logs = self.context.logs();
        let _logging = Telemetry {
            level: &self.config.log.level,
            console: false,
            files: Some(LogFiles { folder: &logs, keep_days: self.config.log.keep_days }),
        }
        .begin()?;
        let parts = Parts {
            config: self.config.clone(),
            store: store.clone(),
            home: self.context.home().to_owned(),
            clock: self.context.clock.clone(),
            policy: Policy::default(),
            test_hooks: false,
            machine: self.context.effective()?.machine,
            fenced: link::fenced(&store)?,
        };
        let answers = actix::System::new().block_on(async {
            let agent = Rc::new(Agent::start(parts));
            let mut answers = Vec::with_capacity(orders.len());
            for order in orders {
                answers.push(self.with_progress(&agent, order).await);
            }
            agent.stop().await;
            answers
        });
        store.close();
        Ok(answers)
    }

    async fn with_progress(&self, agent: &Rc<Agent>, order: Order) -> Obeyed {
        if let Order::Run { flow, .. } = &order {
            let bar = output::Progress::begin(self.global, agent, flow);
            let obeyed = agent.obey(order).await;
            bar.end();
            return obeyed;
        }
        let bar = output::spinner(self.global, self.words);
        let obeyed = agent.obey(order).await;
        bar.finish_and_clear();
        obeyed
    }
}

/// Has the running agent carry orders out, by files: the store is locked by another process.
///
/// # Errors
/// When that process is no agent, or stops answering.
pub fn by_the_agent(
    global: &Global,
    context: &Context,
    words: &str,
    orders: Vec<Order>,
) -> Result<Vec<Obeyed>> {
    actix::System::new().block_on(async {
        wait_until_it_shows(context).await?;
        let bar = output::spinner(global, &format!("{words} (by the running agent)"));
        let mut answers = Vec::with_capacity(orders.len());
        for order in &orders {
            answers.push(give(context, order).await?);
        }
        bar.finish_and_clear();
        Ok(answers)
    })
}

async fn wait_until_it_shows(context: &Context) -> Result<()> {
    let deadline = tokio::time::Instant::now() + SHOWS_WITHIN;
    while context.running().is_none() {
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "another purser command is working in {} and takes no orders; wait until it has ended, then try again",
            context.home().display()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn give(context: &Context, order: &Order) -> Result<Obeyed> {
    let gone = async {
        loop {
            tokio::time::sleep(WATCH).await;
            if context.running().is_none() {
                return;
            }
        }
    };
    tokio::select! {
        answer = commands::give(context.home(), order, PATIENCE) => answer?.ok_or_else(|| anyhow::anyhow!(
            "the agent did not answer within a day; see its log in {}", context.logs().display()
        )),
        () = gone => anyhow::bail!(
            "the agent stopped answering while it worked on this; see `purser status` and its log in {}. What was \
             open is settled by look-up when it runs again",
            context.logs().display()
        ),
    }
}

/// The words of an answer that does not fit its order.
///
/// # Errors
/// Always: with the agent's refusal, or that it answered something else (an agent of another release).
pub fn refused<T>(obeyed: Obeyed) -> Result<T> {
    match obeyed {
        Obeyed::Refused { why } => anyhow::bail!(why),
        Obeyed::Done
        | Obeyed::Ran { .. }
        | Obeyed::Previewed { .. }
        | Obeyed::Changed { .. }
        | Obeyed::PreviewedReference { .. }
        | Obeyed::ChangedReference { .. }
        | Obeyed::Proved { .. }
        | Obeyed::Probed { .. }
        | Obeyed::Received { .. }
        | Obeyed::Decided { .. } => {
            anyhow::bail!("the running agent is of another release; restart the service and try again")
        }
    }
}
