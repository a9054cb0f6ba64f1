//! Requests to stop from the operating system: SIGTERM and SIGINT, on Windows Ctrl-C and Ctrl-Break. The first asks for
//! a graceful stop; what the second means is the caller's decision.

use std::io;

/// Which request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopRequest {
    /// From the service manager.
    Terminate,
    /// From the keyboard.
    Interrupt,
}

/// Listens for requests to stop. From the moment it is made, the requests no longer end the process by themselves.
#[derive(Debug)]
pub struct StopRequests(platform::Signals);

impl StopRequests {
    /// Begins to listen. Called within a tokio runtime.
    ///
    /// # Errors
    /// When the operating system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        platform::Signals::listen().map(Self)
    }

    /// Waits for the next request.
    pub async fn next(&mut self) -> StopRequest {
        self.0.next().await
    }
}

#[cfg(unix)]
mod platform {
    use super::StopRequest;
    use std::io;
    use tokio::signal::unix::{Signal, SignalKind, signal};

    #[derive(Debug)]
    pub(super) struct Signals {
        terminate: Signal,
        interrupt: Signal,
    }

    impl Signals {
        pub(super) fn listen() -> io::Result<Self> {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            })
        }

        pub(super) async fn next(&mut self) -> StopRequest {
            tokio::select! {
                _ = self.terminate.recv() => StopRequest::Terminate,
                _ = self.interrupt.recv() => StopRequest::Interrupt,
            }
        }
    }
}

#[cfg(windows)]
mod platform {
    use super::StopRequest;
    use std::io;
    use tokio::signal::windows::{CtrlBreak, CtrlC, ctrl_break, ctrl_c};

    #[derive(Debug)]
    pub(super) struct Signals {
        terminate: CtrlBreak,
        interrupt: CtrlC,
    }

    impl Signals {
        pub(super) fn listen() -> io::Result<Self> {
            Ok(Self { terminate: ctrl_break()?, interrupt: ctrl_c()? })
        }

        pub(super) async fn next(&mut self) -> StopRequest {
            tokio::select! {
                _ = self.terminate.recv() => StopRequest::Terminate,
                _ = self.interrupt.recv() => StopRequest::Interrupt,
            }
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[tokio::test]
    async fn a_signal_is_a_request_and_does_not_end_the_process() {
        let mut requests = StopRequests::listen().unwrap();
        for (signal, expected) in [("-TERM", StopRequest::Terminate), ("-INT", StopRequest::Interrupt)] {
            let sent = Command::new("/bin/sh")
                .args(["-c", &format!("kill {signal} {}", std::process::id())])
                .status()
                .unwrap();
            assert!(sent.success());
            assert_eq!(requests.next().await, expected);
        }
    }
}
