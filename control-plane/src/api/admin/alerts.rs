//! Alerts: what is open, from when on something is one, and who is told. The signing secret of a webhook is shown when
//! it is made, and never again.

use super::Admin;
use super::access::{Asked, need};
use super::exchange::{Answer, Body, Id, Made, Once, Page, PageQuery, ok, shown};
use super::plug::Plug;
use super::refusal::Refusal;
use crate::alerts::Kind;
use crate::alerts::message::trial;
use crate::alerts::rules::Thresholds;
use crate::notify::Notify;
use crate::store::alerts::{self, Destination, NewDestination, Way, Wishes};
use crate::store::{StoreError, alert_messages};
use actix_web::web::{Data, Path, Query};
use actix_web::{delete, get, post, put};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Most messages of a destination that are shown.
const MESSAGES: i64 = 100;

pub(super) fn routes(config: &mut Plug<'_, '_>) {
    config
        .service(list_alerts)
        .service(show_settings)
        .service(change_settings)
        .service(list_destinations)
        .service(create_destination)
        .service(change_destination)
        .service(remove_destination)
        .service(rotate_secret)
        .service(try_destination)
        .service(list_messages);
}

/// Which alerts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AlertQuery {
    /// Only those that are still so.
    #[serde(default)]
    open: bool,
    /// `next` of the page before.
    #[serde(default)]
    #[param(value_type = Option<String>, max_length = 80)]
    after: Option<Id>,
    /// Most entries, 1 to 200; 50 when nothing is said.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// An alert.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertView {
    /// Id.
    pub id: String,
    /// The agent.
    pub agent: String,
    /// Its name.
    pub agent_name: String,
    /// `agent-offline`, `credential-expiring`, `holds`, `security-event`, `audit-went-back`, `configuration-refused`.
    pub kind: String,
    /// The connection, flow or code that it concerns; empty for the agent itself.
    pub concerns: String,
    /// One sentence.
    pub title: String,
    /// Whether it is still so.
    pub open: bool,
    /// Since when.
    #[schema(format = DateTime)]
    pub opened: String,
    /// How often it was told again.
    pub repeats: i64,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub resolved: Option<String>,
}

/// From when on something is an alert, and how often it is told.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertSettings {
    /// Minutes without a word of an agent; 0 = not watched.
    #[schema(minimum = 0, maximum = 100000, example = 15)]
    pub offline_minutes: i64,
    /// Days until a credential dies; 0 = not watched.
    #[schema(minimum = 0, maximum = 3650, example = 14)]
    pub credential_days: i64,
    /// Held postings of a flow; 0 = not watched.
    #[schema(minimum = 0, maximum = 1000000, example = 25)]
    pub holds: i64,
    /// Hours between two messages about the same alert; 0 = it is told once.
    #[schema(minimum = 0, maximum = 10000, example = 24)]
    pub repeat_hours: i64,
    /// Hour (UTC) of the daily digest; absent = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 23)]
    pub digest_hour: Option<i64>,
}

/// How somebody is told.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WayWord {
    /// A mail.
    Mail,
    /// A webhook, signed as Standard Webhooks says.
    Webhook,
}

impl From<WayWord> for Way {
    fn from(word: WayWord) -> Self {
        match word {
            WayWord::Webhook => Self::Webhook,
            WayWord::Mail => Self::Mail,
        }
    }
}

/// Somebody new to be told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DestinationAsked {
    /// How.
    #[schema(example = "mail")]
    way: WayWord,
    /// Web or mail address.
    #[schema(min_length = 3, max_length = 2048, example = "operations@example.test")]
    target: String,
    /// Kinds of alerts; empty = all.
    #[serde(default)]
    #[schema(max_items = 6)]
    kinds: Vec<String>,
    /// Whether the digest is wanted too.
    #[serde(default)]
    digest: bool,
}

/// What somebody who is told wants from here on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DestinationChange {
    /// Kinds of alerts; empty = all.
    #[serde(default)]
    #[schema(max_items = 6)]
    kinds: Vec<String>,
    /// Whether the digest is wanted too.
    #[serde(default)]
    digest: bool,
    /// Whether anything is sent at all.
    enabled: bool,
}

