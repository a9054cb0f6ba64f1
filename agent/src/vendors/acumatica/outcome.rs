//! Acumatica's answers to our outcome classes: the one place where a status and an error body become a decision. The
//! newcomer's mistakes: a missing record is HTTP 500 and not 404, a refused field is the record itself with `error`
//! members inside, a 429 may be plain text, and a page of HTML under any status is a site in maintenance or a session
//! that is gone.

pub(super) use crate::vendors::answers::Asked;
use crate::vendors::answers::{self, Causes, lenient, one_line};
use crate::vendors::http::{Answer, Effect, retry_after};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Value;
use spend::finding::{Finding, FindingCode};
use spend::posting::{Failure, FailureClass};

/// Most findings of one refusal.
const MOST_FINDINGS: usize = 20;
/// Deepest nesting of a refused record that is looked into.
const DEEPEST: usize = 12;

/// What a refused call means to the step that made it; the class inside is what the flow sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A condition of the request does not hold, or the vendor reference exists already.
    Duplicate,
    /// The record asked for is not there.
    Missing,
    /// The endpoint, entity or action is not there.
    NotOffered,
    /// The list cannot be made with these fields or links.
    NotExportable,
    /// The list cannot be made, for its filter it may be.
    BadQuery,
    /// Somebody changed the record, or works on it.
    Stale,
    /// Fields were refused.
    Refused,
    /// A form still lacks its set-up.
    NotSetUp,
    /// Token or session.
    Unauthorised,
    /// No rights on the screen, or the feature is off.
    Forbidden,
    /// The site tells of an exception, of which nothing more is known.
    Exception,
    /// Everything else.
    Other,
}

impl Kind {
    /// Whether another form of the same list may be answered.
    pub(super) const fn is_of_query(self) -> bool {
        matches!(self, Self::NotExportable | Self::BadQuery)
    }
}

impl Causes for Kind {
    const UNAUTHORISED: Self = Self::Unauthorised;
    const OTHER: Self = Self::Other;
}

/// A call that did not succeed.
pub(super) type Refusal = answers::Refusal<Kind>;

/// The body of a general refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ErrorBody {
    #[serde(deserialize_with = "lenient")]
    pub(super) message: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) exception_message: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) exception_type: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) message_detail: String,
    /// OAuth errors.
    #[serde(deserialize_with = "lenient")]
    pub(super) error: String,
    #[serde(rename = "error_description", deserialize_with = "lenient")]
    pub(super) error_description: String,
    #[serde(deserialize_with = "lenient_inner")]
    pub(super) inner_exception: Option<Box<ErrorBody>>,
}

fn lenient_inner<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Box<ErrorBody>>, D::Error> {
    Ok(match Value::deserialize(d)? {
        Value::String(message) => Some(Box::new(ErrorBody { message, ..ErrorBody::default() })),
        inner => serde_json::from_value(inner).ok(),
    })
}

impl ErrorBody {
    /// Reads JSON, HTML or plain text; never fails, because an unreadable refusal is still a refusal.
    pub(super) fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.starts_with('{') {
            return serde_json::from_str(text).unwrap_or_default();
        }
        let words = if text.starts_with('<') { title(text) } else { text.trim_matches('"').to_owned() };
        Self { message: words, ..Self::default() }
    }

    fn texts(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        let mut next = Some(self);
        while let Some(body) = next.filter(|_| texts.len() < 40) {
            texts.extend([
                body.exception_message.as_str(),
                body.message_detail.as_str(),
                body.error_description.as_str(),
                body.error.as_str(),
                body.message.as_str(),
            ]);
            next = body.inner_exception.as_deref();
        }
        texts.retain(|text| !text.trim().is_empty());
        texts
    }

    /// Whether any of its texts says so (lower case).
    pub(super) fn says(&self, word: &str) -> bool {
        self.texts().iter().any(|text| text.to_lowercase().contains(word))
    }

    fn is_type(&self, suffix: &str) -> bool {
        let inner = self.inner_exception.as_ref().is_some_and(|inner| inner.is_type(suffix));
        inner || self.exception_type.contains(suffix)
    }

    /// Whether it refuses a filter. Any other exception may be of the moment, a database that was busy say, and is no
    /// reason to ask for less.
    fn is_about_filter(&self) -> bool {
        self.is_type("ODataException") || self.is_type("Filter")
    }

    /// Whether the platform's own code refused it, rather than the machinery around it failing.
    fn is_platform(&self) -> bool {
        self.exception_type.starts_with("PX.")
    }

    pub(super) fn words(&self) -> String {
        const SAYS_NOTHING: &str = "An error has occurred";
        let telling =
            self.texts().into_iter().map(one_line).find(|text| text != SAYS_NOTHING && !text.is_empty());
        let words = telling.unwrap_or_else(|| "no message".to_owned());
        match self.error.as_str() {
            "" => words,
            code if words.contains(code) => words,
            code => format!("{code}: {words}"),
        }
    }
}

