//! Route tables that operators described. The built-in one is in the code and has no row.

use crate::{Result, Tx};
use jobpass_domain::ids::RouteTableId;
use jobpass_domain::route::{SavedTable, TableText};
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

struct Row {
    id: Uuid,
    name: String,
    version: i64,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<Row> for SavedTable {
    fn from(row: Row) -> SavedTable {
        SavedTable {
            id: RouteTableId(row.id),
            name: row.name,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// By name.
pub async fn list(db: impl PgExecutor<'_>, after: Option<&str>, limit: i64) -> Result<Vec<SavedTable>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id, name, version, created_at, updated_at from route_tables
         where $1::text is null or name > $1 order by name limit $2"#,
        after,
        limit
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(SavedTable::from).collect())
}

pub async fn find(db: impl PgExecutor<'_>, name: &str) -> Result<Option<SavedTable>> {
    let row = sqlx::query_as!(
        Row,
        "select id, name, version, created_at, updated_at from route_tables where name = $1",
        name
    );
    Ok(row.fetch_optional(db).await?.map(SavedTable::from))
}

/// With its text, both of one version.
pub async fn read(db: impl PgExecutor<'_>, name: &str) -> Result<Option<TableText>> {
    let row =
        sqlx::query!("select id, name, version, yaml, created_at, updated_at from route_tables where name = $1", name);
    Ok(row.fetch_optional(db).await?.map(|row| TableText {
        saved: SavedTable {
            id: RouteTableId(row.id),
            name: row.name,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        },
        yaml: row.yaml,
    }))
}

/// Held until the transaction ends.
pub async fn lock(tx: &mut Tx, name: &str) -> Result<Option<TableText>> {
    sqlx::query!("select id from route_tables where name = $1 for update", name).fetch_optional(tx.on()).await?;
    read(tx.on(), name).await
}

pub async fn insert(tx: &mut Tx, table: &SavedTable, yaml: &str) -> Result<()> {
    sqlx::query!(
        "insert into route_tables (id, name, version, yaml, created_at, updated_at) values ($1, $2, $3, $4, $5, $6)",
        table.id.0,
        table.name,
        table.version,
        yaml,
        table.created_at,
        table.updated_at
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

pub async fn update(tx: &mut Tx, table: &SavedTable, yaml: &str) -> Result<()> {
    sqlx::query!(
        "update route_tables set version = $2, yaml = $3, updated_at = $4 where id = $1",
        table.id.0,
        table.version,
        yaml,
        table.updated_at
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

pub async fn delete(tx: &mut Tx, id: RouteTableId) -> Result<()> {
    sqlx::query!("delete from route_tables where id = $1", id.0).execute(tx.on()).await?;
    Ok(())
}
