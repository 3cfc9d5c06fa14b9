//! The crate `oauth2`: it encodes both halves of Basic, wants JSON said to be JSON, and revokes over https alone.

use jobpass_interop::{Asked, Credentials, Failed, Transport, check, ensure};
use oauth2::basic::{BasicClient, BasicRequestTokenError, BasicTokenIntrospectionResponse};
use oauth2::{
    AccessToken, AuthType, ClientId, ClientSecret, EndpointNotSet, EndpointSet, IntrospectionUrl, RevocationUrl,
    StandardRevocableToken, TokenIntrospectionResponse, TokenResponse, TokenUrl,
};

type Client = BasicClient<EndpointNotSet, EndpointNotSet, EndpointSet, EndpointSet, EndpointSet>;

struct Driver {
    asked: Asked,
    transport: Transport,
}

impl Driver {
    fn client(&self, credentials: &Credentials, way: AuthType) -> Result<Client, Failed> {
        let at = |path: &str| format!("{}/oauth/{path}", self.asked.issuer);
        Ok(BasicClient::new(ClientId::new(credentials.client_id.clone()))
            .set_client_secret(ClientSecret::new(credentials.client_secret.clone()))
            .set_auth_type(way)
            .set_introspection_url(IntrospectionUrl::new(at("introspect"))?)
            .set_revocation_url(RevocationUrl::new(at("revoke").replace("http://", "https://"))?)
            .set_token_uri(TokenUrl::new(at("token"))?))
    }

    fn introspect(&self, token: &str, way: AuthType) -> Result<BasicTokenIntrospectionResponse, Failed> {
        let (client, token) = (self.client(&self.asked.service, way)?, AccessToken::new(token.to_owned()));
        let asked = client.introspect(&token).add_extra_param("project", self.asked.project.clone());
        Ok(asked.request(&self.transport)?)
    }

    fn scopes(&self, token: &str) -> Result<Vec<String>, Failed> {
        let answer = self.introspect(token, AuthType::BasicAuth)?;
        ensure(answer.active(), "it is not active")?;
        Ok(answer.scopes().into_iter().flatten().map(|scope| scope.to_string()).collect())
    }

    fn is_dead(&self, token: &str) -> Result<(), Failed> {
        let answer = self.introspect(token, AuthType::BasicAuth)?;
        ensure(!answer.active() && answer.scopes().is_none() && answer.exp().is_none(), "it says more than no")
    }

    fn revoke(&self, token: &str) -> Result<(), Failed> {
        let token = StandardRevocableToken::AccessToken(AccessToken::new(token.to_owned()));
        let client = self.client(&self.asked.runner, AuthType::BasicAuth)?;
        Ok(client.revoke_token(token)?.request(&self.transport)?)
    }
}

fn main() {
    let driver = Driver { asked: Asked::read(), transport: Transport::default() };
    let asked = &driver.asked;
    check("allowed", || {
        ensure(driver.scopes(&asked.allowed)?.contains(&"packages:read".to_owned()), "no packages:read")
    });
    check("denied", || ensure(driver.scopes(&asked.denied)?.iter().all(String::is_empty), "something is allowed"));
    check("revoked", || driver.is_dead(&asked.revoked));
    check("expired", || driver.is_dead(&asked.expired));
    check("client_secret_post", || {
        ensure(driver.introspect(&asked.allowed, AuthType::RequestBody)?.active(), "it is not active")
    });
    check("wrong secret", || {
        let wrong = Credentials { client_id: asked.service.client_id.clone(), client_secret: "jps_nobody".to_owned() };
        for way in [AuthType::BasicAuth, AuthType::RequestBody] {
            let token = AccessToken::new(asked.allowed.clone());
            let refused = driver.client(&wrong, way)?.introspect(&token).request(&driver.transport);
            let Err(BasicRequestTokenError::ServerResponse(refused)) = refused else {
                return Err(format!("{refused:?}").into());
            };
            ensure(refused.error().as_ref() == "invalid_client", "another error")?;
        }
        Ok(())
    });
    check("revocation", || {
        driver.revoke(&asked.spare[0])?;
        driver.is_dead(&asked.spare[0])
    });
    check("client_credentials", || {
        for way in [AuthType::BasicAuth, AuthType::RequestBody] {
            let answer = driver.client(&asked.runner, way)?.exchange_client_credentials().request(&driver.transport)?;
            let life = answer.expires_in().map_or(0, |life| life.as_secs());
            ensure((1..=600).contains(&life) && answer.refresh_token().is_none(), "not for ten minutes")?;
            driver.revoke(answer.access_token().secret())?;
        }
        Ok(())
    });
}
