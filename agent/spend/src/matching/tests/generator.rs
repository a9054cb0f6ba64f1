//! A seeded generator of vendors and of merchants as card statements spell them, with look-alikes that have no vendor.

use super::vendor;
use crate::ids::VendorCode;
use crate::reference::Vendor;
use std::collections::{BTreeMap, BTreeSet};

/// SplitMix64.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// A merchant as a statement spells it, and its vendor, if it has one.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) descriptor: String,
    pub(super) vendor: Option<VendorCode>,
    pub(super) how: &'static str,
}

const HEADS: &[&str] = &[
    "Abernathy",
    "Aldine",
    "Ansbach",
    "Arbogast",
    "Bayside",
    "Bexley",
    "Birkenhead",
    "Brightwater",
    "Calderon",
    "Cedarwood",
    "Chadwick",
    "Corvallis",
    "Dalhousie",
    "Darnell",
    "Eastgate",
    "Edelmann",
    "Fairbanks",
    "Fenwick",
    "Gallagher",
    "Garrison",
    "Hansen",
    "Hartwell",
    "Holloway",
    "Ironwood",
    "Jasper",
    "Johnson",
    "Kestrel",
    "Kingsley",
    "Lancaster",
    "Larkspur",
    "Lindqvist",
    "Marlowe",
    "Martin",
    "Meridian",
    "Nordström",
    "Oakhurst",
    "Pemberton",
    "Petersen",
    "Quimby",
    "Radcliffe",
    "Reid",
    "Rosenthal",
    "Sandoval",
    "Sheffield",
    "Söderberg",
    "Thompson",
    "Tillman",
    "Underhill",
    "Vandermeer",
    "Wakefield",
    "Wexford",
    "Winslow",
    "Yarborough",
    "Zimmermann",
];
const STRANGERS: &[&str] = &[
    "Ashford",
    "Barlow",
    "Castellan",
    "Drummond",
    "Ellsworth",
    "Fairchild",
    "Hanson",
    "Johnston",
    "Marten",
    "Peterson",
    "Reed",
    "Thomson",
    "Kingsly",
    "Oakhurst Hills",
    "Wakefield Abbey",
    "Lancashire",
    "Vandermark",
];
const TRADES: &[&str] = &[
    "Air Freight",
    "Bearings",
    "Catering",
    "Controls",
    "Electric Supply",
    "Fabrication",
    "Fasteners",
    "Hydraulics",
    "Industrial Supply",
    "Landscaping",
    "Logistics",
    "Machine Works",
    "Office Products",
    "Packaging",
    "Plastics",
    "Plumbing",
    "Pump & Valve",
    "Safety Equipment",
    "Steel",
    "Tool & Die",
    "Tooling",
    "Tools",
    "Trucking",
    "Welding",
];
const OTHER_TRADES: &[&str] = &[
    "Bakery",
    "Dental",
    "Faucets",
    "Flooring",
    "Insurance",
    "Law Group",
    "Pharmacy",
    "Towing",
    "Travel",
    "Winery",
];
const FORMS: &[&str] = &["", " Co", " Company", " Corp.", ", Inc.", " Inc", " LLC", ", L.L.C.", " Ltd"];
const TOWNS: &[&str] = &["Xenia", "Yorkton", "Belmont", "Ashland", "Fairview", "Marion", "Salem", "Clinton"];
const OTHER_TOWNS: &[&str] = &["Dover", "Milton", "Newport", "Oxford", "Salina", "Clifton", "Marlon"];
const PLACES: &[&str] = &["CHICAGO IL", "AUSTIN TX", "SEATTLE WA", "NEW YORK NY", "Toledo OH", "Peoria IL"];
const KNOWN: &[&str] = &[
    "Acme Tools",
    "Acme Tooling",
    "Amazon.com",
    "Blue Bottle Coffee",
    "Café Zoë",
    "Delta Air Lines",
    "Delta Faucet Company",
    "Forever 21",
    "Grainger",
    "Home Depot",
    "Motel 6",
    "Müller Werkzeuge GmbH & Co. KG",
    "Pier 1 Imports",
    "Route 66 Motors",
    "Studio 54",
    "United Parcel Service",
    "7-Eleven",
];

/// Some 300 vendors.
pub(super) fn vendors(rng: &mut Rng) -> BTreeMap<VendorCode, Vendor> {
    let mut names: BTreeSet<String> = KNOWN.iter().map(|name| (*name).to_owned()).collect();
    names.extend(TOWNS.iter().map(|town| format!("First National Bank of {town}")));
    names.extend([101, 202, 303].map(|number| format!("Local Union {number}")));
    let mut bare = BTreeSet::new();
    while names.len() < 300 {
        let (head, trade) = (*rng.pick(HEADS), *rng.pick(TRADES));
        let whole = if rng.one_in(4) {
            format!("{head} {} {trade}", rng.pick(HEADS))
        } else if rng.one_in(4) {
            format!("{head} & Sons {trade}")
        } else {
            format!("{head} {trade}")
        };
        if bare.insert(whole.clone()) {
            names.insert(format!("{whole}{}", rng.pick(FORMS)));
        }
    }
    let coded = |(number, name): (usize, String)| (VendorCode::new(format!("V{number:04}")), vendor(&name));
    names.into_iter().enumerate().map(coded).collect()
}

