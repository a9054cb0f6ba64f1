//! A name taken apart: what tells one company from another, without processors, legal forms, branch numbers and places.

use super::words::{
    BRANCH, CITIES, JOINING, LEGAL, LEGAL_AT_END, NOISE, PROCESSORS, REGIONS, SHORT, TOP_LEVEL,
};

/// Longest name on a card statement is 22 or 25 characters; one of this length may have been cut.
const MAY_BE_CUT: usize = 20;
/// A number of more digits is a ticket, an order or a telephone number.
const BRANCH_DIGITS: usize = 6;

/// Where a name comes from: descriptors of merchants carry more than the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// From a card statement or an invoice.
    Merchant,
    /// From the ERP's vendor list.
    Vendor,
}

/// One reading of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    /// Telling words in order, short forms spelled out, legal forms and joining words left out.
    pub(super) words: Vec<String>,
    /// Numbers that tell one company from another, without leading zeros.
    pub(super) numbers: Vec<String>,
    /// Numbers that are probably of a branch; the flag says that nothing but their length speaks for it.
    pub(super) branches: Vec<(String, bool)>,
    /// Families of legal forms that were left out; 0 = says nothing about the country.
    pub(super) families: Vec<u8>,
    /// The end may have been cut off.
    pub(super) cut: bool,
    /// All words without spaces.
    pub(super) joined: String,
}

enum Token {
    Word(String),
    Number { digits: String, marked: bool },
}

/// Lower case ASCII: diacritics folded, other scripts spelled in Latin letters.
pub(super) fn fold(text: &str) -> String {
    any_ascii::any_ascii(text).to_ascii_lowercase()
}

/// All readings of a name; the first is the plainest.
pub(super) fn readings(raw: &str, side: Side) -> Vec<Name> {
    let folded = fold(raw);
    let mut readings = vec![];
    match side {
        Side::Merchant => {
            let (text, cut) = own_part(&folded);
            let tokens = tokens(&text, side);
            readings.push(name(&tokens, side, cut));
            readings.extend(before_branch(&tokens).map(|part| name(part, side, false)));
            readings.extend(before_place(&tokens).map(|part| name(part, side, false)));
        }
        Side::Vendor => {
            readings.push(name(&tokens(&folded, side), side, false));
            let spelled = raw.replace(['ä', 'Ä'], "ae").replace(['ö', 'Ö'], "oe").replace(['ü', 'Ü'], "ue");
            if spelled != raw {
                readings.push(name(&tokens(&fold(&spelled), side), side, false));
            }
        }
    }
    readings.retain(|reading| !reading.joined.is_empty() || !reading.numbers.is_empty());
    readings.dedup();
    readings
}

/// Words and numbers in order, separated by single spaces; numbers of branches only where they might be more.
pub(super) fn plain(raw: &str) -> String {
    let (text, _) = own_part(&fold(raw));
    let tokens = tokens(&text, Side::Merchant);
    let words = name(&tokens, Side::Merchant, false).words;
    let mut left = words.iter().peekable();
    let mut parts: Vec<&str> = Vec::new();
    for token in &tokens {
        match token {
            Token::Word(word) => parts.extend(left.next_if(|next| *next == word).map(String::as_str)),
            Token::Number { digits, marked: false } if digits.len() <= BRANCH_DIGITS => parts.push(digits),
            Token::Number { .. } => {}
        }
    }
    parts.join(" ")
}

/// The merchant's own part of a descriptor, and whether its end may have been cut.
fn own_part(folded: &str) -> (String, bool) {
    let cut = folded.trim().len() >= MAY_BE_CUT;
    let mut text = folded.trim().to_owned();
    while let Some((before, after)) = text.split_once('*') {
        let mark: String = before.chars().filter(char::is_ascii_alphanumeric).collect();
        let first = after.split_whitespace().next().unwrap_or_default();
        let noise = first.is_empty()
            || first.chars().any(|c| c.is_ascii_digit())
            || NOISE.contains(&first.trim_matches(|c: char| !c.is_ascii_alphanumeric()));
        text = match (mark.is_empty() || PROCESSORS.contains(&mark.as_str()), noise) {
            (true, _) => after.trim().to_owned(),
            (false, true) => return (before.trim().to_owned(), false),
            (false, false) => format!("{before} {after}"),
        };
    }
    (text, cut)
}

fn tokens(text: &str, side: Side) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut marked = false;
    for (place, rough) in text.split_whitespace().enumerate() {
        if let Some(label) = address(rough) {
            // An address behind the name is a way to get help.
            if place == 0 || side == Side::Vendor {
                label.split('-').for_each(|part| push(&mut tokens, part, &mut marked, side));
            }
            continue;
        }
        if is_telephone(rough) {
            continue;
        }
        let bare: String = rough.chars().filter(|c| !matches!(c, '\'' | '`' | '.' | '"')).collect();
        let spaced = bare.replace(['&', '+'], " and ").replace('#', " # ");
        for part in spaced.split(|c: char| !c.is_ascii_alphanumeric() && c != '#') {
            push(&mut tokens, part, &mut marked, side);
        }
    }
    tokens
}

