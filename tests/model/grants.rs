//! Changes of grants: one by one, and whole lists.

use super::actor::{Actor, Change};
use super::facts::{Body, Grant, Here, Source, texts};
use super::history::{Fact, Write};
use super::world::By;
use crate::support::Reply;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
use time::Duration;
use time::format_description::well_known::Rfc3339;

/// On one place; above that one is deleted.
const MOST: usize = 8;

impl Actor {
    pub(super) async fn change_grants(&mut self) {
        let place = self.place();
        let here = place.here();
        let there = here.grants.lock().unwrap().iter().filter(|grant| grant.body.latest().is_some()).count();
        match self.dice.u8(0..12) {
            0 => self.replace_list(here).await,
            1..4 => self.put_grant(here).await,
            4..6 => self.delete_grant(here).await,
            _ if there >= MOST => self.delete_grant(here).await,
            _ => self.create_grant(here).await,
        }
    }

    fn body(&mut self) -> Body {
        let world = Arc::clone(&self.world);
        let source = if self.dice.bool() {
            Source::Project(world.project(&mut self.dice).here.id.clone())
        } else {
            let group = self.dice.usize(..world.groups.len());
            Source::Group(world.groups[group].here.id.clone(), self.except(group))
        };
        Body {
            source,
            permissions: (0..4).fold(0, |set, _| set | (1 << self.dice.u8(0..8))),
            protected_only: self.dice.u8(0..4) == 0,
            within_role: self.dice.u8(0..5) == 0,
            expires_at: (self.dice.u8(0..4) == 0)
                .then(|| world.servers[0].clock.now() + Duration::seconds(self.dice.i64(20..200))),
        }
    }

    /// Only what lies under the group when it is written may be left out: of the top group, everything does.
    fn except(&mut self, group: usize) -> Vec<String> {
        if group != 0 || self.dice.bool() {
            return vec![];
        }
        let world = Arc::clone(&self.world);
        if self.dice.bool() {
            vec![world.project(&mut self.dice).here.id.clone()]
        } else {
            vec![world.groups[self.dice.usize(1..world.groups.len())].here.id.clone()]
        }
    }

    /// Known to the model before it is asked for.
    fn draft(&mut self, here: &Here, write: &Write) -> (Arc<Grant>, Value) {
        let (mark, body) = (self.world.name("grant "), self.body());
        let wire = wire(&mark, &body);
        let grant = Grant { mark, id: OnceLock::new(), body: Fact::new(&Write::given(), None) };
        grant.body.write(write, Some(body));
        let grant = Arc::new(grant);
        let mut grants = here.grants.lock().unwrap();
        if grants.len() > 4 * MOST {
            // What was deleted is only forgotten once nobody may have seen it.
            grants.retain(|old| old.body.latest().is_some() || !old.body.is_settled());
        }
        grants.push(Arc::clone(&grant));
        (grant, wire)
    }

    async fn create_grant(&mut self, here: &Here) {
        let admin = self.admin();
        let (write, replica) = self.write();
        let (grant, body) = self.draft(here, &write);
        let change = Change::new("POST", format!("/v1/{}/grants", here.path), By::Bearer(&admin)).body(body);
        if let Some(reply) = self.make((&write, replica), change.done(&[201]).refused(&[404, 422])).await {
            let _ = grant.id.set(reply.text_at("/id"));
        }
    }

    /// One with an id, and as it is at present.
    async fn found(&mut self, here: &Here) -> Option<(Arc<Grant>, String, Reply)> {
        let known: Vec<_> =
            here.grants.lock().unwrap().iter().filter(|grant| grant.id.get().is_some()).cloned().collect();
        let grant = Arc::clone(self.dice.choice(&known)?);
        let path = format!("/v1/{}/grants/{}", here.path, grant.id.get()?);
        let (admin, replica) = (self.admin(), self.replica());
        let read = self.world.call(replica, ("GET", &path), By::Bearer(&admin), None, &[]).await;
        if read.status == 404 {
            // Deleted with its place or its source, which is no change of its own.
            grant.body.write(&Write::noticed(), None);
        }
        (read.status == 200).then_some((grant, path, read))
    }

    async fn put_grant(&mut self, here: &Here) {
        let Some((grant, path, read)) = self.found(here).await else { return };
        let (body, admin) = (self.body(), self.admin());
        let (write, replica) = self.write();
        grant.body.write(&write, Some(body.clone()));
        let change = Change::new("PUT", path, By::Bearer(&admin)).body(wire(&grant.mark, &body));
        self.make((&write, replica), change.if_match(read.header("etag")).refused(&[404, 412, 422])).await;
    }

    async fn delete_grant(&mut self, here: &Here) {
        let Some((grant, path, read)) = self.found(here).await else { return };
        let admin = self.admin();
        let (write, replica) = self.write();
        grant.body.write(&write, None);
        let change = Change::new("DELETE", path, By::Bearer(&admin)).done(&[204]);
        self.make((&write, replica), change.if_match(read.header("etag")).refused(&[404, 412])).await;
    }

    /// Exactly what was listed goes: whoever changed the list meanwhile makes it fail.
    async fn replace_list(&mut self, here: &Here) {
        let (admin, path) = (self.admin(), format!("/v1/{}/grants", here.path));
        let from = self.replica();
        let listed = self.world.call(from, ("GET", &path), By::Bearer(&admin), None, &[]).await;
        if listed.status == 404 {
            return;
        }
        let listed = listed.expect(200);
        let marks: Vec<_> = listed.json["items"].as_array().unwrap().iter().map(|item| item["note"].clone()).collect();
        let (write, replica) = self.write();
        for grant in here.grants.lock().unwrap().iter().filter(|grant| marks.contains(&json!(grant.mark))) {
            grant.body.write(&write, None);
        }
        let drafts: Vec<_> = (0..self.dice.usize(..4)).map(|_| self.draft(here, &write)).collect();
        let items: Vec<_> = drafts.iter().map(|(_, body)| body).collect();
        let change = Change::new("PUT", path, By::Bearer(&admin)).body(json!({ "items": items }));
        let made = self.make((&write, replica), change.if_match(listed.header("etag")).refused(&[404, 412, 422])).await;
        for item in made.iter().flat_map(|reply| reply.json["items"].as_array().unwrap()) {
            if let Some((grant, _)) = drafts.iter().find(|(grant, _)| item["note"] == grant.mark) {
                let _ = grant.id.set(item["id"].as_str().unwrap().to_owned());
            }
        }
    }
}

fn wire(mark: &str, body: &Body) -> Value {
    let source = match &body.source {
        Source::Project(id) => json!({ "project": id }),
        Source::Group(id, except) => json!({ "group": id, "except": except }),
    };
    json!({
        "source": source,
        "permissions": texts(body.permissions),
        "conditions": { "protected_refs_only": body.protected_only, "within_actor_role": body.within_role },
        "expires_at": body.expires_at.map(|at| at.format(&Rfc3339).unwrap()),
        "note": mark,
    })
}
