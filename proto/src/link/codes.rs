//! Codes of [`Problem`](super::Problem)s: what programs decide by. Words may change, these do not.

/// The request is not what it must be: not JSON, a field too long, a field missing.
pub const MALFORMED: &str = "malformed";
/// The request is larger than any may be.
pub const TOO_LARGE: &str = "too-large";
/// The version of the link is not understood.
pub const VERSION: &str = "version";
/// The assertion is missing or cannot be read.
pub const BAD_ASSERTION: &str = "bad-assertion";
/// The assertion was not signed with the key that is known, or not for this request.
pub const BAD_SIGNATURE: &str = "bad-signature";
/// The agent's clock is too far from the control plane's.
pub const CLOCK_SKEWED: &str = "clock-skewed";
/// The assertion was used before.
pub const REPLAYED: &str = "replayed";
/// No agent of this id is known here. Nothing follows from it for what the agent does.
pub const UNKNOWN_AGENT: &str = "unknown-agent";
/// A person has ended this identity.
pub const REVOKED: &str = "revoked";
/// A person has still to approve the fingerprint.
pub const WAITS_FOR_APPROVAL: &str = "waits-for-approval";
/// The enrollment code is not known.
pub const CODE_UNKNOWN: &str = "code-unknown";
/// Another agent was enrolled with the code.
pub const CODE_USED: &str = "code-used";
/// The enrollment code is too old.
pub const CODE_EXPIRED: &str = "code-expired";
/// A person has ended the enrollment code.
pub const CODE_REVOKED: &str = "code-revoked";
/// The keys are not keys, or the new one was not proven.
pub const BAD_KEYS: &str = "bad-keys";
/// The control plane cannot do it at the moment; the same request works later.
pub const BUSY: &str = "busy";
