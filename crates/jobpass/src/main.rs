//! The `jobpass` command.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    jobpass::run().await
}
