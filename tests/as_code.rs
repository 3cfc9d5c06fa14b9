//! `jobpass plan`, `apply` and `export`: the binary against a real server, as a reviewed file has it.

use crate::support::{World, http_client};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::Response;
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_jobpass");

/// What a run wrote to standard output and standard error, and its exit code.
#[derive(Debug)]
struct Ran {
    out: String,
    err: String,
    code: Option<i32>,
}

impl Ran {
    #[track_caller]
    fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn says(self, parts: &[&str]) -> Ran {
        for part in parts {
            assert!(self.out.contains(part), "{part:?} is not in:\n{}\n{}", self.out, self.err);
        }
        self
    }

    /// Nothing on standard output, and every part on standard error.
    #[track_caller]
    fn refused(self, parts: &[&str]) {
        let ran = self.exits(1);
        for part in parts {
            assert!(ran.err.contains(part), "{part:?} is not in:\n{}", ran.err);
        }
    }
}

/// A world, and a file to apply to it.
struct Desk {
    world: World,
    folder: TempDir,
}

impl Desk {
    async fn new() -> Desk {
        Desk { world: World::new().await, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("jobpass.yaml")
    }

    fn write(&self, yaml: &str) {
        std::fs::write(self.path(), yaml).unwrap();
    }

    async fn run(&self, token: &str, args: &[&str]) -> Ran {
        let mut command = Command::new(BINARY);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("JOBPASS_")) {
            command.env_remove(name);
        }
        command.args(args).current_dir(self.folder.path());
        command.env("JOBPASS_URL", &self.world.server.url).env("JOBPASS_TOKEN", token);
        let output = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Ran { out: text(output.stdout), err: text(output.stderr), code: output.status.code() };
        assert!(!ran.out.contains(token) && !ran.err.contains(token), "the token is shown: {ran:?}");
        ran
    }

