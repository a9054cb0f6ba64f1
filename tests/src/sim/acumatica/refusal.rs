//! Refusals: error objects, plain text, pages and the OAuth kind.

use serde_json::json;

use super::json::{Json, Row};
use crate::server::Reply;

/// Exception of a missing record.
pub(super) const NO_ENTITY: &str = "PX.Api.ContractBased.NoEntitySatisfiesTheConditionException";
/// The general exception.
pub(super) const GENERAL: &str = "PX.Data.PXException";

/// What is answered instead.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reply: Reply,
    /// For the misuse list.
    pub(super) sentence: String,
    /// The call was wrong in itself, whatever the data.
    pub(super) misuse: bool,
}

pub(super) type Outcome<T> = Result<T, Box<Refusal>>;

impl Refusal {
    /// An error object.
    pub(super) fn new(status: u16, kind: &str, text: impl Into<String>) -> Box<Self> {
        let sentence = text.into();
        let body = json!({
            "message": "An error has occurred.",
            "exceptionMessage": sentence,
            "exceptionType": kind,
            "stackTrace": "   at PX.Api.ContractBased.ContractBasedController.Execute()",
        });
        Box::new(Self { reply: Reply::json(status, &body), sentence, misuse: false })
    }

    pub(super) fn server(text: impl Into<String>) -> Box<Self> {
        Self::new(500, GENERAL, text)
    }

    /// 400 with the members at fault.
    pub(super) fn malformed(member: &str, text: impl Into<String>) -> Box<Self> {
        let sentence = text.into();
        let body = json!({ "message": "The request is invalid.", "modelState": { member: [sentence] } });
        Box::new(Self { reply: Reply::json(400, &body), sentence, misuse: true })
    }

    pub(super) fn no_entity() -> Box<Self> {
        Self::new(500, NO_ENTITY, "No entity satisfies the condition.")
    }

    pub(super) fn unauthorized() -> Box<Self> {
        Self::new(401, GENERAL, "You are not currently logged in.")
    }

    pub(super) fn not_found(text: &str) -> Box<Self> {
        let body = json!({ "message": "No HTTP resource was found that matches the request.", "messageDetail": text });
        Box::new(Self { reply: Reply::json(404, &body), sentence: text.to_owned(), misuse: false })
    }

    pub(super) fn precondition(exists: bool) -> Box<Self> {
        let text = if exists { "The record already exists." } else { "The record does not exist." };
        Self::new(412, "PX.Api.ContractBased.PreconditionFailedException", text)
    }

    /// 422: the entity with its errors.
    pub(super) fn entity(tree: Row, sentence: String) -> Box<Self> {
        let reply = Reply::new(422, "application/json; charset=utf-8", Json::Obj(tree).text());
        Box::new(Self { reply, sentence, misuse: false })
    }

    pub(super) fn text(status: u16, text: &str) -> Box<Self> {
        let reply = Reply::new(status, "text/plain; charset=utf-8", text);
        Box::new(Self { reply, sentence: text.to_owned(), misuse: false })
    }

    pub(super) fn page(status: u16, title: &str) -> Box<Self> {
        let page = format!(
            "<!DOCTYPE html><html><head><title>{title}</title></head><body><h2>{title}</h2></body></html>"
        );
        Box::new(Self {
            reply: Reply::new(status, "text/html", page),
            sentence: title.to_owned(),
            misuse: false,
        })
    }

    /// To the login page.
    pub(super) fn login_page(prefix: &str) -> Box<Self> {
        let mut refusal = Self::page(302, "Object moved");
        refusal.reply.headers.push(("location".to_owned(), format!("{prefix}/Frames/Login.aspx")));
        refusal
    }

    pub(super) fn oauth(word: &str) -> Box<Self> {
        Box::new(Self {
            reply: Reply::json(400, &json!({ "error": word })),
            sentence: word.to_owned(),
            misuse: false,
        })
    }

    /// Marks it as a wrong call.
    pub(super) fn wrong_call(mut self: Box<Self>) -> Box<Self> {
        self.misuse = true;
        self
    }
}
