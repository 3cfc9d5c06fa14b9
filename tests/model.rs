//! Three replicas at once, everything that can change a decision changing at random, and every answer checked against a model: an
//! answer that was asked for later than the bound after a change reflects it, on the replica that made the change at once; one that met
//! changes may show either side of each. `MODEL_SECONDS` says for how long, `MODEL_SEED` what is rolled.

mod actor;
mod callers;
mod choice;
mod ends;
mod expect;
mod facts;
mod found;
mod grants;
mod history;
mod questions;
mod registry;
mod tokens;
mod world;

use actor::Actor;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, JoinSet};
use world::World;

const CHANGERS: u64 = 8;
const ASKERS: u64 = 12;

/// For so much longer than it was to last a run goes on until it has seen everything: a busy machine does little in a second.
const PATIENCE: Duration = Duration::from_mins(1);

/// What every run has to see.
const TELLING: [&str; 16] = [
    "introspect something",
    "introspect nothing",
    "introspect dead",
    "introspect refused",
    "authorize something",
    "authorize nothing",
    "batch something",
    "route something",
    "gateway something",
    "gateway dead",
    "self something",
    "self dead",
    "minted",
    "narrowed",
    "heartbeat",
    "look 200",
];

fn seconds() -> u64 {
    std::env::var("MODEL_SECONDS").map_or(5, |text| text.parse().expect("MODEL_SECONDS: a number"))
}

fn seed() -> u64 {
    std::env::var("MODEL_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().expect("MODEL_SEED: a number"))
}

/// Prints the seed when a test fails; that is when its output is shown.
#[expect(clippy::print_stdout, reason = "what a failing test shows")]
async fn run(world: World, meanwhile: Option<JoinHandle<()>>) -> World {
    let seed = seed();
    println!("MODEL_SEED={seed}");
    let world = Arc::new(world);
    let until = Instant::now() + Duration::from_secs(seconds());
    let mut actors = JoinSet::new();
    for number in 0..CHANGERS + ASKERS {
        let dice = fastrand::Rng::with_seed(seed.wrapping_add(number));
        let mut actor = Actor { world: Arc::clone(&world), dice };
        actors.spawn(async move {
            let goes_on = |world: &World| {
                Instant::now() < until || (Instant::now() < until + PATIENCE && !world.has_seen(&TELLING))
            };
            while goes_on(&actor.world) {
                if number < CHANGERS { actor.change_something().await } else { actor.ask_something().await }
            }
        });
    }
    while let Some(ended) = actors.join_next().await {
        if let Err(error) = ended {
            actors.abort_all();
            std::panic::resume_unwind(error.into_panic());
        }
    }
    if let Some(meanwhile) = meanwhile {
        meanwhile.abort();
    }
    println!("{:#?}", world.tally());
    Arc::into_inner(world).expect("all actors are done")
}

/// The run saw every kind of answer, and hardly any that could not be judged.
fn assert_telling(world: &World) {
    let tally = world.tally();
    let count = |what: &str| tally.get(what).copied().unwrap_or(0);
    for what in TELLING {
        assert!(count(what) > 0, "no {what}: {tally:#?}");
    }
    let judged = count("Sharply") + count("Somehow");
    assert!(count("Sharply") * 3 > judged, "too much changed at once to tell right from wrong: {tally:#?}");
    assert!(count("Undecided") * 50 < judged, "{tally:#?}");
    assert!(count("unavailable") * 100 < judged, "{tally:#?}");
}

/// Short, so that a run lasts for many of them.
const BOUND: Duration = Duration::from_millis(400);

fn with_a_short_bound(settings: &mut jobpass::Settings) {
    settings.cache_staleness_ms = u32::try_from(BOUND.as_millis()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_contradicts_the_model() {
    let world = run(World::new(BOUND, with_a_short_bound).await, None).await;
    assert_telling(&world);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_where_nothing_is_kept() {
    let world = run(World::new(Duration::ZERO, |settings| settings.cache_staleness_ms = 0).await, None).await;
    assert_telling(&world);
    world.stop().await;
}

/// Whoever listens for what others change is cut off again and again: what is heard late must not be told late.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_while_notifications_are_lost() {
    let world = World::new(BOUND, with_a_short_bound).await;
    let mut sql = world.servers[0].sql().await;
    let lost = Arc::new(AtomicI64::new(0));
    let counted = Arc::clone(&lost);
    let cutting = tokio::spawn(async move {
        let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
            where datname = current_database() and query ilike 'listen %'";
        loop {
            counted.fetch_add(sqlx::query_scalar::<_, i64>(cut).fetch_one(&mut sql).await.unwrap(), Ordering::Relaxed);
            tokio::time::sleep(BOUND / 3).await;
        }
    });
    let world = run(world, Some(cutting)).await;
    assert_telling(&world);
    assert!(lost.load(Ordering::Relaxed) > 3, "nobody listened");
    world.stop().await;
}

impl Actor {
    async fn change_something(&mut self) {
        match self.dice.u8(0..16) {
            0..7 => self.change_tokens().await,
            7..11 => self.change_grants().await,
            11..13 => self.change_registry().await,
            13 | 14 => self.change_callers().await,
            _ => self.move_the_clock(),
        }
    }

    /// Up to some seconds: leases lapse, and tokens and grants expire.
    fn move_the_clock(&mut self) {
        let by = time::Duration::milliseconds(self.dice.i64(0..4000));
        self.world.servers[0].clock.advance(by);
    }
}
