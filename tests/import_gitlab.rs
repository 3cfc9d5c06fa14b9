//! `jobpass import gitlab`: from saved answers, and from a recorded GitLab that answers on loopback. What is
//! written is compared with a golden file, and taken by a real server.

use crate::support::World;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as At, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_jobpass");
const TOKEN: &str = "glpat-not-to-be-shown";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/gitlab").join(name)
}

fn recorded(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture(name)).unwrap()).unwrap()
}

/// What a run wrote to standard output and standard error, and its exit code.
#[derive(Debug)]
struct Ran {
    out: String,
    err: String,
    code: Option<i32>,
}

impl Ran {
    #[track_caller]
    fn succeeded(self) -> Ran {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self
    }

    /// Nothing written, one line that says why, and never the token.
    #[track_caller]
    fn refused(self, says: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{}", self.err);
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        for part in says {
            assert!(self.err.contains(part), "{part} is not in: {}", self.err);
        }
    }

    fn yaml(&self) -> Value {
        serde_saphyr::from_str(&self.out).unwrap()
    }

    #[track_caller]
    fn says(&self, part: &str) {
        assert!(self.err.lines().any(|line| line.contains(part)), "{part} is not in:\n{}", self.err);
    }
}

async fn run(args: &[&str]) -> Ran {
    let command = ["import", "gitlab", "--project", "acme/lib"];
    let output = Command::new(BINARY).args(command).args(args).env("GITLAB_TOKEN", TOKEN).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ran = Ran { out: text(output.stdout), err: text(output.stderr), code: output.status.code() };
    assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN), "the token is shown: {}", ran.err);
    ran
}

/// A run on files: `("--scope", "scope.json")`.
async fn run_on(files: &[(&str, &str)]) -> Ran {
    let args: Vec<_> =
        files.iter().flat_map(|(flag, name)| [(*flag).to_owned(), fixture(name).display().to_string()]).collect();
    run(&args.iter().map(String::as_str).collect::<Vec<_>>()).await
}

const ALL: [(&str, &str); 5] = [
    ("--scope", "scope.json"),
    ("--allowlist", "allowlist.json"),
    ("--groups-allowlist", "groups_allowlist.json"),
    ("--policies", "policies.json"),
    ("--log", "log.csv"),
];

fn golden() -> String {
    std::fs::read_to_string(fixture("grants.yaml")).unwrap()
}

#[tokio::test]
async fn saved_answers_become_grants() {
    let ran = run_on(&ALL).await.succeeded();
    assert_eq!(ran.out, golden());
    for said in [
        "could not be carried over: acme/lib: project acme/apps/Web: no permission is called ADMIN_TEAPOTS here",
        "could not be carried over: acme/lib: project tools/_odd: ",
        "could not be carried over: acme/lib: outbound entries (1)",
        "note: acme/lib: old/mirror came in last on 2025-11-02, and no entry covers it",
        "note: acme/lib: the grants stay within the role",
    ] {
        ran.says(said);
    }
    assert!(ran.err.lines().all(|line| line.starts_with("could not be carried over: ") || line.starts_with("note: ")));
    let guide = std::fs::read_to_string(fixture("../../../docs/guides/from-gitlab.md")).unwrap();
    assert!(guide.contains(&ran.out) && guide.contains(&ran.err), "the guide's example is not what is written");
}

#[tokio::test]
async fn policies_alone_are_enough() {
    assert_eq!(run_on(&[("--policies", "policies.json")]).await.succeeded().out, golden());
}

#[tokio::test]
async fn rest_alone_has_gitlabs_default_permissions() {
    let ran = run_on(&[("--allowlist", "allowlist.json")]).await.succeeded();
    let grants = &ran.yaml()["projects"]["acme/lib"]["grants"];
    let told: Vec<_> =
        grants.as_array().unwrap().iter().map(|one| (&one["source"]["project"], &one["permissions"])).collect();
    let everything = json!("everything");
    assert_eq!(told, [(&json!("acme/lib"), &everything), (&json!("acme/apps/web"), &everything)]);
    for flag in ["--policies", "--scope", "--groups-allowlist"] {
        ran.says(flag);
    }
}

#[tokio::test]
async fn a_list_that_is_off_is_the_mode_legacy() {
    let ran = run_on(&[("--scope", "scope_off.json"), ("--policies", "policies.json")]).await.succeeded();
    assert_eq!(ran.yaml()["projects"]["acme/lib"]["mode"], "legacy");
    ran.says("could not be carried over: acme/lib: its allowlist is off");
}

#[tokio::test]
async fn machine_identity_leaves_the_role_out() {
    let policies = fixture("policies.json");
    let ran = run(&["--policies", policies.to_str().unwrap(), "--machine-identity"]).await.succeeded();
    assert!(!ran.out.contains("within_actor_role"), "{}", ran.out);
    ran.says("whatever the role");
}

