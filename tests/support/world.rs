//! A small organisation: `acme/web` and `acme/lib` with people of every role, a runner, a service, and
//! `other/app` next door.

use super::{Reply, Server};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) struct World {
    pub(crate) server: Server,
    /// API tokens by user name: guest, reporter, developer, maintainer and owner of `acme`, and `stranger`, who owns `other`.
    pub(crate) people: BTreeMap<&'static str, String>,
    /// A protected runner of the instance that asserts actors.
    pub(crate) runner: String,
    pub(crate) runner_id: String,
    /// Client id and secret of a service that is shown every resource type.
    pub(crate) service: (String, String),
}

const ROLES: [&str; 5] = ["guest", "reporter", "developer", "maintainer", "owner"];

impl World {
    pub(crate) async fn new() -> World {
        World::on(Server::start().await).await
    }

    pub(crate) async fn on(server: Server) -> World {
        let admin = server.admin.clone();
        for group in ["acme", "other"] {
            server.post("/v1/groups", &admin, json!({ "path": group })).await.expect(201);
        }
        for project in ["acme/web", "acme/lib", "other/app"] {
            server.post("/v1/projects", &admin, json!({ "path": project })).await.expect(201);
        }
        let mut people = BTreeMap::new();
        for name in ROLES.into_iter().chain(["stranger"]) {
            server.post("/v1/users", &admin, json!({ "name": name })).await.expect(201);
            let (group, role) = if name == "stranger" { ("other", "owner") } else { ("acme", name) };
            server
                .put(&format!("/v1/groups/{group}/members/{name}"), &admin, json!({ "role": role }))
                .await
                .expect(200);
            let token = server.post("/v1/user-tokens", &admin, json!({ "user": name })).await.expect(201);
            people.insert(name, token.text_at("/token"));
        }
        let runner = server
            .post("/v1/runners", &admin, json!({ "name": "r1", "protected": true, "asserts_actor": true }))
            .await
            .expect(201);
        let service = server.post("/v1/services", &admin, json!({ "name": "registry" })).await.expect(201);
        World {
            people,
            runner: runner.text_at("/token"),
            runner_id: runner.text_at("/id"),
            service: (service.text_at("/client_id"), service.text_at("/client_secret")),
            server,
        }
    }

    pub(crate) fn admin(&self) -> &str {
        &self.server.admin
    }

    #[track_caller]
    pub(crate) fn person(&self, name: &str) -> &str {
        &self.people[name]
    }

    /// The body of a mint for a job on `main` of `acme/web`; `change` is merged in, as a merge patch.
    pub(crate) fn mint_body(key: &str, change: Value) -> Value {
        let mut body = json!({
            "project": "acme/web",
            "pipeline": {
                "key": key, "ref": "main", "ref_type": "branch", "sha": "a".repeat(40), "trigger": "push", "actor": null,
                "from_fork": false, "fork_source": null,
            },
            "job": { "key": format!("{key}/build"), "name": "build", "environment": null, "timeout_secs": 3600 },
        });
        merge(&mut body, change);
        body
    }

    pub(crate) async fn try_mint(&self, key: &str, change: Value) -> Reply {
        self.server.post("/v1/job-tokens", &self.runner, World::mint_body(key, change)).await
    }

    /// A minted token: the answer, with `token`, `id`, `job_id` and so on.
    pub(crate) async fn mint(&self, key: &str, change: Value) -> Value {
        self.try_mint(key, change).await.expect(201).json
    }

    /// The text of a token of a job on `main` of `acme/web`.
    pub(crate) async fn token(&self, key: &str) -> String {
        self.mint(key, json!({})).await["token"].as_str().unwrap().to_owned()
    }

    /// A grant on `acme/lib` for `acme/web`; `change` is merged in.
    pub(crate) async fn grant(&self, permissions: &[&str], change: Value) -> Reply {
        let mut body = json!({ "source": { "project": "acme/web" }, "permissions": permissions });
        merge(&mut body, change);
        self.server.post("/v1/projects/acme%2Flib/grants", self.person("maintainer"), body).await.expect(201)
    }

    pub(crate) async fn introspect(&self, token: &str, more: &[(&str, &str)]) -> Reply {
        let form: Vec<_> = [("token", token)].into_iter().chain(more.iter().copied()).collect();
        self.server.form("/oauth/introspect", Some((&self.service.0, &self.service.1)), &form).await
    }

    pub(crate) async fn is_active(&self, token: &str) -> bool {
        self.introspect(token, &[]).await.expect(200).json["active"].as_bool().unwrap()
    }

    /// One question about `acme/lib`; `change` is merged in.
    pub(crate) async fn authorize(&self, token: &str, permissions: &[&str], change: Value) -> Reply {
        let mut body = json!({ "token": token, "project": "acme/lib", "permissions": permissions });
        merge(&mut body, change);
        self.ask(body).await
    }

    /// `POST /v1/authorize` by the service.
    pub(crate) async fn ask(&self, body: Value) -> Reply {
        let url = format!("{}/v1/authorize", self.server.url);
        let request = self.server.http.post(url).basic_auth(&self.service.0, Some(&self.service.1));
        super::send(request.json(&body)).await
    }
}

/// RFC 7396, but null stays: a field can be set to null.
pub(crate) fn merge(target: &mut Value, change: Value) {
    match (target, change) {
        (Value::Object(target), Value::Object(change)) => {
            for (key, value) in change {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, change) => *target = change,
    }
}
