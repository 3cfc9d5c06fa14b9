//! How things stand between targets and sources, for replays: what `question.rs` loads for one token, for
//! many pairs of projects in three statements.

use crate::error::stored;
use crate::usage::Pair;
use crate::{Result, ceiling, grant};
use jobpass_domain::catalogue::Catalogue;
use jobpass_domain::ceiling::Ceiling;
use jobpass_domain::decision::Target;
use jobpass_domain::grant::Grant;
use jobpass_domain::ids::{GroupId, ProjectId};
use jobpass_domain::mode::{Mode, Visibility};
use jobpass_domain::replay::{Situation, Source};
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// A situation for each pair of which both projects are there.
pub async fn load(db: &mut PgConnection, pairs: &[Pair], catalogue: &Catalogue) -> Result<HashMap<Pair, Situation>> {
    let ids = |of: fn(&Pair) -> ProjectId| -> Vec<Uuid> {
        pairs.iter().map(of).collect::<BTreeSet<_>>().into_iter().map(Uuid::from).collect()
    };
    let targets = targets(db, &ids(|pair| pair.0), catalogue).await?;
    let sources = sources(db, &ids(|pair| pair.1), catalogue).await?;
    let grants = Grants::load(db, &targets, catalogue).await?;
    let situation = |pair: &Pair| {
        let (chain, target) = targets.get(&pair.0)?;
        let source = sources.get(&pair.1)?;
        let target = Target { grants: grants.between(pair.0, chain, source).into(), ..target.clone() };
        Some((*pair, Situation { target, source: source.clone() }))
    };
    Ok(pairs.iter().filter_map(situation).collect())
}

/// Targets without their grants, each with the groups above it.
async fn targets(
    db: &mut PgConnection,
    ids: &[Uuid],
    catalogue: &Catalogue,
) -> Result<HashMap<ProjectId, (Vec<Uuid>, Target)>> {
    let rows = sqlx::query!(
        r#"select p.id, p.chain, p.visibility, p.mode,
            array(select floor from groups where groups.id = any(p.chain)) || (select floor from instance) as "floors!",
            coalesce((select jsonb_agg(to_jsonb(c) order by c.id) from ceilings c
                where c.side = 'target' and (c.project_id = p.id or c.group_id = any(p.chain))), '[]') as "ceilings!: Json<Vec<ceiling::Columns>>"
         from projects p where p.id = any($1)"#,
        ids
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let target =
                target(&row.visibility, &row.mode, &row.floors, vec![], ceiling::all(row.ceilings.0, catalogue))?;
            Ok((ProjectId(row.id), (row.chain, target)))
        })
        .collect()
}

/// A target from its columns.
pub(crate) fn target(
    visibility: &str,
    mode: &str,
    floors: &[String],
    grants: Vec<Grant>,
    ceilings: Vec<Ceiling>,
) -> Result<Target> {
    let floors: Vec<Mode> = floors.iter().map(|floor| stored(Mode::named(floor))).collect::<Result<_>>()?;
    let mode = Mode::effective(stored(Mode::named(mode))?, floors);
    Ok(Target { visibility: stored(Visibility::named(visibility))?, mode, grants: grants.into(), ceilings })
}

async fn sources(db: &mut PgConnection, ids: &[Uuid], catalogue: &Catalogue) -> Result<HashMap<ProjectId, Source>> {
    let rows = sqlx::query!(
        r#"select p.id, p.chain,
            coalesce((select jsonb_agg(to_jsonb(c) order by c.id) from ceilings c
                where (c.side = 'source' and (c.project_id = p.id or c.group_id = any(p.chain)))
                    or num_nonnulls(c.project_id, c.group_id) = 0), '[]') as "ceilings!: Json<Vec<ceiling::Columns>>"
         from projects p where p.id = any($1)"#,
        ids
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let project = ProjectId(row.id);
            let chain = row.chain.into_iter().map(GroupId).collect();
            Ok((project, Source { project, chain, ceilings: ceiling::all(row.ceilings.0, catalogue) }))
        })
        .collect()
}

/// Grants by where they live and what their source is: a pair looks up its own and walks past no other.
struct Grants(HashMap<(Uuid, Uuid), Vec<Grant>>);

impl Grants {
    async fn load(
        db: &mut PgConnection,
        targets: &HashMap<ProjectId, (Vec<Uuid>, Target)>,
        catalogue: &Catalogue,
    ) -> Result<Grants> {
        let places: BTreeSet<Uuid> =
            targets.iter().flat_map(|(id, (chain, _))| chain.iter().copied().chain([id.0])).collect();
        let places: Vec<Uuid> = places.into_iter().collect();
        let rows = sqlx::query!(
            r#"select coalesce(g.project_id, g.group_id) as "place!", to_jsonb(g) as "columns!: Json<grant::Columns>"
             from grants g where g.project_id = any($1) or g.group_id = any($1) order by g.id"#,
            &places
        )
        .fetch_all(db)
        .await?;
        let mut by_place = HashMap::<_, Vec<Grant>>::new();
        for row in rows {
            let grant = row.columns.0.into_grant(catalogue)?;
            by_place.entry((row.place, grant.source.id())).or_default().push(grant);
        }
        Ok(Grants(by_place))
    }

    fn between(&self, target: ProjectId, chain: &[Uuid], source: &Source) -> Vec<Grant> {
        let places = chain.iter().copied().chain([target.0]);
        let sources = || source.chain.iter().map(|group| group.0).chain([source.project.0]);
        let candidates = places.flat_map(|place| sources().filter_map(move |named| self.0.get(&(place, named))));
        candidates.flatten().filter(|grant| grant.source.covers(source.project, &source.chain)).cloned().collect()
    }
}
