//! The services, their entity sets and their methods with parameters: what `$metadata` lists, and what a call is
//! checked against. Two releases differ in two signatures.

use super::columns::{self, Table, Type};
use super::json::{Json, Row};
use super::knobs::Release;
use super::refusal::{Outcome, Refusal};

/// Entity sets: service, set, tableset member.
pub(super) const SETS: [(&str, &str, &str); 23] = [
    ("Erp.BO.VendorSvc", "Vendors", "Vendor"),
    ("Erp.BO.VendorSvc", "VendCnts", "VendCnt"),
    ("Erp.BO.APInvGrpSvc", "APInvGrps", "APInvGrp"),
    ("Erp.BO.APInvoiceSvc", "APInvoices", "APInvHed"),
    ("Erp.BO.APInvoiceSvc", "APInvDtls", "APInvDtl"),
    ("Erp.BO.APInvoiceSvc", "APInvExps", "APInvExp"),
    ("Erp.BO.APInvoiceSvc", "APInvExpTGLCs", "APInvExpTGLC"),
    ("Erp.BO.GLAccountSvc", "GLAccounts", "GLAccount"),
    ("Erp.BO.COASegValuesSvc", "COASegValues", "COASegValues"),
    ("Erp.BO.COASegmentSearchSvc", "COASegmentSearches", "COASegment"),
    ("Erp.BO.GLBookSvc", "GLBooks", "GLBook"),
    ("Erp.BO.GLJrnGrpSvc", "GLJrnGrps", "GLJrnGrp"),
    ("Erp.BO.GLJournalEntrySvc", "GLJournalEntries", "GLJrnHed"),
    ("Erp.BO.GLJournalEntrySvc", "GLJrnDtlMnls", "GLJrnDtlMnl"),
    ("Erp.BO.GLJrnDtlSvc", "GLJrnDtls", "GLJrnDtl"),
    ("Erp.BO.EmpBasicSvc", "EmpBasics", "EmpBasic"),
    ("Erp.BO.PerConSvc", "PerCons", "PerCon"),
    ("Erp.BO.JCDeptSvc", "JCDepts", "JCDept"),
    ("Erp.BO.POSvc", "POes", "POHeader"),
    ("Erp.BO.POSvc", "PODetails", "PODetail"),
    ("Erp.BO.ProjectSvc", "Projects", "Project"),
    ("Erp.BO.PurTermsSvc", "PurTerms", "PurTerms"),
    (FISCAL_SERVICE, "FiscalPers", "FiscalPer"),
];

pub(super) const FISCAL_SERVICE: &str = "Erp.BO.FiscalPerSvc";

