//! The columns of each table that matter here, with their types. Real rows are several hundred columns wide: the rest
//! is made up on output (`wide`), never stored.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::amount::Amount;
use super::json::{Json, Row};

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Int,
    Decimal,
    Flag,
    Date,
    Guid,
}

/// A table: rows of an entity set, and a member of a tableset.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<(&'static str, Type)>,
    /// Key columns in positional order.
    pub(super) key: Vec<&'static str>,
}

/// Every made-up column set contains this tenant's own columns.
const CUSTOM: [(&str, Type); 2] = [("SpendReference_c", Type::Text), ("Checked_c", Type::Flag)];

pub(super) static ZERO_GUID: &str = "00000000-0000-0000-0000-000000000000";

macro_rules! tables {
    ($($name:ident: $key:literal, $columns:literal;)*) => {
        $(pub(super) static $name: LazyLock<Table> = LazyLock::new(|| table($key, $columns));)*
    };
}

// One line per table: its key, then its columns as name:type (s text, i integer, n decimal, b flag, d date). Company,
// SysRevID and SysRowID are in every table.
tables! {
    VENDOR: "Company VendorNum", "VendorNum:i VendorID:s Name:s LegalName:s Address1:s Address2:s Address3:s City:s State:s ZIP:s Country:s CountryNum:i TaxPayerID:s OrgRegCode:s TermsCode:s CurrencyCode:s EMailAddress:s PhoneNum:s VendURL:s Inactive:b Approved:b PayHold:b GroupCode:s PMUID:i Print1099:b AccountRef:s Comment:s";
    VEND_CNT: "Company VendorNum PurPoint ConNum", "VendorNum:i PurPoint:s ConNum:i Name:s EMailAddress:s ChangeDate:d CreateDate:d";
    GL_ACCOUNT: "Company COACode GLAccount1", "COACode:s GLAccount1:s AccountDesc:s SegValue1:s SegValue2:s SegValue3:s SegValue4:s SegValue5:s SegValue6:s SegValue7:s SegValue8:s SegValue9:s SegValue10:s SegValue11:s SegValue12:s SegValue13:s SegValue14:s SegValue15:s SegValue16:s SegValue17:s SegValue18:s SegValue19:s SegValue20:s Active:b EffFrom:d EffTo:d GLAcctDispGLAcctDisp:s ParentGLAccount:s";
    COA_SEG_VALUES: "Company COACode SegmentNbr SegmentCode", "COACode:s SegmentNbr:i SegmentCode:s SegmentName:s SegmentDesc:s SegmentAbbrev:s ActiveFlag:b EffectiveFrom:d EffectiveTo:d Category:s NormalBalance:s";
    COA_SEGMENT: "Company COACode SegmentNbr", "COACode:s SegmentNbr:i SegmentName:s MinLength:i MaxLength:i Dynamic:b DisplayOrder:i EntryControl:b SiteSegment:b";
    EMP_BASIC: "Company EmpID", "EmpID:s FirstName:s LastName:s Name:s EMailAddress:s EmpStatus:s SupervisorID:s DcdUserID:s PerConID:i JCDept:s ExpenseVendorNum:i ExpenseEntryAllowed:b";
    PER_CON: "Company PerConID", "PerConID:i Name:s FirstName:s LastName:s EMailAddress:s";
    PROJECT: "Company ProjectID", "ProjectID:s Description:s ActiveProject:b StartDate:d EndDate:d ConProjMgr:s Plant:s";
    JC_DEPT: "Company JCDept1", "JCDept1:s Description:s";
    PUR_TERMS: "Company TermsCode", "TermsCode:s Description:s NumberOfDays:i";
    PO_HEADER: "Company PONum", "PONum:i VendorNum:i OrderDate:d OpenOrder:b ApprovalStatus:s CurrencyCode:s TermsCode:s DocTotalOrder:n ChangeDate:d";
    PO_DETAIL: "Company PONUM POLine", "PONUM:i POLine:i OpenLine:b PartNum:s LineDesc:s OrderQty:n DocUnitCost:n DocExtCost:n ChangeDate:d";
    GL_BOOK: "Company BookID", "BookID:s Description:s COACode:s CurrencyCode:s FiscalCalendarID:s MainBook:b";
    FISCAL_PER: "Company FiscalCalendarID FiscalYear FiscalYearSuffix FiscalPeriod", "FiscalCalendarID:s FiscalYear:i FiscalYearSuffix:s FiscalPeriod:i StartDate:d EndDate:d ClosedPeriod:b";
    AP_INV_GRP: "Company GroupID", "GroupID:s CreatedBy:s ActiveUserID:s FiscalYear:i FiscalYearSuffix:s FiscalPeriod:i FiscalCalendarID:s ApplyDate:d PostErrorLog:s PostInProcess:b GrpTotalInvAmt:n Description:s";
    AP_INV_HED: "Company VendorNum InvoiceNum", "VendorNum:i InvoiceNum:s GroupID:s Posted:b OpenPayable:b DebitMemo:b InvoiceDate:d ApplyDate:d DueDate:d TermsCode:s CurrencyCode:s FiscalYear:i FiscalPeriod:i InvoiceAmt:n DocInvoiceAmt:n InvoiceVendorAmt:n DocInvoiceVendorAmt:n ScrDocInvoiceVendorAmt:n DocInvoiceVariance:n DocInvoiceBal:n Description:s InvoiceComment:s ExternalID:s XRefInvoiceNum:s EmpID:s InvoiceHeld:b EntryPerson:s VendorNumVendorID:s VendorNumName:s ChangeDate:d ChangedBy:s";
    AP_INV_DTL: "Company VendorNum InvoiceNum InvoiceLine", "VendorNum:i InvoiceNum:s InvoiceLine:i LineType:s PartNum:s Description:s LineComment:s VendorQty:n ScrVendorQty:n UnitCost:n DocUnitCost:n ScrDocUnitCost:n ExtCost:n DocExtCost:n ScrDocExtCost:n PONum:i POLine:i UpdateExtCreateLineGL:b VendorNumVendorID:s ChangeDate:d ChangedBy:s";
    AP_INV_EXP: "Company VendorNum InvoiceNum InvoiceLine InvExpSeq", "VendorNum:i InvoiceNum:s InvoiceLine:i InvExpSeq:i ExpAmt:n DocExpAmt:n";
    AP_INV_EXP_TGLC: "Company VendorNum InvoiceNum InvoiceLine InvExpSeq SysRowID", "VendorNum:i InvoiceNum:s InvoiceLine:i InvExpSeq:i RelatedToFile:s Key1:s Key2:s Key3:s Key4:s Key5:s Key6:s TGLCTranNum:i GLAcctContext:s BookID:s COACode:s GLAccount:s SegValue1:s SegValue2:s SegValue3:s SegValue4:s SegValue5:s SegValue6:s SegValue7:s SegValue8:s SegValue9:s SegValue10:s SegValue11:s SegValue12:s SegValue13:s SegValue14:s SegValue15:s SegValue16:s SegValue17:s SegValue18:s SegValue19:s SegValue20:s SysGLControlType:s SysGLControlCode:s UserCanModify:b TransAmt:n DebitAmount:n CreditAmount:n RecordType:s";
    GL_JRN_GRP: "Company GroupID", "GroupID:s BookID:s BookMode:s JournalCode:s JEDate:d FiscalYear:i FiscalYearSuffix:s FiscalPeriod:i FiscalCalendarID:s CreatedBy:s ActiveUserID:s PostErrorLog:s PostInProcess:b TotDebit:n TotCredit:n";
    GL_JRN_HED: "Company BookID FiscalYear FiscalYearSuffix JournalCode JournalNum FiscalCalendarID", "BookID:s FiscalYear:i FiscalYearSuffix:s JournalCode:s JournalNum:i FiscalCalendarID:s FiscalPeriod:i GroupID:s JEDate:d Description:s CommentText:s CurrencyCode:s TotDebit:n TotCredit:n Posted:b PostedDate:d CreateDate:d EntryPerson:s";
    GL_JRN_DTL_MNL: "Company BookID FiscalYear FiscalYearSuffix JournalCode JournalNum JournalLine FiscalCalendarID", "BookID:s FiscalYear:i FiscalYearSuffix:s JournalCode:s JournalNum:i JournalLine:i FiscalCalendarID:s FiscalPeriod:i GroupID:s JEDate:d COACode:s GLAccount:s SegValue1:s SegValue2:s SegValue3:s SegValue4:s SegValue5:s SegValue6:s SegValue7:s SegValue8:s SegValue9:s SegValue10:s SegValue11:s SegValue12:s SegValue13:s SegValue14:s SegValue15:s SegValue16:s SegValue17:s SegValue18:s SegValue19:s SegValue20:s Description:s CommentText:s CurrencyCode:s TotDebit:n TotCredit:n DebitAmount:n CreditAmount:n TransAmt:n Posted:b";
}

