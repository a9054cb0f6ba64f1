//! From category and tags to an account whose every part is known, active and effective.

use super::{Check, Offsets};
use crate::document::SpendLine;
use crate::finding::FindingCode;
use crate::ids::{GlAccount, LineId};
use crate::mapping::CategoryRule;
use crate::reference::Account;
use std::collections::BTreeMap;

/// Values by segment number.
pub(super) type Segments = BTreeMap<u8, String>;

impl<'a> Check<'a> {
    /// The account of a line; `None` when a finding says why not.
    pub(super) fn account(&mut self, line: &SpendLine) -> Option<GlAccount> {
        let tags = self.tag_segments(line);
        let category = self.category(line)?;
        let Some(tags) = tags else {
            // What the missing tag would have filled is unknown; the rest is checked all the same.
            self.check_segments(Some(&line.id), &category, "flow.mapping.categories");
            return None;
        };
        let segments = self.merged(&category, &tags);
        self.whole_account(Some(line), &segments, "account", "flow.mapping.categories")
    }

    /// The account of a line's tax: the line's own segments below the natural account of taxes.
    pub(super) fn tax_account(&mut self, line: &SpendLine, natural: &str) -> Option<GlAccount> {
        let tags = self.tag_segments(line);
        let mut segments = self.split(natural);
        if segments.len() == 1 {
            let others = self.merged(&self.known_category(line).unwrap_or_default(), &tags?);
            segments.extend(others.into_iter().filter(|(number, _)| *number != 1));
        }
        self.whole_account(Some(line), &segments, "tax account", "flow.mapping.tax_account")
    }

    /// The offset accounts that the kinds of lines present need.
    pub(super) fn offsets(&mut self, selected: &[&SpendLine]) -> Offsets {
        let owed = selected.iter().any(|line| line.reimbursable);
        let card = selected.iter().any(|line| !line.reimbursable);
        let rules = self.rules;
        let mut offset = |wanted: bool, account: &Option<String>, name: &str, what: &str| {
            if wanted { self.offset(account.as_deref(), name, what) } else { None }
        };
        Offsets {
            reimbursable: offset(
                owed,
                &rules.offset_reimbursable,
                "offset_reimbursable",
                "owed to the owner",
            ),
            card: offset(card, &rules.offset_card, "offset_card", "paid by company card"),
        }
    }

    fn offset(&mut self, account: Option<&str>, name: &str, what: &str) -> Option<GlAccount> {
        let path = format!("flow.mapping.{name}");
        let Some(account) = account else {
            self.finding(
                FindingCode::AccountUnknown,
                None,
                name,
                "",
                format!("no account is set to balance lines {what}"),
                format!("set {path} in purser.toml"),
            );
            return None;
        };
        let mut segments = self.rules.default_segments.clone();
        segments.extend(self.split(account));
        self.whole_account(None, &segments, "offset account", &path)
    }

    /// What the category says, or a finding.
    fn category(&mut self, line: &SpendLine) -> Option<Segments> {
        if let Some(segments) = self.known_category(line) {
            return Some(segments);
        }
        match line.category.as_deref().filter(|name| !name.trim().is_empty()) {
            None => self.finding(
                FindingCode::CategoryMissing,
                Some(&line.id),
                "category",
                "",
                "the line has no category".to_owned(),
                "categorise the expense in the source system, or set flow.mapping.default_category in purser.toml"
                    .to_owned(),
            ),
            Some(name) => self.finding(
                FindingCode::CategoryUnmapped,
                Some(&line.id),
                "category",
                name,
                format!("category `{name}` leads to no account"),
                format!("add flow.mapping.categories.\"{name}\" in purser.toml, or a GL code to it in the source"),
            ),
        }
        None
    }

    fn known_category(&self, line: &SpendLine) -> Option<Segments> {
        match (self.category_rule(line), self.used_code(line)) {
            (Some(rule), _) => Some(self.rule_segments(rule)),
            (None, Some(code)) => Some(self.split(code)),
            (None, None) => None,
        }
    }

