//! Every vendor call as an audit entry: the gate tells, the store keeps.

use crate::store::{AuditDraft, AuditKind, Store};
use crate::vendors::http::{CallLog, CallRecord};

/// Writes call records into the audit trail.
pub(super) struct AuditLog(pub Store);

impl CallLog for AuditLog {
    fn record(&self, record: CallRecord) {
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