/// The title of a page, else its first words.
fn title(html: &str) -> String {
    let lower = html.to_ascii_lowercase();
    let inner = |tag: &str| {
        let from = lower.find(&format!("<{tag}"))?;
        let from = from + lower.get(from..)?.find('>')? + 1;
        let to = from + lower.get(from..)?.find("</")?;
        html.get(from..to).map(str::trim).filter(|text| !text.is_empty())
    };
    let words = inner("title").or_else(|| inner("h1")).unwrap_or("a page of HTML");
    format!("{} (HTML)", one_line(words))
}

/// Whether an answer is a page for people, whatever its status.
pub(super) fn is_html(answer: &Answer) -> bool {
    let declared = answer.headers.get("content-type").is_some_and(|kind| kind.contains("text/html"));
    let start = answer.body.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    // An empty body is declared as a page on many a site, also of a good 204.
    !answer.body.is_empty() && (declared || start == Some(b'<'))
}

/// Whether the answer says that token or session are not valid any more: the call was not processed.
pub(super) fn is_signed_out(answer: &Answer) -> bool {
    answer.status == 401 || is_login_redirect(answer)
}

fn is_login_redirect(answer: &Answer) -> bool {
    let to = answer.headers.get("location").map(|to| to.to_ascii_lowercase()).unwrap_or_default();
    matches!(answer.status, 301 | 302 | 303 | 307) && to.contains("login")
}

/// Judges an answer by status and body. `Ok` = the call was processed.
pub(super) fn judge(asked: Asked, answer: &Answer) -> Result<(), Refusal> {
    if (200..300).contains(&answer.status) && !is_html(answer) {
        return Ok(());
    }
    let body = ErrorBody::read(&answer.body);
    let (kind, class) = classify(asked, answer, &body);
    let words = match &class {
        FailureClass::Rejected { findings } if answer.status == 422 => {
            let told: Vec<String> = findings.iter().map(|f| format!("{}: {}", f.field, f.message)).collect();
            told.join("; ")
        }
        _ => body.words(),
    };
    let message = format!("{}: HTTP {}: {words}", asked.operation, answer.status);
    Err(Refusal { kind, failure: Failure::new(class, message) })
}

fn classify(asked: Asked, answer: &Answer, body: &ErrorBody) -> (Kind, FailureClass) {
    let pause = |minutes: u16| FailureClass::Throttled {
        until: retry_after(answer, answer.at).unwrap_or(answer.at + TimeDelta::minutes(minutes.into())),
    };
    match answer.status {
        401 => (Kind::Unauthorised, FailureClass::Unauthorised),
        _ if is_login_redirect(answer) => (Kind::Unauthorised, FailureClass::Unauthorised),
        429 => (Kind::Other, pause(1)),
        _ if body.says("api login limit") => (Kind::Other, pause(asked.maintenance_minutes)),
        503 if answer.headers.contains_key("retry-after") => (Kind::Other, pause(1)),
        // Maintenance, a restart, a redirect: nobody knows what became of a write.
        200..=399 | 408 | 502..=504 => (Kind::Other, asked.unknown()),
        403 => (Kind::Forbidden, FailureClass::Unauthorised),
        // The endpoint, its version, or a web server that stands before it: a matter of the connection, and nothing
        // was done.
        404 => (Kind::NotOffered, FailureClass::NotSent),
        405 => (Kind::NotOffered, refused(body)),
        412 => (Kind::Duplicate, refused(body)),
        422 => of_record(answer, body),
        400..=499 if says_duplicate(body) => (Kind::Duplicate, refused(body)),
        400 if asked.effect == Effect::Read => (Kind::BadQuery, refused(body)),
        400..=499 => (Kind::Refused, refused(body)),
        _ => of_exception(asked, body),
    }
}

