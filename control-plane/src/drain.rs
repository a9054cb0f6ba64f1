//! The end of a process, told to whoever must know: parked syncs answer at once, `/readyz` says no, connections close
//! after their answer.

use tokio::sync::watch;

/// Whether the process is about to end. Shared by cloning.
#[derive(Clone, Debug)]
pub struct Drain {
    begun: watch::Sender<bool>,
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// Not begun.
    pub fn new() -> Self {
        Self { begun: watch::Sender::new(false) }
    }

    /// Begins it. Cannot be taken back.
    pub fn begin(&self) {
        self.begun.send_replace(true);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// Waits until it begins; for ever, if it never does.
    pub async fn begun(&self) {
        let mut begun = self.begun.subscribe();
        // The sender lives as long as `self`, so waiting ends only with the drain.
        drop(begun.wait_for(|begun| *begun).await);
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
        assert!(!drain.has_begun());
        drain.begin();
        early.await.unwrap();
        drain.begun().await;
        assert!(drain.has_begun());
    }
}
