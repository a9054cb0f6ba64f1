//! Where settings come from: the file, over it the environment, over that the flags. What is read here is still text
//! and numbers; [`super::Settings`] makes sense of it.

use super::keys::{KEYS, Key, Kind, find, variable};
use purser_proto::ConfigFinding;
use purser_proto::suggest::nearest;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Value;

/// What was given for a setting, and by whom.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) from: From,
}

/// Who gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    File,
    Environment,
    Flag,
}

/// What the three layers say together. Its `Debug` shows no value, because one may be a secret.
#[derive(Default)]
pub struct Layers {
    given: BTreeMap<String, Given>,
    findings: Vec<ConfigFinding>,
    /// Folder that relative paths of the file start from.
    folder: PathBuf,
}

impl std::fmt::Debug for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.given.keys()).finish()
    }
}

impl Layers {
    /// The file's layer.
    #[must_use]
    pub fn file(mut self, path: &Path, text: &str) -> Self {
        self.folder = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        let table: toml::Table = match toml::from_str(text) {
            Ok(table) => table,
            Err(error) => {
                let what = format!("the file is not TOML: {}", error.message());
                let finding = ConfigFinding::new("", what, "correct the line");
                self.findings.push(match error.span() {
                    Some(span) => finding.at_offset(text, span.start),
                    None => finding,
                });
                return self;
            }
        };
        for (section, value) in table {
            match value {
                Value::Table(entries) => {
                    for (name, value) in entries {
                        self.file_entry(format!("{section}.{name}"), value);
                    }
                }
                Value::String(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::Boolean(_)
                | Value::Datetime(_)
                | Value::Array(_) => {
                    self.unknown(&section, "every setting stands in a section, such as `[server]`")
                }
            }
        }
        self
    }

    fn file_entry(&mut self, name: String, value: Value) {
        match find(&name) {
            Some(Key { kind: Kind::Secret, .. }) => self.findings.push(
                ConfigFinding::new(
                    &name,
                    "a secret stands in the settings file",
                    format!(
                        "write it into a file of its own and name that by `{name}_file`, or set {}",
                        variable(&name)
                    ),
                )
                .because("settings files are copied, compared and shown"),
            ),
            Some(_) => drop(self.given.insert(name, Given { value, from: From::File })),
            None if secret_file(&name) => drop(self.given.insert(name, Given { value, from: From::File })),
            None => self.unknown(&name, "remove it"),
        }
    }

    fn unknown(&mut self, name: &str, otherwise: &str) {
        let fix = match nearest(name, KEYS.iter().map(|key| key.name)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => otherwise.to_owned(),
        };
        self.findings.push(ConfigFinding::new(name, "there is no such setting", fix));
    }

    /// The environment's layer. `look` answers what a variable holds. Only variables of settings are asked for: what
    /// else begins with the same letters may be somebody else's, as Kubernetes' own are.
    #[must_use]
    pub fn environment(mut self, look: impl Fn(&str) -> Option<String>) -> Self {
        let files =
            KEYS.iter().filter(|key| key.kind == Kind::Secret).map(|key| format!("{}_file", key.name));
        for name in KEYS.iter().map(|key| key.name.to_owned()).chain(files) {
            if let Some(text) = look(&variable(&name)).filter(|text| !text.is_empty()) {
                self.given.insert(name, Given { value: Value::String(text), from: From::Environment });
            }
        }
        self
    }

    /// The flags' layer: `(setting, value)`.
    #[must_use]
    pub fn flags<'a>(mut self, flags: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        for (name, value) in flags {
            let secret = find(name).is_some_and(|key| key.kind == Kind::Secret);
            if secret {
                self.findings.push(
                    ConfigFinding::new(
                        name,
                        "a secret is given by a flag",
                        format!("set {}", variable(name)),
                    )
                    .because("everybody on this machine can read the arguments of a process"),
                );
            } else if find(name).is_some() || secret_file(name) {
                self.given.insert(name.to_owned(), Given { value: Value::String(value), from: From::Flag });
            } else {
                self.unknown(name, "control-plane/README.md lists all settings");
            }
        }
        self
    }

    /// Reads what is given, key by key.
    pub(super) fn reader(self) -> Reader {
        Reader { given: self.given, findings: self.findings, folder: self.folder }
    }
}

/// Whether a name is `<secret>_file`.
fn secret_file(name: &str) -> bool {
    name.strip_suffix("_file").and_then(find).is_some_and(|key| key.kind == Kind::Secret)
}

/// Reads settings by their kind and keeps what is wrong with them.
pub(super) struct Reader {
    given: BTreeMap<String, Given>,
    pub(super) findings: Vec<ConfigFinding>,
    folder: PathBuf,
}

