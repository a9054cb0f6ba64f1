//! Every place that a configuration would have the agent call.

use crate::secret::Origin;
use purser_proto::validate::ValidConnection;
use serde_json::Value;
use std::collections::BTreeSet;
use url::Url;

/// Where the secret of a connection must be able to go: its own address, and those that its settings name.
pub fn of_vendor(connection: &ValidConnection) -> BTreeSet<Origin> {
    let mut origins: BTreeSet<Origin> = Origin::of(&connection.url).into_iter().collect();
    collect_urls(&Value::Object(connection.settings.clone()), &mut origins);
    origins
}

/// The proxy of a connection.
pub fn of_proxy(connection: &ValidConnection) -> Option<Origin> {
    let url = connection.network.proxy.as_deref().and_then(|text| Url::parse(text).ok())?;
    Origin::of(&url)
}

/// Vendors whose tokens come from elsewhere name the place in their settings, in a field whose name ends in `_url`.
fn collect_urls(value: &Value, origins: &mut BTreeSet<Origin>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let url =
                    value.as_str().filter(|_| name.ends_with("_url")).and_then(|text| Url::parse(text).ok());
                origins.extend(url.as_ref().and_then(Origin::of));
                collect_urls(value, origins);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_urls(item, origins)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
