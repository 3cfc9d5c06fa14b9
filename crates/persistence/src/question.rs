//! What a decision needs, loaded in two statements: the token with its run and job, for as many tokens as are asked about at
//! once; and the circumstances, which many tokens share: their project and its credential, and the target as it is to them.

mod circumstances;
mod token_row;

pub use circumstances::{Circumstances, Key, load as circumstances};
pub use token_row::{TokenRow, load as token_rows};

use crate::Result;
use jobpass_domain::PermissionSet;
use jobpass_domain::catalogue::Catalogue;
use jobpass_domain::decision::{Asker, Names, Question};
use jobpass_domain::ground::Ground;
use jobpass_domain::ids::{GroupId, ProjectId};
use jobpass_domain::job_token::{JobToken, TokenInfo};
use jobpass_domain::token::{Hour, TokenHash};
use sqlx::PgConnection;
use std::sync::Arc;
use time::OffsetDateTime;

/// What a decision needs, and what an answer tells besides.
#[derive(Debug, Default)]
pub struct Loaded {
    pub token: Option<LoadedToken>,
    pub circumstances: Arc<Circumstances>,
}

#[derive(Debug)]
pub struct LoadedToken {
    pub token: JobToken,
    pub info: TokenInfo,
    pub lease_until: Option<OffsetDateTime>,
}

/// Both statements on one connection. `target`: a project's id or path.
pub async fn load(
    db: &mut PgConnection,
    hour: Hour,
    hash: TokenHash,
    target: Option<&str>,
    catalogue: &Catalogue,
) -> Result<Loaded> {
    let row = token_row::load_on(&mut *db, &[(hour, hash)]).await?.pop().flatten();
    let key = Key::of(row.as_ref(), target);
    let circumstances = circumstances(db, &key, catalogue).await?;
    Loaded::new(row, Arc::new(circumstances), target, catalogue)
}

impl Loaded {
    /// A token whose project, run or minting credential is gone counts as revoked.
    pub fn new(
        row: Option<TokenRow>,
        circumstances: Arc<Circumstances>,
        target: Option<&str>,
        catalogue: &Catalogue,
    ) -> Result<Loaded> {
        let token = row.map(|row| row.among(&circumstances, catalogue)).transpose()?;
        let token = token.map(|known| match target {
            Some(asked) => LoadedToken { token: known.token.in_project(asked, circumstances.target_id), ..known },
            None => known,
        });
        Ok(Loaded { token, circumstances })
    }

    pub fn target_id(&self) -> Option<ProjectId> {
        self.circumstances.target_id
    }

    /// `asker`: `None` when the holder asks about itself.
    pub fn question<'q>(&'q self, asker: Option<&'q Asker>, asked: PermissionSet, names: &'q Names) -> Question<'q> {
        Question {
            token: self.token.as_ref().map(|known| &known.token),
            actor_role: self.circumstances.actor_role,
            source_ceilings: &self.circumstances.source_ceilings,
            asker,
            target: self.circumstances.target.as_ref(),
            asked,
            names,
        }
    }

    /// What all of this rests on.
    pub fn grounds(&self) -> Vec<Ground> {
        let mut grounds = self.circumstances.grounds();
        if let Some(LoadedToken { info, .. }) = &self.token {
            grounds.extend([Ground::Token(info.id), Ground::Job(info.job), Ground::Pipeline(info.pipeline)]);
            grounds.extend(info.ancestors.iter().copied().map(Ground::Token));
        }
        grounds
    }
}

fn groups(chain: &[GroupId]) -> impl Iterator<Item = Ground> {
    chain.iter().copied().map(Ground::Group)
}
