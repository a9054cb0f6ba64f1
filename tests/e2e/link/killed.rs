//! The control plane's process is killed (`kill -9`) while webhooks and syncs come in, twice, and started again on what the
//! disk holds: whatever was acknowledged is there, and comes once. Agents by hand, so that each of their requests is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use purser_control::testing::TestAgent;
use purser_proto::link::SYNC;
use purser_proto::link::assertion::HEADER;
use purser_proto::link::report::{Notice, NoticeLevel, Report, ReportBody};
use purser_proto::link::sync::{DeliveryBody, SyncAnswer};
use sandbox::harness::{Control, ControlOptions};

use super::desk::Desk;
use super::hand::{client, now};

const AGENTS: usize = 3;
/// Senders of each hook at the same time.
const SENDERS: usize = 4;
/// Webhooks and syncs that are acknowledged before each kill, and after the last.
const BETWEEN: u64 = 150;
const KILLS: usize = 2;
/// How long all of it may take: many times what it takes on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(300);
/// A moment until somebody who was not answered, or was told to wait, tries again.
const AGAIN: Duration = Duration::from_millis(20);

/// What runs at the same time, and how far it has come.
#[derive(Debug, Default)]
struct Load {
    acknowledged: AtomicU64,
    /// Nothing more is sent.
    over: AtomicBool,
    /// Whoever sent has ended.
    silent: AtomicBool,
}

impl Load {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    async fn more(&self, many: u64) {
        let until = self.acknowledged.load(Ordering::Relaxed) + many;
        while self.acknowledged.load(Ordering::Relaxed) < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Numbers of webhooks: all that were sent, and those that were acknowledged.
#[derive(Default)]
struct Sent {
    all: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
}

/// Each webhook once, whether it was answered or not, so that one that comes twice was not sent twice.
async fn sends(load: &Load, url: &str, first: u64) -> Sent {
    let (client, mut sent) = (client(), Sent::default());
    for number in (first..).step_by(SENDERS) {
        if load.is_over() {
            break;
        }
        sent.all.insert(number);
        match client.post(url).body(number.to_string()).send().await {
            Ok(answer) if answer.status() == 200 => {
                sent.acknowledged.insert(number);
                load.count();
            }
            Ok(answer) => {
                assert!([429, 503].contains(&answer.status().as_u16()), "{answer:?}");
                tokio::time::sleep(AGAIN).await;
            }
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
    sent
}

/// What an agent was given and told.
#[derive(Default)]
struct Heard {
    /// Numbers of webhooks, by the id under which each came.
    webhooks: BTreeMap<String, u64>,
    /// Deliveries that the control plane knows to be taken.
    taken: BTreeSet<String>,
    /// Its reports up to this one were acknowledged.
    reported: u64,
}

/// Syncs until nothing is left: each request takes what the last one brought and reports once. One that was not answered is
/// said again.
async fn syncs(load: &Load, agent: &TestAgent) -> Heard {
    let (client, mut heard, mut takes) = (client(), Heard::default(), Vec::new());
    loop {
        let was_silent = load.is_silent();
        let Some(answer) = sync(&client, agent, &takes, heard.reported + 1).await else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        load.count();
        heard.reported += 1;
        heard.taken.extend(takes.drain(..));
        for delivery in answer.deliveries.as_slice() {
            let DeliveryBody::Webhook(webhook) = &delivery.body else { panic!("{delivery:?}") };
            let body = STANDARD.decode(agent.open(webhook).body_base64).unwrap();
            let number = String::from_utf8(body).unwrap().parse().unwrap();
            let id = delivery.id.to_string();
            assert!(!heard.taken.contains(&id), "webhook {number} was taken and comes again");
            heard.webhooks.insert(id.clone(), number);
            takes.push(id);
        }
        if was_silent && takes.is_empty() {
            return heard;
        }
    }
}

async fn sync(
    client: &reqwest::Client,
    agent: &TestAgent,
    takes: &[String],
    number: u64,
) -> Option<SyncAnswer> {
    let takes: Vec<&str> = takes.iter().map(String::as_str).collect();
    let notice = Notice {
        level: NoticeLevel::Info,
        code: format!("report-{number}").as_str().into(),
        concerns: None,
        what: "a test".into(),
        fix: "".into(),
    };
    let report = Report { id: number, at: now(), body: ReportBody::Notice(notice) };
    let mut said = agent.takes(&takes);
    said.reports = [report].into_iter().collect();
    let body = serde_json::to_vec(&said).unwrap();
    let signed = agent.assert(&agent.id, SYNC, &body);
    let asked = client.post(format!("{}{SYNC}", agent.base)).header(HEADER, signed).body(body);
    let answer = asked.send().await.ok()?;
    let status = answer.status().as_u16();
    let text = answer.bytes().await.ok()?;
    assert!(status == 200 || status >= 500, "{status}: {}", String::from_utf8_lossy(&text));
    (status == 200).then(|| serde_json::from_slice(&text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_the_process_and_comes_once() {
    let mut control = Control::start(ControlOptions::Sqlite).await.unwrap();
    let desk = Desk::at(&control).await;
    let url = control.url(0);
    let mut agents = Vec::new();
    for _ in 0..AGENTS {
        let mut agent = TestAgent::new(&url);
        agent.enroll(&control.code().await.unwrap()).await.unwrap();
        let hook = format!("{url}{}", desk.hook(&agent.id, "brex").await);
        agents.push((agent, hook));
    }
    let load = &Load::default();
    let accidents = async {
        for _ in 0..KILLS {
            load.more(BETWEEN).await;
            control.kill(0).await.unwrap();
            control.revive(0).await.unwrap();
        }
        load.more(BETWEEN).await;
        load.over.store(true, Ordering::Relaxed);
    };
    let hearing = join_all(agents.iter().map(|(agent, _)| syncs(load, agent)));
    let sending = async {
        let of_hook = |hook| join_all((0..SENDERS as u64).map(move |first| sends(load, hook, first)));
        let sent = join_all(agents.iter().map(|(_, hook)| of_hook(hook.as_str()))).await;
        load.silent.store(true, Ordering::Relaxed);
        sent
    };
    let all = async { tokio::join!(accidents, hearing, sending) };
    let Ok(((), heard, sent)) = tokio::time::timeout(DEADLINE, all).await else {
        panic!("no end after {DEADLINE:?}: {load:?}")
    };
    for (((agent, _), heard), sent) in agents.iter().zip(heard).zip(sent) {
        let came: BTreeSet<u64> = heard.webhooks.values().copied().collect();
        assert_eq!(came.len(), heard.webhooks.len(), "a webhook came twice");
        let acknowledged: BTreeSet<u64> = sent.iter().flat_map(|sent| &sent.acknowledged).copied().collect();
        let all: BTreeSet<u64> = sent.iter().flat_map(|sent| &sent.all).copied().collect();
        assert!(acknowledged.len() > 20, "next to nothing was taken");
        assert_eq!(acknowledged.difference(&came).count(), 0, "webhooks were acknowledged and lost");
        assert!(came.is_subset(&all), "webhooks came that nobody has sent");
        let notices = desk.notices(&agent.id).await;
        let mut told: Vec<u64> =
            notices.iter().filter_map(|notice| notice.code.strip_prefix("report-")?.parse().ok()).collect();
        told.reverse();
        assert_eq!(told, (1..=heard.reported).collect::<Vec<_>>(), "each report once, in its order");
    }
    desk.leave().await;
}
