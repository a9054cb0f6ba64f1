//! The ERP's documents without what may differ between two runs over the same world: numbers that the ERP gives, and
//! the group that carries them.

use std::collections::BTreeMap;

use serde_json::Value;

/// What the ERP gives by itself, to a document or to its lines.
const GIVEN: [&str; 4] = ["journal_num", "group", "number", "id"];

/// Documents by reference; more than one under a reference is a doubled posting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books(BTreeMap<String, Vec<String>>);

impl Books {
    /// The books in a state of an ERP's simulator.
    pub fn of(erp: &Value) -> Self {
        let mut books: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let companies = erp.get("companies").and_then(Value::as_object);
        for (company, held) in companies.into_iter().flatten() {
            for document in held.get("documents").and_then(Value::as_array).into_iter().flatten() {
                let reference = document.get("reference").and_then(Value::as_str).unwrap_or_default();
                let mut lasting = document.clone();
                forget_given(&mut lasting);
                let lines = lasting.get_mut("lines").and_then(Value::as_array_mut);
                lines.into_iter().flatten().for_each(forget_given);
                books.entry(reference.to_owned()).or_default().push(format!("{company} {lasting}"));
            }
        }
        Self(books)
    }

    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// References of `expected` that are missing here.
    pub fn lost(&self, expected: &Self) -> Vec<String> {
        expected.0.keys().filter(|reference| !self.0.contains_key(*reference)).cloned().collect()
    }

    /// References under which there is more than one document, or one that is not expected at all.
    pub fn doubled(&self, expected: &Self) -> Vec<String> {
        let beyond = |reference: &String, here: &Vec<String>| {
            here.len() > expected.0.get(reference).map_or(0, Vec::len)
        };
        self.0.iter().filter(|(reference, here)| beyond(reference, here)).map(|(r, _)| r.clone()).collect()
    }

    /// References whose documents differ from what is expected in anything that counts, both forms shown.
    pub fn altered(&self, expected: &Self) -> Vec<String> {
        let differs = |(reference, here): (&String, &Vec<String>)| {
            let there = expected.0.get(reference)?;
            let strange = here.iter().find(|document| !there.contains(document))?;
            Some(format!("{reference}: {strange} instead of {}", there.join(", ")))
        };
        self.0.iter().filter_map(differs).collect()
    }
}

fn forget_given(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        GIVEN.into_iter().for_each(|name| drop(fields.remove(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn books(documents: &[(&str, &str, u32)]) -> Books {
        let documents: Vec<Value> = documents
            .iter()
            .map(|(reference, total, number)| {
                json!({ "reference": reference, "total": total, "journal_num": number })
            })
            .collect();
        Books::of(&json!({ "companies": { "C1": { "documents": documents } } }))
    }

    #[test]
    fn what_the_erp_numbers_does_not_count_and_all_else_does() {
        let expected = books(&[("A", "1.00", 1), ("B", "2.00", 2)]);
        let same = books(&[("B", "2.00", 1), ("A", "1.00", 7)]);
        assert_eq!(same, expected);
        let other = books(&[("A", "1.01", 1), ("C", "3.00", 2), ("C", "3.00", 3)]);
        assert_eq!(other.lost(&expected), ["B"]);
        assert_eq!(other.doubled(&expected), ["C"]);
        assert_eq!(other.altered(&expected).len(), 1);
        let twice = books(&[("A", "1.00", 1), ("A", "1.00", 2), ("B", "2.00", 3)]);
        assert_eq!(twice.doubled(&expected), ["A"]);
        assert!(twice.altered(&expected).is_empty() && twice.lost(&expected).is_empty());
    }
}
