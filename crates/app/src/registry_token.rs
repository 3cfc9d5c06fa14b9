//! Tokens of a container registry (the Docker Registry v2 token protocol): the job token in, and out comes, signed, what of the
//! scopes asked for the registry may do for it.

use crate::jws::sign;
use crate::{App, Ask, Holder, Refusal, ServiceCaller};
use jobpass_domain::ids::ServiceId;
use jobpass_domain::registry_scope::{RegistryScope, needs};
use jobpass_domain::{PermissionSet, Secret};
use jobpass_persistence::{id_at, project, service};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// The longest life of a registry token. A registry asks nobody while one lives.
const LIFE: Duration = Duration::minutes(5);

#[derive(Debug)]
pub struct RegistryToken {
    pub jwt: Secret,
    /// What was granted, of what was asked.
    pub granted: Vec<RegistryScope>,
    pub issued_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

impl App {
    /// `token`: the job token's text, which the holder was had by. A registry that is unknown or paused is a fault of its
    /// configuration, and a token that is not meant for it counts as dead.
    pub async fn registry_token(
        &self,
        holder: &Holder,
        token: &Secret,
        issuer: &str,
        registry: ServiceId,
        scopes: Vec<RegistryScope>,
    ) -> Result<RegistryToken, Refusal> {
        let unknown = || Refusal::invalid("/service", "unknown_service", "no such service, or it is paused");
        let service = service::find(self.db.read(), registry).await?.filter(|service| !service.paused);
        let service = service.ok_or_else(unknown)?;
        if !holder.token.is_meant_for(service.audience.as_deref(), service.audience_required) {
            return Err(Refusal::BadCredential);
        }
        let asker = ServiceCaller { service: Arc::new(service), request: holder.request, fresh: false, kept: None };
        let mut granted = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let actions = self.registry_actions(&asker, token, &scope).await?;
            if !actions.is_empty() {
                granted.push(RegistryScope { actions, ..scope });
            }
        }
        let issued_at = self.now();
        let expires_at = holder.token.expires_at.min(issued_at + LIFE);
        let access =
            |scope: &RegistryScope| json!({ "type": scope.kind, "name": scope.name, "actions": scope.actions });
        let claims = json!({
            "iss": issuer,
            "sub": format!("project:{}:job:{}", holder.info.project, holder.info.job),
            "aud": registry.0.simple().to_string(),
            "iat": issued_at.unix_timestamp(),
            "nbf": (issued_at - Duration::seconds(5)).unix_timestamp(),
            "exp": expires_at.unix_timestamp(),
            "jti": id_at(issued_at),
            "access": granted.iter().map(access).collect::<Vec<_>>(),
        });
        let leaf = self.registry_authority()?.leaf(issued_at)?;
        let jwt = sign(&leaf.pair, &json!({ "typ": "JWT", "alg": "ES256", "x5c": [leaf.x5c] }), &claims)?;
        Ok(RegistryToken { jwt, granted, issued_at, expires_at })
    }

    /// Which of the actions are allowed: a client asks for all that it might need, and the decision tells them apart.
    async fn registry_actions(
        &self,
        asker: &ServiceCaller,
        token: &Secret,
        scope: &RegistryScope,
    ) -> Result<Vec<String>, Refusal> {
        let known: Vec<_> =
            scope.actions.iter().filter_map(|action| Some((action, [needs(action)?.to_owned()]))).collect();
        if scope.kind != RegistryScope::REPOSITORY || known.is_empty() {
            return Ok(vec![]);
        }
        let places = scope.places();
        let paths: Vec<_> = places.iter().map(|(project, _)| (*project).to_owned()).collect();
        let Some(project) = project::longest(self.db.read(), &paths).await? else { return Ok(vec![]) };
        let name = places.iter().find(|(path, _)| *path == project).map(|(_, name)| *name);
        let ask = Ask {
            token: Secret::new(token.expose().to_owned()),
            project: Some(project),
            permissions: known.iter().flat_map(|(_, needed)| needed.clone()).collect(),
            resource_name: name.filter(|name| !name.is_empty()).map(str::to_owned),
            resource_names: BTreeMap::new(),
            route: None,
            keep: false,
        };
        let answer = match self.authorize(asker, &ask).await {
            Ok(answer) => answer,
            // Another project than the one that this registry is registered for is one that it grants nothing in.
            Err(Refusal::Invalid(_)) => return Ok(vec![]),
            Err(other) => return Err(other),
        };
        let outcomes = answer.decision.outcomes.iter();
        let held: PermissionSet =
            outcomes.filter(|(_, reason)| reason.allows()).map(|(permission, _)| *permission).collect();
        let may = |needed: &[String]| answer.catalogue.parse_all(needed).is_ok_and(|needed| held.implies(needed));
        Ok(known.iter().filter(|(_, needed)| may(needed)).map(|(action, _)| (*action).clone()).collect())
    }
}
