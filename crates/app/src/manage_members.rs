//! Members of groups and projects: the owners' to set.

use crate::{App, Person, Refusal};
use jobpass_domain::Role;
use jobpass_domain::audit::Change;
use jobpass_domain::ids::UserId;
use jobpass_domain::place::Place;
use jobpass_domain::text::UserName;
use jobpass_domain::user::User;
use jobpass_persistence::{Tx, member, user};
use serde_json::json;

impl App {
    pub async fn member_put(&self, person: &Person, place: Place, name: &str, role: Role) -> Result<User, Refusal> {
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            let user = user::lock(tx, name).await?.ok_or(Refusal::NotFound)?;
            set(tx, place, &user, role).await?;
            Ok(user)
        })
        .await
    }

    pub async fn member_delete(&self, person: &Person, place: Place, name: &str) -> Result<(), Refusal> {
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            let user = user::lock(tx, name).await?.ok_or(Refusal::NotFound)?;
            remove(tx, place, (user.id, &user.name)).await
        })
        .await
    }
}

/// Sets a member's role; the user is held.
pub(crate) async fn set(tx: &mut Tx, place: Place, user: &User, role: Role) -> Result<(), Refusal> {
    let before = member::put(tx, user.id, place, role).await?;
    Ok(tx.audit(&changed((user.id, &user.name), place, before, Some(role))).await?)
}

pub(crate) async fn remove(tx: &mut Tx, place: Place, user: (UserId, &UserName)) -> Result<(), Refusal> {
    let before = member::remove(tx, user.0, place).await?.ok_or(Refusal::NotFound)?;
    Ok(tx.audit(&changed(user, place, Some(before), None)).await?)
}

fn changed((id, name): (UserId, &UserName), place: Place, before: Option<Role>, after: Option<Role>) -> Change {
    let describe = |role: Role| json!({ "user": name, "role": role }).to_string();
    let action = if after.is_some() { "member.set" } else { "member.removed" };
    Change {
        action,
        subject_kind: "user",
        subject: id.0,
        place,
        before: before.map(describe),
        after: after.map(describe),
        reason: None,
    }
}
