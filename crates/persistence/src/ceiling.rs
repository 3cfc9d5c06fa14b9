//! Ceilings, as the question statement gathers them, and as owners put them.

use crate::{Result, Tx};
use jobpass_domain::catalogue::Catalogue;
use jobpass_domain::ceiling::{Ceiling, SavedCeiling, Side, When};
use jobpass_domain::ids::CeilingId;
use jobpass_domain::permission::PermissionSet;
use jobpass_domain::place::Place;
use serde::Deserialize;
use sqlx::PgExecutor;
use sqlx::types::Json;
use uuid::Uuid;

/// An unknown condition in `applies_when` is a defect, not a ceiling that applies never.
#[derive(Debug, Deserialize)]
pub(crate) struct Columns {
    id: Uuid,
    applies_when: When,
    at_most: Vec<String>,
}

pub(crate) fn all(columns: Vec<Columns>, catalogue: &Catalogue) -> Vec<Ceiling> {
    columns.into_iter().map(|one| one.into_ceiling(catalogue)).collect()
}

impl Columns {
    fn into_ceiling(self, catalogue: &Catalogue) -> Ceiling {
        Ceiling { id: CeilingId(self.id), at_most: known(&self.at_most, catalogue), when: self.applies_when }
    }
}

/// A permission that is unknown here is not allowed by the ceiling: it only gets lower.
fn known(at_most: &[String], catalogue: &Catalogue) -> PermissionSet {
    let known = at_most.iter().filter_map(|text| catalogue.parse_ceiling(text).ok());
    known.fold(PermissionSet::EMPTY, PermissionSet::union)
}

/// The ceilings that were put on a place, in the order in which they were put.
pub async fn list(db: impl PgExecutor<'_>, place: Place, catalogue: &Catalogue) -> Result<Vec<SavedCeiling>> {
    let rows = sqlx::query!(
        r#"select id, side, applies_when as "applies_when: Json<When>", at_most from ceilings
         where project_id is not distinct from $1 and group_id is not distinct from $2 order by position"#,
        place.project_id(),
        place.group_id()
    );
    rows.fetch_all(db)
        .await?
        .into_iter()
        .map(|row| {
            let at_most = known(&row.at_most, catalogue);
            let ceiling = Ceiling { id: CeilingId(row.id), when: row.applies_when.0, at_most };
            Ok(SavedCeiling { ceiling, side: crate::error::stored(Side::named(&row.side))?, at_most: row.at_most })
        })
        .collect()
}

/// Puts all of a place at once. Those that stay keep their time of creation.
pub async fn replace(tx: &mut Tx, place: Place, ceilings: &[SavedCeiling]) -> Result<()> {
    let ids: Vec<Uuid> = ceilings.iter().map(|saved| saved.ceiling.id.0).collect();
    sqlx::query!(
        "delete from ceilings where project_id is not distinct from $1 and group_id is not distinct from $2 and id <> all($3)",
        place.project_id(),
        place.group_id(),
        &ids
    )
    .execute(tx.on())
    .await?;
    let now = tx.now();
    for (position, saved) in (0i32..).zip(ceilings) {
        sqlx::query!(
            "insert into ceilings (id, group_id, project_id, position, side, applies_when, at_most, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8)
             on conflict (id) do update set position = excluded.position, side = excluded.side,
                applies_when = excluded.applies_when, at_most = excluded.at_most",
            saved.ceiling.id.0,
            place.group_id(),
            place.project_id(),
            position,
            saved.side.name(),
            Json(&saved.ceiling.when) as _,
            &saved.at_most,
            now
        )
        .execute(tx.on())
        .await?;
    }
    Ok(())
}
