//! No answer, however odd, brings a parser down.

use super::super::convert::{decode_entities, document};
use super::super::outcome::Judge;
use super::super::template::{read_export, read_marked};
use super::super::wire::Envelope;
use super::super::{calls, settings};
use super::*;
use proptest::prelude::*;

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-99999999999999999999999".to_owned()),
        Just("1e400".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| Value::String(text).to_string()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("[{\"tags\":null},{\"tags\":[]}]".to_owned()),
    ];
    let key = prop_oneof![
        Just("k"),
        Just("reportID"),
        Just("transactionID"),
        Just("amount"),
        Just("convertedAmount"),
        Just("total"),
        Just("currency"),
        Just("created"),
        Just("approved"),
        Just("tag"),
        Just("tagGlCode"),
        Just("ntag1"),
        Just("expenses"),
        Just("reimbursable"),
        Just("responseCode"),
        Just("responseMessage"),
        Just("policyList"),
        Just("policyInfo"),
        Just("filename"),
        Just("hasTax"),
        Just("taxAmount"),
    ];
    let kind = prop_oneof![Just("B"), Just("R"), Just("E"), Just("Z"), Just("F"), Just("M"), Just("?")];
    (kind, prop::collection::btree_map(key, leaf, 0..8)).prop_map(|(kind, map)| {
        let fields: String = map
            .iter()
            .filter(|(key, _)| **key != "k")
            .map(|(key, value)| format!(",\"{key}\":{value}"))
            .collect();
        format!("{{\"k\":\"{kind}\"{fields}}}")
    })
}

fn judge_everything(body: &[u8], status: u16) {
    let judge =
        Judge { operation: "expensify.export", secret: "k", throttle_wait: chrono::TimeDelta::seconds(10) };
    let answer = answer(status, body);
    let _ = judge.job(&answer).map(|envelope| calls::file_name(envelope.as_ref(), body).is_ok());
    let _ = judge.download(&answer);
    if let Some(envelope) = Envelope::read(body) {
        let _ = calls::policies(&envelope);
        let _ = calls::policy_details(&envelope);
    }
    let _ = read_marked(body);
    if let Ok(file) = read_export(body) {
        for report in &file.reports {
            let _ = document(report, &settings::Settings::default());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 0..400), status in 100_u16..600) {
        judge_everything(&body, status);
        judge_everything(&[body.as_slice(), b"\n{\"k\":\"F\"}"].concat(), status);
    }

    #[test]
    fn odd_json_is_survived(lines in prop::collection::vec(json_text(), 0..12), status in 100_u16..600) {
        let file = lines.join("\n");
        judge_everything(file.as_bytes(), status);
        judge_everything(format!("{file}\n{{\"k\":\"F\"}}").as_bytes(), status);
        for line in &lines {
            judge_everything(line.as_bytes(), status);
        }
    }

    #[test]
    fn a_torn_file_never_loses_an_expense_unseen(cut in 0_usize..2000, length in 1_usize..200) {
        let mut bytes = TWO_REPORTS.as_bytes().to_vec();
        let start = cut % bytes.len();
        bytes.drain(start..(start + length).min(bytes.len()));
        let Ok(file) = read_export(&bytes) else { return Ok(()) };
        for report in file.reports.iter().filter(|report| report.damage.is_none()) {
            if let Ok(document) = document(report, &settings::Settings::default()) {
                // A cut within a number or a name cannot be seen; a missing or torn line must be.
                let lines = if document.source_id.as_str() == "R00bCluvcO4T" { 2 } else { document.lines.len() };
                prop_assert_eq!(document.lines.len(), lines);
            }
        }
    }

    #[test]
    fn entities_never_grow_a_text(text in any::<String>()) {
        prop_assert!(decode_entities(&text).len() <= text.len());
    }
}
