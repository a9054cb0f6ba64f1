//! The end of a process, told to whoever must know, in two steps: first `/readyz` says no, so that nobody new is sent
//! here; then parked syncs are answered at once and connections close after their answer.

use tokio::sync::watch;

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    Leaving,
    Ending,
}

/// Whether the process is about to end. Shared by cloning.
#[derive(Clone, Debug)]
pub struct Drain {
    stage: watch::Sender<Stage>,
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// Not begun.
    pub fn new() -> Self {
        Self { stage: watch::Sender::new(Stage::Serving) }
    }

    /// Says that nobody new should be sent here.
    pub fn leave(&self) {
        self.stage.send_if_modified(|stage| {
            *stage < Stage::Leaving && {
                *stage = Stage::Leaving;
                true
            }
        });
    }

    /// Sends home whoever waits. Cannot be taken back.
    pub fn begin(&self) {
        self.stage.send_replace(Stage::Ending);
    }

    /// Whether nobody new should be sent here.
    pub fn is_leaving(&self) -> bool {
        *self.stage.borrow() >= Stage::Leaving
    }

    /// Waits until those who wait are sent home; for ever, if they never are.
    pub async fn begun(&self) {
        let mut stage = self.stage.subscribe();
        // The sender lives as long as `self`, so waiting ends only with the drain.
        drop(stage.wait_for(|stage| *stage == Stage::Ending).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_who_waits_is_told_also_those_who_come_late() {
        let drain = Drain::new();
        let early = tokio::spawn({
            let drain = drain.clone();
            async move { drain.begun().await }
        });
        assert!(!drain.is_leaving());
        drain.leave();
        assert!(drain.is_leaving() && !early.is_finished());
        drain.begin();
        early.await.unwrap();
        drain.leave();
        drain.begun().await;
        assert!(drain.is_leaving());
    }
}
