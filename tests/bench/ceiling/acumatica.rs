//! Acumatica's licensed rate, used by the whole agent: alone, and beside a second client of the same licence. The site
//! does not refuse at once, it lets calls wait; so what counts is how long it did.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sandbox::harness::{Home, Route, System};
use tokio::task::JoinSet;
use url::form_urlencoded;

use super::{first_call, span, steady, work_until};
use crate::bare;
use crate::table::{Row, Target};
use crate::vendors::{Arrival, Side, TapedCall, Vendors, Wanted};

/// Requests a minute of the licence, as sites are seen to have.
const LICENSED: u32 = 150;
/// What the agent uses of it at most, in percent: its own default.
const OURS: u32 = 90;
/// What the second client uses of it, in percent.
const OTHERS: u32 = 40;
/// What the second client reads.
const READ: &str = "/entity/Default/24.200.001/Account?$top=1";

/// The agent has the licence for itself.
pub(super) async fn alone(minutes: u32) -> Result<Vec<Row>> {
    let measured = measure(minutes, false).await?;
    let words = format!("use of Acumatica's licensed {LICENSED} calls/min ({})", measured.words());
    // As of every ceiling: 95 % of the part that is ours.
    let least = f64::from(OURS) * 0.95;
    let mut rows = vec![
        Row::new("acumatica.use", words, measured.used, "%").target(Target::ValueAtLeast(least)),
        Row::new("acumatica.waited", "  part of the run that the server let us wait", measured.waited, "%")
            .target(Target::ValueAtMost(5.0)),
        Row::new("acumatica.longest", "  longest of these waits", measured.longest, "s"),
    ];
    rows.push(refused("acumatica.refused", &measured));
    Ok(rows)
}

/// A second client uses its share all the time.
pub(super) async fn beside_another(minutes: u32) -> Result<Vec<Row>> {
    let measured = measure(minutes, true).await?;
    let words =
        format!("the same beside a client that uses {OTHERS} %: our use of the rate ({})", measured.words());
    let other = measured.other;
    Ok(vec![
        // Fair: not less than the other one has. It cannot ask for more than is left, which is a little more.
        Row::new("acumatica.shared.use", words, measured.used, "%")
            .target(Target::ValueAtLeast(f64::from(OTHERS))),
        Row::new("acumatica.shared.other", "  the other one's use", other.used, "%")
            .target(Target::ValueAtLeast(f64::from(OTHERS) * 0.95)),
        Row::new(
            "acumatica.shared.waited",
            "  part of the run that the server let us wait",
            measured.waited,
            "%",
        )
        .target(Target::ValueAtMost(5.0)),
        Row::new(
            "acumatica.shared.other.waited",
            "  mean wait of the other one's calls",
            other.mean_wait,
            "s",
        ),
        refused("acumatica.shared.refused", &measured),
    ])
}

fn refused(id: &'static str, measured: &Measured) -> Row {
    Row::new(id, "  refused with 429", measured.refused as f64, "").target(Target::ValueAtMost(0.0))
}

struct Measured {
    calls: usize,
    taken: Duration,
    /// Percent of the licence.
    used: f64,
    /// Percent of the run.
    waited: f64,
    /// Seconds.
    longest: f64,
    refused: usize,
    other: Other,
}

#[derive(Clone, Copy, Default)]
struct Other {
    /// Percent of the licence.
    used: f64,
    /// Seconds.
    mean_wait: f64,
}

impl Measured {
    fn words(&self) -> String {
        format!("{} calls in {:.0} s", self.calls, self.taken.as_secs_f64())
    }
}

