//! The JSON Schema (draft 2020-12) of the configuration, for editors, forms and `purser config schema`.

use crate::config::Config;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The schema of the whole configuration. `settings` holds one schema for each kind of connection: it becomes the
/// schema of `connection.settings` where `connection.kind` is that kind, and no other kind is accepted. With no kinds
/// given, kinds and settings stay open.
pub fn schema(settings: &BTreeMap<String, Value>) -> Value {
    let mut root = schemars::schema_for!(Config).to_value();
    let mut definitions = Map::new();
    let mut branches = Vec::new();
    for (kind, schema) in settings {
        let mut schema = schema.clone();
        let own = format!("settings.{kind}");
        hoist(&mut schema, &own, &mut definitions);
        definitions.insert(own.clone(), schema);
        branches.push(json!({
            "if": { "properties": { "kind": { "const": kind } }, "required": ["kind"] },
            "then": { "properties": { "settings": { "$ref": format!("#/$defs/{own}") } } },
        }));
    }
    if let Some(known) = root.get_mut("$defs").and_then(Value::as_object_mut) {
        if let Some(connection) = known.get_mut("ConnectionConfig").filter(|_| !branches.is_empty()) {
            connection["allOf"] = Value::Array(branches);
            connection["properties"]["kind"]["enum"] = json!(settings.keys().collect::<Vec<_>>());
        }
        known.extend(definitions);
    }
    root
}

/// Moves a schema's own definitions to the root under a prefix of their own, and its references with them.
fn hoist(schema: &mut Value, prefix: &str, definitions: &mut Map<String, Value>) {
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        let own = object.remove("$defs");
        redirect(schema, prefix);
        if let Some(Value::Object(own)) = own {
            for (name, mut definition) in own {
                redirect(&mut definition, prefix);
                definitions.insert(format!("{prefix}.{name}"), definition);
            }
        }
    }
}

fn redirect(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(target) if key == "$ref" => {
                        if let Some(name) = target.strip_prefix("#/$defs/") {
                            *target = format!("#/$defs/{prefix}.{name}");
                        }
                    }
                    _ => redirect(value, prefix),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redirect(item, prefix)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::schema;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn settings_of_each_kind_are_merged_with_their_own_definitions() {
        let vendor = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": { "company": { "$ref": "#/$defs/Company" } },
            "$defs": { "Company": { "type": "string" } },
        });
        let whole = schema(&BTreeMap::from([("epicor".to_owned(), vendor)]));
        assert_eq!(whole["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let connection = &whole["$defs"]["ConnectionConfig"];
        assert_eq!(connection["properties"]["kind"]["enum"], json!(["epicor"]));
        assert_eq!(
            connection["allOf"][0]["then"]["properties"]["settings"]["$ref"],
            "#/$defs/settings.epicor"
        );
        let settings = &whole["$defs"]["settings.epicor"];
        assert_eq!(settings["properties"]["company"]["$ref"], "#/$defs/settings.epicor.Company");
        assert_eq!(whole["$defs"]["settings.epicor.Company"]["type"], "string");
        assert!(settings.get("$defs").is_none());
    }

    #[test]
    fn every_reference_in_the_schema_has_its_definition() {
        let whole = schema(&BTreeMap::new());
        let text = whole.to_string();
        let references: Vec<&str> =
            text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(references.len() > 5);
        for reference in references {
            assert!(whole.pointer(reference).is_some(), "{reference}");
        }
    }
}
