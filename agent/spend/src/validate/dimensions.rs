//! Dimensions beside account and project: from tags, then the category's rule, then the flow's defaults.

use super::Check;
use super::tags::tag_value;
use crate::document::SpendLine;
use crate::finding::FindingCode;
use crate::ids::ProjectCode;
use crate::mapping::TagTarget;
use crate::reference::SegmentValue;
use std::collections::BTreeMap;

type Values = BTreeMap<String, SegmentValue>;

impl<'a> Check<'a> {
    /// The dimensions of a line, each checked where the ERP lets its values be read. A tag that is mapped to an empty
    /// code takes the default away. Missing and unmapped tags are told where accounts are made.
    pub(super) fn dimensions(
        &mut self,
        line: &SpendLine,
        project: Option<&ProjectCode>,
    ) -> BTreeMap<String, String> {
        let rules = self.rules;
        let mut dimensions = rules.default_dimensions.clone();
        if let Some(rule) = self.category_rule(line) {
            dimensions.extend(rule.dimensions.clone());
        }
        for rule in &rules.tags {
            if let (TagTarget::Dimension(name), Ok(Some(value))) = (&rule.target, tag_value(rule, line)) {
                dimensions.insert(name.clone(), value);
            }
        }
        let tidy = |(name, value): (String, String)| (name, value.trim().to_owned());
        let dimensions: BTreeMap<String, String> =
            dimensions.into_iter().map(tidy).filter(|(_, value)| !value.is_empty()).collect();
        for (name, values) in &self.reference.dimensions {
            match dimensions.get(name) {
                Some(value) => self.check_dimension(line, project, name, value, values),
                None => self.check_project_is_undivided(line, project, name, values),
            }
        }
        dimensions
    }

    fn check_dimension(
        &mut self,
        line: &SpendLine,
        project: Option<&ProjectCode>,
        name: &str,
        value: &str,
        values: &Values,
    ) {
        let within = project.and_then(|project| values.get(&format!("{project}|{value}")));
        let known = within.or_else(|| values.get(value).filter(|_| !value.contains('|')));
        let (code, message) = match known {
            None => (FindingCode::DimensionUnknown, self.not_a_value(project, name, value, values)),
            Some(known) if !known.active => {
                (FindingCode::DimensionInactive, format!("{name} {value} ({}) is inactive", known.name))
            }
            Some(known) if self.date.is_some_and(|date| !known.effective.covers(date)) => (
                FindingCode::DimensionInactive,
                format!("{name} {value} ({}) is not effective on the posting date", known.name),
            ),
            Some(_) => return,
        };
        let fix = "correct the tag in the source system, mend flow.mapping.tags, the category's dimensions or \
                   flow.mapping.default_dimensions in purser.toml, or the value in the ERP";
        self.finding(code, Some(&line.id), name, value, message, fix.to_owned());
    }

    fn not_a_value(&self, project: Option<&ProjectCode>, name: &str, value: &str, values: &Values) -> String {
        let elsewhere = values.keys().any(|key| key.split_once('|').is_some_and(|(_, own)| own == value));
        match (elsewhere, project) {
            (true, None) => format!("{name} `{value}` belongs to a project, and the line has none"),
            (_, Some(project)) if values.keys().any(|key| key.contains('|')) => {
                format!("`{value}` is not a {name} of project {project}")
            }
            (_, _) => format!("`{value}` is not a {name} in company {}", self.reference.company),
        }
    }

    /// A project that the dimension divides needs a value of it, unless the ERP itself has a default for it.
    fn check_project_is_undivided(
        &mut self,
        line: &SpendLine,
        project: Option<&ProjectCode>,
        name: &str,
        values: &Values,
    ) {
        let Some(project) = project else { return };
        let head = format!("{project}|");
        let first = values.range(head.clone()..).next().filter(|(key, _)| key.starts_with(&head));
        let divided = first.is_some_and(|(key, _)| *key != head);
        if divided {
            self.finding(
                FindingCode::DimensionMissing,
                Some(&line.id),
                name,
                "",
                format!("project {project} is divided by {name}, and nothing gives the line one"),
                format!(
                    "tag the expense in the source system, or set flow.mapping.default_dimensions.{name} in purser.toml"
                ),
            );
        }
    }
}
