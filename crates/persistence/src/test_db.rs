//! A fresh database per test, cloned from a template that is migrated once per server: 75 ms instead of a
//! migration, and no test sees another's rows.

use crate::{Db, Error, Result, connect_options};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use std::hash::{DefaultHasher, Hash, Hasher};
use uuid::Uuid;

/// A database that is dropped with this.
#[derive(Debug)]
pub struct TestDb {
    server: PgConnectOptions,
    server_url: String,
    name: String,
}

impl TestDb {
    /// On a server whose user may create databases.
    pub async fn create(server_url: &str) -> Result<TestDb> {
        let server = connect_options(server_url).map_err(Error::Internal)?;
        let template = make_template(&server).await?;
        let name = format!("test_{}", Uuid::new_v7(uuid::Timestamp::now(uuid::NoContext)).simple());
        let mut connection = server.connect().await?;
        run(&mut connection, format!("create database {name} template {template}")).await?;
        connection.close().await?;
        Ok(TestDb { server, server_url: server_url.to_owned(), name })
    }

    pub fn options(&self) -> PgConnectOptions {
        self.server.clone().database(&self.name)
    }

    /// As a URL, for a server in a process of its own.
    pub fn url(&self) -> String {
        let (address, parameters) = self.server_url.split_once('?').unwrap_or((&self.server_url, ""));
        let host = address.rsplit_once('/').map_or(address, |(host, _)| host);
        format!("{host}/{}?{parameters}", self.name)
    }
}

/// The migrated template, made by whoever comes first and closed to connections, or cloning it would fail.
async fn make_template(server: &PgConnectOptions) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    sqlx::migrate!("../../migrations").iter().for_each(|migration| migration.checksum.hash(&mut hasher));
    let template = format!("jobpass_template_{:x}", hasher.finish());
    let mut connection = server.connect().await?;
    run(&mut connection, "select pg_advisory_lock(hashtextextended('jobpass.template', 0))".to_owned()).await?;
    let known: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1 and not datallowconn)")
            .bind(&template)
            .fetch_one(&mut connection)
            .await?;
    if !known {
        run(&mut connection, format!("drop database if exists {template} with (force)")).await?;
        run(&mut connection, format!("create database {template}")).await?;
        let db = Db::new(server.clone().database(&template), 2);
        db.migrate().await?;
        db.close().await;
        run(&mut connection, format!("alter database {template} allow_connections false")).await?;
    }
    connection.close().await?;
    Ok(template)
}

async fn run(connection: &mut PgConnection, statement: String) -> Result<()> {
    connection.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A runtime of its own: this may run while the test's is shutting down.
        let drop_database = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                if let Ok(mut connection) = server.connect().await {
                    let _ = run(&mut connection, format!("drop database if exists {name} with (force)")).await;
                }
            });
        };
        let _ = std::thread::spawn(drop_database).join();
    }
}
