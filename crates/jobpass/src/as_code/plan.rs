//! What applying the file would change: every place is read and its entry rehearsed, one by one, against what is
//! there now. Nothing is written. Whatever the server would refuse is told at its place in the file.

use super::Failure;
use super::entry::{Apart, Entry, plain_faults};
use super::failure::told;
use super::file::Source;
use super::server::{Server, table_faults};
use super::write;
use jobpass_api::{DryRun, GroupConfiguration, Impact, NewGrant, NewRouteTable, ProjectConfiguration};
use jobpass_app::Clock;
use jobpass_client::{Error, Put, Tagged};
use jobpass_domain::Path;
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

pub(super) struct Plan {
    /// From the top down.
    pub groups: Vec<Planned<GroupConfiguration>>,
    pub projects: Vec<Planned<ProjectConfiguration>>,
    pub tables: Vec<PlannedTable>,
}

/// A group or a project, and what becomes of it.
pub(super) struct Planned<C> {
    pub path: Path,
    /// What is to be put.
    pub wanted: C,
    pub fate: Fate,
}

pub(super) enum Fate {
    Create { yaml: String },
    Keep,
    Change(Box<Difference>),
}

pub(super) struct Difference {
    /// Of what was read.
    pub etag: String,
    pub before: String,
    pub after: String,
    /// What the audit events will be.
    pub actions: Vec<String>,
    pub impact: Impact,
}

pub(super) struct PlannedTable {
    pub name: String,
    pub yaml: String,
    pub fate: TableFate,
}

pub(super) enum TableFate {
    Create,
    Keep,
    Change { etag: String, before: String },
}

impl Plan {
    pub(super) fn differs(&self) -> bool {
        self.groups.iter().any(Planned::differs)
            || self.projects.iter().any(Planned::differs)
            || self.tables.iter().any(|table| !matches!(table.fate, TableFate::Keep))
    }

    /// Whether something that was seen would be refused, or might be.
    pub(super) fn breaks(&self) -> bool {
        self.groups.iter().any(Planned::breaks) || self.projects.iter().any(Planned::breaks)
    }
}

impl<C> Planned<C> {
    fn differs(&self) -> bool {
        !matches!(self.fate, Fate::Keep)
    }

    fn breaks(&self) -> bool {
        match &self.fate {
            Fate::Change(difference) => {
                let impact = &difference.impact;
                !impact.would_refuse.is_empty() || impact.unknown.iter().any(|unknown| !unknown.could_lose.is_empty())
            }
            Fate::Create { .. } | Fate::Keep => false,
        }
    }
}

pub(super) async fn plan(source: &Source, server: &Server, window_days: Option<u16>) -> Result<Plan, Failure> {
    let groups = read::<GroupConfiguration>(source.file.groups.keys(), server).await?;
    let projects = read::<ProjectConfiguration>(source.file.projects.keys(), server).await?;
    let new = source.file.groups.keys().filter(|path| !groups.contains_key(path));
    let new = new.chain(source.file.projects.keys().filter(|path| !projects.contains_key(path)));
    let mut planner = Planner {
        source,
        server,
        new: new.cloned().collect(),
        put: Put { confirmed: false, window_days },
        now: Clock::system().now(),
        faults: Vec::new(),
    };
    let plan = Plan {
        groups: planner.places(&source.file.groups, groups).await?,
        projects: planner.places(&source.file.projects, projects).await?,
        tables: planner.tables().await?,
    };
    if planner.faults.is_empty() { Ok(plan) } else { Err(Failure::Faults(planner.faults)) }
}

/// Those of these that are there.
async fn read<C: Entry>(
    paths: impl Iterator<Item = &Path>,
    server: &Server,
) -> Result<BTreeMap<Path, Tagged<C>>, Failure> {
    let mut found = BTreeMap::new();
    for path in paths {
        let read = server.configuration(path).await.map_err(|error| server.failed(&C::called(path), &error))?;
        if let Some(read) = read {
            found.insert(path.clone(), read);
        }
    }
    Ok(found)
}

struct Planner<'a> {
    source: &'a Source,
    server: &'a Server,
    /// What the file creates.
    new: BTreeSet<Path>,
    put: Put,
    now: OffsetDateTime,
    faults: Vec<String>,
}

