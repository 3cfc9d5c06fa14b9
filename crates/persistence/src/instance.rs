//! Instance-wide settings: one row.

use crate::Result;
use crate::error::stored;
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
