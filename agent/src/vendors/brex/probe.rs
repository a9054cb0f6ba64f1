//! The vendor's own checks for `doctor`: credential, company, surface, fields. Each after the one it depends on; all
//! read-only. The first of them is also what keeps a token alive.

use super::auth::{self, IDLE_END_DAYS, IDLE_WARN_DAYS};
use super::outcome::Refusal;
use super::settings::SurfaceChoice;
use super::surface::Surface;
use super::wire::{Company, User};
use super::{Brex, calls};
use crate::vendors::checks::{failed, passed, result, skipped};
use crate::vendors::{ProbeResult, Verdict, last_use};

const CREDENTIALS: &str = "credentials";
const COMPANY: &str = "company";
const SURFACE: &str = "surface";
const FIELDS: &str = "fields";

impl Brex {
    pub(super) async fn examine(&self) -> Vec<ProbeResult> {
        let idle = self.idle_days();
        let mut results = Vec::new();
        match self.get::<User>(&calls::me()).await {
            Ok(user) => results.push(self.alive(&user, idle)),
            Err(refusal) if refusal.is_missing_right() => results.push(result(
                CREDENTIALS,
                Verdict::Warn,
                format!("alive, but it may not read its own user: {}", refusal.failure.message),
                "give the token the scope `users.readonly`: expenses stay without owner otherwise",
            )),
            Err(refusal) => {
                results.push(failed(CREDENTIALS, &refusal.failure, || {
                    auth::how_to_mend(self.identity.secret())
                }));
                results.extend([COMPANY, SURFACE, FIELDS].map(|check| skipped(check, CREDENTIALS)));
                return results;
            }
        }
        results.push(self.examine_company().await);
        results.push(self.examine_surface().await);
        results.push(self.examine_fields().await);
        results
    }

    /// Days since the credential was used, before this very check.
    fn idle_days(&self) -> Option<i64> {
        Some((self.today() - last_use(&*self.notes)?).num_days())
    }

    fn alive(&self, user: &User, idle: Option<i64>) -> ProbeResult {
        let names = [user.first_name.as_deref(), user.last_name.as_deref()];
        let name = super::convert::tidy(&names.into_iter().flatten().collect::<Vec<_>>().join(" "));
        let who = user.email.as_deref().map(str::trim).unwrap_or_default();
        let seen = format!(
            "accepted, of {name} {who}; it dies {IDLE_END_DAYS} days after the last call at the earliest"
        );
        match idle.filter(|days| *days >= IDLE_WARN_DAYS) {
            None => passed(CREDENTIALS, seen),
            Some(days) => result(
                CREDENTIALS,
                Verdict::Warn,
                format!("{seen}; before this check it was not used for {days} days"),
                "let the agent run, or run a flow of this connection at least once a week",
            ),
        }
    }

    async fn examine_company(&self) -> ProbeResult {
        match self.get::<Company>(&calls::company()).await {
            Ok(company) => {
                let name = company.legal_name.unwrap_or_default();
                let id = company.id.unwrap_or_default();
                passed(COMPANY, format!("{} ({id})", name.trim()))
            }
            Err(refusal) if refusal.is_missing_right() => result(
                COMPANY,
                Verdict::Warn,
                refusal.failure.message,
                "give the token the scope `companies.readonly`: webhooks are told apart by the company",
            ),
            Err(refusal) => failed(COMPANY, &refusal.failure, || auth::how_to_mend(self.identity.secret())),
        }
    }

    async fn examine_surface(&self) -> ProbeResult {
        let surface = match self.surface().await {
            Ok(surface) => surface,
            Err(failure) => return failed(SURFACE, &failure, || auth::how_to_mend(self.identity.secret())),
        };
        let asked = match surface {
            Surface::Accounting => self.accounting_granted().await,
            Surface::Expenses => self.expenses_granted().await,
        };
        match (surface, asked) {
            (_, Err(refusal)) => self.not_readable(surface, &refusal),
            (Surface::Accounting, Ok(())) => passed(
                SURFACE,
                "accounting records are readable, exported records are marked at Brex".to_owned(),
            ),
            (Surface::Expenses, Ok(())) => self.on_expenses().await,
        }
    }

    fn not_readable(&self, surface: Surface, refusal: &Refusal) -> ProbeResult {
        let failure = &refusal.failure;
        if surface == Surface::Accounting && refusal.is_missing_right() {
            return result(
                SURFACE,
                Verdict::Fail,
                failure.message.clone(),
                "ask Brex for the accounting API and give the token its scopes; reading expenses instead gives every \
                 purchase another id, so change `surface` only together with the flow's `start`",
            );
        }
        failed(SURFACE, failure, || auth::how_to_mend(self.identity.secret()))
    }

    async fn on_expenses(&self) -> ProbeResult {
        let seen = "expenses and transactions are readable; Brex keeps no mark, the posting log alone keeps them apart";
        let auto = self.settings.surface == SurfaceChoice::Auto;
        if auto && self.accounting_granted().await.is_ok() {
            return result(
                SURFACE,
                Verdict::Warn,
                format!("{seen}; by now Brex grants the accounting API too"),
                "to change over, set `surface` to `accounting` and the flow's `start` to a day after everything booked: \
                 the same purchase has another id there",
            );
        }
        passed(SURFACE, seen.to_owned())
    }

    async fn examine_fields(&self) -> ProbeResult {
        match self.send(&calls::fields()).await {
            Ok(_) => passed(FIELDS, "readable".to_owned()),
            Err(refusal) if refusal.is_missing_right() => result(
                FIELDS,
                Verdict::Warn,
                refusal.failure.message,
                "give the token `fields.read`, `fields.write`, `field_values.read` and `field_values.write` if accounts or \
                 cost centres are to be mirrored into Brex",
            ),
            Err(refusal) => failed(FIELDS, &refusal.failure, || auth::how_to_mend(self.identity.secret())),
        }
    }
}
