//! The committed document is the one that the code makes.

use super::sample::{document, operations};
use super::world::{As, World};
use crate::api::admin::all;
use crate::api::admin::docs::text;
use actix_web::http::Method;
use std::collections::BTreeSet;
use utoipa_actix_web::OpenApiFactory as _;

#[test]
fn the_committed_document_is_the_one_of_the_code() {
    let committed = include_str!("../../../../openapi.json");
    let first = committed.lines().zip(text().lines()).find(|(old, new)| old != new);
    assert!(
        committed == text(),
        "openapi.json is old, first at {first:?}; look at the change and run\n  \
         cargo run --bin purser-control -- openapi > control-plane/openapi.json"
    );
}

#[test]
fn routes_that_are_served_are_not_described() {
    // Each worker's heap would keep the description.
    assert_eq!(all(false).paths().paths.len(), 0);
    assert!(all(true).paths().paths.len() > 50);
}

#[test]
fn every_operation_says_what_it_does_and_has_a_name_of_its_own() {
    let document = document();
    let mut names = BTreeSet::new();
    for operation in operations(&document) {
        let words = operation.spec["summary"].as_str().unwrap_or_default();
        assert!(
            !words.is_empty() && operation.spec["tags"].as_array().is_some_and(|tags| tags.len() == 1),
            "{operation:?}"
        );
        assert!(names.insert(operation.spec["operationId"].as_str().unwrap().to_owned()), "{operation:?}");
        for hole in operation.holes() {
            let described = operation.spec["parameters"].as_array().unwrap().iter();
            assert!(
                described.clone().any(|one| one["in"] == "path" && one["name"] == hole),
                "{}",
                operation.name()
            );
        }
    }
}

#[actix_web::test]
async fn the_document_and_its_page_need_nothing_from_elsewhere() {
    let world = World::new().await;
    let got = world.ask(&As::Nobody, Method::GET, "/v1/openapi.json", None).await;
    assert_eq!((got.status, got.body.as_str()), (200, text()));
    let page = world.ask(&As::Nobody, Method::GET, "/v1/docs", None).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    let script = world.ask(&As::Nobody, Method::GET, "/v1/docs.js", None).await;
    for text in [&page.body, &script.body] {
        assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("//cdn"), "{text}");
    }
    assert!(page.body.contains("src=\"/v1/docs.js\""));
    assert!(!script.body.contains("innerHTML"), "texts of the document are never HTML");
}
