//! What is kept of a webhook.

use super::*;

#[test]
fn only_headers_that_a_check_can_need_are_kept() {
    let headers = [
        ("Svix-Id", "m1"),
        ("webhook-signature", "v1,x"),
        ("Concur-Signature", "y"),
        ("Content-Type", "application/json"),
        ("X-Shared", "secret"),
        ("Authorization", "Bearer z"),
        ("Cookie", "a=b"),
        ("X-Forwarded-For", "192.0.2.1"),
    ];
    let kept = kept(headers.into_iter(), &["x-shared".to_owned()]);
    let names: Vec<&str> = kept.keys().map(String::as_str).collect();
    assert_eq!(names.len(), 5);
    for name in ["svix-id", "webhook-signature", "concur-signature", "content-type", "x-shared"] {
        assert!(names.contains(&name), "{name}");
    }
}

#[test]
fn headers_that_are_too_large_are_left_out() {
    let large = "x".repeat(LARGEST_HEADERS);
    let headers = [("webhook-id", "m1"), ("webhook-signature", large.as_str())];
    assert_eq!(kept(headers.into_iter(), &[]).len(), 1);
}
