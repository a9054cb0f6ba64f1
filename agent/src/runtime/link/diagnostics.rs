//! What a person far away needs to find a fault: versions, states, counts, and what is wrong with this machine. No secret
//! and nothing that a record contains.

use super::commands::done;
use super::exchange::Exchange;
use super::reports::{status_report, with_detail};
use super::words;
use crate::config::guard_rails::{self, Visibility};
use crate::config::revisions;
use crate::service::private_files;
use crate::store::{Options, key};
use purser_proto::link::command::CommandResult;
use serde_json::{Value, json};

impl Exchange {
    pub(super) async fn diagnostics(&self, visibility: Visibility) -> CommandResult {
        let store = &self.parts.store;
        let said = self.parts.desk.status().await;
        let status = said.map(|said| status_report(&said, store, visibility).map_err(|error| words(&error)));
        let stats = store.stats();
        let kept = revisions::in_force(store).ok().flatten();
        let bundle = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "platform": super::enroll::platform(),
            "at": self.parts.clock.now(),
            "instance": self.instance,
            "configuration": revisions::told(kept.as_ref()),
            "status": status,
            "store": { "commits": stats.commits, "used": stats.used, "free_disk": stats.free_disk,
                       "notes_waiting": stats.notes_waiting, "poisoned": stats.poisoned.is_some() },
            "audit": store.audit().head().ok(),
            "outbox": store.outbox_stats().ok().flatten(),
            "link": { "origin": self.enrollment.url, "skew_seconds": self.wire.skew() },
            "findings": self.findings(),
        });
        with_detail(done("gathered".to_owned()), &bundle)
    }

    /// What `doctor` would say of this machine without asking anybody.
    fn findings(&self) -> Vec<Value> {
        let mut findings = Vec::new();
        let home = &self.parts.home;
        let private =
            [home.clone(), key::identity_path(home), key::data_key_path(home), guard_rails::path(home)];
        for path in private {
            if let Ok(Some(exposed)) = private_files::exposed(&path) {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                findings.push(json!({ "check": "file rights", "what": format!("{name} can be read by {}", exposed.who) }));
            }
        }
        let floor = Options::default().free_floor;
        if let Some(free) = self.parts.store.stats().free_disk.filter(|free| *free < 2 * floor) {
            findings.push(json!({ "check": "disk", "what": format!("{} MiB free", free >> 20) }));
        }
        if let Err(error) = self.rails() {
            findings.push(json!({ "check": "guard rails", "what": error.to_string() }));
        }
        if let Some(skew) = self.wire.skew().filter(|skew| skew.abs() > super::status::SKEW_SHOWN) {
            findings
                .push(json!({ "check": "clock", "what": format!("{skew} s ahead of the control plane") }));
        }
        findings
    }
}
