//! Makes card and cash spend from a world's seed; a movement carries at most one fault.

use super::super::report::{RATES, convert};
use super::super::{World, chart};
use super::{
    CARD_LIABILITY, MerchantFit, SpendFault, SpendKind, SpendOptions, SpendState, WorldMerchant, WorldSpend,
    WorldSpendLine,
};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

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

pub(super) fn spend(world: &World, options: &SpendOptions) -> Vec<WorldSpend> {
    let rng = fastrand::Rng::with_seed(world.seed ^ 0x5BE4_D000);
    let mut maker = Maker { rng, world, options, ready: 0, faults: 0 };
    (0..options.count).map(|index| maker.movement(index)).collect()
}

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

pub(super) fn kind_of(index: usize) -> SpendKind {
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
