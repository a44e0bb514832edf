//! A replica as whoever started it sees it: a process that is asked, waited for no longer than is bearable, and ended on
//! every path.

use super::super::own_path;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// An answer takes no longer, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Process {
    pub(super) name: &'static str,
    child: Child,
    requests: Sender<String>,
    answers: Receiver<String>,
    /// What it said on stderr.
    log: PathBuf,
}

impl Process {
    pub(super) fn start(name: &'static str, config: &Path) -> Result<Self, String> {
        let log = config.with_extension("log");
        let failed = |error: &dyn std::fmt::Display| format!("replica {name}: {error}");
        let file = File::options().create(true).append(true).open(&log);
        let mut child = Command::new(own_path().map_err(|error| failed(&error))?)
            .args(["demo-replica", "--log", "error"])
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file.map_err(|error| failed(&error))?)
            .spawn()
            .map_err(|error| failed(&error))?;
        let (mut stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (requests, to_send) = channel::<String>();
        let (heard, answers) = channel();
        // Both pipes have threads of their own, so that a process that is stuck keeps nobody: they end with it.
        std::thread::spawn(move || {
            for line in to_send {
                let Some(stdin) = &mut stdin else { return };
                if stdin.write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
        });
        std::thread::spawn(move || {
            let lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines());
            for line in lines.map_while(Result::ok) {
                if heard.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Process { name, child, requests, answers, log })
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask(&self, request: &Value) -> Result<Value, String> {
        let _ = self.requests.send(format!("{request}\n"));
        let what = || request["do"].as_str().unwrap_or("?");
        let Ok(line) = self.answers.recv_timeout(PATIENCE) else {
            return Err(format!(
                "replica {} did not answer to {}{}",
                self.name,
                what(),
                self.said()
            ));
        };
        let answer: Value = serde_json::from_str(&line).unwrap_or_default();
        match answer["error"].as_str() {
            Some(error) => Err(format!("replica {}, asked to {}: {error}", self.name, what())),
            None => Ok(answer),
        }
    }

    /// SIGKILL: no destructor runs, nothing is said.
    pub(super) fn kill(mut self) -> Result<(), String> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(|_| ()).map_err(|error| format!("replica {}: {error}", self.name))
    }

    /// Has it close its store and end.
    pub(super) fn close(mut self) -> Result<(), String> {
        self.ask(&json!({ "do": "close" }))?;
        let until = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(None) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(None) => return Err(format!("replica {} did not end", self.name)),
                Ok(Some(status)) => {
                    return Err(format!(
                        "replica {} ended with {status}{}",
                        self.name,
                        self.said()
                    ));
                }
                Err(error) => return Err(format!("replica {}: {error}", self.name)),
            }
        }
    }

    /// What it said last, to be put behind an error.
    fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().last().map_or_else(String::new, |line| format!(": {line}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
