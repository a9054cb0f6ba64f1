//! Kills a real agent, again and again, at moments drawn from a seed, while answers get lost and commits come late;
//! then lets it finish and compares what the ERP holds with an undisturbed run over the same world.
//!
//! What a newcomer gets wrong: totals that agree prove little. A document that was resumed half way can have the
//! right total and wrong lines, so every line is compared.

mod books;
mod moment;
mod report;
mod torment;
mod verb;

pub use books::Books;
pub use report::CrashReport;
pub use torment::torment;
pub use verb::{CrashArgs, main};

use crate::harness::{DocumentKind, Route};

/// What a flow writes, and whether the ERP itself refuses a second document under the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Mode {
    /// AP invoices; the ERP refuses a number that it has.
    Refused,
    /// AP invoices; the ERP takes a number again.
    Taken,
    /// GL journals; the ERP never looks at the reference.
    Journals,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Refused, Self::Taken, Self::Journals];

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Refused => "AP invoices, duplicates refused by the ERP",
            Self::Taken => "AP invoices, duplicates not refused",
            Self::Journals => "GL journals, duplicates not refused",
        }
    }

    const fn document(self) -> DocumentKind {
        match self {
            Self::Refused | Self::Taken => DocumentKind::ApInvoice,
            Self::Journals => DocumentKind::Journal,
        }
    }

    const fn unique(self) -> bool {
        matches!(self, Self::Refused)
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct CrashOptions {
    /// Kills in all.
    pub kills: u32,
    /// Where moments, faults and worlds are drawn from.
    pub seed: u64,
    /// Records of one world.
    pub reports: usize,
    /// Which flow.
    pub route: Route,
    /// What is written.
    pub mode: Mode,
}