impl Planner<'_> {
    async fn places<C: Entry>(
        &mut self,
        wanted: &BTreeMap<Path, C>,
        mut there: BTreeMap<Path, Tagged<C>>,
    ) -> Result<Vec<Planned<C>>, Failure> {
        let mut planned = Vec::with_capacity(wanted.len());
        for (path, entry) in wanted {
            let fate = match there.remove(path) {
                Some(before) => self.change(path, entry, before).await?,
                None => self.creation(path, entry).await?,
            };
            planned.push(Planned { path: path.clone(), wanted: entry.clone(), fate });
        }
        Ok(planned)
    }

    async fn change<C: Entry>(&mut self, path: &Path, entry: &C, before: Tagged<C>) -> Result<Fate, Failure> {
        let (body, apart) = self.apart(entry);
        let wanted = Tagged { value: body, etag: before.etag };
        let rehearsed = self.server.rehearse(path, &wanted, self.put).await;
        let Some(dry) = self.answered::<C, _>(path, &apart, rehearsed)? else { return Ok(Fate::Keep) };
        self.check_withheld::<C>(path, &apart);
        if dry.changes.is_empty() && apart.withheld.is_empty() {
            return Ok(Fate::Keep);
        }
        let DryRun { changes, impact, after, .. } = dry;
        let mut after: C =
            after.and_then(|after| serde_json::from_value(after).ok()).ok_or_else(|| self.strange::<C>(path))?;
        after.grants().get_or_insert_default().extend(apart.withheld.into_iter().map(|(_, grant)| grant));
        Ok(Fate::Change(Box::new(Difference {
            etag: wanted.etag,
            before: before.value.yaml()?,
            after: after.yaml()?,
            actions: changes.into_iter().map(|change| change.action).collect(),
            impact,
        })))
    }

    /// What is not there cannot be rehearsed where it will be: what it holds is checked on the group that is to
    /// hold it.
    async fn creation<C: Entry>(&mut self, path: &Path, entry: &C) -> Result<Fate, Failure> {
        let yaml = entry.yaml()?;
        let (body, apart) = self.apart(entry);
        self.check_withheld::<C>(path, &apart);
        if let Some(told) = C::unfit_for_the_top(self.server, path).await? {
            self.faults.push(self.source.fault(&C::pointer(path), told));
        }
        let above = std::iter::successors(path.parent(), Path::parent).find(|path| !self.new.contains(path));
        let Some(above) = above else {
            let known = apart.places.iter().copied().zip(&apart.known);
            self.check_plainly::<C>(path, known);
            return Ok(Fate::Create { yaml });
        };
        let contents = Tagged { value: body.contents(), etag: "*".to_owned() };
        let rehearsed = match self.server.rehearse(&above, &contents, self.put).await {
            // Members and ceilings are for owners of the group, but whoever creates a project in it is its owner.
            Err(error) if error.status() == Some(403) => {
                let grants = contents.value.grants;
                let only = GroupConfiguration { grants, ..GroupConfiguration::default() };
                self.server.rehearse(&above, &Tagged { value: only, etag: contents.etag }, self.put).await
            }
            other => other,
        };
        if matches!(&rehearsed, Err(error) if error.status() == Some(404)) {
            let told = format!("there is no group {above}, and the file does not create it");
            self.faults.push(self.source.fault(&C::pointer(path), &told));
        } else {
            self.answered::<C, _>(path, &apart, rehearsed)?;
        }
        Ok(Fate::Create { yaml })
    }

    /// The entry with the grants that a server can rehearse now.
    fn apart<C: Entry>(&self, entry: &C) -> (C, Apart) {
        let mut body = entry.clone();
        let Some(grants) = body.grants().take() else { return (body, Apart::default()) };
        let apart = Apart::of(grants, &self.new);
        *body.grants() = Some(apart.known.clone());
        (body, apart)
    }

    /// What a server answered; `None`: faults, which are kept.
    fn answered<C: Entry, T>(
        &mut self,
        path: &Path,
        apart: &Apart,
        answer: Result<T, Error>,
    ) -> Result<Option<T>, Failure> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(Error::Problem(problem)) if problem.status == 422 && !problem.errors.is_empty() => {
                for fault in &problem.errors {
                    let pointer = format!("{}{}", C::pointer(path), apart.in_file(&fault.pointer));
                    self.faults.push(self.source.fault(&pointer, &fault.detail));
                }
                Ok(None)
            }
            // A rule of the place as a whole, such as a floor above it.
            Err(error) if error.status() == Some(409) => {
                self.faults.push(self.source.fault(&C::pointer(path), &told(&error)));
                Ok(None)
            }
            Err(error) => Err(self.server.failed(&C::called(path), &error)),
        }
    }

    fn check_withheld<C: Entry>(&mut self, path: &Path, apart: &Apart) {
        self.check_plainly::<C>(path, apart.withheld.iter().map(|(place, grant)| (*place, grant)));
    }

    fn check_plainly<'g, C: Entry>(&mut self, path: &Path, grants: impl Iterator<Item = (usize, &'g NewGrant)>) {
        for (place, grant) in grants {
            for (pointer, told) in plain_faults(grant, self.now) {
                let pointer = format!("{}/grants/{place}{pointer}", C::pointer(path));
                self.faults.push(self.source.fault(&pointer, told));
            }
        }
    }

    async fn tables(&mut self) -> Result<Vec<PlannedTable>, Failure> {
        if self.source.file.routes.is_empty() {
            return Ok(vec![]);
        }
        let catalogue = self.server.catalogue().await?;
        let mut planned = Vec::new();
        for (name, table) in &self.source.file.routes {
            let yaml = write::table(table)?;
            let here = format!("/routes/{}", super::locate::escape(name));
            for (pointer, told) in table_faults(&yaml, &catalogue) {
                self.faults.push(self.source.fault(&format!("{here}{pointer}"), &told));
            }
            let fate = self.table_fate(name, table, &here).await?;
            planned.push(PlannedTable { name: name.clone(), yaml, fate });
        }
        Ok(planned)
    }

    async fn table_fate(&mut self, name: &str, wanted: &NewRouteTable, here: &str) -> Result<TableFate, Failure> {
        let Some(there) = self.server.table(name).await? else { return Ok(TableFate::Create) };
        if there.built_in {
            self.faults.push(self.source.fault(here, "a built-in table is not written"));
            return Ok(TableFate::Keep);
        }
        match there.written {
            Some(written) if written == *wanted => Ok(TableFate::Keep),
            // Comments and order apart, as the file would have it.
            Some(written) => Ok(TableFate::Change { etag: there.etag, before: write::table(&written)? }),
            None => Ok(TableFate::Change { etag: there.etag, before: there.yaml }),
        }
    }

    fn strange<C: Entry>(&self, path: &Path) -> Failure {
        self.server.failed(
            &C::called(path),
            &Error::Unexpected {
                status: 200,
                what: "a dry run without what would be: is it a server of another version?",
            },
        )
    }
}
