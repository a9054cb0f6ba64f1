//! Brex's documented ceiling, used by the agent's own client. A flow reads page after page and never has that many calls
//! under way, so here tasks beside each other read records by id through one client, with its gate and its pace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use purser::clock::Clock;
use purser::secret::{Credential, Origin, SecretText};
use purser::vendors::http::{DEFAULT_MAX_BODY, Gate, GateSettings, NoLog, Pace};
use purser::vendors::registry::{Build, vendor};
use purser::vendors::sites::Sites;
use purser::vendors::{CredentialKeeper, KeepError, NoteError, Notes, SourceWindow, SpendSource};
use purser_proto::config::NetworkSettings;
use sandbox::harness::{Route, System};
use secrecy::SecretString;
use serde_json::{Map, Value};
use spend::ids::SourceId;
use tokio::task::JoinSet;
use url::Url;

use super::{span, steady};
use crate::table::{Row, Target};
use crate::vendors::{Side, Vendors, Wanted};

/// Calls that the documented window admits, and its length.
const CALLS: usize = 1_000;
const WINDOW: Duration = Duration::from_secs(60);
/// Calls under way at once.
const IN_FLIGHT: usize = 16;
/// Movements in the account.
const RECORDS: usize = 60;

pub(super) async fn measure(minutes: u32) -> Result<Vec<Row>> {
    let wanted = Wanted { paced: true, ..Wanted::unlimited(Route::BrexEpicor, RECORDS) };
    let vendors = Vendors::start(wanted).await?;
    let client = client(&vendors)?;
    let mut ids = record_ids(&vendors)?.into_iter().cycle();
    let end = Instant::now() + span(minutes);
    let mut readers = JoinSet::new();
    for window in (0..IN_FLIGHT).filter_map(|_| ids.next()).map(|id| SourceWindow::Ids(vec![id])) {
        let client = Arc::clone(&client);
        readers.spawn(async move {
            loop {
                let page = client.read(&window).await.map_err(|failure| anyhow!("{failure:?}"))?;
                ensure!(page.documents.len() + page.unreadable.len() <= 1, "a record was read twice");
            }
            #[expect(unreachable_code, reason = "tells the task's type")]
            anyhow::Ok(())
        });
    }
    tokio::select! {
        () = tokio::time::sleep_until(end.into()) => {}
        Some(ended) = readers.join_next() => ended??,
    }
    readers.shutdown().await;
    let (used, taken) =
        steady(&vendors.tape.moments(Side::Source), CALLS).context("the client hardly called")?;
    let most = CALLS as f64 * taken.as_secs_f64() / WINDOW.as_secs_f64();
    let words = format!(
        "use of Brex's ceiling, {IN_FLIGHT} in flight ({used} calls in {:.0} s)",
        taken.as_secs_f64()
    );
    Ok(vec![
        Row::new("brex.use", words, used as f64 * 100.0 / most, "%").target(Target::ValueAtLeast(95.0)),
        Row::new("brex.refused", "  refused with 429", vendors.tape.count_status(429) as f64, "")
            .target(Target::ValueAtMost(0.0)),
    ])
}

fn record_ids(vendors: &Vendors) -> Result<Vec<SourceId>> {
    let state = vendors.source.state();
    let records = state["records"].as_array().context("the simulator shows no records")?;
    let ids: Vec<SourceId> =
        records.iter().filter_map(|record| record["id"].as_str()).map(SourceId::from).collect();
    ensure!(!ids.is_empty(), "the simulator has no records");
    Ok(ids)
}

/// A client as the agent's registry makes it, with the vendor's own ceiling.
fn client(vendors: &Vendors) -> Result<Arc<dyn SpendSource>> {
    let system = System::Brex;
    let kind = vendor(system.kind()).context("the registry does not know Brex")?;
    let url = Url::parse(&vendors.source.url())?;
    let origin = Origin::of(&url).context("the simulator has no address")?;
    let fields: BTreeMap<String, SecretString> = vendors
        .secrets
        .of(system)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
        .collect();
    let credential = Credential::new(system.id(), fields, Arc::from([origin]));
    let clock = Clock::system();
    let gate = GateSettings {
        connection: system.id().into(),
        network: NetworkSettings {
            proxy: Some("none".to_owned()),
            allow_plain_loopback: true,
            ..NetworkSettings::default()
        },
        proxy_credential: None,
        default_timeout: kind.timeout,
        max_body: DEFAULT_MAX_BODY,
        user_agent: "purser/bench".to_owned(),
    };
    let mut settings = Map::new();
    settings.insert("surface".to_owned(), Value::from("accounting"));
    let pace = Pace::new(&(kind.pace)(&settings), kind.concurrency, clock.clone());
    let build = Build {
        transport: Arc::new(Gate::new(gate, pace, Arc::new(NoLog), clock.clone())?),
        credential,
        keeper: Arc::new(Forgets),
        notes: Arc::new(Forgets),
        url,
        settings,
        companies: Vec::new(),
        clock,
        sites: Sites::default(),
    };
    let roles = (kind.build)(build).map_err(|findings| anyhow!("{}", findings.join("; ")))?;
    roles.source.context("Brex is no source")
}

/// Nothing needs to be remembered for so short a time.
struct Forgets;

impl CredentialKeeper for Forgets {
    fn keep(&self, _fields: &[(&str, SecretText)]) -> Result<(), KeepError> {
        Ok(())
    }
}

impl Notes for Forgets {
    fn read(&self, _name: &str) -> Result<Option<String>, NoteError> {
        Ok(None)
    }

    fn write(&self, _name: &str, _text: &str) -> Result<(), NoteError> {
        Ok(())
    }
}
