//! From where to where the flows of a configuration move money.

use crate::vendors::registry;
use purser_proto::validate::{ValidConfig, ValidFlow};
use spend::route::Route;

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
