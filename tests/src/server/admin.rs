//! The admin interface below `/_sandbox/`, on the simulator's own port: what people and child processes use where
//! tests in the same process use [`super::Running`].

use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::serve::{Shared, locked};
use super::{Reply, Request};
use crate::faults::FaultRule;

pub(crate) fn answer(request: &Request, shared: &Shared) -> Reply {
    match route(request, shared) {
        Ok(value) => Reply::json(200, &value),
        Err((status, message)) => Reply::json(status, &json!({ "error": message })),
    }
}

type Routed = Result<Value, (u16, String)>;

fn route(request: &Request, shared: &Shared) -> Routed {
    let path = request.path.trim_start_matches("/_sandbox").trim_matches('/');
    match (request.method.as_str(), path) {
        ("GET", "" | "health") => Ok(health(shared)),
        ("GET", "state") => Ok(shared.sim().state()),
        ("GET", "misuse") => Ok(json!(shared.sim().misuse())),
        ("GET", "journal") => Ok(journal(request, shared)),
        ("GET", "faults") => Ok(faults(shared)),
        ("POST", "faults") => add_faults(request, shared),
        ("DELETE", "faults") => {
            shared.clear_faults();
            Ok(json!({ "rules": 0 }))
        }
        ("POST", "clock") => move_clock(request, shared),
        ("POST", "reset") => shared.reset().map_err(|message| (400, message)),
        ("POST", control) if control.starts_with("control/") => {
            let body = body_of(request)?;
            shared.control(&control["control/".len()..], &body).map_err(|message| (400, message))
        }
        _ => Err((
            404,
            "there are: GET health, state, misuse, journal, faults; POST faults, clock, control/{verb}, reset; \
             DELETE faults"
                .to_owned(),
        )),
    }
}

fn health(shared: &Shared) -> Value {
    json!({
        "ok": true,
        "simulator": shared.name,
        "now": shared.clock.now().to_rfc3339(),
        "pending_commits": shared.pending.load(Ordering::SeqCst),
    })
}

fn journal(request: &Request, shared: &Shared) -> Value {
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(request.query.as_bytes()).into_owned().collect();
    let of = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let limit = of("limit").and_then(|limit| limit.parse().ok()).unwrap_or(200);
    locked(&shared.journal).to_value(limit, of("path_contains").unwrap_or_default())
}

fn faults(shared: &Shared) -> Value {
    let rules = locked(&shared.faults).rules();
    json!(rules.iter().map(|(rule, applied)| json!({ "rule": rule, "applied": applied })).collect::<Vec<_>>())
}

fn add_faults(request: &Request, shared: &Shared) -> Routed {
    let body = body_of(request)?;
    let list = match body {
        Value::Array(list) => list,
        one => vec![one],
    };
    let rules = list
        .into_iter()
        .map(serde_json::from_value::<FaultRule>)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| (400, format!("not a fault rule: {error}")))?;
    let mut book = locked(&shared.faults);
    rules.into_iter().for_each(|rule| book.add(rule));
    Ok(json!({ "rules": book.rules().len() }))
}

fn move_clock(request: &Request, shared: &Shared) -> Routed {
    let body = body_of(request)?;
    let seconds = |name: &str| body.get(name).and_then(Value::as_i64).and_then(TimeDelta::try_seconds);
    match (seconds("advance_seconds"), seconds("skew_seconds")) {
        (None, None) => Err((400, "give advance_seconds or skew_seconds as an integer".to_owned())),
        (advance, skew) => {
            advance.into_iter().for_each(|by| shared.clock.advance(by));
            skew.into_iter().for_each(|by| shared.clock.skew(by));
            Ok(health(shared))
        }
    }
}

fn body_of(request: &Request) -> Result<Value, (u16, String)> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&request.body).map_err(|error| (400, format!("body is not JSON: {error}")))
}
