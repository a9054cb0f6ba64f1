//! Kinetic's answers to our outcome classes: the one place where a status and an error body become a decision.
//! The newcomer's mistake is to trust the status: a refusal may be 400 or 409, JSON or XML, a 200 may have saved
//! nothing, and a 5xx after a write says nothing about whether it took effect.

use super::wire::Envelope;
pub(super) use crate::vendors::answers::Asked;
use crate::vendors::answers::{self, Causes, lenient, one_line};
use crate::vendors::http::{Answer, Effect, retry_after};
use chrono::TimeDelta;
use quick_xml::events::Event;
use serde::Deserialize;
use spend::finding::{Finding, FindingCode};
use spend::posting::{Failure, FailureClass};

/// What a refused call means to the step that made it; the class inside is what the flow sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The key exists already.
    Duplicate,
    /// The record asked for is not there.
    RecordMissing,
    /// The service, entity set or method is not there.
    NotOffered,
    /// The query was not understood (a column, an operator, a literal).
    BadQuery,
    /// Somebody changed the row since it was read.
    Stale,
    /// A business rule.
    Business,
    /// Answered 200 and, by its own words, not saved.
    NotSaved,
    /// Identity or key.
    Unauthorised,
    /// Service security, access scope or company.
    Forbidden,
    /// Everything else.
    Other,
}

impl Causes for Kind {
    const UNAUTHORISED: Self = Self::Unauthorised;
    const OTHER: Self = Self::Other;
}

/// A call that did not succeed.
pub(super) type Refusal = answers::Refusal<Kind>;

/// The body of a refusal, whatever it was written in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ErrorBody {
    #[serde(deserialize_with = "lenient")]
    pub(super) error_message: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) error_type: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) correlation_id: String,
    #[serde(deserialize_with = "lenient_details")]
    pub(super) error_details: Vec<Detail>,
}

/// One cause of a refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Detail {
    #[serde(deserialize_with = "lenient")]
    pub(super) message: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) table: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) field: String,
}

fn lenient_details<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<Detail>, D::Error> {
    let value = serde_json::Value::deserialize(d)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

impl ErrorBody {
    /// Reads JSON, XML or anything else; never fails, because an unreadable refusal is still a refusal.
    pub(super) fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let mut read = if text.starts_with('{') {
            Self::from_json(text)
        } else if text.starts_with('<') {
            Self::from_xml(text)
        } else {
            Self { error_message: text.to_owned(), ..Self::default() }
        };
        read.error_message = one_line(&read.error_message);
        read.error_type = read.error_type.trim().to_owned();
        read.correlation_id = one_line(&read.correlation_id);
        for detail in &mut read.error_details {
            detail.message = one_line(&detail.message);
        }
        read
    }

    /// Whether Kinetic itself said nothing here: no member of its error body was found.
    pub(super) fn is_foreign(&self) -> bool {
        self.error_type.is_empty() && self.correlation_id.is_empty() && self.error_details.is_empty()
    }

    fn from_json(text: &str) -> Self {
        #[derive(Deserialize)]
        struct OAuth {
            error: String,
            #[serde(default)]
            error_description: String,
        }
        if let Ok(oauth) = serde_json::from_str::<OAuth>(text) {
            return Self {
                error_message: format!("{} {}", oauth.error, oauth.error_description),
                ..Self::default()
            };
        }
        serde_json::from_str(text).unwrap_or_default()
    }

    /// `<ApiExceptionResponse>`, or a page of HTML, of which the title is kept.
    fn from_xml(text: &str) -> Self {
        let mut read = Self::default();
        let mut reader = quick_xml::Reader::from_str(text);
        reader.config_mut().check_end_names = false;
        let mut path: Vec<String> = Vec::new();
        let mut add = |path: &[String], more: &str| {
            let Some(name) = path.last() else { return };
            let in_details = path.iter().any(|part| part == "ErrorDetails");
            if in_details && read.error_details.is_empty() {
                read.error_details.push(Detail::default());
            }
            let detail = read.error_details.last_mut().filter(|_| in_details);
            match (name.as_str(), detail) {
                ("Message", Some(detail)) => detail.message.push_str(more),
                ("Table", Some(detail)) => detail.table.push_str(more),
                ("Field", Some(detail)) => detail.field.push_str(more),
                ("ErrorMessage" | "title" | "h1" | "h2", None) => {
                    if !read.error_message.is_empty() && name != "ErrorMessage" {
                        read.error_message.push(' ');
                    }
                    read.error_message.push_str(more);
                }
                ("ErrorType", None) => read.error_type.push_str(more),
                ("CorrelationId", None) => read.correlation_id.push_str(more),
                _ => {}
            }
        };
        while let Ok(event) = reader.read_event() {
            match event {
                Event::Start(element) if path.len() < 64 => {
                    path.push(AsRef::<str>::as_ref(&element.local_name()).to_owned());
                }
                Event::End(_) => {
                    path.pop();
                }
                Event::Text(text) => add(&path, &text.xml10_content()),
                Event::CData(text) => add(&path, &text.into_inner()),
                Event::GeneralRef(entity) => add(&path, entity_text(&entity)),
                Event::Eof => break,
                Event::Start(_)
                | Event::Empty(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::DocType(_) => {}
            }
        }
        read
    }

    /// Whether the message or a detail says so (lower case).
    fn says(&self, word: &str) -> bool {
        let messages = self.error_details.iter().map(|d| &d.message).chain([&self.error_message]);
        messages.into_iter().any(|message| message.to_lowercase().contains(word))
    }

    fn words(&self) -> String {
        let message = if self.error_message.is_empty() { "no message" } else { &self.error_message };
        match self.correlation_id.as_str() {
            "" => message.to_owned(),
            id => format!("{message} (correlation id {id})"),
        }
    }
}

fn entity_text(entity: &str) -> &'static str {
    match entity {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" | "#39" => "'",
        _ => " ",
    }
}

