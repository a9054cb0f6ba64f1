//! The connection profile: each step of a posting with the method that does it, and what the instance itself says
//! about its methods (`$metadata`). Names and parameters differ by release, so they are data: documented defaults
//! here, overrides in the settings, the instance's own list above both.

use super::wire::{Unreadable, number, raw};
use crate::vendors::http::Effect;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// One step of a posting as the documentation describes it.
#[derive(Debug)]
pub(super) struct Step {
    /// Its name in the settings.
    pub(super) key: &'static str,
    /// Its name in logs and audit.
    pub(super) operation: &'static str,
    /// The service that has it.
    pub(super) service: &'static str,
    /// The documented method.
    pub(super) method: &'static str,
    /// Its documented parameters.
    pub(super) parameters: &'static [&'static str],
    /// Whether it changes anything in the database.
    pub(super) effect: Effect,
    /// The posting works without it: an instance that lacks it is served by setting columns directly.
    pub(super) optional: bool,
}

const AP: &str = "Erp.BO.APInvoiceSvc";
const AP_GROUP: &str = "Erp.BO.APInvGrpSvc";
const AP_POST: &str = "Erp.PROC.APInvoicePostSvc";
const GL: &str = "Erp.BO.GLJournalEntrySvc";
const GL_GROUP: &str = "Erp.BO.GLJrnGrpSvc";

macro_rules! steps {
    ($($name:ident = $key:literal, $operation:literal, $service:expr, $method:literal, $parameters:expr, $effect:ident, $optional:literal;)*) => {
        $(pub(super) static $name: Step = Step {
            key: $key, operation: $operation, service: $service, method: $method,
            parameters: &$parameters, effect: Effect::$effect, optional: $optional,
        };)*
        /// Every step, in the order in which postings take them.
        pub(super) static STEPS: &[&Step] = &[$(&$name),*];
    };
}

// `GetNew...`, `Change...`, `PreUpdate` and the checks only fill in a tableset and give it back: nothing is stored
// until a save, so a lost answer of theirs leaves no doubt.
steps! {
    AP_GROUP_NEW = "ap.group_new", "epicor.ap.group-new", AP_GROUP, "GetNewAPInvGrpNoLock", ["ds"], Read, false;
    AP_GROUP_SAVE = "ap.group_save", "epicor.ap.group-save", AP_GROUP, "Update", ["ds"], Write, false;
    AP_GROUP_UNLOCK = "ap.group_unlock", "epicor.ap.group-unlock", AP_GROUP, "UnlockGroup", ["InGroupID"], Write, true;
    AP_HEADER_NEW = "ap.header_new", "epicor.ap.header-new", AP, "GetNewAPInvHedInvoice", ["cGroupID", "ds"], Read, false;
    AP_DEBIT_MEMO_NEW = "ap.debit_memo_new", "epicor.ap.debit-memo-new", AP, "GetNewAPInvHedDebitMemo", ["cGroupID", "ds"], Read, false;
    AP_VENDOR_CHANGE = "ap.vendor_change", "epicor.ap.vendor-change", AP, "ChangeVendorID", ["ProposedVendorID", "confirmCheck", "ds"], Read, true;
    AP_DATE_CHANGE = "ap.date_change", "epicor.ap.date-change", AP, "ChangeInvoiceDateEx", ["ProposedInvoiceDate", "recalcAmts", "ds"], Read, true;
    AP_AMOUNT_CHANGE = "ap.amount_change", "epicor.ap.amount-change", AP, "ChangeInvoiceVendorAmt", ["ProposedInvoiceVendorAmt", "ds"], Read, true;
    AP_HEADER_SAVE = "ap.header_save", "epicor.ap.header-save", AP, "Update", ["ds"], Write, false;
    AP_LINE_NEW = "ap.line_new", "epicor.ap.line-new", AP, "GetNewAPInvDtlMiscellaneous", ["iVendorNum", "cInvoiceNum", "ds"], Read, false;
    AP_LINE_COST = "ap.line_cost", "epicor.ap.line-cost", AP, "ChangeExtCost", ["ProposedExtCost", "ds"], Read, true;
    AP_SAVE = "ap.save", "epicor.ap.update-master", AP, "UpdateMaster", ["ds", "cGroupID", "cTableName", "runChkCPay", "runChkBankRef", "runChkRevChrg", "suppressUserPrompts"], Write, false;
    AP_EXPENSE_NEW = "ap.expense_new", "epicor.ap.expense-new", AP, "GetNewAPInvExp", ["vendorNum", "invoiceNum", "invoiceLine", "ds"], Read, true;
    AP_ACCOUNT_NEW = "ap.account_new", "epicor.ap.account-new", AP, "GetNewAPInvExpTGLC", ["vendorNum", "invoiceNum", "invoiceLine", "invExpSeq", "ds"], Read, true;
    AP_GET = "ap.get", "epicor.ap.get", AP, "GetByID", ["vendorNum", "invoiceNum"], Read, false;
    AP_DELETE = "ap.delete", "epicor.ap.delete", AP, "Update", ["ds"], Write, false;
    AP_PREPOST = "ap.prepost", "epicor.ap.prepost", AP_GROUP, "PrePostGroupInvoices", ["PostGroupID"], Write, true;
    AP_POST_PARAMETERS = "ap.post_parameters", "epicor.ap.post-parameters", AP_POST, "GetNewParameters", [], Read, true;
    AP_SUBMIT = "ap.submit", "epicor.ap.submit", AP_POST, "SubmitToAgent", ["ds", "agentID", "agentSchedNum", "agentTaskNum", "maintProgram"], Write, true;
    GL_GROUP_NEW = "gl.group_new", "epicor.gl.group-new", GL_GROUP, "GetNewGLJrnGrpNoLock", ["ds"], Read, false;
    GL_YEAR_CHECK = "gl.year_check", "epicor.gl.year-check", GL_GROUP, "CheckFiscalYear", ["cGroupID", "cJEDate", "ds"], Read, true;
    GL_GROUP_SAVE = "gl.group_save", "epicor.gl.group-save", GL_GROUP, "Update", ["ds"], Write, false;
    GL_GROUP_UNLOCK = "gl.group_unlock", "epicor.gl.group-unlock", GL_GROUP, "UnlockGroup", ["InGroupID"], Write, true;
    GL_HEADER_NEW = "gl.header_new", "epicor.gl.header-new", GL, "GetNewGlJrnHedTran", ["GroupID", "ds"], Read, false;
    GL_PRE_SAVE = "gl.pre_save", "epicor.gl.pre-update", GL, "PreUpdate", ["ds"], Read, true;
    GL_SAVE = "gl.save", "epicor.gl.update", GL, "Update", ["ds"], Write, false;
    GL_LINE_NEW = "gl.line_new", "epicor.gl.line-new", GL, "GetNewGLJrnDtlMnl", ["bookID", "fiscalYear", "fiscalYearSuffix", "journalCode", "journalNum", "journalLine", "ds"], Read, false;
    GL_DELETE = "gl.delete", "epicor.gl.delete", GL, "Update", ["ds"], Write, false;
    GL_CHECK_POST = "gl.check_post", "epicor.gl.check-before-post", GL_GROUP, "CheckBeforePost", ["groupID"], Read, true;
    GL_SUBMIT = "gl.submit", "epicor.gl.post-group", GL_GROUP, "PostGroupJournals", ["postGroupID"], Write, true;
    PATCH_LEVEL = "session.patch_level", "epicor.session.patch-level", "Ice.LIB.SessionModSvc", "GetPatchLevelApp", [], Read, false;
}

