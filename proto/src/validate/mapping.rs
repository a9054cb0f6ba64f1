//! Checks of the mapping rules that need no reference data.

use super::{Check, shorten};
use spend::mapping::{CategoryRule, DocumentKind, MappingRules, TagRule, TagTarget};
use std::collections::BTreeMap;

const SEPARATOR: &str = "segments are joined by `|`";

pub(super) fn check(check: &mut Check, path: &str, rules: &MappingRules, document: DocumentKind) {
    let mut mapping = Mapping { check, count: rules.segment_count };
    mapping.check.range(format!("{path}.segment_count"), rules.segment_count.into(), 1, 20);
    for (name, rule) in &rules.categories {
        mapping.category(&format!("{path}.categories.{name:?}"), rule);
    }
    if let Some(rule) = &rules.default_category {
        mapping.category(&format!("{path}.default_category"), rule);
    }
    mapping.segments(&format!("{path}.default_segments"), &rules.default_segments);
    mapping.tags(&format!("{path}.tags"), &rules.tags);
    mapping.owners(path, rules);
    mapping.accounts(path, rules, document);
    for (index, code) in rules.currencies.iter().enumerate() {
        mapping.check.currency(format!("{path}.currencies[{index}]"), code);
    }
}

struct Mapping<'a> {
    check: &'a mut Check,
    count: u8,
}

impl Mapping<'_> {
    fn category(&mut self, path: &str, rule: &CategoryRule) {
        self.code(format!("{path}.account"), &rule.account);
        self.segments(&format!("{path}.segments"), &rule.segments);
    }

    fn segments(&mut self, path: &str, segments: &BTreeMap<u8, String>) {
        for (number, value) in segments {
            let path = format!("{path}.{number}");
            self.segment(path.clone(), *number);
            self.code(path, value);
        }
    }

    fn segment(&mut self, path: String, number: u8) {
        if number == 1 {
            self.check.refuse_because(
                path,
                "segment 1 cannot be set here",
                "it is the natural account, which the category gives",
                "use segment 2 or higher",
            );
        } else if number == 0 || number > self.count {
            self.check.refuse(
                path,
                format!("there is no segment {number}"),
                format!("use a segment from 2 to {}, or raise segment_count", self.count),
            );
        }
    }

    fn tags(&mut self, path: &str, tags: &[TagRule]) {
        for (index, tag) in tags.iter().enumerate() {
            let path = format!("{path}[{index}]");
            self.check.range(format!("{path}.level"), tag.level.into(), 1, 10);
            if let Some(first) = tags[..index].iter().position(|other| other.level == tag.level) {
                self.check.refuse(
                    format!("{path}.level"),
                    format!("level {} already has the rule tags[{first}]", tag.level),
                    "keep one rule for each level",
                );
            }
            if let Some(first) = tags[..index].iter().position(|other| other.target == tag.target) {
                self.check.refuse(
                    format!("{path}.target"),
                    format!("tags[{first}] fills the same target"),
                    "let each tag level fill a target of its own",
                );
            }
            if let TagTarget::Segment(number) = tag.target {
                self.segment(format!("{path}.target"), number);
            }
            for (value, code) in &tag.values {
                self.code(format!("{path}.values.{value:?}"), code);
            }
        }
    }

    fn owners(&mut self, path: &str, rules: &MappingRules) {
        for (owner, vendor) in &rules.owners {
            let path = format!("{path}.owners.{owner:?}");
            if !owner.contains('@') || *owner != owner.trim().to_lowercase() {
                self.check.refuse_because(
                    path.clone(),
                    "the owner is not a lower-case e-mail address",
                    "owners are compared in lower case, so this rule would never apply",
                    "write the address in lower case",
                );
            }
            self.text(path, vendor.as_str());
        }
        if let Some(vendor) = &rules.default_vendor {
            self.text(format!("{path}.default_vendor"), vendor.as_str());
        }
    }

    fn accounts(&mut self, path: &str, rules: &MappingRules, document: DocumentKind) {
        let named = [
            ("offset_reimbursable", &rules.offset_reimbursable),
            ("offset_card", &rules.offset_card),
            ("tax_account", &rules.tax_account),
        ];
        for (field, account) in named {
            if let Some(account) = account {
                self.code(format!("{path}.{field}"), account);
            }
        }
        if document == DocumentKind::Journal
            && rules.offset_reimbursable.is_none()
            && rules.offset_card.is_none()
        {
            self.check.refuse_because(
                format!("{path}.offset_reimbursable"),
                "a journal needs an offset account",
                "every journal must balance",
                "name the account for accrued expenses here, or the card clearing account as offset_card",
            );
        }
    }

    /// The value of one segment.
    fn code(&mut self, path: String, code: &str) {
        if code.contains('|') {
            self.check.refuse_because(
                path,
                format!("`{}` holds a `|`", shorten(code)),
                SEPARATOR,
                "write one segment's value here and the others as segments",
            );
        } else {
            self.text(path, code);
        }
    }

    fn text(&mut self, path: String, text: &str) {
        if text.trim().is_empty() || text.trim() != text || text.chars().any(char::is_control) {
            self.check.refuse(
                path,
                "the code is empty, or has spaces around it",
                "write the code as the ERP shows it",
            );
        }
    }
}
