//! What a host process sees of a policy: no signal handlers, no wake-ups while nothing is planned, and no blame for a
//! policy that was stopped with its process.

use crate::hostile::load;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tidelog_model::policy::RepairPolicy;
use tidelog_wasm::testing::{component, hostile_round, module};
use tidelog_wasm::{Loader, Manifest};

fn status(path: &str, key: &str) -> String {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().to_owned()
}

#[test]
fn a_policy_leaves_the_signal_handlers_of_its_process_alone() {
    let before = status("/proc/self/status", "SigCgt:");
    let mut policy = load(&component(&module("", "unreachable"))).unwrap();
    policy.plan(&hostile_round()).unwrap_err();
    assert_eq!(status("/proc/self/status", "SigCgt:"), before);
}

/// Run in a process of its own by the tests below: other tests make plans of their own here.
#[test]
#[ignore = "run by the two tests below, in a process of its own"]
fn child() {
    match std::env::var("TIDELOG_TEST_PART").as_deref() {
        Ok("idle") => idle(),
        Ok("stopped") => stopped(),
        part => panic!("{part:?}"),
    }
}

fn run(part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "linux::child", "--ignored", "--nocapture"]);
    command.env("TIDELOG_TEST_PART", part);
    command
}

#[test]
fn nothing_wakes_up_while_nothing_is_planned() {
    assert!(run("idle").status().unwrap().success());
}

fn idle() {
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let mut policy = load(&component(&module("", "unreachable"))).unwrap();
    policy.plan(&hostile_round()).unwrap_err();
    assert_eq!(threads(), before + 1, "one thread for all policies");
    std::thread::sleep(policy.manifest().limits.deadline * 2);
    let task = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let named = |path: &std::path::PathBuf| {
        fs::read_to_string(path.join("comm")).unwrap().starts_with("tidelog-policy")
    };
    let ticker = task.into_iter().find(named).unwrap().join("status");
    let switches = || status(ticker.to_str().unwrap(), "voluntary_ctxt_switches:");
    let before = switches();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(switches(), before);
}

#[test]
fn a_process_that_was_stopped_blames_no_policy() {
    let mut child = run("stopped").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("planning")));
    let pid = Pid::from_child(&child);
    for _ in 0..5 {
        kill_process(pid, Signal::STOP).unwrap();
        // Many times what a plan may take.
        std::thread::sleep(Duration::from_millis(1_000));
        kill_process(pid, Signal::CONT).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(child.wait().unwrap().success());
}

/// Plans that take about a tenth of their deadline, one after the other.
#[expect(clippy::print_stdout, reason = "it tells its parent that it has begun")]
fn stopped() {
    let turns = |turns: u64| {
        let body = format!(
            "(loop $l (br_if $l (i64.lt_u
                (local.tee $budget (i64.add (local.get $budget) (i64.const 1))) (i64.const {turns}))))
            (global.get $answer)"
        );
        component(&module("", &body))
    };
    let round = tidelog_model::policy::Round { budget: 0, ..hostile_round() };
    let mut probe = load(&turns(1_000_000)).unwrap();
    let start = Instant::now();
    probe.plan(&round).unwrap();
    let per_turn = start.elapsed() / 1_000;
    // Turns for about 20 ms.
    let wasm = turns(20_000_000_000 / u64::try_from(per_turn.as_nanos()).unwrap());
    let mut manifest = Manifest::of("test", &wasm);
    manifest.limits.deadline = Duration::from_millis(200);
    let mut policy = Loader::new().load(&wasm, manifest).unwrap();
    println!("planning");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(6) {
        assert_eq!(policy.plan(&round), Ok(vec![]));
    }
}
