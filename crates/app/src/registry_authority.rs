//! What container registries trust. They are given one certificate in a file, once; its key, which is kept sealed, vouches for
//! keys that live for days and in memory alone, and those sign. So nothing that signs is ever stored, keys change by
//! themselves, and no registry has to be told; until the key that vouches has leaked, and an administrator replaces it.

use crate::keys::KeyPair;
use crate::{App, EncryptionKey, Person, Refusal};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jobpass_domain::audit::{Actor, Change};
use jobpass_domain::place::Place;
use jobpass_domain::signing_key::SigningAlgorithm;
use jobpass_persistence::registry_authority::{self, StoredAuthority};
use jobpass_persistence::{Context, Tx, id_at, signing_key};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, Issuer, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::{Arc, PoisonError, RwLock};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Registries cannot be made to take another without somebody at each.
const AUTHORITY_LIFE: Duration = Duration::days(20 * 365);
/// What vouches for a key outlives the last token that the key signs by far.
const LEAF_LIFE: Duration = Duration::days(7);
/// How old a key may be that signs.
const LEAF_SIGNS: Duration = Duration::days(1);
/// How far the clock of a registry may be behind.
const SKEW: Duration = Duration::hours(1);

/// A key that signs, and the certificate that says so, as in an `x5c` header (RFC 7515, section 4.1.6).
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) pair: KeyPair,
    pub(crate) x5c: String,
    made_at: OffsetDateTime,
}

pub(crate) struct Authority {
    id: Uuid,
    certificate: Vec<u8>,
    issuer: Issuer<'static, rcgen::KeyPair>,
    leaf: RwLock<Arc<Leaf>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(…)")
    }
}

impl Authority {
    fn open(stored: &StoredAuthority, key: &EncryptionKey, now: OffsetDateTime) -> Result<Authority, Refusal> {
        let private = key.open(&stored.sealed, stored.id.as_bytes());
        let private = private
            .ok_or_else(|| Refusal::Internal("the registry authority is sealed under another key".to_owned()))?;
        let pair = rcgen::KeyPair::try_from(private.as_slice()).map_err(failed)?;
        let issuer = Issuer::new(authority_params(now), pair);
        let leaf = RwLock::new(Arc::new(leaf(&issuer, now)?));
        Ok(Authority { id: stored.id, certificate: stored.certificate.clone(), issuer, leaf })
    }

    /// As registries are given it (RFC 7468, section 5).
    fn pem(&self) -> String {
        let text = STANDARD.encode(&self.certificate);
        let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
        format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
    }