/// The step of that name.
pub(super) fn step(key: &str) -> Option<&'static Step> {
    STEPS.iter().find(|step| step.key == key).copied()
}

/// A method that differs from the documented one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MethodSettings {
    /// Method name. Default: the documented one.
    pub method: Option<String>,
    /// Parameter names, used where the instance does not list its own. Default: the documented ones.
    pub parameters: Option<Vec<String>>,
}

/// Names in circulation that no release offers for the purpose, and what is meant.
/// `GetNewGLJrnDtl` exists elsewhere (posted detail), `GetNewGLJrnHed` with other parameters; importers use these.
const ALIASES: &[(&str, &str)] = &[
    ("GetNewAPInvtDtl", "GetNewAPInvDtlMiscellaneous"),
    ("GetNewAPInvoice", "GetNewAPInvHedInvoice"),
    ("GetNewAPInvHedInvc", "GetNewAPInvHedInvoice"),
    ("GetNewGLJrnDtl", "GetNewGLJrnDtlMnl"),
    ("GetNewGLJrnHed", "GetNewGlJrnHedTran"),
];

/// One parameter of a method as the instance lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) kind: String,
}

/// The methods of one service. `None` = the method is there, its parameters are not listed.
pub(super) type Methods = BTreeMap<String, Option<Vec<Parameter>>>;

/// How a step is done on this instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    /// The method to call.
    pub(super) method: String,
    /// Its parameters; `None` type means that only the name is known.
    pub(super) parameters: Vec<Parameter>,
    /// The configured name, when another stands in for it.
    pub(super) alias_of: Option<String>,
    /// The instance says that it has the method (or could not be asked).
    pub(super) offered: bool,
}

