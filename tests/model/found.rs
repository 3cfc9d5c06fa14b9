//! What there is to begin with, and what takes the place of what was deleted.

use super::facts::{Credential, Group, Here, MODES, Project, Runner, Service, Settings, USERS, VISIBILITIES, texts};
use super::history::{Ends, Fact, Write};
use super::world::{World, group_path, push};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const PROJECTS: usize = 6;
const SERVICES: usize = 5;
const RUNNERS: usize = 4;

impl World {
    /// The groups, the users, and some of everything else.
    pub(super) async fn found(&mut self) {
        for name in USERS {
            self.admin("POST", "/v1/users", json!({ "name": name })).await.expect(201);
        }
        for (path, parent) in [("acme", None), ("acme/one", Some(0)), ("acme/two", Some(0)), ("acme/one/sub", Some(1))]
        {
            let made = self.admin("POST", "/v1/groups", json!({ "path": path })).await.expect(201);
            let given = Write::given();
            let name = path.rsplit('/').next().unwrap().to_owned();
            let parent = parent.map(|index: usize| Arc::clone(&self.groups[index]));
            let here = Here::new("groups", made.text_at("/id"), 0, &given);
            self.groups.push(Arc::new(Group {
                here,
                name: Fact::new(&given, name),
                parent: Fact::new(&given, parent),
            }));
        }
        let mut dice = fastrand::Rng::with_seed(0);
        for _ in 0..PROJECTS {
            self.found_project(&mut dice).await;
        }
        for _ in 0..SERVICES {
            self.found_service(&mut dice).await;
        }
        for _ in 0..RUNNERS {
            self.found_runner(&mut dice).await;
        }
        for _ in 0..2 {
            self.found_person(&mut dice).await;
        }
    }

    pub(super) async fn found_project(&self, dice: &mut fastrand::Rng) {
        let _tree = self.tree.lock().await;
        let group = Arc::clone(dice.choice(&self.groups).unwrap());
        let name = self.name("p");
        let path = format!("{}/{name}", group_path(&group));
        let (visibility, mode) = (dice.usize(..3), dice.usize(..3));
        let body = json!({ "path": path, "visibility": VISIBILITIES[visibility], "mode": MODES[mode] });
        let made = self.admin("POST", "/v1/projects", body).await;
        if made.status == 409 {
            // Below a floor that was raised meanwhile.
            return;
        }
        let made = made.expect(201);
        let given = Write::given();
        let project = Project {
            here: Here::new("projects", made.text_at("/id"), mode, &given),
            lies: Fact::new(&given, (group, name)),
            visibility: Fact::new(&given, visibility),
            made: given.clone(),
            gone: Ends::default(),
            revoked: Ends::default(),
        };
        push(&self.projects, project, PROJECTS + 2);
    }

    /// Every other one is a gateway's, for one project.
    pub(super) async fn found_service(&self, dice: &mut fastrand::Rng) {
        let mut body = json!({ "name": "s", "audience": null, "audience_required": false, "resources": null });
        let gateway = dice.bool().then(|| (self.project(dice), 1u8 << dice.u8(0..8)));
        if let Some((project, asks)) = &gateway {
            body["project"] = json!(project.here.id);
            body["forward_auth"] = json!({ "source": "fixed", "permissions": texts(*asks) });
        }
        let made = self.admin("POST", "/v1/services", body).await;
        if made.status != 201 {
            // The project was deleted meanwhile.
            return assert!(made.status == 404 || made.status == 422, "{}", made.text);
        }
        let id = made.text_at("/client_id");
        let listed = self.admin("GET", &format!("/v1/services/{id}/secrets"), Value::Null).await;
        if listed.status == 404 {
            return;
        }
        let given = Write::given();
        let secret = Credential {
            id: listed.expect(200).text_at("/items/0/id"),
            text: made.text_at("/client_secret"),
            made: given.clone(),
            gone: Ends::default(),
        };
        let settings = Settings { resources: None, audience: None, audience_required: false, paused: false };
        let service = Service {
            id,
            secrets: Mutex::new(vec![Arc::new(secret)]),
            settings: Fact::new(&given, settings),
            made: given,
            gone: Ends::default(),
            gateway,
        };
        push(&self.services, service, SERVICES);
    }

    /// It went with its project: another takes its place.
    pub(super) async fn replace_service(&self, gone: &Arc<Service>, dice: &mut fastrand::Rng) {
        self.services.lock().unwrap().retain(|one| !Arc::ptr_eq(one, gone));
        self.found_service(dice).await;
    }

    pub(super) async fn found_runner(&self, dice: &mut fastrand::Rng) {
        let asserts_actor = dice.u8(0..3) > 0;
        let body = json!({ "name": "r", "protected": true, "asserts_actor": asserts_actor });
        let made = self.admin("POST", "/v1/runners", body).await.expect(201);
        let given = Write::given();
        let runner = Runner {
            id: made.text_at("/id"),
            text: made.text_at("/token"),
            asserts_actor,
            paused: Fact::new(&given, false),
            made: given,
            gone: Ends::default(),
            revoked: Ends::default(),
        };
        push(&self.runners, runner, RUNNERS);
    }

    pub(super) async fn found_person(&self, dice: &mut fastrand::Rng) {
        let user = dice.choice(USERS).unwrap();
        let made = self.admin("POST", "/v1/user-tokens", json!({ "user": user })).await.expect(201);
        let (id, text) = (made.text_at("/id"), made.text_at("/token"));
        push(&self.people, Credential { id, text, made: Write::given(), gone: Ends::default() }, 3);
    }
}
