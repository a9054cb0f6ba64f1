//! Suppliers that bills are paid to. Names are unique; there is no member for a key of the ERP.

use super::BrexSim;
use super::books::Vendor;
use super::fields::{optional, required};
use super::query::Query;
use super::refusal::{Outcome, Refusal};
use super::wire;
use serde_json::{Value, json};

impl BrexSim {
    pub(super) fn list_vendors(&self, query: &Query) -> Outcome<Value> {
        let rule = self.knobs.name_match;
        let wanted = |vendor: &&Vendor| query.one("name").is_none_or(|name| rule.holds(name, &vendor.name));
        let found: Vec<&Vendor> = self.books.vendors.iter().filter(wanted).collect();
        self.listed(query, &found, |vendor| vendor_body(vendor))
    }

    pub(super) fn one_vendor(&self, id: &str) -> Outcome<Value> {
        Ok(vendor_body(self.books.vendors.iter().find(|vendor| vendor.id == id).ok_or_else(no_vendor)?))
    }

    pub(super) fn create_vendor(&mut self, body: &Value) -> Outcome<Value> {
        self.note_payment_accounts(body);
        let name = ascii(required(body, "company_name")?, "company_name")?;
        self.check_free(&name, None)?;
        let vendor = Vendor {
            id: wire::id(&mut self.rng, "vendor"),
            name,
            email: optional(body, "email")?,
            phone: optional(body, "phone")?,
        };
        let answer = vendor_body(&vendor);
        self.books.vendors.push(vendor);
        Ok(answer)
    }

    pub(super) fn update_vendor(&mut self, id: &str, body: &Value) -> Outcome<Value> {
        self.note_payment_accounts(body);
        let name = optional(body, "company_name")?.map(|name| ascii(name, "company_name")).transpose()?;
        if let Some(name) = &name {
            self.check_free(name, Some(id))?;
        }
        let (email, phone) = (optional(body, "email")?, optional(body, "phone")?);
        let vendor = self.books.vendors.iter_mut().find(|vendor| vendor.id == id).ok_or_else(no_vendor)?;
        vendor.name = name.unwrap_or_else(|| vendor.name.clone());
        vendor.email = email.or_else(|| vendor.email.clone());
        vendor.phone = phone.or_else(|| vendor.phone.clone());
        Ok(vendor_body(vendor))
    }

    pub(super) fn delete_vendor(&mut self, id: &str) -> Outcome<crate::server::Reply> {
        let before = self.books.vendors.len();
        self.books.vendors.retain(|vendor| vendor.id != id);
        if self.books.vendors.len() == before { Err(no_vendor()) } else { Ok(super::done()) }
    }

    fn check_free(&self, name: &str, own: Option<&str>) -> Outcome<()> {
        let taken = |vendor: &Vendor| vendor.name == name && own != Some(vendor.id.as_str());
        if self.books.vendors.iter().any(taken) {
            return Err(Refusal::bad("Vendor with this name already exists"));
        }
        Ok(())
    }

    /// They overwrite where money goes.
    fn note_payment_accounts(&mut self, body: &Value) {
        if body.get("payment_accounts").is_some_and(|accounts| !accounts.is_null()) {
            self.wrong("payment accounts of a vendor were sent".to_owned());
        }
    }
}

fn no_vendor() -> Refusal {
    Refusal::not_found("Vendor not found", Some("VENDOR_NOT_FOUND"))
}

fn ascii(text: String, name: &str) -> Outcome<String> {
    if text.is_ascii() { Ok(text) } else { Err(Refusal::bad(format!("{name} is invalid"))) }
}

fn vendor_body(vendor: &Vendor) -> Value {
    json!({"id": vendor.id, "company_name": vendor.name, "email": vendor.email, "phone": vendor.phone,
        "payment_accounts": null})
}
