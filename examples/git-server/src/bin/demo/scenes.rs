//! The story itself, one function for each scene.

use crate::git::Git;
use crate::story::{Caller, Story, Wrong, field};
use crate::world::World;
use reqwest::Method;
use std::time::{Duration, Instant};

const LACKS_READ: &str = "Jobpass: this job's token lacks repositories:read on acme/lib (no_grant).";
const LACKS_READ_OF_ITS_OWN: &str = "Jobpass: this job's token lacks repositories:read on acme/web (no_grant).";
const LACKS_UPDATE: &str = "Jobpass: this job's token lacks repositories:update on acme/lib (no_grant).";
const LACKS_PROTECTION: &str = "Jobpass: this job's token lacks repositories:update on acme/lib (condition_protected).";
const DEAD: &str = "Jobpass: this token is not valid here (job_over).";

pub(crate) struct Job {
    id: String,
    pub(crate) token: String,
}

/// What the beginning of the story has made.
pub(crate) struct Stage {
    pub(crate) git: Git,
    /// Where the Git server answers.
    pub(crate) url: String,
    pub(crate) admin: Caller,
    pub(crate) olga: Caller,
    pub(crate) alice: Caller,
    runner: Caller,
}

pub(crate) async fn tell(story: &mut Story, world: &mut World) -> Result<Stage, Wrong> {
    let stage = set_up(story, world).await?;
    let job = a_job_starts(story, &stage).await?;
    nothing_is_open(story, &stage, &job).await?;
    reading_is_granted(story, &stage, &job).await?;
    writing_is_not(story, &stage, &job).await?;
    writing_is_granted_to_protected_refs(story, &stage, &job).await?;
    a_feature_branch_may_not_write(story, &stage).await?;
    the_job_ends(story, &stage, &job).await?;
    Ok(stage)
}

async fn set_up(story: &mut Story, world: &mut World) -> Result<Stage, Wrong> {
    let (admin, jobpass) = an_administrator(story, world).await?;
    let (olga, alice) = people(story, &admin).await?;
    projects(story, &olga).await?;
    let runner = a_runner(story, &admin).await?;
    let (git, url) = a_git_server(story, world, &admin, &jobpass).await?;
    Ok(Stage { git, url, admin, olga, alice, runner })
}

async fn an_administrator(story: &mut Story, world: &mut World) -> Result<(Caller, String), Wrong> {
    story.act(
        "An administrator starts Jobpass",
        "One program; without DATABASE_URL it runs a private PostgreSQL of its own.",
    );
    story.does("jobpass serve");
    let jobpass = world.start_jobpass().await?;
    story.sees(&format!("ready at {jobpass}"));
    story.with_jobpass(world.http.clone(), jobpass.clone());

    story
        .act("The administrator gets a first token", "Whoever can read the data folder may have one; nobody else can.");
    story.does("jobpass bootstrap-admin");
    let secret = world.bootstrap_admin().await?;
    story.sees(&secret);
    Ok((Caller { name: "admin", secret }, jobpass))
}