/// Somebody who is told.
#[derive(Debug, Serialize, ToSchema)]
pub struct DestinationView {
    /// Id.
    pub id: String,
    /// How.
    pub way: WayWord,
    /// Web or mail address.
    pub target: String,
    /// Kinds of alerts; empty = all.
    pub kinds: Vec<String>,
    /// Whether the digest is wanted too.
    pub digest: bool,
    /// Whether anything is sent at all.
    pub enabled: bool,
    /// Who made it.
    pub author: String,
    /// Since when.
    #[schema(format = DateTime)]
    pub created: String,
    /// Since when it cannot be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub failing_since: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Somebody who is told, with the signing secret. It is shown only now.
#[derive(Debug, Serialize, ToSchema)]
pub struct DestinationMade {
    /// The destination.
    #[serde(flatten)]
    pub view: DestinationView,
    /// `whsec_…`, to be entered at the receiver; absent for mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A message that was put into the queue.
#[derive(Debug, Serialize, ToSchema)]
pub struct Queued {
    /// Its id.
    pub id: String,
}

/// A message to somebody who is told.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageView {
    /// Id, the header `webhook-id`.
    pub id: String,
    /// `alert.opened`, `alert.repeated`, `alert.resolved`, `alert.trial`, `digest`.
    pub event: String,
    /// When it was written.
    #[schema(format = DateTime)]
    pub created: String,
    /// `waiting`, `delivered` or `given-up`.
    pub state: String,
    /// Attempts so far.
    pub attempts: i64,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub next_attempt: Option<String>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

fn alert_view(alert: alerts::Alert) -> AlertView {
    AlertView {
        id: alert.id,
        agent: alert.agent,
        agent_name: alert.agent_name,
        kind: alert.kind,
        concerns: alert.concerns,
        title: alert.title,
        open: alert.open,
        opened: shown(alert.opened_at),
        repeats: alert.repeats,
        resolved: alert.resolved_at.map(shown),
    }
}

fn view(destination: Destination) -> DestinationView {
    DestinationView {
        id: destination.id,
        way: match destination.way {
            Way::Webhook => WayWord::Webhook,
            Way::Mail => WayWord::Mail,
        },
        target: destination.target,
        kinds: destination.kinds.iter().map(|kind| kind.word().to_owned()).collect(),
        digest: destination.digest,
        enabled: destination.enabled,
        author: destination.created_by,
        created: shown(destination.created_at),
        failing_since: destination.failing_since.map(shown),
        last_error: destination.last_error,
    }
}

/// The view with its secret.
fn with_secret(notify: &Notify, destination: Destination) -> Result<DestinationMade, StoreError> {
    let secret = match destination.way {
        Way::Webhook => {
            let secret = notify.secret(&destination).map_err(|why| StoreError::Conflict(why.to_string()))?;
            Some(secret.expose_secret().to_owned())
        }
        Way::Mail => None,
    };
    Ok(DestinationMade { view: view(destination), secret })
}

fn kinds(words: &[String]) -> Result<Vec<Kind>, Refusal> {
    let known = || Kind::ALL.map(Kind::word).join(", ");
    let read =
        |word: &String| Kind::of(word).ok_or_else(|| Refusal::unfit(format!("the kinds are {}", known())));
    words.iter().map(read).collect()
}

/// Alerts, the newest first.
#[utoipa::path(tag = "alerts", params(AlertQuery), extensions(("x-permission" = json!("alerts-read"))),
    responses((status = 200, body = Page<AlertView>), (status = 403, body = Refusal)))]
#[get("/alerts")]
async fn list_alerts(admin: Data<Admin>, asked: Asked<need::AlertsRead>, query: Query<AlertQuery>) -> Answer {
    let AlertQuery { open, after, limit } = query.into_inner();
    let page = PageQuery { after, limit };
    let most = page.to_read()?;
    let mut reader = admin.store.read().await?;
    let found = alerts::list(&mut reader, &asked.tenant, open, page.after(), most).await?;
    let page = page.page(found, |alert| alert.id.clone());
    ok(&Page { items: page.items.into_iter().map(alert_view).collect(), next: page.next })
}

/// From when on something is an alert.
#[utoipa::path(tag = "alerts", extensions(("x-permission" = json!("alerts-read"))),
    responses((status = 200, body = AlertSettings), (status = 403, body = Refusal)))]
