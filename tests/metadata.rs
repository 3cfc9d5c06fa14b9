//! RFC 8414: what the metadata says is true, and says all that clients configure themselves from.

use crate::support::{Server, World, settings};
use jobpass::{Clock, Failure};
use serde_json::{Value, json};

const PATH: &str = "/.well-known/oauth-authorization-server";

async fn metadata(server: &Server) -> Value {
    server.call("GET", PATH, None, None).await.expect(200).json
}

#[tokio::test]
async fn rfc8414_3_2_the_metadata_in_full() {
    let server = Server::start_with(|settings| settings.issuer = Some("https://ci.example.com".to_owned())).await;
    let reply = server.call("GET", PATH, None, None).await.expect(200);
    assert_eq!(reply.header("content-type"), "application/json");
    let mut told = reply.json;
    let scopes = told.as_object_mut().unwrap().remove("scopes_supported").unwrap();
    // Never `none`, and nothing symmetric.
    let algorithms =
        json!(["ES256", "ES384", "Ed25519", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"]);
    let expected = json!({
        "issuer": "https://ci.example.com",
        "jwks_uri": "https://ci.example.com/oauth/jwks",
        "token_endpoint": "https://ci.example.com/oauth/token",
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint": "https://ci.example.com/oauth/introspect",
        "introspection_endpoint_auth_methods_supported": ["Bearer", "client_secret_basic", "client_secret_post", "private_key_jwt"],
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint": "https://ci.example.com/oauth/revoke",
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "response_types_supported": ["none"],
        "grant_types_supported": [
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:token-exchange",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
        ],
        "authorization_details_types_supported": ["jobpass_project"],
        "service_documentation": "https://ci.example.com/docs/",
    });
    assert_eq!(told, expected);
    assert!(scopes.as_array().unwrap().contains(&json!("packages:read")));
}

#[tokio::test]
async fn rfc8414_2_scopes_supported_are_the_permissions_of_the_catalogue() {
    let server = Server::start().await;
    let catalogue = server.get("/v1/catalogue", &server.admin).await.expect(200).json;
    let permissions = |resource: &Value| resource["permissions"].as_array().unwrap().clone();
    let all: Vec<_> = catalogue["resources"].as_array().unwrap().iter().flat_map(permissions).collect();
    assert_eq!(metadata(&server).await["scopes_supported"], json!(all));
}

#[tokio::test]
async fn rfc8414_3_3_the_issuer_is_the_same_everywhere() {
    let server = Server::start_with(|settings| settings.issuer = Some("https://ci.example.com".to_owned())).await;
    let world = World::on(server).await;
    let token = world.token("1").await;
    let told = world.introspect(&token, &[]).await.expect(200).json;
    assert_eq!(told["iss"], metadata(&world.server).await["issuer"]);
    assert_eq!(told["iss"], "https://ci.example.com");
}

#[tokio::test]
async fn rfc8414_2_the_issuer_is_a_url_without_query_and_fragment() {
    for issuer in [
        "https://ci.example.com?x=y",
        "https://ci.example.com#x",
        "https://ci.example.com/",
        "ci.example.com",
        "https://",
    ] {
        let mut settings = settings("postgres://nowhere.invalid".to_owned());
        settings.issuer = Some(issuer.to_owned());
        let started = jobpass::start(settings, Clock::system()).await;
        assert!(matches!(started, Err(Failure::Issuer)), "{issuer}");
    }
}

#[tokio::test]
async fn rfc8414_3_2_no_array_is_empty() {
    let server = Server::start().await;
    for (name, value) in metadata(&server).await.as_object().unwrap() {
        assert_ne!(value, &json!([]), "{name}");
        assert!(!value.is_null(), "{name}");
    }
}

#[tokio::test]
async fn rfc8414_2_every_endpoint_answers() {
    let server = Server::start().await;
    let told = metadata(&server).await;
    for name in ["token_endpoint", "introspection_endpoint", "revocation_endpoint"] {
        let path = told[name].as_str().unwrap().strip_prefix(&server.url).unwrap();
        let reply = server.form(path, None, &[]).await;
        assert!(matches!(reply.status, 400 | 401), "{name}: {}", reply.status);
    }
    let keys = told["jwks_uri"].as_str().unwrap().strip_prefix(&server.url).unwrap();
    let keys = server.call("GET", keys, None, None).await.expect(200).json;
    assert_eq!(keys["keys"].as_array().unwrap().len(), 3, "the keys that verify its ID tokens");
    let documentation = told["service_documentation"].as_str().unwrap().strip_prefix(&server.url).unwrap();
    server.call("GET", documentation, None, None).await.expect(200);
    let named = told.as_object().unwrap().keys().filter(|name| name.ends_with("_endpoint") || name.ends_with("_uri"));
    assert_eq!(named.count(), 4, "no other is named");
}

#[tokio::test]
async fn rfc9111_5_2_2_9_the_metadata_may_be_cached() {
    let server = Server::start().await;
    let reply = server.call("GET", PATH, None, None).await.expect(200);
    assert_eq!(reply.header("cache-control"), "public, max-age=300");
}

#[tokio::test]
async fn rfc9110_13_1_2_metadata_that_is_known_is_not_sent_again() {
    let server = Server::start().await;
    let first = server.call("GET", PATH, None, None).await.expect(200);
    let etag = first.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.len() > 2, "{etag}");
    for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let reply = server.call_with("GET", PATH, None, None, &[("if-none-match", &known)]).await.expect(304);
        assert_eq!(reply.text, "");
        assert_eq!(reply.header("etag"), etag);
        assert_eq!(reply.header("cache-control"), "public, max-age=300");
    }
    server.call_with("GET", PATH, None, None, &[("if-none-match", "\"x\"")]).await.expect(200);
}

#[tokio::test]
async fn rfc8414_3_1_only_get_and_head() {
    let server = Server::start().await;
    let reply = server.form(PATH, None, &[]).await.expect(405);
    assert_eq!(reply.header("allow"), "GET,HEAD");
    server.call("HEAD", PATH, None, None).await.expect(200);
}