    /// The key that signs now.
    pub(crate) fn leaf(&self, now: OffsetDateTime) -> Result<Arc<Leaf>, Refusal> {
        let held = Arc::clone(&self.leaf.read().unwrap_or_else(PoisonError::into_inner));
        if (held.made_at..held.made_at + LEAF_SIGNS).contains(&now) {
            return Ok(held);
        }
        let fresh = Arc::new(leaf(&self.issuer, now)?);
        *self.leaf.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        Ok(fresh)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn failed(error: rcgen::Error) -> Refusal {
    Refusal::Internal(format!("a certificate: {error}"))
}

/// Always the same name: a leaf names its issuer by name and by key.
fn authority_params(now: OffsetDateTime) -> CertificateParams {
    let mut params = params("Jobpass registry authority", now, AUTHORITY_LIFE);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn params(name: &str, now: OffsetDateTime, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (now - SKEW, now + life);
    params.use_authority_key_identifier_extension = true;
    params
}

fn leaf(issuer: &Issuer<'static, rcgen::KeyPair>, now: OffsetDateTime) -> Result<Leaf, Refusal> {
    let made = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let mut params = params("Jobpass registry token", now, LEAF_LIFE);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let certificate = params.signed_by(&made, issuer).map_err(failed)?;
    let pair = KeyPair::open(SigningAlgorithm::Es256, made.serialized_der())?;
    Ok(Leaf { pair, x5c: STANDARD.encode(certificate.der()), made_at: now })
}

impl App {
    /// The certificate that registries are to trust, as PEM.
    pub fn registry_authority_pem(&self) -> Result<String, Refusal> {
        Ok(self.registry_authority()?.pem())
    }

    pub(crate) fn registry_authority(&self) -> Result<Arc<Authority>, Refusal> {
        let held = self.held_authority();
        held.ok_or_else(|| Refusal::Internal("the registry authority is not there yet".to_owned()))
    }

    fn held_authority(&self) -> Option<Arc<Authority>> {
        self.registry_authority.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens the authority, and makes it at the very first start. One that another replica put in its place is taken up.
    pub(crate) async fn tend_registry_authority(&self) -> Result<(), Refusal> {
        let context = Context { actor: Actor::System, now: self.now(), request_id: None };
        let stored = match registry_authority::find(self.db.read()).await? {
            Some(stored) => stored,
            None => self.transaction(context, async |tx: &mut Tx| self.first_authority(tx).await).await?,
        };
        self.hold_authority(&stored)
    }

    /// Puts another in its place at once. Whoever has the leaked key goes on deceiving the registries that still hold its certificate;
    /// the new one, which is answered, is theirs to be given.
    pub async fn registry_authority_replace(&self, person: &Person, reason: Option<&str>) -> Result<String, Refusal> {
        let context = self.context(person.actor(), person.request);
        let stored = self
            .transaction(context, async |tx: &mut Tx| {
                signing_key::lock(tx).await?;
                let before = registry_authority::find(tx.on()).await?;
                registry_authority::delete(tx).await?;
                self.make_authority(tx, before.as_ref(), reason).await
            })
            .await?;
        self.hold_authority(&stored)?;
        self.registry_authority_pem()
    }

    fn hold_authority(&self, stored: &StoredAuthority) -> Result<(), Refusal> {
        if self.held_authority().is_some_and(|held| held.id == stored.id) {
            return Ok(());
        }
        let opened = Arc::new(Authority::open(stored, self.encryption_key()?, self.now())?);
        *self.registry_authority.write().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        Ok(())
    }

    /// Another replica may have been first.
    async fn first_authority(&self, tx: &mut Tx) -> Result<StoredAuthority, Refusal> {
        signing_key::lock(tx).await?;
        if let Some(stored) = registry_authority::find(tx.on()).await? {
            tx.nothing_to_audit();
            return Ok(stored);
        }
        self.make_authority(tx, None, None).await
    }

    async fn make_authority(
        &self,
        tx: &mut Tx,
        before: Option<&StoredAuthority>,
        reason: Option<&str>,
    ) -> Result<StoredAuthority, Refusal> {
        let (id, now) = (id_at(tx.now()), tx.now());
        let pair = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let sealed = self.encryption_key()?.seal(pair.serialized_der(), id.as_bytes())?;
        let made = CertifiedIssuer::self_signed(authority_params(now), pair).map_err(failed)?;
        let stored = StoredAuthority { id, certificate: made.der().to_vec(), sealed };
        registry_authority::insert(tx, &stored).await?;
        tx.audit(&Change {
            action: if before.is_some() { "registry_authority.replaced" } else { "registry_authority.made" },
            subject_kind: "registry_authority",
            subject: id,
            place: Place::Instance,
            before: before.map(fingerprint),
            after: Some(fingerprint(&stored)),
            reason: reason.map(str::to_owned),
        })
        .await?;
        Ok(stored)
    }
}

/// By which an operator tells certificates apart, as `openssl x509 -fingerprint -sha256` shows it but for its colons.
fn fingerprint(authority: &StoredAuthority) -> String {
    let hex = Sha256::digest(&authority.certificate).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    });
    json!({ "sha256_fingerprint": hex }).to_string()
}
