//! The vendor's own checks for `doctor`: credential, workspaces, their type, readable categories. Each after the one
//! it depends on; all read-only.

use super::convert::tidy;
use super::settings::Settings;
use super::wire::{Policy, PolicyDetail};
use super::{Expensify, auth};
use crate::vendors::checks::{failed, passed, result, skipped};
use crate::vendors::{ProbeResult, ReferenceTarget, Verdict};
use spend::mirror::ReferenceSet;
use std::collections::BTreeMap;

const CREDENTIALS: &str = "credentials";
const WORKSPACES: &str = "workspaces";
const WORKSPACE_TYPE: &str = "workspace type";
const CATEGORIES: &str = "categories";

/// Types of workspaces that the integration server serves in full.
const SERVED: &[&str] = &["team", "corporate"];

impl Expensify {
    pub(super) async fn examine(&self) -> Vec<ProbeResult> {
        let policies = match self.policies().await {
            Ok(policies) => policies,
            Err(failure) => {
                let mut results =
                    vec![failed(CREDENTIALS, &failure, || auth::how_to_mend(&self.credential.name))];
                results.extend(
                    [WORKSPACES, WORKSPACE_TYPE, CATEGORIES].map(|check| skipped(check, CREDENTIALS)),
                );
                return results;
            }
        };
        let seen = format!("accepted; the account administers {} workspaces", policies.len());
        let mut results = vec![passed(CREDENTIALS, seen)];
        let used = used(&policies, &self.settings.policies);
        results.push(workspaces(&policies, &self.settings));
        if used.is_empty() {
            results.extend([WORKSPACE_TYPE, CATEGORIES].map(|check| skipped(check, WORKSPACES)));
            return results;
        }
        results.push(workspace_types(&used, &self.settings));
        let ids: Vec<String> = used.iter().filter_map(|policy| policy.id.get()).map(str::to_owned).collect();
        results.push(match self.policy_details(&ids, &["categories"]).await {
            Ok(details) => categories(&ids, &details),
            Err(failure) => failed(CATEGORIES, &failure, || auth::how_to_mend(&self.credential.name)),
        });
        for set in self.configured_sets() {
            let check = format!("reference data: {}", set.as_str());
            results.push(match self.read_set(set).await {
                Ok(entries) => passed(&check, format!("readable where they go, {} there now", entries.len())),
                Err(failure) => failed(&check, &failure, || auth::how_to_mend(&self.credential.name)),
            });
        }
        results
    }

    /// The sets that the settings name a place for.
    fn configured_sets(&self) -> Vec<ReferenceSet> {
        let settings = &self.settings.reference;
        let places = [
            (ReferenceSet::Employees, !settings.employees.all_policies().is_empty()),
            (ReferenceSet::Accounts, !settings.accounts.policies.is_empty()),
            (ReferenceSet::CostCentres, !settings.cost_centres.policies.is_empty()),
            (ReferenceSet::Projects, !settings.projects.policies.is_empty()),
        ];
        places.into_iter().filter(|(_, named)| *named).map(|(set, _)| set).collect()
    }
}

fn named<'a>(policies: &'a [Policy], id: &str) -> Option<&'a Policy> {
    policies.iter().find(|policy| policy.id.get().is_some_and(|own| own.eq_ignore_ascii_case(id)))
}

fn used<'a>(policies: &'a [Policy], configured: &[String]) -> Vec<&'a Policy> {
    if configured.is_empty() {
        policies.iter().collect()
    } else {
        configured.iter().filter_map(|id| named(policies, id)).collect()
    }
}

fn workspaces(policies: &[Policy], settings: &Settings) -> ProbeResult {
    let configured = &settings.policies;
    let missing: Vec<&str> =
        configured.iter().filter(|id| named(policies, id).is_none()).map(String::as_str).collect();
    let used = used(policies, configured);
    let not_admin: Vec<String> = used
        .iter()
        .filter(|policy| policy.role.get().is_some_and(|role| role != "admin"))
        .map(|policy| title(policy, settings))
        .collect();
    if !missing.is_empty() {
        return result(
            WORKSPACES,
            Verdict::Fail,
            format!("not among the workspaces that the account administers: {}", missing.join(", ")),
            "correct `policies` in the settings of the connection, or make the account an administrator of them",
        );
    }
    if used.is_empty() {
        return result(
            WORKSPACES,
            Verdict::Fail,
            "the account administers no workspace".to_owned(),
            "make the account that owns the credential an administrator of the workspace in Expensify",
        );
    }
    if !not_admin.is_empty() {
        return result(
            WORKSPACES,
            Verdict::Fail,
            format!("the account is not an administrator of: {}", not_admin.join(", ")),
            "make the account that owns the credential an administrator of the workspace in Expensify",
        );
    }
    passed(WORKSPACES, used.iter().map(|policy| title(policy, settings)).collect::<Vec<_>>().join(", "))
}

fn workspace_types(used: &[&Policy], settings: &Settings) -> ProbeResult {
    let odd: Vec<String> = used
        .iter()
        .filter(|policy| !policy.kind.get().is_some_and(|kind| SERVED.contains(&kind)))
        .map(|policy| {
            format!("{} is `{}`", title(policy, settings), policy.kind.get().unwrap_or("of unknown type"))
        })
        .collect();
    if odd.is_empty() {
        return passed(WORKSPACE_TYPE, "team or corporate, served in full".to_owned());
    }
    result(
        WORKSPACE_TYPE,
        Verdict::Warn,
        odd.join(", "),
        "use a Collect or Control workspace of Expensify Classic; of others the vendor serves only a part, so compare \
         `purser flows preview` with what you see on screen",
    )
}

fn categories(ids: &[String], details: &BTreeMap<String, PolicyDetail>) -> ProbeResult {
    let told = |id: &str| details.get(id).and_then(|detail| detail.categories.as_ref());
    let unread: Vec<&str> = ids.iter().filter(|id| told(id).is_none()).map(String::as_str).collect();
    if !unread.is_empty() {
        return result(
            CATEGORIES,
            Verdict::Fail,
            format!("the details of these workspaces cannot be read: {}", unread.join(", ")),
            "make the account that owns the credential an administrator of the workspace in Expensify",
        );
    }
    let all: Vec<_> = ids.iter().filter_map(|id| told(id)).flatten().collect();
    let coded = all.iter().filter(|category| category.gl_code.get().is_some()).count();
    if all.is_empty() {
        return result(
            CATEGORIES,
            Verdict::Warn,
            "no workspace has categories".to_owned(),
            "add categories in Expensify, or give the flow's mapping a default account",
        );
    }
    passed(CATEGORIES, format!("{} readable, {coded} of them with a GL code", all.len()))
}

/// As people know it: names come with HTML entities.
fn title(policy: &Policy, settings: &Settings) -> String {
    let id = policy.id.get().unwrap_or("?");
    let name = policy.name.get().map(|name| tidy(name, settings));
    name.map_or_else(|| id.to_owned(), |name| format!("{name} ({id})"))
}
