//! What the tags of a line fill: segments and the project.

use super::Check;
use super::accounts::Segments;
use crate::document::SpendLine;
use crate::finding::FindingCode;
use crate::ids::ProjectCode;
use crate::mapping::{TagRule, TagTarget};

impl Check<'_> {
    /// The project of a line, from the first tag rule that names one.
    pub(super) fn project(&mut self, line: &SpendLine) -> Option<ProjectCode> {
        let rules = self.rules;
        let code = rules
            .tags
            .iter()
            .filter(|rule| rule.target == TagTarget::Project)
            .find_map(|rule| tag_value(rule, line).ok().flatten())?;
        let project = ProjectCode::new(code);
        let id = Some(&line.id);
        let Some(known) = self.reference.projects.get(&project) else {
            self.finding(
                FindingCode::ProjectUnknown,
                id,
                "project",
                project.as_str(),
                format!("project {project} is not known in company {}", self.reference.company),
                "set the project up in the ERP, correct the tag in the source system, or map it in \
                 flow.mapping.tags in purser.toml"
                    .to_owned(),
            );
            return None;
        };
        let on_date = self.date.is_none_or(|date| known.effective.covers(date));
        if !known.active || !on_date {
            let why = if known.active { "is not open on the posting date" } else { "is closed" };
            self.finding(
                FindingCode::ProjectClosed,
                id,
                "project",
                project.as_str(),
                format!("project {project} ({}) {why}", known.description),
                "reopen the project in the ERP, or correct the tag in the source system".to_owned(),
            );
        }
        Some(project)
    }

    /// What the tags fill; `None` when a tag is missing or unmapped.
    pub(super) fn tag_segments(&mut self, line: &SpendLine) -> Option<Segments> {
        let mut segments = Segments::new();
        let mut complete = true;
        let rules = self.rules;
        for rule in &rules.tags {
            match tag_value(rule, line) {
                Ok(Some(value)) => {
                    if let TagTarget::Segment(number) = rule.target {
                        segments.entry(number).or_insert(value);
                    }
                }
                Ok(None) if rule.required => {
                    complete = false;
                    self.finding(
                        FindingCode::TagMissing,
                        Some(&line.id),
                        &format!("tag level {}", rule.level),
                        "",
                        format!("the line has no tag on level {}, which fills the {}", rule.level, rule.target.words()),
                        "tag the expense in the source system, or lift `required` in flow.mapping.tags in purser.toml"
                            .to_owned(),
                    );
                }
                Ok(None) => {}
                Err(value) => {
                    complete = false;
                    self.finding(
                        FindingCode::TagUnmapped,
                        Some(&line.id),
                        &format!("tag level {}", rule.level),
                        value,
                        format!("tag `{value}` leads to no {}", rule.target.words()),
                        format!(
                            "add \"{value}\" to `values` of level {} in flow.mapping.tags in purser.toml",
                            rule.level
                        ),
                    );
                }
            }
        }
        complete.then_some(segments)
    }
}

impl TagTarget {
    fn words(&self) -> String {
        match self {
            Self::Segment(number) => format!("segment {number}"),
            Self::Project => "project".to_owned(),
            Self::Dimension(name) => format!("dimension {name}"),
        }
    }
}

/// The ERP's code for a line's tag; `Err` with the tag's value when no mapping allows it.
pub(super) fn tag_value<'l>(rule: &TagRule, line: &'l SpendLine) -> Result<Option<String>, &'l str> {
    let tag = line.tags.iter().find(|tag| tag.level == rule.level && !tag.value.trim().is_empty());
    let Some(tag) = tag else { return Ok(None) };
    let code = tag.code.as_deref().filter(|code| !code.trim().is_empty());
    let mapped = rule.values.get(&tag.value).or_else(|| rule.values.get(code?));
    match mapped {
        Some(value) => Ok(Some(value.clone())),
        None if rule.pass_through => Ok(Some(code.unwrap_or(&tag.value).trim().to_owned())),
        None => Err(&tag.value),
    }
}
