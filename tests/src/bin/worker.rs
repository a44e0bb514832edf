//! A process to be killed: writes numbered batches and says on standard output what it begins and
//! what the engine has acknowledged. See `tidelog_tests::numbered`.
//!
//! ```text
//! worker write STORE COUNT [FIRST]   writes batches FIRST..FIRST+COUNT, keeps house now and then
//! worker hold STORE                  opens and waits until standard input ends
//! worker check STORE SAID            compares the store with the lines in the file SAID
//! ```
//!
//! With `WORKER_THREADS=1` the store flushes, compacts and syncs by its own threads; without, all
//! calls are made by this one, so that the n-th system call is the same in every run. Paths come
//! first from the arguments, so that the worker can be the only program of a virtual machine.
#![allow(clippy::print_stdout, reason = "its lines are what it is for")]

use std::io::{Read, Write};
use std::process::ExitCode;
use tidelog_engine::{Durability, Kind, Options, Store, Upkeep, WriteError};
use tidelog_tests::numbered::{Said, batch, delete};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["write", store, count] => write(store, number(count), 0),
        ["write", store, count, first] => write(store, number(count), number(first)),
        ["hold", store] => hold(store),
        ["check", store, said] => check(store, said),
        _ => {
            say("usage: worker write STORE COUNT [FIRST] | hold STORE | check STORE SAID");
            ExitCode::from(2)
        }
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

/// One line in one system call, so that a line is there or not.
fn say(line: &str) {
    let text = format!("{line}\n");
    if std::io::stdout().lock().write_all(text.as_bytes()).is_err() {
        // Nobody listens any more.
        std::process::exit(0);
    }
}

fn options() -> Options {
    let threads = std::env::var_os("WORKER_THREADS").is_some();
    let upkeep = if threads { Upkeep::Background } else { Upkeep::Caller };
    Options::new().memory_budget(1 << 20).segment_bytes(64 << 10).groups(2).upkeep(upkeep)
}

/// Opens; what may be tried again is tried again once.
fn open(path: &str) -> Option<Store> {
    for _ in 0..2 {
        match options().open(path) {
            Ok(store) => {
                say("open");
                return Some(store);
            }
            Err(error) => {
                say(&format!("open failed: {error}"));
                if error.kind() != Kind::Retry {
                    return None;
                }
            }
        }
    }
    None
}

fn write(path: &str, count: u64, first: u64) -> ExitCode {
    let Some(store) = open(path) else { return ExitCode::from(3) };
    for n in first..first + count {
        say(&format!("begin {n}"));
        match store.write(&batch(n), Durability::Sync) {
            Ok(_) => say(&format!("ack {n}")),
            Err(error) => {
                if !survives(&store, n, &error) {
                    return ExitCode::from(4);
                }
                continue;
            }
        }
        keep_house(&store, n);
    }
    match store.close() {
        Ok(()) => say("closed"),
        Err(error) => say(&format!("close failed: {error}")),
    }
    ExitCode::SUCCESS
}

/// Can the store go on after a write that failed?
fn survives(store: &Store, n: u64, error: &WriteError) -> bool {
    say(&format!("write failed: {error}"));
    if error.kind() == Kind::Reopen {
        // Whether the batch survives is unknown. Nothing more may be acknowledged.
        for again in n + 1..n + 4 {
            say(&format!("begin {again}"));
            match store.write(&batch(again), Durability::Sync) {
                Err(WriteError::Poisoned) => {}
                Err(other) => say(&format!("WRONG: poisoned, and then {other}")),
                Ok(_) => say("WRONG: poisoned, and then acknowledged"),
            }
        }
        return false;
    }
    say(&format!("refused {n}"));
    true
}

/// Flushes, compacts and deletes now and then; failures are said and lived with.
fn keep_house(store: &Store, n: u64) {
    let told = |what: &str, error: &dyn std::fmt::Display| say(&format!("{what} failed: {error}"));
    if n % 8 == 5 {
        store.flush().unwrap_or_else(|error| told("flush", &error));
    }
    if n % 12 == 10 {
        let gone = n - 6;
        say(&format!("deleting {gone}"));
        match store.delete(&delete(gone)) {
            Ok(_) => say(&format!("deleted {gone}")),
            Err(error) => told("delete", &error),
        }
    }
    if n % 20 == 17 {
        store.compact().unwrap_or_else(|error| told("compact", &error));
    }
}

fn hold(path: &str) -> ExitCode {
    let Some(_store) = open(path) else { return ExitCode::from(3) };
    let mut rest = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut rest);
    ExitCode::SUCCESS
}

fn check(path: &str, said: &str) -> ExitCode {
    let said = Said::read(&std::fs::read_to_string(said).expect("what was said"));
    let Some(store) = open(path) else { return ExitCode::from(3) };
    if !store.open_report().is_clean() {
        say(&format!("WRONG: {:?}", store.open_report()));
        return ExitCode::from(5);
    }
    match said.compare(&store) {
        Ok(compared) => {
            say(&format!("right: {compared:?}"));
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            say(&format!("WRONG: {wrong}"));
            ExitCode::from(5)
        }
    }
}
