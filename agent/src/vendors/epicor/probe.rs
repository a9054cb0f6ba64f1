//! The checks of `purser doctor` for Kinetic: identity and key told apart, company, permission for each service that
//! postings use, methods, fiscal period of today. Each names the mend.

use super::calls::{self, Query};
use super::client::Client;
use super::convert::day;
use super::outcome::{Kind, Refusal};
use super::profile::{GL_YEAR_CHECK, PATCH_LEVEL, STEPS};
use super::reference::{periods, probed};
use super::wire::{Dataset, Row, number, raw};
use crate::vendors::checks::{result, skipped};
use crate::vendors::{ProbeResult, Verdict};
use spend::Date;
use spend::ids::CompanyId;
use spend::posting::FailureClass;

/// Runs all checks for the first company; for further ones only those that depend on the company.
pub(super) async fn probe(client: &Client, companies: &[CompanyId], today: Date) -> Vec<ProbeResult> {
    let Some(first) = companies.first() else {
        return vec![result(
            "company",
            Verdict::Fail,
            "no company is configured",
            "name the company ids in `settings.companies` of the connection",
        )];
    };
    let mut results = identity(client, first).await;
    if results.iter().any(|r| r.verdict == Verdict::Fail) {
        results.extend(
            ["company", "permissions", "methods", "fiscal-period"].map(|check| skipped(check, "credentials")),
        );
        return results;
    }
    for company in companies {
        let readable = permissions(client, company).await;
        let fit = readable.iter().all(|r| r.verdict != Verdict::Fail || r.check != "company");
        results.extend(readable);
        if fit {
            results.extend(methods(client, company).await);
            results.push(period(client, company, today).await);
        } else {
            results.extend(["methods", "fiscal-period"].map(|check| skipped(check, "company")));
        }
    }
    results
}

/// Who we are: the cheapest authorised call, and when it is refused, the same identity without the key.
async fn identity(client: &Client, company: &CompanyId) -> Vec<ProbeResult> {
    match client.invoke(company, &PATCH_LEVEL, &[]).await {
        Ok(answer) => {
            let level =
                answer.return_obj.map(|raw| raw.get().trim_matches('"').chars().take(40).collect::<String>());
            let level = level.unwrap_or_else(|| "not told".to_owned());
            vec![
                result("credentials", Verdict::Pass, "user and API key are accepted", ""),
                result("version", Verdict::Pass, format!("patch level {level}"), ""),
            ]
        }
        Err(refusal) => match refusal.kind {
            Kind::Unauthorised => vec![key_or_identity(client, company, &refusal).await],
            Kind::Forbidden | Kind::NotOffered | Kind::Business | Kind::RecordMissing | Kind::BadQuery => {
                vec![result(
                    "version",
                    Verdict::Warn,
                    refusal.failure.message,
                    "allow Ice.LIB.SessionModSvc in the API key's access scope to see the patch level",
                )]
            }
            Kind::Duplicate | Kind::Stale | Kind::NotSaved | Kind::Other => {
                vec![result(
                    "credentials",
                    Verdict::Fail,
                    refusal.failure.message,
                    fix_of_class(&refusal.failure.class),
                )]
            }
        },
    }
}

fn fix_of_class(class: &FailureClass) -> &'static str {
    match class {
        FailureClass::NotSent => "check the address and the network, see the checks above",
        FailureClass::Throttled { .. } => "Kinetic is in maintenance or busy: try again later",
        FailureClass::Unauthorised => "correct user and password with `purser secrets set`",
        FailureClass::Rejected { .. } | FailureClass::InDoubt | FailureClass::Unavailable => {
            "look at the application server: it answers with an error; give the correlation id to its administrator"
        }
    }
}

/// The v1 interface needs no key: what passes there has a good identity and a bad key.
async fn key_or_identity(client: &Client, company: &CompanyId, refusal: &Refusal) -> ProbeResult {
    let mut url = client.site.v1("Erp.BO.VendorSvc", "Vendors");
    url.set_query(Some("%24top=1"));
    let alone = client.send(company, calls::get("epicor.probe.identity", url), false).await;
    match alone {
        Err(again) if again.kind == Kind::Unauthorised => result(
            "credentials",
            Verdict::Fail,
            format!("user or password refused: {}", again.failure.message),
            "correct `user` and `password` with `purser secrets set`; check in Kinetic that the account is not locked or expired",
        ),
        Ok(_) | Err(Refusal { kind: Kind::Forbidden | Kind::Business | Kind::BadQuery, .. }) => result(
            "api-key",
            Verdict::Fail,
            format!("the user is accepted, the API key is not: {}", refusal.failure.message),
            "correct `api_key` with `purser secrets set`: it must be enabled, not expired, and of this environment",
        ),
        Err(_) => result(
            "credentials",
            Verdict::Fail,
            format!("refused, and the user cannot be checked without the key: {}", refusal.failure.message),
            "check `user`, `password` and `api_key`; set them anew with `purser secrets set`",
        ),
    }
}