fn table(key: &'static str, columns: &'static str) -> Table {
    let mut list = vec![("Company", Type::Text)];
    list.extend(columns.split_whitespace().map(|column| {
        let (name, kind) = column.split_once(':').unwrap_or((column, "s"));
        let kind = match kind {
            "i" => Type::Int,
            "n" => Type::Decimal,
            "b" => Type::Flag,
            "d" => Type::Date,
            _ => Type::Text,
        };
        (name, kind)
    }));
    list.push(("SysRevID", Type::Int));
    list.push(("SysRowID", Type::Guid));
    Table { columns: list, key: key.split_whitespace().collect() }
}

impl Table {
    /// The type of a column of a row that is `width` wide; `None` = there is no such column (names are exact).
    pub(super) fn type_of(&self, name: &str, width: usize) -> Option<Type> {
        let listed = self.columns.iter().chain(CUSTOM.iter()).find(|(column, _)| *column == name);
        listed
            .map(|(_, kind)| *kind)
            .or_else(|| self.made_up(width).find(|(column, _)| column == name).map(|(_, kind)| kind))
    }

    /// Whether the simulator computes or stores that column itself.
    pub(super) fn is_listed(&self, name: &str) -> bool {
        self.columns.iter().any(|(column, _)| *column == name)
    }

