//! Requests made of the document: one that is right for each operation, and any number that are wrong.

use serde_json::{Map, Value, json};

/// One operation of the document.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) spec: Value,
}

impl Operation {
    /// Whether it can be called without a credential.
    pub(super) fn is_open(&self) -> bool {
        self.spec["security"].as_array().is_some_and(|all| all.iter().all(|one| *one == json!({})))
    }

    /// Whether it is a request that can change something.
    pub(super) fn changes(&self) -> bool {
        self.method != "get"
    }

    pub(super) fn permission(&self) -> Option<&str> {
        self.spec["x-permission"].as_str()
    }

    pub(super) fn http(&self) -> actix_web::http::Method {
        self.method.to_uppercase().parse().unwrap()
    }

    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Names of what stands in braces in the path.
    pub(super) fn holes(&self) -> Vec<&str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect()
    }

    /// A right body.
    pub(super) fn body(&self, document: &Value) -> Option<Value> {
        let schema = self.spec.pointer("/requestBody/content/application~1json/schema")?;
        Some(right(document, schema))
    }
}

/// The served document.
pub(super) fn document() -> Value {
    serde_json::from_str(crate::api::admin::docs::text()).unwrap()
}

/// All operations of the document.
pub(super) fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, spec) in item.as_object().unwrap() {
            if ["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                all.push(Operation { method: method.clone(), path: path.clone(), spec: spec.clone() });
            }
        }
    }
    assert!(all.len() > 30, "the document names only {} operations", all.len());
    all
}

pub(super) fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

/// A value that the schema allows; an example where there is one.
pub(super) fn right(document: &Value, schema: &Value) -> Value {
    let schema = resolved(document, schema);
    if let Some(example) = schema.get("example").or_else(|| schema["examples"].get(0)) {
        return example.clone();
    }
    if let Some(choice) = schema["enum"].get(0) {
        return choice.clone();
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let word = choices.iter().find_map(|choice| choice["enum"].get(0).or(choice.get("const")));
        return word.cloned().unwrap_or_else(|| right(document, &choices[choices.len() - 1]));
    }
    let kind =
        schema["type"].as_str().or_else(|| schema["type"].get(0).and_then(Value::as_str)).unwrap_or("object");
    match kind {
        "string" => {
            let least = schema["minLength"].as_u64().unwrap_or(1).max(1);
            Value::String("abcdefghijklmnopqrstuvwxyz".chars().cycle().take(least as usize).collect())
        }
        "integer" | "number" => json!(schema["minimum"].as_i64().unwrap_or(1)),
        "boolean" => json!(false),
        "array" => {
            let least = schema["minItems"].as_u64().unwrap_or(0);
            (0..least).map(|_| right(document, &schema["items"])).collect()
        }
        _ => {
            let needed = schema["required"].as_array().cloned().unwrap_or_default();
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            let chosen =
                |name: &str, field: &Value| needed.contains(&json!(name)) || field.get("example").is_some();
            let chosen = properties.iter().filter(|(name, field)| chosen(name, field));
            Value::Object(
                chosen.map(|(name, field)| (name.clone(), right(document, field))).collect::<Map<_, _>>(),
            )
        }
    }
}
