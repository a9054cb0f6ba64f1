//! The contract of the `Default` endpoint, as far as it is simulated: entities, their keys, fields, linked entities,
//! details and actions.

/// Type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Decimal,
    Whole,
    Flag,
    /// A day; stored as `yyyy-MM-dd`.
    Date,
    /// A moment; stored in UTC.
    Moment,
}

/// The members of an entity, a linked entity or a detail row.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) fields: &'static [(&'static str, Kind)],
    pub(super) linked: &'static [(&'static str, &'static Shape)],
    pub(super) details: &'static [(&'static str, &'static Shape)],
}

/// A top-level entity.
#[derive(Debug)]
pub(super) struct Entity {
    pub(super) name: &'static str,
    /// The form.
    pub(super) screen: &'static str,
    /// The form's graph and first view, as they stand in `files:put` links.
    pub(super) view: &'static str,
    /// What error texts call a record.
    pub(super) record: &'static str,
    pub(super) keys: &'static [&'static str],
    /// A field that is looked up often.
    pub(super) indexed: &'static str,
    pub(super) actions: &'static [&'static str],
    pub(super) shape: &'static Shape,
}

use Kind::{Date, Decimal, Flag, Moment, Text, Whole};

const fn flat(fields: &'static [(&'static str, Kind)]) -> Shape {
    Shape { fields, linked: &[], details: &[] }
}

impl Shape {
    pub(super) fn field(&self, name: &str) -> Option<(&'static str, Kind)> {
        self.fields.iter().find(|(known, _)| *known == name).copied()
    }

    pub(super) fn linked(&self, name: &str) -> Option<(&'static str, &'static Shape)> {
        self.linked.iter().find(|(known, _)| *known == name).copied()
    }

    pub(super) fn detail(&self, name: &str) -> Option<(&'static str, &'static Shape)> {
        self.details.iter().find(|(known, _)| *known == name).copied()
    }
}

pub(super) fn entity(name: &str) -> Option<&'static Entity> {
    ENTITIES.iter().find(|entity| entity.name == name)
}

/// The name by which an action of an entity is known, whatever case it is sent in. Besides the contract's actions these
/// are the graph's own, which the vendor lets be called by name.
pub(super) fn action(entity: &Entity, name: &str) -> Option<&'static str> {
    entity.actions.iter().find(|known| known.eq_ignore_ascii_case(name)).copied()
}

static ADDRESS: Shape = flat(&[
    ("AddressLine1", Text),
    ("AddressLine2", Text),
    ("City", Text),
    ("Country", Text),
    ("PostalCode", Text),
    ("State", Text),
    ("Validated", Flag),
]);

static CONTACT: Shape = Shape {
    fields: &[
        ("Active", Flag),
        ("AddressValidated", Flag),
        ("Attention", Text),
        ("BusinessAccount", Text),
        ("CompanyName", Text),
        ("ContactClass", Text),
        ("ContactID", Whole),
        ("ContactMethod", Text),
        ("ConvertedBy", Text),
        ("DateOfBirth", Date),
        ("DisplayName", Text),
        ("DoNotCall", Flag),
        ("DoNotEmail", Flag),
        ("DoNotFax", Flag),
        ("DoNotMail", Flag),
        ("Duplicate", Text),
        ("DuplicateFound", Flag),
        ("Email", Text),
        ("ExtRefNbr", Text),
        ("Fax", Text),
        ("FaxType", Text),
        ("FirstName", Text),
        ("FullName", Text),
        ("Gender", Text),
        ("Image", Text),
        ("JobTitle", Text),
        ("LanguageOrLocale", Text),
        ("LastIncomingActivity", Moment),
        ("LastModifiedDateTime", Moment),
        ("LastName", Text),
        ("LastOutgoingActivity", Moment),
        ("MaritalStatus", Text),
        ("MiddleName", Text),
        ("NoMarketing", Flag),
        ("NoMassMail", Flag),
        ("NoteID", Text),
        ("OverrideAccountAddress", Flag),
        ("Owner", Text),
        ("OwnerEmployeeName", Text),
        ("ParentAccount", Text),
        ("Phone1", Text),
        ("Phone1Type", Text),
        ("Phone2", Text),
        ("Phone2Type", Text),
        ("Phone3", Text),
        ("Phone3Type", Text),
        ("QualificationDate", Date),
        ("Reason", Text),
        ("Source", Text),
        ("SourceCampaign", Text),
        ("SpouseOrPartnerName", Text),
        ("Status", Text),
        ("Synchronize", Flag),
        ("Title", Text),
        ("Type", Text),
        ("WebSite", Text),
        ("Workgroup", Text),
        ("WorkgroupDescription", Text),
    ],
    linked: &[("Address", &ADDRESS)],
    details: &[],
};

