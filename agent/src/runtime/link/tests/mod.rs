//! The link against a small control plane: what it says of itself, what it takes, and what it does not believe.

mod bench;
mod commands;
mod deliveries;
mod enrolling;
mod flood;
mod hosted;
mod visible;
mod weather;

mod plane;
