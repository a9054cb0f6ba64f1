//! The sandbox: simulators of the vendors over real sockets, the demo, and what the tests stand on. The simulators
//! are written from the vendors' documentation and share no types with the agent's clients.

pub mod crash;
pub mod demo;
pub mod faults;
pub mod freemarker;
pub mod harness;
pub mod invariants;
pub mod serve;
pub mod server;
pub mod sim;
pub mod world;
