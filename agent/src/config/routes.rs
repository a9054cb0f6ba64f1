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
use serde_json::Map;
use spend::ids::{ConnectionId, FlowId};
use spend::posting::Posting;
use spend::route::Route;
use std::collections::BTreeMap;

/// The route of a flow.
pub fn of(flow: &ValidFlow, config: &ValidConfig) -> Route {
    let kind = |id| config.connection(id).map(|connection| connection.kind.clone()).unwrap_or_default();
    let target = config.connection(&flow.target);
    let books_by = |settings| {
        let vendor = registry::vendor(&target?.kind)?;
        (vendor.books)(settings, &flow.company)
    };
    let books = target.and_then(|target| books_by(&target.settings));
    // What is so without any settings is so with all.
    let by_name = books.is_some() && books == books_by(&Map::new());
    Route {
        source: kind(&flow.source),
        target: kind(&flow.target),
        company: flow.company.clone(),
        books,
        select: flow.mapping.select,
        by_name,
    }
}

/// The routes of all flows of a configuration that book.
pub fn all(config: &ValidConfig) -> BTreeMap<FlowId, Route> {
    config.flows.iter().map(|flow| (flow.id.clone(), of(flow, config))).collect()
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

    /// Whether its newer self leads where it led. It may take other lines.
    fn leads_on(&self, newer: &Self) -> bool {
        self.changes(newer).is_empty()
    }

    /// Whether its newer self books nothing that it did not book.
    fn stays(&self, newer: &Self) -> bool {
        self.leads_on(newer) && !newer.route().takes_more_than(&self.route())
    }
}

/// Every change that a configuration from afar may not make to the flows of this machine. `in_force` is the configuration
/// that it takes the place of.
pub fn check(newer: &ValidConfig, in_force: Option<&ValidConfig>, owners: &[Owner]) -> Vec<ConfigFinding> {
    let mut findings = Vec::new();
    for owner in owners.iter().filter(|owner| owner.open > 0 || owner.undecided > 0) {
        check_open(owner, newer, in_force, &mut findings);
    }
    for (at, flow) in newer.flows.iter().enumerate() {
        let way = Way { flow, config: newer };
        let former = in_force.and_then(|config| Way::find(config, &flow.id));
        if former.is_some_and(|former| former.stays(&way)) {
            continue;
        }
        let narrower = former.filter(|former| former.leads_on(&way));
        if let Some(other) = booked_before(&way, at, narrower, in_force, owners) {
            let what = format!("it books what flow `{other}` books, or has booked");
            let (field, fix) = match narrower {
                Some(_) => ("mapping.select", "have it take no other lines than before".to_owned()),
                None => ("id", format!("give the flow its former name `{other}`, or take the twin out")),
            };
            findings.push(beyond(format!("flow[{at}].{field}"), what, &fix));
        }
    }
    findings
}

/// What an owner must still look after, and what must become of it first.
fn left_to_do(owner: &Owner) -> (String, String) {
    let Owner { flow, open, undecided, .. } = owner;
    let under_way = format!("{open} posting(s) of flow `{flow}` are under way");
    let settled = "wait until they are settled and marked (`purser status`)".to_owned();
    let held = format!("{undecided} held posting(s) of flow `{flow}` may be in the ERP");
    let decided = format!(
        "have a person replay or close what is held (`purser records list --flow {flow} --state held`)"
    );
    match (open, undecided) {
        (_, 0) => (under_way, settled),
        (0, _) => (held, decided),
        (_, _) => (format!("{under_way} and {held}"), format!("{settled} and {decided}")),
    }
}

/// What is under way, and what a person may have looked up and written again, must stay with its flow.
fn check_open(
    owner: &Owner,
    newer: &ValidConfig,
    in_force: Option<&ValidConfig>,
    findings: &mut Vec<ConfigFinding>,
) {
    let flow = &owner.flow;
    let (left, first) = left_to_do(owner);
    let Some(at) = newer.flows.iter().position(|one| one.id == *flow) else {
        let fix = format!("keep the flow under this name, or {first}");
        findings.push(beyond("flow".to_owned(), format!("{left}, and it is not among the flows"), &fix));
        return;
    };
    let way = Way { flow: &newer.flows[at], config: newer };
    let changes = match in_force.and_then(|config| Way::find(config, flow)) {
        Some(former) => former.changes(&way),
        // Where nothing was begun there is nothing in any ERP that would be looked up in another one.
        None if owner.begun.iter().all(|posting| posting.may_be_on(&way.route())) => Vec::new(),
        None => vec!["id"],
    };
    for field in changes {
        let fix = format!("leave source, target and company of the flow as they are, or {first}");
        let what = format!("{left}, and it would lead elsewhere");
        findings.push(beyond(format!("flow[{at}].{field}"), what, &fix));
    }
}

/// The flow that books, or has booked, what a flow that is new, newly led, or takes more lines, would book. One that only
/// takes more lines has its narrower former self: what that overlapped with is nothing new.
fn booked_before<'a>(
    way: &Way<'a>,
    at: usize,
    narrower: Option<Way<'a>>,
    in_force: Option<&'a ValidConfig>,
    owners: &'a [Owner],
) -> Option<&'a FlowId> {
    let newer = way.config;
    let before = |flow: &FlowId| in_force.and_then(|config| Way::find(config, flow));
    let is_old = |other: Option<Way<'a>>| {
        narrower.is_some_and(|narrower| other.is_some_and(|other| narrower.is_twin_of(&other)))
    };
    // Of two twins in one configuration the later one is named, once.
    let beside = newer.flows.iter().enumerate().find(|(index, other)| {
        let (former, now) = (before(&other.id), Way { flow: other, config: newer });
        let earlier = *index < at || former.is_some_and(|former| former.stays(&now));
        *index != at && earlier && way.is_twin_of(&now) && !is_old(former)
    });
    if let Some((_, other)) = beside {
        return Some(&other.id);
    }
    let (route, narrower_route) = (way.route(), narrower.map(|narrower| narrower.route()));
    let owned = owners.iter().filter(|owner| owner.flow != way.flow.id).find(|owner| {
        let (former, now) = (before(&owner.flow), Way::find(newer, &owner.flow));
        if former.is_some_and(|former| way.is_twin_of(&former) && !is_old(Some(former))) {
            return true;
        }
        let has_left = now.is_none_or(|now| !now.route().may_double(&route));
        // What an earlier release has booked without keeping the way counts as on that of its flow, while this goes on.
        let goes_on = former.zip(now).is_some_and(|(former, now)| former.leads_on(&now));
        let crosses = |posting: &Posting| {
            let old = narrower_route.as_ref().is_some_and(|narrower| posting.may_be_on(narrower));
            (posting.route.is_some() || !goes_on) && posting.may_be_on(&route) && !old
        };
        has_left && owner.begun.iter().any(crosses)
    });
    owned.map(|owner| &owner.flow)
}

fn beyond(path: String, what: String, fix: &str) -> ConfigFinding {
    let fix = format!("{fix}; or have rename_flows = true set in {FILE} on the machine, if it is meant");
    let why =
        "keys and references carry the flow's name, so under another one a record could be booked twice";
    ConfigFinding::new(path, what, fix).because(why)
}

#[cfg(test)]
mod tests;