impl Reader {
    /// Notes that a setting is wrong. The value is not shown: it may be a secret in the wrong place.
    pub(super) fn wrong(&mut self, name: &str, what: &str, fix: impl Into<String>) {
        let what = match self.from(name) {
            Some(From::Environment) => format!("{what} (in {})", variable(name)),
            Some(From::Flag) => format!("{what} (as a flag)"),
            Some(From::File) | None => what.to_owned(),
        };
        self.findings.push(ConfigFinding::new(name, what, fix));
    }

    pub(super) fn from(&self, name: &str) -> Option<From> {
        self.given.get(name).map(|given| given.from)
    }

    /// A text, or its default; `None` when it is not set.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.given.get(name).map(|given| given.value.clone()) {
            Some(Value::String(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Some(_) => {
                self.wrong(name, "it is not a text", "write it between quotation marks");
                None
            }
            None => find(name).map(|key| key.default.to_owned()).filter(|text| !text.is_empty()),
        }
    }

    /// A text read further.
    pub(super) fn parsed<T>(&mut self, name: &str, fix: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(name)?;
        let read = read(&text);
        if read.is_none() {
            self.wrong(name, "it cannot be read", fix);
        }
        read
    }

    /// A number; its default where it is wrong.
    pub(super) fn number(&mut self, name: &str) -> u64 {
        let Some(Key { kind: Kind::Number(least, most), default, .. }) = find(name) else { return 0 };
        let otherwise = default.parse().unwrap_or(*least);
        let read = match self.given.get(name).map(|given| &given.value) {
            None => return otherwise,
            Some(Value::Integer(number)) => u64::try_from(*number).ok(),
            Some(Value::String(text)) if self.from(name) != Some(From::File) => text.trim().parse().ok(),
            Some(_) => None,
        };
        match read.filter(|number| (*least..=*most).contains(number)) {
            Some(number) => number,
            None => {
                let fix = format!("write a whole number from {least} to {most}");
                self.wrong(name, "it is no number, or too small or too large", fix);
                otherwise
            }
        }
    }

    pub(super) fn seconds(&mut self, name: &str) -> Duration {
        Duration::from_secs(self.number(name))
    }

    pub(super) fn size(&mut self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(usize::MAX)
    }

    pub(super) fn switch(&mut self, name: &str) -> bool {
        let read = match self.given.get(name).map(|given| &given.value) {
            None => return false,
            Some(Value::Boolean(value)) => Some(*value),
            Some(Value::String(text)) if self.from(name) != Some(From::File) => text.trim().parse().ok(),
            Some(_) => None,
        };
        if read.is_none() {
            self.wrong(name, "it is neither true nor false", "write `true` or `false`");
        }
        read.unwrap_or_default()
    }

    pub(super) fn list(&mut self, name: &str) -> Vec<String> {
        let texts = match self.given.get(name).map(|given| given.value.clone()) {
            None => return Vec::new(),
            Some(Value::String(text)) => Some(text.split(',').map(|text| text.trim().to_owned()).collect()),
            Some(Value::Array(entries)) => {
                entries.iter().map(|entry| entry.as_str().map(|text| text.trim().to_owned())).collect()
            }
            Some(_) => None,
        };
        let Some(texts) = texts else {
            self.wrong(name, "it is not a list of texts", "write `[\"a\", \"b\"]`");
            return Vec::new();
        };
        let texts: Vec<String> = texts;
        texts.into_iter().filter(|text| !text.is_empty()).collect()
    }

    /// A path; one of the file starts from the file's folder.
    pub(super) fn path(&mut self, name: &str) -> Option<PathBuf> {
        let text = self.text(name)?;
        Some(if self.from(name) == Some(From::File) { self.folder.join(text) } else { text.into() })
    }

    /// A secret, from the environment or from its file. The stronger layer wins; both in one layer is a fault.
    pub(super) fn secret(&mut self, name: &str) -> Option<SecretString> {
        let by_file = format!("{name}_file");
        if self.given.contains_key(name) && self.from(&by_file) == Some(From::Environment) {
            self.wrong(name, "the secret and the file that holds it are both set", "remove one of the two");
            return None;
        }
        // A flag names a file and is stronger than the environment; the environment is stronger than the file's line.
        if self.from(&by_file) != Some(From::Flag)
            && let Some(Given { value: Value::String(text), .. }) = self.given.get(name)
        {
            return Some(SecretString::from(text.clone()));
        }
        let path = self.path(&by_file)?;
        match std::fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => {
                Some(SecretString::from(text.trim_end_matches(['\r', '\n'])))
            }
            Ok(_) => {
                self.wrong(&by_file, &format!("{} is empty", path.display()), "write the secret into it");
                None
            }
            Err(error) => {
                let fix = "check that it exists and that the account of this process may read it";
                self.wrong(&by_file, &format!("{} cannot be read: {error}", path.display()), fix);
                None
            }
        }
    }
}
