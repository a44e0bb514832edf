//! A repair policy, run for the protocol: on a thread of its own, for it may take its time, and what is kept for it.
//!
//! What is kept stands in a file that is written anew as a whole. A policy that panics loses its round, as one that fails;
//! one that never comes back is not waited for, and the next rounds are refused to it.

use super::choice::Preferred;
use super::policy_files::{append, read_state, write_state};
use super::work::Work;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidelog_model::StoreId;
use tidelog_model::policy::{PolicyError, PolicyErrorKind, Recorded, RepairPolicy, Round, Step};
use tidelog_protocol::{Input, PolicyConfig, PolicyState, RoundId};
use tokio::sync::mpsc;

/// Rounds that wait for a policy that is busy; more are refused.
const WAITING: usize = 4;

/// A policy and its bounds. Cloning shares the policy.
#[derive(Clone)]
#[non_exhaustive]
pub struct Policy {
    policy: Arc<Mutex<Box<dyn RepairPolicy>>>,
    /// The peer that it prefers, by its name.
    pub(super) preferred: Option<Preferred>,
    /// Its name, for events and status.
    pub name: String,
    /// Names the policy and its options: peers say it to each other, and status shows it.
    pub hash: u64,
    /// A window that has differed for so long is repaired whatever the policy says. A week.
    pub max_deferral: Duration,
    /// A plan that has not come after so long is not waited for. A second, at most ten.
    pub timeout: Duration,
    /// Over metered links comparisons may send and receive so many bytes in a UTC day; `None`: there is no bound.
    pub bytes_per_day: Option<u64>,
    /// Here it is kept since when windows wait, and what is used of the budget; `None`: both begin anew with each start.
    pub state: Option<PathBuf>,
    /// Each round and its plan are added to this file, up to 64 MiB: a `u32` length, little-endian, then the bytes of a
    /// [`Recorded`].
    pub record: Option<PathBuf>,
}

impl Policy {
    /// A policy with the default bounds. `options` is anything that tells it from the same policy with other options.
    #[must_use]
    pub fn new(policy: Box<dyn RepairPolicy>, options: &[u8]) -> Self {
        let name = policy.name().to_owned();
        let mut hasher = blake3::Hasher::new_derive_key("tidelog 2026-11 repair policy");
        hasher.update(name.as_bytes()).update(&[0]).update(options);
        let hash = hasher.finalize();
        let hash = u64::from_le_bytes(hash.as_bytes().first_chunk().copied().unwrap_or_default());
        Policy {
            policy: Arc::new(Mutex::new(policy)),
            preferred: None,
            name,
            hash: hash.max(1),
            max_deferral: Duration::from_secs(7 * 86_400),
            timeout: Duration::from_secs(1),
            bytes_per_day: None,
            state: None,
            record: None,
        }
    }

    fn config(&self) -> PolicyConfig {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        PolicyConfig {
            name: self.name.clone(),
            hash: self.hash,
            max_deferral: millis(self.max_deferral),
            timeout: millis(self.timeout.min(Duration::from_secs(10))),
            bytes_per_day: self.bytes_per_day,
        }
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("name", &self.name).finish_non_exhaustive()
    }
}

enum Job {
    Plan(RoundId, Round),
    Keep(PolicyState),
}

/// See the module documentation. Ends when it is dropped, once the policy comes back.
pub(super) struct Runner {
    preferred: Option<Preferred>,
    jobs: SyncSender<Job>,
    work: mpsc::Sender<Work>,
}

impl Runner {
    /// Runs a policy for the node of a store, and tells its protocol.
    pub(super) fn start(policy: &Policy, work: mpsc::Sender<Work>) -> (Self, Input) {
        let (jobs, todo) = sync_channel(WAITING);
        let kept = policy.state.as_deref().and_then(read_state);
        let input = Input::Policy { config: Some(policy.config()), state: kept };
        let task = Task { policy: policy.clone(), work: work.clone() };
        tokio::task::spawn_blocking(move || task.run(&todo));
        (Runner { preferred: policy.preferred.clone(), jobs, work }, input)
    }

    /// The store behind a name is known.
    pub(super) fn know(&self, name: &str, store: StoreId) {
        if let Some(preferred) = self.preferred.as_ref().filter(|one| one.name == name) {
            preferred.is(store);
        }
    }

    /// Asks for a plan.
    pub(super) fn plan(&self, id: RoundId, round: Round) {
        let Err(error) = self.jobs.try_send(Job::Plan(id, round)) else { return };
        let (kind, text) = match error {
            TrySendError::Full(_) => (PolicyErrorKind::Deadline, "it is busy with rounds before"),
            TrySendError::Disconnected(_) => (PolicyErrorKind::Internal, "its thread has ended"),
        };
        let work = self.work.clone();
        let plan = Err(PolicyError::new(kind, text));
        tokio::spawn(async move {
            let _ = work.send(Work::Input(Input::Plan { id, plan })).await;
        });
    }

    /// Keeps a state. Where the policy does not come back it is not kept, and windows wait for as long as a start is away.
    pub(super) fn keep(&self, state: PolicyState) {
        let _ = self.jobs.try_send(Job::Keep(state));
    }
}

struct Task {
    policy: Policy,
    work: mpsc::Sender<Work>,
}

impl Task {
    fn run(self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Keep(state) => {
                    let Some(path) = &self.policy.state else { continue };
                    if let Err(error) = write_state(path, &state.encode()) {
                        tracing::warn!(%error, path = %path.display(), "what a policy deferred is not kept");
                    }
                }
                Job::Plan(id, round) => {
                    let plan = self.plan(&round);
                    let recorded = Recorded { round, plan: plan.clone().unwrap_or_default() };
                    let input = Input::Plan { id, plan };
                    if self.work.blocking_send(Work::Input(input)).is_err() {
                        return;
                    }
                    self.record(&recorded);
                }
            }
        }
    }

    fn plan(&self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        let mut policy = self.policy.policy.lock().unwrap_or_else(PoisonError::into_inner);
        catch_unwind(AssertUnwindSafe(|| policy.plan(round))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(PolicyError::new(PolicyErrorKind::Trap, format!("it panicked: {text}")))
        })
    }

    fn record(&self, recorded: &Recorded) {
        let Some(path) = &self.policy.record else { return };
        if let Err(error) = append(path, &recorded.encode()) {
            tracing::warn!(%error, path = %path.display(), "a round is not recorded");
        }
    }
}
