//! The functions of a table: a component is asked, and let go of.

use super::entry::guarded;
use super::hook::Hook;
use super::round;
use super::tidelog::*;
use crate::fault::{Fault, of_plan};
use crate::handle::Handles;
use std::ffi::{CStr, CString, c_void};
use std::mem::MaybeUninit;
use tidelog_model::policy::{RepairPolicy, Step};
use tidelog_wasm::WasmPolicy;

/// All that stand in tables.
pub(super) static LOADED: Handles<Loaded> = Handles::new();

/// A policy that stands in a table.
pub(super) struct Loaded {
    pub(super) policy: WasmPolicy,
    pub(super) hook: Hook,
    pub(super) add: AddFn,
    pub(super) explain: ExplainFn,
}

/// What a table plans with.
///
/// # Safety
/// What `tidelog.h` says of a `tidelog_policy_plan_fn`.
pub(super) unsafe extern "C" fn plan(
    user: *mut c_void,
    round: *const tidelog_policy_round,
    plan: *mut tidelog_policy_plan,
) -> i32 {
    let call = || {
        let loaded = LOADED.find(user.addr())?;
        // SAFETY: the caller's round and plan.
        Ok(unsafe { loaded.answer(round, plan) })
    };
    guarded("tidelog_wasm_plan", call).unwrap_or_else(|fault| fault.code)
}

/// Lets go of the policy of a table. One that plans goes when its plan is made.
///
/// # Safety
/// None is needed: `user` is not followed.
pub(super) unsafe extern "C" fn drop(user: *mut c_void) {
    // A second time, or in a forked child, there is nothing to let go of and nobody to tell.
    let _ = guarded("tidelog_wasm_drop", || LOADED.take(user.addr()).map(std::mem::drop));
}

impl Loaded {
    /// Plans a round into a plan. Anything but `TIDELOG_OK` means that there is none, and the plan says why.
    ///
    /// # Safety
    /// Round and plan are libtidelog's.
    unsafe fn answer(
        &self,
        round: *const tidelog_policy_round,
        plan: *mut tidelog_policy_plan,
    ) -> tidelog_status {
        // SAFETY: as promised to this function.
        let asked = guarded("tidelog_wasm_plan_round", || unsafe { self.ask(round) });
        // SAFETY: as promised to this function.
        let (status, why) = match asked {
            Ok(Ok(steps)) => match unsafe { self.give(plan, &steps) } {
                Ok(()) => return TIDELOG_OK,
                Err(fault) => (fault.code, fault.message.into_owned()),
            },
            Ok(Err(failed)) => failed,
            Err(fault) => (fault.code, fault.message.into_owned()),
        };
        let why = CString::new(why.replace('\0', " ")).unwrap_or_default();
        // SAFETY: libtidelog's function with its own plan. That it fails is no reason to say something else.
        unsafe { (self.explain)(plan, why.as_ptr(), std::ptr::null_mut()) };
        status
    }

    /// Asks the component; a status and why, where it has no plan. A clone shares its code, and has the lines of its log for itself.
    ///
    /// # Safety
    /// The round is libtidelog's.
    unsafe fn ask(
        &self,
        round: *const tidelog_policy_round,
    ) -> Result<Result<Vec<Step>, (tidelog_status, String)>, Fault> {
        // SAFETY: as promised to this function.
        let round = unsafe { round::read(round)? };
        let mut policy = self.policy.clone();
        Ok(self.hook.during(|| policy.plan(&round)).map_err(|error| of_plan(&error)))
    }

    /// Adds the steps to the plan.
    ///
    /// # Safety
    /// The plan is libtidelog's.
    unsafe fn give(&self, plan: *mut tidelog_policy_plan, steps: &[Step]) -> Result<(), Fault> {
        let steps: Vec<tidelog_policy_step> = steps.iter().map(round::step).collect();
        let stride = size_of::<tidelog_policy_step>();
        let mut error = MaybeUninit::<tidelog_error>::zeroed();
        // SAFETY: libtidelog's function with its own plan; an error of zeros is one that says no size, and has a NUL at its end.
        let (status, text) = unsafe {
            let status = (self.add)(plan, steps.as_ptr(), steps.len(), stride, error.as_mut_ptr());
            (status, CStr::from_ptr(error.assume_init_ref().message.as_ptr()))
        };
        match status {
            TIDELOG_OK => Ok(()),
            status => {
                Err(Fault::new(status, TIDELOG_KIND_NONE, text.to_string_lossy().into_owned()))
            }
        }
    }
}
