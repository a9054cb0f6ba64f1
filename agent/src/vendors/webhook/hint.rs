//! What a vendor's event comes to: where to look, and nothing of what is found there.

use spend::ids::SourceId;

/// What an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// Its type in the vendor's own words; an open list.
    pub event: String,
    /// The company it belongs to; events of another company are none of this connection's.
    pub company: Option<String>,
    /// Records that it names, each once. Empty for events that are about something else.
    pub records: Vec<SourceId>,
    /// Whether anything is to be fetched at all: the records that are named, else whatever is ready.
    pub wake: bool,
    /// The sender's id of the message, where it stands in the body.
    pub id: Option<String>,
}

impl Hint {
    /// The records in batches of at most `most`.
    pub fn batches(&self, most: usize) -> impl Iterator<Item = &[SourceId]> {
        self.records.chunks(most.max(1))
    }
}
