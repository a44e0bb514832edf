//! Compiled code of a policy, and what one plan of it takes: a store, an instance, a call.

use crate::bindings::{RepairPolicy as Guest, RepairPolicyPre};
use crate::convert;
use crate::deadline::{Deadline, Verdict};
use crate::limits::{ANSWER_BYTES_MAX, Limits, Meter};
use crate::log::Log;
use crate::manifest::Manifest;
use crate::memory::Memories;
use crate::windows::Plan;
use std::fmt;
use std::sync::Arc;
use tidelog_model::policy::{PolicyError, PolicyErrorKind, Round, Step};
use wasmtime::component::{Component, ComponentExportIndex, HasSelf, Linker};
use wasmtime::{Config, Engine, Error, Store, Trap, UpdateDeadline};

/// The stack of a policy's code, on the thread that asks it: such threads may be small.
const STACK: usize = 256 << 10;

/// An engine for policies of such limits.
pub(crate) fn engine(limits: Limits) -> Result<Engine, Error> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(STACK)
        // The host keeps its signal handlers; bounds are checked by the code itself.
        .signals_based_traps(false)
        // All that it may ever have is reserved at once and never moves: growth then costs no copies.
        .memory_reservation(limits.memory_bytes as u64)
        .memory_reservation_for_growth(0)
        .memory_guard_size(0)
        .memory_may_move(false)
        .guard_before_linear_memory(false)
        // Memory that is used again is written, and not mapped over.
        .memory_init_cow(false)
        .with_host_memory(Arc::new(Memories::new()))
        // The same round has the same plan on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false);
    Engine::new(&config)
}

/// A policy that can be instantiated.
pub(crate) struct Code {
    pub(crate) manifest: Manifest,
    engine: Engine,
    pre: RepairPolicyPre<Call>,
    plan: ComponentExportIndex,
}

impl Code {
    /// Links a component with what it may import.
    ///
    /// # Errors
    /// When an import has another type than the WIT package says, or an export is not there.
    pub(crate) fn new(manifest: Manifest, component: &Component) -> Result<Self, Error> {
        let engine = component.engine().clone();
        let mut linker = Linker::new(&engine);
        Guest::add_to_linker::<_, HasSelf<Log>>(&mut linker, |call: &mut Call| &mut call.log)?;
        let pre = RepairPolicyPre::new(linker.instantiate_pre(component)?)?;
        let interface = component.get_export_index(None, "tidelog:policy/repair@0.1.0");
        let plan = component.get_export_index(interface.as_ref(), "plan");
        let plan = plan.ok_or_else(|| Error::msg("it exports no function plan"))?;
        Ok(Code { manifest, engine, pre, plan })
    }

    /// One plan, by a fresh instance.
    pub(crate) fn plan(&self, round: &Round) -> (Result<Vec<Step>, PolicyError>, Log) {
        let mut instance = match self.instance() {
            Ok(instance) => instance,
            Err(Failed { error, log }) => return (Err(error), log),
        };
        let plan = instance.call(round);
        (plan, instance.store.into_data().log)
    }

    /// One plan that is told of windows as of all else, record by record, as wasmtime's own bindings do it.
    #[cfg(test)]
    pub(crate) fn plan_by_records(&self, round: &Round) -> Vec<Step> {
        let mut store = self.store();
        let policy = self.pre.instantiate(&mut store).unwrap();
        let record = convert::record(round);
        let plan = policy.tidelog_policy_repair().call_plan(&mut store, &record);
        convert::steps(plan.unwrap().unwrap())
    }

    /// Does its function have the type that the WIT package says? One that cannot start is not asked.
    pub(crate) fn check_types(&self) -> Result<(), Error> {
        let mut store = self.store();
        match self.pre.instance_pre().instantiate(&mut store) {
            Ok(instance) => Guest::new(&mut store, &instance).map(drop),
            Err(_) => Ok(()),
        }
    }

