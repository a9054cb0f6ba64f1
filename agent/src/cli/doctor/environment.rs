//! This machine: home folder, configuration, store, secrets, disk, schedules.

use super::check;
use crate::cli::context::Context;
use crate::cli::output;
use crate::config::{ConfigError, guard_rails, routes};
use crate::runtime::supervisor::RunState;
use crate::service::private_files;
use crate::store::{Store, key};
use crate::vendors::{ProbeResult, Verdict};
use purser_proto::schedule::Schedule;
use purser_proto::validate::ValidConfig;
use spend::ids::FlowId;
use std::path::Path;

/// Below this much free space a warning is given; the store itself stops at [`crate::store::Options::free_floor`].
const COMFORT: u64 = 1 << 30;
/// Runs of each schedule that are shown.
const UPCOMING: usize = 3;

/// Every check, and the configuration when it is valid.
pub(super) fn examine(context: &Context) -> (Vec<ProbeResult>, Option<ValidConfig>) {
    let mut checks = Vec::new();
    home(context, &mut checks);
    let config = configuration(context, &mut checks);
    let store = store(context, &mut checks);
    if let Some(store) = &store {
        checks.push(disk(store));
        if let Some(config) = &config {
            checks.extend(unattended(config, store));
        }
    }
    checks.push(agent(context));
    for flow in config.iter().flat_map(|config| &config.flows) {
        checks.push(schedule(context, &flow.id, flow.schedule.as_ref()));
    }
    for flow in config.iter().flat_map(|config| &config.references) {
        checks.push(schedule(context, &flow.id, flow.schedule.as_ref()));
    }
    (checks, config)
}

fn home(context: &Context, checks: &mut Vec<ProbeResult>) {
    let home = context.home();
    if let Err(error) = std::fs::read_dir(home) {
        let fix = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "name the agent's folder with --home or PURSER_HOME; a new one is made by the first `purser secrets set`"
            }
            _ => "run doctor as the account that the agent runs under",
        };
        checks.push(check("home", Verdict::Fail, format!("cannot be read: {error}"), fix));
        return;
    }
    rights(home, "the home folder", "", checks);
    if guard_rails::path(home).exists() {
        rights(&guard_rails::path(home), guard_rails::FILE, "", checks);
    }
    for path in [key::identity_path(home), key::data_key_path(home)] {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        rights(&path, &name, "; if others had access, make new keys and change the passwords", checks);
    }
}

/// Whether somebody else can read it; `beyond` is what taking the rights away does not mend.
fn rights(path: &Path, name: &str, beyond: &str, checks: &mut Vec<ProbeResult>) {
    match private_files::exposed(path) {
        Ok(None) => {
            checks.push(check("file rights", Verdict::Pass, format!("{name} is for the agent only"), ""))
        }
        Ok(Some(exposed)) => checks.push(check(
            "file rights",
            Verdict::Fail,
            format!("{name} can be read by {}", exposed.who),
            format!("run `{}`{beyond}", exposed.mend),
        )),
        // What is missing is told by the check of the store.
        Err(_) => {}
    }
}

fn configuration(context: &Context, checks: &mut Vec<ProbeResult>) -> Option<ValidConfig> {
    let file = context.config_file().display();
    match context.effective() {
        Ok(effective) => {
            let config = effective.valid;
            let file = effective
                .revision
                .map_or_else(|| file.to_string(), |kept| kept.place().display().to_string());
            let seen = format!(
                "{file} is valid: {} connection(s), {} flow(s)",
                config.connections.len(),
                config.flow_ids().count()
            );
            checks.push(check("configuration", Verdict::Pass, seen, ""));
            Some(config)
        }
        Err(error) => {
            checks.extend(refused(context.config_file(), &error));
            None
        }
    }
}

/// Why a configuration cannot be used. Guard rails are a file of their own, which is named where it is the one.
fn refused(file: &Path, error: &anyhow::Error) -> Vec<ProbeResult> {
    let failed = |seen: String, fix: String| check("configuration", Verdict::Fail, seen, fix);
    match error.downcast_ref::<ConfigError>() {
        Some(ConfigError::Refused { path, findings }) => {
            let place = if path == file { String::new() } else { format!("{}: ", path.display()) };
            let told = findings.iter().map(|finding| {
                let mut shown = finding.clone();
                let fix = std::mem::take(&mut shown.fix);
                failed(format!("{place}{}", shown.to_string().trim_end_matches("; ")), fix)
            });
            told.collect()
        }
        Some(ConfigError::Unreadable { path, .. }) if path != file => {
            let seen = format!("{} cannot be read: {}", path.display(), error.root_cause());
            vec![failed(seen, "let the agent read it; limits that cannot be read are not none".to_owned())]
        }
        Some(ConfigError::Unreadable { .. }) | None => {
            let file = file.display();
            let fix = format!("write a first one with `purser config example --file {file}`");
            vec![failed(format!("{file} cannot be read: {}", error.root_cause()), fix)]
        }
    }
}

fn store(context: &Context, checks: &mut Vec<ProbeResult>) -> Option<Store> {
    if !crate::store::dir_of(context.home()).is_dir() {
        let fix = "store the first secret with `purser secrets set`, or start the agent";
        checks.push(check(
            "store",
            Verdict::Warn,
            "there is none yet: nothing was ever stored or posted",
            fix,
        ));
        return None;
    }
    match context.look() {
        Ok(store) => {
            let seen = match store.counts() {
                Ok(counts) => format!("opens; {} posting(s)", counts.values().sum::<u64>()),
                Err(error) => {
                    checks.push(check("store", Verdict::Fail, error.to_string(), "do what is said there"));
                    return None;
                }
            };
            checks.push(check("store", Verdict::Pass, seen, ""));
            Some(store)
        }
        Err(error) => {
            let fix = "do what is said there; never delete the folder, it is the proof of what was posted";
            checks.push(check("store", Verdict::Fail, error.to_string(), fix));
            None
        }
    }
}

