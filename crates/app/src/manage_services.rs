//! Resource services: the administrators'.

use crate::draft_grant::missing;
use crate::once::{Life, once};
use crate::set_forward_auth::{self, ForwardAuthChange};
use crate::{App, Credential, Once, Person, Refusal, Rendered};
use jobpass_domain::Secret;
use jobpass_domain::audit::Change;
use jobpass_domain::forward_auth::{DraftForwardAuth, ForwardAuth};
use jobpass_domain::ids::{SecretId, ServiceId};
use jobpass_domain::live_secret::{LiveSecret, SecretOwner};
use jobpass_domain::place::Place;
use jobpass_domain::service::{MAX_ANSWER_SECONDS, Service};
use jobpass_domain::text::{AudienceUri, Label};
use jobpass_domain::token::Kind;
use jobpass_persistence::{OnConstraint, Tx, id_at, secret, service};
use serde_json::json;

/// Which tables there are is the database's to say, so that none can go while a service takes it up.
const ROUTE_TABLE_FKEY: &str = "services_route_table_fkey";

#[derive(Clone, Debug)]
pub struct DraftService {
    pub name: Label,
    pub resources: Option<Vec<String>>,
    /// Path or id.
    pub project: Option<String>,
    pub audience: Option<AudienceUri>,
    pub audience_required: bool,
    pub answer_seconds: u32,
    pub route_table: String,
    pub forward_auth: Option<DraftForwardAuth>,
}

/// What a PATCH sets; the outer `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct ServiceChange {
    pub name: Option<Label>,
    pub resources: Option<Option<Vec<String>>>,
    pub audience: Option<Option<AudienceUri>>,
    pub audience_required: Option<bool>,
    pub answer_seconds: Option<u32>,
    pub paused: Option<bool>,
    pub route_table: Option<String>,
    pub forward_auth: Option<Option<ForwardAuthChange>>,
}

impl App {
    pub async fn service_create(
        &self,
        person: &Person,
        draft: &DraftService,
        idempotency: Option<&Once>,
        render: impl Fn(&Service, &Secret) -> Rendered,
    ) -> Result<Rendered, Refusal> {
        if let Some(kept) = self.replayed(idempotency, person.user.id.0).await? {
            return Ok(kept);
        }
        self.check_resources(draft.resources.as_deref()).await?;
        let project = match &draft.project {
            None => None,
            Some(key) => {
                let missing = missing("/project", "project");
                Some(self.project(person.clone(), key).await.map_err(missing)?.project)
            }
        };
        let forward_auth = self.draft_forward_auth(draft.forward_auth.as_ref()).await?;
        let credential = Credential::new(Kind::Service)?;
        let context = self.context(person.actor(), person.request);
        let work = async |tx: &mut Tx| {
            let now = tx.now();
            let made = Service {
                id: ServiceId(id_at(now)),
                name: draft.name.clone(),
                resources: draft.resources.clone(),
                project: project.as_ref().map(|project| project.id),
                project_path: project.as_ref().map(|project| project.path.to_string()),
                audience: draft.audience.clone(),
                audience_required: draft.audience_required,
                answer_seconds: draft.answer_seconds,
                paused: false,
                route_table: draft.route_table.clone(),
                forward_auth: forward_auth.clone(),
                created_at: now,
            };
            check(&made)?;
            service::insert(tx, &made).await.on_constraint(ROUTE_TABLE_FKEY, unknown_route_table)?;
            let live = LiveSecret { id: SecretId(id_at(now)), expires_at: None, created_at: now };
            secret::insert(tx, SecretOwner::Service(made.id), &live, credential.hash).await?;
            tx.audit(&changed("service.created", &made, None, Some(describe(&made)))).await?;
            Ok((render(&made, &credential.secret), Life::default()))
        };
        self.transaction(context, async |tx: &mut Tx| once(tx, idempotency, person.user.id.0, work).await).await
    }

