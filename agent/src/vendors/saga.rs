//! What a failed step of writing a document means, the same for every ERP: before the first write nothing has happened;
//! afterwards the document is compared, resumed, cleaned up or in doubt, and never simply failed.

use spend::posting::{ErpReceipt, Failure, FailureClass, LookUp};

/// How far a document has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing of it was sent.
    Nothing,
    /// Its first write was sent and not yet answered.
    FirstSent,
    /// A part of it stands in the ERP.
    Written,
}

/// What a refusal says of the document, in so far as it changes what is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Something stands under the reference already.
    Duplicate,
    /// The answer was good and, by its own words, the document was not saved as a whole.
    NotSaved,
    /// Anything else.
    Other,
}

/// What follows a failed step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The failure is reported under this class.
    Report(FailureClass),
    /// Something stands under our reference already: it may be ours.
    Compare,
    /// The document was refused and a part of it stands: the part is taken away.
    CleanUp,
}

/// The decision table of a posting.
pub fn after(progress: Progress, cause: Cause, class: &FailureClass) -> Next {
    match (progress, class) {
        // Nothing of this document was written, so even a lost answer leaves no doubt about it.
        (Progress::Nothing, FailureClass::InDoubt | FailureClass::Unavailable) => {
            Next::Report(FailureClass::NotSent)
        }
        (
            Progress::Nothing,
            FailureClass::NotSent
            | FailureClass::Unauthorised
            | FailureClass::Throttled { .. }
            | FailureClass::Rejected { .. },
        ) => Next::Report(class.clone()),
        (Progress::FirstSent, FailureClass::Rejected { .. }) => match cause {
            Cause::Duplicate => Next::Compare,
            Cause::NotSaved => Next::CleanUp,
            // One request, one transaction: what was refused left nothing behind.
            Cause::Other => Next::Report(class.clone()),
        },
        (Progress::FirstSent, FailureClass::Unavailable | FailureClass::InDoubt) => {
            Next::Report(FailureClass::InDoubt)
        }
        (
            Progress::FirstSent,
            FailureClass::NotSent | FailureClass::Unauthorised | FailureClass::Throttled { .. },
        ) => Next::Report(class.clone()),
        (Progress::Written, FailureClass::Rejected { .. }) => Next::CleanUp,
        (
            Progress::Written,
            FailureClass::NotSent
            | FailureClass::Unauthorised
            | FailureClass::Throttled { .. }
            | FailureClass::InDoubt
            | FailureClass::Unavailable,
        ) => Next::Report(FailureClass::InDoubt),
    }
}

/// The verdict on a document that was written, by what reading it back found: only an equal one counts as posted.
///
/// # Errors
/// In doubt in every other case.
pub fn read_back(found: Result<LookUp, Failure>) -> Result<ErpReceipt, Failure> {
    match found {
        Ok(LookUp::Complete { receipt }) => Ok(receipt),
        Ok(LookUp::Absent) => Err(doubt("the document was saved and cannot be read back")),
        Ok(LookUp::Unfinished { missing, .. }) => Err(doubt(&format!("read back: {missing}"))),
        Ok(LookUp::Different { differs, .. }) => Err(doubt(&format!("read back: {differs}"))),
        Err(failure) => Err(doubt(&format!("the document was saved and not read back: {failure}"))),
    }
}

/// The verdict on a document that was refused as a duplicate: if the one that is there equals the plan, it is ours.
///
/// # Errors
/// `conflict` when it differs, `unseen` when there is none that can be seen; in doubt otherwise.
pub fn compared(
    found: Result<LookUp, Failure>,
    conflict: impl FnOnce(&ErpReceipt, &str) -> Failure,
    unseen: impl FnOnce() -> Failure,
) -> Result<ErpReceipt, Failure> {
    match found {
        Ok(LookUp::Complete { receipt }) => Ok(receipt),
        Ok(LookUp::Different { receipt, differs }) => Err(conflict(&receipt, &differs)),
        Ok(LookUp::Unfinished { missing, .. }) => {
            Err(doubt(&format!("refused as duplicate; there: {missing}")))
        }
        Ok(LookUp::Absent) => Err(unseen()),
        Err(failure) => Err(doubt(&format!("refused as duplicate and not looked up: {failure}"))),
    }
}

/// The verdict on a document that was half-written and, read again, is so no more.
///
/// # Errors
/// `conflict` when another one is there; not sent when nothing is.
pub fn moved_on(
    state: &LookUp,
    conflict: impl FnOnce(&ErpReceipt, &str) -> Failure,
) -> Result<ErpReceipt, Failure> {
    match state {
        LookUp::Complete { receipt } => Ok(receipt.clone()),
        LookUp::Different { receipt, differs } => Err(conflict(receipt, differs)),
        LookUp::Absent | LookUp::Unfinished { .. } => {
            Err(Failure::new(FailureClass::NotSent, "the half-written document is gone: look up again"))
        }
    }
}

/// The verdict on a refused document whose written part was taken away: the refusal counts only when nothing is left.
///
/// # Errors
/// The refusal, or what `unclean` makes of what still stands.
pub fn settled(
    state: LookUp,
    refusal: Failure,
    unclean: impl Fn(&dyn std::fmt::Display) -> Failure,
) -> Result<ErpReceipt, Failure> {
    match state {
        LookUp::Absent => Err(refusal),
        LookUp::Complete { receipt } => Ok(receipt),
        LookUp::Unfinished { missing, .. } => Err(unclean(&missing)),
        LookUp::Different { differs, .. } => Err(unclean(&differs)),
    }
}

/// A failure after which nobody knows whether the document stands.
pub fn doubt(words: &str) -> Failure {
    Failure::new(FailureClass::InDoubt, words)
}
