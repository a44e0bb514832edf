//! Check, recover, backup and adopt: damage is named where it is, and what is not damaged is kept.

mod backup;
mod check;
mod crash;
mod recover;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tidelog_engine::{
    Batch, CollectionName, Durability, Finding, Options, Query, Store, Upkeep, ValueRef,
};

/// Between two rows of a device: an hour's window has 360, a page two windows.
const STEP: i64 = 10_000_000_000;
const DEVICES: usize = 6;
const TICKS: i64 = 4000;

fn name() -> CollectionName {
    CollectionName::parse("plant.boiler").unwrap()
}

/// No threads: what files there are is for the test to say.
fn open(path: &Path) -> Store {
    Options::new().groups(2).upkeep(Upkeep::Caller).open(path).unwrap()
}

fn reopen(path: &Path) -> Store {
    Options::new().create(false).upkeep(Upkeep::Caller).open(path).unwrap()
}

fn write(store: &Store, from: i64, to: i64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    for tick in from..to {
        for device in 0..DEVICES {
            let level = ("level", ValueRef::F64(tick as f64 / 4.0 + device as f64));
            let state = ("state", ValueRef::String(if tick % 7 == 0 { "off" } else { "on" }));
            let values = [level, state].into_iter().take(1 + usize::from(tick % 3 == 0));
            batch.push(&format!("pump_{device}"), tick * STEP, values).unwrap();
        }
        if tick % 500 == 499 || tick == to - 1 {
            store.write(&batch, Durability::Os).unwrap();
            batch.clear();
        }
    }
}

/// A closed store: files of two flushes, and a log with more.
fn store(path: &Path) {
    let store = open(path);
    write(&store, 0, TICKS / 2);
    store.flush().unwrap();
    write(&store, TICKS / 2, TICKS);
    store.flush().unwrap();
    write(&store, TICKS, TICKS + 10);
    store.close().unwrap();
}

type Rows = BTreeMap<(String, i64), String>;

fn rows(store: &Store) -> Rows {
    let all = store.query(&name(), Query::new()).unwrap().collect_rows().unwrap();
    let row = |row: usize| {
        let cells: Vec<_> = all.columns.iter().map(|column| column.at(row)).collect();
        ((all.device(row).unwrap().to_string(), all.times[row]), format!("{cells:?}"))
    };
    (0..all.rows()).map(row).collect()
}

fn tide_files(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for group in ["group-0000/raw", "group-0001/raw"] {
        let Ok(entries) = fs::read_dir(path.join(group)) else { continue };
        for entry in entries {
            found.push(format!("{group}/{}", entry.unwrap().file_name().to_str().unwrap()));
        }
    }
    found.sort();
    found
}

fn manifests(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("MANIFEST-")).collect();
    names.sort();
    names
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn findings(store: &Store) -> Vec<Finding> {
    store.check(|_, _| true).unwrap().findings
}

/// Offset of the directory, from the footer.
fn directory_offset(bytes: &[u8]) -> usize {
    let at = bytes.len() - 48;
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

/// Every file below a directory with its content.
fn contents(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(contents(&entry.path()));
        } else {
            found.push((entry.path(), fs::read(entry.path()).unwrap()));
        }
    }
    found
}