static VENDOR: Shape = Shape {
    fields: &[
        ("AccountRef", Text),
        ("APAccount", Text),
        ("APSubaccount", Text),
        ("CashAccount", Text),
        ("CreatedDateTime", Moment),
        ("CurrencyID", Text),
        ("CurrencyRateType", Text),
        ("EnableCurrencyOverride", Flag),
        ("EnableRateOverride", Flag),
        ("F1099Box", Text),
        ("F1099Vendor", Flag),
        ("FATCA", Flag),
        ("FOBPoint", Text),
        ("ForeignEntity", Flag),
        ("LandedCostVendor", Flag),
        ("LastModifiedDateTime", Moment),
        ("LeadTimedays", Whole),
        ("LegalName", Text),
        ("LocationName", Text),
        ("MaxReceipt", Decimal),
        ("MinReceipt", Decimal),
        ("ParentAccount", Text),
        ("PaymentBy", Text),
        ("PaymentLeadTimedays", Whole),
        ("PaymentMethod", Text),
        ("PaySeparately", Flag),
        ("PrintOrders", Flag),
        ("ReceiptAction", Text),
        ("ReceivingBranch", Text),
        ("RemittanceAddressOverride", Flag),
        ("RemittanceContactOverride", Flag),
        ("SendOrdersbyEmail", Flag),
        ("ShippingAddressOverride", Flag),
        ("ShippingContactOverride", Flag),
        ("ShippingTerms", Text),
        ("ShipVia", Text),
        ("Status", Text),
        ("TaxCalculationMode", Text),
        ("TaxRegistrationID", Text),
        ("TaxZone", Text),
        ("Terms", Text),
        ("ThresholdReceipt", Decimal),
        ("VendorClass", Text),
        ("VendorID", Text),
        ("VendorIsLaborUnion", Flag),
        ("VendorIsTaxAgency", Flag),
        ("VendorName", Text),
        ("Warehouse", Text),
    ],
    linked: &[("MainContact", &CONTACT), ("RemittanceContact", &CONTACT)],
    details: &[],
};

static ACCOUNT: Shape = flat(&[
    ("AccountCD", Text),
    ("AccountClass", Text),
    ("AccountGroup", Text),
    ("AccountID", Whole),
    ("Active", Flag),
    ("CashAccount", Flag),
    ("ChartOfAccountsOrder", Whole),
    ("ConsolidationAccount", Text),
    ("CreatedDateTime", Moment),
    ("CurrencyID", Text),
    ("Description", Text),
    ("LastModifiedDateTime", Moment),
    ("PostOption", Text),
    ("RequireUnits", Flag),
    ("RevaluationRateType", Text),
    ("Secured", Flag),
    ("TaxCategory", Text),
    ("Type", Text),
    ("UseDefaultSubaccount", Flag),
]);

static SUBACCOUNT: Shape = flat(&[
    ("Active", Flag),
    ("Description", Text),
    ("Secured", Flag),
    ("SubaccountCD", Text),
    ("SubaccountID", Whole),
]);

static EMPLOYEE_SETTINGS: Shape = flat(&[
    ("BranchID", Text),
    ("Calendar", Text),
    ("CurrencyID", Text),
    ("CurrencyRateTypeID", Text),
    ("DepartmentID", Text),
    ("EmployeeClass", Text),
    ("EmployeeRefNbr", Text),
    ("EnableCurrencyOverride", Flag),
    ("EnableRateOverride", Flag),
    ("LaborItem", Text),
    ("RegularHoursValidation", Text),
    ("ReportsTo", Text),
    ("RouteEmails", Flag),
    ("Salesperson", Text),
    ("TimeCardIsRequired", Flag),
    ("UnionLocalID", Text),
]);

static FINANCIAL_SETTINGS: Shape = flat(&[
    ("APAccount", Text),
    ("APSubaccount", Text),
    ("CashAccount", Text),
    ("ExpenseAccount", Text),
    ("ExpenseSubaccount", Text),
    ("PaymentMethod", Text),
    ("PrepaymentAccount", Text),
    ("PrepaymentSubaccount", Text),
    ("SalesAccount", Text),
    ("SalesSubaccount", Text),
    ("TaxZone", Text),
    ("Terms", Text),
]);

static EMPLOYEE: Shape = Shape {
    fields: &[
        ("EmployeeID", Text),
        ("EmployeeName", Text),
        ("LastModifiedDateTime", Moment),
        ("Status", Text),
    ],
    linked: &[
        ("ContactInfo", &CONTACT),
        ("EmployeeSettings", &EMPLOYEE_SETTINGS),
        ("FinancialSettings", &FINANCIAL_SETTINGS),
    ],
    details: &[],
};

