//! Policies that are hard to compile: each would keep a compiler, or the memory of its process, busy for long.

use super::{component, module};
use std::fmt::Write;

/// A policy that does nothing, and has much for a compiler to do.
#[derive(Clone, Copy, Debug)]
pub struct Heavy {
    /// What there is much of.
    pub name: &'static str,
    /// Once in a module.
    shared: &'static str,
    /// A function, or other parts of a module, with so many of it.
    text: fn(usize) -> String,
    /// Bytes of one of them.
    each: usize,
}

impl Heavy {
    /// A component of so many functions, each of about so many bytes.
    #[must_use]
    pub fn component(&self, bytes: usize, functions: usize) -> Vec<u8> {
        let all = (self.text)(bytes / self.each).repeat(functions);
        component(&module(&format!("{}{all}", self.shared), "(global.get $answer)"))
    }
}

const fn heavy(name: &'static str, each: usize, text: fn(usize) -> String) -> Heavy {
    Heavy { name, shared: "", text, each }
}

/// All of them.
pub const HEAVY: [Heavy; 22] = [
    heavy("blocks", 7, blocks),
    heavy("nested blocks", 6, nested),
    heavy("loops", 7, loops),
    heavy("locals that meet in blocks", 19, locals_in_blocks),
    heavy("locals that a switch joins", 14, switch_of_locals),
    heavy("values alive over blocks", 16, values_over_blocks),
    Heavy { shared: "(func $nothing)", ..heavy("values alive over calls", 10, values_over_calls) },
    heavy("large switches", 210, switches),
    Heavy { shared: WIDE, ..heavy("blocks of many results", 6, wide_blocks) },
    Heavy { shared: WIDE, ..heavy("calls of many results", 2, wide_calls) },
    heavy("small functions", 4, small_functions),
    heavy("types", 14, types),
    heavy("nested loops", 8, nested_loops),
    heavy("globals", 5, globals),
    heavy("sums", 6, sums),
    heavy("loads", 3, loads),
    heavy("stores", 7, stores),
    heavy("divisions", 6, divisions),
    heavy("conversions of floats", 5, conversions),
    heavy("vectors", 7, vectors),
    Heavy {
        shared: "(table 10 funcref) (func $f) (elem (i32.const 0) $f)",
        ..heavy("calls through a table", 5, calls_through)
    },
    // A dozen bytes ask for it, and a compiler writes down all of its functions.
    Heavy {
        shared: "(func $f) (table 2000000 funcref (ref.func $f))",
        ..heavy("a large table", 1, nothing)
    },
];

fn repeated(count: usize, mut one: impl FnMut(usize, &mut String)) -> String {
    let mut text = String::new();
    for at in 0..count {
        one(at, &mut text);
    }
    text
}

/// A function of `i64` parameters `$a` and `$b`, and an `i32` one, `$c`.
fn function(locals: &str, body: &str) -> String {
    format!("(func (param $a i64) (param $b i64) (param $c i32) {locals} {body})")
}

fn blocks(count: usize) -> String {
    function("", &"(block (br_if 0 (local.get $c)))".repeat(count))
}

fn nested(count: usize) -> String {
    // Validators and compilers go by a stack of their own, so depth is no more than number.
    let inner = "block local.get $c br_if 0 ".repeat(count) + &"end ".repeat(count);
    function("", &inner)
}

fn loops(count: usize) -> String {
    function("", &"(loop (br_if 0 (local.get $c)))".repeat(count))
}

/// Each block may set one local; all of them are read at the end.
fn locals_in_blocks(count: usize) -> String {
    let locals = count.min(40_000);
    let body = repeated(count, |at, text| {
        let _ = write!(
            text,
            "(if (local.get $c) (then (local.set {} (local.get $a))))",
            3 + at % locals
        );
    });
    let read = repeated(locals, |at, text| {
        let _ = write!(text, "(local.set $b (i64.xor (local.get $b) (local.get {})))", 3 + at);
    });
    function(&format!("(local {})", "i64 ".repeat(locals)), &(body + &read))
}

