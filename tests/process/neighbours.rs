//! Several processes on one store: one writer, any number of readers.

use crate::worker::{Run, note, options};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tidelog_engine::{OpenError, Options};
use tidelog_tests::numbered::found;

fn holder(run: &Run) -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_worker"));
    command.arg("hold").arg(run.store()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, line)
}

#[test]
fn a_second_writer_is_refused_at_once_until_the_first_is_gone() {
    let mut run = Run::new();
    run.run(3, &[]);
    for round in 0..20 {
        let (mut child, line) = holder(&run);
        assert_eq!(line, "open\n", "round {round}");
        let asked = Instant::now();
        for _ in 0..5 {
            match options().open(run.store()) {
                Err(OpenError::Locked { .. }) => {}
                other => panic!("round {round}: {other:?}"),
            }
        }
        assert!(asked.elapsed() < Duration::from_secs(1), "a refusal must not wait");
        let (mut second, line) = holder(&run);
        assert!(line.contains("open for writing elsewhere"), "{line}");
        assert_eq!(second.wait().unwrap().code(), Some(3));
        if round % 2 == 0 {
            child.kill().unwrap();
        } else {
            drop(child.stdin.take());
        }
        child.wait().unwrap();
        run.verify("after the holder");
    }
}

/// Of many processes that create one store at the same moment, one does, and nothing is mixed up.
#[test]
fn of_many_that_create_a_store_at_once_one_does() {
    for round in 0..10 {
        let mut run = Run::new();
        let spawn = |_| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_worker"));
            command.arg("hold").arg(run.store());
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
        };
        let mut children: Vec<Child> = (0..6).map(spawn).collect();
        let mut open = 0;
        let mut lines = Vec::new();
        for child in &mut children {
            let mut line = String::new();
            BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            open += u32::from(line == "open\n");
            lines.push(line);
        }
        assert_eq!(open, 1, "round {round}: {lines:?}");
        for mut child in children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        run.verify("after a race to create");
    }
}

/// A reader beside a writer that flushes, compacts and deletes sees whole batches, and all that were
/// acknowledged before it was opened.
#[test]
fn readers_beside_a_writer_see_whole_batches_and_all_acknowledged() {
    let mut run = Run::new();
    let mut command = run.command(1_000_000, &[]);
    command.env("WORKER_THREADS", "1");
    let mut child = run.start(command);
    while run.said_so_far().acknowledged.is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let started = Instant::now();
    let mut opened = 0u32;
    let mut most = 0;
    while started.elapsed() < Duration::from_secs(4) {
        let before = run.said_so_far();
        let reader = match Options::new().read_only(true).open(run.store()) {
            Ok(reader) => reader,
            Err(error) => {
                panic!("reader {opened}: {error}: {:?}", std::error::Error::source(&error))
            }
        };
        let found = found(&reader).unwrap();
        let after = run.said_so_far();
        for (n, rows) in &found {
            assert_eq!(*rows, tidelog_tests::numbered::rows(*n), "reader {opened}");
            assert!(!before.deleted.contains(n), "reader {opened}: {n} was deleted");
        }
        for n in before.acknowledged.iter().filter(|n| !after.deleting.contains(n)) {
            assert!(found.contains_key(n), "reader {opened}: {n} was acknowledged before");
        }
        assert!(reader.open_report().is_clean(), "{:?}", reader.open_report());
        opened += 1;
        most = most.max(found.len());
        if opened > 4 && most > 2000 {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    run.hear();
    run.verify("beside readers");
    note(&format!("{opened} readers beside a writer, up to {most} batches"));
}