async fn people(story: &mut Story, admin: &Caller) -> Result<(Caller, Caller), Wrong> {
    story.act(
        "The administrator makes the group acme, Olga its owner and Alice a maintainer",
        "Roles are for people, and reach down to every project of the group. No job gets anything by them.",
    );
    story.call(admin, Method::POST, "/v1/groups", r#"{"path":"acme"}"#, 201).await?;
    let olga = a_person(story, admin, "olga").await?;
    let alice = a_person(story, admin, "alice").await?;
    for (name, role) in [("olga", "owner"), ("alice", "maintainer")] {
        let path = format!("/v1/groups/acme/members/{name}");
        let body = format!(r#"{{"role":"{role}"}}"#);
        story.call(admin, Method::PUT, &path, &body, 200).await?;
    }
    Ok((olga, alice))
}

async fn a_person(story: &Story, admin: &Caller, name: &'static str) -> Result<Caller, Wrong> {
    story.call(admin, Method::POST, "/v1/users", &format!(r#"{{"name":"{name}"}}"#), 201).await?;
    let made = story.call(admin, Method::POST, "/v1/user-tokens", &format!(r#"{{"user":"{name}"}}"#), 201).await?;
    Ok(Caller { name, secret: field(&made, "token")? })
}

async fn projects(story: &mut Story, olga: &Caller) -> Result<(), Wrong> {
    story.act(
        "Olga registers acme/web and acme/lib",
        "New projects are enforced and hold no grant: what jobs may do in them is for maintainers, such as Alice, to say.",
    );
    for project in ["acme/web", "acme/lib"] {
        let body = format!(r#"{{"path":"{project}"}}"#);
        story.call(olga, Method::POST, "/v1/projects", &body, 201).await?;
    }
    Ok(())
}

async fn a_runner(story: &mut Story, admin: &Caller) -> Result<Caller, Wrong> {
    story.act(
        "The administrator registers a runner",
        "It starts jobs and gets a token for each. Only a protected one gets tokens for protected refs.",
    );
    let made = story.call(admin, Method::POST, "/v1/runners", r#"{"name":"runner-1","protected":true}"#, 201).await?;
    Ok(Caller { name: "runner", secret: field(&made, "token")? })
}

async fn a_git_server(
    story: &mut Story,
    world: &mut World,
    admin: &Caller,
    jobpass: &str,
) -> Result<(Git, String), Wrong> {
    story.act(
        "The administrator registers a Git server, and starts it",
        "It asks Jobpass about every request, and is shown nothing of a token but what concerns repositories.",
    );
    let body = r#"{"name":"git","resources":["repositories"]}"#;
    let made = story.call(admin, Method::POST, "/v1/services", body, 201).await?;
    let git = world.git()?;
    for project in ["acme/web", "acme/lib"] {
        git.seed(project).await?;
    }
    story.does("git-server --jobpass-url … --client-id … --root …");
    let url = world.start_git_server(jobpass, &field(&made, "client_id")?, &field(&made, "client_secret")?).await?;
    story.sees(&format!("listening on {url}, with acme/web.git and acme/lib.git"));
    Ok((git, url))
}

async fn a_job_starts(story: &mut Story, stage: &Stage) -> Result<Job, Wrong> {
    story.act(
        "A job of acme/web starts on main, and the runner gets a token for it",
        "The token lives as long as the job. It says which job this is, not what it may do.",
    );
    mint(story, &stage.runner, r#""key":"1","ref":"main""#).await
}

/// A token for a job of a run of acme/web; `run`: what is particular about the run.
pub(crate) async fn mint(story: &Story, runner: &Caller, run: &str) -> Result<Job, Wrong> {
    let body = format!(
        r#"{{"project":"acme/web","pipeline":{{{run},"ref_type":"branch","sha":"c0ffee","trigger":"push"}},"job":{{"key":"build","name":"build","timeout_secs":600}}}}"#
    );
    let made = story.call(runner, Method::POST, "/v1/job-tokens", &body, 201).await?;
    Ok(Job { id: field(&made, "job_id")?, token: field(&made, "token")? })
}

async fn nothing_is_open(story: &mut Story, stage: &Stage, job: &Job) -> Result<(), Wrong> {
    let Stage { git, url, .. } = stage;
    story.act(
        "The job tries to clone its own project, and acme/lib",
        "Nothing is open until somebody grants it, not even to a project's own jobs. Git sends the token as a password.",
    );
    let web = ["clone", &format!("{url}/acme/web.git")];
    git.is_refused(story, &job.token, &web, LACKS_READ_OF_ITS_OWN).await?;
    let lib = ["clone", &format!("{url}/acme/lib.git")];
    git.is_refused(story, &job.token, &lib, LACKS_READ).await
}

async fn reading_is_granted(story: &mut Story, stage: &Stage, job: &Job) -> Result<(), Wrong> {
    let Stage { git, url, alice, .. } = stage;
    story.act(
        "Alice lets the jobs of acme/web read acme/lib, and the job clones it",
        "A grant lives on the project that is accessed, and is in force when its answer is sent.",
    );
    let grant = r#"{"source":{"project":"acme/web"},"permissions":["repositories:read"]}"#;
    story.call(alice, Method::POST, "/v1/projects/acme%2Flib/grants", grant, 201).await?;
    git.succeeds(story, &job.token, &["clone", &format!("{url}/acme/lib.git"), "lib"]).await?;
    story.holds("the same token, a moment later: the clone works");
    Ok(())
}

async fn writing_is_not(story: &mut Story, stage: &Stage, job: &Job) -> Result<(), Wrong> {
    let git = &stage.git;
    story.act("The job commits to acme/lib and pushes", "Reading is not writing.");
    git.commit("lib", "from-main", "A commit by the job on main").await?;
    git.is_refused(story, &job.token, &["-C", "lib", "push", "origin", "main"], LACKS_UPDATE).await
}

async fn writing_is_granted_to_protected_refs(story: &mut Story, stage: &Stage, job: &Job) -> Result<(), Wrong> {
    let Stage { git, alice, .. } = stage;
    story.act(
        "Alice lets jobs on protected refs of acme/web write, and the job pushes again",
        "What counts is the ref that the job runs for in acme/web, where main is protected; not the branch it pushes to.",
    );
    let grant = r#"{"source":{"project":"acme/web"},"permissions":["repositories:update"],"conditions":{"protected_refs_only":true}}"#;
    story.call(alice, Method::POST, "/v1/projects/acme%2Flib/grants", grant, 201).await?;
    git.succeeds(story, &job.token, &["-C", "lib", "push", "origin", "main"]).await?;
    last_commit_is(story, git, "A commit by the job on main").await
}

async fn a_feature_branch_may_not_write(story: &mut Story, stage: &Stage) -> Result<(), Wrong> {
    let Stage { git, url, .. } = stage;
    story.act(
        "A job on a feature branch of acme/web clones acme/lib, and pushes to it",
        "Whoever can push a branch can run such a job. It may read like the other, but not write.",
    );
    let job = mint(story, &stage.runner, r#""key":"2","ref":"feature/login""#).await?;
    git.succeeds(story, &job.token, &["clone", &format!("{url}/acme/lib.git"), "feature"]).await?;
    git.commit("feature", "from-feature", "A commit by the job on a feature branch").await?;
    let push = ["-C", "feature", "push", "origin", "main"];
    git.is_refused(story, &job.token, &push, LACKS_PROTECTION).await?;
    last_commit_is(story, git, "A commit by the job on main").await
}

async fn the_job_ends(story: &mut Story, stage: &Stage, job: &Job) -> Result<(), Wrong> {
    let Stage { git, url, runner, .. } = stage;
    story.act(
        "The runner ends the job on main, and somebody tries its token once more",
        "A token that leaks out of a log is worth nothing once its job is over.",
    );
    story.call(runner, Method::POST, &format!("/v1/jobs/{}/finish", job.id), "{}", 200).await?;
    let ended = Instant::now();
    git.is_refused(story, &job.token, &["clone", &format!("{url}/acme/lib.git"), "late"], DEAD).await?;
    let elapsed = ended.elapsed();
    if elapsed >= Duration::from_secs(1) {
        return Err(Wrong::expected("refused within a second", format!("{elapsed:?}")));
    }
    story.holds(&format!("{} ms after the job's end", elapsed.as_millis()));
    Ok(())
}

async fn last_commit_is(story: &Story, git: &Git, expected: &str) -> Result<(), Wrong> {
    let seen = git.last_commit("acme/lib").await?;
    if seen != expected {
        return Err(Wrong::expected(format!("{expected:?} as the last commit of acme/lib"), seen));
    }
    story.holds(&format!("the last commit of acme/lib is: {seen}"));
    Ok(())
}
