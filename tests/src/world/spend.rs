//! Card and cash spend of the same world: what people bought with the company's cards, what came back, what the cash
//! account paid. Accounts, departments, projects and suppliers are those of the chart and the ERP; merchants are spelled
//! as card networks spell them.

use super::report::{RATES, convert};
use super::{World, chart};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

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
        let rng = fastrand::Rng::with_seed(self.seed ^ 0x5BE4_D000);
        let mut maker = Maker { rng, world: self, options, ready: 0, faults: 0 };
        (0..options.count).map(|index| maker.movement(index)).collect()
    }
}

/// Descriptor, merchant category code, card company's category, natural account, supplier, fit.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, MerchantFit);

const MERCHANTS: &[Row] = &[
    (
        "NORTHGATE INDUSTRIAL SUPPLY 0123",
        "5085",
        "GENERAL_MERCHANDISE",
        "6500",
        "NORTHGAT",
        MerchantFit::Near,
    ),
    (
        "NORTHGATE INDUSTRAL SUPLY #0044 ",
        "5085",
        "GENERAL_MERCHANDISE",
        "6500",
        "NORTHGAT",
        MerchantFit::Near,
    ),
    ("Kessler Bearings & Drives", "5085", "GENERAL_MERCHANDISE", "6700", "KESSLER1", MerchantFit::Exact),
    ("SQ *KESSLER BEARING DRIVES", "5085", "GENERAL_MERCHANDISE", "6700", "KESSLER1", MerchantFit::Near),
    ("HARBOR STEEL WORKS 02", "5051", "GENERAL_MERCHANDISE", "6510", "HARBORST", MerchantFit::Near),
    (
        "BRIGHTDESK* SOFTWARE INC",
        "5734",
        "RECURRING_SOFTWARE_AND_SAAS",
        "6320",
        "BRIGHTDK",
        MerchantFit::Near,
    ),
    ("DELTA TOOL + DIE", "5251", "GENERAL_MERCHANDISE", "6500", "DELTATLD", MerchantFit::Near),
    ("Pinewood Packaging", "5113", "SHIPPING", "6310", "PINEWOOD", MerchantFit::Exact),
    ("SUMMIT FASTENER CO 7781", "5072", "GENERAL_MERCHANDISE", "6500", "SUMMITFA", MerchantFit::Near),
    ("AIR NORTH 0457712003", "4511", "AIRLINE_EXPENSES", "6100", "AIRNORTH", MerchantFit::Near),
    ("HOTEL DU SOMMET", "7011", "LODGING", "6110", "HOTELSUM", MerchantFit::Near),
    ("OFFICE SOURCE #0012  ", "5943", "OFFICE_SUPPLIES", "6300", "OFFICE01", MerchantFit::Near),
    ("Freight One", "4214", "SHIPPING", "5100", "FREIGHT1", MerchantFit::Exact),
];

const STRANGERS: &[Row] = &[
    ("QUICKMART 7731 ", "5411", "GROCERY", "6200", "", MerchantFit::Unknown),
    ("TST* LA COCINA", "5812", "RESTAURANTS", "6200", "", MerchantFit::Unknown),
    ("PAYPAL *XJ9TRADING", "5999", "GENERAL_MERCHANDISE", "6300", "", MerchantFit::Unknown),
];

const AMBIGUOUS: Row = ("HARBOR STEEL", "5051", "GENERAL_MERCHANDISE", "6510", "", MerchantFit::Ambiguous);

const MEMOS: &[&str] = &[
    "",
    "",
    "Bench grinder",
    "Spare parts for press 4",
    "Site visit",
    "Annual licence",
    "Café & \"snacks\"",
];

struct Maker<'a> {
    rng: fastrand::Rng,
    world: &'a World,
    options: &'a SpendOptions,
    ready: usize,
    faults: usize,
}

