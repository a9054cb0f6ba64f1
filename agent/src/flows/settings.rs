//! What a flow must know, typed and valid.

use chrono::TimeDelta;
use purser_proto::config::FlowPolicy;
use purser_proto::validate::{ValidFlow, ValidGuardRails};
use spend::Date;
use spend::guard::{GuardLimits, LimitPlace};
use spend::ids::FlowId;
use spend::mapping::MappingRules;
use spend::plan::PlanContext;
use spend::posting::PostingPolicy;
use spend::route::Route;
use std::collections::BTreeMap;

/// Calls to an ERP in flight at once: app servers like few and steady callers.
const ERP_CONCURRENCY: usize = 2;

/// One flow's settings. Made from valid configuration only.
#[derive(Clone, Debug)]
pub struct FlowSettings {
    /// Flow, reference prefix, company and document kind.
    pub context: PlanContext,
    /// From where to where its money goes.
    pub route: Route,
    /// The routes of the other flows of the configuration.
    pub others: BTreeMap<FlowId, Route>,
    /// First day of approval that is ever read.
    pub start: Date,
    /// Days read again below the high-water mark.
    pub overlap_days: u16,
    /// Records asked for at once.
    pub page_size: u32,
    /// Postings claimed per commit.
    pub batch_size: usize,
    /// Calls to the ERP in flight at once.
    pub concurrency: usize,
    /// Retry and settle policy.
    pub posting: PostingPolicy,
    /// Age at which reference data is read again.
    pub reference_max_age: TimeDelta,
    /// How often marked records are read again to detect changes after posting.
    pub change_check: TimeDelta,
    /// Age of a reading at which a record is read again before its posting is claimed; zero = always.
    pub reread_after: TimeDelta,
    /// Reference flows that must have ended well before new records are booked.
    pub wait_for: Vec<FlowId>,
    /// How long ago that may be at most.
    pub wait_max_age: TimeDelta,
    /// Mapping rules.
    pub rules: MappingRules,
    /// Limits of the configuration.
    pub guard: GuardLimits,
    /// Limits of this machine, each of which counts as well: the strictest decides.
    pub machine: Vec<GuardLimits>,
}

impl FlowSettings {
    /// The settings of a configured flow, among the routes of all.
    pub fn new(
        flow: &ValidFlow,
        route: Route,
        others: BTreeMap<FlowId, Route>,
        rails: &ValidGuardRails,
        machine: &[GuardLimits],
    ) -> Self {
        Self {
            context: PlanContext {
                flow: flow.id.clone(),
                prefix: flow.prefix.clone(),
                company: flow.company.clone(),
                kind: flow.document,
            },
            route,
            others,
            start: flow.start,
            overlap_days: flow.policy.overlap_days,
            page_size: flow.policy.page_size,
            batch_size: flow.policy.batch_size.into(),
            concurrency: ERP_CONCURRENCY,
            posting: posting_policy(&flow.policy),
            reference_max_age: TimeDelta::seconds(flow.policy.reference_max_age.into()),
            change_check: TimeDelta::seconds(flow.policy.change_check.into()),
            reread_after: TimeDelta::seconds(flow.policy.reread_after.into()),
            wait_for: flow.policy.wait_for.clone(),
            wait_max_age: TimeDelta::seconds(flow.policy.wait_max_age.into()),
            rules: flow.mapping.clone(),
            guard: guard_limits(rails),
            machine: machine.to_vec(),
        }
    }

    /// Which flow.
    pub fn flow(&self) -> &FlowId {
        &self.context.flow
    }
}

fn posting_policy(policy: &FlowPolicy) -> PostingPolicy {
    let seconds = |n: u32| TimeDelta::seconds(n.into());
    PostingPolicy {
        settle_window: seconds(policy.settle_window),
        settle_interval: seconds(policy.settle_interval),
        max_failures: policy.max_attempts.into(),
        backoff_base: seconds(policy.backoff_base),
        backoff_max: seconds(policy.backoff_max),
        rewrite_without_uniqueness: policy.rewrite_without_uniqueness,
    }
}

/// The limits that guard rails of the configuration's form say.
pub fn guard_limits(rails: &ValidGuardRails) -> GuardLimits {
    GuardLimits {
        companies: rails.companies.clone(),
        kinds: rails.document_kinds.clone(),
        max_per_document: rails.max_per_document.clone(),
        max_per_run: rails.max_per_run.clone(),
        max_per_day: rails.max_per_day.clone(),
        max_documents_per_run: rails.max_documents_per_run,
        max_documents_per_day: None,
        blackout_dates: rails.blackout_dates.clone(),
        place: LimitPlace::Configuration,
    }
}
