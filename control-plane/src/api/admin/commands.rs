//! Commands to agents: who asks, why, until when. Which permission is needed depends on the verb: looking after the
//! technical side and deciding about postings are different people's work.

use super::Admin;
use super::access::{Asked, need};
use super::exchange::{Answer, Body, Id, Made, ok, shown};
use super::plug::Plug;
use super::refusal::Refusal;
use crate::accounts::roles::Permission;
use crate::store::agents;
use crate::store::commands::{self, CommandRow, NewCommand};
use actix_web::web::{Data, Path, Query};
use actix_web::{get, post};
use purser_proto::link::command::Verb;
use purser_proto::link::limits::Name;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// For how long a command is obeyed when nothing is said, in minutes.
const USUAL_MINUTES: i64 = 60;
/// For how long at most: a week.
const MOST_MINUTES: i64 = 7 * 24 * 60;

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config.service(list_commands).service(create_command).service(show_command);
}

/// What an agent can be asked. There is no command that runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Run a flow now. `commands-run`.
    Run,
    /// Show what a run would do. `commands-run`.
    Preview,
    /// Stop a flow's schedule and retries. `commands-operate`.
    Pause,
    /// Continue them. `commands-operate`.
    Resume,
    /// Replay a held posting. `commands-decide`.
    Replay,
    /// Close a held posting. `commands-decide`.
    Handle,
    /// Have a connection's checks made. `commands-operate`.
    TestConnection,
    /// Run a reference flow now. `commands-operate`.
    RefreshReference,
    /// Gather what a person needs to find a fault. `commands-operate`.
    Diagnostics,
    /// Make new keys. `commands-operate`.
    RotateKeys,
}

/// A command.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// What.
    verb: Word,
    /// Of which flow.
    #[serde(default)]
    #[schema(max_length = 128, example = "expenses")]
    flow: Option<String>,
    /// Which posting.
    #[serde(default)]
    #[schema(max_length = 128)]
    posting: Option<String>,
    /// Which connection.
    #[serde(default)]
    #[schema(max_length = 128)]
    connection: Option<String>,
    /// Why.
    #[schema(min_length = 1, max_length = 512, example = "month end")]
    reason: String,
    /// For how many minutes it is obeyed; 60 when nothing is said.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10080)]
    minutes: Option<i64>,
}

/// A command and what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommandView {
    /// Id.
    pub id: String,
    /// The agent.
    pub agent: String,
    /// What.
    pub verb: String,
    /// What it concerns.
    #[schema(value_type = Object)]
    pub asked: serde_json::Value,
    /// Who asked.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When.
    #[schema(format = DateTime)]
    pub created: String,
    /// Until when it is obeyed.
    #[schema(format = DateTime)]
    pub expires: String,
    /// `waiting`, `taken`, `done`, `failed`, `refused` or `expired`.
    pub state: String,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub finished: Option<String>,
    /// What happened, or why not.
    pub words: String,
    /// What it brought to light, JSON.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Which commands.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CommandQuery {
    /// Commands that were asked before this moment, in milliseconds since 1970.
    #[serde(default)]
    before: Option<i64>,
    /// Most entries, 1 to 200; 50 when nothing is said.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

fn view(row: CommandRow) -> CommandView {
    CommandView {
        id: row.id,
        agent: row.agent,
        verb: row.word,
        asked: serde_json::from_str(&row.verb).unwrap_or_default(),
        author: row.author,
        reason: row.reason,
        created: shown(row.created_at),
        expires: shown(row.expires_at),
        state: row.state,
        finished: row.finished_at.map(shown),
        words: row.words,
        detail: row.detail,
    }
}

impl Word {
    const fn needs(self) -> Permission {
        match self {
            Self::Run | Self::Preview => Permission::CommandsRun,
            Self::Replay | Self::Handle => Permission::CommandsDecide,
            Self::Pause
            | Self::Resume
            | Self::TestConnection
            | Self::RefreshReference
            | Self::Diagnostics
            | Self::RotateKeys => Permission::CommandsOperate,
        }
    }
}

