//! Refusals as HTTP answers: `application/problem+json` (RFC 9457).

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{HttpResponse, ResponseError, Route, web};
use purser_proto::link::Problem;
use std::fmt;

/// A problem as an answer.
#[derive(Debug)]
pub struct Refused(pub Problem);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.title)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        if self.0.status == 503 || self.0.status == 429 {
            answer.insert_header(("retry-after", "5"));
        }
        answer.content_type("application/problem+json").body(serde_json::to_vec(&self.0).unwrap_or_default())
    }
}

/// What an address answers to methods that it does not have; to be its default.
pub fn only(allowed: &'static str) -> Route {
    web::to(move || async move { not_allowed(allowed) })
}

/// 405, with the methods that there are.
pub fn not_allowed(allowed: &str) -> HttpResponse {
    let title = "this method is not known here";
    let mut answer =
        Refused(Problem::new(405, "method-not-allowed", title, format!("use {allowed}"))).error_response();
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        answer.headers_mut().insert(ALLOW, allowed);
    }
    answer
}
