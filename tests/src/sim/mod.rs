//! One folder per simulated vendor.

pub mod brex;
pub mod epicor;
pub mod expensify;
pub mod inbox;
