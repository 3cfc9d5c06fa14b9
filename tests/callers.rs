//! The golden matrix "every operation × every kind of caller" → status. `callers.golden` is for people to
//! read in a diff; `UPDATE_GOLDEN=1` writes it anew. An operation without a row fails.

use crate::support::{Reply, World};
use serde_json::{Value, json};
use std::fmt::Write as _;

const CALLERS: [&str; 12] = [
    "nobody",
    "runner",
    "other runner",
    "service",
    "job token",
    "guest",
    "reporter",
    "developer",
    "maintainer",
    "owner",
    "stranger",
    "admin",
];

/// A call that would do something, on things made for it alone.
struct Call {
    path: String,
    body: Option<Value>,
    /// A form instead of JSON.
    form: Option<Vec<(&'static str, String)>>,
    if_match: bool,
    yaml: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
    /// Its answer never ends by itself.
    endless: bool,
}

fn call(path: impl Into<String>) -> Call {
    Call { path: path.into(), body: None, form: None, if_match: false, yaml: None, headers: vec![], endless: false }
}

impl Call {
    fn json(self, body: Value) -> Call {
        Call { body: Some(body), ..self }
    }

    fn form(self, form: &[(&'static str, &str)]) -> Call {
        Call { form: Some(form.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()), ..self }
    }

    fn yaml(self, text: &'static str) -> Call {
        Call { yaml: Some(text), ..self }
    }

    fn if_match(self) -> Call {
        Call { if_match: true, ..self }
    }
}

/// Makes things for one call: `n` keeps them apart.
struct Maker<'a> {
    world: &'a World,
    n: usize,
}

impl Maker<'_> {
    async fn make(&self, path: &str, body: Value) -> Value {
        self.world.server.post(path, self.world.admin(), body).await.expect(201).json
    }

    async fn group(&self) -> String {
        self.make("/v1/groups", json!({ "path": format!("acme/g{}", self.n) })).await;
        format!("/v1/groups/acme%2Fg{}", self.n)
    }

    async fn project(&self) -> String {
        self.make("/v1/projects", json!({ "path": format!("acme/p{}", self.n) })).await;
        format!("/v1/projects/acme%2Fp{}", self.n)
    }

    async fn user(&self) -> String {
        self.make("/v1/users", json!({ "name": format!("u{}", self.n) })).await;
        format!("u{}", self.n)
    }

    async fn user_token(&self) -> String {
        let user = self.user().await;
        id(&self.make("/v1/user-tokens", json!({ "user": user })).await)
    }

    /// A runner of `acme/web`.
    async fn runner(&self) -> String {
        id(&self.make("/v1/runners", json!({ "name": "r", "project": "acme/web" })).await)
    }

    /// One that waits for its time.
    async fn signing_key(&self) -> String {
        let server = &self.world.server;
        let keys = server.post("/v1/signing-keys/rotate", self.world.admin(), json!({ "algorithm": "EdDSA" })).await;
        let keys = keys.expect(200).json["items"].as_array().unwrap().clone();
        id(keys.iter().find(|key| key["algorithm"] == "EdDSA" && key["phase"] == "published").unwrap())
    }

    async fn service(&self) -> String {
        self.make("/v1/services", json!({ "name": "s" })).await["client_id"].as_str().unwrap().to_owned()
    }

    /// A service whose gateway lets through whoever may read packages of a project that grants it to `acme/web`.
    async fn gateway(&self) -> (String, String) {
        let path = self.project().await;
        self.make(&format!("{path}/grants"), new_grant()).await;
        let project = format!("acme/p{}", self.n);
        let set = json!({ "source": "fixed", "permissions": ["packages:read"] });
        let made = self.make("/v1/services", json!({ "name": "s", "project": project, "forward_auth": set })).await;
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("client_id"), text("client_secret"))
    }

    async fn secret(&self, of: &str) -> String {
        let path = format!("/v1/{of}/secrets");
        format!("{path}/{}", id(&self.make(&path, json!({})).await))
    }

    async fn route_table(&self) -> String {
        let path = format!("/v1/route-tables/table-{}", self.n);
        let request = self.world.server.http.put(format!("{}{path}", self.world.server.url));
        let request = request.bearer_auth(self.world.admin()).header("content-type", "application/yaml");
        crate::support::send(request.body("routes: []")).await.expect(201);
        path
    }