fn verb(ask: &Ask) -> Result<Verb, Refusal> {
    let named = |name: &Option<String>, what: &str| {
        let given = name.as_deref().filter(|name| !name.is_empty());
        let given = given.ok_or_else(|| Refusal::unfit(format!("this verb needs `{what}`")))?;
        Name::whole(given).map_err(|why| Refusal::unfit(format!("`{what}` {why}")))
    };
    let flow = || named(&ask.flow, "flow");
    Ok(match ask.verb {
        Word::Run => Verb::Run { flow: flow()? },
        Word::Preview => Verb::Preview { flow: flow()? },
        Word::Pause => Verb::Pause { flow: flow()? },
        Word::Resume => Verb::Resume { flow: flow()? },
        Word::Replay => Verb::Replay { flow: flow()?, posting: named(&ask.posting, "posting")? },
        Word::Handle => Verb::Handle { flow: flow()?, posting: named(&ask.posting, "posting")? },
        Word::TestConnection => Verb::TestConnection { connection: named(&ask.connection, "connection")? },
        Word::RefreshReference => Verb::RefreshReference { flow: flow()? },
        Word::Diagnostics => Verb::Diagnostics,
        Word::RotateKeys => Verb::RotateKeys,
    })
}

/// Commands to an agent, the newest first.
#[utoipa::path(tag = "commands", params(("id" = String, Path, description = "Id of the agent"), CommandQuery),
    extensions(("x-permission" = json!("commands-read"))),
    responses((status = 200, body = Vec<CommandView>), (status = 404, body = Refusal)))]
#[get("/agents/{id}/commands")]
async fn list_commands(
    admin: Data<Admin>,
    asked: Asked<need::CommandsRead>,
    id: Path<Id>,
    query: Query<CommandQuery>,
) -> Answer {
    let limit = query.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        return Err(Refusal::malformed("limit must be 1 to 200"));
    }
    let mut reader = admin.store.read().await?;
    agents::of(&mut reader, &asked.tenant, &id.0).await?;
    let before = query.before.unwrap_or(i64::MAX);
    let found = commands::of_agent(&mut reader, &asked.tenant, &id.0, before, limit).await?;
    ok(&found.into_iter().map(view).collect::<Vec<_>>())
}

/// Ask an agent to do something. Its guard rails decide whether it does.
#[utoipa::path(tag = "commands", request_body = Ask, params(("id" = String, Path, description = "Id of the agent")),
    extensions(("x-permission" = json!("commands-run"))),
    responses((status = 201, body = CommandView), (status = 403, body = Refusal), (status = 404, body = Refusal),
        (status = 422, body = Refusal)))]
#[post("/agents/{id}/commands")]
async fn create_command(
    admin: Data<Admin>,
    asked: Asked<need::CommandsRead>,
    id: Path<Id>,
    body: Body<Ask>,
) -> Answer {
    let ask = body.value;
    asked.principal.require(ask.verb.needs())?;
    let agent = agents::of(&mut *admin.store.read().await?, &asked.tenant, &id.0).await?.id;
    let verb = verb(&ask)?;
    let minutes = ask.minutes.unwrap_or(USUAL_MINUTES);
    let reason = ask.reason.trim().to_owned();
    if reason.is_empty() || reason.len() > 512 || !(1..=MOST_MINUTES).contains(&minutes) {
        return Err(Refusal::unfit(format!(
            "a reason has 1 to 512 bytes; a command is obeyed for 1 to {MOST_MINUTES} minutes"
        )));
    }
    let (tenant, now) = (asked.tenant.clone(), admin.now());
    let word = verb.word();
    let expires_at = now + minutes * 60_000;
    let new = NewCommand { tenant, agent, verb, by: asked.principal.shown.clone(), reason, expires_at };
    let made = admin.create(&asked.0, body.once, "command.create", move |tx| {
        Box::pin(async move {
            let id = commands::create(tx, &new, now).await?;
            let row = commands::of(tx.connection(), &new.tenant, &id).await?;
            let detail = format!("{word} as {id}: {}", new.reason);
            Ok(Made { body: view(row), target: new.agent, detail })
        })
    });
    made.await
}

/// One command and what came of it.
#[utoipa::path(tag = "commands",
    params(("id" = String, Path, description = "Id of the agent"), ("command" = String, Path, description = "Id of the command")),
    extensions(("x-permission" = json!("commands-read"))),
    responses((status = 200, body = CommandView), (status = 404, body = Refusal)))]
#[get("/agents/{id}/commands/{command}")]
async fn show_command(admin: Data<Admin>, asked: Asked<need::CommandsRead>, path: Path<(Id, Id)>) -> Answer {
    let (agent, command) = path.into_inner();
    let row = commands::of(&mut *admin.store.read().await?, &asked.tenant, &command.0).await?;
    if row.agent == agent.0 { ok(&view(row)) } else { Err(Refusal::missing()) }
}
