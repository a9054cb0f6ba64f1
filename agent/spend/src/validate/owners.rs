//! The vendor that is paid: through the owner of the record, by the merchant, or the one that the flow names.

use super::{Check, ValidVendor};
use crate::document::SpendLine;
use crate::finding::FindingCode;
use crate::ids::VendorCode;
use crate::mapping::VendorFrom;

impl Check<'_> {
    /// Whom the invoice is made out to.
    pub(super) fn vendor(&mut self, selected: &[&SpendLine]) -> Option<ValidVendor> {
        match self.rules.vendor_from {
            VendorFrom::Owner => self.owner_vendor(),
            VendorFrom::Merchant => self.merchant_vendor(selected),
            VendorFrom::Fixed => self.fixed_vendor(),
        }
    }

    /// The flow's default, whoever spent it and wherever.
    pub(super) fn fixed_vendor(&mut self) -> Option<ValidVendor> {
        let Some(code) = self.rules.default_vendor.clone() else {
            self.finding(
                FindingCode::VendorUnknown,
                None,
                "vendor",
                "",
                "no vendor is set that invoices of this flow are made out to".to_owned(),
                "set flow.mapping.default_vendor in purser.toml".to_owned(),
            );
            return None;
        };
        self.usable_vendor(&code)
    }

    /// The rules of the flow first, then the ERP's employee record, then the flow's default.
    fn owner_vendor(&mut self) -> Option<ValidVendor> {
        let email = self.document.owner.email.trim().to_lowercase();
        let owners = &self.rules.owners;
        // People write addresses as they please in a configuration file.
        let by_rule = owners.get(&email).or_else(|| {
            owners.iter().find(|(key, _)| key.trim().to_lowercase() == email).map(|(_, code)| code)
        });
        let by_employee = || self.reference.employees.get(&email).and_then(|e| e.expense_vendor.as_ref());
        let code = by_rule.or_else(by_employee).or(self.rules.default_vendor.as_ref()).cloned();
        let Some(code) = code else {
            let (message, fix) = match email.as_str() {
                "" => (
                    "the record has no owner, and invoices of this flow pay owners".to_owned(),
                    "set flow.mapping.default_vendor, or another flow.mapping.vendor_from, in purser.toml"
                        .to_owned(),
                ),
                email => (
                    format!("no vendor is known through which `{email}` is paid"),
                    format!(
                        "give the employee a supplier in the ERP, or add flow.mapping.owners.\"{email}\" \
                         (or flow.mapping.default_vendor) in purser.toml"
                    ),
                ),
            };
            self.finding(FindingCode::OwnerUnmapped, None, "owner", &email, message, fix);
            return None;
        };
        self.usable_vendor(&code)
    }

    pub(super) fn usable_vendor(&mut self, code: &VendorCode) -> Option<ValidVendor> {
        let value = code.as_str();
        let place = match self.rules.vendor_from {
            VendorFrom::Owner => "flow.mapping.owners in purser.toml",
            VendorFrom::Merchant => "flow.mapping.merchants in purser.toml (or by `purser records choose`)",
            VendorFrom::Fixed => "flow.mapping.default_vendor in purser.toml",
        };
        let Some(vendor) = self.reference.vendors.get(code) else {
            self.finding(
                FindingCode::VendorUnknown,
                None,
                "vendor",
                value,
                format!("vendor {code} is not among the suppliers of company {}", self.reference.company),
                format!("set the supplier up in the ERP, or mend {place}"),
            );
            return None;
        };
        if vendor.inactive {
            self.finding(
                FindingCode::VendorInactive,
                None,
                "vendor",
                value,
                format!("vendor {code} ({}) is inactive", vendor.name),
                format!("activate the supplier in the ERP, or name another in {place}"),
            );
        }
        if vendor.pay_hold {
            self.finding(
                FindingCode::VendorPayHold,
                None,
                "vendor",
                value,
                format!("vendor {code} ({}) is on pay hold", vendor.name),
                "lift the pay hold of the supplier in the ERP, then replay".to_owned(),
            );
        }
        if let Some(fixed) = vendor.currency
            && fixed != self.document.currency
        {
            self.finding(
                FindingCode::CurrencyRefused,
                None,
                "vendor currency",
                self.document.currency.code(),
                format!("vendor {code} is paid in {fixed}, the record is in {}", self.document.currency),
                format!("name a supplier of that currency in {place}"),
            );
        }
        Some(ValidVendor { code: code.clone(), number: vendor.number, terms: vendor.terms.clone() })
    }
}
