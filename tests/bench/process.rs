//! What a process costs, read from `/proc`: the counters of a child can be read there up to the moment it is reaped,
//! which needs neither foreign code nor a library. Where there is no `/proc`, nothing can be measured.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sandbox::harness::Agent;

/// `/proc` counts in hundredths of a second on every architecture (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);
/// How often a child is looked at.
const LOOK: Duration = Duration::from_millis(4);

/// What a child has cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// User and system time of all its threads.
    pub(crate) cpu: Duration,
    /// Most memory it ever held, in KiB.
    pub(crate) peak_rss: u64,
    /// When that last grew, since its start.
    pub(crate) peak_at: Duration,
}

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Resident, pages of files included.
    pub(crate) rss: u64,
    /// Resident and its own.
    pub(crate) private: u64,
    /// Most that was ever resident.
    pub(crate) peak: u64,
}

/// Watches a child until it has ended; it is not reaped.
pub(crate) async fn watch(child: &Agent, started: Instant) -> Result<Usage> {
    let pid = child.pid().context("the agent has no process")?;
    let mut usage = Usage::default();
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        let (state, cpu) = stat.ok().as_deref().and_then(parse_stat).context("the agent's /proc entry")?;
        usage.cpu = cpu;
        if matches!(state, 'Z' | 'X') {
            usage.wall = started.elapsed();
            return Ok(usage);
        }
        let peak = memory(pid).map_or(0, |memory| memory.peak);
        if peak > usage.peak_rss {
            (usage.peak_rss, usage.peak_at) = (peak, started.elapsed());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// CPU time of this process so far.
pub(crate) fn own_cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    parse_stat(&stat).map(|(_, cpu)| cpu).context("/proc/self/stat is not understood")
}

/// CPU time of a process so far.
pub(crate) fn cpu(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat).map(|(_, cpu)| cpu)
}

/// Memory of a process.
pub(crate) fn memory(pid: u32) -> Option<Memory> {
    std::fs::read_to_string(format!("/proc/{pid}/status")).ok().as_deref().and_then(parse_status)
}

/// State letter and CPU time. The name before them may hold anything, so fields are counted from its end.
fn parse_stat(text: &str) -> Option<(char, Duration)> {
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u32>().ok();
    Some((fields.first()?.chars().next()?, TICK * (ticks(11)? + ticks(12)?)))
}

fn parse_status(text: &str) -> Option<Memory> {
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some(Memory { rss: kib("VmRSS")?, private: kib("RssAnon")?, peak: kib("VmHWM")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_whose_name_holds_blanks_and_brackets_is_read() {
        let text = "42 (a) b (c) S 1 42 42 0 -1 4194304 10 0 0 0 150 50 0 0 20 0 3 0 100 0 0";
        assert_eq!(parse_stat(text), Some(('S', Duration::from_secs(2))));
        assert_eq!(parse_stat("42 (a"), None);
    }

    #[test]
    fn a_process_that_has_ended_shows_no_memory() {
        let text = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\nRssAnon:\t   512 kB\n";
        let memory = parse_status(text).unwrap();
        assert_eq!((memory.peak, memory.rss, memory.private), (2048, 1024, 512));
        assert!(parse_status("Name:\tx\nState:\tZ (zombie)\n").is_none());
    }
}
