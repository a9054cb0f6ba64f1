//! Tests of the store.

mod chain;
mod damage;
mod identity;
mod pressure;
mod roundtrip;
mod samples;