    /// The rule of a line's category: its own, or the default where the source gives no code either.
    pub(super) fn category_rule(&self, line: &SpendLine) -> Option<&'a CategoryRule> {
        let rules = self.rules;
        let own = rules.categories.get(line.category.as_deref().unwrap_or_default());
        own.or_else(|| rules.default_category.as_ref().filter(|_| self.used_code(line).is_none()))
    }

    /// The code that the source attaches to the category, where codes are used.
    fn used_code<'l>(&self, line: &'l SpendLine) -> Option<&'l str> {
        let code = line.category_code.as_deref().map(str::trim).filter(|code| !code.is_empty());
        code.filter(|_| self.rules.use_category_code)
    }

    fn rule_segments(&self, rule: &CategoryRule) -> Segments {
        let mut segments = self.split(&rule.account);
        segments.extend(rule.segments.clone());
        segments
    }

    /// What stands between `|` fills the segments from the first on, empty parts left to others; `-` separates only
    /// where there are as many parts as segments, for it may be part of a natural account.
    fn split(&self, code: &str) -> Segments {
        let code = code.trim();
        let count = usize::from(self.rules.segment_count);
        let is_natural = self.reference.segments.get(&1).is_some_and(|s| s.values.contains_key(code));
        for separator in ['|', '-'] {
            let parts: Vec<&str> = code.split(separator).map(str::trim).collect();
            let whole = parts.len() == count || (separator == '|' && parts.len() < count);
            if !is_natural && parts.len() > 1 && whole {
                let parts = (1..).zip(parts.into_iter().map(str::to_owned));
                return parts.filter(|(_, value)| !value.is_empty()).collect();
            }
        }
        Segments::from([(1, code.to_owned())])
    }

    /// Tags before category before defaults.
    fn merged(&self, category: &Segments, tags: &Segments) -> Segments {
        let mut segments = self.rules.default_segments.clone();
        segments.extend(category.clone());
        segments.extend(tags.clone());
        segments
    }

    fn whole_account(
        &mut self,
        line: Option<&SpendLine>,
        segments: &Segments,
        field: &str,
        path: &str,
    ) -> Option<GlAccount> {
        let id = line.map(|line| &line.id);
        let count = self.rules.segment_count.max(1);
        let mut values = Vec::new();
        for number in 1..=count {
            match segments.get(&number).filter(|value| !value.trim().is_empty()) {
                Some(value) => values.push(value.trim().to_owned()),
                None => self.segment_without_value(id, number, path),
            }
        }
        if values.len() < usize::from(count) {
            self.check_segments(id, segments, path);
            return None;
        }
        let account = GlAccount::from_segments(&values);
        self.check_account(id, &account, &values, field, path).then_some(account)
    }

    fn check_segments(&mut self, line: Option<&LineId>, segments: &Segments, path: &str) {
        for (number, value) in segments.range(1..=self.rules.segment_count.max(1)) {
            if !value.trim().is_empty() {
                self.check_segment(line, *number, value.trim(), false, path);
            }
        }
    }

    fn segment_without_value(&mut self, line: Option<&LineId>, number: u8, path: &str) {
        self.finding(
            FindingCode::SegmentUnknown,
            line,
            &format!("segment {number}"),
            "",
            format!("nothing gives a value for segment {number} of the account"),
            format!("set flow.mapping.default_segments.{number}, a tag rule or {path} in purser.toml"),
        );
    }

    /// Whether the account may be posted to.
    fn check_account(
        &mut self,
        line: Option<&LineId>,
        account: &GlAccount,
        values: &[String],
        field: &str,
        path: &str,
    ) -> bool {
        let entry = self.chart_entry(account, values);
        let mut sound = true;
        for (number, value) in (1..).zip(values) {
            sound &= self.check_segment(line, number, value, entry.is_some(), path);
        }
        let company = &self.reference.company;
        let (code, message, fix) = match entry {
            // A segment has been named as the cause.
            None if !sound => return false,
            None => (
                FindingCode::AccountUnknown,
                format!("account {account} is not in the chart of accounts of company {company}"),
                format!("set the account up in the ERP, or mend {path} in purser.toml"),
            ),
            Some(entry) if !entry.active => (
                FindingCode::AccountInactive,
                format!("account {account} ({}) is inactive", entry.description),
                format!("activate the account in the ERP, or mend {path} in purser.toml"),
            ),
            Some(entry) if self.date.is_some_and(|date| !entry.effective.covers(date)) => (
                FindingCode::AccountNotEffective,
                format!("account {account} ({}) is not effective on the posting date", entry.description),
                format!("mend the dates of the account in the ERP, or mend {path} in purser.toml"),
            ),
            Some(_) => return sound,
        };
        self.finding(code, line, field, account.as_str(), message, fix);
        false
    }

    /// The chart's entry: the very account, or one that differs in dynamic segments only (the best of several).
    fn chart_entry(&self, account: &GlAccount, values: &[String]) -> Option<&'a Account> {
        let reference = self.reference;
        if let Some(entry) = reference.accounts.get(account) {
            return Some(entry);
        }
        let dynamic = |index: usize| {
            u8::try_from(index + 1).ok().and_then(|n| reference.segments.get(&n)).is_some_and(|s| s.dynamic)
        };
        if !(0..values.len()).any(dynamic) {
            return None;
        }
        let alike = |candidate: &GlAccount| {
            let parts = candidate.segments();
            parts.len() <= values.len()
                && values.iter().enumerate().all(|(i, v)| dynamic(i) || parts.get(i) == Some(&v.as_str()))
        };
        let natural = values.first().filter(|_| !dynamic(0)).map(String::as_str).unwrap_or_default();
        let from = GlAccount::new(natural);
        reference
            .accounts
            .range(from..)
            .take_while(|(candidate, _)| candidate.as_str().starts_with(natural))
            .filter(|(candidate, _)| alike(candidate))
            .map(|(_, entry)| entry)
            .max_by_key(|entry| (entry.active, self.date.is_none_or(|date| entry.effective.covers(date))))
    }

    /// Whether a value may be used; a finding says why not.
    fn check_segment(
        &mut self,
        line: Option<&LineId>,
        number: u8,
        value: &str,
        in_chart: bool,
        path: &str,
    ) -> bool {
        let reference = self.reference;
        let segment = reference.segments.get(&number);
        let dynamic = segment.is_some_and(|segment| segment.dynamic);
        let name = match segment {
            Some(segment) if !segment.name.is_empty() => segment.name.clone(),
            Some(_) | None => format!("segment {number}"),
        };
        let (unknown, inactive, not_effective, field) = match number {
            1 => (
                FindingCode::AccountUnknown,
                FindingCode::AccountInactive,
                FindingCode::AccountNotEffective,
                "account".to_owned(),
            ),
            _ => (
                FindingCode::SegmentUnknown,
                FindingCode::SegmentInactive,
                FindingCode::SegmentInactive,
                format!("segment {number}"),
            ),
        };
        let (code, message) = match segment.and_then(|segment| segment.values.get(value)) {
            // Joined into an account, such a value would pose as two segments.
            None if value.contains('|') => (unknown, format!("`{value}` cannot be the value of a segment")),
            // The chart itself proves values of segments that it contains.
            None if in_chart && !dynamic => return true,
            // The ERP did not let us read the values: the chart decides.
            None if segment.is_none_or(|segment| segment.values.is_empty()) && !dynamic => return true,
            None => (unknown, format!("`{value}` is not a value of {name} in company {}", reference.company)),
            Some(known) if !known.active => {
                (inactive, format!("{name} {value} ({}) is inactive", known.name))
            }
            Some(known) if self.date.is_some_and(|date| !known.effective.covers(date)) => (
                not_effective,
                format!("{name} {value} ({}) is not effective on the posting date", known.name),
            ),
            Some(_) => return true,
        };
        let fix = format!(
            "mend it in the ERP, correct the line in the source system, or mend {path} in purser.toml"
        );
        self.finding(code, line, &field, value, message, fix);
        false
    }
}
