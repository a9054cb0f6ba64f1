//! Keys of operations.

use super::super::calls::{create_values, create_vendor, rename_vendor, update_values};
use super::day;
use std::collections::BTreeSet;

#[test]
fn the_same_operation_has_the_same_key_on_the_same_day_and_no_other_has_it() {
    let today = day("2026-08-01");
    let key = |request: super::super::calls::Request| request.key.unwrap();
    assert_eq!(key(create_vendor("Acme", today)), key(create_vendor("Acme", today)));
    let all = [
        create_vendor("Acme", today),
        create_vendor("Acme", day("2026-08-02")),
        create_vendor("Acme 2", today),
        create_values("field_1", Vec::new(), today),
        create_values("field_2", Vec::new(), today),
    ]
    .map(key);
    assert_eq!(BTreeSet::from(all.clone()).len(), all.len());
    for key in all {
        let parts: Vec<&str> = key.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{key}");
        assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{key}");
    }
}

#[test]
fn changes_bear_no_key_so_that_one_back_and_forth_on_a_day_is_made_each_time() {
    for request in [rename_vendor("vendor_1", "Acme"), update_values("field_1", Vec::new())] {
        assert!(request.key.is_none());
    }
}
