//! The vendor's error bodies, JSON or XML.

use serde_json::json;

use crate::server::{Reply, Request};

/// A call that is refused.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    kind: &'static str,
    pub(super) message: String,
    table: &'static str,
    field: &'static str,
    /// The caller did something that no correct caller does.
    pub(super) misuse: bool,
}

pub(super) type Outcome<T> = Result<T, Refusal>;

impl Refusal {
    pub(super) fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), table: "", field: "", misuse: false }
    }

    /// A business rule says no.
    pub(super) fn business(table: &'static str, field: &'static str, message: impl Into<String>) -> Self {
        Self { table, field, ..Self::new(400, "Ice.Common.BusinessObjectException", message) }
    }

    pub(super) fn odata(message: impl Into<String>) -> Self {
        Self::new(400, "Microsoft.OData.ODataException", message).wrong_call()
    }

    pub(super) fn unauthorized(message: &str) -> Self {
        Self::new(401, "System.UnauthorizedAccessException", message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "Ice.Common.UnauthorizedAccessException", message)
    }

    pub(super) fn no_record() -> Self {
        Self::new(404, "Ice.Common.RecordNotFoundException", "Record not found.")
    }

    pub(super) fn unknown_name(what: &str) -> Self {
        Self::new(404, "Epicor.RESTApi.ErrorHandler.ApiException", format!("Resource not found: {what}."))
    }

    pub(super) fn stale(table: &'static str) -> Self {
        Self {
            table,
            ..Self::new(
                409,
                "Ice.Common.RowModifiedException",
                "Row has been modified by another user and couldn't be updated.",
            )
        }
    }

    pub(super) fn bad_input(message: impl Into<String>) -> Self {
        Self::new(400, "Ice.Common.BLException", message).wrong_call()
    }

    pub(super) fn wrong_call(mut self) -> Self {
        self.misuse = true;
        self
    }

    pub(super) fn reply(&self, request: &Request, xml_always: bool, correlation: &str) -> Reply {
        let wants_json = request.header("accept").is_some_and(|accept| accept.contains("json"));
        let about_identity = matches!(self.status, 401 | 403);
        if xml_always || (about_identity && !wants_json) {
            return Reply::new(self.status, "application/xml; charset=utf-8", self.xml(correlation));
        }
        let mut body = json!({
            "HttpStatus": self.status,
            "ReasonPhrase": "REST API Exception",
            "ErrorMessage": self.message,
            "ErrorType": self.kind,
            "CorrelationId": correlation,
        });
        if self.status == 400 && !self.table.is_empty() {
            body["ErrorDetails"] = json!([
                { "Message": self.message, "Type": "Error", "Table": self.table, "Field": self.field }
            ]);
        }
        Reply::json(self.status, &body)
    }

    fn xml(&self, correlation: &str) -> String {
        format!(
            "<ApiExceptionResponse xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\"><HttpStatus>{}</HttpStatus>\
             <ReasonPhrase>REST API Exception</ReasonPhrase><ErrorMessage>{}</ErrorMessage><ErrorType>{}</ErrorType>\
             <CorrelationId>{correlation}</CorrelationId></ApiExceptionResponse>",
            status_word(self.status),
            escaped(&self.message),
            self.kind,
        )
    }
}

/// Text for XML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn status_word(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        409 => "Conflict",
        410 => "Gone",
        503 => "ServiceUnavailable",
        _ => "InternalServerError",
    }
}
