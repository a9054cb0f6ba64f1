//! One folder per simulated vendor, and what the ERPs among them share.

pub mod acumatica;
mod amount;
pub mod brex;
pub mod epicor;
pub mod expensify;
pub mod inbox;
mod json;
