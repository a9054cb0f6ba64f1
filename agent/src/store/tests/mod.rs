//! Tests of the store.

mod chain;
mod damage;
mod disk;
mod identity;
mod link;
mod pressure;
mod rivals;
mod roundtrip;
pub(crate) mod samples;

use crate::store::Store;
use std::io;
use std::sync::PoisonError;

impl Store {
    /// The disk answers the next commit so.
    pub(crate) fn fail_next_commit(&self, error: io::Error) {
        *self.engine().fails_next.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}
