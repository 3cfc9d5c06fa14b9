//! Where the encryption key comes from: a setting, a file, or a file that the first start makes. One that is there is never
//! written to.

use crate::Failure;
use crate::settings::{DatabaseSettings, KeySettings};
use jobpass_app::EncryptionKey;
use jobpass_domain::Secret;
use jobpass_persistence::{Db, signing_key};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Its name in the data folder.
const FILE: &str = "encryption.key";

pub(crate) async fn find(keys: &KeySettings, database: &DatabaseSettings, db: &Db) -> Result<EncryptionKey, Failure> {
    if let Some(text) = &keys.key {
        return EncryptionKey::parse(text.expose()).ok_or(Failure::Key);
    }
    if let Some(path) = &keys.key_file {
        return read(path);
    }
    let folder = database.data_dir()?;
    let path = folder.join(FILE);
    if !path.exists() {
        if holds_keys(db).await? {
            return Err(Failure::KeyMissing(path));
        }
        let made = make(&folder, &path);
        made.map_err(|source| Failure::KeyNotMade { path: path.clone(), source })?;
    }
    read(&path)
}

async fn holds_keys(db: &Db) -> Result<bool, Failure> {
    let stored = signing_key::list(db.read()).await;
    Ok(!stored.map_err(|error| Failure::Database(error.to_string()))?.is_empty())
}

fn read(path: &Path) -> Result<EncryptionKey, Failure> {
    let unreadable = |source| Failure::KeyUnreadable { path: path.to_owned(), source };
    let text = Secret::new(fs::read_to_string(path).map_err(unreadable)?);
    EncryptionKey::parse(text.expose()).ok_or_else(|| Failure::KeyFile(path.to_owned()))
}

/// Whole or not at all, for its owner alone. Of two at once the first one's is kept.
fn make(folder: &Path, path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let key = EncryptionKey::generate().map_err(|refusal| io::Error::other(format!("{refusal:?}")))?;
    let unfinished = folder.join(format!("{FILE}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    let written = file.write_all(format!("{}\n", key.text().expose()).as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| match fs::hard_link(&unfinished, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    });
    fs::remove_file(&unfinished)?;
    linked?;
    fs::File::open(folder)?.sync_all()?;
    tracing::info!("made {}: keep it, and a copy of it elsewhere than the database's", path.display());
    Ok(())
}
