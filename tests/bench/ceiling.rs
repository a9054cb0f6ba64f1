//! How much of the vendors' rate ceilings the agent uses, in real time and with the ceilings in force.

mod acumatica;
mod brex;
mod expensify;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sandbox::harness::{Agent, Route};

use crate::table::Row;
use crate::vendors::{Side, Vendors};

/// A little longer, so that an agent that keeps some distance begins its last round within the time.
const MARGIN: f64 = 1.05;

/// Lets the agent work against the ceilings of these routes' vendors for so many minutes, all at the same time.
pub(crate) async fn measure(routes: Vec<Route>, minutes: u32) -> Result<Vec<Row>> {
    let wanted = |route| routes.contains(&route);
    let (expensify, brex, alone, shared) = tokio::try_join!(
        unless(!wanted(Route::ExpensifyEpicor), expensify::measure(minutes)),
        unless(!wanted(Route::BrexEpicor), brex::measure(minutes)),
        unless(!wanted(Route::ExpensifyAcumatica), acumatica::alone(minutes)),
        unless(!wanted(Route::ExpensifyAcumatica), acumatica::beside_another(minutes)),
    )?;
    Ok([expensify, alone, shared, brex].concat())
}

async fn unless(left_out: bool, rows: impl Future<Output = Result<Vec<Row>>>) -> Result<Vec<Row>> {
    if left_out { Ok(Vec::new()) } else { rows.await }
}

/// How long the agent works.
fn span(minutes: u32) -> Duration {
    Duration::from_secs(60).mul_f64(f64::from(minutes) * MARGIN)
}

/// Waits for the agent's first call to one side.
async fn first_call(agent: &mut Agent, vendors: &Vendors, side: Side) -> Result<Instant> {
    loop {
        if let Some(first) = vendors.tape.moments(side).first() {
            return Ok(*first);
        }
        ensure!(agent.is_running()?, "the agent ended before it called anybody");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Lets the agent work until then, and ends it. It must have had something to do all the time.
async fn work_until(mut agent: Agent, end: Instant) -> Result<()> {
    tokio::time::sleep_until(end.into()).await;
    if !agent.is_running()? {
        let finished = agent.wait().await?;
        anyhow::bail!("the agent ran out of work: {}", finished.words());
    }
    agent.kill().await?;
    Ok(())
}

/// Calls in whole rounds of so many, and the time that these took: from the first call to the first of the round after
/// them. Counting up to any other moment would credit a burst with time that has not passed yet.
fn steady(moments: &[Instant], round: usize) -> Option<(usize, Duration)> {
    let last = moments.len().checked_sub(1)?;
    let used = if last < round { last } else { last - last % round };
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
            (0..3).flat_map(|round| vec![start + Duration::from_secs(64) * round; 20]).collect();
        let (used, taken) = steady(&moments, 20).unwrap();
        assert_eq!((used, taken.as_secs()), (40, 128));
        assert_eq!(steady(&moments[..1], 20), None);
    }
}
