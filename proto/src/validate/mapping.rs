//! Checks of the mapping rules that need no reference data.

use super::{Check, shorten};
use crate::suggest::nearest;
use spend::mapping::{
    CategoryRule, DocumentKind, LineSelection, MappingRules, TagRule, TagTarget, VendorFrom,
};
use std::collections::BTreeMap;

/// The names of dimensions that ERPs are known to have. Others are allowed; one that is nearly one of these is a slip.
const DIMENSIONS: [&str; 6] = ["branch", "class", "cost-code", "department", "location", "project-task"];

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
    mapping.dimensions(&format!("{path}.default_dimensions"), &rules.default_dimensions);
    mapping.owners(path, rules);
    mapping.merchants(path, rules, document);
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
        self.dimensions(&format!("{path}.dimensions"), &rule.dimensions);
    }

    fn dimensions(&mut self, path: &str, dimensions: &BTreeMap<String, String>) {
        for (name, value) in dimensions {
            let path = format!("{path}.{name:?}");
            self.dimension(path.clone(), name);
            self.text(path, value);
        }
    }

    /// A name in lower case with hyphens, and not a slip of a known one.
    fn dimension(&mut self, path: String, name: &str) {
        // `branch-2` is meant so.
        let meant = nearest(name, DIMENSIONS).filter(|_| !name.contains(|c: char| c.is_ascii_digit()));
        let letters = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        if !name.split('-').all(letters) || name.len() > 40 {
            self.check.refuse(
                path,
                format!("`{}` is not the name of a dimension", shorten(name)),
                match meant {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "write lower-case letters, digits and single `-`, such as `cost-code`".to_owned(),
                },
            );
        } else if let Some(meant) = meant.filter(|meant| *meant != name) {
            self.check.refuse_because(
                path,
                format!("`{name}` is nearly the dimension `{meant}`"),
                "a dimension of a wrong name would never reach the ERP",
                format!("did you mean `{meant}`?"),
            );
        }
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
            if let TagTarget::Dimension(name) = &tag.target {
                self.dimension(format!("{path}.target.dimension"), name);
            }
            for (value, code) in &tag.values {
                let path = format!("{path}.values.{value:?}");
                match &tag.target {
                    // Leaves the dimension out, also where there is a default.
                    TagTarget::Dimension(_) if code.is_empty() => {}
                    TagTarget::Dimension(_) => self.text(path, code),
                    TagTarget::Segment(_) | TagTarget::Project => self.code(path, code),
                }
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

    fn merchants(&mut self, path: &str, rules: &MappingRules, document: DocumentKind) {
        for (merchant, vendor) in &rules.merchants {
            let path = format!("{path}.merchants.{merchant:?}");
            if merchant.trim().is_empty() {
                self.check.refuse(
                    path.clone(),
                    "the merchant is empty",
                    "write the source's id of the merchant, or its name",
                );
            }
            self.text(path, vendor.as_str());
        }
        if !(500..=1000).contains(&rules.match_threshold) {
            self.check.refuse_because(
                format!("{path}.match_threshold"),
                format!("{} is out of range", rules.match_threshold),
                "it is a likeness in thousandths, and below 500 names have little in common",
                "write a number from 500 to 1000, such as 920",
            );
        }
        let by_merchant = rules.vendor_from == VendorFrom::Merchant;
        if !rules.merchants.is_empty() && !by_merchant {
            self.check.refuse_because(
                format!("{path}.merchants"),
                "merchants are named, and nothing looks at them",
                "vendor_from says that invoices are not made out to merchants",
                "set vendor_from to \"merchant\", or take the merchants out",
            );
        }
        if by_merchant && document == DocumentKind::Journal {
            self.check.refuse_because(
                format!("{path}.vendor_from"),
                "a journal has no vendor",
                "vendor_from says whom invoices are made out to",
                "set document to \"ap-invoice\", or leave vendor_from out",
            );
        }
        if by_merchant && rules.select == LineSelection::Reimbursable {
            self.check.refuse_because(
                format!("{path}.select"),
                "what owners are owed cannot go to merchants",
                "every record would be held",
                "set select to \"non-reimbursable\", or vendor_from to \"owner\"",
            );
        }
        if rules.vendor_from == VendorFrom::Fixed && rules.default_vendor.is_none() {
            self.check.refuse(
                format!("{path}.default_vendor"),
                "vendor_from is \"fixed\" and no vendor is named",
                "name the vendor that all invoices are made out to",
            );
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
