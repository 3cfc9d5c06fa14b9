//! Three replicas on one database, everything that is in it, and how to call them.

use super::expect::Instance;
use super::facts::{Credential, Group, Job, Project, Runner, Service, Token};
use super::history::{Fact, Window, Write};
use crate::support::{Reply, Server, send};
use jobpass::Settings as ServerSettings;
use reqwest::Method;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(super) const REPLICAS: usize = 3;

pub(super) struct World {
    pub(super) servers: Vec<Server>,
    pub(super) bound: Duration,
    pub(super) instance: Instance,
    pub(super) groups: Vec<Arc<Group>>,
    /// Those that were deleted lately among them.
    pub(super) projects: Mutex<VecDeque<Arc<Project>>>,
    pub(super) services: Mutex<VecDeque<Arc<Service>>>,
    pub(super) runners: Mutex<VecDeque<Arc<Runner>>>,
    pub(super) people: Mutex<VecDeque<Arc<Credential>>>,
    pub(super) jobs: Mutex<VecDeque<Arc<Job>>>,
    pub(super) tokens: Mutex<VecDeque<Arc<Token>>>,
    /// Held by whoever changes paths: a path is stated whole, so two who do would undo each other.
    pub(super) tree: tokio::sync::Mutex<()>,
    numbers: AtomicU64,
    tally: Mutex<BTreeMap<String, u64>>,
    log: Mutex<VecDeque<String>>,
    begun: Instant,
}

/// How a request is signed.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    Nobody,
    Bearer(&'a str),
    Basic(&'a str, &'a str),
}

impl World {
    /// `change`: of the settings of all three.
    pub(super) async fn new(bound: Duration, change: impl Fn(&mut ServerSettings)) -> World {
        let set = |settings: &mut ServerSettings| {
            settings.database.db_connections = 6;
            settings.proxies.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            change(settings);
        };
        let first = Server::start_with(set).await;
        let others = [Server::beside_with(&first, set).await, Server::beside_with(&first, set).await];
        let given = Write::given();
        let servers: Vec<_> = std::iter::once(first).chain(others).collect();
        let mut world = World {
            servers,
            bound,
            instance: Instance { floor: Fact::new(&given, 0), ceilings: Fact::new(&given, vec![]) },
            groups: vec![],
            projects: Mutex::default(),
            services: Mutex::default(),
            runners: Mutex::default(),
            people: Mutex::default(),
            jobs: Mutex::default(),
            tokens: Mutex::default(),
            tree: tokio::sync::Mutex::default(),
            numbers: AtomicU64::new(0),
            tally: Mutex::default(),
            log: Mutex::default(),
            begun: Instant::now(),
        };
        world.found().await;
        world
    }

    /// By the administrator, at the first replica.
    pub(super) async fn admin(&self, method: &str, path: &str, body: Value) -> Reply {
        let by = By::Bearer(&self.servers[0].admin);
        self.call(0, (method, path), by, Some(body).filter(|body| !body.is_null()), &[]).await
    }

    pub(super) async fn call(
        &self,
        replica: usize,
        (method, path): (&str, &str),
        by: By<'_>,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request = self.request(replica, method, path, by);
        if let Some(body) = body {
            request = request.json(&body);
        }
        send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    pub(super) async fn form(
        &self,
        replica: usize,
        path: &str,
        by: By<'_>,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Reply {
        let request = self.request(replica, "POST", path, by).form(form);
        send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    /// Each from an address of its own, so that no limit on failures is met.
    fn request(&self, replica: usize, method: &str, path: &str, by: By<'_>) -> reqwest::RequestBuilder {
        let server = &self.servers[replica];
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let [a, b, c, _] = u32::try_from(self.number() % (1 << 24)).unwrap().rotate_left(8).to_be_bytes();
        let request = server.http.request(method, format!("{}{path}", server.url));
        let request = request.header("x-forwarded-for", format!("10.{a}.{b}.{c}"));
        match by {
            By::Nobody => request,
            By::Bearer(token) => request.bearer_auth(token),
            By::Basic(user, password) => request.basic_auth(user, Some(password)),
        }
    }

    /// Asks, and tells between when and when it was.
    pub(super) async fn ask(&self, replica: usize, request: impl Future<Output = Reply>) -> (Reply, Window) {
        let clock = &self.servers[0].clock;
        let (began, from) = (Instant::now(), clock.now());
        let reply = request.await;
        let window = Window { replica, began, ended: Instant::now(), clock: (from, clock.now()), bound: self.bound };
        (reply, window)
    }

    pub(super) fn project(&self, dice: &mut fastrand::Rng) -> Arc<Project> {
        one_of(&self.projects, dice).unwrap()
    }

    /// A project or a group.
    pub(super) fn name(&self, what: &str) -> String {
        format!("{what}{}", self.number())
    }

    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn count(&self, what: impl Into<String>) {
        *self.tally.lock().unwrap().entry(what.into()).or_default() += 1;
    }

    pub(super) fn tally(&self) -> BTreeMap<String, u64> {
        self.tally.lock().unwrap().clone()
    }

    pub(super) fn has_seen(&self, all: &[&str]) -> bool {
        let tally = self.tally.lock().unwrap();
        all.iter().all(|what| tally.contains_key(*what))
    }

    pub(super) fn log(&self, line: &str) {
        let mut log = self.log.lock().unwrap();
        log.push_back(format!("{:>9.3} {line}", self.begun.elapsed().as_secs_f64() * 1e3));
        if log.len() > 150 {
            log.pop_front();
        }
    }

    pub(super) fn story(&self) -> String {
        self.log.lock().unwrap().iter().fold(String::new(), |story, line| story + line + "\n")
    }

    pub(super) async fn stop(self) {
        for server in self.servers {
            server.running.stop().await;
        }
    }
}

/// As it is; for whoever holds the tree.
pub(super) fn group_path(group: &Group) -> String {
    match group.parent.latest() {
        Some(parent) => format!("{}/{}", group_path(&parent), group.name.latest()),
        None => group.name.latest(),
    }
}

/// Adds one, and lets go of the oldest where there are too many.
pub(super) fn push<T>(list: &Mutex<VecDeque<Arc<T>>>, one: T, most: usize) {
    let mut list = list.lock().unwrap();
    list.push_back(Arc::new(one));
    if list.len() > most {
        list.pop_front();
    }
}

pub(super) fn one_of<T>(list: &Mutex<VecDeque<Arc<T>>>, dice: &mut fastrand::Rng) -> Option<Arc<T>> {
    let list = list.lock().unwrap();
    if list.is_empty() { None } else { list.get(dice.usize(..list.len())).cloned() }
}
