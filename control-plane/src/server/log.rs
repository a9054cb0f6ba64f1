//! The log: one JSON line an event on standard error, or lines for people. What libraries tell beyond `info` is left
//! out whatever the filter says, because they may tell what stands in requests and queries.

use crate::settings::Log;
use std::backtrace::Backtrace;
use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error(
        "`log.level` is neither a level nor a filter: write `info`, or `info,purser_control::link=debug`"
    )]
    Filter,
    /// Logging has begun before.
    #[error("logging has been set up already")]
    Twice,
}

/// Begins to log, for the whole process, panics included.
///
/// # Errors
/// [`LogError`].
pub fn begin(settings: &Log) -> Result<(), LogError> {
    subscriber(settings, std::io::stderr)?.try_init().map_err(|_| LogError::Twice)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Whether something may be logged at all: everything of ours, and what libraries say for operators.
fn ours_or_for_operators(about: &Metadata<'_>) -> bool {
    *about.level() <= Level::INFO || about.target().starts_with("purser")
}

pub(super) fn subscriber<W>(
    settings: &Log,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.level).map_err(|_| LogError::Filter)?;
    let layer = if settings.json {
        fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(writer).boxed()
    } else {
        let colour =
            std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        fmt::layer().with_writer(writer).with_ansi(colour).with_target(false).boxed()
    };
    Ok(tracing_subscriber::registry().with(filter).with(layer.with_filter(filter_fn(ours_or_for_operators))))
}

/// Thread, place and backtrace. The text of a panic is left out: it may hold what a request held.
pub(super) fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    tracing::error!(
        thread = thread.name().unwrap_or("unnamed"),
        place = panic.location().map(ToString::to_string).unwrap_or_default(),
        backtrace = %Backtrace::force_capture(),
        "panic"
    );
}
