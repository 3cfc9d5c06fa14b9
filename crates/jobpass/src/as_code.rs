//! Jobpass as code: one reviewed file of groups, projects and route tables, which is compared with what is there,
//! applied to it, and written from it.

mod apply;
mod entry;
mod export;
mod failure;
mod file;
mod locate;
mod plan;
mod schema;
mod server;
mod show;
mod write;

use apply::Apply;
use clap::Args;
use export::Asked;
pub(crate) use failure::Failure;
use file::Source;
use jobpass_client::Put;
use jobpass_domain::Path;
pub(crate) use schema::schema;
pub(crate) use server::Server;
use show::Color;
use std::io::Write;
use std::path::PathBuf;
pub(crate) use write::file as write_file;

/// Where the server is; who asks is said by the variable `JOBPASS_TOKEN`
#[derive(Args, Clone, Debug)]
pub(crate) struct Address {
    /// Where Jobpass answers
    #[arg(long, env = "JOBPASS_URL", default_value = "http://127.0.0.1:8787")]
    pub(crate) url: String,
}

#[derive(Args, Clone, Debug)]
struct Planning {
    /// The file, such as jobpass.yaml
    #[arg(short = 'f', long = "file", value_name = "FILE", default_value = "jobpass.yaml")]
    file: PathBuf,

    #[arg(long, value_enum, default_value_t)]
    color: Color,

    /// How many days back uses count for what would break [default: the server's, 90]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3650))]
    window_days: Option<u16>,

    #[command(flatten)]
    address: Address,
}

/// Show what applying the file would change, and what would break; nothing is changed
#[derive(Args, Clone, Debug)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    planning: Planning,

    /// Exit with 2 when there is a difference
    #[arg(long)]
    check: bool,
}

/// Show the plan, then change what differs: each group and each project in one transaction, or not at all
#[derive(Args, Clone, Debug)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    planning: Planning,

    /// Even if something that was seen would break
    #[arg(long)]
    confirm: bool,
}

/// Write the file from what is there: all that you maintain, or what is named
#[derive(Args, Clone, Debug)]
pub(crate) struct ExportArgs {
    /// A group with all that lies under it; may be given again
    #[arg(long = "group", value_name = "PATH", value_parser = |text: &str| Path::parse(text))]
    groups: Vec<Path>,

    /// A project; may be given again
    #[arg(long = "project", value_name = "PATH", value_parser = |text: &str| Path::parse(text))]
    projects: Vec<Path>,

    #[command(flatten)]
    address: Address,
}

/// Answers whether the check found a difference.
pub(crate) async fn plan(args: &PlanArgs, out: &mut impl Write) -> Result<bool, Failure> {
    let Planning { file, color, window_days, address } = &args.planning;
    let source = Source::open(file)?;
    let plan = plan::plan(&source, &Server::new(&address.url)?, *window_days).await?;
    out.write_all(show::plan(&plan, *color).as_bytes())?;
    Ok(args.check && plan.differs())
}

pub(crate) async fn apply(args: &ApplyArgs, out: &mut impl Write) -> Result<(), Failure> {
    let Planning { file, color, window_days, address } = &args.planning;
    let source = Source::open(file)?;
    let server = Server::new(&address.url)?;
    let plan = plan::plan(&source, &server, *window_days).await?;
    out.write_all(show::plan(&plan, *color).as_bytes())?;
    out.flush()?;
    if plan.breaks() && !args.confirm {
        return Err(Failure::WouldBreak);
    }
    let put = Put { confirmed: args.confirm, window_days: *window_days };
    for applied in Apply::run(plan, &server, put).await? {
        writeln!(out, "applied: {applied}")?;
    }
    Ok(())
}

pub(crate) async fn export(args: &ExportArgs, out: &mut impl Write) -> Result<(), Failure> {
    let asked = Asked { groups: &args.groups, projects: &args.projects };
    let yaml = export::export(&asked, &Server::new(&args.address.url)?).await?;
    Ok(out.write_all(yaml.as_bytes())?)
}