/// Judges an answer by status and body. `Ok` = the call was processed; whether it saved is [`saved`]'s question.
pub(super) fn judge(asked: Asked, answer: &Answer) -> Result<(), Refusal> {
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    let body = ErrorBody::read(&answer.body);
    let (kind, class) = classify(asked, answer, &body);
    let message = format!("{}: HTTP {}: {}", asked.operation, answer.status, body.words());
    Err(Refusal { kind, failure: Failure::new(class, message) })
}

fn classify(asked: Asked, answer: &Answer, body: &ErrorBody) -> (Kind, FailureClass) {
    let is = |suffix: &str| body.error_type.contains(suffix);
    let refused = || FailureClass::Rejected { findings: findings(body) };
    let wait = |minutes: u16| FailureClass::Throttled {
        until: retry_after(answer, answer.at).unwrap_or(answer.at + TimeDelta::minutes(i64::from(minutes))),
    };
    let asked_to_wait = answer.headers.contains_key("retry-after");
    match answer.status {
        400 if is("ODataException") => (Kind::BadQuery, refused()),
        400 | 409 if is("DuplicateRecord") || body.says("duplicate") => (Kind::Duplicate, refused()),
        409 | 412 if answer.status == 412 || body.says("modified") || body.says("concurrency") => {
            (Kind::Stale, FailureClass::NotSent)
        }
        409 => (Kind::Duplicate, refused()),
        // Nothing was done, and the lock will go.
        400 if body.says("locked") || body.says("in use by") => (Kind::Other, FailureClass::NotSent),
        401 => (Kind::Unauthorised, FailureClass::Unauthorised),
        // The credential is good, only this may not be done with it: that belongs to the document, not to the connection.
        403 if asked.effect == Effect::Write && !body.is_foreign() => {
            (Kind::Forbidden, FailureClass::Rejected { findings: vec![forbidden(body)] })
        }
        403 => (Kind::Forbidden, FailureClass::Unauthorised),
        404 if is("RecordNotFound") => (Kind::RecordMissing, refused()),
        // Not Kinetic's own words: a web server or a firewall that stands before it, for now.
        404 | 405 if body.is_foreign() => (Kind::NotOffered, FailureClass::NotSent),
        404 | 405 | 501 => (Kind::NotOffered, refused()),
        // The session was gone before the call was looked at.
        410 => (Kind::Other, FailureClass::NotSent),
        429 => (Kind::Other, wait(1)),
        503 if asked_to_wait || is("ConversionsPending") => (Kind::Other, wait(asked.maintenance_minutes)),
        400..=499 if answer.status != 408 => (Kind::Business, refused()),
        // 3xx (never followed), 408, 5xx: nobody knows.
        _ => (Kind::Other, asked.unknown()),
    }
}

