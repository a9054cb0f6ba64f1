//! The vendor's routes, with the scopes, roles and idempotency keys that each asks for.

use super::access::Roles;
use super::people::Named;

/// Where a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'p> {
    CreateIntegration,
    Disconnect(&'p str),
    Reactivate(&'p str),
    Records,
    Record(&'p str),
    ExportResults,
    Fields,
    CreateField,
    Field(&'p str),
    UpdateField(&'p str),
    DeleteField(&'p str),
    Values(&'p str),
    CreateValues(&'p str),
    UpdateValues(&'p str),
    DeleteValues(&'p str),
    Value(&'p str, &'p str),
    Expenses,
    Expense(&'p str),
    UpdateExpense(&'p str),
    CardTransactions,
    CashTransactions(&'p str),
    CardAccounts,
    CashAccounts,
    CashAccount(&'p str),
    CardStatements,
    CashStatements(&'p str),
    Vendors,
    CreateVendor,
    Vendor(&'p str),
    UpdateVendor(&'p str),
    DeleteVendor(&'p str),
    Users,
    Me,
    User(&'p str),
    Named(Named),
    CreateNamed(Named),
    OneNamed(Named, &'p str),
    LegalEntities,
    Company,
    Webhooks,
    CreateWebhook,
    Secrets,
    Webhook(&'p str),
    UpdateWebhook(&'p str),
    DeleteWebhook(&'p str),
}

/// Whether a call must carry an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Optional,
    Required,
}

/// What a route asks for; one of the scopes is enough, none means any token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) scopes: &'static [&'static str],
    pub(super) roles: Roles,
    pub(super) key: Key,
}

const fn rule(scopes: &'static [&'static str], roles: Roles) -> Rule {
    Rule { scopes, roles, key: Key::Optional }
}

const fn keyed(scopes: &'static [&'static str], roles: Roles) -> Rule {
    Rule { scopes, roles, key: Key::Required }
}

const RECORDS: Rule = rule(&["accounting.record.read", "accounting.record.write"], Roles::Accounting);
const REPORT: Rule = rule(&["accounting.record.write"], Roles::Accounting);
const INTEGRATION: Rule = rule(&["accounting.integration.write"], Roles::Accounting);
const FIELDS: Rule = rule(&["fields.read", "fields.write"], Roles::Anyone);
const FIELDS_WRITE: Rule = rule(&["fields.write"], Roles::Accounting);
const VALUES: Rule = rule(&["field_values.read", "field_values.write"], Roles::Anyone);
const VALUES_WRITE: Rule = rule(&["field_values.write"], Roles::Accounting);
const EXPENSES: Rule = rule(&["expenses.card.readonly", "expenses.card"], Roles::Anyone);
const VENDORS: Rule = rule(&["vendors.readonly", "vendors"], Roles::Contacts);
const VENDORS_WRITE: Rule = rule(&["vendors"], Roles::Contacts);
const USERS: Rule = rule(&["users.readonly", "users"], Roles::Anyone);
const WEBHOOKS: Rule = rule(&["openid"], Roles::Anyone);

/// The route of a call.
pub(super) fn find<'p>(method: &str, path: &[&'p str]) -> Option<(Route<'p>, Rule)> {
    match path {
        ["v3", "accounting", rest @ ..] => accounting(method, rest),
        ["v1", "fields", rest @ ..] => fields(method, rest),
        ["v1", "expenses", rest @ ..] => expenses(method, rest),
        ["v2", "transactions" | "accounts", ..] => money(method, path),
        ["v1", "vendors", rest @ ..] => vendors(method, rest),
        ["v1", "webhooks", rest @ ..] => webhooks(method, rest),
        ["v2", rest @ ..] => people(method, rest),
        _ => None,
    }
}

fn accounting<'p>(method: &str, rest: &[&'p str]) -> Option<(Route<'p>, Rule)> {
    Some(match (method, rest) {
        ("POST", ["integration"]) => (Route::CreateIntegration, INTEGRATION),
        ("POST", ["integration", id, "disconnect"]) => (Route::Disconnect(id), INTEGRATION),
        ("POST", ["integration", id, "reactivate"]) => (Route::Reactivate(id), INTEGRATION),
        ("GET", ["records"]) => (Route::Records, RECORDS),
        ("GET", ["records", id]) => (Route::Record(id), RECORDS),
        ("POST", ["records", "export-results"]) => (Route::ExportResults, REPORT),
        _ => return None,
    })
}

fn fields<'p>(method: &str, rest: &[&'p str]) -> Option<(Route<'p>, Rule)> {
    let key = Key::Required;
    Some(match (method, rest) {
        ("GET", []) => (Route::Fields, FIELDS),
        ("POST", []) => (Route::CreateField, Rule { key, ..FIELDS_WRITE }),
        ("GET", [id]) => (Route::Field(id), FIELDS),
        ("PUT", [id]) => (Route::UpdateField(id), FIELDS_WRITE),
        ("DELETE", [id]) => (Route::DeleteField(id), FIELDS_WRITE),
        ("GET", [id, "values"]) => (Route::Values(id), VALUES),
        ("POST", [id, "values"]) => (Route::CreateValues(id), Rule { key, ..VALUES_WRITE }),
        ("PUT", [id, "values"]) => (Route::UpdateValues(id), VALUES_WRITE),
        // The scope is that of the field, as documented.
        ("DELETE", [id, "values"]) => (Route::DeleteValues(id), FIELDS_WRITE),
        ("GET", [field, "values", id]) => (Route::Value(field, id), VALUES),
        _ => return None,
    })
}

fn expenses<'p>(method: &str, rest: &[&'p str]) -> Option<(Route<'p>, Rule)> {
    Some(match (method, rest) {
        ("GET", [] | ["card"]) => (Route::Expenses, EXPENSES),
        ("GET", ["card", id] | [id]) => (Route::Expense(id), EXPENSES),
        ("PUT", ["card", id]) => (Route::UpdateExpense(id), rule(&["expenses.card"], Roles::Anyone)),
        _ => return None,
    })
}

fn money<'p>(method: &str, path: &[&'p str]) -> Option<(Route<'p>, Rule)> {
    if method != "GET" {
        return None;
    }
    Some(match path {
        ["v2", "transactions", "card", "primary"] => {
            (Route::CardTransactions, rule(&["transactions.card.readonly"], Roles::Anyone))
        }
        ["v2", "transactions", "cash", id] => {
            (Route::CashTransactions(id), rule(&["transactions.cash.readonly"], Roles::Cash))
        }
        ["v2", "accounts", "card"] => {
            (Route::CardAccounts, rule(&["accounts.card.readonly"], Roles::Accounting))
        }
        ["v2", "accounts", "card", "primary", "statements"] => {
            (Route::CardStatements, rule(&["statements.card.readonly"], Roles::Accounting))
        }
        ["v2", "accounts", "cash"] => (Route::CashAccounts, rule(&["accounts.cash.readonly"], Roles::Cash)),
        ["v2", "accounts", "cash", id] => {
            (Route::CashAccount(id), rule(&["accounts.cash.readonly"], Roles::Cash))
        }
        ["v2", "accounts", "cash", id, "statements"] => {
            (Route::CashStatements(id), rule(&["statements.cash.readonly"], Roles::Cash))
        }
        _ => return None,
    })
}

fn vendors<'p>(method: &str, rest: &[&'p str]) -> Option<(Route<'p>, Rule)> {
    Some(match (method, rest) {
        ("GET", []) => (Route::Vendors, VENDORS),
        ("POST", []) => (Route::CreateVendor, keyed(VENDORS_WRITE.scopes, Roles::Contacts)),
        ("GET", [id]) => (Route::Vendor(id), VENDORS),
        ("PUT", [id]) => (Route::UpdateVendor(id), VENDORS_WRITE),
        ("DELETE", [id]) => (Route::DeleteVendor(id), VENDORS_WRITE),
        _ => return None,
    })
}

fn people<'p>(method: &str, rest: &[&'p str]) -> Option<(Route<'p>, Rule)> {
    if let Some((kind, tail)) = rest.split_first().and_then(|(word, tail)| Some((Named::of(word)?, tail))) {
        return Some(match (method, tail) {
            ("GET", []) => (Route::Named(kind), rule(kind.read_scopes(), Roles::Anyone)),
            ("POST", []) => (Route::CreateNamed(kind), rule(kind.write_scopes(), Roles::Accounting)),
            ("GET", [id]) => (Route::OneNamed(kind, id), rule(kind.read_scopes(), Roles::Anyone)),
            _ => return None,
        });
    }
    Some(match (method, rest) {
        ("GET", ["users"]) => (Route::Users, USERS),
        ("GET", ["users", "me"]) => (Route::Me, USERS),
        ("GET", ["users", id]) => (Route::User(id), USERS),
        ("GET", ["legal_entities"]) => {
            (Route::LegalEntities, rule(&["legal_entities.readonly"], Roles::Anyone))
        }
        ("GET", ["company"]) => (Route::Company, rule(&["companies.readonly"], Roles::Anyone)),
        _ => return None,
    })
}

fn webhooks<'p>(method: &str, rest: &[&'p str]) -> Option<(Route<'p>, Rule)> {
    Some(match (method, rest) {
        ("GET", []) => (Route::Webhooks, WEBHOOKS),
        ("POST", []) => (Route::CreateWebhook, keyed(WEBHOOKS.scopes, Roles::Anyone)),
        ("GET", ["secrets"]) => (Route::Secrets, WEBHOOKS),
        ("GET", [id]) => (Route::Webhook(id), WEBHOOKS),
        ("PUT", [id]) => (Route::UpdateWebhook(id), WEBHOOKS),
        ("DELETE", [id]) => (Route::DeleteWebhook(id), WEBHOOKS),
        _ => return None,
    })
}

/// What a call is counted under: ids are left out.
pub(super) fn name(method: &str, path: &[&str]) -> String {
    let plain = |segment: &&str| segment.len() < 16 && !segment.bytes().any(|byte| byte.is_ascii_digit());
    let version = |segment: &&str| matches!(*segment, "v1" | "v2" | "v3" | "oauth2");
    let known = |segment: &&str| plain(segment) || version(segment) || *segment == "openid-configuration";
    let words: Vec<&str> = path.iter().map(|s| if known(s) { *s } else { "{id}" }).collect();
    format!("{method} /{}", words.join("/"))
}
