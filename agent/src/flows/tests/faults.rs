//! Faults by script: every call of a fake is a numbered step, and a script says what goes wrong there.

use chrono::TimeDelta;
use futures_util::FutureExt as _;
use spend::posting::{Failure, FailureClass};
use std::sync::Mutex;
use tokio::sync::Notify;

/// Which call of a fake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    Read,
    Acknowledge,
    LookUp,
    Post,
    Reference,
    ReadBack,
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// The call fails without any effect.
    Fail(FailureClass),
    /// The call takes effect, and its answer is lost.
    LostAnswer,
    /// A write commits this much after the connection is gone.
    Late(TimeDelta),
    /// A write stops half way.
    Half,
    /// The source answers that it marked the records, and forgets it.
    MarkLost,
    /// Only every second record is marked.
    MarkSome,
    /// The process dies before the call takes effect.
    DieBefore,
    /// The process dies after the call took effect, before its answer was read.
    DieAfter,
}

type Script = Box<dyn FnMut(u64, Call) -> Fault + Send>;

/// The script and what happened so far.
pub(super) struct Faults {
    script: Mutex<Script>,
    taken: Mutex<Vec<(Call, String)>>,
    dead: Notify,
}

impl Faults {
    pub(super) fn none() -> Self {
        Self {
            script: Mutex::new(Box::new(|_, _| Fault::None)),
            taken: Mutex::default(),
            dead: Notify::new(),
        }
    }

    /// From now on. Steps are counted on.
    pub(super) fn script(&self, script: impl FnMut(u64, Call) -> Fault + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// The first call of a kind meets a fault, every other call goes well.
    pub(super) fn once(&self, call: Call, fault: Fault) {
        let mut fault = Some(fault);
        self.script(
            move |_, now| if now == call { fault.take().unwrap_or(Fault::None) } else { Fault::None },
        );
    }

    /// Every call of a kind meets a fault.
    pub(super) fn always(&self, call: Call, fault: Fault) {
        self.script(move |_, now| if now == call { fault.clone() } else { Fault::None });
    }

    pub(super) fn clear(&self) {
        self.script(|_, _| Fault::None);
    }

    /// One step: what goes wrong in it. Does not come back when the process dies here.
    pub(super) async fn step(&self, call: Call, about: &str) -> Fault {
        let number = {
            let mut taken = self.taken.lock().unwrap();
            taken.push((call, about.to_owned()));
            taken.len() as u64
        };
        let fault = (self.script.lock().unwrap())(number, call);
        if matches!(fault, Fault::DieBefore) {
            return self.die().await;
        }
        fault
    }

    /// The process dies here.
    pub(super) async fn die<T>(&self) -> T {
        self.dead.notify_one();
        std::future::pending().await
    }

    /// A new process. Two calls that were under way may both have met the death of the one before; it ended once.
    pub(super) fn live(&self) {
        let _ = self.dead.notified().now_or_never();
    }

    pub(super) async fn death(&self) {
        self.dead.notified().await;
    }

    pub(super) fn steps(&self) -> u64 {
        self.taken.lock().unwrap().len() as u64
    }

    pub(super) fn count(&self, call: Call) -> usize {
        self.taken.lock().unwrap().iter().filter(|(taken, _)| *taken == call).count()
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.taken.lock().unwrap().iter().map(|(call, _)| *call).collect()
    }
}

pub(super) fn failure(class: FailureClass) -> Failure {
    let message = format!("fault: {class:?}");
    Failure::new(class, message)
}
