//! The agent at work, its scheduler and its link. A new configuration or a fence ends one agent gracefully and begins the
//! next in the same process; the link outlives them and asks whichever is there. While one ends nothing is taken in hand: what
//! is asked or ordered meanwhile is for the next. A change of a secret that was begun before is written before the next begins,
//! whose connections read it as they start.

use super::agent::{Agent, Parts};
use super::commands::{self, Obeyed, Order, Taken};
use super::link::desk::{Ask, Desk, Said};
use super::link::{Link, LinkParts, fenced};
use super::scheduler::{Jitter, RunNow, SchedulerHandle, Trigger};
use super::status::AgentStatus;
use super::supervisor::Policy;
use super::{runs, words};
use crate::config::revisions::{effective, known};
use crate::vendors::{StoreNotes, last_use, registry};
use actix_rt::task::JoinHandle;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use spend::Timestamp;
use spend::ids::ConnectionId;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// How long orders under way get to end once the agent has: whatever they wait for has ended with it.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The agent at work and what stands around it.
pub struct Host {
    agent: Rc<Agent>,
    scheduler: SchedulerHandle,
    jitter: Jitter,
    config_file: PathBuf,
    policy: Policy,
    link: Option<Link>,
    desk: Desk,
    asked: UnboundedReceiver<Ask>,
    /// The present agent is ending, to make room for the next.
    ending: Option<LocalBoxFuture<'static, ()>>,
    /// Something changed again while it was ending.
    again: bool,
    /// Changes of secrets under way.
    changing: Vec<JoinHandle<()>>,
    /// Whatever else was ordered and is not answered yet.
    obeying: Vec<JoinHandle<()>>,
    /// When the process began.
    started: Timestamp,
}

impl Host {
    /// Starts agent, scheduler and, when the agent is enrolled, the link. Must be called on an actix system.
    pub fn start(parts: Parts, jitter: Jitter, config_file: PathBuf) -> Self {
        let (desk, asked) = Desk::new();
        let policy = parts.policy.clone();
        let agent = Rc::new(Agent::start(parts));
        let scheduler = agent.schedule(jitter);
        let mut host = Self {
            started: agent.now(),
            agent,
            scheduler,
            jitter,
            config_file,
            policy,
            link: None,
            desk,
            asked,
            ending: None,
            again: false,
            changing: Vec::new(),
            obeying: Vec::new(),
        };
        host.keep_link();
        host
    }

    /// The agent that is at work in this moment.
    pub fn agent(&self) -> &Rc<Agent> {
        &self.agent
    }

    /// Its scheduler.
    pub fn scheduler(&self) -> &SchedulerHandle {
        &self.scheduler
    }

    /// What the agent and its link say of themselves.
    pub fn status(&self) -> AgentStatus {
        let mut status = self.agent.status(&self.scheduler.next());
        // An agent that took another's place goes on in the same process.
        status.started = self.started;
        status.link = self.link.as_ref().map(Link::status);
        status
    }

    /// Starts or ends the link as the store says: a person may enroll the agent while it runs.
    pub fn keep_link(&mut self) {
        let store = self.agent.store().clone();
        let Ok(mark) = store.enrollment_mark() else { return };
        if self.link.as_ref().map(Link::mark) == mark {
            return;
        }
        if let Some(link) = self.link.take() {
            link.stop();
            // What it asked and nobody has taken in hand is not for the agent any more.
            (self.desk, self.asked) = Desk::new();
            // What the former control plane had put in force or forbidden does not hold any more.
            self.renew();
        }
        let parts = LinkParts {
            store,
            home: self.agent.home().to_owned(),
            config_file: self.config_file.clone(),
            clock: self.agent.clock().clone(),
            desk: self.desk.clone(),
        };
        match Link::start(parts, self.policy.clone()) {
            Ok(link) => self.link = link,
            Err(error) => tracing::error!(error = words(&error), "no link"),
        }
    }

