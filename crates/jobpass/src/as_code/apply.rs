//! Makes what is there equal to the file: first whatever is missing, then each place in a transaction of its own,
//! and only if it still is what the plan was made of.

use super::Failure;
use super::entry::Entry;
use super::plan::{Fate, Plan, Planned, PlannedTable, TableFate};
use super::server::Server;
use jobpass_client::{Error, Put, Tagged};

pub(super) struct Apply<'a> {
    server: &'a Server,
    put: Put,
    applied: Vec<String>,
}

impl Apply<'_> {
    /// Answers what was created and changed.
    pub(super) async fn run(plan: Plan, server: &Server, put: Put) -> Result<Vec<String>, Failure> {
        let mut apply = Apply { server, put, applied: Vec::new() };
        match apply.all(plan).await {
            Ok(()) => Ok(apply.applied),
            Err(Stopped::Changed(about)) => Err(Failure::Changed { about, applied: apply.applied }),
            Err(Stopped::Failed(cause)) => Err(Failure::Partly { cause: Box::new(cause), applied: apply.applied }),
        }
    }

    /// Route tables come first, for they need an administrator: who is none has changed nothing yet.
    async fn all(&mut self, plan: Plan) -> Result<(), Stopped> {
        for table in plan.tables {
            self.table(table).await?;
        }
        // All that is created, before grants name it.
        for group in &plan.groups {
            self.create(group).await?;
        }
        for project in &plan.projects {
            self.create(project).await?;
        }
        for group in plan.groups {
            self.configure(group).await?;
        }
        for project in plan.projects {
            self.configure(project).await?;
        }
        Ok(())
    }

    async fn table(&mut self, table: PlannedTable) -> Result<(), Stopped> {
        let etag = match &table.fate {
            TableFate::Keep => return Ok(()),
            TableFate::Create => None,
            TableFate::Change { etag, .. } => Some(etag.as_str()),
        };
        let called = format!("route table {}", table.name);
        let put = self.server.put_table(&table.name, etag, table.yaml).await;
        self.done(called, put)
    }

    async fn create<C: Entry>(&mut self, planned: &Planned<C>) -> Result<(), Stopped> {
        if !matches!(planned.fate, Fate::Create { .. }) {
            return Ok(());
        }
        let made = C::create(self.server, &planned.path).await;
        self.done(format!("{} (created)", C::called(&planned.path)), made)
    }

    async fn configure<C: Entry>(&mut self, planned: Planned<C>) -> Result<(), Stopped> {
        let called = C::called(&planned.path);
        let etag = match planned.fate {
            Fate::Keep => return Ok(()),
            Fate::Change(difference) => difference.etag,
            Fate::Create { .. } => {
                let made = self.server.configuration::<C>(&planned.path).await;
                let made = made.map_err(|error| Stopped::Failed(self.server.failed(&called, &error)))?;
                made.ok_or_else(|| Stopped::Changed(called.clone()))?.etag
            }
        };
        let wanted = Tagged { value: planned.wanted, etag };
        let put = self.server.put(&planned.path, &wanted, self.put).await;
        self.done(called, put)
    }

    fn done(&mut self, called: String, answer: Result<(), Error>) -> Result<(), Stopped> {
        match answer {
            Ok(()) => {
                self.applied.push(called);
                Ok(())
            }
            Err(error) if error.status() == Some(412) => Err(Stopped::Changed(called)),
            Err(error) => Err(Stopped::Failed(self.server.failed(&called, &error))),
        }
    }
}

enum Stopped {
    /// What was read is not there any more.
    Changed(String),
    Failed(Failure),
}
