//! From the merchants of a record to the one vendor that its invoice is made out to.

use super::{Check, ValidVendor};
use crate::document::SpendLine;
use crate::finding::{Finding, FindingCode};
use crate::ids::VendorCode;
use crate::matching::{Candidate, Verdict, merchant_key, ruled};
use std::collections::BTreeMap;

/// Where a merchant's vendor was found.
enum Found {
    /// In the rules, or by a person.
    Said(VendorCode),
    /// By likeness of names.
    Alike(Candidate),
}

impl Check<'_> {
    /// The rules of the flow first, then a person's choice, then the vendor whose name is surely the merchant's.
    pub(super) fn merchant_vendor(&mut self, selected: &[&SpendLine]) -> Option<ValidVendor> {
        let has_merchant = |line: &&&SpendLine| merchant_key(line).is_some();
        if !selected.is_empty()
            && !selected.iter().any(|line| has_merchant(&line))
            && self.rules.default_vendor.is_some()
        {
            return self.fixed_vendor();
        }
        let mut found: BTreeMap<VendorCode, &str> = BTreeMap::new();
        let mut complete = true;
        let mut asked = BTreeMap::new();
        for line in selected {
            let Some(key) = merchant_key(line) else {
                complete = false;
                self.no_merchant(line);
                continue;
            };
            if asked.insert((key.clone(), &line.merchant), ()).is_none() {
                match self.vendor_of(&key, line) {
                    Some(code) => drop(found.insert(code, &line.merchant)),
                    None => complete = false,
                }
            }
        }
        if found.len() > 1 {
            self.differ(&found);
            return None;
        }
        let code = found.into_keys().next().filter(|_| complete)?;
        self.usable_vendor(&code)
    }

    fn vendor_of(&mut self, key: &str, line: &SpendLine) -> Option<VendorCode> {
        let found = match self.said(key, line) {
            Some(code) => Found::Said(code.clone()),
            None => match self.merchants.judge(&line.merchant, self.rules.match_threshold) {
                Verdict::Sure(candidate) => Found::Alike(candidate),
                Verdict::Unsure(nearest) => {
                    self.unmatched(line, &nearest);
                    return None;
                }
            },
        };
        match found {
            Found::Said(code) => Some(code),
            Found::Alike(candidate) => {
                self.notes.push(Finding::document(
                    FindingCode::MerchantMatched,
                    "merchant",
                    line.merchant.trim(),
                    format!("merchant `{}` is taken for vendor {candidate}", line.merchant.trim()),
                    "if it is another, name it in flow.mapping.merchants in purser.toml before it is booked",
                ));
                Some(candidate.code)
            }
        }
    }

    /// What the rules or a person say of this merchant.
    fn said(&self, key: &str, line: &SpendLine) -> Option<&VendorCode> {
        ruled(&self.rules.merchants, key, &line.merchant).or_else(|| self.merchants.choice(key))
    }

    fn no_merchant(&mut self, line: &SpendLine) {
        self.finding(
            FindingCode::MerchantMissing,
            Some(&line.id),
            "merchant",
            "",
            "the line has no merchant, so nobody can tell whose invoice it is".to_owned(),
            "enter the merchant in the source system; records without any merchant can go to \
             flow.mapping.default_vendor in purser.toml"
                .to_owned(),
        );
    }

    fn unmatched(&mut self, line: &SpendLine, nearest: &[Candidate]) {
        let merchant = line.merchant.trim();
        let nearest: Vec<String> = nearest.iter().map(Candidate::to_string).collect();
        let nearest = match nearest.as_slice() {
            [] => "no vendor has a name like it".to_owned(),
            some => format!("nearest: {}", some.join("; ")),
        };
        self.finding(
            FindingCode::MerchantUnmatched,
            None,
            "merchant",
            merchant,
            format!(
                "no vendor is surely merchant `{merchant}` (needed likeness {}); {nearest}",
                self.rules.match_threshold
            ),
            format!(
                "say which it is with `purser records choose {} VENDOR`; it is remembered for this merchant",
                self.document.source_id
            ),
        );
    }

    fn differ(&mut self, found: &BTreeMap<VendorCode, &str>) {
        let named: Vec<String> =
            found.iter().map(|(code, merchant)| format!("`{}` is {code}", merchant.trim())).collect();
        self.finding(
            FindingCode::MerchantsDiffer,
            None,
            "merchant",
            "",
            format!("the lines are of different vendors, and an invoice has one: {}", named.join(", ")),
            "split the record in the source system, or book it with a flow that writes journals".to_owned(),
        );
    }
}
