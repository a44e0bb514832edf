//! For tests and benches: components out of WAT, hostile ones, and rounds out of a seed. Panics on mistakes.

mod heavy;
mod hostile;
mod rounds;

pub use heavy::{HEAVY, Heavy};
pub use hostile::{HOSTILE, Hostile, hostile_round};
pub use rounds::{Rounds, recorded};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The WIT package that this host speaks.
pub const WIT_TEXT: &str = include_str!("../../../wit/0.1/policy.wit");

/// Is a component within the bounds of what is compiled? It is not compiled.
#[must_use]
pub fn is_within_bounds(wasm: &[u8]) -> bool {
    crate::bounds::check(wasm).is_ok()
}

/// A component of the world `repair-policy` out of a core module.
#[must_use]
pub fn component(wat: &str) -> Vec<u8> {
    component_of(wat, &[WIT_TEXT], "tidelog:policy/repair-policy")
}

/// A component of a world of these packages; the last one has the world.
#[must_use]
pub fn component_of(wat: &str, packages: &[&str], world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let mut own = Vec::new();
    for (at, text) in packages.iter().enumerate() {
        own.push(resolve.push_str(format!("{at}.wit"), text).expect("a WIT package"));
    }
    let world = resolve.select_world(&own, Some(world)).expect("a world");
    let mut module = wat::parse_str(wat).expect("WAT");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("a world");
    let encoder = ComponentEncoder::default().module(&module).expect("a module of the world");
    encoder.validate(true).encode().expect("a component")
}

/// A core module around the body of `plan`, with an allocator. The body is run in rounds with `now` = 666; all others
/// get an empty plan. It leaves the address of the answer. `$answer` is a place for one.
#[must_use]
pub fn module(functions: &str, body: &str) -> String {
    module_with("call $allocate", functions, body)
}

fn module_with(realloc: &str, functions: &str, body: &str) -> String {
    format!(
        r#"(module
  (import "tidelog:policy/log@0.1.0" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 4)
  (global $next (mut i32) (i32.const 1024))
  (global $answer i32 (i32.const 512))
  (global $hostile (mut i32) (i32.const 0))
  (func $allocate (param $old i32) (param $was i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (local.get $at))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    local.get 0 local.get 1 local.get 2 local.get 3 {realloc})
  {functions}
  (func (export "tidelog:policy/repair@0.1.0#plan")
    (param $now i64) (param $peer i32) (param $budget i64) (param $deferral i64)
    (param $names i32) (param $names_len i32) (param $peers i32) (param $peers_len i32)
    (param $windows i32) (param $windows_len i32) (result i32)
    (local $i i32)
    (if (i64.ne (local.get $now) (i64.const 666)) (then (return (global.get $answer))))
    (global.set $hostile (i32.const 1))
    {body}))"#
    )
}