/// Methods: service, name, parameters. Those that only read also answer GET.
const METHODS: [(&str, &str, &str); 66] = [
    ("Erp.BO.VendorSvc", "GetByVendID", "vendorID"),
    ("Erp.BO.VendorSvc", "GetByID", "vendorNum"),
    ("Erp.BO.GLAccountSvc", "GlAccountExists", "ipCOACode ipGLAccount"),
    (
        "Erp.BO.GLAccountSvc",
        "ValidateGLAccount",
        "COACode GLAccount ExtCompanyID RestrictID EffectiveDate ValidateDynamicSegment",
    ),
    ("Erp.BO.APInvGrpSvc", "GetByID", "groupID"),
    ("Erp.BO.APInvGrpSvc", "GetNewAPInvGrp", "ds"),
    ("Erp.BO.APInvGrpSvc", "GetNewAPInvGrpNoLock", "ds"),
    ("Erp.BO.APInvGrpSvc", "Update", "ds"),
    ("Erp.BO.APInvGrpSvc", "LockAPGroup", "groupID ds"),
    ("Erp.BO.APInvGrpSvc", "UnlockAPGroup", "groupID ds"),
    ("Erp.BO.APInvGrpSvc", "UnlockGroup", "InGroupID"),
    ("Erp.BO.APInvGrpSvc", "PrePostGroupInvoices", "PostGroupID"),
    ("Erp.BO.APInvGrpSvc", "CheckDocumentIsLocked", "keyValue"),
    ("Erp.BO.APInvoiceSvc", "GetByID", "vendorNum invoiceNum"),
    ("Erp.BO.APInvoiceSvc", "GetNewAPInvHedInvoice", "cGroupID ds"),
    ("Erp.BO.APInvoiceSvc", "GetNewAPInvHedDebitMemo", "cGroupID ds"),
    ("Erp.BO.APInvoiceSvc", "ChangeVendorID", "ProposedVendorID confirmCheck ds"),
    ("Erp.BO.APInvoiceSvc", "ChangeInvoiceDateEx", "ProposedInvoiceDate recalcAmts ds"),
    ("Erp.BO.APInvoiceSvc", "ChangeInvoiceVendorAmt", "ProposedInvoiceVendorAmt ds"),
    ("Erp.BO.APInvoiceSvc", "ValidateInvoiceID", "txtVendorID txtInvoiceNum"),
    ("Erp.BO.APInvoiceSvc", "GetNewAPInvDtlMiscellaneous", "iVendorNum cInvoiceNum ds"),
    ("Erp.BO.APInvoiceSvc", "GetNewAPInvDtl", "ds vendorNum invoiceNum"),
    ("Erp.BO.APInvoiceSvc", "ChangePartNum", "ProposedPartNum ds"),
    ("Erp.BO.APInvoiceSvc", "ChangeExtCost", "ProposedExtCost ds"),
    ("Erp.BO.APInvoiceSvc", "ChangeUnitCost", "ProposedUnitCost ds"),
    ("Erp.BO.APInvoiceSvc", "ChangeVendorQty", "ProposedVendorQty ds"),
    ("Erp.BO.APInvoiceSvc", "GetNewAPInvExp", "vendorNum invoiceNum invoiceLine ds"),
    ("Erp.BO.APInvoiceSvc", "GetNewAPInvExpTGLC", "vendorNum invoiceNum invoiceLine invExpSeq ds"),
    ("Erp.BO.APInvoiceSvc", "Update", "ds"),
    (
        "Erp.BO.APInvoiceSvc",
        "UpdateMaster",
        "ds cGroupID cTableName runChkCPay runChkBankRef runChkRevChrg suppressUserPrompts",
    ),
    ("Erp.BO.APInvoiceSvc", "CheckDocumentIsLocked", "keyValue"),
    ("Erp.PROC.APInvoicePostSvc", "GetNewParameters", ""),
    ("Erp.PROC.APInvoicePostSvc", "SubmitToAgent", "ds agentID agentSchedNum agentTaskNum maintProgram"),
    ("Erp.PROC.APInvoicePostSvc", "RunDirect", "ds"),
    ("Erp.BO.GLJrnGrpSvc", "GetByID", "groupID"),
    ("Erp.BO.GLJrnGrpSvc", "GetNewGLJrnGrp", "ds"),
    ("Erp.BO.GLJrnGrpSvc", "GetNewGLJrnGrpNoLock", "ds"),
    ("Erp.BO.GLJrnGrpSvc", "CheckFiscalYear", "cGroupID cJEDate ds"),
    ("Erp.BO.GLJrnGrpSvc", "Update", "ds"),
    ("Erp.BO.GLJrnGrpSvc", "UnlockGroup", "InGroupID"),
    ("Erp.BO.GLJrnGrpSvc", "CheckDocumentIsLocked", "keyValue"),
    ("Erp.BO.GLJrnGrpSvc", "CheckBeforePost", "groupID"),
    ("Erp.BO.GLJrnGrpSvc", "IsNeedAsyncronousPosting", "groupID maxCountOfLines"),
    ("Erp.BO.GLJrnGrpSvc", "PostGroupJournals", "postGroupID"),
    ("Erp.PROC.GLJrnAsynchSvc", "GetNewParameters", ""),
    ("Erp.PROC.GLJrnAsynchSvc", "SubmitToAgent", "ds agentID agentSchedNum agentTaskNum maintProgram"),
    (
        "Erp.BO.GLJournalEntrySvc",
        "GetByID",
        "bookID fiscalYear fiscalYearSuffix journalCode journalNum fiscalCalendarID",
    ),
    ("Erp.BO.GLJournalEntrySvc", "GetByGroupID", "GroupID"),
    ("Erp.BO.GLJournalEntrySvc", "GetNewGlJrnHedTran", "GroupID ds"),
    (
        "Erp.BO.GLJournalEntrySvc",
        "GetNewGLJrnHed",
        "ds bookID fiscalYear fiscalYearSuffix journalCode journalNum",
    ),
    (
        "Erp.BO.GLJournalEntrySvc",
        "GetNewGLJrnDtlMnl",
        "bookID fiscalYear fiscalYearSuffix journalCode journalNum journalLine ds",
    ),
    ("Erp.BO.GLJournalEntrySvc", "PreUpdate", "ds"),
    ("Erp.BO.GLJournalEntrySvc", "Update", "ds"),
    ("Erp.BO.GLJournalEntrySvc", "CheckDtlBeforeUpdate", "iLineNum ds"),
    ("Erp.BO.GLJournalEntrySvc", "CheckDocumentIsLocked", "keyValue"),
    (
        "Erp.BO.GLJrnDtlSvc",
        "GetNewGLJrnDtl",
        "ds bookID fiscalYear fiscalYearSuffix journalCode journalNum journalLine",
    ),
    ("Ice.LIB.SessionModSvc", "GetPatchLevelApp", ""),
    ("Ice.LIB.SessionModSvc", "Login", ""),
    ("Ice.LIB.SessionModSvc", "Logout", ""),
    ("Ice.LIB.SessionModSvc", "IsValidSession", "sessionID userID"),
    ("Ice.LIB.SessionModSvc", "SetCompany", "newCompany"),
    ("Ice.LIB.SessionModSvc", "SetPlant", "newSite"),
    ("Ice.LIB.SessionModSvc", "AssertConversionsPending", ""),
    ("Erp.BO.EmpBasicSvc", "GetByID", "empID"),
    ("Erp.BO.ProjectSvc", "GetByID", "projectID"),
    ("Erp.BO.PurTermsSvc", "GetByID", "termsCode"),
];

