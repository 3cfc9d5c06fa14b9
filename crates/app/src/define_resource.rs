//! Resource types: the shipped ones, and those that an administrator adds.

use crate::once::{Life, once};
use crate::{App, Conflict, Once, Person, Refusal, Rendered};
use jobpass_domain::Catalogue;
use jobpass_domain::audit::Change;
use jobpass_domain::catalogue::{GitlabNames, ResourceType};
use jobpass_domain::permission::Slot;
use jobpass_domain::place::Place;
use jobpass_persistence::{OnConstraint, Tx, id_at, resource_type};
use serde_json::json;
use std::sync::Arc;

/// The longest name of a resource type, in bytes.
const MAX_NAME: usize = 63;
const MAX_TEXT: usize = 255;

impl App {
    /// The resource types as the database has them now.
    pub async fn fresh_catalogue(&self) -> Result<Arc<Catalogue>, Refusal> {
        self.reload_catalogue().await
    }

    pub async fn resource_create(
        &self,
        person: &Person,
        name: &str,
        description: &str,
        name_form: Option<&str>,
        idempotency: Option<&Once>,
        render: impl Fn(&ResourceType, &Catalogue) -> Rendered,
    ) -> Result<Rendered, Refusal> {
        check(name, description, name_form)?;
        if Catalogue::default().find(name).is_some() {
            return Err(Conflict::NameTaken.into());
        }
        let context = self.context(person.actor(), person.request);
        let work = async |tx: &mut Tx| {
            let slot = resource_type::insert(tx, name, description, name_form).await;
            let slot = slot.on_constraint("resource_types_name_key", || Refusal::from(Conflict::NameTaken))?;
            let slot = slot.and_then(|slot| Slot::new(u8::try_from(slot).ok()?)).ok_or(Conflict::NoFreeSlot)?;
            let made = ResourceType {
                slot,
                name: name.to_owned(),
                description: description.to_owned(),
                since: "operator".to_owned(),
                name_form: name_form.map(str::to_owned),
                gitlab: GitlabNames::None,
                operator_defined: true,
            };
            let catalogue = resource_type::catalogue(tx.on()).await?;
            let change = Change {
                action: "resource_type.created",
                subject_kind: "resource_type",
                subject: id_at(tx.now()),
                place: Place::Instance,
                before: None,
                after: Some(json!({ "name": name, "description": description }).to_string()),
                reason: None,
            };
            tx.audit(&change).await?;
            Ok((render(&made, &catalogue), Life::default()))
        };
        let answer =
            self.transaction(context, async |tx: &mut Tx| once(tx, idempotency, person.user.id.0, work).await).await?;
        self.reload_catalogue().await?;
        Ok(answer)
    }
}

fn check(name: &str, description: &str, name_form: Option<&str>) -> Result<(), Refusal> {
    let tail = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.len() > MAX_NAME || !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(tail) {
        return Err(Refusal::invalid("/name", "invalid", "is [a-z] followed by any of [a-z0-9_], up to 63 bytes"));
    }
    let texts = [("/description", Some(description)), ("/name_form", name_form)];
    for (pointer, text) in texts.into_iter().filter_map(|(pointer, text)| Some((pointer, text?))) {
        if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
            return Err(Refusal::invalid(pointer, "invalid", "1 to 255 bytes on one line"));
        }
    }
    Ok(())
}
