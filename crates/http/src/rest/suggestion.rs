//! Suggestions from usage, and applying them.

use super::Answered;
use crate::etag::{self, IfMatch};
use crate::extract::{Body, MaintainerOfProject, QueryRead, Way, days, parsed, query, unknown_parameter};
use crate::problem::Denied;
use crate::render;
use crate::server::Api;
use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use jobpass_api::{AppliedSuggestions, ApplySuggestions, Suggestions};
use jobpass_app::{Basis, Choice, Refusal};

/// The fewest and narrowest grants that cover what was used, and what of the grants nobody used (maintainers)
#[utoipa::path(get, path = "/v1/projects/{project}/suggestions", tag = "usage", params(
    ("window_days" = Option<u16>, Query, description = "How many days back uses count, 1 to 3650; 90 if left out"),
    ("fold" = Option<bool>, Query, description = "Make one grant to a group of sources that want the same"),
), responses((status = 200, body = Suggestions)))]
pub(crate) async fn suggestions_read(api: Api, by: MaintainerOfProject, asked: From) -> Answered {
    let found = api.app.suggestions_read(&by.0, asked.0).await?;
    Ok(etag::tagged_as(&render::suggestions(&found), &tag(&found)))
}

/// Apply all suggestions, or some, in one transaction (maintainers); If-Match with the suggestions' ETag is required
#[utoipa::path(post, path = "/v1/projects/{project}/suggestions/apply", tag = "usage", params(
    ("fold" = Option<bool>, Query, description = "As the suggestions were asked for"),
), request_body = ApplySuggestions, responses((status = 200, body = AppliedSuggestions)))]
pub(crate) async fn suggestions_apply(
    api: Api,
    by: MaintainerOfProject,
    still: IfMatch,
    asked: FromAndWay,
    body: Body<ApplySuggestions>,
) -> Answered {
    let still = still.required()?;
    let choice = match body.value {
        ApplySuggestions { all: true, ids } if ids.is_empty() => Choice::All,
        ApplySuggestions { all: false, ids } if !ids.is_empty() => Choice::These(ids),
        _ => return Err(Refusal::invalid("", "one_choice", "either all, or the ids of some").into()),
    };
    let FromAndWay(basis, how) = asked;
    let still = |found: &jobpass_app::Suggestions| still.holds_for(|| tag(found));
    let done = api.app.suggestions_apply(&by.0, (basis, &choice), how.0, still).await?;
    Ok(super::done(done, |(applied, revision)| -> Response {
        etag::tagged_as(&AppliedSuggestions { applied }, &super::grant::list_tag(revision))
    }))
}

/// The tag says what is suggested, and not how often it was seen: that changes all the time.
fn tag(found: &jobpass_app::Suggestions) -> String {
    let ids: Vec<&str> = found.items.iter().map(|item| item.id.as_str()).collect();
    etag::tag(&(found.revision, found.basis.window_days, found.basis.fold, ids))
}

/// From which uses, and whether to fold.
#[derive(Debug)]
pub(crate) struct From(Basis);

impl<S: Sync> FromRequestParts<S> for From {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<From, Denied> {
        let mut basis = Basis::default();
        for (name, value) in query(parts)? {
            match name.as_str() {
                "window_days" => basis.window_days = days("?window_days", &value)?,
                "fold" => basis.fold = parsed("?fold", &value, "true or false")?,
                _ => return Err(unknown_parameter(&name)),
            }
        }
        Ok(From(basis))
    }
}

/// The same, beside how the change is to be made.
#[derive(Debug)]
pub(crate) struct FromAndWay(Basis, Way);

impl<S: Sync> FromRequestParts<S> for FromAndWay {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<FromAndWay, Denied> {
        let way = Way::beside(parts, &["fold"])?;
        let fold = query(parts)?.into_iter().find(|(name, _)| name == "fold");
        let fold = fold.map_or(Ok(false), |(_, value)| parsed("?fold", &value, "true or false"))?;
        parts.extensions.insert(QueryRead);
        Ok(FromAndWay(Basis { window_days: way.0.window_days, fold }, way))
    }
}
