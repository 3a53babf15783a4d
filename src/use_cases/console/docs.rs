//! A reader of the API's OpenAPI document.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use serde_json::Value;
use utoipa::openapi::OpenApi;
use warp::reply::Response;

use super::{App, read};
use crate::platform::error::{Error, Result};
use crate::platform::http::{Refusal, Request, label_of, page as shell};

/// The document, arranged for reading.
#[derive(Template)]
#[template(path = "use_cases/console/templates/docs.html", config = "src/askama.toml")]
pub(super) struct Docs {
    description: String,
    version: String,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
}

/// The operations of one tag.
struct Group {
    id: String,
    title: String,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    method: &'static str,
    path: String,
    summary: String,
    description: String,
    needs_token: bool,
    parameters: Vec<Field>,
    body: Vec<Field>,
    answers: Vec<Answer>,
}

/// A parameter, or a field of a body or schema.
struct Field {
    name: String,
    place: String,
    required: bool,
    kind: Kind,
    meaning: String,
}

/// A type: its words, and the schema it leads to.
struct Kind {
    text: String,
    schema: Option<String>,
}

struct Answer {
    status: String,
    body: Option<Kind>,
    when: String,
}

struct Schema {
    name: String,
    meaning: String,
    kind: String,
    fields: Vec<Field>,
}

#[derive(Clone)]
pub(super) struct DocsPage {
    app: App,
    docs: Arc<Docs>,
}

pub(super) fn page(app: &App, document: &OpenApi) -> DocsPage {
    // A document of maps and strings always serialises.
    let document = serde_json::to_value(document).unwrap_or_default();
    DocsPage { app: app.clone(), docs: Arc::new(Docs::of(&document)) }
}

/// `GET /api/docs`: for everyone, with the navigation for those who are signed in.
pub(super) async fn show(docs: DocsPage, request: Request) -> Result<Response> {
    match read(&docs.app, "docs_page", &request, |_, _, _| Ok(())).await {
        Ok((viewer, ())) => {
            docs.app.platform.show(&request.head, &viewer, "API docs", &Refusal::default(), &*docs.docs)
        }
        Err(Error::Unauthenticated(_)) => shell::public("API docs", &*docs.docs),
        Err(error) => Err(error),
    }
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

impl Docs {
    fn of(document: &Value) -> Docs {
        let schemas = &document["components"]["schemas"];
        let mut groups: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
        for (path, item) in entries(&document["paths"]) {
            for method in METHODS {
                if let Some(operation) = item.get(method) {
                    let tag = text(&operation["tags"][0]);
                    let tag = tag.rsplit("::").next().unwrap_or("").to_owned();
                    groups.entry(tag).or_default().push(Operation::of(method, path, operation, schemas));
                }
            }
        }
        let group = |(tag, operations): (String, Vec<Operation>)| Group {
            id: tag.replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
            title: label_of(&tag),
            operations,
        };
        Docs {
            description: text(&document["info"]["description"]),
            version: text(&document["info"]["version"]),
            groups: groups.into_iter().map(group).collect(),
            schemas: entries(schemas).map(|(name, schema)| Schema::of(name, schema, schemas)).collect(),
        }
    }
}

impl Operation {
    fn of(method: &'static str, path: &str, operation: &Value, schemas: &Value) -> Operation {
        let parameter = |parameter: &Value| Field {
            name: text(&parameter["name"]),
            place: text(&parameter["in"]),
            required: parameter["required"] == true,
            kind: Kind::of(&parameter["schema"]),
            meaning: meaning(parameter, &parameter["schema"]),
        };
        let answer = |(status, answer): (&String, &Value)| Answer {
            status: status.clone(),
            body: content(answer).map(Kind::of),
            when: text(&answer["description"]),
        };
        let body = content(&operation["requestBody"]);
        Operation {
            id: text(&operation["operationId"]),
            method,
            path: path.to_owned(),
            summary: text(&operation["summary"]),
            description: text(&operation["description"]),
            needs_token: operation["security"].is_array(),
            parameters: list(&operation["parameters"]).map(parameter).collect(),
            body: body.map(|body| fields(resolve(body, schemas), schemas)).unwrap_or_default(),
            answers: entries(&operation["responses"]).map(answer).collect(),
        }
    }
}

impl Schema {
    fn of(name: &str, schema: &Value, schemas: &Value) -> Schema {
        Schema {
            name: name.to_owned(),
            meaning: text(&schema["description"]),
            kind: Kind::of(schema).text,
            fields: fields(schema, schemas),
        }
    }
}

impl Kind {
    fn of(schema: &Value) -> Kind {
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
            return Kind { text: name.to_owned(), schema: Some(name.to_owned()) };
        }
        let choices: Vec<Kind> = list(&schema["oneOf"])
            .chain(list(&schema["anyOf"]))
            .map(Kind::of)
            .filter(|kind| kind.text != "null")
            .collect();
        if !choices.is_empty() {
            let texts: Vec<&str> = choices.iter().map(|kind| kind.text.as_str()).collect();
            let text = texts.join(" | ");
            return Kind { text, schema: choices.into_iter().find_map(|kind| kind.schema) };
        }
        let values: Vec<&str> = list(&schema["enum"]).filter_map(Value::as_str).collect();
        if !values.is_empty() {
            return Kind { text: values.join(" | "), schema: None };
        }
        let name = match &schema["type"] {
            Value::Array(types) => {
                types.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect::<Vec<_>>().join(" | ")
            }
            other => other.as_str().unwrap_or("any").to_owned(),
        };
        match (name.as_str(), schema["format"].as_str()) {
            ("array", _) => {
                let items = Kind::of(&schema["items"]);
                Kind { text: format!("list of {}", items.text), schema: items.schema }
            }
            (_, Some(format @ ("uuid" | "date-time" | "email"))) => Kind { text: format.to_owned(), schema: None },
            _ => Kind { text: name, schema: None },
        }
    }
}

/// An object's fields, those of what it is made of included.
fn fields(schema: &Value, schemas: &Value) -> Vec<Field> {
    let mut found: Vec<Field> =
        list(&schema["allOf"]).flat_map(|part| fields(resolve(part, schemas), schemas)).collect();
    let required: Vec<&str> = list(&schema["required"]).filter_map(Value::as_str).collect();
    found.extend(entries(&schema["properties"]).map(|(name, property)| Field {
        name: name.clone(),
        place: String::new(),
        required: required.contains(&name.as_str()),
        kind: Kind::of(property),
        meaning: meaning(property, property),
    }));
    found
}

/// What something is for, and its limits.
fn meaning(described: &Value, schema: &Value) -> String {
    let bounds = |least: &str, most: &str, unit: &str| match (schema[least].as_u64(), schema[most].as_u64()) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
        (Some(least), None) => Some(format!("at least {least}{unit}")),
        (None, None) => None,
    };
    let description = text(&described["description"]);
    let parts = [
        Some(description).filter(|text| !text.is_empty()),
        bounds("minLength", "maxLength", " characters"),
        bounds("minimum", "maximum", ""),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The schema of what a request or an answer bears, of whatever media type.
fn content(bearer: &Value) -> Option<&Value> {
    entries(&bearer["content"]).next().map(|(_, media)| &media["schema"])
}

fn resolve<'a>(schema: &'a Value, schemas: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        Some(name) => &schemas[name],
        None => schema,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
