//! The programs of `make bench` that are in no package. Python beside this file starts them, and reads the JSON that they write.
#![expect(clippy::print_stdout, reason = "what was measured is for whoever started this")]

mod connection;
mod floor;
mod lag;
mod paced;
mod tokens;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The server's: a floor is of the same build.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Whatever went wrong: this run has no figure.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Parser)]
enum Command {
    /// Answer every POST, once it is read, with the same bytes
    Floor {
        #[arg(long)]
        listen: SocketAddr,
        /// The file with the answer's body
        #[arg(long)]
        body: PathBuf,
    },
    /// Write rows for COPY on standard output: number, hour, hash; and some of the texts to a file
    Tokens(tokens::Wanted),
    #[command(flatten)]
    Measure(Measure),
}

/// Each reads what is wanted from standard input, as JSON, and writes what it saw to standard output.
#[derive(Debug, Subcommand)]
enum Measure {
    /// Ask at a fixed rate, whatever the answers take
    Paced,
    /// How long revoked tokens stay active elsewhere
    Lag,
}

fn main() -> Result<(), Failure> {
    let command = Command::parse();
    if let Command::Tokens(wanted) = command {
        return tokens::write(&wanted);
    }
    match command {
        // As the server has it: as many threads as there are cores to run on.
        Command::Floor { listen, body } => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(floor::serve(listen, std::fs::read(body)?))
        }
        Command::Measure(measure) => {
            let mut wanted = String::new();
            std::io::stdin().read_to_string(&mut wanted)?;
            // Whoever waits for the next moment yields over and over: sockets must be looked at in between.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(7).build()?;
            let seen = match measure {
                Measure::Paced => runtime.block_on(paced::run(serde_json::from_str(&wanted)?))?,
                Measure::Lag => runtime.block_on(lag::run(serde_json::from_str(&wanted)?))?,
            };
            println!("{seen}");
            Ok(())
        }
        Command::Tokens(_) => Ok(()),
    }
}
