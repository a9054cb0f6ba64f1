//! Receipts: addresses that carry their own permission, work for a quarter of an hour and want no other credential.

use super::BrexSim;
use super::books::Record;
use crate::server::{Reply, Request};
use chrono::TimeDelta;
use serde_json::{Value, json};

impl BrexSim {
    /// The receipts of a record, each with an address made for this very call.
    pub(super) fn receipts(&self, record: &Record, request: &Request) -> Value {
        let host =
            self.knobs.receipt_host.as_deref().or_else(|| request.header("host")).unwrap_or("localhost");
        let until = (request.at + TimeDelta::minutes(self.knobs.receipt_minutes)).timestamp();
        let address = |id: &String| {
            let sig = self.receipt_sig(id, until);
            format!("{}://{host}/files/{id}.png?expires={until}&sig={sig}", self.knobs.scheme)
        };
        record.receipts.iter().map(|id| json!({"id": id, "download_uris": [address(id)]})).collect()
    }

    fn receipt_sig(&self, id: &str, until: i64) -> String {
        let seed = self.origin.world.seed;
        blake3::hash(format!("{seed} {id} {until}").as_bytes()).to_hex()[..32].to_owned()
    }

    /// Answers as a file store does: in XML.
    pub(super) fn receipt_file(&mut self, request: &Request, rest: &[&str]) -> Reply {
        if request.header("authorization").is_some() {
            self.wrong("a receipt was fetched with an `Authorization` header".to_owned());
            return refused(400, "InvalidArgument", "Only one auth mechanism allowed");
        }
        let query = super::query::Query::parse(&request.query);
        let id = rest.first().and_then(|name| name.strip_suffix(".png")).unwrap_or_default();
        let until = query.one("expires").and_then(|text| text.parse().ok()).unwrap_or(0);
        let known = self.books.records.iter().any(|record| record.receipts.iter().any(|own| own == id));
        if query.one("sig") != Some(self.receipt_sig(id, until).as_str()) || !known {
            return refused(403, "AccessDenied", "Access Denied");
        }
        if request.at.timestamp() >= until {
            return refused(403, "AccessDenied", "Request has expired");
        }
        Reply::new(200, "image/png", [b"\x89PNG\r\n\x1a\n".as_slice(), id.as_bytes()].concat())
    }
}

fn refused(status: u16, code: &str, message: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    Reply::new(status, "application/xml", body)
}