#[get("/alerts/settings")]
async fn show_settings(admin: Data<Admin>, asked: Asked<need::AlertsRead>) -> Answer {
    let wishes = alerts::wishes(&mut *admin.store.read().await?, &asked.tenant).await?;
    let Thresholds { offline_minutes, credential_days, holds } = wishes.thresholds;
    let Wishes { repeat_hours, digest_hour, .. } = wishes;
    ok(&AlertSettings { offline_minutes, credential_days, holds, repeat_hours, digest_hour })
}

/// Change from when on something is an alert.
#[utoipa::path(tag = "alerts", request_body = AlertSettings, extensions(("x-permission" = json!("alerts-write"))),
    responses((status = 204), (status = 403, body = Refusal), (status = 409, body = Refusal)))]
#[put("/alerts/settings")]
async fn change_settings(
    admin: Data<Admin>,
    asked: Asked<need::AlertsWrite>,
    body: Body<AlertSettings>,
) -> Answer {
    let AlertSettings { offline_minutes, credential_days, holds, repeat_hours, digest_hour } = body.value;
    let thresholds = Thresholds { offline_minutes, credential_days, holds };
    let wishes = Wishes { thresholds, repeat_hours, digest_hour, digest_day: 0 };
    let (tenant, by, now) = (asked.tenant.clone(), asked.principal.shown.clone(), admin.now());
    let changed = admin.change(&asked.0, "alerts.settings", &asked.tenant, move |tx| {
        Box::pin(async move {
            alerts::wish(tx, &tenant, &wishes, &by, now).await?;
            Ok(format!("{offline_minutes} min, {credential_days} days, {holds} held, every {repeat_hours} h"))
        })
    });
    changed.await
}

/// Who is told.
#[utoipa::path(tag = "alerts", extensions(("x-permission" = json!("alerts-read"))),
    responses((status = 200, body = Vec<DestinationView>), (status = 403, body = Refusal)))]
#[get("/alerts/destinations")]
async fn list_destinations(admin: Data<Admin>, asked: Asked<need::AlertsRead>) -> Answer {
    let all = alerts::destinations(&mut *admin.store.read().await?, &asked.tenant).await?;
    ok(&all.into_iter().map(view).collect::<Vec<_>>())
}

/// Have somebody told. The answer shows the signing secret of a webhook, once.
#[utoipa::path(tag = "alerts", request_body = DestinationAsked, extensions(("x-permission" = json!("alerts-write"))),
    responses((status = 201, body = DestinationMade), (status = 409, body = Refusal), (status = 422, body = Refusal)))]
#[post("/alerts/destinations")]
async fn create_destination(
    admin: Data<Admin>,
    asked: Asked<need::AlertsWrite>,
    body: Body<DestinationAsked>,
) -> Answer {
    let DestinationAsked { way, target, kinds: words, digest } = body.value;
    let (way, kinds) = (Way::from(way), kinds(&words)?);
    let target = admin.notify.checked(way, &target).map_err(|why| Refusal::unfit(why.to_string()))?;
    let new = NewDestination { way, target, kinds, digest, by: asked.principal.shown.clone() };
    let (tenant, notify, now) = (asked.tenant.clone(), admin.notify.clone(), admin.now());
    let made = admin.create(&asked.0, body.once, "alerts.destination.create", move |tx| {
        Box::pin(async move {
            let destination = alerts::add_destination(tx, &tenant, &new, now).await?;
            let target = destination.id.clone();
            Ok(Made { body: with_secret(&notify, destination)?, target, detail: new.way.word().to_owned() })
        })
    });
    made.await
}

/// Change what somebody who is told wants.
#[utoipa::path(tag = "alerts", request_body = DestinationChange,
    params(("id" = String, Path, description = "Id of the destination")),
    extensions(("x-permission" = json!("alerts-write"))),
    responses((status = 204), (status = 404, body = Refusal), (status = 422, body = Refusal)))]
#[put("/alerts/destinations/{id}")]
async fn change_destination(
    admin: Data<Admin>,
    asked: Asked<need::AlertsWrite>,
    id: Path<Id>,
    body: Body<DestinationChange>,
) -> Answer {
    let DestinationChange { kinds: words, digest, enabled } = body.value;
    let (kinds, tenant, own) = (kinds(&words)?, asked.tenant.clone(), id.0.clone());
    let changed = admin.change(&asked.0, "alerts.destination.change", &id.0, move |tx| {
        Box::pin(async move {
            alerts::change_destination(tx, &tenant, &own, &kinds, digest, enabled).await?;
            Ok(if enabled { "on" } else { "off" }.to_owned())
        })
    });
    changed.await
}

