//! What differs by operating system: the only place with `cfg(unix)` and `cfg(windows)`; both sides compile
//! everywhere else. It imports nothing from the other floors.

pub mod boot;
pub mod memory;
pub mod notify;
pub mod paths;
pub mod private_files;
pub mod process;
pub mod shutdown;
