//! Loading what a decision needs: from memory while that is fresh, else from the database.

use crate::cache::{Kept, Ticket};
use crate::gather::{Bounds, Gather};
use crate::{App, Refusal};
use jobpass_domain::token::{self, Hour, Kind, Parsed, TokenHash};
use jobpass_persistence::Error;
use jobpass_persistence::question::{self, Circumstances, Key, Loaded, LoadedToken, TokenRow};
use std::collections::HashMap;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// For how long it is known that a token is unknown or dead: alike, or time would tell them apart. A text that nobody has
/// was never minted, and none that was asked about will be; so this only bounds what is kept in vain.
pub(crate) const REFUSED_FOR: Duration = Duration::seconds(1);

/// The most that one statement loads.
const BATCH: usize = 64;
/// How many statements load at a time; while they do, what comes waits and goes together.
const IN_FLIGHT: usize = 2;
/// With so many tokens waiting a second statement is worth its cost.
const COMPANY: usize = 32;
/// The most requests that wait to be loaded for.
const WAITING: usize = 4_096;

impl App {
    /// A text that is no job token loads as one that is unknown: what is asked about may be public all the same.
    pub(crate) async fn load(
        &self,
        token: &str,
        project: Option<&str>,
        fresh: bool,
    ) -> Result<Arc<Kept<Loaded>>, Refusal> {
        let parsed = job_token(token);
        let hash = parsed.as_ref().map_or(TokenHash([0; 32]), |parsed| parsed.hash);
        let key = (hash, project.map(Box::from));
        let load = async |_: Ticket| self.load_anew(parsed.as_ref(), project, fresh).await;
        self.cache.questions.get_or_load((key, fresh), &self.cache.freshness, self.now(), load).await
    }

    /// From the database, but for what many tokens share. A token that is dead or unknown is not kept for long.
    pub(crate) async fn load_anew(
        &self,
        token: Option<&Parsed>,
        project: Option<&str>,
        fresh: bool,
    ) -> Result<Kept<Loaded>, Refusal> {
        let ticket = self.cache.freshness.ticket();
        let row = match token {
            Some(parsed) => self.token_row(parsed).await?,
            None => None,
        };
        let key = Key::of(row.as_ref(), project);
        let mut around = self.circumstances(key.clone(), fresh).await?;
        if row.as_ref().is_some_and(|row| row.is_ahead_of(&around.value)) {
            around = self.circumstances(key, true).await?;
        }
        let loaded = Loaded::new(row, Arc::clone(&around.value), project, &self.catalogue())?;
        let (grounds, until) = (loaded.grounds(), self.holds_until(loaded.token.as_ref()));
        Ok(Kept::new(loaded, ticket.min(around.ticket()), grounds, Some(until)))
    }

    async fn token_row(&self, token: &Parsed) -> Result<Option<TokenRow>, Refusal> {
        let line = Arc::new(self.db.read().line());
        let work = move |asked: Vec<(Hour, TokenHash)>| {
            let line = Arc::clone(&line);
            async move {
                match question::token_rows(&line, &asked).await {
                    Ok(rows) => rows.into_iter().map(Ok).collect(),
                    Err(error) => refuse_all(asked.len(), error),
                }
            }
        };
        self.loading.token_rows.ask((token.hour, token.hash), work).await?
    }

    async fn circumstances(&self, key: Key, fresh: bool) -> Result<Arc<Kept<Arc<Circumstances>>>, Refusal> {
        let load = async |ticket: Ticket| {
            let loaded = self.load_circumstances(key.clone()).await?;
            let grounds = loaded.grounds();
            Ok::<_, Refusal>(Kept::new(loaded, ticket, grounds, None))
        };
        self.cache.circumstances.get_or_load((key.clone(), fresh), &self.cache.freshness, self.now(), load).await
    }

    /// Whoever asks for the same at the same time gets the same: after a change many do.
    async fn load_circumstances(&self, key: Key) -> Result<Arc<Circumstances>, Refusal> {
        let (db, catalogue) = (self.db.clone(), self.catalogue());
        let work = move |asked: Vec<Key>| {
            let (db, catalogue) = (db.clone(), Arc::clone(&catalogue));
            async move {
                let mut loaded = HashMap::new();
                for key in &asked {
                    if !loaded.contains_key(key) {
                        match question::circumstances(db.read(), key, &catalogue).await {
                            Ok(one) => loaded.insert(key, Arc::new(one)),
                            Err(error) => return refuse_all(asked.len(), error),
                        };
                    }
                }
                asked.iter().filter_map(|key| loaded.get(key).cloned()).map(Ok).collect()
            }
        };
        self.loading.circumstances.ask(key, work).await?
    }

    /// Until when time alone changes nothing about the token: until it or its job's lease ends.
    fn holds_until(&self, known: Option<&LoadedToken>) -> OffsetDateTime {
        let now = self.now();
        match known.filter(|known| known.token.death(now).is_none()) {
            None => now + REFUSED_FOR,
            Some(LoadedToken { token, lease_until, .. }) => {
                lease_until.map_or(token.expires_at, |lease| lease.min(token.expires_at))
            }
        }
    }
}

/// Loads of many requests, gathered.
#[derive(Debug)]
pub(crate) struct Loading {
    token_rows: Gather<(Hour, TokenHash), Result<Option<TokenRow>, Refusal>>,
    circumstances: Gather<Key, Result<Arc<Circumstances>, Refusal>>,
}

impl Default for Loading {
    fn default() -> Loading {
        let bounds = Bounds { batch: BATCH, in_flight: IN_FLIGHT, company: 1, waiting: WAITING };
        Loading { token_rows: Gather::new(Bounds { company: COMPANY, ..bounds }), circumstances: Gather::new(bounds) }
    }
}

/// Each of a batch is told why there is nothing for it.
fn refuse_all<T>(count: usize, error: Error) -> Vec<Result<T, Refusal>> {
    let text = error.to_string();
    let refusal = Refusal::from(error);
    let is_away = matches!(refusal, Refusal::Unavailable(_));
    let refusal = |_| if is_away { Refusal::Unavailable(text.clone()) } else { Refusal::Internal(text.clone()) };
    (0..count).map(refusal).map(Err).collect()
}

/// The job token in a text, if it is one.
pub(crate) fn job_token(text: &str) -> Option<Parsed> {
    token::parse(text).filter(|parsed| parsed.kind == Kind::Job)
}