/// Methods that only read: GET with query parameters.
const READS: [&str; 10] = [
    "GetByID",
    "GetByVendID",
    "GetList",
    "GetRows",
    "GetBySysRowID",
    "GetByGroupID",
    "GetPatchLevelApp",
    "GetNewParameters",
    "IsValidSession",
    "AssertConversionsPending",
];

pub(super) fn table_of(set: &str) -> &'static Table {
    match set {
        "VendCnts" | "VendCnt" => &columns::VEND_CNT,
        "APInvGrps" | "APInvGrp" => &columns::AP_INV_GRP,
        "APInvoices" | "APInvHed" => &columns::AP_INV_HED,
        "APInvDtls" | "APInvDtl" => &columns::AP_INV_DTL,
        "APInvExps" | "APInvExp" => &columns::AP_INV_EXP,
        "APInvExpTGLCs" | "APInvExpTGLC" => &columns::AP_INV_EXP_TGLC,
        "GLAccounts" => &columns::GL_ACCOUNT,
        "COASegValues" => &columns::COA_SEG_VALUES,
        "COASegmentSearches" => &columns::COA_SEGMENT,
        "GLBooks" => &columns::GL_BOOK,
        "GLJrnGrps" | "GLJrnGrp" => &columns::GL_JRN_GRP,
        "GLJournalEntries" | "GLJrnHed" => &columns::GL_JRN_HED,
        "GLJrnDtlMnls" | "GLJrnDtls" | "GLJrnDtlMnl" => &columns::GL_JRN_DTL_MNL,
        "EmpBasics" => &columns::EMP_BASIC,
        "PerCons" => &columns::PER_CON,
        "JCDepts" => &columns::JC_DEPT,
        "POes" => &columns::PO_HEADER,
        "PODetails" => &columns::PO_DETAIL,
        "Projects" => &columns::PROJECT,
        "PurTerms" => &columns::PUR_TERMS,
        "FiscalPers" => &columns::FISCAL_PER,
        _ => &columns::VENDOR,
    }
}

pub(super) fn is_service(service: &str) -> bool {
    SETS.iter().any(|(name, _, _)| *name == service) || METHODS.iter().any(|(name, _, _)| *name == service)
}

pub(super) fn set_of(service: &str, set: &str) -> Option<&'static str> {
    SETS.iter().find(|(owner, name, _)| *owner == service && *name == set).map(|(_, name, _)| *name)
}

/// The first entity set of a service: what its `GetRows` and `GetList` read.
pub(super) fn main_set(service: &str) -> Option<(&'static str, &'static str)> {
    SETS.iter().find(|(owner, _, _)| *owner == service).map(|(_, set, member)| (*set, *member))
}

pub(super) fn only_reads(method: &str) -> bool {
    READS.contains(&method)
}

