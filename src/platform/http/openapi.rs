//! The OpenAPI document: what each handler says of itself, and what holds for all of them.

use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::problem::Problem;
use crate::platform::error::FieldError;

/// Completes what the handlers describe: problems, the bearer token, and the `Idempotency-Key` of each `POST`.
pub fn complete(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_with(Components::default);
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    components.schemas.insert(FieldError::name().into_owned(), FieldError::schema());
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    for item in document.paths.paths.values_mut() {
        let with_body = [&mut item.post, &mut item.put, &mut item.patch];
        for operation in with_body.into_iter().flatten() {
            problems(operation, &["400", "403", "408", "409", "413", "415", "422", "429", "503", "507"]);
        }
        for operation in [&mut item.get, &mut item.delete].into_iter().flatten() {
            problems(operation, &["403", "422", "503"]);
        }
        if let Some(operation) = &mut item.delete {
            problems(operation, &["409", "507"]);
        }
        let all = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in all.into_iter().flatten() {
            problems(operation, &["401", "404", "500"]);
        }
        if let Some(operation) = &mut item.post {
            operation.parameters.get_or_insert_default().push(RefOr::T(idempotency_key()));
        }
    }
    document
}

fn problems(operation: &mut Operation, statuses: &[&str]) {
    for status in statuses {
        let problem = ResponseBuilder::new()
            .description("a problem (RFC 9457)")
            .content(
                "application/problem+json",
                ContentBuilder::new().schema(Some(RefOr::Ref(Ref::from_schema_name(Problem::name())))).build(),
            )
            .build();
        operation.responses.responses.entry((*status).to_owned()).or_insert(RefOr::T(problem));
    }
}

fn idempotency_key() -> utoipa::openapi::path::Parameter {
    use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
    use utoipa::openapi::schema::{ObjectBuilder, Type};
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
