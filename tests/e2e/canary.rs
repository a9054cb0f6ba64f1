//! Planted texts: forty that occur nowhere else, looked for wherever the agent leaves bytes. Credentials may be
//! nowhere. What documents say may be nowhere on disk either, except in an audit export that was asked to hold it.

use std::collections::BTreeSet;

use sandbox::faults::{FaultAction, FaultMatch, FaultRule};
use sandbox::harness::{EPICOR, EXPENSIFY, FLOW, Finished, Route, Sandbox, Secrets, System};
use sandbox::invariants::Needles;
use sandbox::world::World;
use serde_json::{Value, json};

use crate::stage::{LONGEST, Stage, quick};

const SEED: u64 = 0xCA_4A;

struct Planted {
    /// Nowhere, at no time.
    secrets: Needles,
    /// All kinds. Account names are among them and not among the secrets: the ERP writes its user into rows
    /// (`CreatedBy`), so they are a part of what documents say.
    whole: Needles,
    texts: Needles,
    count: usize,
}

fn word(rng: &mut fastrand::Rng, head: &str) -> String {
    let tail: String = (0..14).map(|_| rng.alphanumeric()).collect();
    format!("{head} {tail}")
}

/// Plants texts in names, titles, merchants and comments of reports that will be booked or held.
fn plant(world: &mut World) -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut texts = Vec::new();
    let mut put = |field: &mut String, head: &str| {
        *field = word(&mut rng, head);
        texts.push(field.clone());
    };
    let ready = world.reports.iter_mut().filter(|report| report.state == "APPROVED");
    for report in ready.filter(|report| !report.expenses.is_empty()).take(9) {
        put(&mut report.name, "Trip");
        put(&mut report.expenses[0].merchant, "Caf\u{e9} & Bar");
        report.expenses[0].modified_merchant = None;
        put(&mut report.expenses[0].comment, "Dinner with \"Ann\" <3");
    }
    for employee in world.employees.iter_mut().take(4) {
        put(&mut employee.first_name, "Given");
        put(&mut employee.last_name, "Family");
    }
    texts
}

impl Planted {
    async fn set() -> (Stage, Self) {
        let mut options = quick(30);
        options.secrets = Secrets::canaries(SEED);
        let secrets = options.secrets.clone();
        let mut world = World::generate_with(&options.world);
        let texts = plant(&mut world);
        let sandbox = Sandbox::start_with(world, options).await.unwrap();
        let stage = Stage::set_on(sandbox, Route::ExpensifyEpicor, |config| {
            config.paced = false;
            config.tables.push("[log]\nlevel = \"trace\"".to_owned());
        });
        let stage = stage.await;
        // An export whose answer was broken is waited for; ten seconds are enough to see what is said then.
        let text = std::fs::read_to_string(stage.home.config_file()).unwrap();
        let patient = "first_wait = 0, wait_step = 1, wait_max = 2, give_up = 10";
        stage.home.configure_text(&text.replace("first_wait = 0", patient)).unwrap();
        let count = secrets.values().len() + texts.len();
        let hidden = [
            &secrets.partner_user_secret,
            &secrets.second_user_secret,
            &secrets.password,
            &secrets.api_key,
            &secrets.brex_token,
        ];
        let names = [&secrets.partner_user_id, &secrets.second_user_id, &secrets.user];
        let all = || texts.iter().map(String::as_str);
        let planted = Self {
            secrets: Needles::default().with("a secret", hidden.map(String::as_str)),
            texts: Needles::default().with("a text", all()),
            whole: Needles::default()
                .with("a secret", hidden.map(String::as_str))
                .with("an account name", names.map(String::as_str))
                .with("a text", all()),
            count,
        };
        (stage, planted)
    }

    /// What is found of any kind.
    fn in_bytes(&self, bytes: &[u8]) -> BTreeSet<&str> {
        self.whole.in_bytes(bytes)
    }

    fn no_secret_said(&self, finished: &Finished) {
        for line in finished.stdout.lines().chain(finished.stderr.lines()) {
            let found = self.secrets.in_bytes(line.as_bytes());
            assert!(found.is_empty(), "{found:?} was said: {line}");
        }
    }

    fn nothing_on_disk(&self, stage: &Stage) {
        let (found, files) = self.whole.below(stage.home.path()).unwrap();
        assert_eq!(found, Vec::<String>::new());
        assert!(files >= 5, "only {files} files were looked at");
    }
}

/// Wrong credentials, broken and refused answers: everything that makes programs talk.
async fn trouble(stage: &Stage, planted: &Planted) {
    let run = ["run", "--once"];
    let broken = |action| FaultRule { when: FaultMatch::default(), times: Some(3), action };
    for action in [FaultAction::MalformedBody, FaultAction::TruncatedBody, FaultAction::HalfAnswer] {
        stage.sandbox.expensify.faults([broken(action.clone())]);
        stage.sandbox.epicor.faults([broken(action)]);
        planted.no_secret_said(&stage.purser.run(&run).await.unwrap());
        stage.sandbox.expensify.clear_faults();
        stage.sandbox.epicor.clear_faults();
    }
    let sound = stage.sandbox.epicor.control("knobs", &json!({})).unwrap();
    stage.sandbox.epicor.control("knobs", &json!({ "password": "changed" })).unwrap();
    for verb in [["run", "--once"], ["doctor", "--output=json"], ["connections", "test"]] {
        planted.no_secret_said(&stage.purser.run(&verb).await.unwrap());
    }
    let password = json!({ "password": sound["password"] });
    stage.sandbox.epicor.control("knobs", &password).unwrap();
    // A host that the secret is not bound to.
    let text = std::fs::read_to_string(stage.home.config_file()).unwrap();
    let elsewhere = text.replace(&stage.sandbox.epicor.url(), "https://erp.invalid");
    stage.home.configure_text(&elsewhere).unwrap();
    for verb in [["run", "--once"], ["doctor", "--output=json"]] {
        planted.no_secret_said(&stage.purser.run(&verb).await.unwrap());
    }
    stage.home.configure_text(&text).unwrap();
}