/// The parameters of a method; `None` = there is no such method.
pub(super) fn signature(service: &str, method: &str, release: Release) -> Option<Vec<&'static str>> {
    if matches!(method, "GetRows" | "GetList") && main_set(service).is_some() {
        return Some(vec!["whereClause", "pageSize", "absolutePage"]);
    }
    let (_, _, parameters) = METHODS.iter().find(|(owner, name, _)| *owner == service && *name == method)?;
    let parameters = match (method, release) {
        ("ChangeVendorID", Release::R2021) => "ProposedVendorID ds",
        ("ChangeInvoiceDateEx", Release::R2021) => "ProposedInvoiceDate recalcAmts cMessageText ds",
        _ => parameters,
    };
    Some(parameters.split_whitespace().collect())
}

/// All parameters must be there, and no others: the vendor binds them by name.
pub(super) fn check_arguments(method: &str, signature: &[&str], arguments: &Row) -> Outcome<()> {
    if matches!(method, "GetRows" | "GetList") {
        return Ok(());
    }
    for name in signature {
        if !arguments.contains_key(*name) {
            return Err(Refusal::bad_input(format!("Parameter {name} is not found in the input object")));
        }
    }
    match arguments.keys().find(|name| !signature.contains(&name.as_ref())) {
        Some(name) => Err(Refusal::bad_input(format!("Parameter {name} is not a parameter of {method}"))),
        None => Ok(()),
    }
}

/// An argument that must be text.
pub(super) fn text_argument<'a>(arguments: &'a Row, name: &str) -> Outcome<&'a str> {
    match arguments.get(name) {
        Some(Json::Str(text)) => Ok(text),
        Some(Json::Num(number)) => Ok(number),
        Some(Json::Null) | None => Ok(""),
        Some(Json::Bool(_) | Json::Arr(_) | Json::Obj(_)) => {
            Err(Refusal::bad_input(format!("Parameter {name} must be a string")))
        }
    }
}

/// The EDMX document of a service.
pub(super) fn metadata(service: &str, release: Release, width: usize) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<edmx:Edmx Version=\"4.0\" \
         xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\">\n <edmx:DataServices>\n  <Schema \
         Namespace=\"Epicor\" xmlns=\"http://docs.oasis-open.org/odata/ns/edm\">\n",
    );
    let sets: Vec<_> = SETS.iter().filter(|(owner, _, _)| *owner == service).collect();
    for (_, set, member) in &sets {
        let table = table_of(set);
        out.push_str(&format!("   <EntityType Name=\"{member}\">\n    <Key>"));
        table.key.iter().for_each(|key| out.push_str(&format!("<PropertyRef Name=\"{key}\" />")));
        out.push_str("</Key>\n");
        for (name, kind) in table.all(width) {
            out.push_str(&format!("    <Property Name=\"{name}\" Type=\"{}\" />\n", edm(kind)));
        }
        out.push_str("   </EntityType>\n");
    }
    let listed = METHODS.iter().filter(|(owner, _, _)| *owner == service).map(|(_, name, _)| *name);
    let reads = if sets.is_empty() { [].iter() } else { ["GetRows", "GetList"].iter() };
    let names: Vec<&str> = listed.chain(reads.copied()).collect();
    for name in &names {
        let element = if only_reads(name) { "Function" } else { "Action" };
        out.push_str(&format!("   <{element} Name=\"{name}\">\n"));
        for parameter in signature(service, name, release).unwrap_or_default() {
            let kind = if parameter == "ds" { "Epicor.Tableset" } else { "Edm.String" };
            out.push_str(&format!("    <Parameter Name=\"{parameter}\" Type=\"{kind}\" />\n"));
        }
        out.push_str(&format!("   </{element}>\n"));
    }
    out.push_str("   <EntityContainer Name=\"Default\">\n");
    for (_, set, member) in &sets {
        out.push_str(&format!("    <EntitySet Name=\"{set}\" EntityType=\"Epicor.{member}\" />\n"));
    }
    for name in &names {
        let element = if only_reads(name) { "Function" } else { "Action" };
        out.push_str(&format!("    <{element}Import Name=\"{name}\" {element}=\"Epicor.{name}\" />\n"));
    }
    out.push_str("   </EntityContainer>\n  </Schema>\n </edmx:DataServices>\n</edmx:Edmx>\n");
    out
}

fn edm(kind: Type) -> &'static str {
    match kind {
        Type::Text => "Edm.String",
        Type::Int => "Edm.Int64",
        Type::Decimal => "Edm.Decimal",
        Type::Flag => "Edm.Boolean",
        Type::Date => "Edm.DateTimeOffset",
        Type::Guid => "Edm.Guid",
    }
}