    pub async fn service_update(
        &self,
        person: &Person,
        id: ServiceId,
        change: &ServiceChange,
        still: impl Fn(&Service) -> bool,
    ) -> Result<Service, Refusal> {
        self.check_resources(change.resources.as_ref().and_then(Option::as_deref)).await?;
        let forward_auth = self.change_forward_auth(change.forward_auth.as_ref()).await?;
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            let old = service::lock(tx, id).await?.ok_or(Refusal::NotFound)?;
            if !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            let new = Service {
                name: change.name.clone().unwrap_or_else(|| old.name.clone()),
                resources: change.resources.clone().unwrap_or_else(|| old.resources.clone()),
                audience: change.audience.clone().unwrap_or_else(|| old.audience.clone()),
                audience_required: change.audience_required.unwrap_or(old.audience_required),
                answer_seconds: change.answer_seconds.unwrap_or(old.answer_seconds),
                paused: change.paused.unwrap_or(old.paused),
                route_table: change.route_table.clone().unwrap_or_else(|| old.route_table.clone()),
                forward_auth: set_forward_auth::merged(old.forward_auth.as_ref(), forward_auth.as_ref())?,
                ..old.clone()
            };
            check(&new)?;
            service::update(tx, &new).await.on_constraint(ROUTE_TABLE_FKEY, unknown_route_table)?;
            tx.audit(&changed("service.updated", &new, Some(describe(&old)), Some(describe(&new)))).await?;
            Ok(new)
        })
        .await
    }

    pub async fn service_delete(
        &self,
        person: &Person,
        id: ServiceId,
        still: impl Fn(&Service) -> bool,
    ) -> Result<(), Refusal> {
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            let old = service::lock(tx, id).await?.ok_or(Refusal::NotFound)?;
            if !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            service::delete(tx, id).await?;
            tx.audit(&changed("service.deleted", &old, Some(describe(&old)), None)).await.map_err(Refusal::from)
        })
        .await
    }

    /// Every resource type that a service is to be shown must exist.
    async fn check_resources(&self, names: Option<&[String]>) -> Result<(), Refusal> {
        let names = names.unwrap_or_default();
        let unknown =
            |catalogue: &jobpass_domain::Catalogue| names.iter().position(|name| catalogue.find(name).is_none());
        let Some(_) = unknown(&self.catalogue()) else {
            return Ok(());
        };
        let Some(index) = unknown(self.reload_catalogue().await?.as_ref()) else {
            return Ok(());
        };
        Err(Refusal::invalid(
            format!("/resources/{index}"),
            "unknown_resource",
            "no such resource type; `GET /v1/catalogue` lists them",
        ))
    }
}

fn unknown_route_table() -> Refusal {
    Refusal::invalid("/route_table", "unknown_route_table", "no such table; `GET /v1/route-tables` lists them")
}

fn check(service: &Service) -> Result<(), Refusal> {
    if !(1..=MAX_ANSWER_SECONDS).contains(&service.answer_seconds) {
        return Err(Refusal::invalid(
            "/answer_seconds",
            "out_of_range",
            format!("from 1 to {MAX_ANSWER_SECONDS} seconds"),
        ));
    }
    if service.audience_required && service.audience.is_none() {
        return Err(Refusal::invalid("/audience", "required", "a service that requires an audience has one"));
    }
    set_forward_auth::check(service)
}

fn changed(action: &'static str, service: &Service, before: Option<String>, after: Option<String>) -> Change {
    let place = service.project.map_or(Place::Instance, Place::Project);
    Change { action, subject_kind: "service", subject: service.id.0, place, before, after, reason: None }
}

fn describe(service: &Service) -> String {
    json!({
        "name": service.name, "resources": service.resources, "project": service.project_path, "audience": service.audience,
        "audience_required": service.audience_required, "answer_seconds": service.answer_seconds, "paused": service.paused, "route_table": service.route_table,
        "forward_auth": service.forward_auth.as_ref().map(ForwardAuth::draft),
    })
    .to_string()
}
