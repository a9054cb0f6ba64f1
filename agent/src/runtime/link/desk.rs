//! How the link asks the agent: messages to the thread that the agent lives on. The agent may be exchanged for another
//! one meanwhile, so nobody holds it.

use crate::runtime::commands::{Obeyed, Order};
use crate::runtime::status::AgentStatus;
use crate::runtime::webhooks::Receipt;
use crate::store::Batch;
use spend::ids::ConnectionId;
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};

/// Makes what is written together with the receipts of webhooks.
pub type WithReceipts = Box<dyn FnOnce(&[Receipt]) -> Batch + Send>;

/// What the agent says of itself, and days until credentials may be dead.
pub type Said = (AgentStatus, BTreeMap<ConnectionId, i64>);

/// One question or order.
pub enum Ask {
    /// Obey, as if the command line had asked.
    Order(Box<Order>, Reply),
    /// Say how you are.
    Status(oneshot::Sender<Said>),
    /// Judge webhooks, write what became of them together with the batch that is made of it, and have flows run.
    Webhooks {
        /// For which connection.
        connection: ConnectionId,
        /// As received.
        lines: Vec<String>,
        /// What else is written.
        with: WithReceipts,
        /// Why nothing was written.
        reply: oneshot::Sender<Result<(), WebhooksRefused>>,
    },
    /// Write a batch that changes a secret, and have its users begin anew.
    Secret {
        /// Which.
        name: String,
        /// What is written.
        batch: Batch,
        /// Why nothing was written.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Another configuration is in force, or flows must stop or may go on: begin anew with what the store says.
    Renew,
}

/// Where the answer to an order goes.
pub struct Reply(oneshot::Sender<(Obeyed, Kept)>);

/// Held by whoever asked until the answer is durable.
#[derive(Debug)]
pub struct Kept {
    /// Whoever has answered hears that it is dropped.
    _held: oneshot::Sender<()>,
}

impl Reply {
    /// Answers, and waits until the answer is durable or nobody is there to make it so.
    pub async fn answer(self, obeyed: Obeyed) {
        let (held, kept) = oneshot::channel();
        if self.0.send((obeyed, Kept { _held: held })).is_ok() {
            drop(kept.await);
        }
    }
}

/// Why webhooks were not judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhooksRefused {
    /// The connection does not exist or receives none; said in one stable word and in a sentence.
    Connection(&'static str, String),
    /// The store cannot be used now; the same can be asked again.
    Later(String),
}

/// A way to the agent. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Desk(mpsc::UnboundedSender<Ask>);

impl Desk {
    /// A desk, and where its questions arrive.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Ask>) {
        let (send, receive) = mpsc::unbounded_channel();
        (Self(send), receive)
    }

    /// `None` when nobody has answered: it may have been done, in whole or in part, or not.
    pub(super) async fn order(&self, order: Order) -> Option<(Obeyed, Kept)> {
        self.ask(|reply| Ask::Order(Box::new(order), Reply(reply))).await
    }

    /// Whether nobody will answer any more: the process ends, or the agent has left this control plane.
    pub(super) fn is_deserted(&self) -> bool {
        self.0.is_closed()
    }

    pub(super) async fn status(&self) -> Option<Said> {
        self.ask(Ask::Status).await
    }

    pub(super) async fn webhooks(
        &self,
        connection: ConnectionId,
        lines: Vec<String>,
        with: WithReceipts,
    ) -> Result<(), WebhooksRefused> {
        let asked = self.ask(|reply| Ask::Webhooks { connection, lines, with, reply }).await;
        asked.unwrap_or_else(|| Err(WebhooksRefused::Later("the agent is ending".to_owned())))
    }

    pub(super) async fn secret(&self, name: &str, batch: Batch) -> Result<(), String> {
        let asked = self.ask(|reply| Ask::Secret { name: name.to_owned(), batch, reply }).await;
        asked.unwrap_or_else(|| Err("the agent is ending".to_owned()))
    }

    pub(super) fn renew(&self) {
        drop(self.0.send(Ask::Renew));
    }

    /// `None` when nobody answers any more.
    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (send, receive) = oneshot::channel();
        self.0.send(make(send)).ok()?;
        receive.await.ok()
    }
}
