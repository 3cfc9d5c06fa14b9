//! How many instructions the work of a request takes: counted by valgrind, compared with what `instructions.json` recorded, and refused at
//! a tenth more. Counts are the same on a busy machine and a quiet one, where times are not. `UPDATE_GOLDEN=1` records them anew.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark speaks through them")]

#[path = "../../../crates/domain/benches/asked/mod.rs"]
mod asked;
mod work;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use work::{Work, cases};

/// At most so much of what was recorded.
const BOUND: f64 = 1.10;
/// Below it, the record is no guard any more.
const STALE: f64 = 0.90;
/// Once and again so many times: what the process needs besides is in both.
const FEW: u32 = 20;
const MANY: u32 = 220;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--work", name, times] => repeat(name, times.parse().unwrap_or_default()),
        // `cargo test` runs this, too, without `--bench`: each once, so that none can rot.
        words if !words.contains(&"--bench") => cases().keys().for_each(|name| repeat(name, 1)),
        _ => match compare() {
            Ok(()) => {}
            Err(failure) => {
                eprintln!("{failure}");
                return ExitCode::FAILURE;
            }
        },
    }
    ExitCode::SUCCESS
}

fn repeat(name: &str, times: u32) {
    let Some(work) = cases().remove(name) else { return };
    // Tables that are filled at the first use are filled here, and counted in neither.
    work();
    (0..times).for_each(|_| work());
}

fn compare() -> Result<(), String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let counted: BTreeMap<String, u64> =
        cases().keys().map(|name| Ok(((*name).to_owned(), count(name)?))).collect::<Result<_, String>>()?;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = serde_json::to_string_pretty(&counted).map_err(|error| error.to_string())?;
        fs::write(&file, format!("{text}\n")).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let recorded: BTreeMap<String, u64> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let wrong = judge(&counted, &recorded);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// Prints the table, and answers what is wrong.
fn judge(counted: &BTreeMap<String, u64>, recorded: &BTreeMap<String, u64>) -> Vec<String> {
    let mut wrong = vec![];
    println!("{:<24} {:>14} {:>14} {:>8}", "", "instructions", "recorded", "ratio");
    for (name, count) in counted {
        let Some(known) = recorded.get(name) else {
            wrong.push(format!("{name} is not recorded"));
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let ratio = *count as f64 / (*known).max(1) as f64;
        println!("{name:<24} {count:>14} {known:>14} {ratio:>8.3}");
        if ratio > BOUND {
            wrong.push(format!("{name} takes {ratio:.2} times the instructions that were recorded; at most {BOUND}"));
        } else if ratio < STALE {
            println!("{name} has become cheaper: record it, by UPDATE_GOLDEN=1 make bench-instructions");
        }
    }
    let gone = recorded.keys().filter(|name| !counted.contains_key(*name));
    wrong.extend(gone.map(|name| format!("{name} is recorded, and nothing measures it")));
    wrong
}

/// Of one time.
fn count(name: &str) -> Result<u64, String> {
    let myself = std::env::current_exe().map_err(|error| error.to_string())?;
    let (few, many) = (collected(&myself, name, FEW)?, collected(&myself, name, MANY)?);
    Ok(many.saturating_sub(few) / u64::from(MANY - FEW))
}

fn collected(program: &PathBuf, name: &str, times: u32) -> Result<u64, String> {
    let done = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--work", name, &times.to_string()])
        .output()
        .map_err(|error| {
            format!("instructions are counted by valgrind, which cannot be started ({error}): apt-get install valgrind")
        })?;
    let said = String::from_utf8_lossy(&done.stderr);
    let count = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    count.filter(|_| done.status.success()).ok_or_else(|| format!("valgrind: {said}"))
}

/// Each of the cases, by name.
pub(crate) type Cases = BTreeMap<&'static str, Work>;
