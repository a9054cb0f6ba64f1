//! Which boot of the operating system this is.

/// A text that changes with every boot; `None` where it cannot be known.
#[cfg(target_os = "linux")]
pub fn id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

/// A text that changes with every boot; `None` where it cannot be known.
#[cfg(not(target_os = "linux"))]
pub fn id() -> Option<String> {
    None
}
