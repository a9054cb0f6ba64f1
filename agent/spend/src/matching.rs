//! From the merchant of a card statement to the vendor of the ERP, by their names. A match is taken without asking only
//! when the score reaches the flow's threshold, no other vendor is near, and every guard against look-alikes agrees;
//! everything else is for a person, whose choice is remembered.
//!
//! The one thing newcomers get wrong: a high score is no proof. `First National Bank of X` and `… of Y` are very much
//! alike and are two banks.

use crate::document::SpendLine;
use crate::ids::VendorCode;
use crate::reference::Vendor;
use likeness::{Lexicon, Likeness, likeness};
use name::{Name, Side, readings};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

mod likeness;
mod name;
mod words;

/// How many candidates a person is shown.
const SHOWN: usize = 3;
/// What is less alike than this is not worth showing.
const WORTH_SHOWING: u16 = 300;
/// How many vendors that share most letters with the merchant are looked at closely.
const CLOSELY: usize = 64;
/// How far the next vendor must be behind, in thousandths.
const DISTANCE: u16 = 40;
/// The same, where part of the merchant's descriptor was taken for a place and left out.
const DISTANCE_OF_PART: u16 = 200;
/// What is lost by leaving out part of the descriptor.
const LOST_BY_PART: u16 = 5;

/// A vendor that a merchant may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The ERP's code.
    pub code: VendorCode,
    /// The ERP's name.
    pub name: String,
    /// How alike the names are, in thousandths.
    pub score: u16,
}

/// What comes of comparing a merchant with all vendors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Certainly this one.
    Sure(Candidate),
    /// A person must say; these are nearest, the best first, three at most.
    Unsure(Vec<Candidate>),
}

/// The vendors of a company, prepared for comparing.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    vendors: Vec<Entry>,
    lexicon: Lexicon,
    /// Which vendors have these three letters in a row.
    grams: BTreeMap<Gram, Vec<u32>>,
}

type Gram = [u8; 3];

#[derive(Clone, Debug)]
struct Entry {
    code: VendorCode,
    name: String,
    inactive: bool,
    readings: Vec<Name>,
}

impl Entry {
    /// Its words, without its legal form.
    fn plain(&self) -> Option<(&[String], &[String])> {
        self.readings.first().map(|reading| (reading.words.as_slice(), reading.numbers.as_slice()))
    }
}

/// All that is known of merchants: the company's vendors, and what people chose.
#[derive(Clone, Debug, Default)]
pub struct Merchants {
    matcher: Matcher,
    choices: BTreeMap<String, VendorCode>,
}

impl Merchants {
    /// From a company's vendors and the choices of people by [`merchant_key`].
    pub fn new(vendors: &BTreeMap<VendorCode, Vendor>, choices: BTreeMap<String, VendorCode>) -> Self {
        Self { matcher: Matcher::new(vendors), choices }
    }

    /// What a person chose for this merchant.
    pub fn choice(&self, key: &str) -> Option<&VendorCode> {
        self.choices.get(key)
    }

    /// [`Matcher::judge`].
    pub fn judge(&self, merchant: &str, threshold: u16) -> Verdict {
        self.matcher.judge(merchant, threshold)
    }
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, likeness {})", self.code, self.name, self.score)
    }
}

/// A vendor as seen from one merchant.
struct Seen<'a> {
    entry: &'a Entry,
    likeness: Likeness,
    /// By a reading that leaves part of the descriptor out.
    part: bool,
}

/// A name without what does not tell companies apart: case, diacritics, legal forms, payment processors, marked branch
/// numbers, punctuation. Two names with the same result are most likely one company; the result is no name to show.
pub fn normalise(name: &str) -> String {
    name::plain(name)
}

/// By what a merchant is remembered: the source's id of it, else its normalised name. `None` = there is no merchant.
pub fn merchant_key(line: &SpendLine) -> Option<String> {
    let id = line.merchant_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    id.map(str::to_owned).or_else(|| Some(normalise(&line.merchant)).filter(|name| !name.is_empty()))
}

/// What the rules of a flow say of a merchant: by its key, its name as it is written, or its normalised name.
pub fn ruled<'a>(
    rules: &'a BTreeMap<String, VendorCode>,
    key: &str,
    merchant: &str,
) -> Option<&'a VendorCode> {
    let name = normalise(merchant);
    let by_name = || {
        rules.iter().find(|(written, _)| !name.is_empty() && normalise(written) == name).map(|(_, code)| code)
    };
    rules.get(key).or_else(|| rules.get(merchant.trim())).or_else(by_name)
}

/// The vendors most like a merchant, the best first, three at most. To compare many merchants make a [`Matcher`].
pub fn best(merchant: &str, vendors: &BTreeMap<VendorCode, Vendor>) -> Vec<Candidate> {
    Matcher::new(vendors).best(merchant)
}

