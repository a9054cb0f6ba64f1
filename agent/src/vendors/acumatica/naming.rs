//! Under which texts a document can be found again. A bill carries the reference in `VendorRef`, a journal at the head of
//! its description. `VendorRef` may be shorter than a whole reference: then the middle is cut out of it, never the two
//! hashes that make it unique, and the whole reference heads the bill's description.

use super::settings::Settings;
use spend::plan::{DocumentReference, JournalLine, PlannedDocument, PostingPlan};

/// A bill's `VendorRef`: what every revision of the record has in common, then this revision's own end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VendorRef {
    stem: String,
    tail: String,
}

impl VendorRef {
    /// Fits a reference into a field of `limit` characters, the same way each time.
    pub(super) fn of(reference: &DocumentReference, limit: u8) -> Self {
        let whole = reference.to_string();
        let stem = reference.stem();
        let tail = whole.get(stem.len() + 1..).unwrap_or_default().to_owned();
        let room = usize::from(limit).saturating_sub(tail.len() + 1);
        if stem.len() <= room {
            return Self { stem: stem.to_owned(), tail };
        }
        // The stem ends in a hash of flow and record; what stands before it is for people.
        let (words, digest) = stem.rsplit_once('-').unwrap_or(("", stem));
        let words: String = words.chars().take(room.saturating_sub(digest.len() + 1)).collect();
        Self { stem: format!("{words}-{digest}"), tail }
    }

    /// What the `VendorRef` of every revision of the record begins with.
    pub(super) fn beginning(&self) -> String {
        format!("{}-", self.stem)
    }

    /// Whether a `VendorRef` is that of any revision of the record. Acumatica may write keys in capitals.
    pub(super) fn is_kin(&self, text: &str) -> bool {
        let beginning = self.beginning();
        text.get(..beginning.len()).is_some_and(|head| head.eq_ignore_ascii_case(&beginning))
    }

    /// Whether a `VendorRef` is exactly this one.
    pub(super) fn is(&self, text: &str) -> bool {
        text.eq_ignore_ascii_case(&self.to_string())
    }
}

impl std::fmt::Display for VendorRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.stem, self.tail)
    }
}

/// Shortens a text to what its field holds.
pub(super) fn cut(text: &str, limit: u16) -> String {
    let end = text.char_indices().nth(limit.into()).map_or(text.len(), |(at, _)| at);
    text[..end].trim_end().to_owned()
}

/// The description of a bill: plain words, behind the whole reference where `VendorRef` holds a shortened one.
pub(super) fn bill_description(plan: &PostingPlan, settings: &Settings) -> String {
    let whole = plan.reference.to_string();
    let text = if VendorRef::of(&plan.reference, settings.vendor_ref_length).to_string() == whole {
        plan.description.clone()
    } else {
        format!("{whole} {}", plan.description)
    };
    cut(&text, settings.text_limits.document)
}

/// The whole reference of a bill that was found: its `VendorRef`, or what the description begins with when that is
/// longer and ends alike.
pub(super) fn found_reference(vendor_ref: &str, description: &str) -> String {
    let head = description.split(' ').next().unwrap_or_default();
    let tail = |text: &str| text.rsplit('-').take(2).map(str::to_owned).collect::<Vec<_>>();
    let same = head.len() > vendor_ref.len() && tail(head) == tail(vendor_ref);
    if same { head.to_owned() } else { vendor_ref.to_owned() }
}

/// The description of a journal: the reference, then words.
pub(super) fn journal_description(plan: &PostingPlan, settings: &Settings) -> String {
    cut(&format!("{} {}", plan.reference, plan.description), settings.text_limits.document)
}

/// The description of a journal line: the mark of its side with its number (`#1` spend, `=2` offset), then words. No
/// field of a journal holds the spend total, so these marks tell it.
pub(super) fn entry_description(
    index: usize,
    spend: bool,
    line: &JournalLine,
    settings: &Settings,
) -> String {
    let side = if spend { '#' } else { '=' };
    cut(&format!("{side}{} {}", index + 1, line.description), settings.text_limits.line)
}

/// Whether a line's description is marked as spend (`true`) or as offset (`false`).
pub(super) fn side(description: &str) -> Option<bool> {
    let (side, number) = description.split(' ').next()?.split_at_checked(1)?;
    number.parse::<u32>().ok()?;
    match side {
        "#" => Some(true),
        "=" => Some(false),
        _ => None,
    }
}

/// How many lines of a journal are spend; the offsets follow them and undo their sum.
pub(super) fn spend_lines(plan: &PostingPlan) -> usize {
    let PlannedDocument::Journal { lines } = &plan.document else { return 0 };
    let all: i128 = lines.iter().map(|line| i128::from(line.amount.minor)).sum();
    let mut sum = 0_i128;
    for (index, line) in lines.iter().enumerate() {
        sum += i128::from(line.amount.minor);
        if all == 0 && sum == i128::from(plan.total.minor) && index + 1 < lines.len() {
            return index + 1;
        }
    }
    lines.len()
}
