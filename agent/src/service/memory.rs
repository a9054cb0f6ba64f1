//! How much of the freed memory the process keeps.
//!
//! The allocator of glibc gives each thread an arena of its own, and each keeps what was freed in it: a process that has a
//! thread for each connection and flow holds twice what it uses. The allocator reads its settings only when a process
//! starts, from the environment, so the process starts itself once more; it keeps its number, so nobody notices.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SETTINGS: [(&str, &str); 2] = [("MALLOC_ARENA_MAX", "1"), ("MALLOC_TRIM_THRESHOLD_", "131072")];

/// Starts the program once more with an allocator that gives back what is freed. Returns where that has been done, where
/// somebody has chosen settings of their own, and where it cannot be done, which costs some memory and nothing else.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_little() {
    use std::os::unix::process::CommandExt as _;

    if SETTINGS.iter().any(|(name, _)| std::env::var_os(name).is_some()) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let mut again = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // Comes back only when it failed.
    drop(again.args(arguments).envs(SETTINGS).exec());
}

/// Other allocators have one heap for all threads.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub const fn keep_little() {}
