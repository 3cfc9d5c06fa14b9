//! The crate `openidconnect`: it configures itself by discovery, and verifies an ID token that a job got for it.

use jobpass_interop::{Asked, Failed, Transport, check, ensure};
use oauth2::SyncHttpClient;
use oauth2::http::Request;
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJwsSigningAlgorithm, CoreProviderMetadata};
use openidconnect::{ClientId, IssuerUrl, Nonce};
use std::str::FromStr;

const READER: &str = "https://cloud.example.com";

struct Driver {
    asked: Asked,
    transport: Transport,
}

impl Driver {
    fn metadata(&self) -> Result<CoreProviderMetadata, Failed> {
        Ok(CoreProviderMetadata::discover(&IssuerUrl::new(self.asked.issuer.clone())?, &self.transport)?)
    }

    /// An ID token for a job token, by a token exchange, of which this crate knows nothing; the error otherwise.
    fn exchange(&self, subject: &str, algorithm: &str) -> Result<Result<String, String>, Failed> {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", subject),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:id_token"),
            ("id_token_signed_response_alg", algorithm),
            ("audience", READER),
        ];
        let body = oauth2::url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(format!("{}/oauth/token", self.asked.issuer))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.into_bytes())?;
        let answer: serde_json::Value = serde_json::from_slice(self.transport.call(request)?.body())?;
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        text("access_token").map(Ok).or(text("error").map(Err)).ok_or_else(|| answer.to_string().into())
    }

    fn verify(&self, reader: &str, token: &str) -> Result<String, Failed> {
        let metadata = self.metadata()?;
        let reader = ClientId::new(reader.to_owned());
        let verifier =
            CoreIdTokenVerifier::new_public_client(reader, metadata.issuer().clone(), metadata.jwks().clone())
                .set_allowed_algs([
                    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
                    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
                    CoreJwsSigningAlgorithm::EdDsa,
                ]);
        let token = CoreIdToken::from_str(token)?;
        let claims = token.claims(&verifier, |_: Option<&Nonce>| Ok(()))?;
        Ok(claims.subject().to_string())
    }

    fn gets_none(&self, subject: &str) -> Result<(), Failed> {
        let refused = self.exchange(subject, "RS256")?;
        ensure(refused.as_ref().is_err_and(|error| error == "invalid_request"), "it was not refused")
    }
}

fn main() {
    let driver = Driver { asked: Asked::read(), transport: Transport::default() };
    let asked = &driver.asked;
    check("discovery", || {
        let metadata = driver.metadata()?;
        ensure(!metadata.jwks().keys().is_empty(), "no keys")?;
        ensure(metadata.id_token_signing_alg_values_supported().len() == 3, "RS256, ES256 and EdDSA")
    });
    check("allowed", || {
        for algorithm in ["RS256", "ES256", "EdDSA"] {
            let token = driver.exchange(&asked.allowed, algorithm)?.map_err(|error| format!("{algorithm}: {error}"))?;
            let subject = driver.verify(READER, &token).map_err(|error| format!("{algorithm}: {error:?}"))?;
            ensure(!subject.is_empty(), "it has no subject")?;
        }
        Ok(())
    });
    check("denied", || {
        let token = driver.exchange(&asked.allowed, "RS256")??;
        ensure(driver.verify("https://other.example.com", &token).is_err(), "another reader takes it")?;
        let (signed, signature) = token.rsplit_once('.').ok_or("no JWT")?;
        let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
        ensure(driver.verify(READER, &forged).is_err(), "a forged one is taken")
    });
    check("revoked", || driver.gets_none(&asked.revoked));
    check("expired", || driver.gets_none(&asked.expired));
}