fn push(tokens: &mut Vec<Token>, part: &str, marked: &mut bool, side: Side) {
    if part.is_empty() {
        return;
    }
    if part == "#" {
        *marked = true;
        return;
    }
    if part.bytes().all(|b| b.is_ascii_digit()) {
        let behind_word = matches!(tokens.last(), Some(Token::Word(word)) if BRANCH.contains(&word.as_str()));
        let first = tokens.is_empty();
        if side == Side::Merchant && behind_word && tokens.len() > 1 {
            tokens.pop();
        }
        let zero = part.starts_with('0') && part.len() > 1;
        let branch = side == Side::Merchant && !first && (*marked || behind_word || zero);
        let digits = part.trim_start_matches('0').to_owned();
        tokens.push(Token::Number {
            digits: if digits.is_empty() { "0".to_owned() } else { digits },
            marked: branch,
        });
    } else if side == Side::Merchant && !tokens.is_empty() && is_branch_code(part) {
        let digits = part.trim_start_matches(|c: char| c.is_ascii_alphabetic()).to_owned();
        tokens.push(Token::Number { digits, marked: true });
    } else {
        let spelled = SHORT.iter().find(|(short, _)| *short == part).map_or(part, |(_, whole)| whole);
        tokens.push(Token::Word(spelled.to_owned()));
    }
    *marked = false;
}

/// One letter and at least three digits, as in `T1234`.
fn is_branch_code(part: &str) -> bool {
    let digits = part.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    part.len() - digits.len() == 1 && digits.len() >= 3 && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Ten digits or more with marks between them.
fn is_telephone(rough: &str) -> bool {
    let digits = rough.bytes().filter(u8::is_ascii_digit).count();
    digits >= 10 && rough.bytes().all(|b| b.is_ascii_digit() || b"-.()+/".contains(&b))
}

/// The telling label of an internet address.
fn address(rough: &str) -> Option<&str> {
    let host = rough.trim_start_matches("https://").trim_start_matches("http://").split('/').next()?;
    let host = host.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let mut labels = host.rsplit('.').peekable();
    let end = labels.next()?;
    labels.peek()?;
    if !TOP_LEVEL.contains(&end) {
        return None;
    }
    let label = labels.find(|label| label.len() > 2 && !TOP_LEVEL.contains(label))?;
    (label != "www").then_some(label)
}

/// What stands before the number of a branch; behind it comes the place.
fn before_branch(tokens: &[Token]) -> Option<&[Token]> {
    let place = tokens.iter().position(|token| match token {
        Token::Number { digits, marked } => *marked || (3..=BRANCH_DIGITS).contains(&digits.len()),
        Token::Word(_) => false,
    })?;
    (place > 0 && place + 1 < tokens.len()).then(|| &tokens[..=place])
}

/// What stands before a known city with its region.
fn before_place(tokens: &[Token]) -> Option<&[Token]> {
    let word = |token: &Token| match token {
        Token::Word(word) => Some(word.clone()),
        Token::Number { .. } => None,
    };
    let (last, rest) = tokens.split_last()?;
    if !REGIONS.contains(&word(last)?.as_str()) {
        return None;
    }
    for length in [1, 2] {
        let keep = rest.len().checked_sub(length)?;
        let city: Option<Vec<String>> = rest[keep..].iter().map(word).collect();
        if keep > 0 && city.is_some_and(|city| CITIES.contains(&city.join(" ").as_str())) {
            return Some(&rest[..keep]);
        }
    }
    None
}

fn name(tokens: &[Token], side: Side, cut: bool) -> Name {
    let mut name = Name { cut, ..Name::default() };
    for (place, token) in tokens.iter().enumerate() {
        match token {
            Token::Word(word) => {
                let legal = LEGAL.iter().find(|(form, _)| form == word);
                let begun = name.words.iter().any(|word| !JOINING.contains(&word.as_str()));
                match legal.filter(|_| begun) {
                    Some((_, family)) => name.families.push(*family),
                    None => name.words.push(word.clone()),
                }
            }
            Token::Number { digits, marked } => {
                let length = digits.len();
                match (side, *marked, place) {
                    (Side::Vendor, ..) | (Side::Merchant, false, 0) => name.numbers.push(digits.clone()),
                    (Side::Merchant, true, _) => name.branches.push((digits.clone(), false)),
                    (Side::Merchant, false, _) if length > BRANCH_DIGITS => {}
                    (Side::Merchant, false, _) if length >= 3 => name.branches.push((digits.clone(), true)),
                    (Side::Merchant, false, _) => name.numbers.push(digits.clone()),
                }
            }
        }
    }
    strip(&mut name);
    name.joined = name.words.concat();
    name
}

/// Takes joining words and legal forms at the end away, but never the last word.
fn strip(name: &mut Name) {
    if name.words.iter().any(|word| !JOINING.contains(&word.as_str())) {
        name.words.retain(|word| !JOINING.contains(&word.as_str()));
    }
    while name.words.len() > 1 {
        let Some((_, family)) =
            name.words.last().and_then(|last| LEGAL_AT_END.iter().find(|(form, _)| form == last))
        else {
            break;
        };
        name.families.push(*family);
        name.words.pop();
    }
}
