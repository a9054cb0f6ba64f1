//! Postings of other flows that may have booked the same record. Keys and references carry the flow's name, so neither
//! the index by key nor a look-up in the ERP finds them: a flow that was renamed, or has a twin, is told by this alone.

use super::access::{Look, Writer};
use super::apply::Deltas;
use super::codec::decode;
use super::engine::Fault;
use super::error::StoreError;
use super::tables::Table;
use super::{Store, kin, postings};
use spend::document::SpendDocument;
use spend::ids::FlowId;
use spend::posting::Posting;
use spend::route::Route;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// States of what nobody looks after once its flow is gone.
const OPEN: [&str; 4] = ["claimed", "in-doubt", "waiting", "posted"];

/// The states that one which was begun can be in. What was superseded was never sent.
const BEGUN: [&str; 8] =
    ["planned", "claimed", "in-doubt", "waiting", "posted", "acknowledged", "held", "handled"];

/// A flow that has begun to book something, or has something under way.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Which.
    pub flow: FlowId,
    /// Postings that it must still look after: claimed, in doubt, waiting, or not marked at the source yet.
    pub open: u64,
    /// Held postings that the ERP may have: they wait for a person, who may have them looked up and written again.
    pub undecided: u64,
    /// The newest posting that was begun in each state that it can be in: they say which way its money went. Empty where
    /// nothing of what is under way was ever sent.
    pub begun: Vec<Posting>,
}

/// How many postings of each flow are under way: nobody looks after them once the flow is gone.
pub(crate) fn under_way(look: &impl Look) -> Result<BTreeMap<FlowId, u64>, Fault> {
    let mut open = BTreeMap::new();
    for ((flow, state), count) in postings::counts(look)? {
        if count > 0 && OPEN.contains(&state) {
            *open.entry(flow).or_default() += count;
        }
    }
    Ok(open)
}

/// The flows that have begun to book something, or have something under way.
pub(crate) fn owners(look: &impl Look) -> Result<Vec<Owner>, Fault> {
    let counts = postings::counts(look)?;
    let flows: BTreeSet<&FlowId> = counts.keys().map(|(flow, _)| flow).collect();
    let open = under_way(look)?;
    let mut owners = Vec::new();
    for flow in flows {
        let open = open.get(flow).copied().unwrap_or_default();
        let mut owner = Owner { flow: flow.clone(), open, undecided: 0, begun: Vec::new() };
        for state in BEGUN {
            owner.look_at(look, state)?;
        }
        if !owner.begun.is_empty() || owner.open > 0 {
            owners.push(owner);
        }
    }
    Ok(owners)
}

impl Owner {
    /// Takes up what a state says. Of what is held each is looked at, because how many the ERP may have stands nowhere.
    fn look_at(&mut self, look: &impl Look, state: &str) -> Result<(), Fault> {
        let all = state == "held";
        let mut newest = None;
        newest_first(look, &self.flow, state, |posting| {
            self.undecided += u64::from(all && posting.may_be_in_erp());
            if newest.is_none() && posting.was_begun() {
                newest = Some(posting);
            }
            if newest.is_some() && !all { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        self.begun.extend(newest);
        Ok(())
    }
}

/// Shows the postings of a flow in one state, newest first, until the visitor has had enough.
fn newest_first(
    look: &impl Look,
    flow: &FlowId,
    state: &str,
    mut visit: impl FnMut(Posting) -> ControlFlow<()>,
) -> Result<(), Fault> {
    let Some(code) =
        postings::STATES.iter().position(|name| *name == state).and_then(|at| u8::try_from(at).ok())
    else {
        return Ok(());
    };
    let prefix = [postings::flow_hash(look.keys(), flow).as_slice(), &[code]].concat();
    let (mut below, mut few) = (None, 1);
    loop {
        let step = look.descend(Table::ByState, &prefix, below.as_deref(), few)?;
        for (key, _) in &step {
            if visit(postings::by_seq(look, postings::seq_at_end(key, Table::ByState)?)?).is_break() {
                return Ok(());
            }
        }
        match step.last() {
            Some((key, _)) if step.len() == few => below = Some(key.clone()),
            Some(_) | None => return Ok(()),
        }
        few = postings::STEP;
    }
}

/// The posting of another flow that stands in the way of booking a record, if there is one. With one flow in the log this
/// costs a look at the list of flows.
pub(crate) fn of(
    look: &impl Look,
    flow: &FlowId,
    route: &Route,
    document: &SpendDocument,
) -> Result<Option<Posting>, Fault> {
    among(look, postings::flows_beside(look, flow)?, route, document)
}

fn among(
    look: &impl Look,
    others: impl IntoIterator<Item = FlowId>,
    route: &Route,
    document: &SpendDocument,
) -> Result<Option<Posting>, Fault> {
    for other in others {
        let mut found = postings::of_source(look, &other, &document.source_id)?;
        found.extend(kin::of(look, &other, document)?);
        if let Some(rival) = found.into_iter().find(|posting| posting.may_have_booked(document, route)) {
            return Ok(Some(rival));
        }
    }
    Ok(None)
}

/// Refuses a claim beside which another flow has begun to book the record, be it in this very transaction: of two twins
/// that run at the same moment one claims.
pub(crate) fn refuse(w: &Writer<'_>, flow: &FlowId, bytes: &[u8], counted: &Deltas) -> Result<(), Fault> {
    let mut others: BTreeSet<FlowId> = postings::flows_beside(w, flow)?.into_iter().collect();
    // Flows whose first posting is in this group of writes stand in no counter yet.
    others.extend(counted.keys().map(|(other, _)| other).filter(|other| *other != flow).cloned());
    if others.is_empty() {
        return Ok(());
    }
    let posting: Posting = decode(Table::Postings.name(), bytes)?;
    // Every flow sets it; without it there is nothing to compare.
    let Some(route) = &posting.route else { return Ok(()) };
    match among(w, others, route, &posting.document)? {
        None => Ok(()),
        Some(rival) => {
            let why = format!("flow `{}` has begun to book the same record", rival.flow);
            Err(StoreError::NotClaimable { key: posting.key, why }.into())
        }
    }
}

impl Store {
    /// The posting of another flow that stands in the way of booking a record on a route, if there is one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn rival_of(
        &self,
        flow: &FlowId,
        route: &Route,
        document: &SpendDocument,
    ) -> Result<Option<Posting>, StoreError> {
        self.engine().read(|r| of(r, flow, route, document))
    }

    /// How many postings of each flow are under way: claimed, in doubt, waiting, or not marked at the source yet.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn under_way(&self) -> Result<BTreeMap<FlowId, u64>, StoreError> {
        self.engine().read(|r| under_way(r))
    }

    /// The flows that have begun to book something, or have something under way, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn owners(&self) -> Result<Vec<Owner>, StoreError> {
        self.engine().read(|r| owners(r))
    }
}
