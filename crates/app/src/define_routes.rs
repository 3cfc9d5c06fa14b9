//! Route tables: the built-in one, and those that administrators describe.

use crate::read_routes::{FileFault, read_routes};
use crate::{App, Conflict, PageOf, Person, Refusal};
use jobpass_domain::audit::Change;
use jobpass_domain::ids::RouteTableId;
use jobpass_domain::place::Place;
use jobpass_domain::route::{GITLAB, RouteTable, SavedTable, TableText, gitlab, is_table_name};
use jobpass_persistence::{OnConstraint, Tx, id_at, route_table};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Tables as they were compiled, each for one version of its text.
#[derive(Debug, Default)]
pub(crate) struct CompiledTables(Mutex<HashMap<RouteTableId, (i64, Arc<RouteTable>)>>);

/// A table as it is shown.
#[derive(Clone, Debug)]
pub struct ShownTable {
    pub name: String,
    pub table: Arc<RouteTable>,
    /// `None`: the built-in one.
    pub kept: Option<TableText>,
}

/// What must be so for a table to be written (RFC 9110, section 13.1).
#[derive(Clone, Copy, Debug)]
pub struct TableCondition<F> {
    /// Whether If-Match was given.
    pub replaces: bool,
    /// Whether If-None-Match was given: then no table may be there.
    pub creates: bool,
    pub still: F,
}