static PROJECT: Shape = flat(&[
    ("Assets", Decimal),
    ("Customer", Text),
    ("Description", Text),
    ("Expenses", Decimal),
    ("ExternalRefNbr", Text),
    ("Hold", Flag),
    ("Income", Decimal),
    ("LastModifiedDateTime", Moment),
    ("Liabilities", Decimal),
    ("ProjectID", Text),
    ("ProjectTemplateID", Text),
    ("Status", Text),
]);

static PROJECT_TASK: Shape = flat(&[
    ("Default", Flag),
    ("Description", Text),
    ("ExternalRefNbr", Text),
    ("LastModifiedDateTime", Moment),
    ("ProjectID", Text),
    ("ProjectTaskID", Text),
    ("Status", Text),
]);

static COST_CODE: Shape =
    flat(&[("CostCodeID", Text), ("Description", Text), ("LastModifiedDateTime", Moment)]);

static LEDGER_BRANCH: Shape =
    flat(&[("Active", Flag), ("BranchID", Text), ("BranchName", Text), ("CompanyName", Text)]);

static LEDGER: Shape = Shape {
    fields: &[
        ("ConsolidationSource", Flag),
        ("Currency", Text),
        ("Description", Text),
        ("LastModifiedDateTime", Moment),
        ("LedgerID", Text),
        ("Type", Text),
    ],
    linked: &[],
    details: &[("Branches", &LEDGER_BRANCH)],
};

static BRANCH: Shape = flat(&[
    ("BaseCurrencyID", Text),
    ("BranchCountry", Text),
    ("BranchID", Text),
    ("BranchName", Text),
    ("BranchStatus", Flag),
    ("CompanyID", Text),
    ("CompanyName", Text),
    ("CompanyStatus", Flag),
    ("CompanyType", Text),
]);

/// An inquiry: one record without keys.
static COMPANIES: Shape = Shape { fields: &[], linked: &[], details: &[("Results", &BRANCH)] };

static PERIOD: Shape = flat(&[
    ("AdjustmentPeriod", Flag),
    ("ClosedInAP", Flag),
    ("ClosedInAR", Flag),
    ("ClosedInCA", Flag),
    ("ClosedInFA", Flag),
    ("ClosedInIN", Flag),
    ("Description", Text),
    ("EndDate", Date),
    ("FinancialPeriodID", Text),
    ("LengthInDays", Whole),
    ("PeriodNbr", Text),
    ("StartDate", Date),
    ("Status", Text),
]);

static YEAR: Shape = Shape {
    fields: &[
        ("CreatedDateTime", Moment),
        ("FinancialYear", Text),
        ("LastModifiedDateTime", Moment),
        ("NbrOfPeriods", Whole),
        ("StartDate", Date),
        ("UserDefinedPeriods", Flag),
    ],
    linked: &[],
    details: &[("Details", &PERIOD)],
};

/// The same of one company; it tells no dates of change.
static COMPANY_YEAR: Shape = Shape {
    fields: &[("Company", Text), ("FinancialYear", Text), ("NbrOfPeriods", Whole), ("StartDate", Date)],
    linked: &[],
    details: &[("Details", &PERIOD)],
};

static BILL_DETAIL: Shape = flat(&[
    ("Account", Text),
    ("Amount", Decimal),
    ("Branch", Text),
    ("CalculateDiscountsOnImport", Flag),
    ("CostCode", Text),
    ("Description", Text),
    ("ExtendedCost", Decimal),
    ("InventoryID", Text),
    ("LCLineNbr", Whole),
    ("LCNbr", Text),
    ("LCType", Text),
    ("NonBillable", Flag),
    ("POLine", Whole),
    ("POOrderNbr", Text),
    ("POOrderType", Text),
    ("POReceiptLine", Whole),
    ("POReceiptNbr", Text),
    ("POReceiptType", Text),
    ("Project", Text),
    ("ProjectTask", Text),
    ("Qty", Decimal),
    ("Subaccount", Text),
    ("TaxCategory", Text),
    ("TransactionDescription", Text),
    ("UnitCost", Decimal),
    ("UOM", Text),
]);

static BILL_TAX: Shape =
    flat(&[("TaxableAmount", Decimal), ("TaxAmount", Decimal), ("TaxID", Text), ("TaxRate", Decimal)]);

static BILL_APPLICATION: Shape = flat(&[
    ("AmountPaid", Decimal),
    ("Balance", Decimal),
    ("DocType", Text),
    ("ReferenceNbr", Text),
    ("Status", Text),
]);

