//! The subcommands. Standard output holds what a command answers, and nothing else; errors and logs go to
//! standard error.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks through them")]

use crate::as_code::{self, ApplyArgs, ExportArgs, PlanArgs};
use crate::database::Opened;
use crate::import_gitlab::{self, ImportGitlab};
use crate::keys::{self, Keys};
use crate::settings::DatabaseSettings;
use crate::{Failure, Settings, start, telemetry};
use clap::{Parser, Subcommand};
use jobpass_app::{App, Clock, read_routes};
use jobpass_domain::Catalogue;
use jobpass_domain::catalogue::{FIRST_OPERATOR_SLOT, GitlabNames, ResourceType};
use jobpass_domain::permission::Slot;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// A token for each CI job that opens only what maintainers granted to it, and dies with the job.
#[derive(Parser, Debug)]
#[command(name = "jobpass", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the server
    Serve(Box<Settings>),
    /// Bring the database's schema up to date
    Migrate(DatabaseSettings),
    /// Print a new API token of the administrator `admin`
    BootstrapAdmin(DatabaseSettings),
    /// Print the OpenAPI document
    Openapi,
    Plan(Box<PlanArgs>),
    Apply(Box<ApplyArgs>),
    Export(Box<ExportArgs>),
    /// Print the JSON schema of the file that plan and apply read, for editors
    Schema,
    /// Write what another system permits as grants
    #[command(subcommand)]
    Import(Import),
    /// Route tables
    #[command(subcommand)]
    Routes(Routes),
    #[command(subcommand)]
    Keys(Keys),
}

#[derive(Subcommand, Debug)]
enum Import {
    Gitlab(Box<ImportGitlab>),
}

#[derive(Subcommand, Debug)]
enum Routes {
    /// Check a file as the server would, without one: every fault is told by file, line and column
    Check {
        /// A route table in YAML
        file: PathBuf,
        /// A resource type of your own that the file names; may be given again
        #[arg(long = "resource", value_name = "NAME")]
        resources: Vec<String>,
    },
}

/// Runs the command line of this process.
pub async fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Never 2, which is what `plan --check` says of a difference.
        Err(told) => {
            let _ = told.print();
            return if told.exit_code() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    match dispatch(cli.command).await {
        Ok(code) => code,
        // Each line says where it is from by itself.
        Err(Failure::Faults(lines)) => {
            eprintln!("{lines}");
            ExitCode::FAILURE
        }
        Err(Failure::AsCode(faults @ as_code::Failure::Faults(_))) => {
            eprintln!("{faults}");
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("jobpass: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// What `plan --check` answers when there is a difference.
const DRIFT: u8 = 2;

async fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Plan(args) => {
            let differs = as_code::plan(&args, &mut std::io::stdout()).await?;
            return Ok(if differs { ExitCode::from(DRIFT) } else { ExitCode::SUCCESS });
        }
        Command::Apply(args) => as_code::apply(&args, &mut std::io::stdout()).await?,
        Command::Export(args) => as_code::export(&args, &mut std::io::stdout()).await?,
        Command::Keys(keys) => keys::run(keys, &mut std::io::stdout()).await?,
        Command::Schema => println!("{:#}", as_code::schema()),
        Command::Serve(settings) => serve(*settings).await?,
        Command::Migrate(database) => {
            Opened::for_command(&database).await?.close().await;
        }
        Command::BootstrapAdmin(database) => bootstrap_admin(&database).await?,
        Command::Openapi => {
            let document = jobpass_http::openapi().to_pretty_json().map_err(|error| Failure::Io(error.into()))?;
            println!("{document}");
        }
        Command::Import(Import::Gitlab(args)) => import_gitlab(&args).await?,
        Command::Routes(Routes::Check { file, resources }) => check_routes(&file, resources)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check_routes(file: &Path, resources: Vec<String>) -> Result<(), Failure> {
    let shown = file.display();
    let bytes = std::fs::read(file).map_err(|error| Failure::File(format!("{shown}: {error}")))?;
    let yaml = String::from_utf8(bytes).map_err(|_| Failure::File(format!("{shown}: a text is UTF-8")))?;
    let table = read_routes(&yaml, &with_own_types(resources)?).map_err(|faults| {
        let lines = faults.iter().map(|one| format!("{shown}:{}:{}: {}", one.line, one.column, one.fault.detail));
        Failure::Faults(lines.collect::<Vec<_>>().join("\n"))
    })?;
    println!("{shown}: {} routes, no faults", table.routes().len());
    Ok(())
}

/// The shipped resource types, and those that only the server's database would know.
pub(crate) fn with_own_types(names: Vec<String>) -> Result<Catalogue, Failure> {
    let too_many = || Failure::File("more resource types than fit".to_owned());
    let types = (FIRST_OPERATOR_SLOT..).zip(names).map(|(slot, name)| {
        Ok(ResourceType {
            slot: Slot::new(slot).ok_or_else(too_many)?,
            name,
            description: String::new(),
            since: "operator".to_owned(),
            name_form: None,
            gitlab: GitlabNames::None,
            operator_defined: true,
        })
    });
    Ok(Catalogue::with_operator_types(types.collect::<Result<Vec<_>, Failure>>()?))
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    telemetry::start(&settings);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let starting = start(settings, Clock::system());
    tokio::pin!(starting);
    // A signal while the database starts ends that, too.
    let running = tokio::select! {
        started = &mut starting => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop().await;
    Ok(())
}

async fn import_gitlab(args: &ImportGitlab) -> Result<(), Failure> {
    let imported = import_gitlab::run(args).await?;
    for note in &imported.notes {
        eprintln!("{note}");
    }
    print!("{}", imported.yaml);
    Ok(())
}

async fn bootstrap_admin(database: &DatabaseSettings) -> Result<(), Failure> {
    let opened = Opened::for_command(database).await?;
    let app = App::new(opened.db.clone(), Clock::system(), jobpass_app::Settings::default());
    let secret = app.bootstrap_admin().await;
    opened.close().await;
    let secret = secret.map_err(|refusal| Failure::Database(format!("{refusal:?}")))?;
    println!("{}", secret.expose());
    Ok(())
}
