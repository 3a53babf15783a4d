//! The OpenAPI document: complete in itself, and what every answer that these tests see is held against.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::{Answer, TestApp};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(ashlar::app::openapi()).unwrap());

/// All operations, as (`"GET /api/people/{id}"`, what is said of it).
pub fn operations() -> impl Iterator<Item = (String, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    })
}

/// Fails for an answer that the document does not announce. What is no operation of it is left alone.
pub fn must_be_documented(method: &Method, path: &str, answer: &Answer) {
    let fits = |template: &str| {
        template.split('/').count() == path.split('/').count()
            && template.split('/').zip(path.split('/')).all(|(t, p)| match t.split_once('}') {
                Some((_, ending)) => p.len() > ending.len() && p.ends_with(ending),
                None => t == p,
            })
    };
    let asked = |name: &str| name.split_once(' ').is_some_and(|(m, template)| m == method.as_str() && fits(template));
    // A literal path wins over one with parameters, and what stands behind one over what does not.
    let how_plain = |name: &str| (name.matches('{').count(), name.ends_with('}'));
    let Some((name, operation)) = operations().filter(|(name, _)| asked(name)).min_by_key(|(name, _)| how_plain(name))
    else {
        return;
    };
    let documented = &operation["responses"][answer.status.to_string()];
    assert!(!documented.is_null(), "{name}: {} is not documented: {}", answer.status, answer.text);
    match documented["content"].as_object() {
        None => assert_eq!(answer.text, "", "{name}"),
        Some(content) => {
            let content_type = answer.header("content-type");
            let said = content.get(content_type).unwrap_or_else(|| panic!("{name}: {content_type} is not documented"));
            // What is no JSON is a text.
            let text = Value::from(answer.text.as_str());
            let body = if content_type.contains("json") { &answer.body } else { &text };
            if let Err(why) = fits_schema(&said["schema"], body) {
                panic!("{name} {}: {why} in {}", answer.status, answer.text);
            }
        }
    }
}

/// As much of JSON Schema as the document uses.
fn fits_schema(schema: &Value, value: &Value) -> Result<(), String> {
    let schema = resolved(schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices.iter().filter(|choice| fits_schema(choice, value).is_ok()).count();
        return if fitting == 1 { Ok(()) } else { Err(format!("{value} fits {fitting} of {choices:?}")) };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        Value::String(one) => vec![one],
        _ => Vec::new(),
    };
    let of = |name: &&str| match *name {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        _ => value.is_object(),
    };
    if !types.is_empty() && !types.iter().any(of) {
        return Err(format!("{value} is none of {types:?}"));
    }
    if schema["enum"].as_array().is_some_and(|names| !names.contains(value)) {
        return Err(format!("{value} is none of {}", schema["enum"]));
    }
    if schema["format"] == "uuid" && !value.is_null() && uuid::Uuid::parse_str(value.as_str().unwrap_or("")).is_err() {
        return Err(format!("{value} is no UUID"));
    }
    if schema["format"] == "date-time" && !value.as_str().is_some_and(|t| t.ends_with('Z') && t.contains('T')) {
        return Err(format!("{value} is no time"));
    }
    let (known, required) = properties(schema);
    if let (Some(object), false) = (value.as_object(), known.is_empty()) {
        let missing: Vec<_> = required.iter().filter(|name| !object.contains_key(name.as_str())).collect();
        let unknown: Vec<_> = object.keys().filter(|name| !known.contains_key(*name)).collect();
        if !missing.is_empty() || !unknown.is_empty() {
            return Err(format!("{missing:?} are missing, {unknown:?} are not documented"));
        }
        for (name, value) in object {
            fits_schema(&known[name], value).map_err(|why| format!("{name}: {why}"))?;
        }
    }
    for item in value.as_array().into_iter().flatten() {
        fits_schema(&schema["items"], item)?;
    }
    Ok(())
}

fn resolved(schema: &Value) -> &Value {
    match schema["$ref"].as_str() {
        Some(name) => DOCUMENT.pointer(name.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

/// An object's properties and which of them are required, those of its parts included.
fn properties(schema: &Value) -> (Map<String, Value>, Vec<String>) {
    let schema = resolved(schema);
    let mut known = schema["properties"].as_object().cloned().unwrap_or_default();
    let names = schema["required"].as_array().into_iter().flatten();
    let mut required: Vec<String> = names.map(|name| name.as_str().unwrap().to_owned()).collect();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let (more, more_required) = properties(part);
        known.extend(more);
        required.extend(more_required);
    }
    (known, required)
}

#[tokio::test]
async fn it_is_served_as_it_is_compiled_in() {
    let app = TestApp::start().await;

    let served = app.ask("GET /api/openapi.json", "", Value::Null).await;

    assert_eq!(served.status, 200);
    assert_eq!(served.body, *DOCUMENT);
    assert_eq!(app.ask("POST /api/openapi.json", "", json!({})).await.header("allow"), "GET, HEAD, OPTIONS");
}

#[test]
fn every_operation_says_all_that_a_client_must_know() {
    let mut ids = Vec::new();
    for (name, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{name} has no operationId"));
        assert!(!ids.contains(&id), "{id} names two operations");
        ids.push(id);
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name} has no summary");
        let responses = operation["responses"].as_object().unwrap();
        let signed_in = operation["security"].as_array().is_some_and(|ways| !ways.is_empty());
        if signed_in {
            assert!(responses.contains_key("401"), "{name} does not say 401");
        }
        let good: Vec<_> = responses.iter().filter(|(status, _)| status.starts_with('2')).collect();
        assert!(!good.is_empty(), "{name} never succeeds");
        for (status, response) in good {
            let contents = response["content"].as_object();
            let described = contents.is_some_and(|all| all.values().all(|content| !content["schema"].is_null()));
            // tus says in headers what there is to say.
            let is_empty = ["202", "204"].contains(&status.as_str()) || name.contains("/media/uploads");
            assert_eq!(described, !is_empty, "{name} {status}: a schema, unless there is no content");
        }
        for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
            let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(problem, "#/components/schemas/Problem", "{name} {status}");
            assert!(!response["description"].as_str().unwrap().is_empty(), "{name} {status}");
        }
        for parameter in name.split('/').filter(|part| part.starts_with('{')) {
            let parameter = parameter.trim_start_matches('{').split('}').next().unwrap();
            let of = |p: &&Value| p["in"] == "path" && p["name"] == *parameter;
            assert!(operation["parameters"].as_array().unwrap().iter().find(of).is_some(), "{name}: {parameter}");
        }
        if name.starts_with("POST") {
            let key = |p: &Value| p["name"] == "Idempotency-Key";
            assert!(operation["parameters"].as_array().unwrap().iter().any(key), "{name}");
        }
        if let Some(body) = operation.get("requestBody") {
            // An upload may begin with bytes, or without.
            assert!(body["required"] == true || name == "POST /api/media/uploads", "{name}");
            if body["content"]["application/json"].is_null() {
                assert_eq!(body["content"].as_object().map(|types| types.len()), Some(1), "{name}");
                continue;
            }
            let schema = resolved(&body["content"]["application/json"]["schema"]);
            assert_eq!(schema["additionalProperties"], false, "{name} refuses unknown fields, so it must say so");
            for (field, schema) in properties(schema).0 {
                let default = schema.get("default").filter(|_| name.starts_with("PATCH"));
                assert_eq!(default, None, "{name} {field}: what is absent stays, so a client must not fill it in");
            }
        }
    }
    assert!(ids.len() >= 20);
}
