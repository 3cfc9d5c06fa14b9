//! The settings of the whole instance: the administrators'.

use crate::{App, Done, How, Person, Refusal};
use jobpass_domain::audit::Change;
use jobpass_domain::mode::Mode;
use jobpass_domain::place::Place;
use jobpass_persistence::usage::Touched;
use jobpass_persistence::{Tx, instance};
use serde_json::json;
use uuid::Uuid;

/// What holds for the whole instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    pub floor: Mode,
    /// The mode of new projects.
    pub default_mode: Mode,
}

impl App {
    pub async fn instance_read(&self) -> Result<Instance, Refusal> {
        Ok(shown(instance::read(self.db.read()).await?))
    }

    /// The caller has seen to it that this person is an administrator.
    pub async fn instance_put(
        &self,
        person: &Person,
        wanted: Instance,
        reason: Option<String>,
        how: How,
        still: impl Fn(&Instance) -> bool,
    ) -> Result<Done<Instance>, Refusal> {
        let context = self.context(person.actor(), person.request);
        let touched = Touched { place: Place::Instance, sources_too: false };
        let steps_up = wanted.floor == Mode::Enforced;
        self.change(context, (touched, steps_up), how, async |tx: &mut Tx| {
            let old = shown(instance::lock(tx).await?);
            if !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            instance::update(tx, wanted.floor, wanted.default_mode).await?;
            tx.audit(&Change {
                action: "instance.updated",
                subject_kind: "instance",
                subject: Uuid::nil(),
                place: Place::Instance,
                before: Some(describe(old)),
                after: Some(describe(wanted)),
                reason: reason.clone(),
            })
            .await?;
            Ok(wanted)
        })
        .await
    }
}

fn shown(stored: instance::Instance) -> Instance {
    Instance { floor: stored.floor, default_mode: stored.default_mode }
}

fn describe(instance: Instance) -> String {
    json!({ "floor": instance.floor, "default_mode": instance.default_mode }).to_string()
}