static BILL: Shape = Shape {
    fields: &[
        ("Amount", Decimal),
        ("ApprovedForPayment", Flag),
        ("Balance", Decimal),
        ("BranchID", Text),
        ("CashAccount", Text),
        ("CurrencyID", Text),
        ("Date", Date),
        ("Description", Text),
        ("DueDate", Date),
        ("Hold", Flag),
        ("IsTaxValid", Flag),
        ("LastModifiedDateTime", Moment),
        ("LocationID", Text),
        ("PostPeriod", Text),
        ("Project", Text),
        ("ReferenceNbr", Text),
        ("Status", Text),
        ("TaxTotal", Decimal),
        ("Terms", Text),
        ("Type", Text),
        ("Vendor", Text),
        ("VendorRef", Text),
    ],
    linked: &[],
    details: &[("Applications", &BILL_APPLICATION), ("Details", &BILL_DETAIL), ("TaxDetails", &BILL_TAX)],
};

static JOURNAL_DETAIL: Shape = flat(&[
    ("Account", Text),
    ("BranchID", Text),
    ("CostCode", Text),
    ("CreditAmount", Decimal),
    ("DebitAmount", Decimal),
    ("Description", Text),
    ("IsNonPM", Flag),
    ("LineNbr", Whole),
    ("NonBillable", Flag),
    ("Project", Text),
    ("ProjectTask", Text),
    ("ProjectTransactionID", Whole),
    ("Qty", Decimal),
    ("ReferenceNbr", Text),
    ("Subaccount", Text),
    ("TransactionDescription", Text),
    ("UOM", Text),
    ("VendorOrCustomer", Text),
]);

static JOURNAL: Shape = Shape {
    fields: &[
        ("BatchNbr", Text),
        ("BranchID", Text),
        ("CreatedDateTime", Moment),
        ("CurrencyID", Text),
        ("Description", Text),
        ("Hold", Flag),
        ("LastModifiedDateTime", Moment),
        ("LedgerID", Text),
        ("Module", Text),
        ("PostPeriod", Text),
        ("Status", Text),
        ("TransactionDate", Date),
    ],
    linked: &[],
    details: &[("Details", &JOURNAL_DETAIL)],
};

const fn reference(
    name: &'static str,
    screen: &'static str,
    record: &'static str,
    keys: &'static [&'static str],
    shape: &'static Shape,
) -> Entity {
    Entity { name, screen, view: "Maint/Records", record, keys, indexed: "", actions: &[], shape }
}

static ENTITIES: [Entity; 13] = [
    Entity {
        actions: &["CreateContactFromVendor"],
        ..reference("Vendor", "AP303000", "Vendor", &["VendorID"], &VENDOR)
    },
    reference("Account", "GL202500", "GL Account", &["AccountCD"], &ACCOUNT),
    reference("Subaccount", "GL203000", "Subaccount", &["SubaccountCD"], &SUBACCOUNT),
    Entity {
        actions: &["ChangeEmployeeID"],
        ..reference("Employee", "EP203000", "Employee", &["EmployeeID"], &EMPLOYEE)
    },
    Entity {
        actions: &["ActivateProject", "CompleteProject", "HoldProject"],
        ..reference("Project", "PM301000", "Project", &["ProjectID"], &PROJECT)
    },
    reference("ProjectTask", "PM302000", "Project Task", &["ProjectID", "ProjectTaskID"], &PROJECT_TASK),
    reference("CostCode", "PM209500", "Cost Code", &["CostCodeID"], &COST_CODE),
    reference("Ledger", "GL201500", "Ledger", &["LedgerID"], &LEDGER),
    reference("FinancialPeriod", "GL201000", "Financial Year", &["FinancialYear"], &YEAR),
    reference("CompanyFinancialPeriod", "GL201100", "Financial Year", &["FinancialYear"], &COMPANY_YEAR),
    reference("CompaniesStructure", "GL102000", "Company", &[], &COMPANIES),
    Entity {
        name: "Bill",
        screen: "AP301000",
        view: "PX.Objects.AP.APInvoiceEntry/Document",
        record: "AP Invoice",
        keys: &["Type", "ReferenceNbr"],
        indexed: "VendorRef",
        actions: &[
            "ReleaseBill",
            "ReverseBill",
            "ReleaseRetainage",
            "Release",
            "ReleaseFromHold",
            "PutOnHold",
            "Approve",
            "Reject",
        ],
        shape: &BILL,
    },
    Entity {
        name: "JournalTransaction",
        screen: "GL301000",
        view: "PX.Objects.GL.JournalEntry/BatchModule",
        record: "Batch",
        keys: &["Module", "BatchNbr"],
        indexed: "Description",
        actions: &["ReleaseJournalTransaction", "Release", "ReleaseFromHold", "PutOnHold"],
        shape: &JOURNAL,
    },
];

/// All entities, for those who list them.
pub(super) fn all() -> &'static [Entity] {
    &ENTITIES
}
