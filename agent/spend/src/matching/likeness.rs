//! How alike two names are, and whether that is enough to take them for the same company. The score ranks; the guards
//! decide, because look-alikes score high.

use super::name::Name;
use super::words::{COMMON, OPTIONAL};
use std::collections::{BTreeMap, BTreeSet};

/// How alike, in thousandths, and whether every guard agrees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Likeness {
    pub(super) score: u16,
    pub(super) sure: bool,
}

/// In how many vendors' names a word stands.
pub(super) type Lexicon = BTreeMap<String, u32>;

/// What is lost where only the spelling without spaces agrees.
const WITHOUT_SPACES: u32 = 40;
/// Words less alike than this have nothing to do with each other.
const RELATED: u32 = 700;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bond {
    /// The same, but for the plural or a space within.
    Same,
    /// The merchant's word is the beginning of the vendor's.
    Cut,
    /// So many letters differ.
    Typo(usize),
}

/// Which words of the merchant belong to which of the vendor.
struct Alignment<'a> {
    /// Merchant's word, vendor's word, and what binds them. Of two words that are one on the other side, the longer.
    pairs: Vec<(&'a str, &'a str, Bond)>,
    merchant_left: Vec<&'a str>,
    vendor_left: Vec<&'a str>,
}

/// Compares one reading of a merchant with one of a vendor.
pub(super) fn likeness(merchant: &Name, vendor: &Name, lexicon: &Lexicon) -> Likeness {
    let alignment = align(merchant, vendor);
    let sure = numbers_agree(merchant, vendor)
        && families_agree(merchant, vendor)
        && names_agree(merchant, vendor, &alignment, lexicon);
    Likeness { score: score(merchant, vendor, &alignment), sure }
}

fn is_optional(word: &str) -> bool {
    OPTIONAL.contains(&word)
}

/// Whether a word tells one company from another.
fn is_telling(word: &str) -> bool {
    word.len() > 2 && !is_optional(word) && COMMON.binary_search(&word).is_err()
}

fn weight(word: &str) -> u32 {
    match () {
        () if is_optional(word) => 1,
        () if is_telling(word) => 20,
        () => 10,
    }
}

fn align<'a>(merchant: &'a Name, vendor: &'a Name) -> Alignment<'a> {
    let mut left: Vec<Option<&str>> = merchant.words.iter().map(|w| Some(w.as_str())).collect();
    let mut right: Vec<Option<&str>> = vendor.words.iter().map(|w| Some(w.as_str())).collect();
    let mut pairs = Vec::new();
    pair_up(&mut left, &mut right, &mut pairs, |a, b| (a == b).then_some(Bond::Same));
    pair_up(&mut left, &mut right, &mut pairs, |a, b| is_plural(a, b).then_some(Bond::Same));
    join(&mut left, &mut right, |two, one| pairs.push((two, one, Bond::Same)));
    join(&mut right, &mut left, |two, one| pairs.push((one, two, Bond::Same)));
    let last = merchant.words.last().map(String::as_str).filter(|_| merchant.cut);
    pair_up(&mut left, &mut right, &mut pairs, |a, b| {
        (Some(a) == last && a.len() >= 3 && b.starts_with(a)).then_some(Bond::Cut)
    });
    pair_up(&mut left, &mut right, &mut pairs, |a, b| {
        (alike(a, b) >= RELATED).then(|| Bond::Typo(strsim::osa_distance(a, b)))
    });
    Alignment {
        pairs,
        merchant_left: left.into_iter().flatten().collect(),
        vendor_left: right.into_iter().flatten().collect(),
    }
}

type Slots<'a> = Vec<Option<&'a str>>;

fn pair_up<'a>(
    left: &mut Slots<'a>,
    right: &mut Slots<'a>,
    pairs: &mut Vec<(&'a str, &'a str, Bond)>,
    bond: impl Fn(&str, &str) -> Option<Bond>,
) {
    for a in left.iter_mut() {
        let Some(word) = *a else { continue };
        let found = right.iter().enumerate().find_map(|(place, other)| {
            let other = (*other)?;
            Some((place, other, bond(word, other)?))
        });
        if let Some((place, other, bond)) = found {
            pairs.push((word, other, bond));
            *a = None;
            right[place] = None;
        }
    }
}

