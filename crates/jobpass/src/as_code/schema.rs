//! The JSON schema of the file, for editors: made of the schemas that the API's own document has.

use super::file::VERSION;
use serde_json::{Map, Value, json};

/// The schemas that the file's own parts are described by, and where each is found.
const PARTS: [(&str, &str, &str); 3] = [
    ("groups", "GroupConfiguration", "Groups by path. What a group leaves out stays as it is"),
    ("projects", "ProjectConfiguration", "Projects by path. What a project leaves out stays as it is"),
    ("routes", "NewRouteTable", "Route tables by name: administrators only"),
];
const IN_DOCUMENT: &str = "#/components/schemas/";

pub(crate) fn schema() -> Value {
    let document = serde_json::to_value(jobpass_http::openapi()).unwrap_or_default();
    let components = document.pointer("/components/schemas").cloned().unwrap_or_default();
    let mut definitions = Map::new();
    for (_, name, _) in PARTS {
        define(name, &components, &mut definitions);
    }
    let mut properties = Map::new();
    properties.insert("version".to_owned(), json!({ "const": VERSION }));
    for (part, name, description) in PARTS {
        let each = json!({ "$ref": format!("#/$defs/{name}") });
        let part_schema = json!({ "type": "object", "description": description, "additionalProperties": each });
        properties.insert(part.to_owned(), part_schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "jobpass.yaml",
        "description": "Groups, projects and route tables as they are to be; nothing is deleted because it is missing here",
        "type": "object",
        "properties": properties,
        "required": ["version"],
        "additionalProperties": false,
        "$defs": definitions,
    })
}

/// Copies a schema, and every other that it needs.
fn define(name: &str, components: &Value, definitions: &mut Map<String, Value>) {
    let Some(found) = components.get(name).filter(|_| !definitions.contains_key(name)) else { return };
    let mut found = found.clone();
    let mut needed = Vec::new();
    rename(&mut found, &mut needed);
    definitions.insert(name.to_owned(), found);
    for name in needed {
        define(&name, components, definitions);
    }
}

fn rename(value: &mut Value, needed: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member.as_str().and_then(|text| text.strip_prefix(IN_DOCUMENT)).map(str::to_owned) {
                    Some(name) if key == "$ref" => {
                        *member = format!("#/$defs/{name}").into();
                        needed.push(name);
                    }
                    _ => rename(member, needed),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, needed)),
        _ => {}
    }
}
