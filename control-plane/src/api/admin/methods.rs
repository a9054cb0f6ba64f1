//! What no route answers: an address that the document names, with a method that it does not have, is told so (405); any
//! other is not there (404). Each method is a route of its own, so the framework knows only that none has matched.

use super::docs;
use super::refusal::Refusal;
use crate::api::problem::not_allowed;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Addresses of the document, and their methods as `Allow` lists them.
static KNOWN: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let document: serde_json::Value = serde_json::from_str(docs::text()).unwrap_or_default();
    let paths: BTreeMap<String, BTreeMap<String, serde_json::Value>> = document
        .get("paths")
        .cloned()
        .and_then(|paths| serde_json::from_value(paths).ok())
        .unwrap_or_default();
    let allowed = |methods: BTreeMap<String, serde_json::Value>| {
        methods.into_keys().map(|method| method.to_uppercase()).collect::<Vec<_>>().join(", ")
    };
    paths.into_iter().map(|(path, methods)| (path, allowed(methods))).collect()
});

pub(super) async fn nothing_here(request: HttpRequest) -> HttpResponse {
    let known = KNOWN.iter().find(|(template, _)| fits(template, request.path()));
    match known {
        Some((_, allowed)) => not_allowed(allowed),
        None => Refusal::missing().error_response(),
    }
}

/// Whether a path is of a template: `/v1/agents/{id}`.
fn fits(template: &str, path: &str) -> bool {
    let (mut parts, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (parts.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(given)) if part == given || part.starts_with('{') && !given.is_empty() => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_its_template_and_no_other() {
        let template = "/v1/agents/{id}/hooks";
        assert!(fits(template, "/v1/agents/a1/hooks"));
        for other in
            ["/v1/agents/a1", "/v1/agents//hooks", "/v1/agents/a1/hooks/h1", "/v1/agents/a1/codes", ""]
        {
            assert!(!fits(template, other), "{other}");
        }
        let of_agents = KNOWN.iter().find(|(path, _)| path == "/v1/agents/{id}").unwrap();
        assert_eq!(of_agents.1, "DELETE, GET, PATCH");
    }
}