    async fn grant(&self, place: &str) -> String {
        let path = format!("/v1/{place}/grants");
        format!("{path}/{}", id(&self.make(&path, new_grant()).await))
    }

    async fn trust_rule(&self) -> String {
        let path = "/v1/projects/acme%2Fweb/trust-rules";
        format!("{path}/{}", id(&self.make(path, new_trust_rule()).await))
    }

    /// A job of `acme/web`, opened by the world's runner.
    async fn minted(&self) -> Value {
        self.world.mint(&format!("k{}", self.n), json!({})).await
    }
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

fn ceilings() -> Value {
    json!({ "items": [{ "at_most": ["*:read"] }] })
}

fn new_grant() -> Value {
    json!({ "source": { "project": "acme/web" }, "permissions": ["packages:read"] })
}

fn new_trust_rule() -> Value {
    json!({ "name": "t", "issuer": "https://ci.example", "ci": "github", "claims": { "repository_id": ["42"] } })
}

/// The rows: what each operation is called with.
#[expect(clippy::too_many_lines, reason = "a row an operation")]
async fn call_of(operation: &str, make: &Maker<'_>) -> Option<Call> {
    let n = make.n;
    let web = "/v1/projects/acme%2Fweb";
    let acme = "/v1/groups/acme";
    let field = |made: &Value, name: &str| made[name].as_str().unwrap().to_owned();
    Some(match operation {
        "catalogue_read" => call("/v1/catalogue"),
        "resource_create" => {
            call("/v1/catalogue/resources").json(json!({ "name": format!("type_{n}"), "description": "d" }))
        }

        "route_table_list" => call("/v1/route-tables"),
        "route_table_read" => call("/v1/route-tables/gitlab"),
        "route_table_put" => call(format!("/v1/route-tables/new-{n}")).yaml("routes: []"),
        "route_table_delete" => call(make.route_table().await).if_match(),

        "group_list" => call("/v1/groups"),
        "group_create" => call("/v1/groups").json(json!({ "path": format!("acme/new{n}") })),
        "group_read" => call(acme),
        "group_update" => call(make.group().await).json(json!({ "floor": "audit" })),
        "group_delete" => call(make.group().await),
        "group_member_list" => call(format!("{acme}/members")),
        "group_member_put" => call(format!("{acme}/members/{}", make.user().await)).json(json!({ "role": "guest" })),
        "group_member_delete" => {
            let path = format!("{acme}/members/{}", make.user().await);
            make.world.server.put(&path, make.world.admin(), json!({ "role": "guest" })).await.expect(200);
            call(path)
        }

        "project_list" => call("/v1/projects"),
        "project_create" => call("/v1/projects").json(json!({ "path": format!("acme/new{n}") })),
        "project_read" => call(web),
        "project_update" => call(make.project().await).json(json!({ "mode": "audit" })),
        "project_delete" => call(make.project().await),
        "project_ceilings_read" => call(format!("{web}/ceilings")),
        "project_ceilings_put" => call(format!("{}/ceilings", make.project().await)).json(ceilings()).if_match(),
        "group_ceilings_read" => call(format!("{acme}/ceilings")),
        "group_ceilings_put" => call(format!("{}/ceilings", make.group().await)).json(ceilings()).if_match(),
        "instance_ceilings_read" => call("/v1/instance/ceilings"),
        "instance_ceilings_put" => call("/v1/instance/ceilings").json(json!({ "items": [] })).if_match(),
        "instance_settings_read" => call("/v1/instance/settings"),
        "instance_settings_put" => {
            call("/v1/instance/settings").json(json!({ "floor": "legacy", "default_mode": "enforced" })).if_match()
        }
        "suggestions_read" => call(format!("{web}/suggestions")),
        "suggestions_apply" => call(format!("{web}/suggestions/apply")).json(json!({ "all": true })).if_match(),
        "project_explain" => call(format!("{web}/explain"))
            .json(json!({ "source": "acme/web", "ref": "main", "permissions": ["packages:read"] })),
        "usage_list" => call(format!("{web}/usage")),
        "project_configuration_read" => call(format!("{web}/configuration")),
        "project_configuration_put" => {
            let body = json!({ "mode": "audit", "grants": [new_grant()] });
            call(format!("{}/configuration", make.project().await)).json(body).if_match()
        }
        "group_configuration_read" => call(format!("{acme}/configuration")),
        "group_configuration_put" => {
            let body = json!({ "grants": [new_grant()] });
            call(format!("{}/configuration", make.group().await)).json(body).if_match()
        }
        "project_member_list" => call(format!("{web}/members")),
        "project_member_put" => call(format!("{web}/members/{}", make.user().await)).json(json!({ "role": "guest" })),
        "project_member_delete" => {
            let path = format!("{web}/members/{}", make.user().await);
            make.world.server.put(&path, make.world.admin(), json!({ "role": "guest" })).await.expect(200);
            call(path)
        }

        "user_list" => call("/v1/users"),
        "user_create" => call("/v1/users").json(json!({ "name": format!("new{n}") })),
        "user_read" | "user_delete" => call(format!("/v1/users/{}", make.user().await)),
        "user_update" => {
            call(format!("/v1/users/{}", make.user().await)).json(json!({ "name": format!("renamed{n}") }))
        }
        "user_token_list" => call("/v1/user-tokens"),
        "user_token_create" => call("/v1/user-tokens").json(json!({ "user": make.user().await })),
        "user_token_read" | "user_token_revoke" => call(format!("/v1/user-tokens/{}", make.user_token().await)),

        "runner_list" => call("/v1/runners"),
        "runner_create" => call("/v1/runners").json(json!({ "name": "r", "project": "acme/web" })),
        "runner_read" | "runner_delete" => call(format!("/v1/runners/{}", make.runner().await)),
        "runner_update" => call(format!("/v1/runners/{}", make.runner().await)).json(json!({ "paused": true })),
        "runner_secret_list" => call(format!("/v1/runners/{}/secrets", make.runner().await)),
        "runner_secret_create" => call(format!("/v1/runners/{}/secrets", make.runner().await)).json(json!({})),
        "runner_secret_delete" => call(make.secret(&format!("runners/{}", make.runner().await)).await),
        "runner_revoke_tokens" => call(format!("/v1/runners/{}/revoke-tokens", make.runner().await)).json(json!({})),

        "signing_keys_read" => call("/v1/signing-keys"),
        "signing_keys_rotate" => call("/v1/signing-keys/rotate").json(json!({ "algorithm": "ES256" })),
        "registry_authority_replace" => call("/v1/registry-authority/replace").json(json!({})),
        "signing_key_revoke" => call(format!("/v1/signing-keys/{}/revoke", make.signing_key().await)).json(json!({})),
        "trust_rule_list" => call(format!("{web}/trust-rules")),
        "trust_rule_create" => call(format!("{web}/trust-rules")).json(new_trust_rule()),
        "trust_rule_read" => call(make.trust_rule().await),
        "trust_rule_put" => call(make.trust_rule().await).json(new_trust_rule()).if_match(),
        "trust_rule_delete" => call(make.trust_rule().await).if_match(),
        "trust_rule_revoke_tokens" => call(format!("{}/revoke-tokens", make.trust_rule().await)).json(json!({})),

        "service_list" => call("/v1/services"),
        "service_create" => call("/v1/services").json(json!({ "name": "s" })),
        "service_read" | "service_delete" => call(format!("/v1/services/{}", make.service().await)),
        "service_update" => call(format!("/v1/services/{}", make.service().await)).json(json!({ "paused": true })),
        "runner_keys_read" | "runner_keys_delete" => call(format!("/v1/runners/{}/jwks", make.runner().await)),
        "runner_keys_put" => call(format!("/v1/runners/{}/jwks", make.runner().await)).if_match().json(public_keys()),
        "service_keys_read" | "service_keys_delete" => call(format!("/v1/services/{}/jwks", make.service().await)),
        "service_keys_put" => {
            call(format!("/v1/services/{}/jwks", make.service().await)).if_match().json(public_keys())
        }
        "service_secret_list" => call(format!("/v1/services/{}/secrets", make.service().await)),
        "service_secret_create" => call(format!("/v1/services/{}/secrets", make.service().await)).json(json!({})),
        "service_secret_delete" => call(make.secret(&format!("services/{}", make.service().await)).await),

        "project_grant_list" => call(format!("{web}/grants")),
        "project_grant_create" => call(format!("{web}/grants")).json(new_grant()),
        "project_grant_replace" => call(format!("{web}/grants")).json(json!({ "items": [new_grant()] })).if_match(),
        "project_grant_read" => call(make.grant("projects/acme%2Fweb").await),
        "project_grant_put" => call(make.grant("projects/acme%2Fweb").await).json(new_grant()).if_match(),
        "project_grant_delete" => call(make.grant("projects/acme%2Fweb").await).if_match(),
        "group_grant_list" => call(format!("{acme}/grants")),
        "group_grant_create" => call(format!("{acme}/grants")).json(new_grant()),
        "group_grant_replace" => call(format!("{acme}/grants")).json(json!({ "items": [new_grant()] })).if_match(),
        "group_grant_read" => call(make.grant("groups/acme").await),
        "group_grant_put" => call(make.grant("groups/acme").await).json(new_grant()).if_match(),
        "group_grant_delete" => call(make.grant("groups/acme").await).if_match(),

        "job_token_mint" => call("/v1/job-tokens").json(World::mint_body(&format!("new{n}"), json!({}))),
        "job_token_narrow" => call("/v1/job-tokens/narrow").json(json!({ "permissions": [] })),
        "job_token_self" | "job_token_give_up" => call("/v1/job-tokens/self"),
        "job_token_list" => call(format!("{web}/job-tokens")),
        "job_token_revoke" => call(format!("/v1/job-tokens/{}", field(&make.minted().await, "id"))),
        "job_heartbeat" => {
            call(format!("/v1/jobs/{}/heartbeat", field(&make.minted().await, "job_id"))).json(json!({}))
        }
        "job_finish" => call(format!("/v1/jobs/{}/finish", field(&make.minted().await, "job_id"))),
        "pipeline_finish" => call(format!("/v1/pipelines/{}/finish", field(&make.minted().await, "pipeline_id"))),
        "project_revoke_tokens" => call(format!("{web}/revoke-tokens")),
        "pipeline_revoke_tokens" => {
            call(format!("/v1/pipelines/{}/revoke-tokens", field(&make.minted().await, "pipeline_id")))
        }
        "job_revoke_tokens" => call(format!("/v1/jobs/{}/revoke-tokens", field(&make.minted().await, "job_id"))),
        "leaked_token_report" => {
            call("/v1/leaked-tokens").json(json!({ "token": field(&make.minted().await, "token") }))
        }

        "authorize" => {
            let token = field(&make.minted().await, "token");
            call("/v1/authorize")
                .json(json!({ "token": token, "project": "acme/lib", "permissions": ["packages:read"] }))
        }
        "invalidation_follow" => Call { endless: true, ..call("/v1/invalidations") },
        "forward_auth" => {
            let (client_id, secret) = make.gateway().await;
            Call { headers: vec![("x-jobpass-service", secret)], ..call(format!("/v1/forward-auth/{client_id}")) }
        }
        "oauth_introspect" => call("/oauth/introspect").form(&[("token", &field(&make.minted().await, "token"))]),
        "oauth_revoke" => call("/oauth/revoke").form(&[("token", &field(&make.minted().await, "token"))]),
        "oauth_token" => call("/oauth/token").form(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", &field(&make.minted().await, "token")),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ]),
        "oauth_metadata" => call("/.well-known/oauth-authorization-server"),
        "openid_configuration" => call("/.well-known/openid-configuration"),
        "oauth_authorize" => call("/oauth/authorize"),
        "oauth_key_set" => call("/oauth/jwks"),
        "oauth_registry_token" => call(format!("/oauth/registry-token?service={}", make.world.service.0)),
        "oauth_registry_authority" => call("/oauth/registry-authority.pem"),

        "audit_event_list" => call("/v1/audit-events?project=acme%2Fweb"),
        "healthz" => call("/healthz"),
        "metrics" => call("/metrics"),
        "readyz" => call("/readyz"),
        _ => return None,
    })
}

/// The public key of RFC 8037, appendix A.2.
fn public_keys() -> Value {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    json!({ "keys": [{ "kty": "OKP", "kid": "one", "crv": "Ed25519", "x": x }] })
}

/// The credential of each kind of caller; a job token of its own for each call.
async fn credential(caller: &str, other_runner: &str, make: &Maker<'_>) -> Option<String> {
    Some(match caller {
        "nobody" => return None,
        "runner" => make.world.runner.clone(),
        "other runner" => other_runner.to_owned(),
        "service" => make.world.service.1.clone(),
        "job token" => make.world.token(&format!("caller{}", make.n)).await,
        "admin" => make.world.admin().to_owned(),
        person => make.world.person(person).to_owned(),
    })
}

async fn row(operation: &str, make: &Maker<'_>) -> Call {
    call_of(operation, make).await.unwrap_or_else(|| panic!("no row for {operation}: add one to call_of"))
}

async fn send(method: &str, call: Call, token: Option<String>, world: &World) -> Reply {
    let server = &world.server;
    let url = format!("{}{}", server.url, call.path);
    let mut request = server.http.request(method.parse().unwrap(), url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if call.if_match {
        request = request.header("if-match", "*");
    }
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    if let Some(body) = call.body {
        request = request.json(&body);
    }
    if let Some(yaml) = call.yaml {
        request = request.header("content-type", "application/yaml").body(yaml);
    }
    if let Some(form) = call.form {
        request = request.form(&form);
    }
    if call.endless {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        return Reply { status, headers, text: String::new(), json: Value::Null };
    }
    crate::support::send(request).await
}

/// Every operation that the server documents: tag, method, name.
async fn operations(world: &World) -> Vec<(String, String, String)> {
    let document = world.server.call("GET", "/openapi.json", None, None).await.expect(200).json;
    let mut operations = Vec::new();
    for item in document["paths"].as_object().unwrap().values() {
        for (method, operation) in
            item.as_object().unwrap().iter().filter(|(_, operation)| operation["operationId"].is_string())
        {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            operations.push((text(&operation["tags"][0]), method.to_uppercase(), text(&operation["operationId"])));
        }
    }
    operations.sort();
    operations
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn golden_matrix() {
    let world = World::new().await;
    let other = world
        .server
        .post("/v1/runners", world.admin(), json!({ "name": "other", "project": "other/app" }))
        .await
        .expect(201);
    let other_runner = other.text_at("/token");
    let mut out = String::from(
        "Who gets which status when calling what, on things of acme, all else being right.\n\
         guest to owner: members of acme; stranger: the owner of another group; other runner: of another project.\n",
    );
    let (mut last_tag, mut n) = (String::new(), 0);
    for (tag, method, operation) in operations(&world).await {
        if tag != last_tag {
            let header = CALLERS.map(|caller| format!("{caller:>13}")).concat();
            let _ = write!(out, "\n{:<32}{header}\n", tag.to_uppercase());
            last_tag = tag;
        }
        let _ = write!(out, "{operation:<32}");
        for caller in CALLERS {
            n += 1;
            let make = Maker { world: &world, n };
            let call = row(&operation, &make).await;
            let reply = send(&method, call, credential(caller, &other_runner, &make).await, &world).await;
            let _ = write!(out, "{:>13}", reply.status);
        }
        out.push('\n');
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/callers.golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &out).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        golden == out,
        "who may call what differs from {path}; see how by\n  UPDATE_GOLDEN=1 make test; git diff tests/callers.golden"
    );
}

/// A parameter that is overlooked, such as `dry_run`, would let a rehearsal do the deed.
#[tokio::test]
async fn no_write_overlooks_a_parameter_of_the_query() {
    let world = World::new().await;
    let document = world.server.call("GET", "/openapi.json", None, None).await.expect(200).json;
    let paths = document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/v1/"));
    let operations = paths.flat_map(|(_, item)| item.as_object().unwrap());
    let mut n = 0;
    for (method, operation) in operations.filter(|(method, _)| ["post", "put", "patch", "delete"].contains(&&***method))
    {
        n += 1;
        let make = Maker { world: &world, n };
        let name = operation["operationId"].as_str().unwrap();
        let caller = match operation["security"][0].as_object().and_then(|caller| caller.keys().next()) {
            Some(user) if user == "user" => "admin",
            Some(job) if job == "job" => "job token",
            Some(other) => other,
            None => "nobody",
        };
        let call = row(name, &make).await;
        let path = format!("{}?colour=red", call.path);
        let token = credential(caller, "", &make).await;
        let refused = send(&method.to_uppercase(), Call { path, ..call }, token, &world).await;
        assert_eq!((name, refused.status), (name, 422), "{}", refused.json);
        assert_eq!(refused.json["errors"][0]["pointer"], "?colour", "{name}");
        assert_eq!(refused.json["errors"][0]["code"], "unknown_parameter", "{name}");
    }
    assert!(n > 40, "{n} writes only");
}