impl Matcher {
    /// Prepares a company's vendors.
    pub fn new(vendors: &BTreeMap<VendorCode, Vendor>) -> Self {
        let mut matcher = Self::default();
        for (code, vendor) in vendors {
            let readings = readings(&vendor.name, Side::Vendor);
            let index = u32::try_from(matcher.vendors.len()).unwrap_or(u32::MAX);
            let words: BTreeSet<&String> = readings.iter().flat_map(|reading| &reading.words).collect();
            for word in words {
                *matcher.lexicon.entry(word.clone()).or_default() += 1;
            }
            for gram in readings.iter().flat_map(grams).collect::<BTreeSet<Gram>>() {
                matcher.grams.entry(gram).or_default().push(index);
            }
            let (code, name) = (code.clone(), vendor.name.clone());
            matcher.vendors.push(Entry { code, name, inactive: vendor.inactive, readings });
        }
        matcher
    }

    /// The vendors most like a merchant, the best first, three at most.
    pub fn best(&self, merchant: &str) -> Vec<Candidate> {
        shown(&self.rank(merchant))
    }

    /// Whether a merchant is surely one of the vendors. `threshold` in thousandths.
    pub fn judge(&self, merchant: &str, threshold: u16) -> Verdict {
        let ranked = self.rank(merchant);
        match ranked.split_first() {
            Some((best, others)) if best.likeness.score >= threshold && best.is_sure_among(others) => {
                Verdict::Sure(best.candidate())
            }
            Some(_) | None => Verdict::Unsure(shown(&ranked)),
        }
    }

    /// Vendors that have something in common with the merchant, the most alike first.
    fn rank(&self, merchant: &str) -> Vec<Seen<'_>> {
        let merchant = readings(merchant, Side::Merchant);
        let mut seen: Vec<Seen<'_>> =
            self.near(&merchant).into_iter().filter_map(|entry| self.see(&merchant, entry)).collect();
        seen.sort_by(|a, b| {
            let order = |seen: &Seen<'_>| (seen.likeness, !seen.entry.inactive);
            order(b).cmp(&order(a)).then_with(|| a.entry.code.cmp(&b.entry.code))
        });
        seen
    }

    /// The vendors that share most letters with the merchant.
    fn near(&self, merchant: &[Name]) -> Vec<&Entry> {
        let mut shared: BTreeMap<u32, usize> = BTreeMap::new();
        for gram in merchant.iter().flat_map(grams).collect::<BTreeSet<Gram>>() {
            for index in self.grams.get(&gram).into_iter().flatten() {
                *shared.entry(*index).or_default() += 1;
            }
        }
        let entry = |index: u32| usize::try_from(index).ok().and_then(|index| self.vendors.get(index));
        let length = |entry: &Entry| entry.readings.first().map_or(0, |reading| reading.joined.len());
        // Most in common first; of two, the shorter name has more of itself in common.
        let mut near: Vec<(usize, &Entry)> =
            shared.into_iter().filter_map(|(index, count)| Some((count, entry(index)?))).collect();
        near.sort_by(|(a, first), (b, second)| b.cmp(a).then_with(|| length(first).cmp(&length(second))));
        near.into_iter().take(CLOSELY).map(|(_, entry)| entry).collect()
    }

    fn see<'a>(&self, merchant: &[Name], entry: &'a Entry) -> Option<Seen<'a>> {
        let mut best: Option<Seen<'a>> = None;
        for (number, reading) in merchant.iter().enumerate() {
            for vendor in &entry.readings {
                let mut likeness = likeness(reading, vendor, &self.lexicon);
                let part = number > 0;
                if part {
                    likeness.score = likeness.score.saturating_sub(LOST_BY_PART);
                }
                if best.as_ref().is_none_or(|best| best.likeness < likeness) {
                    best = Some(Seen { entry, likeness, part });
                }
            }
        }
        best
    }
}

fn shown(ranked: &[Seen<'_>]) -> Vec<Candidate> {
    let worth = ranked.iter().filter(|seen| seen.likeness.score >= WORTH_SHOWING);
    worth.take(SHOWN).map(Seen::candidate).collect()
}

impl Seen<'_> {
    fn candidate(&self) -> Candidate {
        Candidate { code: self.entry.code.clone(), name: self.entry.name.clone(), score: self.likeness.score }
    }

    /// Whether the guards agree and no other vendor is near. A vendor of the very same name that is closed is not in
    /// the way of the one that is open.
    fn is_sure_among(&self, others: &[Seen<'_>]) -> bool {
        let needed = match (self.likeness.score, self.part) {
            (1000, _) => 1,
            (_, true) => DISTANCE_OF_PART,
            (_, false) => DISTANCE,
        };
        let far = |other: &Seen<'_>| {
            let closed = other.entry.inactive && !self.entry.inactive;
            let distance = self.likeness.score.saturating_sub(other.likeness.score);
            distance >= needed || (closed && other.entry.plain() == self.entry.plain())
        };
        self.likeness.sure && others.iter().all(far)
    }
}

/// All runs of three letters, with the ends marked.
fn grams(name: &Name) -> Vec<Gram> {
    let marked = format!("^{}{}$", name.joined, name.numbers.concat());
    marked.as_bytes().windows(3).filter_map(|window| window.try_into().ok()).collect()
}

#[cfg(test)]
mod tests;
