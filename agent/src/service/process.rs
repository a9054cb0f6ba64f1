//! Whether another process lives, and how this machine calls itself.

/// Whether a process lives; `None` where this system does not tell without special rights.
#[cfg(target_os = "linux")]
pub fn alive(pid: u32) -> Option<bool> {
    let table = std::path::Path::new("/proc");
    table.join("self").exists().then(|| table.join(pid.to_string()).exists())
}

/// Whether a process lives; `None` where this system does not tell without special rights.
#[cfg(not(target_os = "linux"))]
pub fn alive(_pid: u32) -> Option<bool> {
    None
}

/// How this machine calls itself, for people; empty when it does not say.
pub fn machine_label() -> String {
    let named = ["COMPUTERNAME", "HOSTNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let told = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    named.or_else(told).map(|name| name.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_lives_and_one_beyond_the_last_number_does_not() {
        assert_eq!(super::alive(std::process::id()), Some(true));
        assert_eq!(super::alive(u32::MAX), Some(false));
    }
}
