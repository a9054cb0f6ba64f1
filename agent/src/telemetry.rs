//! Logs for operators: human on standard error, JSON lines in daily files. They may be lost; the audit trail, which may
//! not, is a different thing in a different place. Names, amounts and merchant text are logged at debug or below.

use std::backtrace::Backtrace;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// Most lines that wait for the disk. The queue reserves its places at once, 32 bytes each: the 128,000 of the
/// library's own default are 4 MiB of every process.
const LINES_MAX: usize = 1024;

/// What is logged where.
#[derive(Clone, Debug)]
pub struct Telemetry<'a> {
    /// A level or a filter, such as `info,purser::vendors=debug`.
    pub level: &'a str,
    /// Human lines on standard error.
    pub console: bool,
    /// JSON lines in daily files (`purser.2026-01-31.log`) in this folder.
    pub files: Option<LogFiles<'a>>,
}

/// Daily files.
#[derive(Clone, Copy, Debug)]
pub struct LogFiles<'a> {
    /// Where they are.
    pub folder: &'a Path,
    /// How many days are kept, the present one included.
    pub keep_days: u16,
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("`{0}` is neither a log level nor a filter: write `info`, or `info,purser::vendors=debug`")]
    Filter(String),
    /// The files cannot be written.
    #[error("cannot write log files in {folder}: check that the folder exists and may be written")]
    Files {
        /// Where.
        folder: PathBuf,
        /// Why.
        #[source]
        source: tracing_appender::rolling::InitError,
    },
    /// Logging has begun before.
    #[error("logging has been set up already")]
    Twice,
}

/// Writes out what is still queued when it is dropped: keep it until the very end of `main`.
#[derive(Debug)]
#[must_use = "lines still queued are lost when this is dropped early"]
pub struct TelemetryGuard(#[expect(dead_code, reason = "held for its destructor")] Option<WorkerGuard>);

impl Telemetry<'_> {
    /// Begins to log, for the whole process, panics included.
    ///
    /// # Errors
    /// [`TelemetryError`].
    pub fn begin(&self) -> Result<TelemetryGuard, TelemetryError> {
        let (subscriber, guard) = self.subscriber()?;
        subscriber.try_init().map_err(|_| TelemetryError::Twice)?;
        std::panic::set_hook(Box::new(log_panic));
        Ok(guard)
    }

    fn subscriber(&self) -> Result<(impl Subscriber + Send + Sync + use<>, TelemetryGuard), TelemetryError> {
        let filter = EnvFilter::try_new(self.level)
            .map_err(|_| TelemetryError::Filter(self.level.chars().take(80).collect()))?;
        let console = self.console.then(|| {
            let colour =
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_target(false)
        });
        let (files, guard) = match self.files {
            None => (None, None),
            Some(files) => {
                let appender = RollingFileAppender::builder()
                    .rotation(Rotation::DAILY)
                    .filename_prefix("purser")
                    .filename_suffix("log")
                    .max_log_files(usize::from(files.keep_days.max(1)))
                    .build(files.folder)
                    .map_err(|source| TelemetryError::Files { folder: files.folder.to_owned(), source })?;
                // A full queue makes the writer wait rather than drop lines.
                let (writer, guard) = NonBlockingBuilder::default()
                    .lossy(false)
                    .buffered_lines_limit(LINES_MAX)
                    .finish(appender);
                (Some(fmt::layer().json().with_writer(writer).boxed()), Some(guard))
            }
        };
        let subscriber = tracing_subscriber::registry().with(filter).with(console).with(files);
        Ok((subscriber, TelemetryGuard(guard)))
    }
}

/// A panic in an actor is survived, so it must be seen: thread, place and backtrace.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let message: String = panic.payload_as_str().unwrap_or("without a text").chars().take(1000).collect();
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(
        thread = thread.name().unwrap_or("unnamed"),
        place,
        message,
        backtrace = %Backtrace::force_capture(),
        "panic"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn logged(level: &str, act: impl FnOnce()) -> Vec<Value> {
        let folder = tempfile::tempdir().unwrap();
        let files = Some(LogFiles { folder: folder.path(), keep_days: 2 });
        let (subscriber, guard) = Telemetry { level, console: false, files }.subscriber().unwrap();
        tracing::subscriber::with_default(subscriber, act);
        drop(guard);
        let names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        let name = names[0].file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("purser.") && name.ends_with(".log"), "{name}");
        let text = std::fs::read_to_string(&names[0]).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn lines_in_files_are_json_with_fields_and_follow_the_filter() {
        let lines = logged("info,purser::vendors=debug", || {
            tracing::debug!("not wanted");
            tracing::info!(flow = "expenses", "run\nbegun");
            tracing::debug!(target: "purser::vendors::epicor", "wanted");
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0]["fields"]["flow"], "expenses");
        assert_eq!(lines[0]["fields"]["message"], "run\nbegun");
        assert_eq!(lines[0]["level"], "INFO");
    }

    #[test]
    fn a_panic_is_logged_with_thread_place_and_backtrace() {
        let lines = logged("error", || {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(log_panic));
            let caught = std::panic::catch_unwind(|| panic!("actor fell over"));
            std::panic::set_hook(before);
            assert!(caught.is_err());
        });
        let fields = &lines[0]["fields"];
        assert!(fields["place"].as_str().unwrap().contains("telemetry.rs:"), "{fields}");
        assert!(fields["thread"].as_str().unwrap().contains("a_panic_is_logged"), "{fields}");
        assert!(fields["backtrace"].as_str().unwrap().len() > 100);
        assert!(lines[0].to_string().contains("actor fell over"), "{fields}");
    }

    #[test]
    fn a_faulty_filter_or_folder_is_refused_with_the_way_to_mend_it() {
        let refused = |level: &str, folder: &Path| {
            let files = Some(LogFiles { folder, keep_days: 2 });
            Telemetry { level, console: false, files }.subscriber().map(|_| ()).unwrap_err().to_string()
        };
        let folder = tempfile::tempdir().unwrap();
        assert!(refused("info,[[", folder.path()).contains("neither a log level nor a filter"));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(refused("info", &file).contains("cannot write log files"));
    }
}
