//! Resource types that administrators added.

use crate::error::stored;
use crate::{Result, Tx};
use jobpass_domain::catalogue::{Catalogue, GitlabNames, ResourceType};
use jobpass_domain::permission::Slot;
use sqlx::PgExecutor;

/// All types, shipped ones included.
pub async fn catalogue(db: impl PgExecutor<'_>) -> Result<Catalogue> {
    let rows = sqlx::query!("select slot, name, description, name_form from resource_types order by slot")
        .fetch_all(db)
        .await?;
    let types = rows.into_iter().map(|row| {
        Ok(ResourceType {
            slot: stored(u8::try_from(row.slot).ok().and_then(Slot::new))?,
            name: row.name,
            description: row.description,
            since: "operator".to_owned(),
            name_form: row.name_form,
            gitlab: GitlabNames::None,
            operator_defined: true,
        })
    });
    Ok(Catalogue::with_operator_types(types.collect::<Result<Vec<_>>>()?))
}

/// Gives the type the next slot; `None` when all are taken.
pub async fn insert(tx: &mut Tx, name: &str, description: &str, name_form: Option<&str>) -> Result<Option<i16>> {
    let now = tx.now();
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('jobpass.resource_types', 0))")
        .fetch_one(tx.on())
        .await?;
    Ok(sqlx::query_scalar!(
        "insert into resource_types (slot, name, description, name_form, created_at)
         select next.slot, $1, $2, $3, $4 from (select coalesce(max(slot) + 1, 32) as slot from resource_types) next
         where next.slot < 64
         returning slot",
        name,
        description,
        name_form,
        now
    )
    .fetch_optional(tx.on())
    .await?)
}
