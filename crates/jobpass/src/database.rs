//! The database that a command works on: the one it is told of, or a private one of its own.

use crate::Failure;
use crate::settings::DatabaseSettings;
use jobpass_persistence::embedded::{self, Embedded};
use jobpass_persistence::{Db, Error, connect_options};
use std::time::Duration;

/// The oldest PostgreSQL that will do, as `server_version_num` says it.
const OLDEST: i32 = 150_000;
/// How often a database that is not there yet is tried, a second apart.
const TRIES: u32 = 30;

/// An open database, and the private server behind it, if it is one.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) db: Db,
    pub(crate) embedded: Option<Embedded>,
}

impl Opened {
    /// For a server: takes the data folder for itself.
    pub(crate) async fn for_server(settings: &DatabaseSettings) -> Result<Opened, Failure> {
        let opened = match &settings.database_url {
            Some(url) => by_url(url, settings)?,
            None => embedded(settings).await?,
        };
        opened.ready().await
    }

    /// For a command: beside a running server it uses that one's database, else it starts one for the call.
    pub(crate) async fn for_command(settings: &DatabaseSettings) -> Result<Opened, Failure> {
        let opened = match &settings.database_url {
            Some(url) => by_url(url, settings)?,
            None => match embedded::running(&settings.data_dir()?)? {
                Some(options) => Opened { db: Db::new(options, 2), embedded: None },
                None => embedded(settings).await?,
            },
        };
        opened.ready().await
    }

    pub(crate) async fn close(self) {
        self.db.close().await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }

    /// Waits for it, and brings its schema up to date. What was started for this is ended when it fails.
    async fn ready(self) -> Result<Opened, Failure> {
        match make_ready(&self.db).await {
            Ok(()) => Ok(self),
            Err(failure) => {
                self.close().await;
                Err(failure)
            }
        }
    }
}

fn by_url(url: &str, settings: &DatabaseSettings) -> Result<Opened, Failure> {
    let options = connect_options(url).map_err(Failure::DatabaseUrl)?;
    Ok(Opened { db: Db::new(options, settings.db_connections), embedded: None })
}

async fn embedded(settings: &DatabaseSettings) -> Result<Opened, Failure> {
    let embedded = Embedded::start(&settings.data_dir()?).await?;
    let db = Db::new(embedded.connect_options(), settings.db_connections.min(50));
    Ok(Opened { db, embedded: Some(embedded) })
}

async fn make_ready(db: &Db) -> Result<(), Failure> {
    let version = wait_for(db).await.map_err(unusable)?;
    if version < OLDEST {
        return Err(Failure::TooOld { found: format!("{}.{}", version / 10_000, version % 10_000) });
    }
    db.migrate().await.map_err(unusable)
}

/// A server that starts beside its database may be the first of the two.
async fn wait_for(db: &Db) -> Result<i32, Error> {
    for tried in 1.. {
        match db.server_version().await {
            Err(Error::Unavailable(why)) if tried < TRIES => {
                tracing::info!(why, "waiting for the database");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            answer => return answer,
        }
    }
    Err(Error::Unavailable("no answer".to_owned()))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn unusable(error: Error) -> Failure {
    Failure::Database(error.to_string())
}
