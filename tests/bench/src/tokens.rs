//! Job tokens by number: valid ones, the same at every run, so that ten million need no list of secrets.

use crate::Failure;
use clap::Args;
use jobpass_domain::token::{self, Hour, TokenHash};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(crate) struct Wanted {
    /// How many, numbered from zero
    #[arg(long)]
    count: u64,
    /// Tokens of another seed are others
    #[arg(long)]
    seed: String,
    /// The last hour of issue, in hours since 1970
    #[arg(long)]
    until_hour: u32,
    /// Over how many hours they are spread
    #[arg(long)]
    hours: u32,
    /// The file for the texts of those that will be asked about
    #[arg(long)]
    texts: PathBuf,
    /// How many these are, spread over all
    #[arg(long)]
    asked: u64,
}

/// The rows come by the hour, as mints would.
pub(crate) fn write(wanted: &Wanted) -> Result<(), Failure> {
    let mut rows = BufWriter::with_capacity(1 << 20, stdout().lock());
    let mut texts = BufWriter::new(File::create(&wanted.texts)?);
    let mut row = String::new();
    for number in 0..wanted.count {
        let hour = hour_of(wanted, number);
        let text = token::generate_job_token(hour, random(&wanted.seed, number));
        row.clear();
        write!(row, "{number}\t{}\t\\\\x", hour.0)?;
        for byte in TokenHash::of(text.expose()).0 {
            write!(row, "{byte:02x}")?;
        }
        row.push('\n');
        rows.write_all(row.as_bytes())?;
        if is_asked(wanted, number) {
            writeln!(texts, "{}", text.expose())?;
        }
    }
    rows.flush()?;
    Ok(texts.flush()?)
}

fn hour_of(wanted: &Wanted, number: u64) -> Hour {
    let into = u128::from(number) * u128::from(wanted.hours) / u128::from(wanted.count.max(1));
    let first = wanted.until_hour.saturating_sub(wanted.hours.saturating_sub(1));
    Hour(first.saturating_add(u32::try_from(into).unwrap_or(u32::MAX)))
}

/// Evenly: as many up to here as its share.
fn is_asked(wanted: &Wanted, number: u64) -> bool {
    let asked_until = |end: u64| u128::from(end) * u128::from(wanted.asked) / u128::from(wanted.count.max(1));
    asked_until(number + 1) > asked_until(number)
}

fn random(seed: &str, number: u64) -> [u8; token::RANDOM] {
    Sha256::new().chain_update(seed).chain_update(number.to_be_bytes()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(count: u64, asked: u64) -> Wanted {
        Wanted { count, seed: "a".to_owned(), until_hour: 500_000, hours: 48, texts: PathBuf::new(), asked }
    }

    #[test]
    fn they_are_spread_over_the_hours() {
        let hours: Vec<u32> = (0..96).map(|number| hour_of(&wanted(96, 1), number).0).collect();
        assert_eq!((hours[0], hours[1], hours[2], hours[95]), (499_953, 499_953, 499_954, 500_000));
        assert!(hours.is_sorted());
    }

    #[test]
    fn as_many_are_asked_about_as_was_said() {
        for (count, asked) in [(10, 10), (10, 3), (1_000, 7), (999, 1)] {
            let wanted = wanted(count, asked);
            assert_eq!((0..count).filter(|number| is_asked(&wanted, *number)).count() as u64, asked);
        }
    }

    #[test]
    fn a_token_is_of_its_seed_and_number() {
        assert_eq!(random("a", 1), random("a", 1));
        assert_ne!(random("a", 1), random("a", 2));
        assert_ne!(random("a", 1), random("b", 1));
    }
}
