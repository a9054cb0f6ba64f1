//! Which addresses are hooks, as far as is known: read from the database at the start and followed from then on. Who calls
//! one of these is no stranger, whatever others try from behind the same address.
//!
//! What a newcomer gets wrong: this decides nothing but whether the database is asked. A hook that is missing here is found
//! there while its client may still try; one that is gone there is forgotten here when it is called.

use crate::clock::Millis;
use crate::store::hooks::{self, AddressHash};
use crate::store::{Store, StoreError};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most that are remembered, the newest first: a few megabytes.
const MOST: usize = 250_000;
/// How often all are read; in between only those that were made since.
const WHOLE: Duration = Duration::from_secs(3600);
/// Nodes' clocks differ, and a transaction may end later than one that began after it: so much is read again.
const OVERLAP: Millis = 600_000;

/// Beginnings of the hashes of addresses.
#[derive(Debug)]
pub(super) struct Known {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    hooks: HashSet<u64>,
    /// When the newest of them was made, by its node's clock.
    newest: Millis,
    /// When all were read.
    whole: Option<Instant>,
}

impl Known {
    pub(super) fn new() -> Self {
        Self::remembering(MOST)
    }

    fn remembering(most: usize) -> Self {
        Self { most, state: Mutex::default() }
    }

    /// Whether this is most likely the address of a hook.
    pub(super) fn has(&self, address: &AddressHash) -> bool {
        self.locked().hooks.contains(&address.beginning())
    }

    /// It turned out to be nobody's.
    pub(super) fn forget(&self, address: &AddressHash) {
        self.locked().hooks.remove(&address.beginning());
    }

    /// Reads what is new, or all.
    pub(super) async fn learn(&self, store: &Store, now: Millis, at: Instant) -> Result<(), StoreError> {
        let since = self.since(now, at);
        let mut read = State::default();
        let mut connection = store.read().await?;
        let each = |address: AddressHash, made: Millis| {
            read.hooks.insert(address.beginning());
            read.newest = read.newest.max(made);
        };
        hooks::live(&mut connection, since.unwrap_or(Millis::MIN), self.most, each).await?;
        let mut state = self.locked();
        if since.is_none() {
            *state = State { whole: Some(at), ..read };
            return Ok(());
        }
        state.newest = state.newest.max(read.newest);
        let room = self.most.saturating_sub(state.hooks.len());
        let new: Vec<u64> = read.hooks.difference(&state.hooks).copied().take(room).collect();
        state.hooks.extend(new);
        Ok(())
    }

    /// From when on hooks are to be read; nothing for all.
    fn since(&self, now: Millis, at: Instant) -> Option<Millis> {
        let state = self.locked();
        let whole = state.whole.filter(|whole| at.saturating_duration_since(*whole) < WHOLE);
        // One that a clock made which was ahead must not hide those made after it.
        whole.map(|_| state.newest.min(now).saturating_sub(OVERLAP))
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::hooks::{Ceilings, NewHook};
    use crate::testing::Plane;

    const NOW: Millis = 1_800_000_000_000;

    struct Scene {
        plane: Plane,
        tenant: String,
        agent: String,
        _folder: tempfile::TempDir,
    }

    impl Scene {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let database = format!("sqlite:{}/control.db", folder.path().display());
            let plane = Plane::start(&database, Clock::system()).await;
            let tenant = plane.tenant("example").await;
            let agent = plane.agent(&tenant).await.id;
            Self { plane, tenant, agent, _folder: folder }
        }

        fn store(&self) -> &Store {
            &self.plane.services.store
        }

        /// A hook made at a moment: its name, and what it is found by.
        async fn hook(&self, at: Millis) -> (String, AddressHash) {
            let new = NewHook {
                tenant: self.tenant.clone(),
                agent: self.agent.clone(),
                connection: "cards".into(),
                headers: Vec::new(),
                ceilings: Ceilings::default(),
                by: "x".into(),
            };
            let made =
                self.store().write(move |tx| Box::pin(async move { hooks::create(tx, &new, at).await }));
            let made = made.await.unwrap();
            (made.hook.id.clone(), AddressHash::of(made.path().strip_prefix("/hooks/").unwrap()))
        }

        async fn remove(&self, name: String) {
            let tenant = self.tenant.clone();
            let op = self
                .store()
                .write(move |tx| Box::pin(async move { hooks::delete(tx, &tenant, &name, NOW).await }));
            op.await.unwrap();
        }
    }

    #[tokio::test]
    async fn hooks_are_known_from_the_start_and_new_ones_soon() {
        let scene = Scene::new().await;
        let (known, start) = (Known::new(), Instant::now());
        let (name, first) = scene.hook(NOW - 90 * 86_400_000).await;
        assert!(!known.has(&first));
        known.learn(scene.store(), NOW, start).await.unwrap();
        assert!(known.has(&first));
        // One of a node whose clock is behind, and one of a node whose clock was ahead by a year.
        let ahead = scene.hook(NOW + 365 * 86_400_000).await.1;
        known.learn(scene.store(), NOW, start).await.unwrap();
        let behind = scene.hook(NOW - 60_000).await.1;
        known.learn(scene.store(), NOW, start).await.unwrap();
        assert!(known.has(&first) && known.has(&ahead) && known.has(&behind));
        scene.remove(name).await;
        known.learn(scene.store(), NOW, start).await.unwrap();
        assert!(
            known.has(&first),
            "those that are gone are found out when all are read, or when they are called"
        );
        known.learn(scene.store(), NOW, start + WHOLE).await.unwrap();
        assert!(!known.has(&first) && known.has(&ahead) && known.has(&behind));
        known.forget(&behind);
        assert!(!known.has(&behind));
        scene.plane.stop().await;
    }

    #[tokio::test]
    async fn only_so_many_are_remembered_and_those_are_the_newest() {
        let scene = Scene::new().await;
        let (known, start) = (Known::remembering(2), Instant::now());
        let (one, two) = (scene.hook(NOW - 3000).await.1, scene.hook(NOW - 2000).await.1);
        let three = scene.hook(NOW - 1000).await.1;
        known.learn(scene.store(), NOW, start).await.unwrap();
        assert!(!known.has(&one) && known.has(&two) && known.has(&three));
        let four = scene.hook(NOW).await.1;
        known.learn(scene.store(), NOW, start).await.unwrap();
        assert!(!known.has(&four) && known.locked().hooks.len() == 2);
        known.learn(scene.store(), NOW, start + WHOLE).await.unwrap();
        assert!(known.has(&three) && known.has(&four) && known.locked().hooks.len() == 2);
        scene.plane.stop().await;
    }

    #[tokio::test]
    async fn a_database_that_does_not_answer_leaves_what_was_known() {
        let scene = Scene::new().await;
        let (known, start) = (Known::new(), Instant::now());
        let hook = scene.hook(NOW).await.1;
        known.learn(scene.store(), NOW, start).await.unwrap();
        scene.store().close().await;
        known.learn(scene.store(), NOW, start + WHOLE).await.unwrap_err();
        assert!(known.has(&hook));
        scene.plane.kill().await;
    }
}
