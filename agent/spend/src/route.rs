//! From where to where a flow moves money. A posting key carries its flow's name, so the same record under another flow
//! has another key and another reference, and no look-up finds what the first flow wrote; the routes say whether both
//! would move the same money.

use crate::document::SpendDocument;
use crate::finding::{Finding, FindingCode};
use crate::ids::{CompanyId, FlowId};
use crate::mapping::LineSelection;
use crate::posting::{Posting, PostingState};
use serde::{Deserialize, Serialize};

/// From where to where. Systems are named by their kind, because a connection can be renamed and a system can move to
/// another address without any money becoming another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Kind of the spend system.
    pub source: String,
    /// Kind of the ERP.
    pub target: String,
    /// The company as the flow names it.
    pub company: CompanyId,
    /// The books that the company's name leads to within the ERP; `None` = the name alone does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub books: Option<String>,
    /// Which lines of a record.
    #[serde(default, skip_serializing_if = "all_lines")]
    pub select: LineSelection,
    /// Whether the company's name leads to these books in every system of this kind, whatever its settings.
    #[serde(default, skip_serializing_if = "is_false")]
    pub by_name: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn all_lines(select: &LineSelection) -> bool {
    *select == LineSelection::All
}

impl Route {
    /// Whether a record that goes both ways is booked twice. What cannot be told apart counts as the same.
    pub fn may_double(&self, other: &Self) -> bool {
        let same_books = match (&self.books, &other.books) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, _) | (_, None) => true,
        };
        self.source == other.source && self.target == other.target && same_books && self.shares_lines(other)
    }

    fn shares_lines(&self, other: &Self) -> bool {
        self.select == other.select || [self.select, other.select].contains(&LineSelection::All)
    }

    /// As [`Route::may_double`], with what was booked by a release that did not keep the route: only its company may be
    /// known.
    fn may_double_old(&self, company: Option<&CompanyId>) -> bool {
        // Where settings lead from a name to its books, another name may have led to the same ones.
        !self.by_name || company.is_none_or(|company| Some(&books_by_name(company)) == self.books.as_ref())
    }

    /// The way of what was planned for a company: the flow may lead to another one by now.
    #[must_use]
    pub fn into_company(&self, company: &CompanyId) -> Self {
        if *company == self.company {
            return self.clone();
        }
        let books = self.by_name.then(|| books_by_name(company));
        Self { company: company.clone(), books, ..self.clone() }
    }

    /// Whether this way takes lines of a record that the other one leaves out.
    pub fn takes_more_than(&self, other: &Self) -> bool {
        self.select != other.select && other.select != LineSelection::All
    }
}

/// The books of a company where its name alone says which.
pub fn books_by_name(company: &CompanyId) -> String {
    company.as_str().trim().to_uppercase()
}

impl Posting {
    /// Whether a write of it was ever begun, or a person has closed it, perhaps because it was booked by hand. More than
    /// [`Posting::may_be_in_erp`]: another flow's look-up does not find what a refusal or a lost answer left behind.
    pub fn was_begun(&self) -> bool {
        match &self.state {
            PostingState::Claimed { .. }
            | PostingState::InDoubt { .. }
            | PostingState::Posted { .. }
            | PostingState::Acknowledged { .. } => true,
            PostingState::Planned | PostingState::Waiting { .. } | PostingState::Held(_) => {
                self.attempts > 0 || self.may_be_in_erp()
            }
            PostingState::Handled { reported, left_to, .. } => !reported && left_to.is_none(),
            PostingState::Superseded { .. } => false,
        }
    }

    /// The flow that has begun to book this record, where that is all that this posting waits for and nothing of it was
    /// ever sent.
    pub fn waits_for_flow(&self) -> Option<FlowId> {
        let PostingState::Held(hold) = &self.state else { return None };
        let other = |finding: &Finding| finding.code == FindingCode::BookedByOtherFlow;
        let nothing_sent = self.attempts == 0 && !hold.in_doubt;
        let first = hold.findings.first().filter(|_| nothing_sent && hold.findings.iter().all(other))?;
        Some(FlowId::new(first.value.clone()))
    }

    /// Whether this posting, of another flow, may have booked what a record would book on a route.
    pub fn may_have_booked(&self, document: &SpendDocument, route: &Route) -> bool {
        self.was_begun()
            && (self.source_id == document.source_id || document.may_be_same_spend(&self.document))
            && self.may_be_on(route)
    }

