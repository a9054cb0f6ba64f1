//! Checks of one flow, and of the flows beside each other.

use super::{Check, ValidFlow, mapping, shorten};
use crate::config::{Config, ConnectionConfig, FlowConfig, FlowPolicy, GuardRails};
use crate::schedule::{Schedule, ScheduleError, parse_zone};
use crate::suggest::nearest;
use spend::ids::{CompanyId, ConnectionId};
use spend::mapping::DocumentKind;

pub(super) fn valid(check: &mut Check, path: &str, raw: &FlowConfig, config: &Config) -> Option<ValidFlow> {
    check.name(format!("{path}.id"), raw.id.as_str());
    connection(check, format!("{path}.source"), &raw.source, &config.connections);
    connection(check, format!("{path}.target"), &raw.target, &config.connections);
    if raw.source == raw.target {
        check.refuse(
            format!("{path}.target"),
            "source and target are the same connection",
            "name the ERP's connection as the target",
        );
    }
    company(check, format!("{path}.company"), &raw.company);
    within_guard_rails(check, path, raw, &config.guard_rails);
    let prefix = prefix(check, format!("{path}.prefix"), &raw.prefix);
    let when = when(check, path, raw.schedule.as_deref(), &raw.timezone);
    let start = check.date(format!("{path}.start"), &raw.start);
    policy(check, &format!("{path}.policy"), &raw.policy, raw.document);
    waits_for(check, &format!("{path}.policy.wait_for"), raw, config);
    mapping::check(check, &format!("{path}.mapping"), &raw.mapping, raw.document);
    let (schedule, zone) = when?;
    Some(ValidFlow {
        id: raw.id.clone(),
        source: raw.source.clone(),
        target: raw.target.clone(),
        company: raw.company.clone(),
        document: raw.document,
        prefix: prefix?,
        stage: raw.stage,
        schedule,
        zone,
        start: start?,
        policy: raw.policy.clone(),
        mapping: raw.mapping.clone(),
    })
}

/// Names are unique, and documents of two flows in one ERP can be told apart by their prefix.
pub(super) fn apart(check: &mut Check, flows: &[FlowConfig]) {
    for (index, flow) in flows.iter().enumerate() {
        for (other_index, other) in flows[..index].iter().enumerate() {
            if other.id == flow.id {
                check.refuse_because(
                    format!("flow[{index}].id"),
                    format!("`{}` is already the name of flow[{other_index}]", shorten(flow.id.as_str())),
                    "posting keys are made from the name",
                    "give the newer flow another name",
                );
            }
            if other.source == flow.source {
                check.refuse_because(
                    format!("flow[{index}].source"),
                    format!("flow[{other_index}] reads from connection `{}` too", shorten(flow.source.as_str())),
                    "a record that one flow marks as exported is hidden from the other, which would never book it",
                    "add a second connection to the same account with an export label of its own",
                );
            }
            let (ours, theirs) = (flow.prefix.to_ascii_uppercase(), other.prefix.to_ascii_uppercase());
            if other.target == flow.target && (ours.starts_with(&theirs) || theirs.starts_with(&ours)) {
                check.refuse_because(
                    format!("flow[{index}].prefix"),
                    format!(
                        "`{}` and the `{}` of flow[{other_index}] begin alike",
                        shorten(&ours),
                        shorten(&theirs)
                    ),
                    "the proof could not tell their documents in the ERP apart",
                    "give the newer flow a prefix that begins differently",
                );
            }
        }
    }
}

/// A company is a segment of the ERP's paths.
pub(super) fn company(check: &mut Check, path: String, company: &CompanyId) {
    let text = company.as_str();
    let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | '\\' | '?' | '#' | '%');
    if text.is_empty() || text.len() > 40 || text.chars().any(odd) || text == "." || text == ".." {
        check.refuse(
            path,
            format!("`{}` cannot be a company", shorten(text)),
            "write the company's id as the ERP shows it, without spaces and slashes",
        );
    }
}

pub(super) fn connection(
    check: &mut Check,
    path: String,
    id: &ConnectionId,
    connections: &[ConnectionConfig],
) {
    if connections.iter().any(|connection| connection.id == *id) {
        return;
    }
    let names: Vec<&str> = connections.iter().map(|connection| connection.id.as_str()).collect();
    let fix = match nearest(id.as_str(), names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "add a `[[connection]]`".to_owned(),
        None => format!("known connections: {}", names.join(", ")),
    };
    check.refuse(path, format!("there is no connection `{}`", shorten(id.as_str())), fix);
}

