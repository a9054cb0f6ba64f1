//! Every vendor call as an audit entry: the gate tells, the store keeps. What the gate refused to protect a secret is
//! told to the control plane of an enrolled agent as well.

use crate::store::{AuditDraft, AuditKind, Store};
use crate::vendors::http::{CallLog, CallRecord};
use purser_proto::link::report::{Notice, NoticeLevel, ReportBody};

/// Writes call records into the audit trail.
pub(super) struct AuditLog(pub Store);

impl CallLog for AuditLog {
    fn record(&self, record: CallRecord) {
        if record.security_event {
            self.0.note_report(record.at, &ReportBody::Notice(notice(&record)));
        }
        let kind = if record.security_event { AuditKind::Security } else { AuditKind::Call };
        self.0.note(AuditDraft {
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
        self.0.notes_stuck()
    }
}

/// Words of the gate itself: they name origins and never a value.
fn notice(record: &CallRecord) -> Notice {
    Notice {
        level: NoticeLevel::Security,
        code: "secret-for-another-origin".into(),
        concerns: Some(record.connection.as_str().into()),
        what: record.error.clone().unwrap_or_default().into(),
        fix: "compare the connection's addresses with the origins of its secret (`purser secrets list`)"
            .into(),
    }
}
