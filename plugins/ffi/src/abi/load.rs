//! The functions of `tidelog_wasm.h`, which says what they do and what callers owe.

use super::entry::{entry, watch};
use super::hook::Hook;
use super::plan::{self, LOADED, Loaded};
use super::raw::{self, Plain};
use super::tidelog::*;
use crate::fault::{Fault, of_load, of_manifest_text};
use crate::handle::foreign;
use crate::identity::{Identity, kept};
use std::ffi::{CString, c_char, c_void};
use std::path::Path;
use std::ptr;
use tidelog_wasm::{Loader, Manifest, WasmPolicy};

/// How a policy is loaded.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_wasm_options {
    pub struct_size: u32,
    pub reserved: u32,
    pub cache: *const c_char,
    pub log: tidelog_log_fn,
    pub log_user: *mut c_void,
    pub log_drop: tidelog_drop_fn,
}

/// The functions of libtidelog that a plan is made with.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidelog_wasm_calls {
    pub struct_size: u32,
    pub reserved: u32,
    pub plan_add: Option<AddFn>,
    pub plan_explain: Option<ExplainFn>,
}

// SAFETY: integers, pointers, and functions that may be NULL.
unsafe impl Plain for tidelog_wasm_options {
    const NAME: &'static str = "tidelog_wasm_options";
}
// SAFETY: as above.
unsafe impl Plain for tidelog_wasm_calls {
    const NAME: &'static str = "tidelog_wasm_calls";
}

