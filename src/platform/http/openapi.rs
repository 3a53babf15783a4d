//! The OpenAPI document: what each handler says of itself, and what follows from its method, body and parameters.

use std::sync::Arc;

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, Content, ContentBuilder, OpenApi, Ref, RefOr, Response as Documented};
use utoipa::{PartialSchema, ToSchema};
use warp::http::StatusCode;
use warp::reply::Response;

use super::answers;
use super::problem::Problem;
use super::request::Request;
use crate::platform::error::{FieldError, Result};

/// `GET /api/openapi.json`.
pub async fn show(document: Arc<OpenApi>, _request: Request) -> Result<Response> {
    answers::json(StatusCode::OK, &*document)
}

/// Completes what the handlers describe: the bearer token, the `Idempotency-Key` of each `POST`, and the problems that
/// follow from what an operation takes. A handler names the others by status and description alone.
pub fn complete(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_with(Components::default);
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    components.schemas.insert(FieldError::name().into_owned(), FieldError::schema());
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    for item in document.paths.paths.values_mut() {
        if let Some(operation) = &mut item.get {
            describe(operation);
        }
        if let Some(operation) = &mut item.post {
            operation.parameters.get_or_insert_default().push(RefOr::T(idempotency_key()));
            add(operation, &["400", "422"]);
        }
        let unsafe_ones = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in unsafe_ones.into_iter().flatten() {
            add(operation, &["403", "503", "507"]);
            describe(operation);
        }
    }
    document
}

/// Adds the problems that follow from what the operation takes, and their content to all.
fn describe(operation: &mut Operation) {
    add(operation, &["500"]);
    if operation.security.is_some() {
        add(operation, &["401", "503"]);
    }
    if operation.request_body.is_some() {
        add(operation, &["400", "408", "413", "415", "422"]);
    }
    if takes(operation, ParameterIn::Path) {
        add(operation, &["404"]);
    }
    if takes(operation, ParameterIn::Query) {
        add(operation, &["422"]);
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.as_str() >= "400"
        {
            response.content.insert("application/problem+json".to_owned(), RefOr::T(problem()));
        }
    }
}

fn takes(operation: &Operation, place: ParameterIn) -> bool {
    let is_there = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(p) if p.parameter_in == place);
    operation.parameters.iter().flatten().any(is_there)
}

fn add(operation: &mut Operation, statuses: &[&str]) {
    for status in statuses {
        let reason = status.parse().ok().and_then(|status: StatusCode| status.canonical_reason());
        let response = Documented::new(reason.unwrap_or("a problem"));
        operation.responses.responses.entry((*status).to_owned()).or_insert(RefOr::T(response));
    }
}

fn problem() -> Content {
    ContentBuilder::new().schema(Some(RefOr::Ref(Ref::from_schema_name(Problem::name())))).build()
}

fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some("what is asked twice with the same key within 24 hours happens once"))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(255))
                .pattern(Some("^[!-~]+$"))
                .build(),
        ))
        .build()
}
