//! The demo itself: what the README promises of it is judged by the demo, and its verdict by this test.

use serde_json::Value;
use std::process::Command;

#[test]
fn the_demo_of_all_flows_ends_as_it_must() {
    let words = ["demo", "--reports", "24", "--output", "json"];
    let shown = Command::new(env!("CARGO_BIN_EXE_sandbox")).args(words).output().unwrap();
    let result: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert!(shown.status.success(), "{result:#}");
    assert_eq!((&result["duplicates"], &result["lost"]), (&0.into(), &0.into()), "{result:#}");
    assert!(result["webhook_ms"].is_u64() && result["replayed"].is_string(), "{result:#}");
    for complaint in ["leaks", "misuse", "faults"] {
        assert_eq!(result[complaint], Value::Array(Vec::new()), "{result:#}");
    }
}
