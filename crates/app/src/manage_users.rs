//! Users, which are the administrators', and API tokens, which are everyone's own.

use crate::once::{Life, once};
use crate::{App, Conflict, Credential, Once, Person, Refusal, Rendered};
use jobpass_domain::Secret;
use jobpass_domain::audit::Change;
use jobpass_domain::ids::{UserId, UserTokenId};
use jobpass_domain::place::Place;
use jobpass_domain::text::UserName;
use jobpass_domain::token::Kind;
use jobpass_domain::user::{User, UserToken};
use jobpass_persistence::{OnConstraint, Tx, id_at, user};
use serde_json::json;
use time::OffsetDateTime;

impl App {
    pub async fn user_create(
        &self,
        person: &Person,
        name: &UserName,
        administrator: bool,
        idempotency: Option<&Once>,
        render: impl Fn(&User) -> Rendered,
    ) -> Result<Rendered, Refusal> {
        let context = self.context(person.actor(), person.request);
        let work = async |tx: &mut Tx| {
            let made = User { id: UserId(id_at(tx.now())), name: name.clone(), administrator, created_at: tx.now() };
            user::insert(tx, &made).await.on_constraint("users_name_key", || Refusal::from(Conflict::NameTaken))?;
            tx.audit(&changed("user.created", &made, None, Some(describe(&made)))).await?;
            Ok((render(&made), Life::default()))
        };
        self.transaction(context, async |tx: &mut Tx| once(tx, idempotency, person.user.id.0, work).await).await
    }

    pub async fn user_update(
        &self,
        person: &Person,
        key: &str,
        name: Option<&UserName>,
        administrator: Option<bool>,
        still: impl Fn(&User) -> bool,
    ) -> Result<User, Refusal> {
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            let old = user::lock(tx, key).await?.ok_or(Refusal::NotFound)?;
            if !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            let new = User {
                name: name.unwrap_or(&old.name).clone(),
                administrator: administrator.unwrap_or(old.administrator),
                ..old.clone()
            };
            user::update(tx, &new).await.on_constraint("users_name_key", || Refusal::from(Conflict::NameTaken))?;
            tx.audit(&changed("user.updated", &new, Some(describe(&old)), Some(describe(&new)))).await?;
            Ok(new)
        })
        .await
    }

    /// Ends the user's API tokens and memberships, and no job.
    pub async fn user_delete(&self, person: &Person, key: &str, still: impl Fn(&User) -> bool) -> Result<(), Refusal> {
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            let old = user::lock(tx, key).await?.ok_or(Refusal::NotFound)?;
            if !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            user::delete(tx, old.id).await?;
            tx.audit(&changed("user.deleted", &old, Some(describe(&old)), None)).await.map_err(Refusal::from)
        })
        .await
    }

    /// For oneself, or by an administrator for anyone. A read-only token makes none.
    pub async fn user_token_create(
        &self,
        person: &Person,
        draft: &DraftUserToken<'_>,
        idempotency: Option<&Once>,
        render: impl Fn(&UserToken, &Secret) -> Rendered,
    ) -> Result<Rendered, Refusal> {
        let own = draft.user == person.user.name.as_str() || draft.user == person.user.id.to_string();
        if !own && !person.user.administrator {
            return Err(Refusal::Forbidden { needs: "administrator" });
        }
        if let Some(kept) = self.replayed(idempotency, person.user.id.0).await? {
            return Ok(kept);
        }
        future("/expires_at", draft.expires_at, self.now())?;
        let credential = Credential::new(Kind::User)?;
        let context = self.context(person.actor(), person.request);
        let work = async |tx: &mut Tx| {
            let missing = || Refusal::invalid("/user", "not_found", "there is no such user");
            let user = user::lock(tx, draft.user).await?.ok_or_else(missing)?;
            let token = UserToken {
                id: UserTokenId(id_at(tx.now())),
                user: user.id,
                name: draft.name.map(str::to_owned),
                read_only: draft.read_only,
                expires_at: draft.expires_at,
                created_at: tx.now(),
            };
            user::insert_token(tx, &token, credential.hash).await?;
            tx.audit(&token_changed("user_token.created", token.id, user.id)).await?;
            Ok((render(&token, &credential.secret), Life::default()))
        };
        self.transaction(context, async |tx: &mut Tx| once(tx, idempotency, person.user.id.0, work).await).await
    }

    pub async fn find_user_token(&self, person: &Person, id: UserTokenId) -> Result<UserToken, Refusal> {
        let token = user::find_token(self.db.read(), id).await?.ok_or(Refusal::NotFound)?;
        if token.user != person.user.id && !person.user.administrator {
            return Err(Refusal::NotFound);
        }
        Ok(token)
    }

    pub async fn user_token_revoke(&self, person: &Person, id: UserTokenId) -> Result<(), Refusal> {
        let token = self.find_user_token(person, id).await?;
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            user::revoke_token(tx, token.id).await?;
            tx.audit(&token_changed("user_token.revoked", token.id, token.user)).await.map_err(Refusal::from)
        })
        .await
    }
}

/// An API token to be made.
#[derive(Clone, Copy, Debug)]
pub struct DraftUserToken<'a> {
    /// A user's name or id.
    pub user: &'a str,
    pub name: Option<&'a str>,
    pub read_only: bool,
    pub expires_at: Option<OffsetDateTime>,
}

/// An expiry that has passed already would be a credential that never lived.
pub(crate) fn future(pointer: &str, at: Option<OffsetDateTime>, now: OffsetDateTime) -> Result<(), Refusal> {
    if at.is_some_and(|at| at <= now) {
        Err(Refusal::invalid(pointer, "past", "must lie in the future"))
    } else {
        Ok(())
    }
}

fn changed(action: &'static str, user: &User, before: Option<String>, after: Option<String>) -> Change {
    Change { action, subject_kind: "user", subject: user.id.0, place: Place::Instance, before, after, reason: None }
}

fn token_changed(action: &'static str, token: UserTokenId, user: UserId) -> Change {
    let after = Some(json!({ "user_id": user.0 }).to_string());
    Change {
        action,
        subject_kind: "user_token",
        subject: token.0,
        place: Place::Instance,
        before: None,
        after,
        reason: None,
    }
}

fn describe(user: &User) -> String {
    json!({ "name": user.name, "administrator": user.administrator }).to_string()
}