/// A switch jumps into a row of blocks, and behind each a local changes: where they meet all may differ.
fn switch_of_locals(count: usize) -> String {
    let count = count.min(40_000);
    let open = "block ".repeat(count);
    let targets = repeated(count, |at, text| {
        let _ = write!(text, "{at} ");
    });
    let rest = repeated(count, |at, text| {
        let _ = write!(
            text,
            "end local.get {} i64.const 1 i64.add local.set {} ",
            3 + at,
            3 + (at * 7) % count
        );
    });
    let locals = format!("(local {})", "i64 ".repeat(count));
    function(&locals, &format!("{open} local.get $c br_table {targets} 0 {rest}"))
}

/// A value that is used at last.
const PUSH: &str = "local.get $c i64.load local.get $b i64.mul ";

fn values_over_blocks(count: usize) -> String {
    let blocks = "(block (br_if 0 (local.get $c)))".repeat(count);
    let body = PUSH.repeat(count) + &blocks + &"i64.xor ".repeat(count);
    function("", &format!("i64.const 0 {body} local.set $a"))
}

fn values_over_calls(count: usize) -> String {
    let body = PUSH.repeat(count) + &"call $nothing ".repeat(count) + &"i64.xor ".repeat(count);
    function("", &format!("i64.const 0 {body} local.set $a"))
}

fn switches(count: usize) -> String {
    let one = format!("(block (br_table {} 0 (local.get $c)))", "0 1 ".repeat(100));
    function("", &format!("(block {})", one.repeat(count)))
}

/// As many results as a function may have.
const WIDE: &str = "(type $wide (func (param i64 i64 i64 i64) (result i64 i64 i64 i64)))
    (func $wide (type $wide) local.get 3 local.get 1 local.get 2 local.get 0)";

fn wide(body: &str) -> String {
    function("", &("local.get $a ".repeat(4) + body + &"drop ".repeat(4)))
}

fn wide_blocks(count: usize) -> String {
    wide(&"block (type $wide) local.get $c br_if 0 end ".repeat(count))
}

fn wide_calls(count: usize) -> String {
    wide(&"call $wide ".repeat(count))
}

fn small_functions(count: usize) -> String {
    "(func)".repeat(count)
}

fn types(count: usize) -> String {
    repeated(count, |at, text| {
        let kind = |bit: usize| ["i32", "i64", "f32", "f64"][(at >> (2 * bit)) & 3];
        let kinds: Vec<&str> = (0..10).map(kind).collect();
        let _ = write!(text, "(type (func (param {})))", kinds.join(" "));
    })
}

fn nested_loops(count: usize) -> String {
    let open = "loop local.get $a i64.const 1 i64.add local.set $a ".repeat(count);
    function("", &(open + &"local.get $c br_if 0 end ".repeat(count)))
}

fn globals(count: usize) -> String {
    "(global i64 (i64.const 5))".repeat(count)
}

fn sums(count: usize) -> String {
    let body = repeated(count, |at, text| {
        let _ = write!(text, "i64.const {} i64.add local.get $b i64.xor ", at % 50);
    });
    function("", &format!("local.get $a {body} local.set $a"))
}

fn loads(count: usize) -> String {
    function("", &format!("local.get $c {} local.set $c", "i32.load offset=8 ".repeat(count)))
}

fn stores(count: usize) -> String {
    function("", &"(i64.store offset=9 (local.get $c) (local.get $a))".repeat(count))
}

fn divisions(count: usize) -> String {
    let body = "local.get $b i64.div_s local.get $b i64.rem_s ".repeat(count);
    function("", &format!("local.get $a {body} local.set $a"))
}

fn conversions(count: usize) -> String {
    let body = "i64.trunc_f64_s f64.convert_i64_u f64.sqrt f64.nearest f64.ceil ".repeat(count);
    function("", &format!("f64.const 1 {body} drop"))
}

fn vectors(count: usize) -> String {
    let body = "i8x16.popcnt local.get $c i8x16.shl local.get $c i64x2.shr_s f32x4.sqrt f32x4.abs
        i32x4.trunc_sat_f32x4_u f64x2.convert_low_i32x4_u ";
    function("", &format!("v128.const i64x2 1 2 {} drop", body.repeat(count / 2)))
}

fn calls_through(count: usize) -> String {
    function("", &"(call_indirect (local.get $c))".repeat(count))
}

/// What there is much of stands in the module once.
fn nothing(_: usize) -> String {
    String::new()
}