    /// The URL of a proxy before the server, in which somebody else changes `acme/web` just before it is put.
    async fn meddled(&self) -> String {
        let (server, admin) = (self.world.server.url.clone(), self.world.admin().to_owned());
        let forward = async move |request: Request| {
            let target = request.uri().path_and_query().unwrap().as_str().to_owned();
            let client = http_client();
            if request.method() == "PUT" && target == "/v1/projects/acme%2Fweb/configuration" {
                let change = client.patch(format!("{server}/v1/projects/acme%2Fweb")).bearer_auth(&admin);
                let changed = change.json(&json!({ "protected_refs": ["other"] })).send().await.unwrap();
                assert_eq!(changed.status(), 200);
            }
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            let sent = client.request(parts.method, format!("{server}{target}")).headers(parts.headers).body(body);
            let answer = sent.send().await.unwrap();
            let mut response = Response::builder().status(answer.status());
            *response.headers_mut().unwrap() = answer.headers().clone();
            response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(forward);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }

    async fn by(&self, person: &str, args: &[&str]) -> Ran {
        self.run(self.world.person(person), args).await
    }

    async fn admin(&self, args: &[&str]) -> Ran {
        self.run(self.world.admin(), args).await
    }

    async fn get(&self, path: &str) -> Value {
        self.world.server.get(path, self.world.admin()).await.expect(200).json
    }

    /// The number of audit events of these places.
    async fn events(&self) -> usize {
        let mut count = 0;
        for place in ["project=acme%2Flib", "project=acme%2Fweb", "group=acme"] {
            let events = self.get(&format!("/v1/audit-events?limit=1000&{place}")).await;
            count += events["items"].as_array().unwrap().len();
        }
        count
    }

    /// A use of `acme/lib` by a job of `acme/web` that a developer started.
    async fn uses(&self, permission: &str) {
        let change = json!({ "pipeline": { "actor": "developer" } });
        let minted = self.world.mint(permission, change).await;
        let token = minted["token"].as_str().unwrap();
        self.world.authorize(token, &[permission], json!({})).await.expect(200);
    }
}

/// Groups and projects that are there and that are not, of every kind of entry.
const WHOLE: &str = "version: 1
groups:
  acme:
    floor: legacy
    members: {owner: owner, maintainer: maintainer, developer: developer, reporter: reporter, guest: guest}
    grants:
      - source: {project: acme/new/tool}
        permissions: [jobs:read]
    ceilings:
      - when: {from_fork: true}
        at_most: ['*:read']
  acme/new: {}
projects:
  acme/lib:
    visibility: internal
    mode: audit
    protected_refs: [main, 'tag:v*']
    protected_environments: ['prod*']
    members: {developer: maintainer}
    grants:
      - source: {project: acme/web}
        permissions: [READ_PACKAGES, jobs:read]     # an alias
        conditions: {refs: [main], protected_refs_only: true, vouched_by: instance}
        selectors: {packages: ['npm/**']}
        expires_at: 2099-01-31T00:00:00Z
        note: 'builds: #1'
      - source: {group: acme, except: [acme/web, acme/new]}
        permissions: everything
    reason: reviewed
  acme/new/tool:
    mode: enforced
    grants:
      - source: {project: acme/new/tool}
        permissions: everything
routes:
  flags:
    routes:
      - method: GET
        path: /apps/:app/flags
        permissions: [jobs:read]
        project: app
";

#[tokio::test]
async fn apply_makes_what_is_there_equal_to_the_file() {
    let desk = Desk::new().await;
    desk.write(WHOLE);
    let before = desk.events().await;
    desk.admin(&["plan", "-f", "jobpass.yaml"]).await.exits(0).says(&[
        "route table flags is created\n  + routes:\n",
        "group acme/new is created\n",
        "project acme/new/tool is created\n  + mode: enforced\n",
        "project acme/lib changes\n  - visibility: private\n",
        "  + mode: audit\n",
        "  +   note: \"builds: #1\"\n",
        "3 to create, 2 to change, 0 as in the file\n",
    ]);
    desk.admin(&["plan", "--check"]).await.exits(2);
    assert_eq!(desk.events().await, before, "a plan changes nothing");

    desk.admin(&["apply"]).await.exits(0).says(&[
        "3 to create, 2 to change",
        "applied: route table flags\napplied: group acme/new (created)\napplied: project acme/new/tool (created)\n",
        "applied: group acme\napplied: group acme/new\napplied: project acme/lib\napplied: project acme/new/tool\n",
    ]);
    let lib = desk.get("/v1/projects/acme%2Flib/configuration").await;
    assert_eq!((&lib["mode"], &lib["visibility"]), (&json!("audit"), &json!("internal")));
    assert_eq!(lib["members"], json!({ "developer": "maintainer" }));
    assert_eq!(lib["grants"].as_array().unwrap().len(), 2);
    let acme = desk.get("/v1/groups/acme/configuration").await;
    assert_eq!(acme["grants"][0]["source"]["project"], "acme/new/tool");
    let tool = desk.get("/v1/projects/acme%2Fnew%2Ftool/configuration").await;
    assert_eq!(tool["grants"][0]["permissions"], "everything");

    let after = desk.events().await;
    desk.admin(&["plan", "--check"]).await.exits(0).says(&["no differences\n"]);
    desk.admin(&["apply"]).await.exits(0).says(&["no differences\n"]);
    assert_eq!(desk.events().await, after, "applied again, nothing is changed");
}

#[tokio::test]
async fn what_is_exported_is_what_is_there() {
    let desk = Desk::new().await;
    desk.write(WHOLE);
    desk.admin(&["apply"]).await.exits(0);
    let all = desk.admin(&["export"]).await.exits(0);
    for part in ["version: 1\n", "  acme/lib:\n", "  other/app:\n", "routes:\n  flags:\n", "permissions: everything\n"]
    {
        assert!(all.out.contains(part), "{part:?} is not in:\n{}", all.out);
    }
    desk.write(&all.out);
    desk.admin(&["plan", "--check"]).await.exits(0).says(&["no differences\n"]);

    // Of what others have nothing is told, and route tables are the administrators'.
    let mine = desk.by("maintainer", &["export"]).await.exits(0).out;
    assert!(mine.contains("  acme/lib:\n") && !mine.contains("other") && !mine.contains("routes"), "{mine}");
    desk.write(&mine);
    desk.by("maintainer", &["plan", "--check"]).await.exits(0);
    let some = desk.admin(&["export", "--group", "acme/new", "--project", "acme/web"]).await.exits(0).out;
    let names: Vec<_> = some.lines().filter(|line| line.starts_with("  a")).collect();
    assert_eq!(names, ["  acme/new:", "  acme/new/tool:", "  acme/web:"]);
    desk.by("maintainer", &["export", "--project", "other/app"]).await.refused(&["project other/app", "hidden"]);
    desk.by("reporter", &["export", "--project", "acme/lib"]).await.refused(&["project acme/lib", "needs: maintainer"]);
}

#[tokio::test]
async fn what_would_break_is_shown_and_needs_confirm() {
    let desk = Desk::new().await;
    desk.write("version: 1\nprojects:\n  acme/lib: {mode: legacy}\n");
    desk.by("maintainer", &["apply"]).await.exits(0);
    desk.uses("packages:read").await;
    desk.write("version: 1\nprojects:\n  acme/lib: {mode: enforced}\n");
    let told = [
        "project acme/lib changes\n",
        "  - mode: legacy\n  + mode: enforced\n",
        "  would break, of what was seen in the last 30 days:\n",
        "    SOURCE    PROJECT   PERMISSION     COUNT  LAST SEEN             REASON\n",
        "    acme/web  acme/lib  packages:read  1      2026-11-23T10:00:00Z  no_grant\n",
    ];
    desk.by("maintainer", &["plan", "--window-days", "30"]).await.exits(0).says(&told);
    let refused = desk.by("maintainer", &["apply"]).await.exits(1).says(&told[..2]);
    assert!(refused.err.contains("--confirm"), "{}", refused.err);
    assert_eq!(desk.get("/v1/projects/acme%2Flib").await["mode"], "legacy");
    // With the grant that it takes it breaks nothing.
    let granted = "version: 1\nprojects:\n  acme/lib:\n    mode: enforced\n    grants:\n      - source: {project: acme/web}\n        \
                   permissions: [packages:read]\n";
    desk.write(granted);
    let safe = desk.by("maintainer", &["plan"]).await.exits(0);
    assert!(!safe.out.contains("would break"), "{}", safe.out);
    desk.write("version: 1\nprojects:\n  acme/lib: {mode: enforced}\n");
    desk.by("maintainer", &["apply", "--confirm"]).await.exits(0).says(&["applied: project acme/lib\n"]);
    assert_eq!(desk.get("/v1/projects/acme%2Flib").await["mode"], "enforced");
}

#[tokio::test]
async fn a_bad_file_is_refused_as_a_whole_at_line_and_column() {
    let desk = Desk::new().await;
    let before = desk.events().await;
    let lib = "version: 1\nprojects:\n  acme/web: {mode: audit}\n  acme/lib:\n    mode: audit\n";
    let grant = |more: &str| format!("{lib}    grants:\n      - permissions: [jobs:read]\n{more}");
    let new = "version: 1\nprojects:\n  acme/web: {mode: audit}\n";
    for (yaml, place, says) in [
        (format!("{lib}    mode: legacy\n"), ":6:5: ", "`mode` stands twice"),
        (format!("{lib}    colour: red\n"), ":6:5: ", "colour"),
        (
            grant("        source: {project: acme/web}\n        conditions: {refs: ['a***']}\n"),
            ":9:29: ",
            "three stars",
        ),
        (grant("        source: {project: acme/web}\n        expires_at: 2020-01-01T00:00:00Z\n"), ":9:21: ", "future"),
        (grant("        source: {group: acme, except: [acme/web, other/app]}\n"), ":8:50: ", "does not lie under"),
        (grant("        source: {project: acme/nowhere}\n"), ":8:27: ", "no such project"),
        (grant("        source: {}\n"), ":8:9: ", "a source names"),
        (
            format!(
                "{lib}    grants:\n      - source: {{project: acme/web}}\n        permissions: [jobs:read, jobs:fly]\n"
            ),
            ":8:34: ",
            "no such permission",
        ),
        (format!("{lib}    members: {{nobody: guest}}\n"), ":6:23: ", "no such user"),
        (format!("{lib}    ceilings: [{{at_most: ['x:y']}}]\n"), ":6:27: ", "no such permission"),
        // What is not there yet is looked at, too.
        (format!("{new}  acme/new:\n    members: {{nobody: guest}}\n"), ":5:23: ", "no such user"),
        (
            format!(
                "{new}  acme/new:\n    grants:\n      - {{source: {{project: acme/new}}, permissions: everything, expires_at: '2020-01-01T00:00:00Z'}}\n"
            ),
            ":6:76: ",
            "future",
        ),
        (format!("{new}  acme/none/new: {{}}\n"), ":4:3: ", "there is no group acme/none"),
        (
            format!("{new}routes:\n  flags:\n    routes: [{{method: GET, path: /a, permissions: [jobs:fly]}}]\n"),
            ":6:52: ",
            "no such permission",
        ),
        (format!("{new}routes:\n  gitlab: {{routes: []}}\n"), ":5:3: ", "built-in"),
    ] {
        desk.write(&yaml);
        for command in ["plan", "apply"] {
            let ran = desk.admin(&[command]).await.exits(1);
            assert!(
                ran.err.starts_with(&format!("jobpass.yaml{place}")) && ran.err.contains(says),
                "{}\n{yaml}",
                ran.err
            );
            assert_eq!((ran.out.as_str(), ran.err.lines().count()), ("", 1), "{}\n{yaml}", ran.err);
        }
    }
    assert_eq!(desk.events().await, before, "nothing was changed");
    desk.world.server.get("/v1/projects/acme%2Fnew", desk.world.admin()).await.refused(404, "not_found");
    desk.admin(&["plan", "-f", "nowhere.yaml"]).await.refused(&["jobpass: nowhere.yaml: "]);
}

#[tokio::test]
async fn every_fault_of_every_place_is_told_at_once() {
    let desk = Desk::new().await;
    desk.write(
        "version: 1\ngroups:\n  acme: {members: {nobody: guest}}\nprojects:\n  acme/lib: {members: {none: guest}}\n",
    );
    let ran = desk.admin(&["apply"]).await.exits(1);
    let places: Vec<_> =
        ran.err.lines().map(|line| line.splitn(4, ':').take(3).collect::<Vec<_>>().join(":")).collect();
    assert_eq!(places, ["jobpass.yaml:3:28", "jobpass.yaml:5:30"]);
}

#[tokio::test]
async fn a_maintainer_who_is_no_owner_applies_what_is_a_maintainers() {
    let desk = Desk::new().await;
    let exported = desk.by("maintainer", &["export", "--project", "acme/lib"]).await.exits(0).out;
    let grant = "grants:\n    - source: {project: acme/web}\n      permissions: [packages:read]\n";
    let yaml = exported.replace("grants: []\n", grant).replace("mode: enforced", "mode: audit");
    desk.write(&yaml);
    desk.by("maintainer", &["apply"]).await.exits(0).says(&["applied: project acme/lib\n"]);
    let lib = desk.get("/v1/projects/acme%2Flib/configuration").await;
    assert_eq!((&lib["mode"], lib["grants"].as_array().unwrap().len()), (&json!("audit"), 1));
    let before = desk.events().await;
    desk.write(&yaml.replace("visibility: private", "visibility: public"));
    desk.by("maintainer", &["apply"]).await.refused(&["project acme/lib, at http://", "needs: owner"]);
    desk.by("developer", &["plan"]).await.refused(&["project acme/lib", "needs: maintainer"]);
    assert_eq!(desk.events().await, before);
}

/// The guide's file, and the plan that it shows.
#[tokio::test]
async fn the_guide_shows_what_plan_prints() {
    let desk = Desk::new().await;
    desk.write("version: 1\nprojects:\n  acme/lib: {mode: legacy}\n");
    desk.by("maintainer", &["apply"]).await.exits(0);
    for permission in ["packages:read", "packages:update"] {
        desk.uses(permission).await;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/as-code.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let block = |open: &str| {
        let (_, rest) = guide.split_once(&format!("```{open}\n")).unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    };
    desk.write(&block("yaml"));
    let planned = desk.by("owner", &["plan"]).await.exits(0).out;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, guide.replace(&block("text"), &planned)).unwrap();
    }
    assert_eq!(block("text"), planned, "the guide does not show what is printed");
}