impl Maker<'_> {
    fn movement(&mut self, index: usize) -> WorldSpend {
        let (kind, state) = (kind_of(index), state_of(index));
        let fault = self.fault(kind, state);
        let row = self.merchant(kind, fault);
        let currency = self.currency(index);
        let original_currency = self.original_currency(kind, &currency);
        let purchased = self.moment();
        let mut spend = WorldSpend {
            number: index + 1,
            kind,
            state,
            employee: self.employee(kind),
            merchant: row.map(|row| self.named(kind, row)),
            posted: purchased + TimeDelta::seconds(self.rng.i64(30_000..80_000)),
            purchased,
            invoice_number: (kind == SpendKind::Bill).then(|| format!("B-{}", 20_000 + index)),
            memo: MEMOS[self.rng.usize(..MEMOS.len())].to_owned(),
            receipt: self.rng.u8(..10) < 7,
            lines: self.lines(kind, row, &original_currency, &currency),
            currency,
            original_currency,
            fault,
        };
        spoil(&mut spend);
        spend
    }

    /// Each fifth purchase that is ready carries a fault, in turn.
    fn fault(&mut self, kind: SpendKind, state: SpendState) -> Option<SpendFault> {
        if kind != SpendKind::Purchase || state != SpendState::Ready {
            return None;
        }
        self.ready += 1;
        (self.ready % 5 == 2).then(|| {
            self.faults += 1;
            SpendFault::CYCLE[(self.faults - 1) % SpendFault::CYCLE.len()]
        })
    }

    fn merchant(&mut self, kind: SpendKind, fault: Option<SpendFault>) -> Option<&'static Row> {
        match (kind, fault) {
            (SpendKind::CardPayment | SpendKind::CashFee | SpendKind::Reimbursement, _) => None,
            (_, Some(SpendFault::NoMerchant)) => None,
            (_, Some(SpendFault::MerchantAmbiguous)) => Some(&AMBIGUOUS),
            (_, Some(SpendFault::MerchantUnknown)) => STRANGERS.get(self.rng.usize(..STRANGERS.len())),
            _ => MERCHANTS.get(self.rng.usize(..MERCHANTS.len())),
        }
    }

    /// A bill names the supplier as the ERP does.
    fn named(&self, kind: SpendKind, row: &Row) -> WorldMerchant {
        let merchant = merchant(row);
        let supplier =
            self.world.vendors.iter().find(|vendor| Some(&vendor.code) == merchant.vendor_code.as_ref());
        match supplier.filter(|_| kind == SpendKind::Bill) {
            Some(supplier) => {
                WorldMerchant { name: supplier.name.clone(), fit: MerchantFit::Exact, ..merchant }
            }
            None => merchant,
        }
    }

    fn currency(&self, index: usize) -> String {
        match index % 10 {
            3 if self.options.mixed_currencies => "EUR".to_owned(),
            6 if self.options.mixed_currencies => "JPY".to_owned(),
            _ => self.world.currency.clone(),
        }
    }

    fn original_currency(&mut self, kind: SpendKind, billed: &str) -> String {
        let card = matches!(kind, SpendKind::Purchase | SpendKind::Refund);
        if card && self.rng.u8(..100) < 20 {
            return RATES[self.rng.usize(..RATES.len())].0.to_owned();
        }
        billed.to_owned()
    }

    /// Nobody's: payments of the company itself, and few purchases.
    fn employee(&mut self, kind: SpendKind) -> Option<String> {
        let company = matches!(kind, SpendKind::CardPayment | SpendKind::CashFee);
        let person = self.world.employees.get(self.rng.usize(..self.world.employees.len().max(1)))?;
        let unnamed = kind == SpendKind::Purchase && self.rng.u8(..100) < 6;
        (!company && !unnamed).then(|| person.email.clone())
    }

    fn moment(&mut self) -> DateTime<Utc> {
        let day: NaiveDate = self.world.today - Days::new(self.rng.u64(2..=20));
        day.and_time(chrono::NaiveTime::MIN).and_utc()
            + TimeDelta::microseconds(self.rng.i64(0..80_000_000_000))
    }

    fn lines(
        &mut self,
        kind: SpendKind,
        row: Option<&'static Row>,
        original: &str,
        billed: &str,
    ) -> Vec<WorldSpendLine> {
        let split = kind == SpendKind::Purchase && self.rng.u8(..100) < 20;
        let count = if split { self.rng.usize(2..=3) } else { 1 };
        (0..count).map(|_| self.line(kind, row, original, billed)).collect()
    }

    fn line(
        &mut self,
        kind: SpendKind,
        row: Option<&'static Row>,
        original: &str,
        billed: &str,
    ) -> WorldSpendLine {
        let natural = match kind {
            SpendKind::CardPayment => CARD_LIABILITY,
            SpendKind::CashFee => "6900",
            SpendKind::Reimbursement => "6120",
            _ => row.map_or("6300", |row| row.3),
        };
        let amount = match kind {
            SpendKind::CardPayment => self.rng.i64(100_000..900_000),
            SpendKind::CashFee => self.rng.i64(100..3_000),
            _ => self.rng.i64(150..60_000),
        };
        let department = ["00", "10", "20", "30"][self.rng.usize(..4)];
        let project = chart::USED_PROJECTS[self.rng.usize(..chart::USED_PROJECTS.len())];
        let coded = !matches!(kind, SpendKind::CardPayment | SpendKind::CashFee);
        WorldSpendLine {
            natural: Some(natural.to_owned()),
            department: coded.then(|| department.to_owned()),
            project: (coded && !project.is_empty()).then(|| project.to_owned()),
            original: amount,
            amount: if original == billed { amount } else { convert(amount, original, billed).max(1) },
            memo: String::new(),
        }
    }
}

fn kind_of(index: usize) -> SpendKind {
    match index % 20 {
        4 => SpendKind::Refund,
        9 => SpendKind::CardPayment,
        12 => SpendKind::Reimbursement,
        15 => SpendKind::Bill,
        17 => SpendKind::CashFee,
        19 => SpendKind::Repayment,
        _ => SpendKind::Purchase,
    }
}

fn state_of(index: usize) -> SpendState {
    match index % 20 {
        5 => SpendState::Prepare,
        10 => SpendState::Review,
        13 => SpendState::Exported,
        _ => SpendState::Ready,
    }
}

fn merchant(row: &Row) -> WorldMerchant {
    let (name, mcc, category, _, vendor, fit) = *row;
    WorldMerchant {
        name: name.to_owned(),
        mcc: mcc.to_owned(),
        category: category.to_owned(),
        fit,
        vendor_code: (!vendor.is_empty()).then(|| vendor.to_owned()),
    }
}

/// The last line carries the fault, where it is one of a line.
fn spoil(spend: &mut WorldSpend) {
    let (Some(fault), Some(last)) = (spend.fault, spend.lines.last_mut()) else { return };
    match fault {
        SpendFault::NoAccount => last.natural = None,
        SpendFault::AccountInactive => last.natural = Some("6950".to_owned()),
        SpendFault::ProjectClosed => last.project = Some(chart::CLOSED_PROJECT.to_owned()),
        SpendFault::ByHand
        | SpendFault::MerchantUnknown
        | SpendFault::MerchantAmbiguous
        | SpendFault::NoMerchant => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::DEFAULT_COST_CENTRE;

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
}
