//! Questions of every kind, and whether their answers can be right.

use super::actor::Actor;
use super::choice::{Choice, Explained, explain};
use super::expect::{Model, shown};
use super::facts::{Credential, PERMISSIONS, Project, Service, Set, Token, set, texts};
use super::history::Window;
use super::world::{By, one_of};
use crate::support::Reply;
use serde_json::{Value, json};
use std::sync::Arc;

/// What an answer says, of what the model knows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// The service counts for nothing.
    Refused,
    Dead,
    /// In the project that was asked about, by a token of the project of this path.
    Active(Set, String),
    /// What is missing of what was asked; all of it of a dead one.
    Missing(Set),
    /// What a gateway does.
    Gateway(u16),
}

/// Who asks, by which secret, where.
struct Asking {
    service: Arc<Service>,
    secret: Arc<Credential>,
    replica: usize,
}

impl Actor {
    pub(super) async fn ask_something(&mut self) {
        match self.dice.u8(0..12) {
            0..4 => self.introspect().await,
            4..6 => self.authorize().await,
            6 => self.authorize_many().await,
            7 => self.authorize_by_route().await,
            8..10 => self.ask_as_gateway().await,
            10 => self.ask_about_itself().await,
            _ => self.look().await,
        }
    }

    /// `gateway`: which of the two kinds of services.
    fn asking(&mut self, gateway: bool) -> Option<Asking> {
        let service = one_of(&self.world.services, &mut self.dice).filter(|one| one.gateway.is_some() == gateway)?;
        let secret = {
            let secrets = service.secrets.lock().unwrap();
            // Mostly the newest.
            let from = if self.dice.u8(0..4) > 0 { secrets.len() - 1 } else { 0 };
            Arc::clone(&secrets[self.dice.usize(from..secrets.len())])
        };
        Some(Asking { service, secret, replica: self.replica() })
    }

    async fn introspect(&mut self) {
        let (Some(asking), Some(token)) = (self.asking(false), self.token()) else { return };
        let target = (self.dice.u8(0..8) > 0).then(|| self.world.project(&mut self.dice));
        let mut form = vec![("token", token.text.as_str())];
        form.extend(target.as_ref().map(|target| ("project", target.here.id.as_str())));
        let world = Arc::clone(&self.world);
        let by = By::Basic(&asking.service.id, &asking.secret.text);
        // What is asked for anew shows everything, wherever it was changed.
        let anew = self.dice.u8(0..6) == 0;
        let headers: &[_] = if anew { &[("cache-control", "no-cache")] } else { &[] };
        let call = world.form(asking.replica, "/oauth/introspect", by, &form, headers);
        let (reply, mut window) = world.ask(asking.replica, call).await;
        if anew {
            window.bound = std::time::Duration::ZERO;
        }
        let answer = match reply.status {
            401 => Answer::Refused,
            200 if reply.json["active"] == false => Answer::Dead,
            200 => {
                let told = reply.json["exp"].as_i64().unwrap();
                let latest = (window.clock.1 + time::Duration::seconds(60)).min(token.expires_at);
                assert!(told <= latest.unix_timestamp(), "exp {told} after {latest}");
                Answer::Active(set(reply.text_at("/scope").split(' ')), reply.text_at("/project"))
            }
            _ => return self.not_counted(&reply),
        };
        self.check("introspect", (&asking, &token, &window), &answer, |model, settings| {
            if !model.is_alive(&token) || !Model::is_meant_for(&token, settings) {
                return Answer::Dead;
            }
            let scope = target.as_ref().map_or(0, |target| model.effective(&token, target) & shown(settings));
            Answer::Active(scope, model.path(&token.job.pipeline.project))
        });
    }

