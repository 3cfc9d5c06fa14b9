//! Tokens that come to be: minted for a job, or narrowed from another.

use super::actor::{Actor, Change};
use super::choice::{Choice, Explained, explain};
use super::expect::Model;
use super::facts::{ALL, AUDIENCES, Job, Pipeline, Runner, Set, Token, USERS, texts};
use super::history::{Ends, Fact, Window, Write};
use super::world::{By, one_of, push};
use crate::support::Reply;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

const MOST_TOKENS: usize = 300;
const MOST_JOBS: usize = 100;

impl Actor {
    pub(super) async fn change_tokens(&mut self) {
        match self.dice.u8(0..32) {
            0..14 => self.mint().await,
            14..20 => self.narrow().await,
            20..24 => self.heartbeat().await,
            24 => self.finish_job().await,
            25 => self.finish_pipeline().await,
            26 => self.revoke_many().await,
            27 => self.report_leak().await,
            28 => self.revoke_by_oauth().await,
            29 => self.give_up().await,
            _ => self.revoke_one().await,
        }
    }

    /// For a new job, or one time in four for one that is there.
    async fn mint(&mut self) {
        let Some(runner) = one_of(&self.world.runners, &mut self.dice) else { return };
        let (write, replica) = self.write();
        let again = (self.dice.u8(0..4) == 0).then(|| one_of(&self.world.jobs, &mut self.dice)).flatten();
        let job = match again
            .filter(|job| job.id.get().is_some() && job.lease.is_none() && Arc::ptr_eq(&job.runner, &runner))
        {
            Some(job) => job,
            None => self.open_job(&runner, &write),
        };
        // What a token is frozen with follows from its run's key, so that a run is always stated alike.
        let seed = fastrand::Rng::with_seed(hash(&job.pipeline.key)).u64(..);
        let (actor, protected) = (usize::try_from(seed % 4).unwrap(), seed & 16 == 0);
        let cap = if self.dice.u8(0..4) == 0 { self.dice.u8(..) } else { ALL };
        let audience = self.audience();
        let body = json!({
            "project": job.pipeline.project.here.id,
            "pipeline": {
                "key": job.pipeline.key, "ref": if protected { "main" } else { "topic" }, "ref_type": "branch", "sha": "a".repeat(40),
                "trigger": "push", "actor": USERS.get(actor), "from_fork": false,
            },
            "job": { "key": job.key, "name": "build", "timeout_secs": job.timeout_secs, "lease_secs": job.lease_secs },
            "permissions": if cap == ALL { Value::Null } else { json!(texts(cap)) },
            "audience": audience,
        });
        let change = Change::new("POST", "/v1/job-tokens", By::Bearer(&runner.text)).body(body).done(&[201]);
        let world = Arc::clone(&self.world);
        let (reply, window) = world
            .ask(replica, async {
                self.make((&write, replica), change.refused(&[401, 404, 409])).await.unwrap_or_else(nothing)
            })
            .await;
        if reply.status != 201 {
            return;
        }
        self.check_mint(&job, &window);
        let _ = (job.id.set(reply.text_at("/job_id")), job.pipeline.id.set(reply.text_at("/pipeline_id")));
        if let (Some(lease), Some(secs)) = (&job.lease, job.lease_secs) {
            let secs = Duration::seconds(secs);
            lease.correct(&write, &(window.clock.0 + secs, window.clock.1 + secs));
        }
        let actor = Some(actor).filter(|actor| *actor < USERS.len() && runner.asserts_actor);
        self.keep(
            &reply,
            Token { cap, audience, actor, protected, minted: write.clone(), ..blank(&reply, &job, &write) },
        );
    }

    fn open_job(&mut self, runner: &Arc<Runner>, write: &Write) -> Arc<Job> {
        let world = Arc::clone(&self.world);
        let pipeline =
            one_of(&world.jobs, &mut self.dice).filter(|_| self.dice.bool()).map(|job| Arc::clone(&job.pipeline));
        let pipeline = pipeline.unwrap_or_else(|| {
            Arc::new(Pipeline {
                key: world.name("run"),
                project: world.project(&mut self.dice),
                id: OnceLock::new(),
                revoked: Ends::default(),
                finished: Ends::default(),
            })
        });
        let lease_secs = (self.dice.u8(0..3) == 0).then(|| self.dice.i64(15..90));
        let now = world.servers[0].clock.now();
        // Until it is answered, the lease may lapse at any time from now.
        let lease = lease_secs.map(|secs| Fact::new(write, (now + Duration::seconds(secs), now + Duration::days(1))));
        let job = Job {
            key: world.name("job"),
            pipeline,
            runner: Arc::clone(runner),
            id: OnceLock::new(),
            timeout_secs: self.dice.i64(60..900),
            lease_secs,
            lease,
            opened: write.clone(),
            over: Ends::default(),
            revoked: Ends::default(),
        };
        push(&world.jobs, job, MOST_JOBS);
        let jobs = world.jobs.lock().unwrap();
        Arc::clone(jobs.back().unwrap())
    }