/// Two neighbours on one side that are one word on the other.
fn join<'a>(two: &mut Slots<'a>, one: &mut Slots<'a>, mut found: impl FnMut(&'a str, &'a str)) {
    for place in 1..two.len() {
        let (Some(a), Some(b)) = (two[place - 1], two[place]) else { continue };
        let whole = format!("{a}{b}");
        let same = |other: &str| other == whole || is_plural(other, &whole);
        if let Some(slot) = one.iter_mut().find(|slot| slot.is_some_and(same)) {
            if let Some(other) = slot.take() {
                found(if a.len() >= b.len() { a } else { b }, other);
            }
            two[place - 1] = None;
            two[place] = None;
        }
    }
}

fn is_plural(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    short.len() >= 3 && long.strip_prefix(short).is_some_and(|end| end == "s" || end == "es")
}

/// How alike two texts are, in thousandths.
fn alike(a: &str, b: &str) -> u32 {
    let longest = a.len().max(b.len()).max(1);
    let distance = strsim::osa_distance(a, b).min(longest);
    u32::try_from((longest - distance) * 1000 / longest).unwrap_or(0)
}

fn score(merchant: &Name, vendor: &Name, alignment: &Alignment<'_>) -> u16 {
    if merchant.words == vendor.words && merchant.numbers == vendor.numbers {
        return 1000;
    }
    let mut matched = 0;
    let mut whole = 0;
    for (a, b, bond) in &alignment.pairs {
        let alike = match bond {
            Bond::Same => {
                if a == b {
                    1000
                } else {
                    980
                }
            }
            Bond::Cut => 950,
            // A slip leaves a word what it is: it costs half of what its letters cost.
            Bond::Typo(_) => u32::midpoint(1000, alike(a, b)),
        };
        matched += (weight(a) + weight(b)) * alike;
        whole += weight(a) + weight(b);
    }
    for word in alignment.merchant_left.iter().chain(&alignment.vendor_left) {
        whole += weight(word);
    }
    for number in &vendor.numbers {
        let there = merchant.numbers.contains(number) || merchant.branches.iter().any(|(n, _)| n == number);
        whole += 20;
        matched += if there { 20_000 } else { 0 };
    }
    whole += 10
        * merchant.numbers.iter().filter(|number| !vendor.numbers.contains(number)).map(|_| 1).sum::<u32>();
    let by_words = matched / whole.max(1);
    let without_spaces = if merchant.numbers == vendor.numbers {
        alike(&merchant.joined, &vendor.joined).saturating_sub(WITHOUT_SPACES)
    } else {
        0
    };
    u16::try_from(by_words.max(without_spaces).min(999)).unwrap_or(999)
}

/// Numbers of the vendor stand in the merchant's name, and none there is foreign but that of a branch.
fn numbers_agree(merchant: &Name, vendor: &Name) -> bool {
    let here = |number: &String| {
        merchant.numbers.contains(number) || merchant.branches.iter().any(|(branch, _)| branch == number)
    };
    vendor.numbers.iter().all(here) && merchant.numbers.iter().all(|number| vendor.numbers.contains(number))
}

/// Two companies of one name but of the laws of different countries are two companies.
fn families_agree(merchant: &Name, vendor: &Name) -> bool {
    let families = |name: &Name| name.families.iter().copied().filter(|f| *f != 0).collect::<BTreeSet<u8>>();
    let (merchant, vendor) = (families(merchant), families(vendor));
    merchant.is_empty() || vendor.is_empty() || !merchant.is_disjoint(&vendor)
}

fn names_agree(merchant: &Name, vendor: &Name, alignment: &Alignment<'_>, lexicon: &Lexicon) -> bool {
    let same = |(a, b, bond): &&(&str, &str, Bond)| *bond == Bond::Same && is_telling(a) && is_telling(b);
    let telling: Vec<&str> = alignment.pairs.iter().filter(same).map(|(_, b, _)| *b).collect();
    // A bare number behind the name may be a branch, or be what distinguishes it.
    let bare = merchant.branches.iter().any(|(digits, bare)| *bare && !vendor.numbers.contains(digits));
    if bare && !telling.iter().any(|word| word.len() >= 5) {
        return false;
    }
    if merchant.words == vendor.words {
        return true;
    }
    if merchant.joined == vendor.joined || is_plural(&merchant.joined, &vendor.joined) {
        return merchant.joined.len() >= 7;
    }
    let sound = alignment.pairs.iter().all(|(a, b, bond)| match bond {
        Bond::Same => true,
        Bond::Cut => is_sound_cut(a, b, &telling),
        Bond::Typo(distance) => is_sound_typo(a, b, *distance, &telling, lexicon),
    });
    sound && left_is_idle(alignment, &telling, lexicon) && (!telling.is_empty() || is_one_typo(alignment))
}

