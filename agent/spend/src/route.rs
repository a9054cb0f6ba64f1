//! From where to where a flow moves money. A posting key carries its flow's name, so the same record under another flow
//! has another key and another reference, and no look-up finds what the first flow wrote; the routes say whether both
//! would move the same money.

use crate::document::SpendDocument;
use crate::ids::CompanyId;
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
        let by_name = self.books.as_deref() == Some(&books_by_name(&self.company));
        !by_name || company.is_none_or(|company| Some(&books_by_name(company)) == self.books.as_ref())
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
            PostingState::Handled { reported, .. } => !reported,
            PostingState::Superseded { .. } => false,
        }
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
    use crate::finding::{Finding, FindingCode};
    use crate::ids::{FlowId, SourceId};
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
        let handled = |reported| {
            let (note, by) = ("by hand".to_owned(), "ann".to_owned());
            Posting { state: PostingState::Handled { note, by, at: moment(0), reported }, ..posting() }
        };
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
        let branch = Route { books: Some("MAIN".to_owned()), ..by_name(&"ELSEWHERE".into()) };
        assert!(
            old.may_have_booked(&old.document, &branch),
            "where the name does not say, it may be the same"
        );
        let bare = Posting { plan: None, ..old };
        assert!(bare.may_have_booked(&bare.document, &by_name(&"ELSEWHERE".into())));
    }
}
