//! What is derived is compared: the OpenAPI file, the whole schema, the offline query data, the tables of
//! the docs, the table of clauses, and the edges between the crates. `UPDATE_GOLDEN=1` writes anew what a test can write.

use crate::support::test_db;
use clap::CommandFactory;
use jobpass_domain::Catalogue;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Compares a file with what it should be, or writes it when asked to.
fn compare(path: &str, expected: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, expected).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "{path} is not what the code says; write it by\n  UPDATE_GOLDEN=1 make test; git diff {path}"
    );
}

/// Compares what stands between `<!-- name -->` and `<!-- /name -->`.
fn compare_section(path: &str, name: &str, expected: &str) {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    let (before, rest) = text.split_once(&open).unwrap_or_else(|| panic!("{path} has no {open}"));
    let (_, after) = rest.split_once(&close).unwrap_or_else(|| panic!("{path} has no {close}"));
    compare(path, &format!("{before}{open}{expected}{close}{after}"));
}

#[test]
fn the_openapi_file_is_what_the_router_serves() {
    compare("openapi/openapi.json", &format!("{}\n", jobpass_http::openapi().to_pretty_json().unwrap()));
}

#[tokio::test]
async fn schema_sql_is_the_whole_schema() {
    let db = test_db().await;
    let dump = Command::new("pg_dump")
        .args(["--schema-only", "--no-owner", "--no-privileges", "--dbname"])
        .arg(db.url())
        .output()
        .unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    // What differs from one pg_dump to the next: comments, session settings, restriction keys.
    let noise = |line: &&str| !["--", "SET ", "SELECT pg_catalog", "\\"].iter().any(|prefix| line.starts_with(prefix));
    let text = String::from_utf8(dump.stdout).unwrap();
    let mut schema = String::new();
    for line in text.lines().filter(noise) {
        if !(line.is_empty() && schema.ends_with("\n\n")) {
            schema.push_str(line);
            schema.push('\n');
        }
    }
    compare("migrations/schema.sql", schema.trim_start());
}

/// Builds the queries again, against the schema as it is now, in a target folder of its own.
#[tokio::test]
async fn the_offline_query_data_is_what_a_build_makes() {
    let db = test_db().await;
    let target = root().join("target/offline");
    let made = tempfile::tempdir().unwrap();
    // Only a crate that is compiled writes its queries.
    for known in std::fs::read_dir(target.join("debug/.fingerprint")).into_iter().flatten().flatten() {
        if known.file_name().to_string_lossy().starts_with("jobpass-persistence") {
            std::fs::remove_dir_all(known.path()).unwrap();
        }
    }
    let build = Command::new(env!("CARGO"))
        .args(["check", "--locked", "--offline", "--quiet", "-p", "jobpass-persistence"])
        .current_dir(root())
        .env("CARGO_TARGET_DIR", &target)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", made.path())
        .env("DATABASE_URL", db.url())
        .output()
        .unwrap();
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let read = |folder: &Path| -> BTreeMap<String, String> {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files
            .map(|file| {
                (file.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&file).unwrap())
            })
            .collect()
    };
    assert!(read(&root().join(".sqlx")) == read(made.path()), ".sqlx is stale: run `make sqlx`");
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_edges_between_rooms_are_those_of_the_architecture() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<_> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        let normal =
            package["dependencies"].as_array().unwrap().iter().filter(|dependency| dependency["kind"].is_null());
        let inside = normal.filter_map(|dependency| dependency["name"].as_str()).filter(|name| ours.contains(name));
        edges.insert(package["name"].as_str().unwrap(), inside.collect());
    }
    let (domain, api, persistence) = ("jobpass-domain", "jobpass-api", "jobpass-persistence");
    let (app, http, client) = ("jobpass-app", "jobpass-http", "jobpass-client");
    let expected = BTreeMap::from([
        (domain, BTreeSet::new()),
        (api, BTreeSet::from([domain])),
        (persistence, BTreeSet::from([domain])),
        (app, BTreeSet::from([domain, persistence])),
        (http, BTreeSet::from([domain, api, app])),
        (client, BTreeSet::from([domain, api])),
        ("jobpass", BTreeSet::from([domain, api, app, http, persistence, client])),
        ("git-server", BTreeSet::from([client])),
        ("jobpass-bench", BTreeSet::from([domain])),
    ]);
    assert_eq!(edges, expected);
}

