//! The ends of tokens: revoked one by one or by many, given up, reported as leaked, or over with their job.

use super::actor::{Actor, Change};
use super::facts::Token;
use super::history::Write;
use super::tokens::nothing;
use super::world::{By, one_of};
use serde_json::json;
use std::sync::Arc;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

impl Actor {
    pub(super) async fn give_up(&mut self) {
        let Some(token) = self.token() else { return };
        let (write, replica) = self.write();
        token.revoked.add(&write);
        let change = Change::new("DELETE", "/v1/job-tokens/self", By::Bearer(&token.text)).done(&[204]).refused(&[401]);
        let world = Arc::clone(&self.world);
        let (reply, window) =
            world.ask(replica, async { self.make((&write, replica), change).await.unwrap_or_else(nothing) }).await;
        token.note(format!("given up at {replica}: {}", reply.status));
        if reply.status == 204 {
            self.was_alive("given up", &token, &window);
        }
    }

    pub(super) async fn revoke_one(&mut self) {
        let (Some(token), admin) = (self.token(), self.admin()) else { return };
        let (write, replica) = self.write();
        token.revoked.add(&write);
        let change = Change::new("DELETE", format!("/v1/job-tokens/{}", token.id), By::Bearer(&admin)).refused(&[404]);
        self.end_token(&token, change, (&write, replica)).await;
    }

    pub(super) async fn report_leak(&mut self) {
        let Some(token) = self.token() else { return };
        let (write, replica) = self.write();
        token.revoked.add(&write);
        let change = Change::new("POST", "/v1/leaked-tokens", By::Nobody).body(json!({ "token": token.text }));
        self.end_token(&token, change.done(&[204]), (&write, replica)).await;
    }

    async fn end_token(&self, token: &Token, change: Change<'_>, (write, replica): (&Write, usize)) {
        let done = self.make((write, replica), change).await.is_some();
        token.note(format!("ended at {replica}: {done}"));
    }

    /// By its runner, or by the holder of what it was narrowed from.
    pub(super) async fn revoke_by_oauth(&mut self) {
        let Some(token) = self.token() else { return };
        let world = Arc::clone(&self.world);
        let (write, replica) = self.write();
        token.revoked.add(&write);
        let runner = &token.job.runner;
        let by = match token.ancestors.last().filter(|_| self.dice.bool()) {
            Some(parent) => By::Bearer(&parent.text),
            None => By::Basic(&runner.id, &runner.text),
        };
        let reply = world.form(replica, "/oauth/revoke", by, &[("token", &token.text)], &[]).await;
        assert!(matches!(reply.status, 200 | 401 | 429), "{}", reply.text);
        write.end(reply.status == 200);
        token.note(format!("revoked at {replica}: {}", reply.status));
    }

    pub(super) async fn heartbeat(&mut self) {
        let Some(job) = one_of(&self.world.jobs, &mut self.dice) else { return };
        let (Some(id), Some(lease), Some(secs)) = (job.id.get(), &job.lease, job.lease_secs) else { return };
        let clock = self.world.servers[0].clock.clone();
        let (write, replica) = self.write();
        lease.write(&write, (clock.now() + Duration::seconds(secs), clock.now() + Duration::days(1)));
        let change = Change::new("POST", format!("/v1/jobs/{id}/heartbeat"), By::Bearer(&job.runner.text));
        let world = Arc::clone(&self.world);
        let (reply, window) = world
            .ask(replica, async {
                self.make((&write, replica), change.refused(&[401, 404, 409])).await.unwrap_or_else(nothing)
            })
            .await;
        if reply.status == 200 {
            let until = OffsetDateTime::parse(&reply.text_at("/lease_until"), &Rfc3339).unwrap();
            let secs = Duration::seconds(secs);
            let told = window.clock.0 + secs <= until && until <= window.clock.1 + secs;
            assert!(told, "a lease until {until}, asked for {secs} in {window:?}");
            lease.correct(&write, &(until, until));
            world.count("heartbeat");
        }
    }

    pub(super) async fn finish_job(&mut self) {
        let Some(job) = one_of(&self.world.jobs, &mut self.dice) else { return };
        let Some(id) = job.id.get() else { return };
        let (write, replica) = self.write();
        job.over.add(&write);
        let change = Change::new("POST", format!("/v1/jobs/{id}/finish"), By::Bearer(&job.runner.text));
        self.make((&write, replica), change.refused(&[401, 404])).await;
    }

    pub(super) async fn finish_pipeline(&mut self) {
        let Some(job) = one_of(&self.world.jobs, &mut self.dice) else { return };
        let Some(id) = job.pipeline.id.get() else { return };
        let (write, replica) = self.write();
        job.pipeline.finished.add(&write);
        let change = Change::new("POST", format!("/v1/pipelines/{id}/finish"), By::Bearer(&job.runner.text));
        self.make((&write, replica), change.refused(&[401, 404])).await;
    }

    /// Of a job, a run, a project or a runner.
    pub(super) async fn revoke_many(&mut self) {
        let (Some(job), admin) = (one_of(&self.world.jobs, &mut self.dice), self.admin()) else { return };
        let (Some(job_id), Some(pipeline_id)) = (job.id.get(), job.pipeline.id.get()) else { return };
        let (write, replica) = self.write();
        let (ends, path) = match self.dice.u8(0..8) {
            0 => (&job.runner.revoked, format!("runners/{}", job.runner.id)),
            1 => (&job.pipeline.project.revoked, job.pipeline.project.here.path.clone()),
            2..5 => (&job.pipeline.revoked, format!("pipelines/{pipeline_id}")),
            _ => (&job.revoked, format!("jobs/{job_id}")),
        };
        ends.add(&write);
        let change = Change::new("POST", format!("/v1/{path}/revoke-tokens"), By::Bearer(&admin)).refused(&[404]);
        self.make((&write, replica), change).await;
    }
}