/// Acceptance of the state folder, logs at their most talkative, command output and both forms of the audit export.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_planted_is_found_in_state_logs_output_or_audit_export() {
    let (stage, planted) = Planted::set().await;
    assert_eq!(planted.count, 43);
    trouble(&stage, &planted).await;
    stage.run().await;
    stage.run().await;
    let tally = stage.judge().await;
    assert_eq!(tally.posted, stage.bookable().len());
    for verb in [
        ["records", "list"].as_slice(),
        &["records", "list", "--output", "json"],
        &["audit", "show", "--limit", "10000", "--output", "json"],
        &["secrets", "list", "--output", "json"],
        &["config", "show"],
        &["status", "--output", "json"],
        &["connections", "list"],
        &["flows", "preview", FLOW, "--all"],
        &["proof"],
    ] {
        planted.no_secret_said(&stage.purser.run(verb).await.unwrap());
    }
    planted.nothing_on_disk(&stage);
    let logs = std::fs::read_dir(stage.home.path().join("logs")).unwrap();
    let talked: u64 = logs.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(talked > 20_000, "the logs hold only {talked} bytes, so finding nothing in them proves nothing");
    assert_eq!(stage.misuse(), Vec::<String>::new());
    export(&stage, &planted).await;
}

/// The plain export holds neither; with content it holds what documents say, which also shows that they can be found.
async fn export(stage: &Stage, planted: &Planted) {
    let file = |name: &str| stage.home.beside().join(name);
    let (plain, content) = (file("audit.jsonl"), file("audit-content.jsonl"));
    stage.say(0, &["audit", "export", "--file", plain.to_str().unwrap()]).await;
    stage.say(0, &["audit", "export", "--content", "--file", content.to_str().unwrap()]).await;
    let (plain, content) = (std::fs::read(plain).unwrap(), std::fs::read(content).unwrap());
    assert!(plain.len() > 10_000);
    assert_eq!(planted.in_bytes(&plain), BTreeSet::new(), "in the plain export");
    assert_eq!(planted.secrets.in_bytes(&content), BTreeSet::new(), "secrets in the export with content");
    assert!(!planted.texts.in_bytes(&content).is_empty(), "the needles find nothing at all");
}

/// The running service: its environment and command line, the status file, and orders on their way, one of which
/// carries a whole new secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_planted_is_found_in_a_running_process_its_status_or_its_orders() {
    let (stage, planted) = Planted::set().await;
    let agent = stage.purser.spawn(&["run", "--no-jitter"]).unwrap();
    stage.status_when("it runs", |status| status["connections"][EPICOR]["state"] == "running").await;
    let order = stage.purser.spawn(&["flows", "run", FLOW]).unwrap();

    let folder = stage.home.path().join("orders");
    let fields = stage.sandbox.secrets.of(System::Epicor);
    let fields: String = fields.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let arguments = ["secrets", "set", EPICOR, "--yes", "--note", "rotated"];
    let set = tokio::spawn({
        let purser = stage.purser.clone();
        async move { purser.run_with_input(&arguments, &fields).await.unwrap() }
    });
    let mut seen = 0;
    while !set.is_finished() {
        for entry in std::fs::read_dir(&folder).unwrap().filter_map(Result::ok) {
            // Orders are taken away at any moment.
            if let Ok(bytes) = std::fs::read(entry.path()) {
                seen += usize::from(bytes.windows(10).any(|part| part == b"put-secret"));
                assert_eq!(planted.in_bytes(&bytes), BTreeSet::new(), "in {}", entry.path().display());
            }
        }
        tokio::task::yield_now().await;
    }
    let set = set.await.unwrap();
    assert_eq!(set.code, Some(0), "{}", set.words());
    planted.no_secret_said(&set);
    assert!(seen > 0, "the order with the secret was never seen");
    planted.no_secret_said(&order.wait_within(LONGEST).await.unwrap());

    let process = format!("/proc/{}", agent.pid().unwrap());
    for name in ["environ", "cmdline", "status", "maps"] {
        let bytes = std::fs::read(format!("{process}/{name}")).unwrap();
        assert!(!bytes.is_empty());
        assert_eq!(planted.in_bytes(&bytes), BTreeSet::new(), "in {name} of the process");
    }
    let status: Value =
        serde_json::from_slice(&std::fs::read(stage.home.path().join("status.json")).unwrap()).unwrap();
    assert!(status["connections"][EXPENSIFY].is_object());
    planted.nothing_on_disk(&stage);
    agent.terminate().await.unwrap();
    let ended = agent.wait_within(LONGEST).await.unwrap();
    planted.no_secret_said(&ended);
    let found = planted.texts.in_bytes(&[ended.stdout.as_bytes(), ended.stderr.as_bytes()].concat());
    assert_eq!(found, BTreeSet::new(), "texts on the console of the service");
    planted.nothing_on_disk(&stage);
}