/// The YAML says what the API takes, and the decision is GitLab's.
#[tokio::test]
async fn a_server_takes_the_grants_and_decides_as_gitlab_did() {
    let world = World::new().await;
    let admin = world.admin();
    world.server.post("/v1/groups", admin, json!({ "path": "acme/apps" })).await.expect(201);
    for project in ["acme/apps/web", "acme/apps/new", "acme/untrusted"] {
        world.server.post("/v1/projects", admin, json!({ "path": project })).await.expect(201);
    }
    let policies = fixture("policies.json");
    let ran = run(&["--policies", policies.to_str().unwrap(), "--machine-identity"]).await.succeeded();
    for grant in ran.yaml()["projects"]["acme/lib"]["grants"].as_array().unwrap() {
        world.server.post("/v1/projects/acme%2Flib/grants", admin, grant.clone()).await.expect(201);
    }
    let asked = ["packages:read", "packages:delete", "jobs:read", "releases:create"];
    for (project, allowed) in [
        ("acme/apps/web", vec!["packages:read", "packages:delete"]),
        ("acme/apps/new", asked.to_vec()),
        ("acme/web", vec!["packages:read", "jobs:read"]),
        ("acme/lib", vec!["packages:read", "jobs:read"]),
        ("acme/untrusted", vec![]),
        ("other/app", vec![]),
    ] {
        let minted = world.mint(project, json!({ "project": project })).await;
        let token = minted["token"].as_str().unwrap();
        for permission in asked {
            let answer = world.authorize(token, &[permission], json!({})).await.expect(200);
            assert_eq!(answer.json["allowed"], allowed.contains(&permission), "{project} {permission}");
        }
    }
}

/// A file with this text, and its path.
fn file(text: impl AsRef<[u8]>) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

#[tokio::test]
async fn a_bad_file_is_refused_as_a_whole_with_the_place() {
    let log = std::fs::read_to_string(fixture("log.csv")).unwrap();
    let truncated_log = &log[..log.len() - 10];
    let policies = std::fs::read_to_string(fixture("policies.json")).unwrap();
    let elsewhere = policies.replace("\"fullPath\": \"acme/lib\"", "\"fullPath\": \"acme/other\"");
    let cut_list = policies.replace("\"count\": 4", "\"count\": 5");
    let hidden = policies.replace("{ \"fullPath\": \"acme/untrusted\" }", "null");
    let cases: [(&str, &[u8], &str, &str); 11] = [
        ("--log", truncated_log.as_bytes(), ":4:12: ", "truncated"),
        ("--log", b"Origin Project Path,Last Authorized At (UTC)\nacme/w", ":2:1: ", "truncated"),
        ("--log", b"", ":1:1: ", "Origin Project Path"),
        ("--log", b"Origin Project Path,Last Authorized At (UTC)\nacme/\xff", ":2:6: ", "UTF-8"),
        ("--allowlist", b"[\n  {\"path_with_namespace\": \"a/b\"", ":2:", "EOF"),
        ("--allowlist", b"[{\"id\": 4}]", ":1:", "path_with_namespace"),
        ("--scope", b"<html>", ":1:1: ", "expected value"),
        ("--policies", elsewhere.as_bytes(), ":1:1: ", "acme/other"),
        ("--policies", cut_list.as_bytes(), ":1:1: ", "projectsAllowlist goes on"),
        ("--policies", hidden.as_bytes(), ":41:28: ", "hidden"),
        ("--policies", b"{\"errors\": [{\"message\": \"Timeout\"}]}", ":1:1: ", "Timeout"),
    ];
    for (flag, text, place, says) in cases {
        let (_folder, path) = file(text);
        let (allowlist, place) = (fixture("allowlist.json"), format!("{path}{place}"));
        let given = if flag == "--allowlist" { vec![] } else { vec!["--allowlist", allowlist.to_str().unwrap()] };
        run(&[given.as_slice(), &[flag, &path]].concat()).await.refused(&[&place, says]);
    }
}

#[tokio::test]
async fn what_is_asked_must_make_sense() {
    run(&[]).await.refused(&["--url", "--policies"]);
    run(&["--policies", "/nowhere/policies.json"]).await.refused(&["/nowhere/policies.json"]);
    let policies = fixture("policies.json");
    let policies = policies.to_str().unwrap();
    run(&["--policies", policies, "--project", "acme/web"]).await.refused(&["one --project"]);
    run(&["--url", "https://gitlab.invalid", "--project", "Acme/Lib"]).await.refused(&["given twice"]);
    run(&["--url", "http://gitlab.invalid"]).await.refused(&["in clear", "--allow-http"]);
    run(&["--url", "https://user:secret@gitlab.invalid"]).await.refused(&["--url"]);
    let (_folder, empty) = file("\n");
    run(&["--url", "https://gitlab.invalid", "--token-file", &empty]).await.refused(&["token is empty"]);
    let (_folder, large) = file(vec![b' '; (8 << 20) + 1]);
    run(&["--allowlist", &large]).await.refused(&[&large, "8 MiB"]);
}

