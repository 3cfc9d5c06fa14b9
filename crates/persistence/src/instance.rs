//! Instance-wide settings: one row.

use crate::error::stored;
use crate::{Result, Tx};
use jobpass_domain::mode::Mode;
use sqlx::PgExecutor;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    pub floor: Mode,
    /// The mode of new projects.
    pub default_mode: Mode,
}

pub async fn read(db: impl PgExecutor<'_>) -> Result<Instance> {
    let row = sqlx::query!("select floor, default_mode from instance").fetch_one(db).await?;
    Ok(Instance { floor: stored(Mode::named(&row.floor))?, default_mode: stored(Mode::named(&row.default_mode))? })
}

/// Held until the transaction ends.
pub async fn lock(tx: &mut Tx) -> Result<Instance> {
    sqlx::query!("select singleton from instance for update").fetch_one(tx.on()).await?;
    read(tx.on()).await
}

pub async fn update(tx: &mut Tx, floor: Mode, default_mode: Mode) -> Result<()> {
    sqlx::query!("update instance set floor = $1, default_mode = $2", floor.name(), default_mode.name())
        .execute(tx.on())
        .await?;
    Ok(())
}