/// Postings under way of flows that the configuration does not name.
fn unattended(config: &ValidConfig, store: &Store) -> Vec<ProbeResult> {
    let under_way = match store.under_way() {
        Ok(under_way) => under_way,
        Err(error) => return vec![check("flows", Verdict::Fail, error.to_string(), "do what is said there")],
    };
    let left = routes::unattended(config, under_way);
    left.map(|(flow, count)| {
        let seen = format!(
            "{count} posting(s) are under way, and the configuration has no flow of that name: nobody settles, books or \
             marks them"
        );
        check(format!("flow {flow}"), Verdict::Warn, seen, routes::ATTEND)
    })
    .collect()
}

fn disk(store: &Store) -> ProbeResult {
    let floor = crate::store::Options::default().free_floor;
    match store.stats().free_disk {
        Some(free) if free < floor => check(
            "disk",
            Verdict::Fail,
            format!("{} MiB free, nothing is written below {} MiB", free >> 20, floor >> 20),
            "free some space on the disk of the home folder; work then goes on by itself",
        ),
        Some(free) if free < COMFORT => check(
            "disk",
            Verdict::Warn,
            format!("{} MiB free", free >> 20),
            format!("free some space before it falls below {} MiB, where the agent stops", floor >> 20),
        ),
        Some(free) => check("disk", Verdict::Pass, format!("{} GiB free", free >> 30), ""),
        None => check("disk", Verdict::Warn, "the free space is not known", "look at it by hand"),
    }
}

fn agent(context: &Context) -> ProbeResult {
    let Some(status) = context.running() else {
        return check(
            "agent",
            Verdict::Pass,
            "not running; the checks below are made by this command itself",
            "",
        );
    };
    let flows = status.flows.values().map(|flow| &flow.actor);
    let failed: Vec<String> = status
        .connections
        .values()
        .chain(flows)
        .filter(|actor| actor.state == RunState::Failed)
        .map(|actor| format!("{} ({})", actor.name, actor.last_error.as_deref().unwrap_or("no cause known")))
        .collect();
    if failed.is_empty() && context.revision().is_none() && context.config_is_newer(&status) {
        let seen = format!(
            "version {} is running with the configuration of {}; the file was changed since",
            status.version,
            output::moment(status.started)
        );
        return check("agent", Verdict::Warn, seen, "restart the service to take the change up");
    }
    if failed.is_empty() {
        let seen = format!("version {} is running as process {}", status.version, status.pid);
        return check("agent", Verdict::Pass, seen, "");
    }
    check(
        "agent",
        Verdict::Fail,
        format!("these parts failed too often and were given up: {}", failed.join(", ")),
        "mend the cause, then restart the service",
    )
}

fn schedule(context: &Context, flow: &FlowId, schedule: Option<&Schedule>) -> ProbeResult {
    let name = format!("schedule of {flow}");
    let Some(schedule) = schedule else {
        return check(name, Verdict::Pass, "none: it runs by hand only (`purser flows run`)", "");
    };
    let next: Vec<String> =
        schedule.upcoming(context.clock.now(), UPCOMING).into_iter().map(output::moment).collect();
    let seen = format!("`{}` in {}, next {}", schedule.text(), schedule.zone(), next.join(", "));
    check(name, Verdict::Pass, seen, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{open, sample};
    use crate::store::Batch;
    use spend::posting::{Posting, PostingState};

    #[test]
    fn guard_rails_that_are_refused_are_named_as_the_file_to_mend() {
        let home = tempfile::tempdir().unwrap();
        let rails = home.path().join("guard-rails.toml");
        let own = home.path().join("purser.toml");
        let told = || {
            let error = crate::config::guard_rails::LocalRails::load(home.path()).unwrap_err();
            refused(&own, &error.into()).remove(0)
        };
        std::fs::write(&rails, "version = 1\nrename_flows = \"yes\"\n").unwrap();
        assert!(
            told().detail.starts_with(&format!("{}: configuration (line 2", rails.display())),
            "{:?}",
            told()
        );
        std::fs::remove_file(&rails).unwrap();
        std::fs::create_dir(&rails).unwrap();
        assert!(told().detail.starts_with(&format!("{} cannot be read", rails.display())), "{:?}", told());
        assert!(!told().fix.contains("config example"), "{:?}", told());
    }

    #[test]
    fn a_flow_that_is_gone_is_named_while_it_has_postings_under_way() {
        let home = tempfile::tempdir().unwrap();
        let store = open(home.path());
        let config = crate::config::check("version = 1\n").unwrap().1;
        assert!(unattended(&config, &store).is_empty());
        let state = PostingState::Claimed { at: spend::Timestamp::UNIX_EPOCH };
        let mut batch = Batch::new();
        batch.put_posting(Posting { state, ..sample("R1") });
        store.commit_blocking(batch).unwrap();
        let told = unattended(&config, &store);
        assert_eq!(
            (told.len(), told[0].check.as_str(), told[0].verdict),
            (1, "flow expenses", Verdict::Warn)
        );
        assert!(told[0].detail.contains("1 posting(s)") && told[0].fix.contains("name the flow again"));
    }
}
