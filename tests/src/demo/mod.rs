//! The demo: the sandbox, a control plane and the real agent that is enrolled there, with its flows side by side, one lost
//! answer at each ERP, one killed process, the proof, a webhook and a replay from afar at the end. It says what happens in plain words and judges the outcome from the simulators' own states, never from what the agent says.

mod accidents;
mod afar;
mod ceiling;
mod outcome;
mod script;
mod voice;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::Result;

use crate::harness::{
    Admin, AgentConfig, Control, ControlOptions, DocumentKind, Home, Purser, Route, Sandbox, SandboxOptions,
    Secrets, System, locate, locate_control,
};
use crate::sim::acumatica::AcumaticaKnobs;
use crate::sim::epicor::EpicorKnobs;
pub use voice::Form;
use voice::Voice;

/// What demo is wanted.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Reports of each Expensify account and movements of card spend, in all states.
    pub reports: usize,
    /// Seed of the world.
    pub seed: u64,
    /// Leave everything running until Ctrl-C.
    pub keep: bool,
    /// Words for people, or one JSON object.
    pub form: Form,
    /// What the flows write.
    pub document: DocumentKind,
    /// The flows, each once.
    pub routes: Vec<Route>,
}

/// The stage: everything stops and goes away with it.
struct Stage {
    options: DemoOptions,
    voice: Voice,
    sandbox: Sandbox,
    admins: BTreeMap<System, Admin>,
    home: Home,
    config: AgentConfig,
    purser: Purser,
    control: Control,
    /// The agent's id at the control plane.
    enrolled: OnceLock<String>,
    begun: Instant,
}

/// Plays the demo. Answers whether everything came out as it must.
///
/// # Errors
/// When the stage cannot be set, or the agent does not do what the script asks of it.
pub async fn run(options: DemoOptions) -> Result<bool> {
    let voice = Voice::new(options.form);
    voice.title(&title(&options));
    let binary = locate(&|what| voice.line(&format!("   {what}"))).await?;
    locate_control(&|what| voice.line(&format!("   {what}"))).await?;
    let stage = Stage::set(options, voice, binary).await?;
    let outcome = stage.play().await?;
    stage.voice.end(&outcome, &stage.where_to_look());
    if stage.options.keep {
        stage.stay().await?;
    }
    Ok(outcome.is_good())
}

fn title(options: &DemoOptions) -> String {
    let written = match options.document {
        DocumentKind::Journal => "GL journals",
        DocumentKind::ApInvoice => "AP invoices",
    };
    let into = |erp: System| match erp {
        System::Acumatica => "a simulated Acumatica",
        _ => "a simulated Epicor Kinetic",
    };
    let from = |route: Route| match route {
        Route::ExpensifyEpicor => format!("{} expense reports of a simulated Expensify", options.reports),
        Route::ExpensifyAcumatica => {
            format!("{} expense reports of a second Expensify account", options.reports)
        }
        Route::BrexEpicor => format!("{} movements of a simulated Brex", options.reports),
    };
    if let [route] = options.routes[..] {
        return format!("Purser demo: {}, booked into {} as {written}", from(route), into(route.erp()));
    }
    let parts = options.routes.iter().map(|route| format!("  {} into {}", from(*route), into(route.erp())));
    let parts: Vec<String> = parts.collect();
    format!(
        "Purser demo: {} flows side by side, booked as {written}\n{}",
        options.routes.len(),
        parts.join("\n")
    )
}

impl Stage {
    async fn set(options: DemoOptions, voice: Voice, binary: PathBuf) -> Result<Self> {
        let begun = Instant::now();
        let mut wanted = SandboxOptions::new(options.reports);
        wanted.world.seed = options.seed;
        wanted.secrets = Secrets::canaries(options.seed);
        wanted.plant = true;
        wanted.spend = options.reports;
        wanted.acumatica = AcumaticaKnobs { call_ms: call_ms(options.reports), ..wanted.acumatica };
        wanted.epicor = EpicorKnobs { call_ms: call_ms(options.reports), ..EpicorKnobs::default() };
        let sandbox = Sandbox::start(wanted).await?;
        let home = Home::new()?;
        let schedule = options.keep.then(|| "*/5 * * * *".to_owned());
        let usual = sandbox.agent_config_for(&options.routes);
        let config = AgentConfig { document: options.document, schedule, ..usual };
        let admins = Route::systems(&options.routes)
            .into_iter()
            .map(|system| anyhow::Ok((system, Admin::new(&sandbox.running(system).url(), None)?)));
        let purser = Purser::with_binary(binary, home.path());
        let control = Control::start(ControlOptions::Sqlite).await?;
        Ok(Self {
            admins: admins.collect::<Result<_>>()?,
            options,
            voice,
            sandbox,
            home,
            config,
            purser,
            control,
            enrolled: OnceLock::new(),
            begun,
        })
    }

    /// Leaves agent and sandbox running. Ends with the process, by Ctrl-C.
    async fn stay(&self) -> Result<()> {
        let agent = self.purser.spawn(&["run"])?;
        self.voice.line("");
        self.voice
            .line("   Everything stays up; the agent runs as a service now. Ctrl-C ends and removes it all.");
        let ended = agent.wait().await?;
        anyhow::bail!("the agent ended by itself: {}", ended.words());
    }
}

/// A real ERP takes its time; few reports, and there is still something to watch and to interrupt.
fn call_ms(reports: usize) -> u64 {
    match reports {
        0..=150 => 15,
        151..=1_000 => 4,
        _ => 0,
    }
}