/// Reference flows that posting waits for exist, and bring their data to where this flow reads or writes.
fn waits_for(check: &mut Check, path: &str, raw: &FlowConfig, config: &Config) {
    for (index, id) in raw.policy.wait_for.iter().enumerate() {
        let Some(reference) = config.references.iter().find(|reference| reference.id == *id) else {
            let names: Vec<&str> = config.references.iter().map(|reference| reference.id.as_str()).collect();
            let fix = match nearest(id.as_str(), names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name a `[[reference]]` of this file".to_owned(),
            };
            check.refuse(
                format!("{path}[{index}]"),
                format!("there is no reference flow `{}`", shorten(id.as_str())),
                fix,
            );
            continue;
        };
        if reference.to != raw.source {
            check.refuse(
                format!("{path}[{index}]"),
                format!(
                    "reference flow `{}` writes to another connection than this flow reads from",
                    shorten(id.as_str())
                ),
                "name reference flows into this flow's source",
            );
        }
    }
}

fn within_guard_rails(check: &mut Check, path: &str, raw: &FlowConfig, rails: &GuardRails) {
    const WHY: &str = "guard rails stand above flows";
    if !rails.companies.is_empty() && !rails.companies.contains(&raw.company) {
        check.refuse_because(
            format!("{path}.company"),
            format!("`{}` is not among guard_rails.companies", shorten(raw.company.as_str())),
            WHY,
            "name another company, or add it to guard_rails.companies on the machine",
        );
    }
    if !rails.document_kinds.is_empty() && !rails.document_kinds.contains(&raw.document) {
        check.refuse_because(
            format!("{path}.document"),
            "this kind is not among guard_rails.document_kinds",
            WHY,
            "choose another kind, or add it to guard_rails.document_kinds on the machine",
        );
    }
}

fn prefix(check: &mut Check, path: String, text: &str) -> Option<String> {
    let fits = (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if !fits {
        check.refuse(
            path,
            format!("`{}` cannot be a prefix", shorten(text)),
            "write 1 to 6 letters or digits, such as `EXP`",
        );
    }
    fits.then(|| text.to_ascii_uppercase())
}

/// A schedule and its time zone.
pub(super) fn when(
    check: &mut Check,
    path: &str,
    schedule: Option<&str>,
    timezone: &str,
) -> Option<(Option<Schedule>, chrono_tz::Tz)> {
    let zone = parse_zone(timezone);
    if let Err(error) = &zone {
        refuse_schedule(check, format!("{path}.timezone"), error);
    }
    let Some(text) = schedule else { return zone.ok().map(|zone| (None, zone)) };
    // The expression is checked also where the zone is not known, so that both faults are listed.
    match Schedule::parse(text, zone.as_ref().map_or("UTC", |zone| zone.name())) {
        Ok(schedule) => zone.ok().map(|zone| (Some(schedule), zone)),
        Err(error) => {
            refuse_schedule(check, format!("{path}.schedule"), &error);
            None
        }
    }
}

fn refuse_schedule(check: &mut Check, path: String, error: &ScheduleError) {
    let fix = match error {
        ScheduleError::Zone { .. } => "write the name of an IANA time zone",
        ScheduleError::FieldCount { .. }
        | ScheduleError::Word(_)
        | ScheduleError::Field { .. }
        | ScheduleError::Never(_) => "write five cron fields such as `0 6 * * 1-5`, or leave the field out",
    };
    check.refuse(path, error.to_string(), fix);
}

fn policy(check: &mut Check, path: &str, policy: &FlowPolicy, document: DocumentKind) {
    let at = |field: &str| format!("{path}.{field}");
    check.range(at("overlap_days"), policy.overlap_days.into(), 0, 366);
    check.range(at("page_size"), policy.page_size, 1, 1000);
    check.range(at("batch_size"), policy.batch_size.into(), 1, 500);
    check.range(at("settle_window"), policy.settle_window, 0, 3600);
    check.range(at("settle_interval"), policy.settle_interval, 0, 3600);
    check.range(at("max_attempts"), policy.max_attempts.into(), 1, 1000);
    check.range(at("backoff_base"), policy.backoff_base, 1, 3600);
    check.range(at("backoff_max"), policy.backoff_max, 1, 86_400);
    check.range(at("reference_max_age"), policy.reference_max_age, 0, 86_400);
    check.range(at("change_check"), policy.change_check, 0, 604_800);
    check.range(at("reread_after"), policy.reread_after, 0, 86_400);
    check.range(at("wait_max_age"), policy.wait_max_age, 60, 31_536_000);
    if policy.backoff_max < policy.backoff_base {
        check.refuse(
            at("backoff_max"),
            "the longest delay is shorter than the first",
            format!("write at least {}", policy.backoff_base),
        );
    }
    if policy.settle_window == 0 && document == DocumentKind::Journal {
        check.refuse_because(
            at("settle_window"),
            "0 is refused for journals",
            "no ERP refuses a second journal under the same text, so a late commit would be booked twice",
            "write the longest time the ERP may still commit after a lost connection, such as 120",
        );
    }
}
