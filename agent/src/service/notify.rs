//! Tells systemd how the service is: ready, alive, stopping. Without `NOTIFY_SOCKET`, and on other systems, nothing
//! happens. A message that cannot be sent is no reason to stop working; the watchdog of systemd then decides.

use super::paths::Surroundings;
use std::ffi::OsString;
use std::time::Duration;

/// The way to the service manager.
#[derive(Clone, Debug)]
pub struct Notifier {
    socket: Option<OsString>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// What the environment says. `pid` is this process: a watchdog meant for another one is not ours.
    pub fn find(around: &impl Surroundings, pid: u32) -> Self {
        let number = |name: &str| around.variable(name).and_then(|text| text.to_str()?.parse::<u64>().ok());
        let ours = number("WATCHDOG_PID").is_none_or(|wanted| wanted == u64::from(pid));
        let watchdog =
            number("WATCHDOG_USEC").filter(|period| ours && *period > 0).map(Duration::from_micros);
        Self { socket: around.variable("NOTIFY_SOCKET"), watchdog }
    }

    /// How often [`Notifier::alive`] is to be called: half of what systemd allows.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|period| period / 2)
    }

    /// Work has begun.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// Still alive.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// Asked to stop, and doing so.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// One line for `systemctl status`.
    pub fn status(&self, text: &str) {
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
        self.send(&format!("STATUS={line}"));
    }

    fn send(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = platform::send(socket, message) {
            tracing::debug!(%error, "service manager cannot be told");
        }
    }
}

#[cfg(unix)]
mod platform {
    use std::ffi::OsStr;
    use std::io;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::UnixDatagram;

    pub(super) fn send(socket: &OsStr, message: &str) -> io::Result<()> {
        let sender = UnixDatagram::unbound()?;
        // A manager that does not read must not hold up the agent.
        sender.set_nonblocking(true)?;
        match socket.as_bytes().strip_prefix(b"@") {
            Some(name) => sender.send_to_addr(message.as_bytes(), &abstract_address(name)?)?,
            None => sender.send_to(message.as_bytes(), socket)?,
        };
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn abstract_address(name: &[u8]) -> io::Result<std::os::unix::net::SocketAddr> {
        use std::os::linux::net::SocketAddrExt;
        std::os::unix::net::SocketAddr::from_abstract_name(name)
    }

    #[cfg(not(target_os = "linux"))]
    fn abstract_address(_: &[u8]) -> io::Result<std::os::unix::net::SocketAddr> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

#[cfg(not(unix))]
mod platform {
    use std::ffi::OsStr;
    use std::io;

    pub(super) fn send(_: &OsStr, _: &str) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::path::Path;

    struct Fake(BTreeMap<&'static str, OsString>);

    impl Surroundings for Fake {
        fn variable(&self, name: &str) -> Option<OsString> {
            self.0.get(name).cloned()
        }
        fn exists(&self, _: &Path) -> bool {
            false
        }
    }

    fn received(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn the_manager_hears_each_message_on_a_path_and_on_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("purser-test-{}", std::process::id());
        let managers = [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
                format!("@{name}").into(),
            ),
        ];
        for (manager, socket) in managers {
            let notifier = Notifier::find(&Fake(BTreeMap::from([("NOTIFY_SOCKET", socket)])), 1);
            notifier.ready();
            notifier.alive();
            notifier.status("two\nlines");
            notifier.stopping();
            let messages: Vec<String> = (0..4).map(|_| received(&manager)).collect();
            assert_eq!(messages, ["READY=1", "WATCHDOG=1", "STATUS=two lines", "STOPPING=1"]);
        }
    }

    #[test]
    fn the_watchdog_is_ours_only_when_it_names_this_process() {
        let interval = |pid: &str| {
            let around = BTreeMap::from([("WATCHDOG_USEC", "60000000".into()), ("WATCHDOG_PID", pid.into())]);
            Notifier::find(&Fake(around), 42).watchdog_interval()
        };
        assert_eq!((interval("42"), interval("43")), (Some(Duration::from_secs(30)), None));
        let silent = Notifier::find(&Fake(BTreeMap::new()), 42);
        silent.ready();
        assert_eq!(silent.watchdog_interval(), None);
    }
}