    /// Does what the link asks, and exchanges the agent when that is wanted. Returns after each step.
    pub async fn step(&mut self) {
        let exchanging = self.ending.is_some();
        let ended = async {
            match &mut self.ending {
                Some(ending) => ending.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ended => self.begin_next(),
            Some(ask) = self.asked.recv(), if !exchanging => self.answer(ask),
        }
    }

    /// Takes what the command line ordered; each order is obeyed beside the others. While agents are exchanged orders wait in
    /// their folder.
    pub fn obey_orders(&mut self) {
        if self.ending.is_some() {
            return;
        }
        match commands::take(self.agent.home()) {
            Ok(taken) => {
                for one in taken {
                    let changes = one.order.as_ref().is_ok_and(Order::changes_a_secret);
                    let (agent, scheduler) = (Rc::clone(&self.agent), self.scheduler.clone());
                    let task = actix_rt::spawn(obey(agent, scheduler, one));
                    keep(if changes { &mut self.changing } else { &mut self.obeying }, task);
                }
            }
            Err(error) => tracing::warn!(%error, "orders cannot be read"),
        }
    }

    #[cfg(test)]
    pub(super) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Ends everything gracefully. What was taken in hand is done and answered: an order that was taken is found by nobody
    /// again.
    pub async fn stop(mut self) {
        // The link begins nothing from here on, and stores what came of what it has begun.
        self.asked.close();
        self.renew();
        if let Some(ending) = self.ending.take() {
            ending.await;
        }
        let obeyed = futures_util::future::join_all(std::mem::take(&mut self.obeying));
        if tokio::time::timeout(ANSWER_WITHIN, obeyed).await.is_err() {
            tracing::warn!(
                "orders under way were not answered in time; who gave them looks at `purser status`"
            );
        }
        if let Some(link) = &self.link {
            link.stop();
        }
    }

    fn answer(&mut self, ask: Ask) {
        let (agent, scheduler) = (Rc::clone(&self.agent), self.scheduler.clone());
        match ask {
            Ask::Renew => self.renew(),
            Ask::Status(reply) => drop(reply.send(self.said())),
            Ask::Order(order, reply) => {
                let task = actix_rt::spawn(async move {
                    let obeyed = agent.obey_and_wake(&scheduler, *order).await;
                    reply.answer(obeyed).await;
                });
                keep(&mut self.obeying, task);
            }
            Ask::Secret { name, batch, reply } => {
                let task = actix_rt::spawn(async move {
                    let stored = match agent.change_secret(&name, batch).await {
                        Obeyed::Refused { why } => Err(why),
                        _ => Ok(()),
                    };
                    drop(reply.send(stored));
                });
                keep(&mut self.changing, task);
            }
            Ask::Webhooks { connection, lines, with, reply } => {
                actix_rt::spawn(async move {
                    let judged = agent.judge_from_afar(&connection, &lines, with).await;
                    let (told, flows) = match judged {
                        Ok(flows) => (Ok(()), flows),
                        Err(refused) => (Err(refused), Vec::new()),
                    };
                    drop(reply.send(told));
                    for flow in flows {
                        let due = RunNow { flow, trigger: Trigger::Webhook };
                        actix_rt::spawn(runs::run_when_due(Rc::clone(&agent), scheduler.clone(), due));
                    }
                });
            }
        }
    }

    fn said(&self) -> Said {
        let store = self.agent.store();
        let today = self.agent.now().date_naive();
        let mut days: BTreeMap<ConnectionId, i64> = BTreeMap::new();
        for connection in &self.agent.config().connections {
            let life = registry::vendor(&connection.kind).and_then(|vendor| vendor.idle_life);
            let left = life.and_then(|life| {
                life.judge(last_use(&StoreNotes::new(store, &connection.id)), today).days_left
            });
            days.extend(left.map(|left| (connection.id.clone(), left)));
        }
        (self.status(), days)
    }

    /// Lets the present agent end, to begin the next with what the store says by then.
    fn renew(&mut self) {
        if self.ending.is_some() {
            self.again = true;
            return;
        }
        let agent = Rc::clone(&self.agent);
        let changing = futures_util::future::join_all(std::mem::take(&mut self.changing));
        // Side by side: changes wait for nothing any more once they see that the agent is ending.
        self.ending = Some(async move { drop(futures_util::join!(agent.stop(), changing)) }.boxed_local());
    }

    fn begin_next(&mut self) {
        self.ending = None;
        let parts = self.next_parts();
        self.agent = Rc::new(Agent::start(parts));
        self.scheduler = self.agent.schedule(self.jitter);
        tracing::info!(flows = self.agent.flow_ids().count(), "agent begun anew");
        if std::mem::take(&mut self.again) {
            self.renew();
        }
    }

    /// What the next agent is made from. Whatever cannot be read leaves the present configuration in force.
    fn next_parts(&self) -> Parts {
        let mut parts = self.agent.parts().clone();
        let store = &parts.store;
        let read = known(store).map_err(|error| words(&error)).and_then(|known| {
            effective(known, &parts.home, &self.config_file).map_err(|error| words(&error))
        });
        let fence = fenced(store);
        match read {
            Ok(effective) => (parts.config, parts.machine) = (effective.valid, effective.machine),
            Err(why) => {
                tracing::error!(why, "the configuration in force cannot be read; the present one stays")
            }
        }
        match fence {
            Ok(fence) => parts.fenced = fence,
            Err(error) => {
                tracing::error!(error = words(&error), "whether the agent is fenced cannot be read")
            }
        }
        parts
    }
}

/// Remembers a task until it has ended.
fn keep(tasks: &mut Vec<JoinHandle<()>>, task: JoinHandle<()>) {
    tasks.retain(|task| !task.is_finished());
    tasks.push(task);
}

async fn obey(agent: Rc<Agent>, scheduler: SchedulerHandle, taken: Taken) {
    let obeyed = match taken.order.clone() {
        Ok(order) => agent.obey_and_wake(&scheduler, order).await,
        Err(why) => Obeyed::Refused { why },
    };
    if let Err(error) = taken.answer(agent.home(), &obeyed) {
        tracing::warn!(%error, "an order cannot be answered");
    }
}
