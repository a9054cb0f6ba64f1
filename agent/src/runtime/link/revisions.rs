//! Revisions of the configuration: judged, put in force together with the verdict, and only then taken up.

use super::exchange::Exchange;
use super::words;
use crate::config::revisions::{self, Evidence, Judged, Kept};
use crate::store::{AuditKind, StoreError};
use purser_proto::finding::ConfigFinding;
use purser_proto::link::configuration::{Revision, RevisionVerdict};
use purser_proto::link::limits::Name;
use purser_proto::link::report::{Notice, NoticeLevel, ReportBody};

impl Exchange {
    pub(super) async fn take_revision(&self, id: &Name, revision: &Revision) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        let judged = self.judge(revision)?;
        let (outcome, findings) = match &judged {
            Judged::InForce => ("in force already", Vec::new()),
            Judged::Good(_) => ("applied", Vec::new()),
            Judged::Refused(findings) | Judged::Beyond(findings) => ("refused", findings.clone()),
        };
        tracing::info!(number = revision.number, outcome, findings = findings.len(), "revision");
        let mut batch = self.taking(id);
        let told: Vec<String> = findings.iter().map(ToString::to_string).collect();
        let detail = serde_json::json!({
            "what": "revision", "number": revision.number, "hash": revision.hash, "note": revision.note,
            "outcome": outcome, "findings": told,
        });
        let sight = self.sight();
        let shown: Vec<_> = findings.iter().cloned().map(|finding| sight.finding(finding)).collect();
        let good = matches!(judged, Judged::Good(_));
        if good {
            revisions::keep(&mut batch, &Kept::new(revision, now));
        }
        let by = revision.by.as_str();
        match &judged {
            Judged::Beyond(_) => {
                let entry = self.entry(AuditKind::Security, by, detail);
                self.audit_refused(&mut batch, "revisions", [("beyond-guard-rails", entry)])?;
                self.notice(&mut batch, beyond(revision, &shown));
            }
            Judged::Refused(_) | Judged::InForce => {
                let entry = self.entry(AuditKind::Configuration, by, detail);
                self.audit_refused(&mut batch, "revisions", [("refused", entry)])?;
            }
            Judged::Good(_) => {
                batch.audit(self.entry(AuditKind::Configuration, by, detail));
            }
        }
        let verdict = RevisionVerdict { number: revision.number, refused: shown.into_iter().collect() };
        batch.report(now, &ReportBody::Revision(verdict));
        self.decide(id, batch).await?;
        if good {
            self.parts.desk.renew();
        }
        Ok(())
    }

    fn judge(&self, revision: &Revision) -> Result<Judged, StoreError> {
        let evidence = Evidence::of(&self.parts.store)?;
        Ok(match self.rails() {
            Ok(rails) => revisions::judge(revision, evidence, &rails),
            // Limits that cannot be read are not none.
            Err(error) => Judged::Refused(vec![ConfigFinding::new(
                "",
                self.sight().because("the machine's own guard rails cannot be read", &words(&error)),
                "mend the file on the machine; the revision may be sent again then",
            )]),
        })
    }
}

fn beyond(revision: &Revision, findings: &[ConfigFinding]) -> Notice {
    let first = findings.first().map(ToString::to_string).unwrap_or_default();
    Notice {
        level: NoticeLevel::Security,
        code: "revision-beyond-guard-rails".into(),
        concerns: None,
        what: format!(
            "revision {} by {} is beyond this machine's guard rails in {} place(s): {first}",
            revision.number,
            revision.by,
            findings.len()
        )
        .into(),
        fix: "ask whoever made it; if it is right, have guard-rails.toml changed on the machine".into(),
    }
}
