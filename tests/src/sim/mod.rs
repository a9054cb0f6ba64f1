//! One folder per simulated vendor.

pub mod epicor;
pub mod expensify;