/// One row of everything that is read. When nothing at all is readable, it is the company.
async fn permissions(client: &Client, company: &CompanyId) -> Vec<ProbeResult> {
    let mut refused = Vec::new();
    let queries = probed();
    for query in &queries {
        if let Err(refusal) = client.some(company, query, 1).await {
            refused.push((query, refusal));
        }
    }
    if refused.len() == queries.len() {
        let why = refused.into_iter().next().map(|(_, refusal)| refusal.failure.message).unwrap_or_default();
        return vec![result(
            "company",
            Verdict::Fail,
            format!("nothing can be read in company `{company}`: {why}"),
            "write the company id exactly as Kinetic does (case counts); authorise the user for it; allow it in the key's access scope",
        )];
    }
    let mut results = vec![result("company", Verdict::Pass, format!("company `{company}` is readable"), "")];
    if refused.is_empty() {
        results.push(result(
            "permissions",
            Verdict::Pass,
            format!("all {} services can be read", queries.len()),
            "",
        ));
    }
    results.extend(refused.into_iter().map(|(query, refusal)| forbidden(query, &refusal)));
    results
}

fn forbidden(query: &Query, refusal: &Refusal) -> ProbeResult {
    let check = format!("permission {}", query.service);
    let fix = match refusal.kind {
        Kind::Forbidden | Kind::Unauthorised => {
            "allow this service in the API key's access scope and the user's service security"
        }
        Kind::NotOffered | Kind::RecordMissing | Kind::BadQuery => {
            "this release names it otherwise: ask its administrator for the service's name"
        }
        Kind::Duplicate | Kind::Stale | Kind::Business | Kind::NotSaved | Kind::Other => {
            "look at the message; try again later"
        }
    };
    result(&check, Verdict::Fail, refusal.failure.message.clone(), fix)
}

/// Whether the instance offers every method that postings use.
async fn methods(client: &Client, company: &CompanyId) -> Vec<ProbeResult> {
    let (mut missing, mut lacking, mut aliases) = (Vec::new(), Vec::new(), Vec::new());
    for step in STEPS {
        match client.resolved(company, step).await {
            Ok(resolved) => {
                if !resolved.offered {
                    let list = if step.optional { &mut lacking } else { &mut missing };
                    list.push(format!("{} ({}/{})", step.key, step.service, resolved.method));
                } else if let Some(alias) = resolved.alias_of {
                    aliases.push(format!("`{alias}` stands for {}", resolved.method));
                }
            }
            Err(failure) => {
                return vec![result("methods", Verdict::Warn, failure.message, "try again later")];
            }
        }
    }
    let mut results = Vec::new();
    if missing.is_empty() {
        results.push(result("methods", Verdict::Pass, "every method that postings need is offered", ""));
    } else {
        let detail = format!("not offered: {}", missing.join(", "));
        results.push(result(
            "methods",
            Verdict::Fail,
            detail,
            "name this release's methods in `settings.methods`",
        ));
    }
    if !lacking.is_empty() {
        let detail = format!("not offered, done without: {}", lacking.join(", "));
        results.push(result(
            "methods-optional",
            Verdict::Warn,
            detail,
            "nothing, unless postings lack defaults",
        ));
    }
    if !aliases.is_empty() {
        results.push(result(
            "methods-aliases",
            Verdict::Warn,
            aliases.join(", "),
            "write the offered names in `settings.methods`",
        ));
    }
    results
}

/// Whether today can be posted to: by the list of periods, or by asking Kinetic to judge the date.
async fn period(client: &Client, company: &CompanyId, today: Date) -> ProbeResult {
    const CHECK: &str = "fiscal-period";
    const OPEN: &str = "open the period in Kinetic, or documents of these days are held";
    match periods(client, company).await {
        Ok(Some(periods)) => match periods.iter().find(|p| p.start <= today && today <= p.end) {
            Some(p) if p.closed => result(
                CHECK,
                Verdict::Fail,
                format!("period {}/{} of {today} is closed", p.year, p.number),
                OPEN,
            ),
            Some(p) => {
                result(CHECK, Verdict::Pass, format!("period {}/{} of {today} is open", p.year, p.number), "")
            }
            None => result(
                CHECK,
                Verdict::Fail,
                format!("no fiscal period covers {today}"),
                "create the fiscal period in Kinetic",
            ),
        },
        Ok(None) => judged_period(client, company, today).await,
        Err(failure) => result(CHECK, Verdict::Warn, failure.message, "try again later"),
    }
}

async fn judged_period(client: &Client, company: &CompanyId, today: Date) -> ProbeResult {
    const CHECK: &str = "fiscal-period";
    let no_rows: &[Row] = &[];
    let dataset = if client.settings.journal_code.is_empty() {
        number("{}")
    } else {
        raw(&Dataset::of("GLJrnGrp", no_rows))
    };
    let values = [("cGroupID", raw(&"")), ("cJEDate", raw(&day(today))), ("ds", dataset)];
    match client.invoke(company, &GL_YEAR_CHECK, &values).await {
        Ok(answer) if answer.text("opMessage").is_empty() => {
            result(CHECK, Verdict::Pass, format!("Kinetic accepts {today} as a posting date"), "")
        }
        Ok(answer) => {
            result(CHECK, Verdict::Warn, answer.text("opMessage"), "look at the fiscal calendar in Kinetic")
        }
        Err(refusal) if refusal.kind == Kind::Business => result(
            CHECK,
            Verdict::Fail,
            refusal.failure.message,
            "open the fiscal period of today in Kinetic",
        ),
        Err(refusal) => result(
            CHECK,
            Verdict::Warn,
            format!("the periods cannot be read: {}", refusal.failure.message),
            "nothing: Kinetic judges each posting date itself",
        ),
    }
}
