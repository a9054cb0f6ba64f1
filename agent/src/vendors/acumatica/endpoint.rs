//! Which contracts an instance publishes (`GET /entity`, in both of its shapes), and which of them is spoken. A site
//! answers older contract versions for years after an upgrade, so a pinned one goes on working.

use super::settings::Endpoint;
use super::wire::Unreadable;
use serde::Deserialize;

/// Contract versions that this client was written for, oldest first.
pub(super) const KNOWN: [&str; 6] =
    ["17.200.001", "20.200.001", "22.200.001", "23.200.001", "24.200.001", "25.200.001"];

/// What an instance says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Published {
    /// Build of the site; empty where the site does not tell.
    pub(super) build: String,
    /// Name and version of each endpoint.
    pub(super) endpoints: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Shape {
    /// Newer sites.
    Whole {
        #[serde(default)]
        version: Build,
        endpoints: Vec<Listed>,
    },
    /// Older sites: the rows alone.
    Bare(Vec<Listed>),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Build {
    #[serde(rename = "acumaticaBuildVersion")]
    build: String,
}

impl Published {
    /// Reads the answer in either shape.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let shape: Shape =
            serde_json::from_slice(body).map_err(|_| Unreadable::new("a list of published endpoints"))?;
        let (build, rows) = match shape {
            Shape::Whole { version, endpoints } => (version.build, endpoints),
            Shape::Bare(rows) => (String::new(), rows),
        };
        Ok(Self { build, endpoints: rows.into_iter().map(|row| (row.name, row.version)).collect() })
    }

    /// The version to speak: the pinned one when it is published, else the newest that is published and known here.
    ///
    /// # Errors
    /// The words of the version mismatch, with everything that is published.
    pub(super) fn choose(&self, wanted: &Endpoint) -> Result<String, String> {
        let versions = || {
            let same = self.endpoints.iter().filter(|(name, _)| name.eq_ignore_ascii_case(&wanted.name));
            same.map(|(_, version)| version.as_str())
        };
        let chosen = match &wanted.version {
            Some(pinned) => versions().find(|version| version == pinned),
            None => versions().filter(|version| KNOWN.contains(version)).max_by_key(|v| ordered(v)),
        };
        chosen.map(str::to_owned).ok_or_else(|| self.mismatch(wanted))
    }

    fn mismatch(&self, wanted: &Endpoint) -> String {
        let published: Vec<String> =
            self.endpoints.iter().map(|(name, version)| format!("{name}/{version}")).collect();
        let published = if published.is_empty() { "nothing".to_owned() } else { published.join(", ") };
        let version = wanted.version.as_deref().unwrap_or("in a version that this agent knows");
        format!(
            "version mismatch: the site does not publish {}/{version}; it publishes {published}: set \
             `settings.endpoint` of the connection to one of these",
            wanted.name
        )
    }
}

/// Numbers of a version, for a comparison by size.
fn ordered(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or_default()).collect()
}
