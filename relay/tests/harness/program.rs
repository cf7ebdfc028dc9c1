//! The relay as a program of its own, for tests that kill it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::At;

/// A running relay; killed when it is dropped.
pub struct Program {
    child: Child,
    url: String,
}

impl Program {
    /// Starts it on a free port, under the name `relay.test`, and waits until it listens.
    pub fn start(data_dir: &Path, more: &[&str]) -> Self {
        Self::run(Self::command(data_dir, more))
    }

    /// The same, with its log as JSON in a file.
    pub fn start_logging(data_dir: &Path, log: &Path) -> Self {
        let mut command = Self::command(data_dir, &["--log-format", "json"]);
        command.stderr(std::fs::File::create(log).unwrap());
        Self::run(command)
    }

    fn command(data_dir: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pairlight-relay"));
        command.args(["--listen", "127.0.0.1:0", "--limits", "generous", "--host", "relay.test"]);
        command.env_clear().arg("--data-dir").arg(data_dir).args(more);
        command
    }

    fn run(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().nth(1).unwrap_or_else(|| panic!("it does not start: {line:?}")).to_owned();
        Self { child, url }
    }

    /// Its exit code, when it ends by itself in time.
    pub fn ends(&mut self) -> Option<i32> {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(std::time::Instant::now() < deadline, "it does not end");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl At for Program {
    fn url(&self) -> String {
        self.url.clone()
    }
    fn host(&self) -> &str {
        "relay.test"
    }
}