type Answer = fn() -> Response;

/// What a recorded GitLab answers, and what it was sent.
#[derive(Default)]
struct Recording {
    /// Path below `/api/v4/projects/` or `graphql`, and what is answered in place of the fixture.
    instead: HashMap<&'static str, Answer>,
    heard: Mutex<Vec<String>>,
}

struct Gitlab {
    url: String,
    recording: Arc<Recording>,
}

/// A page of a list, and the number of the next.
fn page(all: &[Value], page: &str, per_page: usize) -> (Vec<Value>, Option<usize>) {
    let page: usize = page.parse().unwrap();
    let pages: Vec<_> = all.chunks(per_page).collect();
    (pages[page - 1].to_vec(), (page < pages.len()).then_some(page + 1))
}

async fn rest(
    State(recording): State<Arc<Recording>>,
    At((project, list)): At<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let address = reqwest::Url::parse(&format!("http://gitlab{uri}")).unwrap();
    let query: HashMap<_, _> = address.query_pairs().into_owned().collect();
    assert_eq!(headers[header::AUTHORIZATION], format!("Bearer {TOKEN}"));
    recording.heard.lock().unwrap().push(format!("{project} {list} {}", query.get("page").map_or("", String::as_str)));
    let name = match list.as_str() {
        "job_token_scope" => "scope",
        "allowlist" => "allowlist",
        _ => "groups_allowlist",
    };
    match (recording.instead.get(name), recorded(&format!("{name}.json"))) {
        (Some(answer), _) => answer(),
        (None, Value::Array(all)) => {
            assert_eq!(query["per_page"], "100");
            let (items, next) = page(&all, &query["page"], 1);
            let next = next.map_or(String::new(), |next| next.to_string());
            ([("x-next-page", next)], axum::Json(items)).into_response()
        }
        (None, one) => axum::Json(one).into_response(),
    }
}

async fn scope(state: State<Arc<Recording>>, At(project): At<String>, uri: Uri, headers: HeaderMap) -> Response {
    rest(state, At((project, "job_token_scope".into())), uri, headers).await
}

/// Answers one entry a page, of the list that the query names.
async fn graphql(State(recording): State<Arc<Recording>>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers[header::AUTHORIZATION], format!("Bearer {TOKEN}"));
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let (query, after) = (asked["query"].as_str().unwrap(), asked["variables"]["after"].as_str().unwrap_or("1"));
    let list = ["groupsAllowlist", "projectsAllowlist"].into_iter().find(|list| query.contains(list)).unwrap();
    recording.heard.lock().unwrap().push(format!("{} {list} {after}", asked["variables"]["path"].as_str().unwrap()));
    if let Some(answer) = recording.instead.get("graphql") {
        return answer();
    }
    let all = recorded("policies.json")["data"]["project"]["ciJobTokenScopeAllowlist"][list]["nodes"].clone();
    let (nodes, next) = page(all.as_array().unwrap(), after, 1);
    let info = json!({ "hasNextPage": next.is_some(), "endCursor": next.map(|next| next.to_string()) });
    let lists = json!({ list: { "nodes": nodes, "pageInfo": info } });
    axum::Json(json!({ "data": { "project": { "ciJobTokenScopeAllowlist": lists } } })).into_response()
}

async fn version(State(recording): State<Arc<Recording>>) -> Response {
    recording.instead["version"]()
}

