//! The OpenAPI document, built from the router that serves. What every operation has in common is added
//! here once: parameters of paths, who may call, and the shape of errors.

use crate::router::operations;
use jobpass_api::{DryRun, FeedOpened, FeedTold, NewRouteTable, OAuthError, Problem};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, OpenApi, PathItem, Ref, RefOr, Required, ResponseBuilder};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Jobpass",
        description = "A token for each CI job that opens only what maintainers granted to it, and dies with the job.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(DryRun, FeedOpened, FeedTold, NewRouteTable, Problem, OAuthError))
)]
pub(crate) struct ApiDoc;

/// The document, as it is served and as it lies in `openapi/openapi.json`.
pub fn openapi() -> OpenApi {
    complete(operations().into_openapi())
}

pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    add_security_schemes(&mut document);
    for (path, item) in &mut document.paths.paths {
        for operation in operations_of(item) {
            add_path_parameters(operation, path);
            add_paging(operation);
            add_dry_run(operation);
            add_security(operation, path);
            add_errors(operation, path);
        }
    }
    document
}

fn operations_of(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch]
        .into_iter()
        .filter_map(Option::as_mut)
}

fn add_security_schemes(document: &mut OpenApi) {
    let scheme = |scheme, description: &str| {
        SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(description)).build())
    };
    let gateway = ApiKeyValue::with_description(
        "X-Jobpass-Service",
        "The secret of the service, `jps_…`, beside the client's own token",
    );
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("user", scheme(HttpAuthScheme::Bearer, "A user's API token, `jpu_…`"));
    components.add_security_scheme("runner", scheme(HttpAuthScheme::Bearer, "A runner's token, `jpr_…`"));
    components.add_security_scheme("job", scheme(HttpAuthScheme::Bearer, "A job token, `jpj_…`"));
    components.add_security_scheme("gateway", SecurityScheme::ApiKey(ApiKey::Header(gateway)));
    components
        .add_security_scheme("service", scheme(HttpAuthScheme::Basic, "A service's client id and secret, `jps_…`"));
}

/// Every `{name}` of the path; the extractors read them, so that no handler repeats them.
fn add_path_parameters(operation: &mut Operation, path: &str) {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    for name in names {
        let (description, format) = match name {
            "project" | "group" => ("The id, or the path with `/` written `%2F`", None),
            "user" => ("The user's name or id", None),
            "service" | "client_id" => ("The client id", None),
            "table" => ("The table's name", None),
            _ => ("The id", Some("uuid")),
        };
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(format.map(|format| utoipa::openapi::SchemaFormat::Custom(format.to_owned())));
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(Schema::Object(schema.build())))
            .build();
        operation.parameters.get_or_insert_default().push(parameter.into());
    }
}

/// `limit` and `after` of every list.
fn add_paging(operation: &mut Operation) {
    let is_list =
        operation.operation_id.as_deref().is_some_and(|id| id.ends_with("_list") && !id.ends_with("secret_list"));
    if !is_list {
        return;
    }
    let parameters = operation.parameters.get_or_insert_default();
    parameters.push(query_parameter("limit", "1 to 1000; 100 if left out", Type::Integer).into());
    parameters.push(query_parameter("after", "The `next` of the page before", Type::String).into());
}

/// The changes that can be rehearsed, by the operation's name: what their extractor takes.
const REHEARSED: [&str; 17] = [
    "project_update",
    "group_update",
    "project_grant_create",
    "project_grant_put",
    "project_grant_delete",
    "project_grant_replace",
    "group_grant_create",
    "group_grant_put",
    "group_grant_delete",
    "group_grant_replace",
    "project_ceilings_put",
    "group_ceilings_put",
    "instance_ceilings_put",
    "instance_settings_put",
    "suggestions_apply",
    "project_configuration_put",
    "group_configuration_put",
];

/// `dry_run` and its like; and that a dry run answers something else.
fn add_dry_run(operation: &mut Operation) {
    if !operation.operation_id.as_deref().is_some_and(|id| REHEARSED.contains(&id)) {
        return;
    }
    let parameters = operation.parameters.get_or_insert_default();
    for (name, description, schema_type) in [
        ("dry_run", "Write nothing, and answer what the change would be and do: a DryRun", Type::Boolean),
        ("confirm", "Step up, or move, even if uses that were seen would be refused", Type::Boolean),
        ("window_days", "How many days back uses count, 1 to 3650; 90 if left out", Type::Integer),
    ] {
        parameters.push(query_parameter(name, description, schema_type).into());
    }
    let rehearsed = || RefOr::Ref(Ref::from_schema_name("DryRun"));
    let responses = &mut operation.responses.responses;
    if let Some(RefOr::T(response)) = responses.get_mut("200") {
        for content in response.content.values_mut() {
            if let RefOr::T(content) = content
                && let Some(made) = content.schema.take()
            {
                let either = OneOfBuilder::new().item(made).item(rehearsed()).build();
                content.schema = Some(Schema::OneOf(either).into());
            }
        }
        return;
    }
    let content = ContentBuilder::new().schema(Some(rehearsed())).build();
    let response = ResponseBuilder::new().description("Of a dry run").content("application/json", content).build();
    responses.insert("200".to_owned(), response.into());
}

fn query_parameter(name: &str, description: &str, schema_type: Type) -> Parameter {
    let schema = Schema::Object(ObjectBuilder::new().schema_type(schema_type).build());
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// Who may call, by the operation's name: what its extractor takes.
fn add_security(operation: &mut Operation, path: &str) {
    let id = operation.operation_id.as_deref().unwrap_or_default();
    let callers: &[&str] = match id {
        "healthz"
        | "readyz"
        | "metrics"
        | "oauth_metadata"
        | "openid_configuration"
        | "oauth_key_set"
        | "oauth_authorize"
        | "oauth_registry_authority"
        | "leaked_token_report"
        | "oauth_token" => return,
        "job_token_mint" | "job_heartbeat" | "job_finish" | "pipeline_finish" => &["runner"],
        "job_token_narrow" | "job_token_self" | "job_token_give_up" | "oauth_registry_token" => &["job"],
        "authorize" | "invalidation_follow" | "oauth_introspect" => &["service"],
        "oauth_revoke" => &["runner", "job"],
        "forward_auth" => &["gateway"],
        _ if path.starts_with("/v1/") => &["user"],
        _ => return,
    };
    operation.security =
        Some(callers.iter().map(|caller| SecurityRequirement::new::<&str, [&str; 0], &str>(caller, [])).collect());
}

/// Every other answer is an error of the one shape.
fn add_errors(operation: &mut Operation, path: &str) {
    // It has three answers, and says them itself.
    if operation.operation_id.as_deref() == Some("forward_auth") {
        return;
    }
    let (schema, content_type) = if path.starts_with("/v1/") {
        ("Problem", "application/problem+json")
    } else if path.starts_with("/oauth/") {
        ("OAuthError", "application/json")
    } else {
        return;
    };
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    let response =
        ResponseBuilder::new().description("Refused: the body says why").content(content_type, content).build();
    operation.responses.responses.insert("default".to_owned(), response.into());
}
