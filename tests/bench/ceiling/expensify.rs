//! Expensify's documented ceiling, used by the whole agent.

use std::time::Duration;

use anyhow::{Context as _, Result};
use sandbox::harness::{Home, Route};

use super::{first_call, span, steady, work_until};
use crate::table::{Row, Target};
use crate::vendors::{Side, Vendors, Wanted};

/// Calls that the slower of the two documented windows admits, and its length.
const CALLS: usize = 20;
const WINDOW: Duration = Duration::from_secs(60);
/// Small pages, so that there is always a next call to make.
const POLICY: [&str; 2] = ["page_size = 1", "batch_size = 1"];

pub(super) async fn measure(minutes: u32) -> Result<Vec<Row>> {
    let records = 40 + CALLS * usize::try_from(minutes)?;
    let wanted = Wanted { paced: true, ..Wanted::unlimited(Route::ExpensifyEpicor, records) };
    let vendors = Vendors::start(wanted).await?;
    let home = Home::new()?;
    let mut agent = vendors.agent(&home, &POLICY).await?.spawn(&["run", "--once"])?;
    let first = first_call(&mut agent, &vendors, Side::Source).await?;
    work_until(agent, first + span(minutes)).await?;
    let moments = vendors.tape.moments(Side::Source);
    let (used, taken) = steady(&moments, CALLS).context("the agent hardly called")?;
    let refused = vendors.tape.count_status(429);
    let most = CALLS as f64 * taken.as_secs_f64() / WINDOW.as_secs_f64();
    let words = format!("use of Expensify's ceiling ({used} calls in {:.0} s)", taken.as_secs_f64());
    Ok(vec![
        Row::new("ceiling.use", words, used as f64 * 100.0 / most, "%").target(Target::ValueAtLeast(95.0)),
        Row::new("ceiling.refused", "  refused with 429", refused as f64, "")
            .target(Target::ValueAtMost(0.0)),
    ])
}