impl CompiledTables {
    fn get(&self, saved: &SavedTable) -> Option<Arc<RouteTable>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&saved.id).filter(|(version, _)| *version == saved.version).map(|(_, table)| Arc::clone(table))
    }

    fn keep(&self, saved: &SavedTable, table: &Arc<RouteTable>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(saved.id, (saved.version, Arc::clone(table)));
    }

    fn forget(&self, id: RouteTableId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

impl App {
    /// The table as it is now: its version is read at every call, its text when that is not the compiled one.
    pub(crate) async fn route_table(&self, name: &str) -> Result<Arc<RouteTable>, Refusal> {
        if name == GITLAB {
            return Ok(gitlab());
        }
        let saved = route_table::find(self.db.read(), name).await?.ok_or(Refusal::NotFound)?;
        self.compiled_as_saved(&saved).await
    }

    async fn compiled_as_saved(&self, saved: &SavedTable) -> Result<Arc<RouteTable>, Refusal> {
        if let Some(known) = self.compiled_tables.get(saved) {
            return Ok(known);
        }
        let text = route_table::read(self.db.read(), &saved.name).await?.ok_or(Refusal::NotFound)?;
        self.compiled(&text).await
    }

    async fn compiled(&self, text: &TableText) -> Result<Arc<RouteTable>, Refusal> {
        if let Some(known) = self.compiled_tables.get(&text.saved) {
            return Ok(known);
        }
        let stale =
            |_: Vec<FileFault>| Refusal::Internal(format!("the kept route table {} has faults", text.saved.name));
        let table = match read_routes(&text.yaml, &self.catalogue()) {
            Ok(table) => table,
            // It may name a resource type that was added on another replica.
            Err(_) => read_routes(&text.yaml, self.reload_catalogue().await?.as_ref()).map_err(stale)?,
        };
        let table = Arc::new(table);
        self.compiled_tables.keep(&text.saved, &table);
        Ok(table)
    }

    /// Every table with its routes, the built-in one first.
    pub async fn all_route_tables(&self) -> Result<Vec<(String, Arc<RouteTable>)>, Refusal> {
        let mut tables = vec![(GITLAB.to_owned(), gitlab())];
        for saved in route_table::list(self.db.read(), None, i64::MAX).await? {
            let table = match self.compiled_as_saved(&saved).await {
                // Deleted since.
                Err(Refusal::NotFound) => continue,
                other => other?,
            };
            tables.push((saved.name, table));
        }
        Ok(tables)
    }

    /// By name; `None` stands for the built-in one.
    pub async fn list_route_tables(
        &self,
        page: &PageOf,
    ) -> Result<(Vec<(String, Option<SavedTable>)>, Option<String>), Refusal> {
        let after = page.after.as_deref();
        let kept = route_table::list(self.db.read(), after, page.rows()).await?;
        let mut rows: Vec<_> = kept.into_iter().map(|saved| (saved.name.clone(), Some(saved))).collect();
        if after.is_none_or(|after| after < GITLAB) {
            rows.push((GITLAB.to_owned(), None));
            rows.sort_by(|one, other| one.0.cmp(&other.0));
        }
        Ok(page.cut(rows, |row| row.0.clone()))
    }

    pub async fn find_route_table(&self, name: &str) -> Result<ShownTable, Refusal> {
        if name == GITLAB {
            return Ok(ShownTable { name: GITLAB.to_owned(), table: gitlab(), kept: None });
        }
        let text = route_table::read(self.db.read(), name).await?.ok_or(Refusal::NotFound)?;
        let table = self.compiled(&text).await?;
        Ok(ShownTable { name: name.to_owned(), table, kept: Some(text) })
    }

    /// The table, and whether it is new. The same text again changes nothing.
    pub async fn route_table_put(
        &self,
        person: &Person,
        name: &str,
        yaml: &str,
        condition: TableCondition<impl Fn(&SavedTable) -> bool>,
    ) -> Result<(ShownTable, bool), Refusal> {
        check_name(name)?;
        let catalogue = self.reload_catalogue().await?;
        let told = |faults: Vec<FileFault>| Refusal::Invalid(faults.into_iter().map(FileFault::told).collect());
        let table = Arc::new(read_routes(yaml, &catalogue).map_err(told)?);
        let context = self.context(person.actor(), person.request);
        let saved = self.transaction(context, async |tx: &mut Tx| {
            let old = route_table::lock(tx, name).await?;
            check_condition(old.as_ref().map(|old| &old.saved), &condition)?;
            write(tx, name, yaml, &table, old).await
        });
        let (saved, created) = saved.await?;
        self.compiled_tables.keep(&saved, &table);
        let kept = Some(TableText { saved, yaml: yaml.to_owned() });
        Ok((ShownTable { name: name.to_owned(), table, kept }, created))
    }

    pub async fn route_table_delete(
        &self,
        person: &Person,
        name: &str,
        still: impl Fn(&SavedTable) -> bool,
    ) -> Result<(), Refusal> {
        if name == GITLAB {
            return Err(Conflict::RouteTableBuiltIn.into());
        }
        let context = self.context(person.actor(), person.request);
        let id = self.transaction(context, async |tx: &mut Tx| {
            let old = route_table::lock(tx, name).await?.ok_or(Refusal::NotFound)?.saved;
            if !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            let in_use = || Refusal::from(Conflict::RouteTableInUse);
            route_table::delete(tx, old.id).await.on_constraint("services_route_table_fkey", in_use)?;
            tx.audit(&changed("route_table.deleted", &old, Some(describe(&old, None)), None)).await?;
            Ok(old.id)
        });
        self.compiled_tables.forget(id.await?);
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if name == GITLAB {
        return Err(Conflict::RouteTableBuiltIn.into());
    }
    if !is_table_name(name) {
        return Err(Refusal::invalid("/name", "invalid", "is [a-z] followed by any of [a-z0-9_-], up to 63 bytes"));
    }
    Ok(())
}

fn check_condition(
    old: Option<&SavedTable>,
    condition: &TableCondition<impl Fn(&SavedTable) -> bool>,
) -> Result<(), Refusal> {
    match old {
        Some(_) if condition.creates => Err(Refusal::PreconditionFailed),
        Some(_) if !condition.replaces => Err(Refusal::PreconditionRequired),
        Some(old) if !(condition.still)(old) => Err(Refusal::PreconditionFailed),
        None if condition.replaces => Err(Refusal::PreconditionFailed),
        _ => Ok(()),
    }
}

async fn write(
    tx: &mut Tx,
    name: &str,
    yaml: &str,
    table: &RouteTable,
    old: Option<TableText>,
) -> Result<(SavedTable, bool), Refusal> {
    let now = tx.now();
    let Some(TableText { saved: old, yaml: old_yaml }) = old else {
        let id = RouteTableId(id_at(now));
        let made = SavedTable { id, name: name.to_owned(), version: 1, created_at: now, updated_at: now };
        // Whoever came first has made another than the caller thinks is not there.
        let taken = || Refusal::PreconditionFailed;
        route_table::insert(tx, &made, yaml).await.on_constraint("route_tables_name_key", taken)?;
        tx.audit(&changed("route_table.created", &made, None, Some(describe(&made, Some(table))))).await?;
        return Ok((made, true));
    };
    if old_yaml == yaml {
        tx.nothing_to_audit();
        return Ok((old, false));
    }
    let new = SavedTable { version: old.version + 1, updated_at: now, ..old.clone() };
    route_table::update(tx, &new, yaml).await?;
    let after = describe(&new, Some(table));
    tx.audit(&changed("route_table.updated", &new, Some(describe(&old, None)), Some(after))).await?;
    Ok((new, false))
}

fn changed(action: &'static str, table: &SavedTable, before: Option<String>, after: Option<String>) -> Change {
    let subject = table.id.0;
    Change { action, subject_kind: "route_table", subject, place: Place::Instance, before, after, reason: None }
}

/// Not the text, which may be large.
fn describe(saved: &SavedTable, table: Option<&RouteTable>) -> String {
    let routes = table.map(|table| table.routes().len());
    json!({ "name": saved.name, "version": saved.version, "routes": routes }).to_string()
}