/// HTTP 500 is used for much that is no fault of the server.
fn of_exception(asked: Asked, body: &ErrorBody) -> (Kind, FailureClass) {
    let code = code_of("", &body.words());
    // What answers a write is read after the record was saved: that it cannot be read says nothing of the write.
    let unread = || match asked.effect {
        Effect::Read => refused(body),
        Effect::Write => asked.unknown(),
    };
    if body.is_type("NoEntitySatisfiesTheCondition") {
        (Kind::Missing, unread())
    } else if body.says("optimization cannot be performed") {
        (Kind::NotExportable, unread())
    } else if body.is_type("PXSetupNotEntered") {
        (Kind::NotSetUp, refused(body))
    } else if body.says("invalid credentials") || body.is_type("PXUndefinedCompany") {
        (Kind::Unauthorised, FailureClass::Unauthorised)
    } else if body.says("another process has") || body.says("previous operation has not been completed") {
        // Refused before anything was saved, and over soon.
        (Kind::Stale, FailureClass::NotSent)
    } else if says_duplicate(body) {
        (Kind::Duplicate, refused(body))
    } else if asked.effect == Effect::Read && body.is_about_filter() {
        (Kind::BadQuery, FailureClass::Unavailable)
    } else if asked.effect == Effect::Write && body.is_platform() && code != FindingCode::ErpRefused {
        // A rule of the platform in words that we know: it speaks before anything is saved.
        (Kind::Refused, refused(body))
    } else if body.exception_type.is_empty() {
        (Kind::Other, asked.unknown())
    } else {
        (Kind::Exception, asked.unknown())
    }
}

/// The status of a second bill with one vendor reference is not documented: it is known by its words.
fn says_duplicate(body: &ErrorBody) -> bool {
    body.texts().iter().any(|text| is_duplicate(text))
}

fn is_duplicate(text: &str) -> bool {
    let text = text.to_lowercase();
    let about = text.contains("vendor ref") || text.contains("vendorref") || text.contains("reference n");
    text.contains("duplicate") || (about && (text.contains("already") || text.contains("exist")))
}

/// HTTP 422: the record with `error` members beside the refused values.
fn of_record(answer: &Answer, body: &ErrorBody) -> (Kind, FailureClass) {
    let mut errors = Vec::new();
    if let Ok(record) = serde_json::from_slice::<Value>(&answer.body) {
        walk(&record, "", 0, &mut errors);
    }
    // The headline repeats that there are errors; it counts where nothing else tells one.
    if errors.len() > 1 {
        errors.retain(|error| !error.field.is_empty());
    }
    if errors.is_empty() {
        return (Kind::Refused, refused(body));
    }
    let duplicate = errors.iter().any(|e| e.field.ends_with("VendorRef") && is_duplicate(&e.text));
    let mut findings: Vec<Finding> = errors.iter().map(FieldError::finding).collect();
    findings.dedup();
    findings.truncate(MOST_FINDINGS);
    let kind = if duplicate { Kind::Duplicate } else { Kind::Refused };
    (kind, FailureClass::Rejected { findings })
}

/// One `error` member of a refused record.
struct FieldError {
    /// `Details[1].Project`; empty = the record itself.
    field: String,
    value: String,
    text: String,
}

impl FieldError {
    fn finding(&self) -> Finding {
        let field = if self.field.is_empty() { "document" } else { &self.field };
        let code = code_of(&self.field, &self.text);
        Finding::document(code, field, self.value.clone(), one_line(&self.text), fix_of(code))
    }
}

