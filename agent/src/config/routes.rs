//! From where to where the flows of a configuration move money, and which changes of that are refused from afar: posting
//! keys and references carry the flow's name, so under another name a record would be booked once more, and what is under
//! way would be looked after by nobody, or be looked up in another ERP than the one it was sent to.
//!
//! The posting log holds what another flow has begun to book, whatever a configuration says; this only keeps a
//! configuration from getting that far.

use super::guard_rails::FILE;
use crate::store::Owner;
use crate::vendors::registry;
use purser_proto::finding::ConfigFinding;
use purser_proto::validate::{ValidConfig, ValidConnection, ValidFlow};
use spend::ids::{ConnectionId, FlowId};
use spend::route::Route;
use std::collections::BTreeMap;

/// The route of a flow.
pub fn of(flow: &ValidFlow, config: &ValidConfig) -> Route {
    let kind = |id| config.connection(id).map(|connection| connection.kind.clone()).unwrap_or_default();
    let target = config.connection(&flow.target);
    let books = target.and_then(|c| (registry::vendor(&c.kind)?.books)(&c.settings, &flow.company));
    Route {
        source: kind(&flow.source),
        target: kind(&flow.target),
        company: flow.company.clone(),
        books,
        select: flow.mapping.select,
    }
}

/// Postings under way, by flow, of flows that a configuration does not name: nobody looks after them.
pub fn unattended(
    config: &ValidConfig,
    under_way: BTreeMap<FlowId, u64>,
) -> impl Iterator<Item = (FlowId, u64)> {
    under_way.into_iter().filter(|(flow, _)| config.flow(flow).is_none())
}

/// What is to be done about them.
pub const ATTEND: &str = "name the flow again in the configuration, with its former source, target and company, until they \
                          are settled and marked";

/// A flow as one configuration has it.
#[derive(Clone, Copy)]
struct Way<'a> {
    flow: &'a ValidFlow,
    config: &'a ValidConfig,
}

impl<'a> Way<'a> {
    fn find(config: &'a ValidConfig, flow: &FlowId) -> Option<Self> {
        config.flows.iter().find(|one| one.id == *flow).map(|flow| Self { flow, config })
    }

    fn route(&self) -> Route {
        of(self.flow, self.config)
    }

    fn source(&self) -> Option<&'a ValidConnection> {
        self.config.connection(&self.flow.source)
    }

    /// What of the way to and from is another one in the newer configuration, by the name of its field.
    fn changes(&self, newer: &Self) -> Vec<&'static str> {
        let leads = |way: &Self, id: &ConnectionId| {
            let found = way.config.connection(id);
            found.map(|c| (c.id.clone(), c.kind.clone(), c.url.clone(), c.secret.clone()))
        };
        let books = |way: &Self| (way.flow.company.clone(), way.route().books);
        let changed = [
            ("source", leads(self, &self.flow.source) != leads(newer, &newer.flow.source)),
            ("target", leads(self, &self.flow.target) != leads(newer, &newer.flow.target)),
            ("company", books(self) != books(newer)),
        ];
        changed.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
    }

    /// Whether both read the same account and book the same money. An account is told by its connection or its secret.
    fn is_twin_of(&self, other: &Self) -> bool {
        let same_account = match (self.source(), other.source()) {
            (Some(one), Some(two)) => one.id == two.id || one.secret == two.secret,
            (None, _) | (_, None) => false,
        };
        same_account && self.route().may_double(&other.route())
    }
}

/// Every change that a configuration from afar may not make to the flows of this machine. `in_force` is the configuration
/// that it takes the place of.
pub fn check(newer: &ValidConfig, in_force: Option<&ValidConfig>, owners: &[Owner]) -> Vec<ConfigFinding> {
    let mut findings = Vec::new();
    for owner in owners.iter().filter(|owner| owner.open > 0) {
        check_open(owner, newer, in_force, &mut findings);
    }
    for (at, flow) in newer.flows.iter().enumerate() {
        let way = Way { flow, config: newer };
        let former = in_force.and_then(|config| Way::find(config, &flow.id));
        if former.is_some_and(|former| former.changes(&way).is_empty()) {
            continue;
        }
        if let Some(other) = booked_before(&way, at, in_force, owners) {
            let what = format!("it books what flow `{other}` books, or has booked");
            findings.push(beyond(
                format!("flow[{at}].id"),
                what,
                &format!("give the flow its former name `{other}`, or take the twin out"),
            ));
        }
    }
    findings
}

/// What is under way must stay with its flow.
fn check_open(
    owner: &Owner,
    newer: &ValidConfig,
    in_force: Option<&ValidConfig>,
    findings: &mut Vec<ConfigFinding>,
) {
    let flow = &owner.flow;
    let under_way = format!("{} posting(s) of flow `{flow}` are under way", owner.open);
    let wait = "wait until they are settled and marked (`purser status`)";
    let Some(at) = newer.flows.iter().position(|one| one.id == *flow) else {
        let fix = format!("keep the flow under this name, or {wait}");
        findings.push(beyond("flow".to_owned(), format!("{under_way}, and it is not among the flows"), &fix));
        return;
    };
    let way = Way { flow: &newer.flows[at], config: newer };
    let changes = match in_force.and_then(|config| Way::find(config, flow)) {
        Some(former) => former.changes(&way),
        None if owner.begun.iter().all(|posting| posting.may_be_on(&way.route())) => Vec::new(),
        None => vec!["id"],
    };
    for field in changes {
        let fix = format!("leave source, target and company of the flow as they are, or {wait}");
        let what = format!("{under_way}, and it would lead elsewhere");
        findings.push(beyond(format!("flow[{at}].{field}"), what, &fix));
    }
}

/// The flow that books, or has booked, what a flow that is new, or newly led, would book.
fn booked_before<'a>(
    way: &Way<'a>,
    at: usize,
    in_force: Option<&'a ValidConfig>,
    owners: &'a [Owner],
) -> Option<&'a FlowId> {
    let newer = way.config;
    // Of two twins in one configuration the later one is named, once.
    let unchanged = |other: &ValidFlow| {
        let here = Way { flow: other, config: newer };
        in_force
            .and_then(|config| Way::find(config, &other.id))
            .is_some_and(|former| former.changes(&here).is_empty())
    };
    let beside = newer.flows.iter().enumerate().find(|(index, other)| {
        let earlier = *index < at || unchanged(other);
        *index != at && earlier && way.is_twin_of(&Way { flow: other, config: newer })
    });
    if let Some((_, other)) = beside {
        return Some(&other.id);
    }
    let route = way.route();
    let before = owners.iter().filter(|owner| owner.flow != way.flow.id).find(|owner| {
        let was_twin = in_force
            .and_then(|config| Way::find(config, &owner.flow))
            .is_some_and(|former| way.is_twin_of(&former));
        let now = Way::find(newer, &owner.flow);
        let has_left = now.is_none_or(|now| !now.route().may_double(&route));
        was_twin || (has_left && owner.begun.iter().any(|posting| posting.may_be_on(&route)))
    });
    before.map(|owner| &owner.flow)
}

fn beyond(path: String, what: String, fix: &str) -> ConfigFinding {
    let fix = format!("{fix}; or have rename_flows = true set in {FILE} on the machine, if it is meant");
    let why =
        "keys and references carry the flow's name, so under another one a record could be booked twice";
    ConfigFinding::new(path, what, fix).because(why)
}

#[cfg(test)]
mod tests;
