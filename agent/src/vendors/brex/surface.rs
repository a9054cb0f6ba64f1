//! Which surface spend is read from: accounting records, which Brex grants on request, or expenses and transactions.
//! The same purchase has one id on the one and another on the other, so what was found first is remembered durably: a
//! connection that changed by itself would book everything twice.

use super::Brex;
use super::calls::{self, Changed, ExpenseFilter};
use super::outcome::{Refusal, rejected};
use super::settings::{Settings, SurfaceChoice};
use crate::vendors::NoteError;
use spend::posting::Failure;

/// The note that holds the surface.
pub(super) const NOTE: &str = "surface";
/// The host of before January 2026; it answers 401 for v3 whatever the token (D-obs).
const OLD_HOST: &str = "platform.brexapis.com";

/// Where spend is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    /// `/v3/accounting`.
    Accounting,
    /// Expenses and transactions.
    Expenses,
}

impl Surface {
    /// The word for it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Accounting => "accounting",
            Self::Expenses => "expenses",
        }
    }

    fn read(word: &str) -> Option<Self> {
        [Self::Accounting, Self::Expenses].into_iter().find(|surface| surface.as_str() == word)
    }
}

impl Brex {
    /// The surface of this connection: the configured one, the one of before, or the one that answers.
    pub(super) async fn surface(&self) -> Result<Surface, Failure> {
        match self.settings.surface {
            SurfaceChoice::Accounting => return Ok(Surface::Accounting),
            SurfaceChoice::Expenses => return Ok(Surface::Expenses),
            SurfaceChoice::Auto => {}
        }
        let mut known = self.surface.lock().await;
        if let Some(surface) = *known {
            return Ok(surface);
        }
        let noted = self.notes.read(NOTE).map_err(unnoted)?;
        let surface = match noted.as_deref().and_then(Surface::read) {
            Some(surface) => surface,
            None => {
                let found = self.find_surface().await?;
                self.notes.write(NOTE, found.as_str()).map_err(unnoted)?;
                tracing::info!(surface = found.as_str(), "surface of Brex chosen");
                found
            }
        };
        *known = Some(surface);
        Ok(surface)
    }

    /// Asks both surfaces. Only a refusal of permission by Brex itself leads to the fall-back; a passing fault and the
    /// page of a proxy decide nothing.
    async fn find_surface(&self) -> Result<Surface, Failure> {
        let refusal = match self.accounting_granted().await {
            Ok(()) => return Ok(Surface::Accounting),
            Err(refusal) => refusal,
        };
        let not_granted = refusal.is_missing_right() || (refusal.told && refusal.status == 404);
        if !not_granted {
            return Err(refusal.failure);
        }
        if self.base.host_str() == Some(OLD_HOST) {
            return Err(rejected(
                "brex.records",
                format!(
                    "{OLD_HOST} does not serve the accounting API, so whether it is granted cannot be told"
                ),
                "set the connection's `url` to https://api.brex.com, or `surface` in its settings",
            ));
        }
        match self.expenses_granted().await {
            Ok(()) => Ok(Surface::Expenses),
            Err(other) => {
                let message = format!("{}; and the expenses cannot be read either", other.failure.message);
                Err(Failure { message, ..other.failure })
            }
        }
    }

    /// Whether the accounting API may be read.
    pub(super) async fn accounting_granted(&self) -> Result<(), Refusal> {
        let changed = Changed { from: self.today(), before: None };
        self.send(&calls::records(None, &changed, 1)).await.map(drop)
    }

    /// Whether expenses may be read.
    pub(super) async fn expenses_granted(&self) -> Result<(), Refusal> {
        let changed = Changed { from: self.today(), before: None };
        self.send(&calls::expenses(filter(&self.settings), &changed, 1)).await.map(drop)
    }
}

/// The expenses that are read.
pub(super) fn filter(settings: &Settings) -> ExpenseFilter<'_> {
    ExpenseFilter {
        types: &settings.expenses.types,
        statuses: &settings.expenses.statuses,
        payment_statuses: &settings.expenses.payment_statuses,
    }
}

/// What cannot be remembered must not be decided.
pub(super) fn unnoted(error: NoteError) -> Failure {
    Failure::new(spend::posting::FailureClass::NotSent, format!("brex: {error}"))
}
