//! Card and cash spend of the same world: what people bought with the company's cards, what came back, what the cash
//! account paid. Accounts, departments, projects and suppliers are those of the chart and the ERP; merchants are spelled
//! as card networks spell them.

mod make;

use super::World;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Natural account of the liability towards the card's bank.
pub const CARD_LIABILITY: &str = "2160";
/// Natural account of the cash account.
pub const CASH: &str = "1100";

/// What kind of spend is wanted.
#[derive(Clone, Debug)]
pub struct SpendOptions {
    /// How many movements, in all states together.
    pub count: usize,
    /// Some are billed in EUR and JPY instead of all in the world's currency.
    pub mixed_currencies: bool,
}

/// What moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpendKind {
    /// Bought with a card.
    Purchase,
    /// A merchant gave money back.
    Refund,
    /// An employee paid the company back.
    Repayment,
    /// The company paid the card's bank.
    CardPayment,
    /// The company paid an employee.
    Reimbursement,
    /// The company paid a supplier's bill.
    Bill,
    /// The bank took a fee from the cash account.
    CashFee,
}

/// How far the accounting of a movement has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpendState {
    /// The employee is still to say what it was.
    Prepare,
    /// Accounting looks at it.
    Review,
    /// To be booked.
    Ready,
    /// Booked before the world began.
    Exported,
}

/// How a merchant's name fits the ERP's suppliers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MerchantFit {
    /// The supplier's own name.
    Exact,
    /// Misspelled, shortened or with a store number; a person sees who it is.
    Near,
    /// Two suppliers could be meant.
    Ambiguous,
    /// Nobody the ERP knows.
    Unknown,
}

/// Why a movement cannot be booked without a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpendFault {
    /// A line has no account.
    NoAccount,
    /// Account and department were typed in by hand, so they carry no key of the ERP.
    ByHand,
    /// The account is inactive.
    AccountInactive,
    /// The project is closed.
    ProjectClosed,
    /// No supplier has a name like the merchant's.
    MerchantUnknown,
    /// Two suppliers have.
    MerchantAmbiguous,
    /// There is no merchant at all.
    NoMerchant,
}

impl SpendFault {
    const CYCLE: [Self; 7] = [
        Self::MerchantUnknown,
        Self::NoAccount,
        Self::MerchantAmbiguous,
        Self::ByHand,
        Self::AccountInactive,
        Self::NoMerchant,
        Self::ProjectClosed,
    ];

    /// It matters only when the movement becomes an invoice of the merchant's supplier.
    pub fn is_about_the_merchant(self) -> bool {
        matches!(self, Self::MerchantUnknown | Self::MerchantAmbiguous | Self::NoMerchant)
    }
}

/// A merchant as the card network names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldMerchant {
    /// Descriptor, blanks at the end included.
    pub name: String,
    /// Merchant category code.
    pub mcc: String,
    /// The card company's own category.
    pub category: String,
    /// How the name fits.
    pub fit: MerchantFit,
    /// The supplier that is meant, where one is.
    pub vendor_code: Option<String>,
}

/// One line of a movement. Amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldSpendLine {
    /// Natural account; `None` = nobody said.
    pub natural: Option<String>,
    /// Department code.
    pub department: Option<String>,
    /// Project code.
    pub project: Option<String>,
    /// Amount as billed; positive.
    pub amount: i64,
    /// Amount as bought, in the original currency; positive.
    pub original: i64,
    /// Note.
    pub memo: String,
}

/// One movement. Amounts are minor units and positive whichever way the money went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldSpend {
    /// Position from 1.
    pub number: usize,
    /// What moved.
    pub kind: SpendKind,
    /// How far it has come.
    pub state: SpendState,
    /// E-mail address of whose card or expense it was; `None` = nobody's.
    pub employee: Option<String>,
    /// Merchant, or supplier of a bill.
    pub merchant: Option<WorldMerchant>,
    /// Billed in.
    pub currency: String,
    /// Bought in.
    pub original_currency: String,
    /// Bought.
    pub purchased: DateTime<Utc>,
    /// Settled.
    pub posted: DateTime<Utc>,
    /// Number of a bill.
    pub invoice_number: Option<String>,
    /// Note.
    pub memo: String,
    /// A receipt was handed in.
    pub receipt: bool,
    /// Lines; one unless it was split.
    pub lines: Vec<WorldSpendLine>,
    /// The one fault it carries.
    pub fault: Option<SpendFault>,
}

impl WorldSpend {
    /// As billed.
    pub fn amount(&self) -> i64 {
        self.lines.iter().map(|line| line.amount).sum()
    }

    /// As billed; negative where money came back.
    pub fn signed(&self) -> i64 {
        let back = matches!(self.kind, SpendKind::Refund | SpendKind::Repayment);
        if back { -self.amount() } else { self.amount() }
    }

