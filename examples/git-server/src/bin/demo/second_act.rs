//! The second act: a project that still works the old way comes to least privilege, and no pipeline breaks.

use crate::scenes::{Stage, mint};
use crate::story::{Caller, Story, Wrong, field};
use reqwest::Method;
use serde_json::Value;

const OLD: &str = "/v1/projects/acme%2Fold";
const LACKS_UPDATE: &str = "Jobpass: this job's token lacks repositories:update on acme/old (condition_protected).";

pub(crate) async fn tell(story: &mut Story, stage: &Stage) -> Result<(), Wrong> {
    let runner = the_old_way(story, stage).await?;
    pipelines_run(story, stage, &runner).await?;
    audit_marks_what_would_break(story, stage).await?;
    suggestions_are_applied(story, stage).await?;
    nothing_breaks(story, stage).await?;
    the_pipelines_still_run(story, stage, &runner).await
}

async fn the_old_way(story: &mut Story, stage: &Stage) -> Result<Caller, Wrong> {
    story.act(
        "Olga registers acme/old, which works the old way: jobs inherit the rights of whoever started them",
        "The mode legacy is for moving in. The runner of the old CI vouches for who started a job.",
    );
    let body = r#"{"path":"acme/old","mode":"legacy"}"#;
    story.call(&stage.olga, Method::POST, "/v1/projects", body, 201).await?;
    stage.git.seed("acme/old").await?;
    let body = r#"{"name":"old-ci","protected":true,"asserts_actor":true}"#;
    let made = story.call(&stage.admin, Method::POST, "/v1/runners", body, 201).await?;
    Ok(Caller { name: "runner", secret: field(&made, "token")? })
}

async fn pipelines_run(story: &mut Story, stage: &Stage, runner: &Caller) -> Result<(), Wrong> {
    story.act(
        "Olga's pipelines of acme/web use acme/old: main pushes to it, a feature branch only reads",
        "Nobody granted anything. It works because Olga may do it, as in any CI without Jobpass.",
    );
    let main = mint(story, runner, r#""key":"3","actor":"olga","ref":"main""#).await?;
    let remote = format!("{}/acme/old.git", stage.url);
    stage.git.succeeds(story, &main.token, &["clone", &remote, "old"]).await?;
    stage.git.commit("old", "one", "A commit the old way").await?;
    stage.git.succeeds(story, &main.token, &["-C", "old", "push", "origin", "main"]).await?;
    let feature = mint(story, runner, r#""key":"4","actor":"olga","ref":"feature/x""#).await?;
    stage.git.succeeds(story, &feature.token, &["clone", &remote, "old-feature"]).await
}

async fn audit_marks_what_would_break(story: &mut Story, stage: &Stage) -> Result<(), Wrong> {
    story.act(
        "Alice looks at what is used, and tries to enforce",
        "Every use was counted, with what enforced would have said. The step up is refused, because it would break them.",
    );
    let used = story.call(&stage.alice, Method::GET, &format!("{OLD}/usage?would_deny=true"), "", 200).await?;
    let items = used.get("items").and_then(Value::as_array).map_or(0, Vec::len);
    if items == 0 {
        return Err(Wrong::expected("uses that enforced would refuse", used));
    }
    story.holds(&format!("{items} different uses would be refused"));
    let enforced = r#"{"mode":"enforced"}"#;
    let refused = story.call(&stage.alice, Method::PATCH, OLD, enforced, 409).await?;
    let code = field(&refused, "code")?;
    if code != "would_break" {
        return Err(Wrong::expected("would_break", code));
    }
    story.holds("409 would_break: nothing was changed");
    Ok(())
}

async fn suggestions_are_applied(story: &mut Story, stage: &Stage) -> Result<(), Wrong> {
    story.act(
        "Alice asks which grants would cover that, reads them, and applies them",
        "The fewest and narrowest: writing was seen on protected refs only, so only these are to write.",
    );
    let path = format!("{OLD}/suggestions");
    let (found, tag) = story.call_if(&stage.alice, (Method::GET, &path), None, "", 200).await?;
    for item in found.get("items").and_then(Value::as_array).into_iter().flatten() {
        let grant = item.get("new_grant").unwrap_or(&Value::Null);
        let part = |pointer: &str| grant.pointer(pointer).map(Value::to_string).unwrap_or_default();
        let protected = if part("/conditions/protected_refs_only") == "true" { ", protected refs only" } else { "" };
        story.sees(&format!("grant {} {}{protected}", part("/source/project"), part("/permissions")));
    }
    let apply = format!("{path}/apply");
    story.call_if(&stage.alice, (Method::POST, &apply), Some(&tag), r#"{"all":true}"#, 200).await?;
    Ok(())
}

async fn nothing_breaks(story: &mut Story, stage: &Stage) -> Result<(), Wrong> {
    story.act("Alice asks again what would break, and enforces", "What was seen is replayed against what would hold.");
    let enforced = r#"{"mode":"enforced","reason":"least privilege"}"#;
    let dry = story.call(&stage.alice, Method::PATCH, &format!("{OLD}?dry_run=true"), enforced, 200).await?;
    let broken = dry.pointer("/impact/would_refuse").and_then(Value::as_array).map_or(usize::MAX, Vec::len);
    if broken != 0 {
        return Err(Wrong::expected("nothing that would be refused", dry));
    }
    story.holds("nothing that was seen would be refused");
    story.call(&stage.alice, Method::PATCH, OLD, enforced, 200).await?;
    Ok(())
}

async fn the_pipelines_still_run(story: &mut Story, stage: &Stage, runner: &Caller) -> Result<(), Wrong> {
    story.act(
        "The same pipelines run again; and a feature branch tries to push",
        "It is the grants that open acme/old now. That Olga may push is nothing to the job that she started.",
    );
    let main = mint(story, runner, r#""key":"5","actor":"olga","ref":"main""#).await?;
    stage.git.commit("old", "two", "A commit by grant").await?;
    stage.git.succeeds(story, &main.token, &["-C", "old", "push", "origin", "main"]).await?;
    let feature = mint(story, runner, r#""key":"6","actor":"olga","ref":"feature/x""#).await?;
    let remote = format!("{}/acme/old.git", stage.url);
    stage.git.succeeds(story, &feature.token, &["clone", &remote, "old-again"]).await?;
    stage.git.commit("old-again", "three", "A commit that nobody granted").await?;
    let push = ["-C", "old-again", "push", "origin", "main"];
    stage.git.is_refused(story, &feature.token, &push, LACKS_UPDATE).await
}
