//! Repair policies as WebAssembly components: loaded, held to limits, asked, swapped.
//!
//! A policy is two files: a component of the world `tidelog:policy/repair-policy`, and a manifest beside it that says
//! which component is meant and what it may use. What comes out is a [`RepairPolicy`] like the built-in ones:
//!
//! ```no_run
//! use tidelog_model::policy::RepairPolicy;
//! use tidelog_wasm::{Loader, Slot};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let loader = Loader::with_cache("/var/cache/tidelog/policies".as_ref())?;
//! // metered-uplink.toml stands beside it.
//! let policy = loader.load_file("policies/metered-uplink.wasm".as_ref())?;
//! let (slot, swap) = Slot::new(policy);
//! let for_the_replica: Box<dyn RepairPolicy> = Box::new(slot);
//! // Later, while rounds are planned:
//! swap.set(loader.load_file("policies/freshness-budget.wasm".as_ref())?);
//! swap.roll_back();
//! # drop(for_the_replica);
//! # Ok(())
//! # }
//! ```
//!
//! Each plan gets a fresh instance, with memory and time of its own: what one plan broke, the next one does not see.
//! A policy has no files, network, clock or randomness; all it may call is a bounded log.
//!
//! What this is not: a sandbox for code that attacks the processor. Bounds are checked by the code that Cranelift
//! writes, without signal handlers, and speculative execution is not hardened: run policies of people you know.
//!
//! Threads: none until the first plan, then one for all policies of the process, which sleeps while no plan is made.

mod bounds;
mod cache;
mod code;
mod convert;
mod deadline;
mod golden;
mod limits;
mod load;
mod log;
mod manifest;
mod memory;
mod policy;
mod slot;
#[cfg(feature = "testing")]
pub mod testing;
mod windows;

pub use bounds::STEPS_MAX;
pub use cache::CacheError;
pub use code::Instance;
pub use golden::golden_round;
pub use limits::{ANSWER_BYTES_MAX, Limits};
pub use load::{LoadError, Loader, WASM_BYTES_MAX};
pub use log::{LINE_BYTES_MAX, LINES_MAX, Level, Line, Log};
pub use manifest::{Manifest, ManifestError, WIT};
pub use policy::WasmPolicy;
pub use slot::{Slot, Swap};

pub use tidelog_model::policy::RepairPolicy;

/// What the WIT package says, as Rust.
mod bindings {
    wasmtime::component::bindgen!({ path: "../wit/0.1", world: "repair-policy" });
}