#[unsafe(no_mangle)]
pub extern "C" fn tidelog_wasm_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_wasm_load_file_with(
    calls: *const tidelog_wasm_calls,
    path: *const c_char,
    options: *const tidelog_wasm_options,
    table: *mut tidelog_policy_table,
    error: *mut tidelog_error,
) -> tidelog_status {
    // SAFETY: the caller's pointers, as the header says.
    let call = || unsafe {
        let table = Table::clear(table);
        let mut given = Given::read(options)?;
        let table = table?;
        given.calls(calls)?;
        let path = Path::new(raw::text(path, "path")?);
        let load = |loader: &Loader| {
            let policy = loader.load_file(path);
            policy.map_err(|error| of_load(&error, &path.display().to_string()))
        };
        given.load(load, table)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_wasm_load_file_with", error, call) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_wasm_load_with(
    calls: *const tidelog_wasm_calls,
    component: *const u8,
    length: usize,
    manifest: *const c_char,
    options: *const tidelog_wasm_options,
    table: *mut tidelog_policy_table,
    error: *mut tidelog_error,
) -> tidelog_status {
    // SAFETY: the caller's pointers, as the header says.
    let call = || unsafe {
        let table = Table::clear(table);
        let mut given = Given::read(options)?;
        let table = table?;
        given.calls(calls)?;
        let component = raw::bytes(component, length, "component")?;
        let manifest = Manifest::parse(raw::text(manifest, "manifest")?);
        let manifest = manifest.map_err(|error| of_manifest_text(&error))?;
        let name = manifest.name.clone();
        let load = |loader: &Loader| {
            loader.load(component, manifest).map_err(|error| of_load(&error, &name))
        };
        given.load(load, table)
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_wasm_load_with", error, call) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidelog_wasm_unload(
    table: *mut tidelog_policy_table,
    error: *mut tidelog_error,
) -> tidelog_status {
    // SAFETY: the caller's pointers, as the header says.
    let call = || unsafe {
        let table = Table::of(table)?;
        let loaded = LOADED.take(table.handle()?)?;
        table.set(None);
        drop(loaded);
        Ok(())
    };
    // SAFETY: the caller's error, as the header says.
    unsafe { entry("tidelog_wasm_unload", error, call) }
}

/// What a caller has said of a load. The hook is dropped on every way out.
struct Given {
    hook: Hook,
    cache: Option<String>,
    calls: Option<(AddFn, ExplainFn)>,
}

impl Given {
    /// # Safety
    /// `options` is NULL or what the header says.
    unsafe fn read(options: *const tidelog_wasm_options) -> Result<Self, Fault> {
        if options.is_null() {
            return Ok(Given {
                hook: Hook::new(None, ptr::null_mut(), None),
                cache: None,
                calls: None,
            });
        }
        // SAFETY: as promised to this function.
        let options = unsafe { raw::options(options)? };
        let hook = Hook::new(options.log, options.log_user, options.log_drop);
        if options.reserved != 0 {
            return Err(raw::unknown(tidelog_wasm_options::NAME));
        }
        // SAFETY: as promised to this function.
        let cache = unsafe { raw::text_or_null(options.cache, "cache")? }.map(str::to_owned);
        Ok(Given { hook, cache, calls: None })
    }

    /// # Safety
    /// `calls` is NULL or what the header says.
    unsafe fn calls(&mut self, calls: *const tidelog_wasm_calls) -> Result<(), Fault> {
        if calls.is_null() {
            return Err(Fault::null("calls"));
        }
        // SAFETY: as promised to this function.
        let calls = unsafe { raw::options(calls)? };
        if calls.reserved != 0 {
            return Err(raw::unknown(tidelog_wasm_calls::NAME));
        }
        let add = calls.plan_add.ok_or_else(|| Fault::null("plan_add"))?;
        let explain = calls.plan_explain.ok_or_else(|| Fault::null("plan_explain"))?;
        self.calls = Some((add, explain));
        Ok(())
    }

    /// Loads a policy into a table.
    fn load(
        self,
        load: impl FnOnce(&Loader) -> Result<WasmPolicy, Fault>,
        table: Table,
    ) -> Result<(), Fault> {
        let Given { hook, cache, calls } = self;
        let (add, explain) = calls.ok_or_else(|| Fault::null("calls"))?;
        watch();
        let policy = hook.during(|| {
            let loader = match &cache {
                Some(folder) => Loader::with_cache(Path::new(folder))?,
                None => Loader::new(),
            };
            load(&loader)
        })?;
        let manifest = policy.manifest();
        let (hash, deadline) = (*manifest.hash.as_bytes(), manifest.limits.deadline);
        let name = CString::new(manifest.name.as_str());
        let name = name.map_err(|_| Fault::argument("the name of the manifest has a NUL"))?;
        let identity = kept(Identity { name, hash });
        let handle = LOADED.insert(Loaded { policy, hook, add, explain });
        // SAFETY: the caller's table; what it is told of the policy lies still for good.
        unsafe {
            table.set(Some((handle, identity)));
            table.give_time(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
        }
        Ok(())
    }
}

/// A table of the caller, of a size that has room for a policy.
struct Table(*mut tidelog_policy_table);

impl Table {
    /// # Safety
    /// `table` is NULL or what the header says, for as long as this is used.
    unsafe fn of(table: *mut tidelog_policy_table) -> Result<Self, Fault> {
        if table.is_null() {
            return Err(Fault::null("table"));
        }
        // SAFETY: as promised to this function. No header has a shorter one.
        unsafe { raw::size(table, size_of::<tidelog_policy_table>())? };
        Ok(Table(table))
    }

    /// A table without a policy, so that one that is not loaded is not asked.
    ///
    /// # Safety
    /// As for [`Table::of`].
    unsafe fn clear(table: *mut tidelog_policy_table) -> Result<Self, Fault> {
        // SAFETY: as promised to this function.
        unsafe {
            let table = Table::of(table)?;
            table.set(None);
            Ok(table)
        }
    }

    /// The number of its policy; zero when it has none.
    ///
    /// # Safety
    /// As for [`Table::of`].
    unsafe fn handle(&self) -> Result<usize, Fault> {
        // SAFETY: as promised to this function.
        let own = unsafe { raw::head(self.0, size_of::<tidelog_policy_table>()) };
        let handle = own.user.addr();
        // The numbers are small: in the table of another policy one may stand for something else.
        let ours = own.plan.is_some_and(|own| ptr::fn_addr_eq(own, plan::plan as PlanFn))
            && own.drop.is_some_and(|own| ptr::fn_addr_eq(own, plan::drop as DropFn));
        if handle == 0 || ours { Ok(handle) } else { Err(foreign()) }
    }

    /// What belongs to a policy; the bounds beside it are the caller's.
    ///
    /// # Safety
    /// As for [`Table::of`].
    unsafe fn set(&self, policy: Option<(usize, &'static Identity)>) {
        // SAFETY: as promised to this function.
        let mut own = unsafe { raw::head(self.0, size_of::<tidelog_policy_table>()) };
        let handle = policy.map_or(0, |(handle, _)| handle);
        own.user = ptr::without_provenance_mut(handle);
        own.name = policy.map_or(ptr::null(), |(_, identity)| identity.name.as_ptr());
        own.options = policy.map_or(ptr::null(), |(_, identity)| identity.hash.as_ptr());
        own.options_length = policy.map_or(0, |(_, identity)| identity.hash.len());
        own.plan = policy.map(|_| plan::plan as _);
        own.drop = policy.map(|_| plan::drop as _);
        // SAFETY: as promised to this function; a table of the caller's may be unaligned.
        unsafe { self.0.write_unaligned(own) }
    }

    /// A node waits for as long as the policy may take, and as long again to be late through no fault of its own; where the
    /// caller has said nothing, and the node's own second is too short.
    ///
    /// # Safety
    /// As for [`Table::of`].
    unsafe fn give_time(&self, deadline_ms: u64) {
        let needs = deadline_ms.saturating_mul(2);
        // SAFETY: inside of the table, as promised to this function.
        unsafe {
            let timeout = &raw mut (*self.0).timeout_ms;
            if timeout.read_unaligned() == 0 && needs > NODE_TIMEOUT_MS {
                timeout.write_unaligned(needs.min(TIMEOUT_MS_MAX));
            }
        }
    }
}

type PlanFn =
    unsafe extern "C" fn(*mut c_void, *const tidelog_policy_round, *mut tidelog_policy_plan) -> i32;
type DropFn = unsafe extern "C" fn(*mut c_void);

/// What a node waits that was told nothing, and what it waits at most: `timeout_ms` in `tidelog.h`.
const NODE_TIMEOUT_MS: u64 = 1_000;
const TIMEOUT_MS_MAX: u64 = 10_000;
