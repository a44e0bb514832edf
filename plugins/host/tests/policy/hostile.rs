//! Nothing that a policy does reaches further than its own plan.

use std::time::{Duration, Instant};
use tidelog_model::policy::{Action, PolicyErrorKind, RepairPolicy, Step};
use tidelog_wasm::testing::{HOSTILE, component, hostile_round, module};
use tidelog_wasm::{Limits, LoadError, Loader, Manifest, WasmPolicy, golden_round};

pub(crate) fn load(wasm: &[u8]) -> Result<WasmPolicy, LoadError> {
    Loader::new().load(wasm, Manifest::of("test", wasm))
}

#[test]
fn every_hostile_policy_fails_alone_in_time_and_can_be_asked_again() {
    for hostile in HOSTILE {
        let name = hostile.name;
        let mut policy = load(&hostile.component()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let limits = policy.manifest().limits;
        for _ in 0..2 {
            let start = Instant::now();
            let error = policy.plan(&hostile_round()).expect_err(name);
            // Machines that test are busy: the bench measures what a deadline is worth.
            let late = limits.deadline * 3 + Duration::from_millis(500);
            assert!(start.elapsed() < late, "{name} took {:?}", start.elapsed());
            assert_eq!(error.kind, hostile.kind, "{name}: {error}");
            let next = policy.plan(&golden_round(1));
            assert_eq!(next.as_deref(), Ok(&[][..]), "{name}: the next plan");
        }
    }
}

#[test]
fn memory_ends_at_its_limit_and_not_a_page_before() {
    // Born with 4 pages.
    for (pages, limit, fits) in [(60, 64, true), (61, 64, false), (0, 4, true), (1, 4, false)] {
        let body = format!("(drop (memory.grow (i32.const {pages}))) (global.get $answer)");
        let wasm = component(&module("", &body));
        let mut manifest = Manifest::of("test", &wasm);
        manifest.limits = Limits { memory_bytes: limit << 16, ..Limits::default() };
        let loaded = Loader::new().load(&wasm, manifest);
        // The sample round of 1,000 windows takes 80 kB.
        let plan = loaded.unwrap().plan(&hostile_round());
        match plan {
            Ok(_) => assert!(fits, "{pages} more pages of {limit}"),
            Err(error) => {
                assert_eq!(error.kind, PolicyErrorKind::Limit);
                assert!(!fits, "{pages} more pages of {limit}: {error}");
            }
        }
    }
}

/// Grows, answers with what it finds in old and new memory, and leaves something there.
fn nosy(pages: u32) -> Vec<u8> {
    let last = (4 + pages) * 65_536 - 8;
    let text = module(
        "",
        &format!(
            "(drop (memory.grow (i32.const {pages})))
            (i32.store8 offset=1032 (i32.const 0) (i32.const 4))
            (i64.store offset=1040 (i32.const 0)
              (i64.or (i64.load (i32.const 200000)) (i64.load (i32.const {last}))))
            (i64.store (i32.const 200000) (i64.const -1)) (i64.store (i32.const {last}) (i64.const -1))
            (i32.store offset=4 (global.get $answer) (i32.const 1024))
            (i32.store offset=8 (global.get $answer) (i32.const 1)) (global.get $answer)"
        ),
    );
    // Its allocator begins behind the answer.
    component(&text.replacen("(i32.const 1024)", "(i32.const 2048)", 1))
}

#[test]
fn no_plan_sees_what_another_left_in_memory() {
    // The memory of the small one is used again, that of the large one is too large for it.
    for pages in [1, 50] {
        let policy = load(&nosy(pages)).unwrap();
        let round = hostile_round();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let (mut policy, round) = (policy.clone(), &round);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let plan = policy.plan(round).unwrap();
                        let found = |step: &Step| step.action == Action::Defer(0);
                        assert!(plan.len() == 1 && found(&plan[0]), "{pages}: {plan:?}");
                    }
                });
            }
        });
    }
}

#[test]
fn a_component_born_with_more_than_its_limit_is_not_loaded() {
    let wasm = component(&module("", "unreachable"));
    let mut manifest = Manifest::of("test", &wasm);
    manifest.limits.memory_bytes = 3 << 16;
    let error = Loader::new().load(&wasm, manifest).unwrap_err();
    let limit = matches!(&error, LoadError::Tried { windows: 0, source } if source.kind == PolicyErrorKind::Limit);
    assert!(limit, "{error}");
}

#[test]
fn a_start_that_never_ends_is_over_at_the_deadline() {
    let wasm = component(&module("(func $spin (loop $l (br $l))) (start $spin)", "unreachable"));
    let error = load(&wasm).unwrap_err();
    let deadline = matches!(&error, LoadError::Tried { windows: 0, source } if source.kind == PolicyErrorKind::Deadline);
    assert!(deadline, "{error}");
}

#[test]
fn a_flood_of_lines_is_cut_and_counted() {
    let body = "(loop $l (call $log (i32.const 2) (i32.const 0) (i32.const 400))
        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))
        (global.get $answer)";
    let mut policy = load(&component(&module("(data (i32.const 0) \"a\\nb\")", body))).unwrap();
    assert_eq!(policy.plan(&hostile_round()).unwrap(), []);
    let log = policy.log();
    assert_eq!((log.lines.len(), log.dropped), (32, 68));
    assert!(log.lines.iter().all(|line| line.text.len() == 256 && line.text.starts_with("a b ")));
    policy.plan(&golden_round(0)).unwrap();
    assert!(policy.log().lines.is_empty(), "each plan has a log of its own");
}

#[test]
fn two_policies_that_spin_end_apart_and_blame_nobody_else() {
    let spin = HOSTILE[0].component();
    let calm = component(&module("", "(global.get $answer)"));
    let ends = |deadline: u64, wasm: &[u8]| {
        let mut manifest = Manifest::of("test", wasm);
        manifest.limits.deadline = Duration::from_millis(deadline);
        let mut policy = Loader::new().load(wasm, manifest).unwrap();
        move || policy.plan(&hostile_round()).map_err(|error| error.kind)
    };
    let mut spinning = [20, 120].map(|deadline| ends(deadline, &spin));
    let mut calm = ends(2_000, &calm);
    std::thread::scope(|scope| {
        for policy in &mut spinning {
            scope.spawn(|| assert_eq!(policy(), Err(PolicyErrorKind::Deadline)));
        }
        for _ in 0..200 {
            assert_eq!(calm(), Ok(vec![]));
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}
