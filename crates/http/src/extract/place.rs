//! What is in the path, and which role the caller has there. Hidden and missing are the same 404.

use super::SignedIn;
use crate::problem::Denied;
use crate::server::Server;
use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use jobpass_app::{GrantPlace, GroupAccess, ProjectAccess, Refusal};
use jobpass_domain::Role;
use std::sync::Arc;
use uuid::Uuid;

type State = Arc<Server>;

/// A parameter of the path, decoded once.
async fn path_parameter(parts: &mut Parts, server: &State, name: &str) -> Result<String, Denied> {
    let params = RawPathParams::from_request_parts(parts, server).await.map_err(|_| Refusal::NotFound)?;
    let value = params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    value.filter(|value| !value.contains('\0')).ok_or(Refusal::NotFound.into())
}

/// An id in the path. What is no id names nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Id<const LAST: bool = true>(pub(crate) Uuid);

/// The last parameter of the path, whatever its name.
impl FromRequestParts<State> for Id {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<Id, Denied> {
        let params = RawPathParams::from_request_parts(parts, server).await.map_err(|_| Refusal::NotFound)?;
        let last = params.iter().last().and_then(|(_, value)| Uuid::try_parse(value).ok());
        last.map(Id).ok_or(Refusal::NotFound.into())
    }
}

/// The first parameter of the path, where two ids stand in it.
impl FromRequestParts<State> for Id<false> {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<Id<false>, Denied> {
        let params = RawPathParams::from_request_parts(parts, server).await.map_err(|_| Refusal::NotFound)?;
        let first = params.iter().next().and_then(|(_, value)| Uuid::try_parse(value).ok());
        first.map(Id).ok_or(Refusal::NotFound.into())
    }
}

/// A user's name or id in the path.
#[derive(Debug)]
pub(crate) struct UserKey(pub(crate) String);

impl FromRequestParts<State> for UserKey {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<UserKey, Denied> {
        path_parameter(parts, server, "user").await.map(UserKey)
    }
}

/// The name of a route table in the path.
#[derive(Debug)]
pub(crate) struct RouteTableName(pub(crate) String);

impl FromRequestParts<State> for RouteTableName {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<RouteTableName, Denied> {
        path_parameter(parts, server, "table").await.map(RouteTableName)
    }
}

/// Someone who may see the project in the path; which role is needed is the use case's to say.
#[derive(Debug)]
pub(crate) struct SeesProject(pub(crate) ProjectAccess);

impl FromRequestParts<State> for SeesProject {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<SeesProject, Denied> {
        let SignedIn(person) = SignedIn::from_request_parts(parts, server).await?;
        let key = path_parameter(parts, server, "project").await?;
        Ok(SeesProject(server.app.project(person, &key).await?))
    }
}

/// Someone who may see the group in the path; which role is needed is the use case's to say.
#[derive(Debug)]
pub(crate) struct SeesGroup(pub(crate) GroupAccess);

impl FromRequestParts<State> for SeesGroup {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<SeesGroup, Denied> {
        let SignedIn(person) = SignedIn::from_request_parts(parts, server).await?;
        let key = path_parameter(parts, server, "group").await?;
        Ok(SeesGroup(server.app.group(person, &key).await?))
    }
}

macro_rules! with_role {
    ($($(#[$doc:meta])* $name:ident($access:ty) = $sees:ident needs $role:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name(pub(crate) $access);

        impl FromRequestParts<State> for $name {
            type Rejection = Denied;

            async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<$name, Denied> {
                let $sees(access) = $sees::from_request_parts(parts, server).await?;
                Ok($name(access.require(Role::$role)?))
            }
        }
    )+};
}

with_role! {
    /// A member of any role of the project in the path.
    MemberOfProject(ProjectAccess) = SeesProject needs Guest;
    MaintainerOfProject(ProjectAccess) = SeesProject needs Maintainer;
    OwnerOfProject(ProjectAccess) = SeesProject needs Owner;
    MemberOfGroup(GroupAccess) = SeesGroup needs Guest;
    MaintainerOfGroup(GroupAccess) = SeesGroup needs Maintainer;
    OwnerOfGroup(GroupAccess) = SeesGroup needs Owner;
}

impl From<MaintainerOfProject> for GrantPlace {
    fn from(maintainer: MaintainerOfProject) -> GrantPlace {
        maintainer.0.into()
    }
}

impl From<MaintainerOfGroup> for GrantPlace {
    fn from(maintainer: MaintainerOfGroup) -> GrantPlace {
        maintainer.0.into()
    }
}
