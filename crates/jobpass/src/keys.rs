//! `jobpass keys`: what signs on a running server, looked at and replaced by an administrator.

use crate::as_code::{Address, Failure, Server};
use clap::{Args, Subcommand, ValueEnum};
use jobpass_api::{SigningKey, SigningKeys};
use jobpass_domain::signing_key::{Phase, SigningAlgorithm};
use std::io::Write;
use time::format_description::well_known::Rfc3339;

/// The keys that sign ID tokens, and what registries trust; who asks is said by the variable `JOBPASS_TOKEN`, an administrator's
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Keys {
    /// Show every key, and where in its life it is
    List(Address),
    /// Publish a successor for each key; it signs two hours later
    Rotate(RotateArgs),
    /// Take a leaked key out of the key set at once: what it signed is worthless, and another signs
    Revoke(RevokeArgs),
    /// Replace the registry authority, whose key has leaked, and print the certificate that every registry must be given
    ReplaceAuthority(ReplaceAuthorityArgs),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RotateArgs {
    /// Of this algorithm alone
    #[arg(long, value_enum)]
    algorithm: Option<Algorithm>,

    /// Why; kept in the audit event
    #[arg(long)]
    reason: Option<String>,

    #[command(flatten)]
    address: Address,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RevokeArgs {
    /// As in the header of what it signed; may begin with `-`
    #[arg(allow_hyphen_values = true)]
    kid: String,

    /// Why; kept in the audit event
    #[arg(long)]
    reason: Option<String>,

    #[command(flatten)]
    address: Address,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ReplaceAuthorityArgs {
    /// Why; kept in the audit event
    #[arg(long)]
    reason: Option<String>,

    #[command(flatten)]
    address: Address,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Algorithm {
    #[value(name = "RS256")]
    Rs256,
    #[value(name = "ES256")]
    Es256,
    #[value(name = "EdDSA")]
    EdDsa,
}

impl From<Algorithm> for SigningAlgorithm {
    fn from(algorithm: Algorithm) -> SigningAlgorithm {
        match algorithm {
            Algorithm::Rs256 => SigningAlgorithm::Rs256,
            Algorithm::Es256 => SigningAlgorithm::Es256,
            Algorithm::EdDsa => SigningAlgorithm::EdDsa,
        }
    }
}

pub(crate) async fn run(keys: Keys, out: &mut impl Write) -> Result<(), Failure> {
    let told = match keys {
        Keys::List(address) => Server::new(&address.url)?.signing_keys().await?,
        Keys::Rotate(RotateArgs { algorithm, reason, address }) => {
            Server::new(&address.url)?.rotate_signing_keys(algorithm.map(SigningAlgorithm::from), reason).await?
        }
        Keys::Revoke(RevokeArgs { kid, reason, address }) => {
            let server = Server::new(&address.url)?;
            let known = server.signing_keys().await?.items.into_iter().find(|key| key.kid == kid);
            let known = known.ok_or_else(|| Failure::None { called: format!("key {kid}") })?;
            server.revoke_signing_key(known.id, reason).await?
        }
        Keys::ReplaceAuthority(ReplaceAuthorityArgs { reason, address }) => {
            let certificate = Server::new(&address.url)?.replace_registry_authority(reason).await?;
            return Ok(out.write_all(certificate.as_bytes())?);
        }
    };
    show(&told, out)
}

/// A line a key: what is asked for most comes first, and the last column ends the line.
fn show(keys: &SigningKeys, out: &mut impl Write) -> Result<(), Failure> {
    for key in &keys.items {
        writeln!(out, "{}  {:<5}  {}", key.kid, key.algorithm.name(), life(key))?;
    }
    Ok(())
}

fn life(key: &SigningKey) -> String {
    let at = |time: time::OffsetDateTime| time.format(&Rfc3339).unwrap_or_default();
    let from = at(key.signs_from);
    match (key.phase, key.signs_until, key.revoked_at) {
        (Phase::Revoked, _, Some(revoked)) => format!("revoked at {}", at(revoked)),
        (Phase::Published, ..) => format!("signs from {from} on"),
        (_, Some(until), _) => format!("signs from {from} to {}", at(until)),
        _ => format!("signs since {from}"),
    }
}
