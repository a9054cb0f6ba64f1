//! The routes that the sandbox plays: which flow reads which system and writes into which, under which names.

use clap::ValueEnum as _;

/// A system of the sandbox. Two flows may not read one source, so there are two Expensify accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// The first Expensify account.
    Expensify,
    /// The second Expensify account: another world's reports.
    SecondExpensify,
    /// Brex.
    Brex,
    /// Epicor Kinetic.
    Epicor,
    /// Acumatica.
    Acumatica,
}

impl System {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Expensify, Self::SecondExpensify, Self::Brex, Self::Epicor, Self::Acumatica];

    /// Id of the connection, and name of its secret.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Expensify => "expensify",
            Self::SecondExpensify => "expensify-second",
            Self::Brex => "brex",
            Self::Epicor => "epicor",
            Self::Acumatica => "acumatica",
        }
    }

    /// The word in `purser.toml`.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Expensify | Self::SecondExpensify => "expensify",
            Self::Brex => "brex",
            Self::Epicor => "epicor",
            Self::Acumatica => "acumatica",
        }
    }

    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expensify => "Expensify",
            Self::SecondExpensify => "Expensify (second account)",
            Self::Brex => "Brex",
            Self::Epicor => "Epicor",
            Self::Acumatica => "Acumatica",
        }
    }
}

/// From one system into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Route {
    /// Expense reports into Epicor Kinetic.
    #[value(name = "expenses")]
    ExpensifyEpicor,
    /// Expense reports of the second account into Acumatica.
    #[value(name = "expenses-acumatica")]
    ExpensifyAcumatica,
    /// Card spend into Epicor Kinetic.
    #[value(name = "cards")]
    BrexEpicor,
}

impl Route {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ExpensifyEpicor, Self::ExpensifyAcumatica, Self::BrexEpicor];

    /// Id of the flow.
    pub const fn flow(self) -> &'static str {
        match self {
            Self::ExpensifyEpicor => "expenses",
            Self::ExpensifyAcumatica => "expenses-acumatica",
            Self::BrexEpicor => "cards",
        }
    }

    /// Head of the flow's references.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::ExpensifyEpicor => "EXP",
            Self::ExpensifyAcumatica => "EXA",
            Self::BrexEpicor => "BRX",
        }
    }

    /// Where it reads.
    pub const fn source(self) -> System {
        match self {
            Self::ExpensifyEpicor => System::Expensify,
            Self::ExpensifyAcumatica => System::SecondExpensify,
            Self::BrexEpicor => System::Brex,
        }
    }

    /// Where it writes.
    pub const fn erp(self) -> System {
        match self {
            Self::ExpensifyEpicor | Self::BrexEpicor => System::Epicor,
            Self::ExpensifyAcumatica => System::Acumatica,
        }
    }

    /// One record of the source, for people.
    pub const fn record(self) -> &'static str {
        match self {
            Self::ExpensifyEpicor | Self::ExpensifyAcumatica => "report",
            Self::BrexEpicor => "card record",
        }
    }

    /// For people.
    pub fn words(self) -> String {
        format!("{} → {}", self.source().name(), self.erp().name())
    }

    /// The route whose references begin like this one.
    pub fn of_reference(reference: &str) -> Option<Self> {
        let prefix = reference.split('-').next()?;
        Self::value_variants().iter().copied().find(|route| route.prefix() == prefix)
    }

    /// The systems of some routes, each once.
    pub fn systems(routes: &[Self]) -> Vec<System> {
        let used = |system: &System| routes.iter().any(|r| [r.source(), r.erp()].contains(system));
        System::ALL.into_iter().filter(used).collect()
    }
}
