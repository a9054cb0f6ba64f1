//! Employees with their supplier records, and suppliers that are no employees.

use super::{WorldEmployee, WorldVendor};

const FIRST: &[&str] = &[
    "Ada", "Bruno", "Carla", "Dmitri", "Elena", "Farid", "Greta", "Hugo", "Inés", "Jürgen", "Keiko", "Liam",
    "Maëlle", "Noah", "Olga", "Pedro", "Quinn", "Rosa", "Søren", "Tariq", "Uma", "Viktor", "Wanda", "Xenia",
    "Yusuf", "Zoë", "Aoife", "Bence", "Chloé", "Dora",
];
const LAST: &[&str] = &[
    "Abbott",
    "Bauer",
    "Castillo",
    "Dubois",
    "Eriksen",
    "Fischer",
    "García",
    "Hansen",
    "Ivanov",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nakamura",
    "O'Hara",
    "Petrović",
    "Quigley",
    "Romero",
    "Schäfer",
    "Tanaka",
];

/// How many employees at the end of the list have an unusable supplier record.
pub(super) const UNSOUND: usize = 3;

/// Thirty employees. The last three are unsound in one way each: no supplier, inactive supplier, supplier on pay hold.
pub(super) fn employees(rng: &mut fastrand::Rng) -> Vec<WorldEmployee> {
    let mut employees: Vec<WorldEmployee> = Vec::new();
    for (index, first) in FIRST.iter().enumerate() {
        let last = LAST[rng.usize(..LAST.len())];
        let manager = if index < 4 { 0 } else { rng.usize(..4) };
        let email = format!("{}.{}@example.test", plain(first), plain(last));
        employees.push(WorldEmployee {
            number: format!("E{}", 1001 + index),
            first_name: (*first).to_owned(),
            last_name: last.to_owned(),
            manager_email: employees.get(manager).map_or_else(|| email.clone(), |m| m.email.clone()),
            email,
            active: true,
            vendor_code: Some(format!("EMP{}", 1001 + index)),
            vendor_inactive: false,
            vendor_pay_hold: false,
        });
    }
    let sound = employees.len() - UNSOUND;
    employees[sound].vendor_code = None;
    employees[sound + 1].vendor_inactive = true;
    employees[sound + 2].vendor_pay_hold = true;
    employees
}

pub(super) fn vendors() -> Vec<WorldVendor> {
    [
        ("AIRNORTH", "Air North Ltd."),
        ("BOLTNUTS", "Bolt & Nuts GmbH"),
        ("CARDBANK", "First Card Bank, N.A."),
        ("DELIVERY", "Delivery \"24\" Inc."),
        ("BRIGHTDK", "BrightDesk Software, Inc."),
        ("DELTATLD", "Delta Tool & Die"),
        ("HARBORST", "Harbor Steel Works"),
        ("HARBORSV", "Harbor Steel Service"),
        ("KESSLER1", "Kessler Bearings & Drives"),
        ("NORTHGAT", "Northgate Industrial Supply"),
        ("PINEWOOD", "Pinewood Packaging"),
        ("SUMMITFA", "Summit Fastener Co."),
        ("ELECTRIC", "Electric Works S.A."),
        ("FREIGHT1", "Freight One"),
        ("HOTELSUM", "Hôtel du Sommet"),
        ("MACHINES", "Machines O'Neil"),
        ("OFFICE01", "Office Source"),
        ("SOFTW001", "Software House <EU>"),
        ("TRAVEL01", "Travel Partner"),
        ("WATERCO1", "Water & Power Co."),
    ]
    .into_iter()
    .map(|(code, name)| WorldVendor { code: code.to_owned(), name: name.to_owned() })
    .collect()
}

/// Lower-case ASCII letters of a name.
fn plain(name: &str) -> String {
    let fold = |c: char| match c {
        'á' | 'ä' => 'a',
        'é' | 'ë' => 'e',
        'í' => 'i',
        'ø' => 'o',
        'ü' => 'u',
        'ć' => 'c',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(fold).filter(char::is_ascii_lowercase).collect()
}
