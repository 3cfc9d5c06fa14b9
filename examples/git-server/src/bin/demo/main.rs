//! The main job of Jobpass as a story that checks itself: a real server, a real Git server behind the SDK's
//! layer, and the real `git`. Each step says who does what and why, and a wrong one ends it with exit code 1.
#![expect(clippy::print_stderr, reason = "what went wrong is told where errors belong")]

mod git;
mod scenes;
mod second_act;
mod story;
mod world;

use std::process::ExitCode;
use std::time::Instant;
use story::{Story, Wrong};
use tokio::signal::unix::{SignalKind, signal};
use world::World;

#[tokio::main]
async fn main() -> ExitCode {
    let started = Instant::now();
    let mut story = Story::new();
    let outcome = match World::new() {
        Ok(mut world) => {
            let outcome = tell(&mut story, &mut world).await;
            if outcome.is_err() {
                world.show_logs();
            }
            outcome.and(world.end().await)
        }
        Err(wrong) => Err(wrong),
    };
    match outcome {
        Ok(()) => {
            story.summary(started.elapsed());
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            eprintln!("\nThe story went wrong at step {}.\n{wrong}", story.step());
            ExitCode::FAILURE
        }
    }
}

async fn acts(story: &mut Story, world: &mut World) -> Result<(), Wrong> {
    let stage = scenes::tell(story, world).await?;
    second_act::tell(story, &stage).await
}

/// Whoever interrupts the story still gets everything cleaned up.
async fn tell(story: &mut Story, world: &mut World) -> Result<(), Wrong> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = acts(story, world) => outcome,
        _ = interrupt.recv() => Err(Wrong::new("it was interrupted")),
        _ = terminate.recv() => Err(Wrong::new("it was told to stop")),
    }
}
