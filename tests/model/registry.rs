//! Changes of where things lie and of what binds them: paths, modes, visibility, members and ceilings.

use super::actor::{Actor, Change};
use super::facts::{ALL, Ceiling, ENFORCED, Group, Here, MODES, Project, ROLES, USERS, VISIBILITIES, texts};
use super::world::{By, group_path};
use serde_json::{Value, json};
use std::sync::Arc;

impl Actor {
    pub(super) async fn change_registry(&mut self) {
        match self.dice.u8(0..16) {
            0..3 => self.set_mode().await,
            3 => self.set_floor().await,
            4 => self.set_instance_floor().await,
            5 | 6 => self.set_visibility().await,
            7..10 => self.set_member().await,
            10 | 11 => self.put_ceilings().await,
            12 => self.put_instance_ceilings().await,
            13 => self.move_project().await,
            14 => self.move_group().await,
            _ => self.delete_project().await,
        }
    }

    /// A project, or one time in three a group.
    pub(super) fn place(&mut self) -> Place {
        if self.dice.u8(0..3) > 0 {
            return Place::Project(self.world.project(&mut self.dice));
        }
        let world = Arc::clone(&self.world);
        Place::Group(Arc::clone(self.dice.choice(&world.groups).unwrap()))
    }

    async fn patch(&mut self, here: &Here, body: Value, refused: &[u16], write: (&super::history::Write, usize)) {
        let (admin, path) = (self.admin(), format!("/v1/{}?confirm=true", here.path));
        self.make(write, Change::new("PATCH", path, By::Bearer(&admin)).body(body).refused(refused)).await;
    }

    async fn set_mode(&mut self) {
        let (project, mode) = (self.world.project(&mut self.dice), self.dice.usize(..3));
        let (write, replica) = self.write();
        project.here.mode.write(&write, mode);
        self.patch(&project.here, json!({ "mode": MODES[mode] }), &[404, 409], (&write, replica)).await;
    }

    /// Mostly none, or everything would be enforced everywhere.
    fn floor(&mut self) -> usize {
        if self.dice.u8(0..4) == 0 { self.dice.usize(..3) } else { 0 }
    }

    async fn set_floor(&mut self) {
        let world = Arc::clone(&self.world);
        let (group, floor) = (self.dice.choice(&world.groups).unwrap(), self.floor());
        let (write, replica) = self.write();
        group.here.mode.write(&write, floor);
        self.patch(&group.here, json!({ "floor": MODES[floor] }), &[], (&write, replica)).await;
    }

    async fn set_instance_floor(&mut self) {
        let (admin, floor) = (self.admin(), self.floor());
        let (write, replica) = self.write();
        self.world.instance.floor.write(&write, floor);
        let body = json!({ "floor": MODES[floor], "default_mode": MODES[ENFORCED] });
        let change = Change::new("PUT", "/v1/instance/settings?confirm=true", By::Bearer(&admin));
        self.make((&write, replica), change.body(body).if_match("*")).await;
    }

    async fn set_visibility(&mut self) {
        let (project, visibility) = (self.world.project(&mut self.dice), self.dice.usize(..3));
        let (write, replica) = self.write();
        project.visibility.write(&write, visibility);
        self.patch(&project.here, json!({ "visibility": VISIBILITIES[visibility] }), &[404], (&write, replica)).await;
    }

    async fn set_member(&mut self) {
        let (place, user, admin) = (self.place(), self.dice.usize(..USERS.len()), self.admin());
        let path = format!("/v1/{}/members/{}", place.here().path, USERS[user]);
        let role = (self.dice.u8(0..3) > 0).then(|| self.dice.usize(..ROLES.len()));
        let (write, replica) = self.write();
        place.here().members[user].write(&write, role);
        let change = match role {
            Some(role) => Change::new("PUT", path, By::Bearer(&admin)).body(json!({ "role": ROLES[role].0 })),
            None => Change::new("DELETE", path, By::Bearer(&admin)).done(&[204]),
        };
        self.make((&write, replica), change.refused(&[404])).await;
    }

