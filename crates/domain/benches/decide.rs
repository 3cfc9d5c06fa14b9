//! What a decision costs, beside the hash that every look-up of a token needs: one table, medians of interleaved
//! rounds. Run by `make bench`; as a test it runs one short round, so that it cannot rot.
#![expect(clippy::print_stdout, reason = "a benchmark speaks through it")]

mod asked;

use asked::{TEXT, ask, live_token, targets};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// An odd number, so that the median is one of them.
const ROUNDS: usize = 15;

/// What is measured, by its name for machines and for people.
type Case<'a> = (&'a str, &'a str, Box<dyn Fn() + 'a>);

fn main() {
    // `cargo test` runs this, too, without `--bench`.
    let told = |what: &str| std::env::args().any(|argument| argument == what);
    let rounds = if told("--bench") { ROUNDS } else { 1 };
    let token = live_token();
    let targets = targets(&token);
    let cases: Vec<Case<'_>> = vec![
        ("floor", "floor: sha-256 of a token", Box::new(|| hash(TEXT))),
        ("ten", "decide: 10,000 on the target, the 10 that can match loaded", Box::new(|| ask(&token, &targets.ten))),
        (
            "ten_thousand",
            "decide: 10,000 on the target, had all been loaded",
            Box::new(|| ask(&token, &targets.unfiltered)),
        ),
        ("one_source", "decide: 10,000 for this very source", Box::new(|| ask(&token, &targets.one_source))),
    ];
    let mut measured = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for ((_, _, case), times) in cases.iter().zip(&mut measured) {
            times.push(nanoseconds(case));
        }
    }
    let medians: Vec<f64> = measured.into_iter().map(median).collect();
    if told("--json") {
        let nanoseconds: BTreeMap<&str, f64> = cases.iter().map(|(key, ..)| *key).zip(medians).collect();
        println!("{}", serde_json::json!(nanoseconds));
    } else {
        report(&cases.iter().map(|(_, name, _)| *name).collect::<Vec<_>>(), &medians);
    }
}

fn report(names: &[&str], medians: &[f64]) {
    let floor = medians.first().copied().unwrap_or(1.0);
    println!("{:<60} {:>12} {:>10}", "", "ns", "× floor");
    for (name, nanoseconds) in names.iter().zip(medians) {
        println!("{name:<60} {nanoseconds:>12.0} {:>10.2}", nanoseconds / floor);
    }
}

/// For at least 20 ms, so that the clock's own cost does not count.
fn nanoseconds(case: &dyn Fn()) -> f64 {
    let (mut times, started) = (0u32, Instant::now());
    loop {
        (0..10).for_each(|_| case());
        times += 10;
        let elapsed = started.elapsed();
        if elapsed >= Duration::from_millis(20) {
            return elapsed.as_secs_f64() * 1e9 / f64::from(times);
        }
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn hash(text: &str) {
    black_box(Sha256::digest(black_box(text)));
}
