//! Newtypes for ids and codes, so that a vendor code can never stand where an account is wanted.
//! They are opaque text: case-sensitive, never parsed as numbers (report and transaction ids exceed 2^53).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    )*};
}

text_id! {
    /// One vendor account with its credentials, as named in the configuration.
    ConnectionId;
    /// One pair in one direction, as named in the configuration.
    FlowId;
    /// One execution of a flow.
    RunId;
    /// The id a record has in its source system.
    SourceId;
    /// One state of a record: the source's own version, or our hash of its content.
    Revision;
    /// The identity of a posting: derived from flow, source id and revision.
    PostingKey;
    /// A company in an ERP (a path segment in Epicor, case-sensitive).
    CompanyId;
    /// A whole GL account: segment values joined by `|` in segment order.
    GlAccount;
    /// The code a person uses for a vendor in the ERP (Epicor `VendorID`).
    VendorCode;
    /// A project in the ERP.
    ProjectCode;
    /// The id of a line within its record.
    LineId;
}

impl GlAccount {
    /// Joins segment values in segment order.
    pub fn from_segments<S: AsRef<str>>(segments: &[S]) -> Self {
        Self(segments.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("|"))
    }

    /// The segment values in segment order.
    pub fn segments(&self) -> Vec<&str> {
        self.0.split('|').collect()
    }
}
