//! Reads a vendor's settings from the configuration, so that every fault is told at once and by its path.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads settings; what is missing has its default. `faults` checks what can be read.
///
/// # Errors
/// Every fault, each beginning with the path of the setting, relative to the connection.
pub fn read<T: DeserializeOwned>(
    map: &Map<String, Value>,
    faults: impl FnOnce(&T) -> Vec<String>,
) -> Result<T, Vec<String>> {
    let mut found = Vec::new();
    let mut readable = Map::new();
    for (key, value) in map {
        let alone = Map::from_iter([(key.clone(), value.clone())]);
        match serde_json::from_value::<T>(Value::Object(alone)) {
            Ok(_) => {
                readable.insert(key.clone(), value.clone());
            }
            Err(error) => found.push(format!("settings.{key}: {error}")),
        }
    }
    match serde_json::from_value::<T>(Value::Object(readable)) {
        Ok(settings) => {
            found.extend(faults(&settings));
            if found.is_empty() { Ok(settings) } else { Err(found) }
        }
        Err(error) => {
            found.push(format!("settings: {error}"));
            Err(found)
        }
    }
}