/// Settles how a step is done, from the settings and what the instance offers (`None` = could not be asked).
pub(super) fn resolve(step: &Step, settings: Option<&MethodSettings>, offered: Option<&Methods>) -> Resolved {
    let configured = settings.and_then(|s| s.method.as_deref()).unwrap_or(step.method);
    let meant =
        ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(configured)).map(|(_, real)| *real);
    let find = |name: &str| {
        let methods = offered?;
        methods
            .get_key_value(name)
            .or_else(|| methods.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)))
    };
    let known = [meant, Some(configured), Some(step.method)].into_iter().flatten().find_map(find);
    let method = match known {
        Some((name, _)) => name.clone(),
        None => meant.unwrap_or(configured).to_owned(),
    };
    let by_name = |names: &mut dyn Iterator<Item = &str>| {
        names.map(|name| Parameter { name: name.to_owned(), kind: String::new() }).collect()
    };
    let parameters =
        match (known.and_then(|(_, listed)| listed.clone()), settings.and_then(|s| s.parameters.as_ref())) {
            (Some(listed), _) => listed,
            (None, Some(configured)) => by_name(&mut configured.iter().map(String::as_str)),
            (None, None) => by_name(&mut step.parameters.iter().copied()),
        };
    Resolved {
        alias_of: (method != configured).then(|| configured.to_owned()),
        method,
        parameters,
        offered: offered.is_none() || known.is_some(),
    }
}

/// The body of a method call: exactly the listed parameters. One that we have no value for gets an empty one of its
/// type; a value that the instance does not list is left out.
pub(super) fn arguments(
    resolved: &Resolved,
    values: &[(&str, Box<RawValue>)],
) -> BTreeMap<String, Box<RawValue>> {
    let value = |parameter: &Parameter| {
        let exact = values.iter().find(|(name, _)| *name == parameter.name);
        let found =
            exact.or_else(|| values.iter().find(|(name, _)| name.eq_ignore_ascii_case(&parameter.name)));
        found.map_or_else(|| empty_value(&parameter.kind), |(_, value)| value.clone())
    };
    resolved.parameters.iter().map(|parameter| (parameter.name.clone(), value(parameter))).collect()
}

fn empty_value(kind: &str) -> Box<RawValue> {
    match kind {
        "Edm.Boolean" => raw(&false),
        "Edm.Int16" | "Edm.Int32" | "Edm.Int64" | "Edm.Decimal" | "Edm.Double" | "Edm.Byte" => number("0"),
        "Edm.Guid" => raw(&"00000000-0000-0000-0000-000000000000"),
        "Edm.DateTimeOffset" | "Edm.Date" => RawValue::NULL.to_owned(),
        "" | "Edm.String" => raw(&""),
        other if other.starts_with("Edm.") => RawValue::NULL.to_owned(),
        _ => number("{}"),
    }
}

/// Reads the methods of a service from its `$metadata`: `Action`, `Function` and `FunctionImport` elements with
/// their `Parameter` names; the binding parameter of a bound one is not sent.
pub(super) fn read_metadata(body: &[u8]) -> Result<Methods, Unreadable> {
    let not_metadata = || Unreadable::new("a service description");
    let text = std::str::from_utf8(body).map_err(|_| not_metadata())?;
    let mut reader = quick_xml::Reader::from_str(text);
    let mut found = Found::default();
    loop {
        match reader.read_event().map_err(|_| not_metadata())? {
            Event::Start(element) => found.open(&element, false),
            Event::Empty(element) => found.open(&element, true),
            Event::End(element) => found.close(element.local_name().as_ref()),
            Event::Eof => break,
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
    if found.is_metadata { Ok(found.methods) } else { Err(not_metadata()) }
}

#[derive(Default)]
struct Found {
    is_metadata: bool,
    methods: Methods,
    current: Option<Current>,
}

struct Current {
    name: String,
    bound: bool,
    import: bool,
    parameters: Vec<Parameter>,
}

impl Found {
    fn open(&mut self, element: &BytesStart<'_>, is_empty: bool) {
        let local = element.local_name();
        match AsRef::<str>::as_ref(&local) {
            "Edmx" | "Schema" => self.is_metadata = true,
            "Action" | "Function" | "FunctionImport" | "ActionImport" => {
                let Some(name) = attribute(element, "Name") else { return };
                let import = AsRef::<str>::as_ref(&local).ends_with("Import");
                let bound = attribute(element, "IsBound").is_some_and(|value| value == "true");
                self.current = Some(Current { name, bound, import, parameters: Vec::new() });
                if is_empty {
                    self.finish();
                }
            }
            "Parameter" => {
                let (Some(current), Some(name)) = (&mut self.current, attribute(element, "Name")) else {
                    return;
                };
                if current.bound {
                    current.bound = false;
                    return;
                }
                let kind = attribute(element, "Type").unwrap_or_default();
                current.parameters.push(Parameter { name, kind });
            }
            _ => {}
        }
    }

    fn close(&mut self, local: &str) {
        if matches!(local, "Action" | "Function" | "FunctionImport" | "ActionImport") {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let Some(current) = self.current.take() else { return };
        // An import without parameters only says that the method exists (OData 4); the method element says the rest.
        if current.import && current.parameters.is_empty() {
            self.methods.entry(current.name).or_insert(None);
        } else {
            self.methods.insert(current.name, Some(current.parameters));
        }
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.try_get_attribute(name).ok()??;
    attribute.normalized_value(XmlVersion::Implicit1_0).ok().map(|value| value.into_owned())
}
