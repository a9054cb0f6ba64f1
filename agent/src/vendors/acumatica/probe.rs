//! The checks of `purser doctor` for Acumatica: sign-in and seats, the contract that the site publishes, the tenant that
//! we are in, rights on each screen, the financial period of today, the end of the sign-in, the licensed rate. Each names
//! the mend.

use super::client::Client;
use super::outcome::{Kind, Refusal};
use super::reference::{periods, probed};
use super::settings::Auth;
use crate::vendors::checks::{result, skipped};
use crate::vendors::{ProbeResult, Verdict};
use chrono::TimeDelta;
use spend::Date;
use spend::posting::FailureClass;

/// Runs all checks.
pub(super) async fn probe(client: &Client) -> Vec<ProbeResult> {
    let mut results = Vec::new();
    let published = match client.published().await {
        Ok(published) => {
            results.push(result("credentials", Verdict::Pass, "the sign-in is accepted", ""));
            Some(published)
        }
        Err(refusal) => {
            let stop = stops(&refusal);
            results.push(signed_in(&refusal));
            if stop {
                let rest = ["version", "tenant", "permissions", "fiscal-period"];
                results.extend(rest.map(|check| skipped(check, "credentials")));
                results.extend(sign_in_end(client));
                return results;
            }
            None
        }
    };
    let build = published.map(|published| published.build).unwrap_or_default();
    let version = version(client, &build).await;
    let spoken = version.verdict != Verdict::Fail;
    results.push(version);
    if spoken {
        results.push(tenant(client).await);
        results.extend(permissions(client).await);
        results.push(period(client, client.now().date_naive()).await);
    } else {
        results.extend(["tenant", "permissions", "fiscal-period"].map(|check| skipped(check, "version")));
    }
    results.extend(sign_in_end(client));
    results.push(licence(client));
    results
}

/// Whether nothing else can work either.
fn stops(refusal: &Refusal) -> bool {
    let class = &refusal.failure.class;
    matches!(
        class,
        FailureClass::Unauthorised
            | FailureClass::Throttled { .. }
            | FailureClass::NotSent
            | FailureClass::Unavailable
    ) && refusal.kind != Kind::Forbidden
        && refusal.kind != Kind::NotOffered
}

fn signed_in(refusal: &Refusal) -> ProbeResult {
    let detail = refusal.failure.message.clone();
    if detail.to_lowercase().contains("api login limit") {
        return result(
            "seats",
            Verdict::Fail,
            detail,
            "no web-service seat of the licence is free: sign other integrations out, or end their sessions in Acumatica (SM201010), see SM604000",
        );
    }
    match (&refusal.failure.class, refusal.kind) {
        (FailureClass::Throttled { .. }, _) => result(
            "seats",
            Verdict::Fail,
            detail,
            "the site refuses more requests or sessions for now: try again later, and look at the License Monitoring Console (SM604000)",
        ),
        (FailureClass::Unauthorised, Kind::Forbidden) | (_, Kind::NotOffered) => result(
            "version",
            Verdict::Warn,
            detail,
            "the site does not tell which endpoints it publishes: pin settings.endpoint.version",
        ),
        (FailureClass::Unauthorised, _) => result(
            "credentials",
            Verdict::Fail,
            detail,
            "correct user, password, client id (`GUID@Tenant`) and secret with `purser secrets set`; check the connected application (SM303010)",
        ),
        (FailureClass::NotSent, _) => result(
            "credentials",
            Verdict::Fail,
            detail,
            "check the address and the network, see the checks above",
        ),
        (FailureClass::Rejected { .. } | FailureClass::InDoubt | FailureClass::Unavailable, _) => result(
            "credentials",
            Verdict::Fail,
            detail,
            "the site answers with an error or a page for people: it may be in maintenance; check that the url is the instance",
        ),
    }
}

async fn version(client: &Client, build: &str) -> ProbeResult {
    let build = if build.is_empty() { String::new() } else { format!(", build {build}") };
    match client.contract().await {
        Ok(contract) => {
            let spoken = format!("{}/{}{build}", contract.name, contract.version);
            if client.settings.endpoint.version.is_none() {
                let fix = format!("set settings.endpoint.version = \"{}\" to pin it", contract.version);
                return result("version", Verdict::Warn, format!("{spoken}, chosen and not pinned"), &fix);
            }
            result("version", Verdict::Pass, spoken, "")
        }
        Err(failure) => result(
            "version",
            Verdict::Fail,
            failure.message,
            "set settings.endpoint to a name and version that the site publishes",
        ),
    }
}

