//! How a service's gateway asks: read from what an administrator wrote, or merged into what is set.

use crate::authorize::asked;
use crate::{App, Fault, Refusal};
use jobpass_domain::forward_auth::{
    DraftForwardAuth, ForwardAuth, ForwardAuthFault, IdentityHeader, Source, SourceKind,
};
use jobpass_domain::service::Service;

const AT: &str = "/forward_auth";

/// What a PATCH sets; the outer `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct ForwardAuthChange {
    pub source: Option<SourceKind>,
    pub method_header: Option<Option<String>>,
    pub path_header: Option<Option<String>>,
    pub permissions: Option<Option<Vec<String>>>,
    pub identity_headers: Option<Option<Vec<IdentityHeader>>>,
}

impl App {
    pub(crate) async fn draft_forward_auth(
        &self,
        draft: Option<&DraftForwardAuth>,
    ) -> Result<Option<ForwardAuth>, Refusal> {
        let Some(draft) = draft else { return Ok(None) };
        let permissions = self.canonical(draft.permissions.as_deref()).await?;
        let draft = DraftForwardAuth { permissions, ..draft.clone() };
        ForwardAuth::read(draft).map(Some).map_err(refused)
    }

    /// The change with its permissions as the catalogue calls them.
    pub(crate) async fn change_forward_auth(
        &self,
        change: Option<&Option<ForwardAuthChange>>,
    ) -> Result<Option<Option<ForwardAuthChange>>, Refusal> {
        let Some(Some(change)) = change else { return Ok(change.cloned()) };
        let permissions = match &change.permissions {
            None => None,
            Some(set) => Some(self.canonical(set.as_deref()).await?),
        };
        Ok(Some(Some(ForwardAuthChange { permissions, ..change.clone() })))
    }

    /// Known, expanded, in the order of the catalogue; an empty list is told as such later.
    async fn canonical(&self, permissions: Option<&[String]>) -> Result<Option<Vec<String>>, Refusal> {
        let Some(permissions) = permissions.filter(|permissions| !permissions.is_empty()) else {
            return Ok(permissions.map(<[String]>::to_vec));
        };
        let catalogue = self.catalogue_for(permissions).await?;
        let known = asked(permissions, &catalogue).map_err(|refusal| match refusal {
            Refusal::Invalid(faults) => Refusal::Invalid(faults.into_iter().map(|fault| fault.within(AT)).collect()),
            other => other,
        })?;
        Ok(Some(catalogue.expand(known)))
    }
}

/// What is set after a PATCH (RFC 7396).
pub(crate) fn merged(
    old: Option<&ForwardAuth>,
    change: Option<&Option<ForwardAuthChange>>,
) -> Result<Option<ForwardAuth>, Refusal> {
    let Some(change) = change else { return Ok(old.cloned()) };
    let Some(change) = change.clone() else { return Ok(None) };
    let old = old.map(ForwardAuth::draft).unwrap_or_default();
    let draft = DraftForwardAuth {
        source: change.source.or(old.source),
        method_header: change.method_header.unwrap_or(old.method_header),
        path_header: change.path_header.unwrap_or(old.path_header),
        permissions: change.permissions.unwrap_or(old.permissions),
        identity_headers: change.identity_headers.unwrap_or(old.identity_headers),
    };
    ForwardAuth::read(draft).map(Some).map_err(refused)
}

/// Fixed permissions are those of one project: the service's.
pub(crate) fn check(service: &Service) -> Result<(), Refusal> {
    let fixed = service.forward_auth.as_ref().is_some_and(|set| matches!(set.source, Source::Fixed(_)));
    if fixed && service.project.is_none() {
        let detail = "what is fixed is fixed in one project: register the service for it";
        return Err(Refusal::invalid("/project", "required", detail));
    }
    Ok(())
}

fn refused(fault: ForwardAuthFault) -> Refusal {
    let ForwardAuthFault { field, code, detail } = fault;
    Refusal::Invalid(vec![Fault::new(format!("{AT}/{field}"), code, detail)])
}
