//! A loaded policy, to be asked.

use crate::code::{Code, Instance};
use crate::log::Log;
use crate::manifest::Manifest;
use std::sync::Arc;
use tidelog_model::policy::{PolicyError, RepairPolicy, Round, Step};

/// A policy that was loaded by a [`Loader`](crate::Loader). A clone shares its code.
#[derive(Clone, Debug)]
pub struct WasmPolicy {
    pub(crate) code: Arc<Code>,
    log: Log,
}

impl WasmPolicy {
    pub(crate) fn new(code: Arc<Code>) -> Self {
        WasmPolicy { code, log: Log::default() }
    }

    /// What was loaded.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.code.manifest
    }

    /// What it wrote while it made its last plan, or failed to.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// An instance for more than one plan, as measurements want it. [`plan`](RepairPolicy::plan) takes a fresh one.
    ///
    /// # Errors
    /// When its start traps or goes over a limit.
    pub fn instance(&self) -> Result<Instance, PolicyError> {
        self.code.instance().map_err(|failed| failed.error)
    }
}

impl RepairPolicy for WasmPolicy {
    fn name(&self) -> &str {
        &self.code.manifest.name
    }

    /// Takes a fresh instance. Blocks until the answer or the deadline of the manifest.
    fn plan(&mut self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        let (plan, log) = self.code.plan(round);
        log.emit(&self.code.manifest.name);
        self.log = log;
        plan
    }
}
