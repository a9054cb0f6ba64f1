//! How much of the freed memory the process keeps.
//!
//! The allocator of glibc gives each thread an arena of its own, and each keeps what was freed in it: a process that has a
//! thread for each connection and flow holds twice what it uses. The allocator reads its settings only when a process
//! starts, from the environment, so the process starts itself once more; it keeps its number, so nobody notices.

/// Says that this was done. The settings alone do not: the system takes them out of the environment of a program that has
/// capabilities of its own, and it would start itself for ever.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const DONE: &str = "PURSER_ALLOCATOR_SET";

#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SETTINGS: [(&str, &str); 2] = [("MALLOC_ARENA_MAX", "1"), ("MALLOC_TRIM_THRESHOLD_", "131072")];

/// Starts the program once more with an allocator that gives back what is freed. Returns where that has been done, where
/// somebody has chosen settings of their own, and where it cannot be done, which costs some memory and nothing else.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_little() {
    use std::os::unix::process::CommandExt as _;

    if is_settled(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let mut again = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // Comes back only when it failed.
    drop(again.args(arguments).envs(SETTINGS).env(DONE, "1").exec());
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn is_settled(is_set: impl Fn(&str) -> bool) -> bool {
    is_set(DONE) || SETTINGS.iter().any(|(name, _)| is_set(name))
}

/// Other allocators have one heap for all threads.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub const fn keep_little() {}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn it_is_done_once_also_where_the_system_takes_the_settings_away_and_not_over_those_of_others() {
        assert!(!is_settled(|_| false));
        assert!(is_settled(|name| name == DONE));
        for (name, _) in SETTINGS {
            assert!(is_settled(|set| set == name));
        }
    }
}