/// Merchants: seven of twelve have a vendor.
pub(super) fn merchants(rng: &mut Rng, vendors: &BTreeMap<VendorCode, Vendor>, count: usize) -> Vec<Made> {
    let all: Vec<(&VendorCode, &Vendor)> = vendors.iter().collect();
    let odd = |name: &str| name.starts_with("First National") || name.chars().any(|c| c.is_ascii_digit());
    let numbered: Vec<_> = all.iter().copied().filter(|(_, vendor)| odd(&vendor.name)).collect();
    let names: BTreeSet<String> = vendors.values().map(|vendor| bare(&vendor.name)).collect();
    let mut made = Vec::new();
    while made.len() < count {
        let odd = rng.one_in(8);
        let (code, known) = *rng.pick(if odd { &numbered } else { &all });
        if rng.below(12) < 7 {
            let (name, how) = spelled(rng, &bare(&known.name));
            made.push(Made { descriptor: dressed(rng, &name), vendor: Some(code.clone()), how });
            continue;
        }
        let (name, how) = look_alike(rng, &bare(&known.name));
        let descriptor = dressed(rng, &name);
        // A look-alike whose difference was cut off is none: nobody could tell.
        let known = letters(&known.name);
        let differs = (1..=name.len())
            .filter_map(|end| name.get(..end))
            .map(letters)
            .any(|shown| !known.starts_with(&shown) && letters(&descriptor).contains(&shown));
        if !names.contains(&name) && differs {
            made.push(Made { descriptor, vendor: None, how });
        }
    }
    made
}

/// Letters and digits alone.
fn letters(text: &str) -> String {
    text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The name without its legal form.
fn bare(name: &str) -> String {
    let mut bare = name.replace(" GmbH & Co. KG", "");
    for form in FORMS.iter().filter(|form| !form.is_empty()) {
        if let Some(short) = bare.strip_suffix(form) {
            bare = short.to_owned();
        }
    }
    bare
}

/// The same name in another spelling.
fn spelled(rng: &mut Rng, name: &str) -> (String, &'static str) {
    match rng.below(6) {
        0 | 1 => (name.to_owned(), "as it is"),
        2 => (format!("{name}{}", rng.pick(FORMS)), "another legal form"),
        3 => (any_ascii::any_ascii(name).replace('&', "and"), "plain letters"),
        _ => (mistyped(rng, name), "a typo"),
    }
}

fn mistyped(rng: &mut Rng, name: &str) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    let place = 1 + rng.below(letters.len().saturating_sub(2));
    match rng.below(4) {
        0 => {
            letters.remove(place);
        }
        1 => letters.swap(place, place - 1),
        2 => letters.insert(place, *rng.pick(&['a', 'e', 's', 'n', 't'])),
        _ => letters[place] = *rng.pick(&['a', 'e', 'i', 'm', 'r']),
    }
    letters.into_iter().collect()
}

/// A name much like a vendor's that is no vendor's.
fn look_alike(rng: &mut Rng, name: &str) -> (String, &'static str) {
    let words: Vec<&str> = name.split(' ').collect();
    let rest = words[1..].join(" ");
    let digits = name.chars().any(|c| c.is_ascii_digit());
    match rng.below(7) {
        0..=4 if name.starts_with("First National") => {
            (format!("First National Bank of {}", rng.pick(OTHER_TOWNS)), "another town")
        }
        _ if digits => (name.replace(|c: char| c.is_ascii_digit(), "9"), "another number"),
        0 | 1 => (format!("{} {}", words[0], rng.pick(OTHER_TRADES)), "another trade"),
        2 | 3 => (format!("{} {rest}", rng.pick(STRANGERS)), "another head"),
        4 => (format!("{name} {}", rng.pick(OTHER_TRADES)), "a trade more"),
        5 => (format!("{} {}", rng.pick(STRANGERS), rng.pick(OTHER_TRADES)), "unrelated"),
        _ => (format!("{} {name}", rng.pick(STRANGERS)), "a head more"),
    }
}

/// What a card statement puts around a name.
fn dressed(rng: &mut Rng, name: &str) -> String {
    let mut text = name.to_owned();
    match rng.below(8) {
        0 => text = format!("SQ *{text}"),
        1 => text = format!("PAYPAL *{}", text.replace(' ', "")),
        2 => text = format!("TST* {text}"),
        _ => {}
    }
    match rng.below(6) {
        0 => text = format!("{text} {:04}", rng.below(900)),
        1 => text = format!("{text} #{}", 100 + rng.below(9000)),
        2 => text = format!("{text} {:04} {}", rng.below(900), rng.pick(PLACES)),
        3 => text = format!("{text} {}", rng.pick(PLACES)),
        _ => {}
    }
    if !rng.one_in(3) {
        text = text.to_uppercase();
    }
    if rng.one_in(4) {
        text = text.chars().take(22).collect();
    }
    if rng.one_in(5) {
        text.push_str("   ");
    }
    text
}