impl Gitlab {
    async fn start(instead: &[(&'static str, Answer)]) -> Gitlab {
        let recording = Arc::new(Recording { instead: instead.iter().copied().collect(), heard: Mutex::default() });
        let router = Router::new()
            .route("/api/v4/projects/{project}/job_token_scope", get(scope))
            .route("/api/v4/projects/{project}/job_token_scope/{list}", get(rest))
            .route("/api/graphql", post(graphql))
            .route("/api/v4/version", get(version))
            .with_state(Arc::clone(&recording));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Gitlab { url, recording }
    }

    async fn import(&self, more: &[&str]) -> Ran {
        run(&[&["--url", self.url.as_str()], more].concat()).await
    }
}

#[tokio::test]
async fn a_live_gitlab_is_read_to_its_last_page() {
    let gitlab = Gitlab::start(&[]).await;
    let log = fixture("log.csv");
    let ran = gitlab.import(&["--log", log.to_str().unwrap()]).await.succeeded();
    assert_eq!(ran.out, golden());
    ran.says("old/mirror");
    let mut heard = gitlab.recording.heard.lock().unwrap().clone();
    heard.sort();
    assert_eq!(
        heard,
        [
            "acme/lib allowlist 1",
            "acme/lib allowlist 2",
            "acme/lib groupsAllowlist 1",
            "acme/lib groupsAllowlist 2",
            "acme/lib groups_allowlist 1",
            "acme/lib groups_allowlist 2",
            "acme/lib job_token_scope ",
            "acme/lib projectsAllowlist 1",
            "acme/lib projectsAllowlist 2",
            "acme/lib projectsAllowlist 3",
            "acme/lib projectsAllowlist 4",
        ]
    );
}

#[tokio::test]
async fn several_projects_and_a_token_from_a_file() {
    let gitlab = Gitlab::start(&[]).await;
    let (_folder, token) = file(format!("{TOKEN}\n"));
    let ran = gitlab.import(&["--project", "Acme/Docs", "--token-file", &token]).await.succeeded();
    let projects: Vec<_> = ran.yaml()["projects"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(projects, ["acme/docs", "acme/lib"]);
}

fn unknown_field() -> Response {
    let message = "Field 'ciJobTokenScopeAllowlist' doesn't exist on type 'Project'";
    axum::Json(json!({ "errors": [{ "message": message }] })).into_response()
}

fn version_17() -> Response {
    axum::Json(json!({ "version": "17.2.9-ee", "revision": "abc" })).into_response()
}

fn version_20() -> Response {
    axum::Json(json!({ "version": "20.1.0", "revision": "abc" })).into_response()
}

#[tokio::test]
async fn a_gitlab_too_old_for_permissions_has_the_default() {
    let gitlab = Gitlab::start(&[("graphql", unknown_field), ("version", version_17)]).await;
    let ran = gitlab.import(&[]).await.succeeded();
    assert_eq!(ran.yaml()["projects"]["acme/lib"]["grants"][0]["permissions"], "everything");
    ran.says("default permissions");
}

#[tokio::test]
async fn a_field_that_a_newer_gitlab_lost_is_not_taken_for_the_default() {
    let gitlab = Gitlab::start(&[("graphql", unknown_field), ("version", version_20)]).await;
    gitlab.import(&[]).await.refused(&["/api/graphql: ", "doesn't exist on type"]);
}

fn unauthorized() -> Response {
    (StatusCode::UNAUTHORIZED, axum::Json(json!({ "message": "401 Unauthorized" }))).into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, axum::Json(json!({ "message": "404 Project Not Found" }))).into_response()
}

fn moved() -> Response {
    Redirect::permanent("http://127.0.0.1:1/elsewhere").into_response()
}

fn endless() -> Response {
    ([("x-next-page", "2")], "[]").into_response()
}

fn no_json() -> Response {
    "<html>Sign in</html>".into_response()
}

fn too_large() -> Response {
    vec![b' '; (8 << 20) + 1].into_response()
}

fn no_project() -> Response {
    axum::Json(json!({ "data": { "project": null } })).into_response()
}

fn no_maintainer() -> Response {
    axum::Json(json!({ "data": { "project": { "ciJobTokenScopeAllowlist": null } } })).into_response()
}

fn graphql_error() -> Response {
    axum::Json(json!({ "data": null, "errors": [{ "message": "Query is too complex" }] })).into_response()
}

#[tokio::test]
async fn an_answer_that_is_none_is_told_with_its_address() {
    let cases: [(&'static str, Answer, &[&str]); 9] = [
        ("scope", unauthorized, &["/acme%2Flib/job_token_scope: 401", "token is not accepted"]),
        ("scope", not_found, &["/acme%2Flib/job_token_scope: 404", "no such project"]),
        ("scope", moved, &["308", "redirects are not followed"]),
        ("allowlist", endless, &["/job_token_scope/allowlist: the pages do not end"]),
        ("groups_allowlist", no_json, &["/groups_allowlist?page=1&per_page=100:1:1: ", "expected value"]),
        ("allowlist", too_large, &["/allowlist?page=1&per_page=100: more than 8 MiB"]),
        ("graphql", no_project, &["/api/graphql: acme/lib: ", "no such project"]),
        ("graphql", no_maintainer, &["/api/graphql: acme/lib: ", "maintainer"]),
        ("graphql", graphql_error, &["/api/graphql: ", "too complex"]),
    ];
    for (at, answer, says) in cases {
        let gitlab = Gitlab::start(&[(at, answer)]).await;
        gitlab.import(&[]).await.refused(&[&[gitlab.url.as_str()], says].concat());
    }
}

#[tokio::test]
async fn a_gitlab_that_does_not_answer_is_not_waited_for() {
    // Connections are taken by the kernel and never answered.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    run(&["--url", &url, "--timeout-secs", "1"]).await.refused(&[&url, "no answer in time"]);
    run(&["--url", "http://127.0.0.1:1"]).await.refused(&["http://127.0.0.1:1/", "efused"]);
}