/// Whether a 200 answer of a save did save. A prompt or a skipped update is a refusal in words, not a success.
pub(super) fn saved(asked: Asked, envelope: &Envelope) -> Result<(), Refusal> {
    let skipped = envelope.flag("lUpdateRan") == Some(false);
    let asks = envelope.flag("requiresUserInput") == Some(true);
    let failed = envelope.flag("errorsOccurred") == Some(true);
    if !skipped && !asks && !failed {
        return Ok(());
    }
    let prompts = ["opMessage", "opMsgChkBankRef", "opChkRevMsg", "opDUAMsg"].map(|name| envelope.text(name));
    let prompt =
        one_line(&prompts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; "));
    let what = if failed {
        update_error(envelope)
    } else if prompt.is_empty() {
        "no message".to_owned()
    } else {
        prompt
    };
    let message = format!("Kinetic did not save and waits for a person to answer a question: {what}");
    let finding = Finding {
        code: FindingCode::ErpRefused,
        line: None,
        field: "save".to_owned(),
        value: String::new(),
        message: message.clone(),
        fix: "exempt the integration user from the BPM directive or the warning that asks, then replay"
            .to_owned(),
    };
    let failure = Failure::new(
        FailureClass::Rejected { findings: vec![finding] },
        format!("{}: HTTP 200: {message}", asked.operation),
    );
    Err(Refusal { kind: Kind::NotSaved, failure })
}

fn update_error(envelope: &Envelope) -> String {
    #[derive(Deserialize)]
    struct Errors {
        #[serde(rename = "BOUpdError", default)]
        rows: Vec<super::wire::Row>,
    }
    let errors = envelope.return_obj.as_ref().and_then(|raw| serde_json::from_str::<Errors>(raw.get()).ok());
    let texts = errors.into_iter().flat_map(|errors| errors.rows);
    one_line(&texts.map(|row| super::wire::text(&row, "ErrorText")).collect::<Vec<_>>().join("; "))
}

/// The causes of a refusal, each with a code and a fix.
pub(super) fn findings(body: &ErrorBody) -> Vec<Finding> {
    let whole = [Detail { message: body.words(), ..Detail::default() }];
    let details = if body.error_details.iter().any(|d| !d.message.is_empty()) {
        &body.error_details[..]
    } else {
        &whole
    };
    details.iter().take(20).map(finding).collect()
}

fn finding(detail: &Detail) -> Finding {
    let place: Vec<&str> =
        [&detail.table, &detail.field].into_iter().map(String::as_str).filter(|t| !t.is_empty()).collect();
    let code = code_of(&detail.message);
    Finding {
        code,
        line: None,
        field: if place.is_empty() { "document".to_owned() } else { one_line(&place.join(".")) },
        value: String::new(),
        message: detail.message.clone(),
        fix: fix_of(code).to_owned(),
    }
}

fn forbidden(body: &ErrorBody) -> Finding {
    Finding {
        code: FindingCode::ErpRefused,
        line: None,
        field: "permission".to_owned(),
        value: String::new(),
        message: format!("Kinetic forbids the integration user to write this: {}", body.words()),
        fix: "grant it in Kinetic (service security, access scope of the API key, company of the user), then replay"
            .to_owned(),
    }
}

/// Recognises the refusals that finance meets every month; the texts are not documented, so by words only.
fn code_of(message: &str) -> FindingCode {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let unknown = ["not valid", "invalid", "not found", "not exist", "is required", "cannot be blank"];
    if says(&["period", "fiscal year"]) && says(&["closed", "not open"]) {
        FindingCode::PeriodClosed
    } else if says(&["fiscal period", "fiscal year", "fiscal calendar"]) {
        FindingCode::PeriodMissing
    } else if says(&["hold"]) && says(&["vendor", "supplier", "pay"]) {
        FindingCode::VendorPayHold
    } else if says(&["vendor", "supplier"]) && says(&["inactive", "not active"]) {
        FindingCode::VendorInactive
    } else if says(&["vendor", "supplier"]) && says(&unknown) {
        FindingCode::VendorUnknown
    } else if says(&["account"]) && says(&["inactive", "not active"]) {
        FindingCode::AccountInactive
    } else if says(&["account"]) && says(&unknown) {
        FindingCode::AccountUnknown
    } else {
        FindingCode::ErpRefused
    }
}

fn fix_of(code: FindingCode) -> &'static str {
    match code {
        FindingCode::PeriodClosed => {
            "open the fiscal period in Kinetic or choose another posting date, then replay"
        }
        FindingCode::PeriodMissing => "create the fiscal period in Kinetic, then replay",
        FindingCode::VendorPayHold => "take the supplier off pay hold in Kinetic, then replay",
        FindingCode::VendorInactive => "activate the supplier in Kinetic or map another one, then replay",
        FindingCode::VendorUnknown => "correct the supplier in the mapping or in Kinetic, then replay",
        FindingCode::AccountInactive => "activate the account in Kinetic or map another one, then replay",
        FindingCode::AccountUnknown => "correct the account in the mapping or in Kinetic, then replay",
        _ => "correct what Kinetic names, then replay",
    }
}

/// A refusal of our own making, in the words of a finding.
pub(super) fn refused(code: FindingCode, field: &str, message: impl Into<String>, fix: &str) -> Failure {
    let message = message.into();
    let finding = Finding {
        code,
        line: None,
        field: field.to_owned(),
        value: String::new(),
        message: message.clone(),
        fix: fix.to_owned(),
    };
    Failure::new(FailureClass::Rejected { findings: vec![finding] }, message)
}
