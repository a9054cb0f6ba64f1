//! HTTP: translates between requests and what the floors below decide. Nothing is decided here.

pub mod agent;
pub mod hooks;
pub mod problem;

#[cfg(test)]
mod tests;
