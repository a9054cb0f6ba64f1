//! Looks for planted texts in files, in every spelling in which a program may have written them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Shorter texts occur by chance.
const SHORTEST: usize = 8;
/// Files are read in blocks of this size, each with the tail of the one before.
const BLOCK: usize = 1 << 20;

/// Texts that must not be found, in all their spellings.
#[derive(Clone, Debug, Default)]
pub struct Needles {
    /// What is told when it is found, and the spelling.
    spellings: Vec<(String, Vec<u8>)>,
    /// Whether a spelling begins with these two bytes.
    heads: BTreeSet<[u8; 2]>,
    longest: usize,
}

impl Needles {
    /// Adds texts under a name that says what they are; the texts themselves are never shown. Texts below eight bytes
    /// are left out.
    #[must_use]
    pub fn with<'t>(mut self, name: &str, texts: impl IntoIterator<Item = &'t str>) -> Self {
        for text in texts.into_iter().filter(|text| text.len() >= SHORTEST) {
            for (form, spelling) in spellings(text) {
                if spelling.len() >= SHORTEST {
                    self.heads.insert([spelling[0], spelling[1]]);
                    self.longest = self.longest.max(spelling.len());
                    self.spellings.push((format!("{name}, {form}"), spelling));
                }
            }
        }
        self
    }

    /// How many spellings are looked for.
    pub fn count(&self) -> usize {
        self.spellings.len()
    }

    /// What is found in these bytes.
    pub fn in_bytes(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for (at, head) in bytes.windows(2).enumerate() {
            if self.heads.contains(head) {
                let rest = &bytes[at..];
                found.extend(
                    self.spellings
                        .iter()
                        .filter(|(_, spelling)| rest.starts_with(spelling))
                        .map(|(name, _)| name.as_str()),
                );
            }
        }
        found
    }

    /// What is found in all files below a folder, each with its file. Also how many files were read.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn below(&self, folder: &Path) -> Result<(Vec<String>, usize)> {
        let mut found = Vec::new();
        let mut files = 0;
        let mut folders = vec![folder.to_path_buf()];
        while let Some(next) = folders.pop() {
            let entries =
                std::fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))?;
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if entry.file_type()?.is_file() {
                    files += 1;
                    let path = entry.path();
                    let names =
                        self.in_file(&path).with_context(|| format!("cannot read {}", path.display()))?;
                    found.extend(names.into_iter().map(|name| format!("{name}: in {}", path.display())));
                }
            }
        }
        found.sort();
        Ok((found, files))
    }

    fn in_file(&self, path: &Path) -> std::io::Result<BTreeSet<&str>> {
        use std::io::Read as _;
        let mut file = std::fs::File::open(path)?;
        let mut found = BTreeSet::new();
        let mut window: Vec<u8> = Vec::new();
        loop {
            let before = window.len();
            file.by_ref().take(BLOCK as u64).read_to_end(&mut window)?;
            if window.len() == before {
                return Ok(found);
            }
            found.extend(self.in_bytes(&window));
            let tail = window.len().saturating_sub(self.longest.saturating_sub(1));
            window.drain(..tail);
        }
    }
}

/// As it is, in JSON, percent-encoded, as form text, in hexadecimal, and in base64 at each of the three offsets at
/// which it can stand within a longer text.
fn spellings(text: &str) -> BTreeSet<(&'static str, Vec<u8>)> {
    let bytes = text.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let json = serde_json::Value::from(text).to_string();
    let form: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let mut all = BTreeSet::from([
        ("in hexadecimal", hex.to_uppercase().into_bytes()),
        ("in hexadecimal", hex.into_bytes()),
    ]);
    // A spelling that is the text itself is told as such.
    let mut other = |form: &'static str, spelling: String| {
        let form = if spelling == text { "as it is" } else { form };
        all.insert((form, spelling.into_bytes()));
    };
    other("as it is", text.to_owned());
    other("in JSON", json.trim_matches('"').to_owned());
    other("percent-encoded", utf8_percent_encode(text, NON_ALPHANUMERIC).to_string());
    other("as form text", form);
    for offset in 0..3 {
        other("in base64", within(&STANDARD_NO_PAD, bytes, offset));
        other("in base64", within(&URL_SAFE_NO_PAD, bytes, offset));
    }
    all
}

/// The characters of a base64 text that depend on these bytes alone, when so many other bytes stand before them.
fn within(engine: &impl base64::Engine, bytes: &[u8], offset: usize) -> String {
    let mut padded = vec![0; offset];
    padded.extend_from_slice(bytes);
    let encoded = engine.encode(&padded);
    let first = (offset * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    encoded[first..last].to_owned()
}
