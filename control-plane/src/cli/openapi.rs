//! `openapi`.

use super::output::raw;
use crate::api::admin::docs::text;

/// Prints the document that describes the admin API.
pub(super) fn run() {
    raw(text());
}
