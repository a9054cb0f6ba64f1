//! How much of Expensify's documented ceiling the agent uses, in real time and with the ceiling in force.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sandbox::harness::Home;

use crate::table::{Row, Target};
use crate::vendors::{Side, Vendors};

/// Calls that the slower of the two documented windows admits, and its length.
const CALLS: usize = 20;
const WINDOW: Duration = Duration::from_secs(60);
/// Small pages, so that there is always a next call to make.
const POLICY: [&str; 2] = ["page_size = 1", "batch_size = 1"];

/// Lets the agent work against the ceiling for so many minutes.
pub(crate) async fn measure(minutes: u32) -> Result<Vec<Row>> {
    let vendors = Vendors::start(40 + 20 * usize::try_from(minutes)?, true).await?;
    let home = Home::new()?;
    let purser = vendors.agent(&home, &POLICY).await?;
    let mut agent = purser.spawn(&["run", "--once"])?;
    // A little longer, so that an agent that keeps some distance begins its last window within it.
    let longest = WINDOW.mul_f64(f64::from(minutes) * 1.05);
    let first = loop {
        if let Some(first) = vendors.tape.moments(Side::Source).first() {
            break *first;
        }
        ensure!(agent.is_running()?, "the agent ended before it called anybody");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    tokio::time::sleep_until((first + longest).into()).await;
    if !agent.is_running()? {
        let finished = agent.wait().await?;
        anyhow::bail!("the agent had no work for {minutes} minutes: {}", finished.words());
    }
    agent.kill().await.context("ending the agent")?;
    let moments = vendors.tape.moments(Side::Source);
    let (used, taken) = steady(&moments).context("the agent hardly called")?;
    let refused = vendors.tape.count_status(429);
    let most = CALLS as f64 * taken.as_secs_f64() / WINDOW.as_secs_f64();
    let words = format!("use of Expensify's ceiling ({used} calls in {:.0} s)", taken.as_secs_f64());
    Ok(vec![
        Row::new("ceiling.use", words, used as f64 * 100.0 / most, "%").target(Target::ValueAtLeast(95.0)),
        Row::new("ceiling.refused", "  refused with 429", refused as f64, "")
            .target(Target::ValueAtMost(0.0)),
    ])
}

/// Calls in whole rounds of the window, and the time that these took: from the first call to the first of the round
/// after them. Counting up to any other moment would credit a burst with time that has not passed yet.
fn steady(moments: &[Instant]) -> Option<(usize, Duration)> {
    let last = moments.len().checked_sub(1)?;
    let used = if last < CALLS { last } else { last - last % CALLS };
    (used > 0).then(|| (used, moments[used] - moments[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_at_the_end_is_not_credited() {
        let start = Instant::now();
        // A burst of twenty at once, every 64 seconds.
        let moments: Vec<Instant> =
            (0..3).flat_map(|round| vec![start + WINDOW.mul_f64(64.0 / 60.0) * round; CALLS]).collect();
        let (used, taken) = steady(&moments).unwrap();
        assert_eq!((used, taken.as_secs()), (40, 128));
        assert_eq!(steady(&moments[..1]), None);
    }
}
