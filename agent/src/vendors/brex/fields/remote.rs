//! Remote ids: the ERP's key behind a prefix, its segments joined by a separator. Pure.
//!
//! What a newcomer gets wrong: the way back is not the way there. With `-` between segments, `A-100` is the account
//! `A|100` or the account `A-100`; so a remote id is matched with those of keys that are known, and read only where none
//! fits.

use spend::mirror::fold;
use std::collections::{BTreeMap, BTreeSet};

/// How the remote ids of one set are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct RemoteIds<'a> {
    pub(super) prefix: &'a str,
    /// Empty = keys stand there as they are.
    pub(super) separator: &'a str,
}

/// Known keys by folded remote id without its prefix.
pub(super) type Known<'k> = BTreeMap<String, &'k str>;

impl RemoteIds<'_> {
    /// The remote id of a key.
    pub(super) fn remote_id(self, key: &str) -> String {
        format!("{}{}", self.prefix, self.joined(key))
    }

    fn joined(self, key: &str) -> String {
        if self.separator.is_empty() { key.to_owned() } else { key.replace('|', self.separator) }
    }

    /// What known keys look like there. Of two forms of one key, that of the ERP comes before the folded one.
    pub(super) fn known(self, keys: &BTreeSet<String>) -> Known<'_> {
        let mut known = Known::new();
        let (folded, as_written): (Vec<&String>, Vec<&String>) =
            keys.iter().partition(|key| fold(key) == **key);
        for key in as_written.into_iter().chain(folded) {
            known.entry(fold(&self.joined(key))).or_insert(key);
        }
        known
    }

    /// The key behind a remote id; `None` when it is none of ours. `code` is the value's own code, which is the key for
    /// values that were made from here.
    pub(super) fn key(self, remote_id: &str, code: Option<&str>, known: &Known<'_>) -> Option<String> {
        let own = remote_id.strip_prefix(self.prefix)?.trim();
        if own.is_empty() || self.separator.is_empty() {
            return Some(own.to_owned()).filter(|key| !key.is_empty());
        }
        let apart = own.replace(self.separator, "|");
        let Some(key) = known.get(&fold(own)) else { return Some(apart) };
        // What is known may be folded; written back, it must be the very id that stands there.
        let forms = [apart.as_str(), own, code.unwrap_or_default().trim()];
        let form = forms.into_iter().find(|form| fold(form) == fold(key) && self.joined(form) == own);
        Some(form.unwrap_or(key).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: RemoteIds<'static> = RemoteIds { prefix: "EPIC06|", separator: "-" };

    #[test]
    fn a_remote_id_is_read_as_the_key_that_is_known() {
        let table = [
            // Known keys, remote id, the value's own code, key.
            (vec![], "EPIC06|7500-00", None, Some("7500|00")),
            (vec!["7500|00"], "EPIC06|7500-00", Some("7500"), Some("7500|00")),
            (vec!["A-100", "a-100"], "EPIC06|A-100", None, Some("A-100")),
            (vec!["a-100"], "EPIC06|A-100", None, Some("A-100")),
            (vec!["a|100"], "EPIC06|A-100", None, Some("A|100")),
            (vec!["a-1|00"], "EPIC06|A-1-00", Some("A-1|00"), Some("A-1|00")),
            (vec!["A-1|00"], "EPIC06|A-1-00", Some("7500"), Some("A-1|00")),
            (vec!["7500|00"], "EPIC07|7500-00", None, None),
            (vec![], "EPIC06|", None, None),
        ];
        for (known, remote, code, expected) in table {
            let keys: BTreeSet<String> = known.iter().map(|key| (*key).to_owned()).collect();
            let key = IDS.key(remote, code, &IDS.known(&keys));
            assert_eq!(key.as_deref(), expected, "{known:?} {remote}");
            if let Some(key) = key {
                assert_eq!(IDS.remote_id(&key), remote);
            }
        }
    }
}