    /// Whether its money may have gone the way that a route goes.
    pub fn may_be_on(&self, route: &Route) -> bool {
        match &self.route {
            Some(theirs) => route.may_double(theirs),
            None => route.may_double_old(self.plan.as_ref().map(|plan| &plan.company)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SourceId;
    use crate::mapping::DocumentKind;
    use crate::posting::{Hold, PostingPolicy};
    use crate::sample::{document, line, moment, plan, rules};
    use std::sync::Arc;

    fn route() -> Route {
        let company = CompanyId::from("EPIC06");
        Route {
            source: "expensify".to_owned(),
            target: "epicor".to_owned(),
            books: Some(books_by_name(&company)),
            company,
            select: LineSelection::All,
            by_name: true,
        }
    }

    fn posting() -> Posting {
        let report = document(vec![line("1", "Travel", 1000)]);
        let plan = plan(&report, &rules(), DocumentKind::Journal);
        Posting { route: Some(route()), ..Posting::planned(FlowId::from("old"), report, plan, moment(0)) }
    }

    #[test]
    fn money_is_the_same_unless_system_books_or_lines_tell_it_apart() {
        let double = |change: fn(&mut Route)| {
            let mut other = route();
            change(&mut other);
            assert_eq!(route().may_double(&other), other.may_double(&route()));
            route().may_double(&other)
        };
        assert!(double(|_| {}));
        assert!(!double(|other| other.source = "brex".to_owned()));
        assert!(!double(|other| other.target = "acumatica".to_owned()));
        assert!(!double(|other| other.books = Some("EPIC07".to_owned())));
        assert!(double(|other| (other.books, other.company) = (None, "EPIC07".into())), "it cannot be told");
        assert!(double(|other| other.select = LineSelection::Reimbursable));
        let (owed, card) = (LineSelection::Reimbursable, LineSelection::NonReimbursable);
        assert!(!Route { select: owed, ..route() }.may_double(&Route { select: card, ..route() }));
    }

    #[test]
    fn only_what_was_begun_or_closed_stands_in_the_way() {
        let held = |attempts| Posting {
            attempts,
            state: PostingState::Held(Hold {
                findings: vec![Finding::source_unreadable("x")],
                since: moment(0),
                in_doubt: false,
            }),
            ..posting()
        };
        let closed = |reported, left_to| {
            let (note, by) = ("by hand".to_owned(), "ann".to_owned());
            let state = PostingState::Handled { note, by, at: moment(0), reported, left_to };
            Posting { state, ..posting() }
        };
        let handled = |reported| closed(reported, None);
        let claimed = Posting { state: PostingState::Claimed { at: moment(0) }, ..posting() };
        let superseded = PostingState::Superseded { by: crate::ids::Revision::from("2"), at: moment(0) };
        let cases = [
            (posting(), false),
            (Posting { attempts: 1, ..posting() }, true),
            (claimed, true),
            (held(0), false),
            (held(1), true),
            (handled(false), true),
            (handled(true), false),
            (closed(false, Some(FlowId::from("other"))), false),
            (Posting { state: superseded, attempts: 1, ..posting() }, false),
        ];
        for (posting, begun) in cases {
            assert_eq!(posting.was_begun(), begun, "{:?}", posting.state);
            assert_eq!(posting.may_have_booked(&posting.document, &route()), begun);
        }
        let mut other = Arc::unwrap_or_clone(posting().document);
        other.source_id = SourceId::from("another");
        assert!(!handled(false).may_have_booked(&other, &route()), "another record");
        other.part_of = Some(posting().source_id);
        assert!(handled(false).may_have_booked(&other, &route()), "a part of it");
        let elsewhere = Route { source: "brex".to_owned(), ..route() };
        assert!(!handled(false).may_have_booked(&posting().document, &elsewhere));
    }

    #[test]
    fn what_another_flow_goes_on_with_is_left_to_it_only_where_nothing_was_ever_sent() {
        let rival = |flow: &str| {
            Finding::document(FindingCode::BookedByOtherFlow, "flow", flow, "it has begun to book it", "wait")
        };
        let held = |findings, attempts, in_doubt| {
            let state = PostingState::Held(Hold { findings, since: moment(0), in_doubt });
            Posting { attempts, state, ..posting() }
        };
        let close = |posting: &Posting, reported, left_to: &str| {
            let (note, by) = ("it goes on".to_owned(), "ann".to_owned());
            let left_to = Some(FlowId::from(left_to));
            let event = crate::posting::Event::Handled { note, by, reported, left_to };
            let closed = posting.apply(event, &PostingPolicy::default(), 0.5, &moment(1).into()).unwrap();
            let PostingState::Handled { left_to, .. } = closed.state else { panic!("not closed") };
            left_to
        };
        let left = Posting {
            state: PostingState::Handled {
                note: String::new(),
                by: String::new(),
                at: moment(1),
                reported: false,
                left_to: Some(FlowId::from("other")),
            },
            ..posting()
        };
        assert!(!left.may_be_in_erp() && !left.is_reported_failed() && !left.is_open());
        let other = Some(FlowId::from("other"));
        let echo = held(vec![rival("other")], 0, false);
        assert_eq!((echo.waits_for_flow(), close(&echo, false, "other")), (other.clone(), other));
        assert_eq!(close(&echo, false, "third"), None, "not what it was held for");
        assert_eq!(close(&echo, true, "other"), None, "the source was told");
        for begun in [
            held(vec![rival("other")], 1, false),
            held(vec![rival("other")], 0, true),
            held(vec![rival("other"), Finding::source_unreadable("x")], 0, false),
            posting(),
        ] {
            assert_eq!(
                (begun.waits_for_flow(), close(&begun, false, "other")),
                (None, None),
                "{:?}",
                begun.state
            );
        }
    }

    #[test]
    fn what_was_planned_for_another_company_goes_its_own_way() {
        let other = route().into_company(&"EPIC07".into());
        assert_eq!((other.company.as_str(), other.books.as_deref()), ("EPIC07", Some("EPIC07")));
        assert!(!other.may_double(&route()));
        assert_eq!(route().into_company(&"EPIC06".into()), route());
        let branch = Route { by_name: false, books: Some("MAIN".to_owned()), ..route() };
        let unknown = branch.into_company(&"EPIC07".into());
        assert!(unknown.books.is_none() && unknown.may_double(&branch), "it cannot be told");
    }

    #[test]
    fn only_lines_that_were_left_out_are_more() {
        let take = |select| Route { select, ..route() };
        let [all, owed, card] =
            [LineSelection::All, LineSelection::Reimbursable, LineSelection::NonReimbursable].map(take);
        for more in [(&all, &owed), (&all, &card), (&card, &owed)] {
            assert!(more.0.takes_more_than(more.1));
        }
        for no_more in [(&all, &all), (&owed, &all), (&card, &card)] {
            assert!(!no_more.0.takes_more_than(no_more.1));
        }
    }

    #[test]
    fn a_transition_of_the_protocol_keeps_what_it_was_begun_with() {
        let claimed = posting()
            .apply(crate::posting::Event::Claimed, &PostingPolicy::default(), 0.5, &moment(1).into())
            .unwrap();
        assert_eq!((claimed.was_begun(), claimed.route), (true, Some(route())));
        assert!(FindingCode::BookedByOtherFlow.needs_decision());
    }

    #[test]
    fn of_a_posting_without_a_route_only_the_company_tells() {
        let old = Posting { route: None, attempts: 1, ..posting() };
        let plan = old.plan.clone().unwrap();
        let by_name = |company: &CompanyId| Route {
            books: Some(books_by_name(company)),
            company: company.clone(),
            ..route()
        };
        assert!(old.may_have_booked(&old.document, &by_name(&plan.company)));
        assert!(!old.may_have_booked(&old.document, &by_name(&"ELSEWHERE".into())));
        let branch = |branch: &str| Route {
            books: Some(branch.to_owned()),
            by_name: false,
            ..by_name(&"ELSEWHERE".into())
        };
        for books in ["MAIN", "ELSEWHERE"] {
            assert!(
                old.may_have_booked(&old.document, &branch(books)),
                "where the name does not say, it may be the same, also where both are spelled alike"
            );
        }
        let bare = Posting { plan: None, ..old };
        assert!(bare.may_have_booked(&bare.document, &by_name(&"ELSEWHERE".into())));
    }
}