    /// Fills a row up to the width with what a row has that nothing was said about.
    pub(super) fn widen(&self, row: &mut Row, width: usize) {
        for (name, kind) in self.columns.iter().chain(CUSTOM.iter()) {
            row.entry(Cow::Borrowed(name)).or_insert_with(|| blank(*kind));
        }
        for (name, kind) in self.made_up(width) {
            row.entry(Cow::Owned(name)).or_insert_with(|| blank(kind));
        }
    }

    pub(super) fn made_up(&self, width: usize) -> impl Iterator<Item = (String, Type)> + use<> {
        let count = width.saturating_sub(self.columns.len() + CUSTOM.len());
        (1..=count).map(|index| match index % 4 {
            0 => (format!("CheckBox{index:02}"), Type::Flag),
            1 => (format!("Character{index:02}"), Type::Text),
            2 => (format!("Number{index:02}"), Type::Decimal),
            _ => (format!("Date{index:02}"), Type::Date),
        })
    }

    /// All columns for the metadata.
    pub(super) fn all(&self, width: usize) -> Vec<(String, Type)> {
        let listed = self.columns.iter().chain(CUSTOM.iter()).map(|(name, kind)| ((*name).to_owned(), *kind));
        listed.chain(self.made_up(width)).collect()
    }
}

/// The value of a column that nothing was said about.
pub(super) fn blank(kind: Type) -> Json {
    match kind {
        Type::Text => Json::str(""),
        Type::Int => Json::int(0),
        Type::Decimal => Amount::ZERO.into(),
        Type::Flag => Json::Bool(false),
        Type::Date => Json::Null,
        Type::Guid => Json::str(ZERO_GUID),
    }
}
