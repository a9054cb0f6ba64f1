//! Which boot of the operating system this is, and how long ago it was.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

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

/// Time that has passed since an epoch, by a clock that nobody can set, and the name of that epoch: this boot of the
/// operating system (sleep included), or the start of this process where the boot cannot be known.
pub fn age() -> (&'static str, Duration) {
    match machine() {
        Some(age) => age,
        None => process(),
    }
}

/// A name of this machine that says nothing of it; `None` where there is none, as in many containers.
#[cfg(target_os = "linux")]
pub fn machine_name() -> Option<&'static str> {
    static NAME: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let id = std::fs::read_to_string("/etc/machine-id").ok()?;
        // The id itself is not to leave the machine.
        let hash = blake3::derive_key(
            "purser 2026 machine of a reading",
            Some(id.trim()).filter(|id| !id.is_empty())?.as_bytes(),
        );
        Some(hash[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    };
    NAME.get_or_init(read).as_deref()
}

/// A name of this machine that says nothing of it; `None` where there is none.
#[cfg(not(target_os = "linux"))]
pub fn machine_name() -> Option<&'static str> {
    None
}

fn process() -> (&'static str, Duration) {
    static START: OnceLock<(String, Instant)> = OnceLock::new();
    let (name, start) = START.get_or_init(|| {
        (format!("process {} {:016x}", std::process::id(), fastrand::u64(..)), Instant::now())
    });
    (name, start.elapsed())
}

#[cfg(target_os = "linux")]
fn machine() -> Option<(&'static str, Duration)> {
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    static UPTIME: OnceLock<Option<(String, File)>> = OnceLock::new();
    let opened = UPTIME.get_or_init(|| Some((id()?, File::open("/proc/uptime").ok()?)));
    let (name, file) = opened.as_ref()?;
    let mut text = [0; 64];
    let length = file.read_at(&mut text, 0).ok()?;
    seconds(std::str::from_utf8(text.get(..length)?).ok()?).map(|age| (name.as_str(), age))
}

#[cfg(not(target_os = "linux"))]
fn machine() -> Option<(&'static str, Duration)> {
    None
}

/// The first number of `12345.67 54321.00`, whole hundredths of a second.
#[cfg(target_os = "linux")]
fn seconds(text: &str) -> Option<Duration> {
    let (whole, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    let hundredths: u64 = hundredths.parse().ok().filter(|_| hundredths.len() == 2)?;
    Some(Duration::from_secs(whole.parse().ok()?) + Duration::from_millis(hundredths * 10))
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn the_age_of_a_boot_is_read_to_the_hundredth() {
        let read = |text| super::seconds(text).map(|age| age.as_millis());
        assert_eq!(read("350735.47 234388.90\n"), Some(350_735_470));
        assert_eq!(read("0.05 0.00"), Some(50));
        for broken in ["", "12", "x.00", "12.x", "12.345"] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }

    #[test]
    fn ages_of_machine_and_process_go_forward() {
        for age in [super::age, super::process] {
            let ((name, first), (same, second)) = (age(), age());
            assert_eq!(name, same);
            assert!(first <= second);
        }
    }
}