/// Whether what one side has and the other has not says nothing.
fn left_is_idle(alignment: &Alignment<'_>, telling: &[&str], lexicon: &Lexicon) -> bool {
    let (merchant, vendor) = (&alignment.merchant_left, &alignment.vendor_left);
    if merchant.is_empty() && vendor.is_empty() {
        return true;
    }
    let alone = |word: &&&str| lexicon.get(**word).copied().unwrap_or(0) <= 1;
    let strong = telling.len() >= 2 || telling.iter().filter(alone).any(|word| word.len() >= 6);
    let idle = |words: &[&str]| words.iter().all(|word| is_optional(word));
    // `Baker Group` and `Baker Holdings` are two.
    let one_side = merchant.is_empty() || vendor.is_empty();
    let optional = one_side && idle(merchant) && idle(vendor) && strong;
    optional
        || (merchant.is_empty() && are_initials(vendor) && telling.iter().filter(alone).any(|w| w.len() >= 8))
}

/// `W W` or `ww` before a name that is telling by itself.
fn are_initials(words: &[&str]) -> bool {
    words.iter().all(|word| word.len() <= 2 && word.chars().all(|c| !"aeiou".contains(c)))
}

fn is_sound_cut(cut: &str, whole: &str, telling: &[&str]) -> bool {
    let shown = cut.len() >= 5 || whole.len() - cut.len() <= 3;
    !telling.is_empty() && shown && (!is_telling(whole) || cut.len() >= 5)
}

/// Whether two different words are one word mistyped, and not two that look alike (`Hansen`, `Hanson`).
fn is_sound_typo(typed: &str, meant: &str, distance: usize, telling: &[&str], lexicon: &Lexicon) -> bool {
    let plain = |word: &str| word.chars().all(|c| c.is_ascii_alphabetic());
    let is_other_word = lexicon.contains_key(typed) || !is_telling(typed) || !plain(typed) || !plain(meant);
    if is_other_word || typed.get(..1) != meant.get(..1) {
        return false;
    }
    let length = meant.len();
    if !is_telling(meant) {
        return !telling.is_empty() && ((distance == 1 && length >= 5) || (distance == 2 && length >= 9));
    }
    distance == 1
        && length >= 7
        && match slip(typed, meant) {
            Slip::Swapped => true,
            // `Thomson` and `Thompson` have been two companies before.
            Slip::Missed | Slip::Neighbour => telling.len() >= 2,
            Slip::Other => false,
        }
}

/// A name of one word, mistyped.
fn is_one_typo(alignment: &Alignment<'_>) -> bool {
    matches!(alignment.pairs.as_slice(), [(_, meant, Bond::Typo(_)), ..] if is_telling(meant))
}

enum Slip {
    /// Two neighbouring letters.
    Swapped,
    /// A letter too many or too few.
    Missed,
    /// The key beside the right one.
    Neighbour,
    Other,
}

/// What kind of slip one differing letter is.
fn slip(typed: &str, meant: &str) -> Slip {
    if typed.len() != meant.len() {
        return Slip::Missed;
    }
    let differing: Vec<(u8, u8)> = typed.bytes().zip(meant.bytes()).filter(|(a, b)| a != b).collect();
    match differing.as_slice() {
        [(a, b), (c, d)] if a == d && b == c => Slip::Swapped,
        [(a, b)] if are_neighbours(*a, *b) => Slip::Neighbour,
        _ => Slip::Other,
    }
}

/// Whether two keys lie side by side.
fn are_neighbours(a: u8, b: u8) -> bool {
    const ROWS: [&[u8]; 3] = [b"qwertyuiop", b"asdfghjkl", b"zxcvbnm"];
    ROWS.iter().any(|row| {
        let place = |key: u8| row.iter().position(|known| *known == key);
        matches!((place(a), place(b)), (Some(a), Some(b)) if a.abs_diff(b) == 1)
    })
}