    /// As bought.
    pub fn original(&self) -> i64 {
        self.lines.iter().map(|line| line.original).sum()
    }
}

impl World {
    /// Card and cash spend in the world's currency; see [`World::spend_with`].
    pub fn spend(&self, count: usize) -> Vec<WorldSpend> {
        self.spend_with(&SpendOptions { count, mixed_currencies: false })
    }

    /// Card and cash spend of this world's seed. Of every 20 movements 14 are purchases; one each is a refund, a
    /// repayment, a payment of the card, a reimbursement, a bill and a fee. All were settled 1 to 20 days before the
    /// world's day.
    pub fn spend_with(&self, options: &SpendOptions) -> Vec<WorldSpend> {
        make::spend(self, options)
    }
}

/// What has to be booked and what has to be held, as sums by currency in minor units, of movements of these kinds that
/// are ready; money that came back counts negative. `by_merchant` = as invoices of the merchants' suppliers.
pub fn expected_spend_totals(
    spend: &[WorldSpend],
    kinds: &[SpendKind],
    by_merchant: bool,
) -> (BTreeMap<String, i64>, BTreeMap<String, i64>) {
    let (mut booked, mut held) = (BTreeMap::new(), BTreeMap::new());
    let ready = |spend: &&WorldSpend| spend.state == SpendState::Ready && kinds.contains(&spend.kind);
    for each in spend.iter().filter(ready) {
        let matters = |fault: SpendFault| by_merchant || !fault.is_about_the_merchant();
        let sums = if each.fault.is_some_and(matters) { &mut held } else { &mut booked };
        *sums.entry(each.currency.clone()).or_insert(0) += each.signed();
    }
    (booked, held)
}

#[cfg(test)]
mod tests {
    use super::make::kind_of;
    use super::*;
    use crate::world::DEFAULT_COST_CENTRE;
    use chrono::NaiveDate;

    fn world() -> World {
        World::generate(11, 5, NaiveDate::from_ymd_opt(2026, 11, 21).unwrap())
    }

    #[test]
    fn same_seed_gives_the_same_spend() {
        assert_eq!(world().spend(80), world().spend(80));
        assert_eq!(world().spend(80)[..40], world().spend(40)[..]);
    }

    #[test]
    fn spend_without_a_fault_fits_the_chart_and_the_suppliers() {
        let world = world();
        let spend = world.spend(400);
        for each in spend.iter().filter(|spend| spend.fault.is_none()) {
            for line in &each.lines {
                let natural = line.natural.clone().unwrap();
                let department = line.department.clone().unwrap_or_else(|| "00".to_owned());
                let wanted = [natural, department, DEFAULT_COST_CENTRE.to_owned()];
                assert!(world.accounts.iter().any(|a| a.active && a.segments == wanted), "{wanted:?}");
                let open = |code: &String| world.projects.iter().any(|p| p.code == *code && p.active);
                assert!(line.project.as_ref().is_none_or(open));
                assert!(line.amount > 0 && line.original > 0);
            }
            if let Some(merchant) = &each.merchant {
                let code = merchant.vendor_code.as_ref().unwrap();
                assert!(world.vendors.iter().any(|vendor| vendor.code == *code), "{code}");
            }
        }
    }

    #[test]
    fn every_kind_fault_and_form_occurs() {
        let spend = world().spend(200);
        for fault in SpendFault::CYCLE {
            assert!(spend.iter().any(|s| s.fault == Some(fault)), "{fault:?}");
        }
        for index in 0..20 {
            assert!(spend.iter().any(|s| s.kind == kind_of(index)));
        }
        assert!(spend.iter().any(|s| s.lines.len() > 1));
        assert!(spend.iter().any(|s| s.original_currency == "JPY" && s.currency == "USD"));
        let mixed = world().spend_with(&SpendOptions { count: 60, mixed_currencies: true });
        assert!(mixed.iter().any(|s| s.currency == "JPY") && mixed.iter().any(|s| s.currency == "EUR"));
    }

    #[test]
    fn what_is_expected_to_be_booked_and_held_is_all_that_is_ready() {
        let spend = world().spend(100);
        let kinds = [SpendKind::Purchase, SpendKind::Refund];
        let ready = spend.iter().filter(|s| s.state == SpendState::Ready && kinds.contains(&s.kind));
        let total: i64 = ready.map(WorldSpend::signed).sum();
        let held = [false, true].map(|by_merchant| {
            let (booked, held) = expected_spend_totals(&spend, &kinds, by_merchant);
            assert_eq!(booked["USD"] + held["USD"], total);
            held["USD"]
        });
        assert!(held[0] < held[1]);
    }
}