fn walk(value: &Value, path: &str, depth: usize, errors: &mut Vec<FieldError>) {
    if depth > DEEPEST || errors.len() > 4 * MOST_FINDINGS {
        return;
    }
    match value {
        Value::Object(members) => {
            if let Some(text) = members.get("error").and_then(Value::as_str).filter(|t| !t.trim().is_empty())
            {
                let value = match members.get("value") {
                    Some(Value::String(text)) => text.trim().to_owned(),
                    Some(Value::Null) | None => String::new(),
                    Some(other) => other.to_string(),
                };
                errors.push(FieldError { field: path.to_owned(), value, text: text.to_owned() });
            }
            for (name, inner) in members.iter().filter(|(name, _)| *name != "_links" && *name != "error") {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(inner, &path, depth + 1, errors);
            }
        }
        Value::Array(rows) => {
            for (index, row) in rows.iter().enumerate() {
                walk(row, &format!("{path}[{}]", index + 1), depth + 1, errors);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn refused(body: &ErrorBody) -> FailureClass {
    let words = body.words();
    let code = code_of("", &words);
    FailureClass::Rejected { findings: vec![Finding::document(code, "document", "", words, fix_of(code))] }
}

/// Recognises the refusals that finance meets every month, by the field and by words: the texts are not documented.
fn code_of(field: &str, message: &str) -> FindingCode {
    let message = message.to_lowercase();
    let field = field.rsplit('.').next().unwrap_or_default();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let about = |fields: &[&str], words: &[&str]| {
        if field.is_empty() { says(words) } else { fields.contains(&field) }
    };
    let idle = ["inactive", "not active", "deactivated"];
    let dated = ["PostPeriod", "FinPeriodID", "Date", "TransactionDate"];
    if about(&dated, &["period"]) && says(&["closed", "locked", "inactive", "not open"]) {
        FindingCode::PeriodClosed
    } else if about(&dated, &["period"]) && says(&["period"]) {
        FindingCode::PeriodMissing
    } else if about(&["Subaccount"], &["subaccount"]) {
        if says(&idle) { FindingCode::SegmentInactive } else { FindingCode::SegmentUnknown }
    } else if about(&["Account"], &["account"]) {
        if says(&idle) {
            FindingCode::AccountInactive
        } else if says(&["not found", "cannot be found", "not exist", "not valid", "invalid", "unknown"]) {
            FindingCode::AccountUnknown
        } else {
            FindingCode::ErpRefused
        }
    } else if about(&["Vendor"], &["vendor"]) && !is_duplicate(&message) {
        if says(&idle) {
            FindingCode::VendorInactive
        } else if says(&["hold"]) {
            FindingCode::VendorPayHold
        } else if says(&["not found", "cannot be found", "not exist", "not valid", "invalid", "unknown"]) {
            FindingCode::VendorUnknown
        } else {
            FindingCode::ErpRefused
        }
    } else if about(&["Project", "ProjectTask"], &["project"]) {
        if says(&["completed", "cancel", "suspended", "closed", "inactive", "not active"]) {
            FindingCode::ProjectClosed
        } else {
            FindingCode::ProjectUnknown
        }
    } else {
        FindingCode::ErpRefused
    }
}

fn fix_of(code: FindingCode) -> &'static str {
    match code {
        FindingCode::PeriodClosed => {
            "open the financial period in Acumatica or choose another posting date, then replay"
        }
        FindingCode::PeriodMissing => "create the financial period in Acumatica, then replay",
        FindingCode::VendorPayHold => "take the vendor off hold in Acumatica, then replay",
        FindingCode::VendorInactive => "activate the vendor in Acumatica or map another one, then replay",
        FindingCode::VendorUnknown => "correct the vendor in the mapping or in Acumatica, then replay",
        FindingCode::AccountInactive => "activate the account in Acumatica or map another one, then replay",
        FindingCode::AccountUnknown => "correct the account in the mapping or in Acumatica, then replay",
        FindingCode::SegmentInactive => {
            "activate the subaccount in Acumatica or map another one, then replay"
        }
        FindingCode::SegmentUnknown => "correct the subaccount in the mapping or in Acumatica, then replay",
        FindingCode::ProjectClosed => {
            "open the project or task in Acumatica, or correct the tag, then replay"
        }
        FindingCode::ProjectUnknown => "correct the project or task in the tag or in Acumatica, then replay",
        _ => "correct what Acumatica names, then replay",
    }
}

/// A refusal of our own making, in the words of a finding.
pub(super) fn own_refusal(code: FindingCode, field: &str, message: impl Into<String>, fix: &str) -> Failure {
    let message = message.into();
    let finding = Finding::document(code, field, "", message.clone(), fix);
    Failure::new(FailureClass::Rejected { findings: vec![finding] }, message)
}
