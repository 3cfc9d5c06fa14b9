//! The real `git`, with no settings but those given here. A token is a password that a credential helper reads
//! from the environment: it is in no argument and on no disk.

use crate::story::{Story, Wrong, mask, say};
use std::fs;
use std::path::PathBuf;
use std::process::Output;
use tokio::process::Command;

const HELPER: &str = "credential.helper=!f() { echo username=job; echo \"password=$JOBPASS_TOKEN\"; }; f";
const TOLD: [&str; 4] = ["remote:", "fatal:", "error:", "To "];

pub(crate) struct Git {
    home: PathBuf,
    work: PathBuf,
    repositories: PathBuf,
}

impl Git {
    pub(crate) fn new(home: PathBuf, work: PathBuf, repositories: PathBuf) -> Result<Git, Wrong> {
        for folder in [&home, &work, &repositories] {
            fs::create_dir(folder)?;
        }
        Ok(Git { home, work, repositories })
    }

    /// A bare repository with one commit on main, as the Git server keeps it.
    pub(crate) async fn seed(&self, project: &str) -> Result<(), Wrong> {
        let bare = self.repositories.join(format!("{project}.git")).display().to_string();
        // Its clean-up would go on in the background, in a folder that is about to be removed.
        let no_upkeep = ["--git-dir", &bare, "config", "receive.autogc", "false"];
        let first = format!("{}-seed", project.replace('/', "-"));
        self.quietly(&["init", "--quiet", "--bare", "--initial-branch=main", &bare]).await?;
        self.quietly(&no_upkeep).await?;
        self.quietly(&["init", "--quiet", "--initial-branch=main", &first]).await?;
        self.commit(&first, "README.md", "The first commit").await?;
        self.quietly(&["-C", &first, "push", "--quiet", &bare, "main"]).await?;
        Ok(())
    }

    pub(crate) async fn commit(&self, copy: &str, file: &str, message: &str) -> Result<(), Wrong> {
        fs::write(self.work.join(copy).join(file), message)?;
        self.quietly(&["-C", copy, "add", file]).await?;
        self.quietly(&["-C", copy, "commit", "--quiet", "--message", message]).await?;
        Ok(())
    }

    /// The subject of the last commit on main, as the Git server has it.
    pub(crate) async fn last_commit(&self, project: &str) -> Result<String, Wrong> {
        let bare = self.repositories.join(format!("{project}.git")).display().to_string();
        self.quietly(&["--git-dir", &bare, "log", "-1", "--format=%s", "main"]).await
    }

    pub(crate) async fn succeeds(&self, story: &Story, token: &str, arguments: &[&str]) -> Result<(), Wrong> {
        let output = self.told(story, token, arguments).await?;
        if output.status.success() {
            Ok(())
        } else {
            Err(Wrong::expected("git succeeds", String::from_utf8_lossy(&output.stderr)))
        }
    }

    /// Git fails, and says why in these words.
    pub(crate) async fn is_refused(
        &self,
        story: &Story,
        token: &str,
        arguments: &[&str],
        words: &str,
    ) -> Result<(), Wrong> {
        let output = self.told(story, token, arguments).await?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() && stderr.contains(words) {
            story.holds(&format!("refused, and git shows why: {words}"));
            Ok(())
        } else {
            let seen = format!("{}\n{stderr}", output.status);
            Err(Wrong::expected(format!("git fails and shows {words:?}"), seen))
        }
    }

    async fn told(&self, story: &Story, token: &str, arguments: &[&str]) -> Result<Output, Wrong> {
        story.does(&format!("job: git {}", arguments.join(" ")));
        let output = self.command(token).args(arguments).output().await?;
        story.sees(&output.status.to_string());
        let stderr = String::from_utf8_lossy(&output.stderr);
        for line in stderr.lines().filter(|line| TOLD.iter().any(|start| line.starts_with(start))) {
            say!("        {}", mask(line.trim_end()));
        }
        Ok(output)
    }

    /// What is no part of the story; answers what git prints.
    async fn quietly(&self, arguments: &[&str]) -> Result<String, Wrong> {
        let output = self.command("").args(arguments).output().await?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            let seen = String::from_utf8_lossy(&output.stderr);
            Err(Wrong::expected(format!("git {} succeeds", arguments.join(" ")), seen))
        }
    }

    fn command(&self, token: &str) -> Command {
        let mut command = Command::new("git");
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.env("HOME", &self.home).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
        command.env("LC_ALL", "C").env("JOBPASS_TOKEN", token);
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "A job").env(format!("GIT_{who}_EMAIL"), "job@acme.example");
        }
        command.args(["-c", HELPER, "-c", "maintenance.auto=false"]).current_dir(&self.work).kill_on_drop(true);
        command
    }
}
