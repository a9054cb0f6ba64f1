//! For tests, of this crate and of others, and for benchmarks; nothing of it is used by the program. A control plane on a
//! loopback socket, an agent that signs as a real one does and decides nothing, and a PostgreSQL server of one's own.
//! Whatever goes wrong here ends the test, with words.

mod agent;
mod plane;
#[cfg(unix)]
mod postgres;
#[cfg(unix)]
mod relay;

pub use agent::{Answered, TestAgent};
pub use plane::Plane;
#[cfg(unix)]
pub use postgres::Postgres;
#[cfg(unix)]
pub use relay::Relay;
