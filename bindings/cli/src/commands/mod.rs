//! The commands, each in its file.

mod adopt;
mod backup;
mod compact;
mod compare;
mod delete;
mod demo;
mod digest;
mod export;
mod groups;
mod import;
mod info;
mod latest;
mod plot;
mod policy;
mod query;
mod recover;
#[cfg(feature = "replication")]
mod replica;
mod retain;
mod verify;

use crate::arguments::{Arguments, Opener};
use crate::error::{CommandError, Outcome, say};
use crate::time::print_time_shortly;
use clap::Subcommand;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use tidelog::Explain;
#[cfg(feature = "replication")]
use tidelog::OpenError;

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Import(import::Import),
    Query(query::QueryArguments),
    Export(export::Export),
    Latest(latest::Latest),
    Plot(plot::Plot),
    Delete(delete::DeleteArguments),
    Retain(retain::Retain),
    Info(info::Info),
    Groups(groups::Groups),
    Digest(digest::DigestArguments),
    Compare(compare::Compare),
    Verify(verify::Verify),
    Recover(recover::Recover),
    Compact(compact::Compact),
    Backup(backup::Backup),
    Adopt(adopt::Adopt),
    Policy(policy::PolicyCommand),
    #[cfg(feature = "replication")]
    Cert(replica::Cert),
    #[cfg(feature = "replication")]
    Pair(replica::Pair),
    #[cfg(feature = "replication")]
    Node(replica::NodeCommand),
    #[cfg(feature = "replication")]
    Sync(replica::Sync),
    #[cfg(feature = "replication")]
    Status(replica::StatusCommand),
    #[cfg(feature = "replication")]
    Repair(replica::Repair),
    #[cfg(feature = "replication")]
    Forget(replica::Forget),
    #[cfg(feature = "replication")]
    DropGroup(replica::DropGroup),
    Demo(demo::Demo),
    /// The process that the demo kills.
    #[command(hide = true)]
    DemoWriter(demo::DemoWriter),
    /// A replica of the demo.
    #[cfg(feature = "replication")]
    #[command(hide = true)]
    DemoReplica(demo::DemoReplica),
}

pub(crate) fn run(arguments: Arguments) -> Result<Outcome, CommandError> {
    let opener = Opener::new(arguments.memory);
    match arguments.command {
        Command::Import(command) => {
            let store = command.store.clone();
            or_by_node(&store, command.run(&opener))
        }
        Command::Query(command) => command.run(&opener),
        Command::Export(command) => command.run(&opener),
        Command::Latest(command) => command.run(&opener),
        Command::Plot(command) => command.run(&opener),
        Command::Delete(command) => {
            let store = command.store.clone();
            or_by_node(&store, command.run(&opener))
        }
        Command::Retain(command) => command.run(&opener),
        Command::Info(command) => command.run(&opener),
        Command::Groups(command) => command.run(&opener),
        Command::Digest(command) => command.run(&opener),
        Command::Compare(command) => command.run(&opener),
        Command::Verify(command) => command.run(&opener),
        Command::Recover(command) => command.run(),
        Command::Compact(command) => command.run(&opener),
        Command::Backup(command) => command.run(&opener),
        Command::Adopt(command) => command.run(),
        Command::Policy(command) => command.run(),
        #[cfg(feature = "replication")]
        Command::Cert(command) => command.run(&opener),
        #[cfg(feature = "replication")]
        Command::Pair(command) => command.run(),
        #[cfg(feature = "replication")]
        Command::Node(command) => command.run(&opener),
        #[cfg(feature = "replication")]
        Command::Sync(command) => command.run(&opener),
        #[cfg(feature = "replication")]
        Command::Status(command) => command.run(),
        #[cfg(feature = "replication")]
        Command::Repair(command) => command.run(),
        #[cfg(feature = "replication")]
        Command::Forget(command) => command.run(&opener),
        #[cfg(feature = "replication")]
        Command::DropGroup(command) => command.run(),
        Command::Demo(command) => command.run(),
        Command::DemoWriter(command) => command.run(),
        #[cfg(feature = "replication")]
        Command::DemoReplica(command) => command.run(&opener),
    }
}

/// What a command that writes came to; a store that a node serves is written by the node.
fn or_by_node(store: &Path, done: Result<Outcome, CommandError>) -> Result<Outcome, CommandError> {
    #[cfg(feature = "replication")]
    if let Err(CommandError::Open(OpenError::Locked { .. })) = &done
        && let Some(by_node) = replica::by_node(store)
    {
        return by_node;
    }
    #[cfg(not(feature = "replication"))]
    let _ = store;
    done
}

/// Text to stdout.
fn print(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CommandError::Output)
}

/// One JSON object to stdout, on one line.
fn print_json(value: &serde_json::Value) -> Result<(), CommandError> {
    print(&format!("{value}\n"))
}

/// How long a query took, where a person reads it: programs compare output.
fn shown_time(begun: Instant) -> Option<Duration> {
    use std::io::IsTerminal;
    io::stdout().is_terminal().then(|| begun.elapsed())
}

/// Everything a store takes on disk, directories included: what `du -sb` says.
fn bytes_on_disk(path: &Path) -> io::Result<u64> {
    let about = path.symlink_metadata()?;
    let mut bytes = about.len();
    if about.is_dir() {
        for entry in path.read_dir()? {
            match bytes_on_disk(&entry?.path()) {
                // Upkeep may remove files meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                counted => bytes += counted?,
            }
        }
    }
    Ok(bytes)
}

/// A store's id as people compare it.
fn hex(id: tidelog::StoreId) -> String {
    id.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Says from when on rows are kept, where an answer reaches further back, and what it was made of if that was asked.
fn say_made_of(explain: &Explain, asked: bool) {
    if asked {
        say(&format!("made of {explain}"));
    }
    if let Some(rows_from) = explain.rows_from {
        let rollups = explain.leaves + explain.days + explain.months + explain.years > 0;
        let before = match (explain.nearest, rollups) {
            (0, false) => "there is nothing from before in this answer".to_owned(),
            (0, true) => "rollups answer for the time before, exactly".to_owned(),
            (nearest, _) => format!(
                "rollups answer for the time before, {} of them in the nearest window",
                grouped(nearest)
            ),
        };
        say(&format!("note: rows are kept from {} on; {before}", print_time_shortly(rows_from)));
    }
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 row`, `2 rows`.
fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}
