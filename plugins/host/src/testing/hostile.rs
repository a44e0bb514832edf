//! Policies that do what policies must not do.

use super::{component, module, module_with};
use crate::golden::golden_round;
use tidelog_model::policy::{PolicyErrorKind, Round};

/// A policy that misbehaves when it is asked for [`hostile_round`], and not before.
#[derive(Clone, Copy, Debug)]
pub struct Hostile {
    /// What it does.
    pub name: &'static str,
    /// How that ends.
    pub kind: PolicyErrorKind,
    functions: &'static str,
    body: &'static str,
    realloc: &'static str,
}

impl Hostile {
    /// The policy.
    #[must_use]
    pub fn component(&self) -> Vec<u8> {
        component(&if self.realloc.is_empty() {
            module(self.functions, self.body)
        } else {
            module_with(self.realloc, self.functions, self.body)
        })
    }
}

/// The round that the bodies wait for: 77 windows, and `now` = 666.
#[must_use]
pub fn hostile_round() -> Round {
    Round { now: 666, ..golden_round(77) }
}

const fn body(name: &'static str, kind: PolicyErrorKind, body: &'static str) -> Hostile {
    Hostile { name, kind, functions: "", body, realloc: "" }
}

/// All of them.
pub const HOSTILE: [Hostile; 22] = [
    body("spin", PolicyErrorKind::Deadline, "(loop $l (br $l)) unreachable"),
    Hostile {
        name: "recursion",
        kind: PolicyErrorKind::Trap,
        functions: "(func $deep (param i64) (result i64)
            (i64.add (call $deep (local.get 0)) (call $deep (i64.const 1))))",
        body: "(drop (call $deep (i64.const 0))) (global.get $answer)",
        realloc: "",
    },
    body("unreachable", PolicyErrorKind::Trap, "unreachable"),
    body(
        "division by zero",
        PolicyErrorKind::Trap,
        "(i32.div_u (i32.const 1) (i32.sub (global.get $hostile) (i32.const 1)))",
    ),
    body("read past its memory", PolicyErrorKind::Trap, "(i32.load (i32.const -4))"),
    body(
        "memory bomb",
        PolicyErrorKind::Limit,
        "(loop $l (drop (memory.grow (i32.const 1))) (br $l)) unreachable",
    ),
    body(
        "all memory at once",
        PolicyErrorKind::Limit,
        "(drop (memory.grow (i32.const 65000))) (global.get $answer)",
    ),
    Hostile {
        name: "table bomb",
        kind: PolicyErrorKind::Limit,
        functions: "(table $t 1 funcref)",
        body: "(drop (table.grow $t (ref.null func) (i32.const 100000000))) (global.get $answer)",
        realloc: "",
    },
    body(
        "huge answer",
        PolicyErrorKind::Limit,
        "(drop (memory.grow (i32.const 20)))
         (i32.store offset=4 (global.get $answer) (i32.const 1024))
         (i32.store offset=8 (global.get $answer) (i32.const 40000)) (global.get $answer)",
    ),
    body(
        "answer past its memory",
        PolicyErrorKind::Plan,
        "(i32.store offset=4 (global.get $answer) (i32.const 262112))
         (i32.store offset=8 (global.get $answer) (i32.const 2)) (global.get $answer)",
    ),
    body(
        "length that overflows",
        PolicyErrorKind::Plan,
        "(i32.store offset=4 (global.get $answer) (i32.const 1024))
         (i32.store offset=8 (global.get $answer) (i32.const 0x8000001)) (global.get $answer)",
    ),
    body("answer at no address", PolicyErrorKind::Plan, "(i32.const -16)"),
    body("answer at an odd address", PolicyErrorKind::Plan, "(i32.const 513)"),
    body(
        "an action that is not known",
        PolicyErrorKind::Plan,
        "(i32.store8 offset=1032 (i32.const 0) (i32.const 9))
         (i32.store offset=4 (global.get $answer) (i32.const 1024))
         (i32.store offset=8 (global.get $answer) (i32.const 1)) (global.get $answer)",
    ),
    body(
        "neither a plan nor an error",
        PolicyErrorKind::Plan,
        "(i32.store8 (global.get $answer) (i32.const 7)) (global.get $answer)",
    ),
    body(
        "an error of bad UTF-8",
        PolicyErrorKind::Plan,
        "(i32.store8 (global.get $answer) (i32.const 1))
         (i32.store (i32.const 600) (i32.const 0xfffefdfc))
         (i32.store offset=8 (global.get $answer) (i32.const 600))
         (i32.store offset=12 (global.get $answer) (i32.const 4)) (global.get $answer)",
    ),
    body(
        "a line of bad UTF-8",
        PolicyErrorKind::Plan,
        "(i32.store (i32.const 600) (i32.const 0xfffefdfc))
         (call $log (i32.const 1) (i32.const 600) (i32.const 4)) (global.get $answer)",
    ),
    body(
        "a level that is not known",
        PolicyErrorKind::Plan,
        "(call $log (i32.const 99) (i32.const 600) (i32.const 4)) (global.get $answer)",
    ),
    body(
        "a huge line",
        PolicyErrorKind::Limit,
        "(drop (memory.grow (i32.const 20)))
         (call $log (i32.const 1) (i32.const 0) (i32.const 1000000)) (global.get $answer)",
    ),
    body(
        "log flood",
        PolicyErrorKind::Deadline,
        "(loop $l (call $log (i32.const 1) (i32.const 0) (i32.const 200)) (br $l)) unreachable",
    ),
    Hostile {
        name: "a call out of its allocator",
        kind: PolicyErrorKind::Trap,
        functions: "",
        body: "(global.get $answer)",
        // 77 windows of 80 bytes.
        realloc: "(if (i32.eq (local.get 3) (i32.const 6160))
            (then (call $log (i32.const 1) (i32.const 0) (i32.const 4)))) call $allocate",
    },
    Hostile {
        name: "a call after its answer",
        kind: PolicyErrorKind::Trap,
        functions: r#"(func (export "cabi_post_tidelog:policy/repair@0.1.0#plan") (param i32)
            (if (global.get $hostile)
                (then (call $log (i32.const 1) (i32.const 0) (i32.const 4)))))"#,
        body: "(global.get $answer)",
        realloc: "",
    },
];