async fn measure(minutes: u32, another: bool) -> Result<Measured> {
    // Each report takes more calls than one, so that there is always a next call to make.
    let records = usize::try_from(LICENSED * minutes)?;
    let route = Route::ExpensifyAcumatica;
    let vendors =
        Vendors::start(Wanted { licensed: Some(LICENSED), ..Wanted::unlimited(route, records) }).await?;
    let home = Home::new()?;
    let purser = vendors.agent(&home, &[]).await?;
    let other = match another {
        true => Some(SecondClient::sign_in(&vendors).await?),
        false => None,
    };
    let mut agent = purser.spawn(&["run", "--once"])?;
    let first = first_call(&mut agent, &vendors, Side::Source).await?;
    let mut others = JoinSet::new();
    if let Some(client) = other {
        others.spawn(client.run());
    }
    let end = first + span(minutes);
    work_until(agent, end).await?;
    if let Some(ended) = others.try_join_next() {
        ended??;
    }
    others.shutdown().await;
    let theirs = vendors.tape.arrivals(|call| call.side == Side::Erp && is_other(call));
    let ours = vendors.tape.arrivals(|call| call.side == Side::Erp && !is_other(call));
    let moments: Vec<Instant> = ours.iter().map(|arrival| arrival.at).collect();
    let round = usize::try_from(LICENSED * OURS / 100)?;
    // Beside another client a whole such round takes minutes; a tenth of the licence is the largest burst there is.
    let round = if another { usize::try_from(LICENSED / 10)? } else { round };
    let (calls, taken) = steady(&moments, round).context("the agent hardly called")?;
    Ok(Measured {
        calls,
        taken,
        used: percent_of_licence(calls, taken),
        waited: waits(&ours).as_secs_f64() * 100.0 / (end - first).as_secs_f64(),
        longest: ours.iter().map(|arrival| arrival.waited).max().unwrap_or_default().as_secs_f64(),
        refused: vendors.tape.count_status(429),
        other: others_figures(&theirs, end),
    })
}

fn percent_of_licence(calls: usize, taken: Duration) -> f64 {
    calls as f64 * 60.0 * 100.0 / taken.as_secs_f64() / f64::from(LICENSED)
}

/// Waits that overlap count each.
fn waits(arrivals: &[Arrival]) -> Duration {
    arrivals.iter().map(|arrival| arrival.waited).sum()
}

/// Of the calls that the site had taken up at the end.
fn others_figures(arrivals: &[Arrival], end: Instant) -> Other {
    let taken_up = |arrival: &&Arrival| arrival.at + arrival.waited <= end;
    let arrivals: Vec<Arrival> = arrivals.iter().filter(taken_up).copied().collect();
    let Some(first) = arrivals.first() else { return Other::default() };
    let mean_wait = waits(&arrivals).as_secs_f64() / arrivals.len() as f64;
    Other { used: percent_of_licence(arrivals.len(), end - first.at), mean_wait }
}

fn is_other(call: &TapedCall) -> bool {
    call.headers.iter().any(|(name, value)| name == "user-agent" && value == bare::USER_AGENT)
}

/// Another integration of the site: reads at an even pace, whatever comes back.
struct SecondClient {
    client: reqwest::Client,
    address: String,
    token: String,
}

impl SecondClient {
    async fn sign_in(vendors: &Vendors) -> Result<Self> {
        let (client, root) = (bare::client()?, vendors.erp.url());
        let fields = vendors.secrets.of(System::Acumatica);
        let of =
            |wanted: &str| fields.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value);
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "password")
            .append_pair("scope", "api")
            .append_pair("client_id", of("client_id"))
            .append_pair("client_secret", of("client_secret"))
            .append_pair("username", of("user"))
            .append_pair("password", of("password"))
            .finish();
        let request = client.post(format!("{root}/identity/connect/token"));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = request.send().await?.error_for_status().context("the second client's sign-in")?;
        let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await?)?;
        let token = answer["access_token"].as_str().context("the second client got no token")?.to_owned();
        Ok(Self { client, address: format!("{root}{READ}"), token })
    }

    /// Goes on until it is ended.
    async fn run(self) -> Result<()> {
        let mut beat = tokio::time::interval(Duration::from_secs(60) * 100 / (LICENSED * OTHERS));
        let mut flying = JoinSet::new();
        loop {
            beat.tick().await;
            let request = self.client.get(&self.address).bearer_auth(&self.token);
            flying.spawn(async move { request.send().await.map(|answer| answer.status()) });
            while let Some(ended) = flying.try_join_next() {
                let status = ended??;
                ensure!(status.is_success(), "the second client was answered {status}");
            }
        }
    }
}
