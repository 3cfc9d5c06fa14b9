//! The first administrator, from the command line; and how every credential is made.

use crate::{App, Refusal, entropy};
use jobpass_domain::Secret;
use jobpass_domain::audit::{Actor, Change};
use jobpass_domain::ids::{UserId, UserTokenId};
use jobpass_domain::place::Place;
use jobpass_domain::text::UserName;
use jobpass_domain::token::{self, Kind, TokenHash};
use jobpass_domain::user::{User, UserToken};
use jobpass_persistence::{Context, Tx, id_at, user};

/// The name of the administrator that the command line makes.
const ADMIN: &str = "admin";

/// A credential just made: the text for its owner, the hash for the database.
#[derive(Debug)]
pub struct Credential {
    pub secret: Secret,
    pub(crate) hash: TokenHash,
}

impl Credential {
    pub(crate) fn new(kind: Kind) -> Result<Credential, Refusal> {
        let secret = token::generate(kind, entropy::token_bytes()?);
        let hash = TokenHash::of(secret.expose());
        Ok(Credential { secret, hash })
    }
}

impl App {
    /// Gives the user `admin`, made if need be, a further API token.
    pub async fn bootstrap_admin(&self) -> Result<Secret, Refusal> {
        let now = self.now();
        let credential = Credential::new(Kind::User)?;
        let context = Context { actor: Actor::System, now, request_id: None };
        self.transaction(context, async |tx: &mut Tx| {
            let admin = match user::lock(tx, ADMIN).await? {
                Some(user) => user,
                None => make_admin(tx).await?,
            };
            if !admin.administrator {
                return Err(Refusal::Forbidden { needs: "a user `admin` that is an administrator" });
            }
            let token = UserToken {
                id: UserTokenId(id_at(now)),
                user: admin.id,
                name: Some("bootstrap".to_owned()),
                read_only: false,
                expires_at: None,
                created_at: now,
            };
            user::insert_token(tx, &token, credential.hash).await?;
            tx.audit(&bootstrapped("user_token.created", "user_token", token.id.0)).await?;
            Ok(())
        })
        .await?;
        Ok(credential.secret)
    }
}

async fn make_admin(tx: &mut Tx) -> Result<User, Refusal> {
    let name = UserName::parse(ADMIN).map_err(|error| Refusal::Internal(error.to_string()))?;
    let user = User { id: UserId(id_at(tx.now())), name, administrator: true, created_at: tx.now() };
    user::insert(tx, &user).await?;
    tx.audit(&bootstrapped("user.created", "user", user.id.0)).await?;
    Ok(user)
}

fn bootstrapped(action: &'static str, subject_kind: &'static str, subject: uuid::Uuid) -> Change {
    let reason = Some("bootstrap-admin".to_owned());
    Change { action, subject_kind, subject, place: Place::Instance, before: None, after: None, reason }
}