    /// A fresh instance, its deadline running.
    pub(crate) fn instance(&self) -> Result<Instance, Failed> {
        let mut store = self.store();
        let instance = self.pre.instance_pre().instantiate(&mut store);
        let plan = instance.and_then(|instance| instance.get_typed_func(&mut store, self.plan));
        match plan {
            Ok(plan) => Ok(Instance { store, plan, limits: self.manifest.limits, asked: false }),
            Err(error) => {
                Err(Failed { error: why(&error, store.data()), log: store.into_data().log })
            }
        }
    }

    fn store(&self) -> Store<Call> {
        let call = Call::new(&self.engine, self.manifest.limits);
        let mut store = Store::new(&self.engine, call);
        store.limiter(|call| &mut call.meter);
        store.set_hostcall_fuel(ANSWER_BYTES_MAX);
        let engine = self.engine.clone();
        store.epoch_deadline_callback(move |mut store| {
            Ok(match store.data_mut().deadline.verdict(&engine) {
                Verdict::GoOn | Verdict::MoreTime => UpdateDeadline::Continue(1),
                Verdict::Over => UpdateDeadline::Interrupt,
            })
        });
        store.set_epoch_deadline(1);
        store
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

/// An instance that did not come to be.
pub(crate) struct Failed {
    pub(crate) error: PolicyError,
    log: Log,
}

/// One instance of a policy, with its memory.
pub struct Instance {
    store: Store<Call>,
    plan: Plan,
    limits: Limits,
    asked: bool,
}

impl Instance {
    /// Plans a round. After an error the instance is of no more use.
    ///
    /// # Errors
    /// As [`RepairPolicy::plan`](tidelog_model::policy::RepairPolicy::plan).
    pub fn plan(&mut self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        // Time is given for each call. The first one has what its start left of it.
        if std::mem::replace(&mut self.asked, true) {
            let engine = self.store.engine().clone();
            self.store.set_epoch_deadline(1);
            self.store.data_mut().deadline = Deadline::start(&engine, self.limits.deadline);
        }
        self.call(round)
    }

    fn call(&mut self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        match self.plan.call(&mut self.store, (convert::round(round),)) {
            Ok((Ok(steps),)) => Ok(convert::steps(steps)),
            Ok((Err(error),)) => Err(convert::error(error)),
            Err(error) => Err(why(&error, self.store.data())),
        }
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// What belongs to one instance.
struct Call {
    meter: Meter,
    log: Log,
    deadline: Deadline,
}

impl Call {
    fn new(engine: &Engine, limits: Limits) -> Self {
        Call {
            meter: Meter::new(limits),
            log: Log::default(),
            deadline: Deadline::start(engine, limits.deadline),
        }
    }
}

/// What went wrong, as the model knows it.
fn why(error: &Error, call: &Call) -> PolicyError {
    if let Some(refused) = call.meter.refused {
        return PolicyError::new(PolicyErrorKind::Limit, refused);
    }
    // wasmtime has no public type for it; a test holds the text.
    let root = error.root_cause().to_string();
    if root.contains("fuel allocated for hostcalls") {
        let text = format!("its answer or a line of its log has over {ANSWER_BYTES_MAX} bytes");
        return PolicyError::new(PolicyErrorKind::Limit, text);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => {
            PolicyError::new(PolicyErrorKind::Deadline, "it was stopped at its deadline")
        }
        Some(trap) if is_answer(*trap) => PolicyError::new(PolicyErrorKind::Plan, trap.to_string()),
        Some(trap) => PolicyError::new(PolicyErrorKind::Trap, trap.to_string()),
        // The answer, or a line, is not what its type says.
        None => PolicyError::new(PolicyErrorKind::Plan, root),
    }
}

/// Traps of who reads an answer or a line, and not of the code.
fn is_answer(trap: Trap) -> bool {
    matches!(
        trap,
        Trap::InvalidChar
            | Trap::InvalidDiscriminant
            | Trap::ListOutOfBounds
            | Trap::StringOutOfBounds
            | Trap::UnalignedPointer
    )
}