/// Have somebody told no more.
#[utoipa::path(tag = "alerts", params(("id" = String, Path, description = "Id of the destination")),
    extensions(("x-permission" = json!("alerts-write"))),
    responses((status = 204), (status = 404, body = Refusal)))]
#[delete("/alerts/destinations/{id}")]
async fn remove_destination(admin: Data<Admin>, asked: Asked<need::AlertsWrite>, id: Path<Id>) -> Answer {
    let (tenant, own) = (asked.tenant.clone(), id.0.clone());
    let removed = admin.change(&asked.0, "alerts.destination.remove", &id.0, move |tx| {
        Box::pin(async move { alerts::remove_destination(tx, &tenant, &own).await.map(|()| String::new()) })
    });
    removed.await
}

/// Replace the signing secret of a webhook. The answer shows the new one, once; the old one signs beside it for a day.
#[utoipa::path(tag = "alerts", params(("id" = String, Path, description = "Id of the destination")),
    extensions(("x-permission" = json!("alerts-write"))),
    responses((status = 201, body = DestinationMade), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
#[post("/alerts/destinations/{id}/secret")]
async fn rotate_secret(
    admin: Data<Admin>,
    asked: Asked<need::AlertsWrite>,
    id: Path<Id>,
    once: Once,
) -> Answer {
    let (tenant, own, notify, now) = (asked.tenant.clone(), id.0.clone(), admin.notify.clone(), admin.now());
    let rotated = admin.create(&asked.0, once, "alerts.destination.secret", move |tx| {
        Box::pin(async move {
            let destination = alerts::rotate(tx, &tenant, &own, now).await?;
            if destination.way == Way::Mail {
                return Err(StoreError::Conflict("a mail has no signing secret".to_owned()));
            }
            let detail = format!("version {}", destination.secret_version);
            Ok(Made { target: destination.id.clone(), body: with_secret(&notify, destination)?, detail })
        })
    });
    rotated.await
}

/// Send a trial to somebody who is told.
#[utoipa::path(tag = "alerts", params(("id" = String, Path, description = "Id of the destination")),
    extensions(("x-permission" = json!("alerts-write"))),
    responses((status = 201, body = Queued), (status = 404, body = Refusal)))]
#[post("/alerts/destinations/{id}/trial")]
async fn try_destination(
    admin: Data<Admin>,
    asked: Asked<need::AlertsWrite>,
    id: Path<Id>,
    once: Once,
) -> Answer {
    let (tenant, own, now) = (asked.tenant.clone(), id.0.clone(), admin.now());
    let queued = admin.create(&asked.0, once, "alerts.destination.trial", move |tx| {
        Box::pin(async move {
            let destination = alerts::destination(tx.connection(), &tenant, &own).await?;
            let id = alert_messages::enqueue(tx, &destination, &trial(&tenant, now), now).await?;
            Ok(Made { body: Queued { id }, target: own, detail: String::new() })
        })
    });
    queued.await
}

/// What was sent to somebody who is told, the newest first.
#[utoipa::path(tag = "alerts", params(("id" = String, Path, description = "Id of the destination")),
    extensions(("x-permission" = json!("alerts-read"))),
    responses((status = 200, body = Vec<MessageView>), (status = 404, body = Refusal)))]
#[get("/alerts/destinations/{id}/messages")]
async fn list_messages(admin: Data<Admin>, asked: Asked<need::AlertsRead>, id: Path<Id>) -> Answer {
    let mut reader = admin.store.read().await?;
    let destination = alerts::destination(&mut reader, &asked.tenant, &id.0).await?;
    let sent = alert_messages::sent(&mut reader, &asked.tenant, &destination.id, MESSAGES).await?;
    let view = |sent: alert_messages::Sent| MessageView {
        id: sent.id,
        event: sent.event,
        created: shown(sent.created_at),
        state: sent.state,
        attempts: sent.attempts,
        next_attempt: sent.next_at.map(shown),
        last_error: sent.last_error,
    };
    ok(&sent.into_iter().map(view).collect::<Vec<_>>())
}