    async fn authorize(&mut self) {
        let (Some(asking), Some(token)) = (self.asking(false), self.token()) else { return };
        let (target, asked) = (self.world.project(&mut self.dice), self.some_permissions());
        let body = json!({ "token": token.text, "project": target.here.id, "permissions": texts(asked) });
        let Some((reply, window)) = self.post_authorize(&asking, body).await else { return };
        let answer = decision(&reply.json, reply.status);
        self.check("authorize", (&asking, &token, &window), &answer, |model, settings| {
            Answer::Missing(missing(model, settings, (&token, &target), asked))
        });
    }

    async fn authorize_many(&mut self) {
        let Some(asking) = self.asking(false) else { return };
        let questions: Vec<_> = (0..8)
            .filter_map(|_| Some((self.token()?, self.world.project(&mut self.dice), self.some_permissions())))
            .collect();
        if questions.is_empty() {
            return;
        }
        let ask = |(token, target, asked): &(Arc<Token>, Arc<Project>, Set)| json!({ "token": token.text, "project": target.here.id, "permissions": texts(*asked) });
        let body = json!({ "questions": questions.iter().map(ask).collect::<Vec<_>>() });
        let Some((reply, window)) = self.post_authorize(&asking, body).await else { return };
        for (index, (token, target, asked)) in questions.iter().enumerate() {
            let answer = decision(&reply.json["decisions"][index], reply.status);
            self.check("batch", (&asking, token, &window), &answer, |model, settings| {
                Answer::Missing(missing(model, settings, (token, target), *asked))
            });
        }
    }

    async fn authorize_by_route(&mut self) {
        let (Some(asking), Some(token)) = (self.asking(false), self.token()) else { return };
        let target = self.world.project(&mut self.dice);
        let path = format!("/api/v4/projects/{}/jobs", target.here.id);
        let Some((reply, window)) =
            self.post_authorize(&asking, json!({ "token": token.text, "method": "GET", "path": path })).await
        else {
            return;
        };
        let answer = decision(&reply.json, reply.status);
        self.check("route", (&asking, &token, &window), &answer, |model, settings| {
            Answer::Missing(missing(model, settings, (&token, &target), set(["jobs:read"])))
        });
    }

    async fn ask_as_gateway(&mut self) {
        let (Some(asking), Some(token)) = (self.asking(true), self.token()) else { return };
        let Some((target, asked)) = asking.service.gateway.clone() else { return };
        let world = Arc::clone(&self.world);
        let path = format!("/v1/forward-auth/{}", asking.service.id);
        let proof = [("x-jobpass-service", asking.secret.text.as_str())];
        let call = world.call(asking.replica, ("GET", &path), By::Bearer(&token.text), None, &proof);
        let (reply, window) = world.ask(asking.replica, call).await;
        let is_gateways = matches!(reply.header("jobpass-reason"), "gateway" | "too_many_failures");
        let answer = if reply.status == 401 && is_gateways { Answer::Refused } else { Answer::Gateway(reply.status) };
        self.check("gateway", (&asking, &token, &window), &answer, |model, settings| {
            let dead = !model.is_alive(&token) || !Model::is_meant_for(&token, settings);
            if !dead && model.effective(&token, &target) & shown(settings) & asked == asked {
                return Answer::Gateway(200);
            }
            // A dead token gets no less than none.
            if asked & super::facts::ANYONE == asked && model.is_public(&target) {
                return Answer::Gateway(200);
            }
            Answer::Gateway(if dead { 401 } else { 403 })
        });
    }

    async fn ask_about_itself(&mut self) {
        let (Some(token), replica) = (self.token(), self.replica()) else { return };
        let (world, target) = (Arc::clone(&self.world), self.world.project(&mut self.dice));
        let path = format!("/v1/job-tokens/self?project={}", target.here.id);
        let call = world.call(replica, ("GET", &path), By::Bearer(&token.text), None, &[]);
        let (reply, window) = world.ask(replica, call).await;
        let answer = match reply.status {
            401 => Answer::Dead,
            200 => {
                let listed = reply.json.pointer("/access/permissions").and_then(Value::as_array).unwrap();
                Answer::Active(expanded(listed.iter().map(|one| one.as_str().unwrap())), String::new())
            }
            _ => return self.not_counted(&reply),
        };
        let model = |choice: &mut Choice| {
            let mut model = Model { instance: &world.instance, window: &window, choice };
            if !model.is_alive(&token) {
                return Answer::Dead;
            }
            // Between its two readings it may have died: then it may do nothing.
            let dead_since = !model.is_alive(&token);
            Answer::Active(if dead_since { 0 } else { model.effective(&token, &target) }, String::new())
        };
        self.judge("self", (&token, &window), &answer, explain(&answer, model));
    }

