//! Settings of the whole instance.

use super::Answered;
use crate::etag::{IfMatch, Tagged};
use crate::extract::{Administrator, Body, Way};
use crate::problem::Denied;
use crate::server::Api;
use axum::response::IntoResponse;
use jobpass_api::{InstanceSettings, NewInstanceSettings};
use jobpass_app::Instance;

/// The floor of every project, and the mode of new ones (administrators)
#[utoipa::path(get, path = "/v1/instance/settings", tag = "instance", responses((status = 200, body = InstanceSettings)))]
pub(crate) async fn instance_settings_read(api: Api, _by: Administrator) -> Result<Tagged<InstanceSettings>, Denied> {
    Ok(Tagged(shown(api.app.instance_read().await?)))
}

/// Set the floor of every project, and the mode of new ones (administrators); If-Match is required
#[utoipa::path(put, path = "/v1/instance/settings", tag = "instance", request_body = NewInstanceSettings,
    responses((status = 200, body = InstanceSettings)))]
pub(crate) async fn instance_settings_put(
    api: Api,
    by: Administrator,
    still: IfMatch,
    how: Way,
    body: Body<NewInstanceSettings>,
) -> Answered {
    let still = still.required()?;
    let NewInstanceSettings { floor, default_mode, reason } = body.value;
    let wanted = Instance { floor, default_mode };
    let still = |current: &Instance| still.holds(&shown(*current));
    let done = api.app.instance_put(&by.0, wanted, reason.map(String::from), how.0, still).await?;
    Ok(super::done(done, |instance| Tagged(shown(instance)).into_response()))
}

fn shown(instance: Instance) -> InstanceSettings {
    InstanceSettings { floor: instance.floor, default_mode: instance.default_mode }
}
