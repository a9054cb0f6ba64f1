//! Every vendor call as an audit entry: the gate tells, the store keeps. What the gate refused to protect a secret is
//! told to the control plane of an enrolled agent as well.

use super::visible::Sight;
use crate::store::{AuditDraft, AuditKind, Store};
use crate::vendors::http::{CallLog, CallRecord};
use purser_proto::link::report::{Notice, NoticeLevel, ReportBody};
use std::path::PathBuf;

/// Writes call records into the audit trail.
pub(super) struct AuditLog {
    pub(super) store: Store,
    /// Home folder, with the guard rails.
    pub(super) home: PathBuf,
}

impl CallLog for AuditLog {
    fn record(&self, record: CallRecord) {
        if record.security_event {
            let notice = notice(&record, Sight::of(&self.home));
            self.store.note_report(record.at, &ReportBody::Notice(notice));
        }
        let kind = if record.security_event { AuditKind::Security } else { AuditKind::Call };
        self.store.note(AuditDraft {
            at: record.at,
            kind,
            connection: Some(record.connection.clone()),
            flow: record.context.flow.clone(),
            run: record.context.run.clone(),
            posting: record.context.posting.clone(),
            actor: "agent".to_owned(),
            detail: &record,
        });
    }

    fn is_full(&self) -> bool {
        self.store.notes_stuck()
    }
}

/// Words of the gate itself: they name origins and never a value. Where a call was to go can be what a vendor has answered.
fn notice(record: &CallRecord, sight: Sight) -> Notice {
    let what = "a call would have sent a secret to another place than it is bound to, and was not made";
    Notice {
        level: NoticeLevel::Security,
        code: "secret-for-another-origin".into(),
        concerns: Some(record.connection.as_str().into()),
        what: sight.because(what, record.error.as_deref().unwrap_or_default()).into(),
        fix: "compare the connection's addresses with the origins of its secret (`purser secrets list`)"
            .into(),
    }
}
