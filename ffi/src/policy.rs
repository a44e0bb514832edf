//! Repair policies of the host: what comes in with one, the plan while the host adds to it, and rounds that are planned
//! again without a node.

use crate::abi::{TIDELOG_INVALID_ARGUMENT, TIDELOG_OK, TIDELOG_UNSUPPORTED};
use crate::block::Table;
use crate::fault::Fault;
use crate::handle::Handled;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidelog_engine::FieldType::{Bytes, String as Text, U64};
use tidelog_engine::ValueRef;
use tidelog_model::policy::{
    Checked, Complete, PlanError, PolicyError, PolicyErrorKind, Recorded, RepairPolicy, Round,
    Step, WINDOWS_MAX, check, encode_plan,
};

/// A policy with its bounds; `None`: those of a node that nobody told any.
pub struct Given {
    pub policy: Box<dyn RepairPolicy>,
    pub options: Vec<u8>,
    pub max_deferral: Option<Duration>,
    pub timeout: Option<Duration>,
    pub bytes_per_day: Option<u64>,
    pub state: Option<PathBuf>,
    pub record: Option<PathBuf>,
}

/// A function of the host as a policy.
pub(crate) struct Asked<F> {
    name: String,
    plan: F,
}

impl<F: FnMut(&Round) -> Result<Vec<Step>, PolicyError> + Send> Asked<F> {
    pub(crate) fn new(name: &str, plan: F) -> Self {
        Asked { name: name.to_owned(), plan }
    }
}

impl<F: FnMut(&Round) -> Result<Vec<Step>, PolicyError> + Send> RepairPolicy for Asked<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn plan(&mut self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        (self.plan)(round)
    }
}

/// What the host has said of a round so far; nothing any more once it has answered.
pub(crate) struct OpenPlan(Mutex<Option<Draft>>);

#[derive(Default)]
struct Draft {
    steps: Vec<Step>,
    /// The first thing that could not be added: the plan is void, for what is left of it is not what the host meant.
    fault: Option<String>,
    /// Why there is no plan, in the words of the host.
    why: Option<String>,
}

impl Handled for OpenPlan {
    const KIND: &'static str = "policy plan";
}

impl OpenPlan {
    pub(crate) fn new() -> Self {
        OpenPlan(Mutex::new(Some(Draft::default())))
    }

    fn draft(&self) -> MutexGuard<'_, Option<Draft>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds steps; what cannot be added makes the whole plan void.
    pub(crate) fn add(
        &self,
        count: usize,
        read: impl FnOnce() -> Result<Vec<Step>, Fault>,
    ) -> Result<(), Fault> {
        let mut draft = self.draft();
        let draft = draft.as_mut().ok_or_else(answered)?;
        // A round has no more windows, so this is no plan: nothing is read or kept of it.
        let steps = if count > WINDOWS_MAX - draft.steps.len() {
            let have = draft.steps.len();
            Err(Fault::limit(format!(
                "{count} steps after {have} are too many: name each window of the round once at most"
            )))
        } else {
            read()
        };
        match steps {
            Ok(steps) => draft.steps.extend(steps),
            Err(fault) => {
                draft.fault.get_or_insert_with(|| fault.message.clone().into_owned());
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Why there is no plan.
    pub(crate) fn explain(&self, why: &str) -> Result<(), Fault> {
        self.draft().as_mut().ok_or_else(answered)?.why = Some(why.to_owned());
        Ok(())
    }

    /// The answer, given with a status; nothing is added any more.
    pub(crate) fn answer(&self, status: i32) -> Result<Vec<Step>, PolicyError> {
        let Draft { steps, fault, why } = self.draft().take().unwrap_or_default();
        if status == TIDELOG_OK {
            return match fault {
                None => Ok(steps),
                Some(fault) => Err(PolicyError::new(PolicyErrorKind::Plan, fault)),
            };
        }
        let kind = match status {
            TIDELOG_UNSUPPORTED => PolicyErrorKind::Unsupported,
            TIDELOG_INVALID_ARGUMENT => PolicyErrorKind::InvalidInput,
            _ => PolicyErrorKind::Internal,
        };
        let text = why.unwrap_or_else(|| format!("it returned {status} and said no more"));
        Err(PolicyError::new(kind, text))
    }
}

fn answered() -> Fault {
    Fault::handle("the policy plan was closed before: add to it inside of the callback only")
}

/// Plans a round that was recorded, as a node would: the plan, why everything is repaired instead if so it is, what is carried out, and
/// with how many steps for windows that have waited too long that begins.
pub(crate) fn replay(policy: &mut dyn RepairPolicy, recorded: &[u8]) -> Result<Table, Fault> {
    let Recorded { round, .. } = Recorded::decode(recorded).map_err(|error| {
        Fault::argument(format!(
            "recorded is no round ({error}): hand over one entry of a record file, without its length"
        ))
    })?;
    let plan = policy.plan(&round);
    let void = |error: PlanError| PolicyError::new(PolicyErrorKind::Plan, error.to_string());
    let checked = plan.as_ref().map_err(PolicyError::clone);
    let checked = checked.and_then(|plan| check(&round, plan).map_err(void));
    let why = checked.as_ref().err().map(PolicyError::to_string);
    let Checked { steps, overdue } = checked.unwrap_or_else(|_| {
        let steps = Complete.plan(&round).unwrap_or_default();
        Checked { overdue: steps.len(), steps }
    });
    let plan = plan.as_deref().ok().map(encode_plan);
    let mut table =
        Table::new(&[("plan", Bytes), ("why", Text), ("carried_out", Bytes), ("overdue", U64)]);
    table.push(&[
        plan.as_deref().map(ValueRef::Bytes),
        why.as_deref().map(ValueRef::String),
        Some(ValueRef::Bytes(&encode_plan(&steps))),
        Some(ValueRef::U64(overdue as u64)),
    ]);
    Ok(table)
}
