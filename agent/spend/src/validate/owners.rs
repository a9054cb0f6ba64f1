//! From the owner of a record to the vendor that is paid.

use super::{Check, ValidVendor};
use crate::finding::FindingCode;
use crate::ids::VendorCode;

impl Check<'_> {
    /// The rules of the flow first, then the ERP's employee record, then the flow's default.
    pub(super) fn vendor(&mut self) -> Option<ValidVendor> {
        let email = self.document.owner.email.trim().to_lowercase();
        let owners = &self.rules.owners;
        // People write addresses as they please in a configuration file.
        let by_rule = owners.get(&email).or_else(|| {
            owners.iter().find(|(key, _)| key.trim().to_lowercase() == email).map(|(_, code)| code)
        });
        let by_employee = || self.reference.employees.get(&email).and_then(|e| e.expense_vendor.as_ref());
        let code = by_rule.or_else(by_employee).or(self.rules.default_vendor.as_ref()).cloned();
        let Some(code) = code else {
            self.finding(
                FindingCode::OwnerUnmapped,
                None,
                "owner",
                &email,
                format!("no vendor is known through which `{email}` is paid"),
                format!(
                    "give the employee a supplier in the ERP, or add flow.mapping.owners.\"{email}\" \
                     (or flow.mapping.default_vendor) in purser.toml"
                ),
            );
            return None;
        };
        self.usable_vendor(&code)
    }

    fn usable_vendor(&mut self, code: &VendorCode) -> Option<ValidVendor> {
        let value = code.as_str();
        let Some(vendor) = self.reference.vendors.get(code) else {
            self.finding(
                FindingCode::VendorUnknown,
                None,
                "vendor",
                value,
                format!("vendor {code} is not among the suppliers of company {}", self.reference.company),
                "set the supplier up in the ERP, or mend flow.mapping.owners in purser.toml".to_owned(),
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
                "activate the supplier in the ERP, or name another in flow.mapping.owners in purser.toml"
                    .to_owned(),
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
                "name a supplier of that currency in flow.mapping.owners in purser.toml".to_owned(),
            );
        }
        Some(ValidVendor { code: code.clone(), number: vendor.number, terms: vendor.terms.clone() })
    }
}
