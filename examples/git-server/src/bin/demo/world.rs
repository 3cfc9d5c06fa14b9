//! What the story needs around it, and takes away again: a folder below the system's temporary one, a
//! Jobpass with a database of its own, a Git server. Processes are ended by their id.

use crate::git::Git;
use crate::story::{Wrong, mask, say};
use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, DirBuilder, File, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);
const LINES_SHOWN: usize = 15;

pub(crate) struct World {
    pub(crate) http: Client,
    folder: PathBuf,
    /// Where this program was built; the others lie beside it.
    programs: PathBuf,
    processes: Vec<Process>,
}

struct Process {
    name: &'static str,
    child: Child,
}

impl World {
    pub(crate) fn new() -> Result<World, Wrong> {
        // Without a default provider reqwest panics; a second one being refused is fine.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build();
        let program = std::env::current_exe()?;
        let programs = program.parent().ok_or_else(|| Wrong::new("this program lies nowhere"))?;
        Ok(World {
            http: http.map_err(|error| Wrong::new(error.to_string()))?,
            folder: fresh_folder()?,
            programs: programs.to_owned(),
            processes: Vec::new(),
        })
    }

    pub(crate) fn git(&self) -> Result<Git, Wrong> {
        Git::new(self.folder.join("home"), self.folder.join("work"), self.folder.join("repositories"))
    }

    /// Starts Jobpass on a free port; answers its URL once it is ready.
    pub(crate) async fn start_jobpass(&mut self) -> Result<String, Wrong> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = self.program("jobpass")?;
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(self.data());
        self.start("jobpass", command)?;
        let url = format!("http://127.0.0.1:{port}");
        self.wait_until_ready(&url).await?;
        Ok(url)
    }

    /// The token of an administrator, from the command that makes one.
    pub(crate) async fn bootstrap_admin(&self) -> Result<String, Wrong> {
        let mut command = self.program("jobpass")?;
        command.args(["bootstrap-admin", "--data-dir"]).arg(self.data());
        let output = command.output().await?;
        if !output.status.success() {
            return Err(Wrong::expected("exit code 0", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts the Git server on a free port; answers its URL.
    pub(crate) async fn start_git_server(&mut self, jobpass: &str, id: &str, secret: &str) -> Result<String, Wrong> {
        let mut command = self.program("git-server")?;
        let root = self.folder.join("repositories");
        command.args(["--listen", "127.0.0.1:0", "--root"]).arg(root);
        command.env("JOBPASS_URL", jobpass).env("JOBPASS_CLIENT_ID", id);
        command.env("JOBPASS_CLIENT_SECRET", secret).stdout(Stdio::piped());
        let stdout = self.start("git-server", command)?.child.stdout.take();
        let stdout = stdout.ok_or_else(|| Wrong::new("its output is gone"))?;
        let line = timeout(START, BufReader::new(stdout).lines().next_line()).await;
        let line = line.map_err(|_| Wrong::expected("an address", "silence"))??.unwrap_or_default();
        let url = line.strip_prefix("listening on ").map(str::to_owned);
        url.ok_or_else(|| Wrong::expected("listening on …", line))
    }

    /// What the processes had to say, for whoever looks for the cause.
    pub(crate) fn show_logs(&self) {
        for Process { name, .. } in &self.processes {
            let log = fs::read_to_string(self.log(name)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(LINES_SHOWN)..).unwrap_or_default();
            say!("\nThe last lines of {name}:\n{}", mask(&last.join("\n")));
        }
    }

    /// Ends every process, the last first, and removes the folder.
    pub(crate) async fn end(mut self) -> Result<(), Wrong> {
        let mut stubborn = Vec::new();
        while let Some(mut process) = self.processes.pop() {
            if !process.end().await {
                stubborn.push(process.name);
            }
        }
        if self.end_orphan().await {
            stubborn.push("PostgreSQL");
        }
        fs::remove_dir_all(&self.folder)?;
        if stubborn.is_empty() {
            Ok(())
        } else {
            let seen = format!("had to end {} by force", stubborn.join(", "));
            Err(Wrong::expected("nothing is left running", seen))
        }
    }

    /// A Jobpass that was killed cannot take its database with it. Whether there was one to end.
    async fn end_orphan(&self) -> bool {
        let file = self.data().join("pgdata/postmaster.pid");
        let id = fs::read_to_string(&file).ok().and_then(|text| text.lines().next()?.parse().ok());
        let Some(id) = id.and_then(Pid::from_raw) else {
            return false;
        };
        let begun = Instant::now();
        while file.exists() && begun.elapsed() < STOP && kill_process(id, Signal::INT).is_ok() {
            sleep(PAUSE).await;
        }
        true
    }

    async fn wait_until_ready(&mut self, url: &str) -> Result<(), Wrong> {
        let begun = Instant::now();
        while begun.elapsed() < START {
            let answer = self.http.get(format!("{url}/readyz")).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if let Some(status) = self.last_ended()? {
                return Err(Wrong::expected("a server that runs", status));
            }
            sleep(PAUSE).await;
        }
        Err(Wrong::expected("a server that is ready", "none within 20 s"))
    }

    fn last_ended(&mut self) -> Result<Option<ExitStatus>, Wrong> {
        match self.processes.last_mut() {
            Some(process) => Ok(process.child.try_wait()?),
            None => Ok(None),
        }
    }

    fn start(&mut self, name: &'static str, mut command: Command) -> Result<&mut Process, Wrong> {
        // In a group of its own, so that Ctrl-C reaches this program alone and it can clean up in order.
        let child = command.stderr(File::create(self.log(name))?).process_group(0).spawn()?;
        self.processes.push(Process { name, child });
        self.processes.last_mut().ok_or_else(|| Wrong::new("it was not started"))
    }

    /// A program that is built beside this one, without the settings of whoever runs the story.
    fn program(&self, name: &str) -> Result<Command, Wrong> {
        let program = self.programs.join(name);
        if !program.exists() {
            return Err(Wrong::expected(format!("the program {name} beside this one"), "none: build it first"));
        }
        let mut command = Command::new(program);
        let ours = |name: &str| name.starts_with("JOBPASS_") || name.starts_with("GIT_") || name == "DATABASE_URL";
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(ours)) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(name).with_extension("log")
    }
}

impl Process {
    /// Whether it ended when it was told to.
    async fn end(&mut self) -> bool {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.and_then(Pid::from_raw) {
            // It may be gone already, and then there is nothing to tell.
            let _ = kill_process(id, Signal::TERM);
        }
        let in_time = timeout(STOP, self.child.wait()).await.is_ok();
        if !in_time {
            // As much as can be done; the caller says that it was needed.
            let _ = self.child.kill().await;
        }
        in_time
    }
}

/// Open to the unprivileged user whom the database runs as when the story is told as root.
fn fresh_folder() -> Result<PathBuf, Wrong> {
    let id = std::process::id();
    for number in 0..100 {
        let folder = std::env::temp_dir().join(format!("jobpass-demo-{id}-{number}"));
        match DirBuilder::new().create(&folder) {
            Ok(()) => {
                fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
                return Ok(folder);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Wrong::new("no free name for a temporary folder"))
}