#[tokio::test]
async fn what_was_changed_meanwhile_is_left_as_it_is() {
    let desk = Desk::new().await;
    desk.write("version: 1\nprojects:\n  acme/lib: {mode: audit}\n  acme/web: {mode: audit, grants: []}\n");
    let url = desk.meddled().await;
    let ran = desk.by("maintainer", &["apply", "--url", &url]).await.exits(1);
    for part in [
        "project acme/web has changed since it was read",
        "run plan again",
        "already applied, each as a whole: project acme/lib;",
    ] {
        assert!(ran.err.contains(part), "{part:?} is not in {}", ran.err);
    }
    let web = desk.get("/v1/projects/acme%2Fweb").await;
    assert_eq!((&web["mode"], &web["protected_refs"]), (&json!("enforced"), &json!(["other"])));
    assert_eq!(desk.get("/v1/projects/acme%2Flib").await["mode"], "audit");
    // Planned anew, it is as reviewed.
    desk.by("maintainer", &["apply"]).await.exits(0).says(&["applied: project acme/web\n"]);
}

/// What an import writes is what apply takes.
#[tokio::test]
async fn an_import_is_applied() {
    let desk = Desk::new().await;
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/gitlab/policies.json");
    let imported = desk.admin(&["import", "gitlab", "--project", "acme/lib", "--policies", fixture]).await.exits(0);
    desk.write("version: 1\ngroups:\n  acme/apps: {}\nprojects:\n  acme/apps/web: {}\n  acme/untrusted: {}\n");
    desk.admin(&["apply"]).await.exits(0);
    desk.write(&imported.out);
    desk.by("maintainer", &["apply"]).await.exits(0).says(&["applied: project acme/lib\n"]);
    desk.by("maintainer", &["plan", "--check"]).await.exits(0);
    let grants = desk.get("/v1/projects/acme%2Flib/grants").await;
    assert_eq!(grants["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_whole_new_tree_is_created_from_the_top() {
    let desk = Desk::new().await;
    let yaml = "version: 1\ngroups:\n  fresh: {floor: audit}\n  fresh/deep: {}\nprojects:\n  fresh/deep/app:\n    grants:\n      \
                - source: {group: fresh}\n        permissions: [jobs:read]\n";
    desk.write(yaml);
    desk.admin(&["apply"]).await.exits(0).says(&["3 to create"]);
    desk.admin(&["plan", "--check"]).await.exits(0);
    // What is not listed any more is left alone.
    desk.write("version: 1\ngroups:\n  fresh: {floor: audit}\n");
    desk.admin(&["plan", "--check"]).await.exits(0);
    let stranger = "version: 1\nprojects:\n  acme/mine: {}\n";
    desk.write(stranger);
    desk.by("stranger", &["apply"]).await.refused(&["there is no group acme"]);
    desk.by("developer", &["apply"]).await.refused(&["project acme/mine", "needs: maintainer"]);
    desk.write("version: 1\ngroups:\n  mine: {}\nprojects:\n  alone: {}\n");
    let told = ["jobpass.yaml:3:3: groups at the top", "jobpass.yaml:5:3: a project lies in a group"];
    desk.by("owner", &["apply"]).await.refused(&told);
}

#[tokio::test]
async fn colour_is_for_terminals() {
    let desk = Desk::new().await;
    desk.write("version: 1\nprojects:\n  acme/lib: {mode: audit}\n");
    assert!(!desk.by("maintainer", &["plan"]).await.exits(0).out.contains('\u{1b}'));
    let always = desk.by("maintainer", &["plan", "--color", "always"]).await.exits(0);
    always.says(&["\u{1b}[31m  - mode: enforced\u{1b}[0m\n\u{1b}[32m  + mode: audit\u{1b}[0m\n"]);
}

#[tokio::test]
async fn what_is_missing_or_wrong_around_it_is_told() {
    let desk = Desk::new().await;
    desk.write("version: 1\n");
    desk.admin(&["plan", "--chekc"]).await.refused(&["--chekc"]);
    desk.run("jpu_wrong", &["plan"]).await.refused(&["JOBPASS_TOKEN", "jpu_"]);
    let without = Command::new(BINARY).arg("plan").current_dir(desk.folder.path()).env_remove("JOBPASS_TOKEN").output();
    assert!(String::from_utf8(without.await.unwrap().stderr).unwrap().contains("JOBPASS_TOKEN is missing"));
    desk.write("version: 1\nprojects:\n  acme/lib: {}\n");
    let url = "http://127.0.0.1:1";
    desk.by("maintainer", &["plan", "--url", url])
        .await
        .refused(&["project acme/lib, at http://127.0.0.1:1: ", "efused"]);
}

/// In the same words, `everything` covers more than when it was saved.
#[tokio::test]
async fn everything_is_saved_anew_when_there_is_more_of_it() {
    let desk = Desk::new().await;
    desk.write(
        "version: 1\nprojects:\n  acme/lib:\n    grants: [{source: {project: acme/web}, permissions: everything}]\n",
    );
    desk.by("maintainer", &["apply"]).await.exits(0);
    desk.by("maintainer", &["plan", "--check"]).await.exits(0);
    let flags = json!({ "name": "feature_flags", "description": "flags" });
    desk.world.server.post("/v1/catalogue/resources", desk.world.admin(), flags).await.expect(201);
    let drift = desk.by("maintainer", &["plan", "--check"]).await.exits(2);
    drift.says(&["  ~ saved anew, in the same words: grant.deleted, grant.created\n"]);
    desk.by("maintainer", &["apply"]).await.exits(0);
    desk.by("maintainer", &["plan", "--check"]).await.exits(0);
}

#[tokio::test]
async fn a_read_only_token_exports_and_cannot_plan() {
    let desk = Desk::new().await;
    let token = json!({ "user": "maintainer", "read_only": true });
    let token = desk.world.server.post("/v1/user-tokens", desk.world.admin(), token).await.expect(201);
    let token = token.text_at("/token");
    desk.write(&desk.run(&token, &["export"]).await.exits(0).out);
    desk.run(&token, &["plan"]).await.refused(&["group acme", "may only read"]);
}

#[tokio::test]
async fn schema_prints_what_editors_need() {
    let output = Command::new(BINARY).arg("schema").output().await.unwrap();
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let project = &schema["$defs"]["ProjectConfiguration"];
    assert_eq!(project["additionalProperties"], false);
    for field in ["visibility", "mode", "protected_refs", "protected_environments", "members", "grants", "ceilings"] {
        assert!(project["properties"][field].is_object(), "{field}");
    }
    assert!(!schema.to_string().contains("#/components"), "a reference leads out of the schema");
}