    /// Few, and none that leaves nothing: else there would be little to see.
    fn ceilings(&mut self) -> Vec<Ceiling> {
        let ceiling = |actor: &mut Actor| Ceiling {
            of_source: actor.dice.bool(),
            protected: (actor.dice.u8(0..3) == 0).then(|| actor.dice.bool()),
            at_most: ALL & !(1 << actor.dice.u8(0..8)),
        };
        (0..self.dice.usize(..3)).map(|_| ceiling(self)).collect()
    }

    async fn put_ceilings(&mut self) {
        let (place, ceilings, admin) = (self.place(), self.ceilings(), self.admin());
        let (write, replica) = self.write();
        place.here().ceilings.write(&write, ceilings.clone());
        let path = format!("/v1/{}/ceilings?confirm=true", place.here().path);
        let change = Change::new("PUT", path, By::Bearer(&admin)).body(shown(&ceilings)).if_match("*");
        self.make((&write, replica), change.refused(&[404])).await;
    }

    async fn put_instance_ceilings(&mut self) {
        let (ceilings, admin) = (if self.dice.bool() { vec![] } else { self.ceilings() }, self.admin());
        let (write, replica) = self.write();
        self.world.instance.ceilings.write(&write, ceilings.clone());
        let change = Change::new("PUT", "/v1/instance/ceilings?confirm=true", By::Bearer(&admin));
        self.make((&write, replica), change.body(shown(&ceilings)).if_match("*")).await;
    }

    /// To another group, by another name, or both.
    async fn move_project(&mut self) {
        let world = Arc::clone(&self.world);
        let _tree = world.tree.lock().await;
        let project = world.project(&mut self.dice);
        let group = if self.dice.bool() {
            Arc::clone(self.dice.choice(&world.groups).unwrap())
        } else {
            project.lies.latest().0
        };
        let name = world.name("p");
        let path = format!("{}/{name}", group_path(&group));
        let (write, replica) = self.write();
        project.lies.write(&write, (group, name));
        self.patch(&project.here, json!({ "path": path }), &[404], (&write, replica)).await;
    }

    /// One of the two in the middle is renamed, or the lowest goes from one to the other.
    async fn move_group(&mut self) {
        let world = Arc::clone(&self.world);
        let _tree = world.tree.lock().await;
        let [_, one, two, sub] = &world.groups[..] else { unreachable!("there are four") };
        let name = world.name("g");
        let (write, replica) = self.write();
        let (moved, path) = if self.dice.bool() {
            let renamed = if self.dice.bool() { one } else { two };
            let path = format!("acme/{name}");
            renamed.name.write(&write, name);
            (renamed, path)
        } else {
            let parent = if self.dice.bool() { one } else { two };
            let path = format!("{}/{name}", group_path(parent));
            sub.name.write(&write, name);
            sub.parent.write(&write, Some(Arc::clone(parent)));
            (sub, path)
        };
        self.patch(&moved.here, json!({ "path": path }), &[], (&write, replica)).await;
    }

    /// Another takes its place.
    async fn delete_project(&mut self) {
        let (project, admin) = (self.world.project(&mut self.dice), self.admin());
        let (write, replica) = self.write();
        project.gone.add(&write);
        let change = Change::new("DELETE", format!("/v1/{}", project.here.path), By::Bearer(&admin)).done(&[204]);
        if self.make((&write, replica), change.refused(&[404])).await.is_some() {
            let world = Arc::clone(&self.world);
            world.found_project(&mut self.dice).await;
        }
    }
}

fn shown(ceilings: &[Ceiling]) -> Value {
    let items: Vec<_> = ceilings
        .iter()
        .map(|ceiling| {
            let mut when = json!({});
            if let Some(protected) = ceiling.protected {
                when["protected"] = json!(protected);
            }
            json!({ "side": if ceiling.of_source { "source" } else { "target" }, "when": when, "at_most": texts(ceiling.at_most) })
        })
        .collect();
    json!({ "items": items })
}

/// A project or a group.
pub(super) enum Place {
    Project(Arc<Project>),
    Group(Arc<Group>),
}

impl Place {
    pub(super) fn here(&self) -> &Here {
        match self {
            Place::Project(project) => &project.here,
            Place::Group(group) => &group.here,
        }
    }
}
