//! What a person far away needs to find a fault: versions, states, counts, and what is wrong with this machine. No secret
//! and nothing that a record contains.

use super::commands::done;
use super::exchange::Exchange;
use super::reports::{status_report, with_detail};
use super::words;
use crate::config::guard_rails;
use crate::config::revisions;
use crate::runtime::visible::Sight;
use crate::service::private_files;
use crate::store::{Options, key};
use purser_proto::link::command::CommandResult;
use serde_json::{Value, json};

impl Exchange {
    pub(super) async fn diagnostics(&self, sight: Sight) -> CommandResult {
        let store = &self.parts.store;
        let said = self.parts.desk.status().await;
        let status = said.map(|said| {
            status_report(&said, store, sight).map_err(|error| sight.about_machine(words(&error)))
        });
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
            "findings": self.findings(sight),
        });
        with_detail(done("gathered".to_owned()), &bundle)
    }

    /// What `doctor` would say of this machine without asking anybody.
    fn findings(&self, sight: Sight) -> Vec<Value> {
        let mut findings = Vec::new();
        let home = &self.parts.home;
        let private =
            [home.clone(), key::identity_path(home), key::data_key_path(home), guard_rails::path(home)];
        for path in private {
            if let Ok(Some(exposed)) = private_files::exposed(&path) {
                // The home folder is called as its owner likes; the others are called so by this program.
                let name = if path == *home {
                    "the home folder".into()
                } else {
                    path.file_name().unwrap_or_default().to_string_lossy()
                };
                let what = sight.because(&format!("{name} can be read by others"), &exposed.who);
                findings.push(json!({ "check": "file rights", "what": what }));
            }
        }
        let floor = Options::default().free_floor;
        if let Some(free) = self.parts.store.stats().free_disk.filter(|free| *free < 2 * floor) {
            findings.push(json!({ "check": "disk", "what": format!("{} MiB free", free >> 20) }));
        }
        if let Err(error) = self.rails() {
            let what = sight.because("they cannot be read", &words(&error));
            findings.push(json!({ "check": "guard rails", "what": what }));
        }
        if let Some(skew) = self.wire.skew().filter(|skew| skew.abs() > super::status::SKEW_SHOWN) {
            findings
                .push(json!({ "check": "clock", "what": format!("{skew} s ahead of the control plane") }));
        }
        findings
    }
}
