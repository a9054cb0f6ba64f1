//! How the shipped program is linked.

use std::env;

/// Relocations of a position-independent program are a megabyte, which is read whole at each start and stays resident.
/// Packed they are a few pages. The program then needs glibc 2.36 (Debian 12), and says so when it finds an older one.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |key: &str, value: &str| env::var(key).is_ok_and(|found| found == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") && is("PROFILE", "release") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
