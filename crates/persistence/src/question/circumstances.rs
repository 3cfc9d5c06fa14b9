//! What tokens of one project and one credential share when they ask about one target: epochs, the target with its floors, grants
//! for this source, ceilings of both sides, and the actor's role. One statement.

use super::{TokenRow, groups};
use crate::error::stored;
use crate::member::role_numbered;
use crate::{Result, ceiling, grant, situation};
use jobpass_domain::Role;
use jobpass_domain::catalogue::Catalogue;
use jobpass_domain::ceiling::Ceiling;
use jobpass_domain::decision::Target;
use jobpass_domain::ground::Ground;
use jobpass_domain::ids::{GroupId, ProjectId, UserId};
use jobpass_domain::minter::MinterId;
use sqlx::PgExecutor;
use sqlx::types::Json;
use uuid::Uuid;

/// Whose circumstances: two tokens with the same key share them. Without a source, those of a token that is not known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    source: Option<(ProjectId, MinterId, Option<UserId>)>,
    /// A project's id or path, as it was asked.
    target: Option<String>,
}

impl Key {
    pub fn of(token: Option<&TokenRow>, target: Option<&str>) -> Key {
        Key { source: token.map(TokenRow::origin), target: target.map(str::to_owned) }
    }
}

#[derive(Debug, Default)]
pub struct Circumstances {
    origin: Option<(ProjectId, MinterId, Option<UserId>)>,
    pub(super) source: Option<Source>,
    pub(super) minter_epoch: Option<i64>,
    /// The name of the vouched-for actor, while that user exists.
    pub(super) actor: Option<String>,
    pub target: Option<Target>,
    pub target_id: Option<ProjectId>,
    target_chain: Vec<GroupId>,
    target_was_named: bool,
    /// The role of the token's vouched-for actor on the target.
    pub actor_role: Option<Role>,
    /// With those of the instance, which bind whatever is asked about.
    pub source_ceilings: Vec<Ceiling>,
}

/// The token's project, while it is there.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) chain: Vec<GroupId>,
    pub(super) epoch: i64,
}

impl Circumstances {
    /// What they rest on.
    pub fn grounds(&self) -> Vec<Ground> {
        let mut grounds = Vec::new();
        if let Some((project, minter, actor)) = self.origin {
            grounds.extend([Ground::Project(project), minter.into()]);
            grounds.extend(actor.map(Ground::User));
        }
        grounds.extend(self.source.iter().flat_map(|source| groups(&source.chain)));
        match self.target_id {
            Some(target) => grounds.push(Ground::Project(target)),
            None if self.target_was_named => grounds.push(Ground::Paths),
            None => {}
        }
        grounds.extend(groups(&self.target_chain));
        grounds.sort_unstable();
        grounds.dedup();
        grounds
    }
}

/// Every part is there or not: the source, and what is asked about.
pub async fn load(db: impl PgExecutor<'_>, key: &Key, catalogue: &Catalogue) -> Result<Circumstances> {
    let target = key.target.as_deref();
    let target_id = target.and_then(|key| Uuid::parse_str(key).ok());
    let origin = key.source;
    let mut row = sqlx::query_as!(
        Row,
        r#"
        with target as (select * from projects where id = $1 or path = $2)
        select
            source.path as "source_path?", source.chain as "source_chain?", source.epoch as "source_epoch?",
            coalesce((select epoch from runners where id = $4), (select epoch from trust_rules where id = $5)) as minter_epoch,
            (select name from users where id = $6) as actor,
            target.id as "target_id?", target.visibility as "target_visibility?", target.mode as "target_mode?", target.chain as "target_chain?",
            array(select floor from groups where id = any(target.chain)) || (select floor from instance) as "floors!",
            (select max(role) from memberships m where m.user_id = $6
                and (m.project_id = target.id or m.group_id = any(target.chain))) as actor_role,
            coalesce((select jsonb_agg(to_jsonb(g)) from grants g
                where (g.project_id = target.id or g.group_id = any(target.chain))
                  and (g.source_project_id = $3 or g.source_group_id = any(source.chain))), '[]')
                as "grants!: Json<Vec<grant::Columns>>",
            coalesce((select jsonb_agg(to_jsonb(c)) from ceilings c
                where c.side = 'target' and (c.project_id = target.id or c.group_id = any(target.chain))), '[]')
                as "target_ceilings!: Json<Vec<ceiling::Columns>>",
            coalesce((select jsonb_agg(to_jsonb(c)) from ceilings c
                where (c.side = 'source' and (c.project_id = source.id or c.group_id = any(source.chain)))
                   or num_nonnulls(c.project_id, c.group_id) = 0), '[]')
                as "source_ceilings!: Json<Vec<ceiling::Columns>>"
        from (select 1) as one
        left join target on true
        left join projects source on source.id = $3
        "#,
        target_id,
        target,
        origin.map(|(project, ..)| project.0),
        origin.and_then(|(_, minter, _)| minter.runner_id()),
        origin.and_then(|(_, minter, _)| minter.trust_rule_id()),
        origin.and_then(|(.., actor)| actor).map(Uuid::from),
    )
    .fetch_one(db)
    .await?;
    Ok(Circumstances {
        origin,
        target: row.target(catalogue)?,
        source: row.source()?,
        minter_epoch: row.minter_epoch,
        target_id: row.target_id.map(ProjectId),
        target_chain: row.target_chain.into_iter().flatten().map(GroupId).collect(),
        target_was_named: target.is_some(),
        actor_role: row.actor_role.map(|number| stored(role_numbered(number))).transpose()?,
        actor: row.actor,
        source_ceilings: ceiling::all(row.source_ceilings.0, catalogue),
    })
}

struct Row {
    source_path: Option<String>,
    source_chain: Option<Vec<Uuid>>,
    source_epoch: Option<i64>,
    minter_epoch: Option<i64>,
    actor: Option<String>,
    target_id: Option<Uuid>,
    target_visibility: Option<String>,
    target_mode: Option<String>,
    target_chain: Option<Vec<Uuid>>,
    floors: Vec<String>,
    actor_role: Option<i16>,
    grants: Json<Vec<grant::Columns>>,
    target_ceilings: Json<Vec<ceiling::Columns>>,
    source_ceilings: Json<Vec<ceiling::Columns>>,
}

impl Row {
    fn target(&mut self, catalogue: &Catalogue) -> Result<Option<Target>> {
        let (Some(visibility), Some(mode)) = (&self.target_visibility, &self.target_mode) else { return Ok(None) };
        let grants = std::mem::take(&mut self.grants.0);
        let grants = grants.into_iter().map(|one| one.into_grant(catalogue)).collect::<Result<_>>()?;
        let ceilings = ceiling::all(std::mem::take(&mut self.target_ceilings.0), catalogue);
        situation::target(visibility, mode, &self.floors, grants, ceilings).map(Some)
    }

    fn source(&mut self) -> Result<Option<Source>> {
        let Some(path) = self.source_path.take() else { return Ok(None) };
        let chain = stored(self.source_chain.take())?.into_iter().map(GroupId).collect();
        Ok(Some(Source { path, chain, epoch: stored(self.source_epoch)? }))
    }
}