#[test]
fn the_sdk_does_not_pull_in_the_server() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "-p",
            "jobpass-client",
            "-e",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    let crates: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains("reqwest"), "no tree: {tree}");
    for server_side in ["axum", "sqlx", "sqlx-core", "utoipa", "jobpass-app", "jobpass-http", "jobpass-persistence"] {
        assert!(!crates.contains(server_side), "jobpass-client depends on {server_side}");
    }
}

#[test]
fn the_readme_lists_every_setting() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        _settings: jobpass::Settings,
    }
    let mut table = String::from("| flag | variable | default | what it is |\n| --- | --- | --- | --- |\n");
    for setting in Line::command().get_arguments().filter(|argument| argument.get_id() != "help") {
        let default: Vec<_> = setting.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let help = setting.get_help().map(ToString::to_string).unwrap_or_default();
        let (help, default) = match help.split_once(" [default: ") {
            Some((help, default)) => (help.to_owned(), default.trim_end_matches(']').to_owned()),
            None if default.is_empty() || default == ["false"] => (help, "–".to_owned()),
            None => (help, format!("`{}`", default.join(" "))),
        };
        let (flag, variable) = (setting.get_long().unwrap(), setting.get_env().unwrap().to_string_lossy());
        let _ = writeln!(table, "| `--{flag}` | `{variable}` | {default} | {help} |");
    }
    compare_section("README.md", "settings", &table);
}

#[test]
fn the_page_of_permissions_is_the_catalogue() {
    let mut page = String::from(
        "# Permissions\n\nA permission is `resource:action`. The actions are `read`, `create`, `update` and `delete`; `admin` is short for \
         all four.\nThis page is written by a test from the one table in the code.\n\n\
         | resource | what it is | its resource names | also read on input |\n| --- | --- | --- | --- |\n",
    );
    for resource in Catalogue::default().types() {
        let aliases: Vec<_> =
            resource.aliases().iter().map(|(alias, permission)| format!("`{alias}` = `{permission}`")).collect();
        let names = resource.name_form.as_deref().unwrap_or("–");
        let _ = writeln!(page, "| `{}` | {} | {names} | {} |", resource.name, resource.description, aliases.join(", "));
    }
    compare("docs/permissions.md", &page);
}

#[test]
fn the_schema_for_editors_is_what_the_file_takes() {
    let output = Command::new(env!("CARGO_BIN_EXE_jobpass")).arg("schema").output().unwrap();
    compare("docs/jobpass.schema.json", &String::from_utf8(output.stdout).unwrap());
}

// ── The table of clauses ─────────────────────────────────────────────────────────────────────────────

/// Every module of the tests, by its name.
fn modules() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(root().join("tests")).unwrap().map(|entry| entry.unwrap().path());
    let sources = files.filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    sources
        .map(|file| (file.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&file).unwrap()))
        .collect()
}

fn table() -> String {
    std::fs::read_to_string(root().join("docs/rfc.md")).unwrap()
}

#[test]
fn every_test_that_the_table_of_clauses_names_is_there() {
    let (table, modules) = (table(), modules());
    let named: Vec<_> = table.split('`').filter_map(|word| word.split_once("::")).collect();
    assert!(named.len() > 50, "the table names {} tests", named.len());
    for (module, test) in named {
        let source = modules.get(module).unwrap_or_else(|| panic!("no module {module}"));
        assert!(source.contains(&format!("fn {test}()")), "no test {module}::{test}");
    }
}

/// How the name of a test begins that is of a clause of a standard.
const CLAUSES: [&str; 3] = ["rfc", "oidc", "draft_"];

#[test]
fn every_test_of_a_clause_is_in_the_table() {
    let table = table();
    for (module, source) in modules() {
        let functions = source.lines().map(|line| line.strip_prefix("async ").unwrap_or(line));
        let names = functions.filter_map(|line| line.strip_prefix("fn ")?.split_once('('));
        for (name, _) in names.filter(|(name, _)| CLAUSES.iter().any(|clause| name.starts_with(clause))) {
            let entry = format!("`{module}::{name}`");
            assert!(table.contains(&entry), "docs/rfc.md lacks {entry}");
        }
    }
}
