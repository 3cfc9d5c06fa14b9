//! Changes of who may call: services, runners and people, and their secrets.

use super::actor::{Actor, Change};
use super::facts::{AUDIENCES, Credential, PERMISSIONS, Service, Settings};
use super::history::Ends;
use super::world::{By, one_of};
use serde_json::json;
use std::sync::Arc;

impl Actor {
    pub(super) async fn change_callers(&mut self) {
        match self.dice.u8(0..16) {
            0..5 => self.set_service().await,
            5..7 => self.add_secret().await,
            7..10 => self.delete_secret().await,
            10 => self.delete_service().await,
            11..14 => self.pause_runner().await,
            14 => self.end_runner().await,
            _ => self.end_person().await,
        }
    }

    fn service(&mut self) -> Option<Arc<Service>> {
        one_of(&self.world.services, &mut self.dice)
    }

    fn settings(&mut self) -> Settings {
        let type_of = |permission: &'static str| permission.split_once(':').unwrap().0;
        let resources = (self.dice.u8(0..3) == 0)
            .then(|| (0..2).map(|_| type_of(PERMISSIONS[self.dice.usize(..PERMISSIONS.len())])).collect());
        let audience = self.dice.bool().then(|| AUDIENCES[self.dice.usize(..2)]);
        Settings {
            resources,
            audience,
            audience_required: audience.is_some() && self.dice.u8(0..6) == 0,
            paused: self.dice.u8(0..12) == 0,
        }
    }

    async fn set_service(&mut self) {
        let (Some(service), admin, settings) = (self.service(), self.admin(), self.settings()) else { return };
        let (write, replica) = self.write();
        service.settings.write(&write, settings.clone());
        let body = json!({
            "resources": settings.resources, "audience": settings.audience, "audience_required": settings.audience_required,
            "paused": settings.paused,
        });
        let change = Change::new("PATCH", format!("/v1/services/{}", service.id), By::Bearer(&admin)).body(body);
        if self.make((&write, replica), change.refused(&[404])).await.is_none() {
            let world = Arc::clone(&self.world);
            world.replace_service(&service, &mut self.dice).await;
        }
    }

    async fn add_secret(&mut self) {
        let (Some(service), admin) = (self.service(), self.admin()) else { return };
        let (write, replica) = self.write();
        let change =
            Change::new("POST", format!("/v1/services/{}/secrets", service.id), By::Bearer(&admin)).body(json!({}));
        let made = self.make((&write, replica), change.done(&[201]).refused(&[404, 409])).await;
        if let Some(reply) = made {
            let (id, text) = (reply.text_at("/id"), reply.text_at("/secret"));
            let secret = Credential { id, text, made: write, gone: Ends::default() };
            service.secrets.lock().unwrap().push(Arc::new(secret));
        }
    }

    /// An old one, where there is a newer; or it leaks.
    async fn delete_secret(&mut self) {
        let (Some(service), admin) = (self.service(), self.admin()) else { return };
        let secrets = service.secrets.lock().unwrap().clone();
        let [.., old, _] = &secrets[..] else { return };
        let (write, replica) = self.write();
        old.gone.add(&write);
        let change = if self.dice.bool() {
            Change::new("DELETE", format!("/v1/services/{}/secrets/{}", service.id, old.id), By::Bearer(&admin))
                .done(&[204])
        } else {
            Change::new("POST", "/v1/leaked-tokens", By::Nobody).body(json!({ "token": old.text })).done(&[204])
        };
        self.make((&write, replica), change.refused(&[404])).await;
        // What is dead is asked with for a while longer.
        let mut secrets = service.secrets.lock().unwrap();
        if secrets.len() > 4 {
            secrets.remove(0);
        }
    }

    async fn delete_service(&mut self) {
        let (Some(service), admin) = (self.service(), self.admin()) else { return };
        let (write, replica) = self.write();
        service.gone.add(&write);
        let change = Change::new("DELETE", format!("/v1/services/{}", service.id), By::Bearer(&admin)).done(&[204]);
        self.make((&write, replica), change.refused(&[404])).await;
        let world = Arc::clone(&self.world);
        world.found_service(&mut self.dice).await;
    }

    async fn pause_runner(&mut self) {
        let (Some(runner), admin) = (one_of(&self.world.runners, &mut self.dice), self.admin()) else { return };
        let paused = self.dice.u8(0..4) == 0;
        let (write, replica) = self.write();
        runner.paused.write(&write, paused);
        let change = Change::new("PATCH", format!("/v1/runners/{}", runner.id), By::Bearer(&admin));
        self.make((&write, replica), change.body(json!({ "paused": paused })).refused(&[404])).await;
    }

    /// Deleted, or its secret is reported as leaked.
    async fn end_runner(&mut self) {
        let (Some(runner), admin) = (one_of(&self.world.runners, &mut self.dice), self.admin()) else { return };
        let (write, replica) = self.write();
        runner.gone.add(&write);
        let change = if self.dice.bool() {
            Change::new("DELETE", format!("/v1/runners/{}", runner.id), By::Bearer(&admin)).done(&[204])
        } else {
            Change::new("POST", "/v1/leaked-tokens", By::Nobody).body(json!({ "token": runner.text })).done(&[204])
        };
        if self.make((&write, replica), change.refused(&[404])).await.is_some() {
            let world = Arc::clone(&self.world);
            world.found_runner(&mut self.dice).await;
        }
    }

    async fn end_person(&mut self) {
        let (Some(person), admin) = (one_of(&self.world.people, &mut self.dice), self.admin()) else { return };
        let (write, replica) = self.write();
        person.gone.add(&write);
        let change = Change::new("DELETE", format!("/v1/user-tokens/{}", person.id), By::Bearer(&admin)).done(&[204]);
        self.make((&write, replica), change.refused(&[404])).await;
        let world = Arc::clone(&self.world);
        world.found_person(&mut self.dice).await;
    }

    /// Somebody who is signed in looks at what there is.
    pub(super) async fn look(&mut self) {
        let Some(person) = one_of(&self.world.people, &mut self.dice) else { return };
        let replica = self.replica();
        let world = Arc::clone(&self.world);
        let (reply, window) = world
            .ask(replica, world.call(replica, ("GET", "/v1/catalogue"), By::Bearer(&person.text), None, &[]))
            .await;
        assert!(matches!(reply.status, 200 | 401), "{}", reply.text);
        let gone = person.gone.of(&person.made, &window);
        let is_right = if reply.status == 200 { !gone.must } else { gone.may };
        if !is_right {
            self.fail(&format!("{} for an API token, {gone:?} {window:?}", reply.status), None);
        }
        world.count(format!("look {}", reply.status));
    }
}
