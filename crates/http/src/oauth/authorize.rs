//! The authorization endpoint, which discovery must name (OpenID Connect Discovery 1.0, section 3) and where nobody signs in.

use super::OAuthDenied;

/// Nobody signs in here: always refused; ask the token endpoint
#[utoipa::path(get, path = "/oauth/authorize", tag = "oauth", responses((status = 400, body = jobpass_api::OAuthError)))]
pub(crate) async fn oauth_authorize() -> OAuthDenied {
    OAuthDenied::new("unsupported_response_type", "nobody signs in here: a job asks the token endpoint")
}