    fn audience(&mut self) -> Option<Vec<&'static str>> {
        match self.dice.u8(0..8) {
            0 => Some(vec![AUDIENCES[self.dice.usize(..2)]]),
            1 => Some(AUDIENCES.to_vec()),
            _ => None,
        }
    }

    /// A token was given: somebody may have believed that all was well with runner, project and job.
    fn check_mint(&self, job: &Job, window: &Window) {
        let (runner, project, pipeline) = (&job.runner, &job.pipeline.project, &job.pipeline);
        let right = |choice: &mut Choice| {
            let gone = [
                runner.gone.of(&runner.made, window),
                project.gone.of(&project.made, window),
                job.over.of(&job.opened, window),
            ];
            let over = pipeline.finished.of(&job.opened, window);
            !gone.into_iter().chain([over]).any(|ended| choice.ended(ended)) && !choice.seen(&runner.paused, window)
        };
        if explain(&true, right) == Explained::Not {
            self.fail("a token was minted where none may be", None);
        }
        self.world.count("minted");
    }

    fn keep(&self, reply: &Reply, token: Token) {
        token.note(format!("made: {}", reply.text.replace(&token.text, "…")));
        push(&self.world.tokens, token, MOST_TOKENS);
    }

    async fn narrow(&mut self) {
        let Some(parent) = self.token() else { return };
        let cap = parent.cap & (self.dice.u8(..) | self.dice.u8(..));
        let audience = parent.audience.clone().or_else(|| self.audience());
        let sooner = self.world.servers[0].clock.now() + Duration::seconds(self.dice.i64(10..120));
        let expires_at = Some(sooner).filter(|at| *at < parent.expires_at && self.dice.bool());
        let body = json!({
            "permissions": texts(cap), "audience": audience, "expires_at": expires_at.map(|at| at.format(&Rfc3339).unwrap()),
        });
        let (write, replica) = self.write();
        let change = Change::new("POST", "/v1/job-tokens/narrow", By::Bearer(&parent.text)).body(body);
        let change = change.done(&[201]).refused(&[401, 409, 422]);
        let world = Arc::clone(&self.world);
        let (reply, window) =
            world.ask(replica, async { self.make((&write, replica), change).await.unwrap_or_else(nothing) }).await;
        if reply.status == 201 {
            self.was_alive("narrowed", &parent, &window);
            let ancestors = parent.ancestors.iter().chain([&parent]).cloned().collect();
            let (actor, protected, minted) = (parent.actor, parent.protected, parent.minted.clone());
            self.keep(
                &reply,
                Token { cap, audience, actor, protected, minted, ancestors, ..blank(&reply, &parent.job, &write) },
            );
        }
    }

    /// A holder did something: the token may have been alive.
    pub(super) fn was_alive(&self, what: &str, token: &Token, window: &Window) {
        let alive = |choice: &mut Choice| Model { instance: &self.world.instance, window, choice }.is_alive(token);
        if explain(&true, alive) == Explained::Not {
            self.fail(&format!("{what} with a token that is dead, {window:?}"), Some(token));
        }
        self.world.count(what);
    }
}

fn blank(reply: &Reply, job: &Arc<Job>, made: &Write) -> Token {
    Token {
        id: reply.text_at("/id"),
        text: reply.text_at("/token"),
        job: Arc::clone(job),
        cap: Set::MAX,
        audience: None,
        expires_at: OffsetDateTime::parse(&reply.text_at("/expires_at"), &Rfc3339).unwrap(),
        actor: None,
        protected: false,
        minted: made.clone(),
        made: made.clone(),
        revoked: Ends::default(),
        ancestors: vec![],
        log: std::sync::Mutex::new(VecDeque::new()),
    }
}

/// What stands for an answer that changed nothing.
pub(super) fn nothing() -> Reply {
    Reply { status: 0, headers: HeaderMap::default(), text: String::new(), json: Value::Null }
}

fn hash(text: &str) -> u64 {
    text.bytes().fold(7, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)))
}
