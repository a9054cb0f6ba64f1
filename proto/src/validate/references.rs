//! Checks of one reference flow, and of reference flows beside each other.

use super::flows::{company, connection, when};
use super::{Check, ValidReference, shorten};
use crate::config::{Config, ReferenceConfig};
use spend::mirror::{MirrorCeiling, MirrorRules, Pattern, ReferenceSet};

pub(super) fn valid(
    check: &mut Check,
    path: &str,
    raw: &ReferenceConfig,
    config: &Config,
) -> Option<ValidReference> {
    check.name(format!("{path}.id"), raw.id.as_str());
    connection(check, format!("{path}.from"), &raw.from, &config.connections);
    connection(check, format!("{path}.to"), &raw.to, &config.connections);
    if raw.from == raw.to {
        check.refuse(
            format!("{path}.to"),
            "both ends are the same connection",
            "name the spend system's connection",
        );
    }
    company(check, format!("{path}.company"), &raw.company);
    check.range(format!("{path}.max_changes"), raw.max_changes, 1, 1_000_000);
    check.range(format!("{path}.max_disable_percent"), raw.max_disable_percent.into(), 0, 100);
    options(check, &format!("{path}.options"), raw.set, &raw.options);
    let (schedule, zone) = when(check, path, raw.schedule.as_deref(), &raw.timezone)?;
    Some(ValidReference {
        id: raw.id.clone(),
        from: raw.from.clone(),
        to: raw.to.clone(),
        company: raw.company.clone(),
        set: raw.set,
        schedule,
        zone,
        ceiling: MirrorCeiling { max_changes: raw.max_changes, max_disable_percent: raw.max_disable_percent },
        rules: raw.options.clone(),
    })
}

fn options(check: &mut Check, path: &str, set: ReferenceSet, rules: &MirrorRules) {
    let cost_centres = set == ReferenceSet::CostCentres;
    match (rules.segment, &rules.dimension) {
        (None, None) if cost_centres => check.refuse(
            format!("{path}.segment"),
            "it is not said which segment holds the cost centres",
            "write the segment's number, such as `segment = 3`, or the name of a dimension",
        ),
        (Some(_), Some(_)) if cost_centres => check.refuse(
            format!("{path}.dimension"),
            "both a segment and a dimension are named",
            "keep one of the two",
        ),
        (Some(_), _) | (_, Some(_)) if !cost_centres => check.refuse(
            format!("{path}.{}", if rules.segment.is_some() { "segment" } else { "dimension" }),
            format!("it is without effect on {}", set.as_str()),
            "remove it",
        ),
        _ => {}
    }
    if let Some(number) = rules.segment {
        check.range(format!("{path}.segment"), number.into(), 2, 20);
    }
    if rules.whole_accounts && set != ReferenceSet::Accounts {
        check.refuse(
            format!("{path}.whole_accounts"),
            format!("it is without effect on {}", set.as_str()),
            "remove it",
        );
    }
    for (name, patterns) in [("include", &rules.include), ("exclude", &rules.exclude)] {
        for (index, text) in patterns.iter().enumerate() {
            if let Err(error) = Pattern::parse(text) {
                check.refuse(
                    format!("{path}.{name}[{index}]"),
                    format!("`{}` cannot be understood: {error}", shorten(text)),
                    "write a code, a beginning such as `61*`, or a range such as `6000..6999`",
                );
            }
        }
    }
}

/// Names are unique among all flows, and no two reference flows write one set to one place.
pub(super) fn apart(check: &mut Check, config: &Config) {
    for (index, flow) in config.references.iter().enumerate() {
        let id = shorten(flow.id.as_str());
        if config.flows.iter().any(|other| other.id == flow.id)
            || config.references[..index].iter().any(|other| other.id == flow.id)
        {
            check.refuse_because(
                format!("reference[{index}].id"),
                format!("`{id}` is already the name of another flow"),
                "runs, pauses and the audit trail refer to flows by name",
                "give one of them another name",
            );
        }
        let same = |other: &&ReferenceConfig| other.to == flow.to && other.set == flow.set;
        if config.references[..index].iter().any(|other| same(&other)) {
            check.refuse_because(
                format!("reference[{index}].set"),
                format!(
                    "another reference flow writes {} to connection `{}` too",
                    flow.set.as_str(),
                    shorten(flow.to.as_str())
                ),
                "each would disable what the other adds",
                "give it a connection of its own, whose settings name other workspaces",
            );
        }
    }
}
