//! `tidelog policy`: policies are tried before a node runs them.

use std::path::Path;
use std::process::{Command, Output};
use tidelog::model::policy::{
    Cost, Divergence, NewestFirst, PeerFacts, Recorded, RepairPolicy, Round, Side,
};
use tidelog::model::{CollectionName, GroupId, StoreId, TimeRange};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
    command.arg("policy").args(arguments).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(both).unwrap()
}

fn round(windows: i64) -> Round {
    let window = |at: i64| Divergence {
        group: GroupId(0),
        collection: CollectionName::parse("plant.air").unwrap(),
        range: TimeRange::inclusive(at * 100, at * 100 + 99).unwrap(),
        devices: 1,
        ours: Side::default(),
        theirs: Side { rows: 5, bytes: 80 },
        age: 0,
        borrowed: false,
    };
    let (store, cost) = (StoreId([1; 16]), Cost::Free);
    let peer = PeerFacts { store, up: true, cost, rtt: 0, lag: 0, agreed: u64::MAX };
    Round {
        now: 1_000,
        peer: 0,
        budget: u64::MAX,
        max_deferral: 1_000,
        peers: vec![peer],
        windows: (0..windows).map(window).collect(),
    }
}

/// What a node that goes newest first would have recorded.
fn record(path: &Path, rounds: i64) {
    let mut bytes = Vec::new();
    for number in 0..rounds {
        let round = round(number + 2);
        let plan = NewestFirst.plan(&round).unwrap();
        let recorded = Recorded { round, plan }.encode();
        bytes.extend_from_slice(&u32::try_from(recorded.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&recorded);
    }
    // The power failed while the next one was written.
    bytes.extend_from_slice(&[200, 0, 0, 0, 1]);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_policy_is_tried_with_a_sample_round_and_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["check", "metered"]);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for line in [
        "policy metered",
        "rollups are borrowed",
        "nothing for 480 minutes",
        "plant.boiler from 2026-11-27T",
    ] {
        assert!(text.contains(line), "{line} is not in: {text}");
    }
    let output = run(folder.path(), &["check", "meterd"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let output = run(folder.path(), &["check", "none.wasm"]);
    assert!(!output.status.success() && said(&output).contains("none.wasm"), "{}", said(&output));
}

#[test]
fn recorded_rounds_are_planned_again_and_what_differs_is_told() {
    let folder = tempfile::tempdir().unwrap();
    record(&folder.path().join("rounds"), 30);
    let output = run(folder.path(), &["replay", "rounds", "newest-first"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("30 rounds: 30 planned as recorded, 0 otherwise"));
    let output = run(folder.path(), &["replay", "rounds", "complete"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("30 rounds: 0 planned as recorded, 30 otherwise"), "{text}");
    assert_eq!(text.lines().count(), 11, "the first ten are told: {text}");

    let path = folder.path().join("rounds");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4] = 77;
    std::fs::write(&path, bytes).unwrap();
    let output = run(folder.path(), &["replay", "rounds", "complete"]);
    assert!(!output.status.success() && said(&output).contains("round 0"), "{}", said(&output));
}

#[cfg(feature = "wasm")]
#[test]
fn a_component_is_tried_and_plans_recorded_rounds() {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/examples/built");
    let output = run(&built, &["check", "metered-uplink.wasm"]);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("a component that may use") && text.contains("borrowed"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(built.join("trusted-peer.wasm"), folder.path().join("own_one.wasm")).unwrap();
    let text = said(&run(folder.path(), &["check", "own_one.wasm"]));
    assert!(text.contains("write this to own_one.toml") && text.contains("hash = "), "{text}");
    let text = said(&run(folder.path(), &["check", "--write-manifest", "own_one.wasm"]));
    assert!(text.contains("its manifest was written to own_one.toml"), "{text}");
    let text = said(&run(folder.path(), &["check", "own_one.wasm"]));
    assert!(text.starts_with("policy own-one\na component that may use"), "{text}");
    record(&folder.path().join("rounds"), 5);
    let c = built.join("../../c/newest-first.wasm");
    let output = run(folder.path(), &["replay", "rounds", c.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
}
