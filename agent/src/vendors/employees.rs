//! Employees by their address, which is all that spend systems know of them. An ERP may have several records with one.

use spend::reference::Employee;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Adds a record under its address, in whatever order records come. The active one counts (left and came back); of two
/// that count alike nobody can tell whose the expenses are, so what they do not agree in, above all who is paid, is left
/// open for a person.
pub fn add_employee(employees: &mut BTreeMap<String, Employee>, email: String, employee: Employee) {
    if email.is_empty() {
        return;
    }
    match employees.remove(&email) {
        None => employees.insert(email, employee),
        Some(known) => employees.insert(email, counted(known, employee)),
    };
}

fn counted(one: Employee, other: Employee) -> Employee {
    match one.active.cmp(&other.active) {
        Ordering::Greater => one,
        Ordering::Less => other,
        Ordering::Equal => {
            let vendor =
                one.expense_vendor.clone().filter(|code| Some(code) == other.expense_vendor.as_ref());
            let manager = one.manager.clone().filter(|number| Some(number) == other.manager.as_ref());
            let first = if one.number <= other.number { one } else { other };
            Employee { expense_vendor: vendor, manager, ..first }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn employee(number: &str, active: bool, vendor: Option<&str>) -> Employee {
        Employee {
            number: number.to_owned(),
            name: "Ann".to_owned(),
            active,
            expense_vendor: vendor.map(Into::into),
            manager: Some("9".to_owned()),
        }
    }

    fn told(rows: &[Employee]) -> (String, Option<String>) {
        let mut employees = BTreeMap::new();
        for row in rows {
            add_employee(&mut employees, "ann@example.test".to_owned(), row.clone());
        }
        let ann = employees.remove("ann@example.test").unwrap();
        (ann.number, ann.expense_vendor.map(|code| code.to_string()))
    }

    #[test]
    fn two_that_count_alike_lead_to_no_payee_in_whatever_order_they_come() {
        let (left, back) = (employee("1", false, Some("V1")), employee("2", true, Some("V2")));
        let twin = employee("3", true, Some("V3"));
        let mut rows = [left, back.clone(), twin];
        for _ in 0..3 {
            rows.rotate_left(1);
            assert_eq!(told(&rows), ("2".to_owned(), None));
            assert_eq!(told(&[rows[1].clone(), rows[0].clone(), rows[2].clone()]), ("2".to_owned(), None));
        }
        let left = employee("1", false, Some("V1"));
        for rows in [[left.clone(), back.clone()], [back.clone(), left]] {
            assert_eq!(told(&rows), ("2".to_owned(), Some("V2".to_owned())));
        }
        // Both are paid through one vendor: nothing is open.
        assert_eq!(told(&[back.clone(), employee("4", true, Some("V2"))]).1.as_deref(), Some("V2"));
    }

    #[test]
    fn a_record_without_an_address_is_nobody() {
        let mut employees = BTreeMap::new();
        add_employee(&mut employees, String::new(), employee("1", true, None));
        assert!(employees.is_empty());
    }
}