/// A sign-in does not prove the tenant: without one, or on a site with one only, any name is accepted. What is seen
/// there is shown, so that a person can tell.
async fn tenant(client: &Client) -> ProbeResult {
    const CHECK: &str = "tenant";
    if let Auth::Cookie(cookie) = &client.settings.auth
        && cookie.tenant.is_empty()
    {
        return result(
            CHECK,
            Verdict::Warn,
            "no tenant is named: the sign-in goes to the default one",
            "write the tenant's name in settings.auth.tenant",
        );
    }
    let branches = match super::reference::branches(client).await {
        Ok(Some(branches)) if !branches.is_empty() => branches,
        Ok(_) => {
            return result(CHECK, Verdict::Pass, "signed in; the tenant's branches cannot be listed", "");
        }
        Err(failure) => return result(CHECK, Verdict::Warn, failure.message, "try again later"),
    };
    let missing: Vec<&str> = client
        .settings
        .branches
        .values()
        .map(String::as_str)
        .filter(|wanted| !branches.keys().any(|known| known.eq_ignore_ascii_case(wanted)))
        .collect();
    let seen: Vec<&str> = branches.keys().take(12).map(String::as_str).collect();
    if missing.is_empty() {
        return result(
            CHECK,
            Verdict::Pass,
            format!("signed in to the tenant with branches {}", seen.join(", ")),
            "",
        );
    }
    result(
        CHECK,
        Verdict::Fail,
        format!("branches {} are not among {}", missing.join(", "), seen.join(", ")),
        "correct settings.branches, or the tenant that is signed in to",
    )
}

/// One row of everything that is read.
async fn permissions(client: &Client) -> Vec<ProbeResult> {
    let mut results = Vec::new();
    let all = probed();
    for (query, needed) in &all {
        if let Err(refusal) = client.some(query, 1).await {
            results.push(forbidden(query.entity, *needed, &refusal));
        }
    }
    if results.is_empty() {
        results.push(result(
            "permissions",
            Verdict::Pass,
            format!("all {} screens can be read", all.len()),
            "",
        ));
    }
    results
}

fn forbidden(entity: &str, needed: bool, refusal: &Refusal) -> ProbeResult {
    let fix = match refusal.kind {
        Kind::Forbidden | Kind::Unauthorised => {
            "give the user's role rights on this screen (SM201020), and check that the feature is switched on"
        }
        Kind::NotSetUp => "complete the set-up form that Acumatica names",
        Kind::NotOffered => "the endpoint lacks this entity: choose another in settings.endpoint",
        Kind::Duplicate
        | Kind::Missing
        | Kind::NotExportable
        | Kind::BadQuery
        | Kind::Stale
        | Kind::Refused
        | Kind::Exception
        | Kind::Other => "look at the message; try again later",
    };
    let verdict = if needed { Verdict::Fail } else { Verdict::Warn };
    let detail = if needed {
        refusal.failure.message.clone()
    } else {
        format!("done without: {}", refusal.failure.message)
    };
    result(&format!("permission {entity}"), verdict, detail, fix)
}

/// Whether today can be posted to.
async fn period(client: &Client, today: Date) -> ProbeResult {
    const CHECK: &str = "fiscal-period";
    match periods(client).await {
        Ok(Some(periods)) => match periods.iter().find(|p| p.start <= today && today <= p.end) {
            Some(p) if p.closed => result(
                CHECK,
                Verdict::Fail,
                format!("period {}/{} of {today} is closed", p.year, p.number),
                "open the financial period in Acumatica, or documents of these days are held",
            ),
            Some(p) => {
                result(CHECK, Verdict::Pass, format!("period {}/{} of {today} is open", p.year, p.number), "")
            }
            None => result(
                CHECK,
                Verdict::Fail,
                format!("no financial period covers {today}"),
                "create the financial period in Acumatica",
            ),
        },
        Ok(None) => result(
            CHECK,
            Verdict::Warn,
            "the financial periods cannot be read",
            "give the user rights on GL201000; without them Acumatica judges each date itself",
        ),
        Err(failure) => result(CHECK, Verdict::Warn, failure.message, "try again later"),
    }
}

/// When a person has to sign in again.
fn sign_in_end(client: &Client) -> Option<ProbeResult> {
    const CHECK: &str = "sign-in";
    const FIX: &str = "sign in again in a browser and set the new `refresh_token` with `purser secrets set`";
    let (since, end) = client.identity.ends()?;
    let Auth::Oauth2(oauth2) = &client.settings.auth else { return None };
    let left = end - client.now();
    let told = format!("first used on {}, ends on {}", since.date_naive(), end.date_naive());
    Some(if left <= TimeDelta::zero() {
        result(CHECK, Verdict::Fail, format!("the sign-in has ended: {told}"), FIX)
    } else if left < TimeDelta::days(oauth2.warn_days.into()) {
        result(CHECK, Verdict::Warn, format!("{} days left: {told}", left.num_days()), FIX)
    } else {
        result(CHECK, Verdict::Pass, format!("{} days left: {told}", left.num_days()), "")
    })
}

fn licence(client: &Client) -> ProbeResult {
    match client.settings.requests_per_minute {
        Some(limit) => result(
            "licence",
            Verdict::Pass,
            format!("at most {} % of {limit} requests a minute are used", client.settings.share),
            "",
        ),
        None => result(
            "licence",
            Verdict::Warn,
            "the licensed requests per minute are not set: only delays that have happened are heeded",
            "write the figure of the License Monitoring Console (SM604000) in settings.requests_per_minute",
        ),
    }
}