    async fn post_authorize(&mut self, asking: &Asking, body: Value) -> Option<(Reply, Window)> {
        let world = Arc::clone(&self.world);
        let by = By::Basic(&asking.service.id, &asking.secret.text);
        let call = world.call(asking.replica, ("POST", "/v1/authorize"), by, Some(body), &[]);
        let (reply, window) = world.ask(asking.replica, call).await;
        if matches!(reply.status, 200 | 401) {
            return Some((reply, window));
        }
        self.not_counted(&reply);
        None
    }

    /// One, or sometimes two.
    fn some_permissions(&mut self) -> Set {
        let one = 1 << self.dice.usize(..PERMISSIONS.len());
        if self.dice.bool() { one } else { one | (1 << self.dice.usize(..PERMISSIONS.len())) }
    }

    /// Only one status is no answer: that a client failed too often.
    fn not_counted(&self, reply: &Reply) {
        assert_eq!(reply.status, 429, "{}\n{}", reply.text, self.world.story());
        self.world.count("limited");
    }

    /// `expected`: of a service with these settings, which may call.
    fn check(
        &self,
        kind: &str,
        (asking, token, window): (&Asking, &Token, &Window),
        answer: &Answer,
        expected: impl Fn(&mut Model<'_>, &super::facts::Settings) -> Answer,
    ) {
        let instance = &self.world.instance;
        let explained = explain(answer, |choice| {
            let mut model = Model { instance, window, choice };
            match model.caller(&asking.service, &asking.secret) {
                Some(settings) => expected(&mut model, &settings),
                None => Answer::Refused,
            }
        });
        self.judge(kind, (token, window), answer, explained);
    }

    fn judge(&self, kind: &str, (token, window): (&Token, &Window), answer: &Answer, explained: Explained) {
        let what = match answer {
            Answer::Refused => "refused",
            Answer::Dead | Answer::Gateway(401) => "dead",
            Answer::Active(0, _) | Answer::Gateway(403) => "nothing",
            Answer::Missing(missing) if *missing != 0 => "nothing",
            _ => "something",
        };
        self.world.count(format!("{kind} {what}"));
        self.world.count(format!("{explained:?}"));
        token.note(format!("{kind} at {}: {answer:?}", window.replica));
        if explained == Explained::Not {
            self.fail(&format!("{kind}: nothing explains {answer:?} in {window:?}, {token:#?}"), Some(token));
        }
    }
}

fn missing(
    model: &mut Model<'_>,
    settings: &super::facts::Settings,
    (token, target): (&Token, &Project),
    asked: Set,
) -> Set {
    if !model.is_alive(token) || !Model::is_meant_for(token, settings) {
        return asked;
    }
    asked & !(model.effective(token, target) & shown(settings))
}

fn decision(answer: &Value, status: u16) -> Answer {
    if status == 401 {
        return Answer::Refused;
    }
    let missing = set(answer["missing"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()));
    assert_eq!(answer["allowed"], missing == 0, "{answer}");
    Answer::Missing(missing)
}

/// All four actions may be written as one.
fn expanded<'a>(listed: impl Iterator<Item = &'a str>) -> Set {
    listed.fold(0, |all, text| {
        all | match text.strip_suffix(":admin") {
            Some(resource) => set(PERMISSIONS.into_iter().filter(|one| one.starts_with(&format!("{resource}:")))),
            None => set([text]),
        }
    })
}
