//! Lines of `doctor` in the words that every vendor's probe uses.

use super::{ProbeResult, Verdict};
use spend::posting::{Failure, FailureClass};

/// One line.
pub fn result(
    check: &str,
    verdict: Verdict,
    detail: impl Into<String>,
    fix: impl Into<String>,
) -> ProbeResult {
    ProbeResult { check: check.to_owned(), verdict, detail: detail.into(), fix: fix.into() }
}

/// As it should be.
pub fn passed(check: &str, detail: impl Into<String>) -> ProbeResult {
    result(check, Verdict::Pass, detail, "")
}

/// Not made, because the check `after` that it depends on failed.
pub fn skipped(check: &str, after: &str) -> ProbeResult {
    result(check, Verdict::Skipped, format!("not checked, because `{after}` failed"), "")
}

/// A call that failed; `new_credential` says how a refused credential is mended.
pub fn failed(check: &str, failure: &Failure, new_credential: impl FnOnce() -> String) -> ProbeResult {
    let fix = match &failure.class {
        FailureClass::Unauthorised => new_credential(),
        FailureClass::Rejected { findings } => {
            findings.first().map(|finding| finding.fix.clone()).unwrap_or_default()
        }
        FailureClass::Throttled { .. } => {
            "wait a minute; if another program uses the same credential, give it its own".to_owned()
        }
        FailureClass::NotSent | FailureClass::InDoubt | FailureClass::Unavailable => {
            "check the network checks above, then the vendor's status page, and try again".to_owned()
        }
    };
    result(check, Verdict::Fail, failure.message.clone(), fix)
}
