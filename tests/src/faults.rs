//! Faults: rules that say which calls go wrong and how. The server applies them; simulators know nothing of them, so
//! every fault works with every vendor. A fault is decided before the call is handled, and what it does to the call's
//! *commit* (handled or not, at once or later) is the whole point of it.

use serde::{Deserialize, Serialize};

use crate::server::Request;

/// One rule. Without `times` it applies to every matching call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Which calls.
    #[serde(rename = "match", default)]
    pub when: FaultMatch,
    /// How often at most.
    #[serde(default)]
    pub times: Option<u64>,
    /// What happens.
    pub action: FaultAction,
}

impl FaultRule {
    /// A rule for the first matching call only.
    pub fn once(when: FaultMatch, action: FaultAction) -> Self {
        Self { when, times: Some(1), action }
    }

    /// A rule for every matching call.
    pub fn always(when: FaultMatch, action: FaultAction) -> Self {
        Self { when, times: None, action }
    }
}

/// Which calls a rule is for; all given conditions must hold. `nth`, `every` and `probability` count only the calls
/// that meet the other conditions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultMatch {
    /// The HTTP method.
    pub method: Option<String>,
    /// Text in the path (as sent).
    pub path_contains: Option<String>,
    /// Text in the body.
    pub body_contains: Option<String>,
    /// Only the n-th, from 1.
    pub nth: Option<u64>,
    /// Each n-th.
    pub every: Option<u64>,
    /// By chance, 0 to 1.
    pub probability: Option<f64>,
    /// Seed of the chance; the same seed gives the same calls.
    pub seed: u64,
}

impl FaultMatch {
    /// Calls whose path contains `text`.
    pub fn path(text: &str) -> Self {
        Self { path_contains: Some(text.to_owned()), ..Self::default() }
    }

    /// Narrowed to the n-th.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = Some(nth);
        self
    }

    /// Narrowed to a method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    fn conditions_hold(&self, request: &Request) -> bool {
        self.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(&request.method))
            && self.path_contains.as_ref().is_none_or(|text| request.path.contains(text.as_str()))
            && self.body_contains.as_ref().is_none_or(|text| contains(&request.body, text.as_bytes()))
    }
}

/// What goes wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "snake_case", deny_unknown_fields)]
pub enum FaultAction {
    /// The call is handled and answered after a pause. Goes together with other faults.
    Latency {
        /// Milliseconds.
        milliseconds: u64,
    },
    /// The connection is cut; the call was never handled.
    CutBeforeCommit,
    /// The call is handled; the connection is cut without an answer.
    CutAfterCommit,
    /// The call is handled; the status line and half of the body arrive, then the connection is cut.
    HalfAnswer,
    /// The connection is cut (or left hanging) at once, and the call is handled when the simulator's clock has moved
    /// on by so much.
    LateCommit {
        /// Seconds until the commit.
        after_seconds: u64,
        /// Leave the connection open and silent instead of cutting it.
        #[serde(default)]
        hang: bool,
    },
    /// A status without handling the call.
    Status {
        /// The status.
        code: u16,
        /// `Retry-After`, as sent.
        #[serde(default)]
        retry_after: Option<String>,
        /// What the body looks like.
        #[serde(default)]
        body: BodyKind,
    },
    /// 401 for matching calls until a call to a login path has passed.
    UnauthorizedUntilRelogin,
    /// The call is handled; the body is not what its content type says.
    MalformedBody,
    /// The call is handled; the answer is complete HTTP, but only half of the body is in it.
    TruncatedBody,
    /// A small compressed body that unpacks to very much; the call is not handled.
    GzipBomb {
        /// Unpacked size.
        mebibytes: u32,
    },
    /// Nothing ever comes back; the call is not handled.
    Hang,
    /// From this call on, 503 with an HTML page for everybody, until the simulator's clock has moved on by so much.
    Maintenance {
        /// Length of the window.
        seconds: u64,
    },
}

impl FaultAction {
    /// The name, as in the rule's JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::CutBeforeCommit => "cut-before-commit",
            Self::CutAfterCommit => "cut-after-commit",
            Self::HalfAnswer => "half-answer",
            Self::LateCommit { .. } => "late-commit",
            Self::Status { .. } => "status",
            Self::UnauthorizedUntilRelogin => "unauthorized-until-relogin",
            Self::MalformedBody => "malformed-body",
            Self::TruncatedBody => "truncated-body",
            Self::GzipBomb { .. } => "gzip-bomb",
            Self::Hang => "hang",
            Self::Maintenance { .. } => "maintenance",
        }
    }
}

/// The body that comes with a status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyKind {
    /// A small JSON object.
    #[default]
    Json,
    /// A small XML document.
    Xml,
    /// An HTML error page, as a proxy in between would send.
    Html,
    /// Nothing.
    Empty,
}

/// What the rules say about one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) latency_ms: u64,
    pub(crate) action: Option<FaultAction>,
}

/// The rules in force, with their counters.
#[derive(Debug, Default)]
pub(crate) struct FaultBook {
    rules: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    met: u64,
    applied: u64,
    chance: fastrand::Rng,
    waits_for_login: bool,
}

/// Text in paths at which a new token or session is handed out.
const LOGIN_PATHS: [&str; 5] =
    ["TokenResource.svc", "/connect/token", "SessionModSvc/Login", "/login", "/oauth2/default/v1/token"];

impl FaultBook {
    pub(crate) fn add(&mut self, rule: FaultRule) {
        let chance = fastrand::Rng::with_seed(rule.when.seed);
        self.rules.push(Armed { rule, met: 0, applied: 0, chance, waits_for_login: false });
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn rules(&self) -> Vec<(FaultRule, u64)> {
        self.rules.iter().map(|armed| (armed.rule.clone(), armed.applied)).collect()
    }

    /// The latencies of all rules that apply, and the action of the first other rule that does.
    pub(crate) fn decide(&mut self, request: &Request) -> Verdict {
        let login = LOGIN_PATHS.iter().any(|path| request.path.contains(path));
        let mut verdict = Verdict::default();
        for armed in &mut self.rules {
            if login && matches!(armed.rule.action, FaultAction::UnauthorizedUntilRelogin) {
                armed.waits_for_login = false;
                continue;
            }
            let latency = matches!(armed.rule.action, FaultAction::Latency { .. });
            if (!latency && verdict.action.is_some()) || !armed.applies(request) {
                continue;
            }
            match &armed.rule.action {
                FaultAction::Latency { milliseconds } => verdict.latency_ms += milliseconds,
                other => verdict.action = Some(other.clone()),
            }
        }
        verdict
    }
}

impl Armed {
    fn applies(&mut self, request: &Request) -> bool {
        if !self.rule.when.conditions_hold(request) {
            return false;
        }
        if self.waits_for_login {
            return true;
        }
        self.met += 1;
        let when = &self.rule.when;
        let chosen = self.rule.times.is_none_or(|times| self.applied < times)
            && when.nth.is_none_or(|nth| self.met == nth)
            && when.every.is_none_or(|every| every > 0 && self.met.is_multiple_of(every))
            && when.probability.is_none_or(|probability| self.chance.f64() < probability);
        if chosen {
            self.applied += 1;
            self.waits_for_login = matches!(self.rule.action, FaultAction::UnauthorizedUntilRelogin);
        }
        chosen
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || haystack.windows(needle.len()).any(|window| window == needle)
}
