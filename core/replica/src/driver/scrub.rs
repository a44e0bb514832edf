//! Damage in the store's files: looked for now and then, noticed when a read meets it, set aside, and dropped when a peer has
//! sent what was lacking. On a thread of its own, for all of it blocks.

use super::work::Work;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tidelog_engine::{Aside, Store};
use tidelog_model::StoreId;
use tidelog_protocol::{Event, Input, Lack};
use tokio::sync::mpsc;

/// What reads have met is looked at so often.
const LOOK: Duration = Duration::from_secs(1);
/// Verifying all files reads so many bytes a second at most, to leave the disk to others.
const BYTES_PER_SECOND: u64 = 32 << 20;
/// The first time comes so long after the start at the latest: a store that is restarted each day is looked at, too.
const FIRST: Duration = Duration::from_secs(3600);
/// After the disk refused, it is asked again so much later.
const PAUSE: Duration = Duration::from_secs(30);

/// What a peer has sent back.
pub(super) type Healed = (StoreId, Vec<Lack>);

/// See the module documentation.
pub(super) struct Scrub {
    pub(super) store: Store,
    /// All files are verified so often; `None`: only those of which a read has met damage.
    pub(super) every: Option<Duration>,
    pub(super) work: mpsc::Sender<Work>,
    pub(super) healed: Receiver<Healed>,
    pub(super) stopping: Arc<AtomicBool>,
}

impl Scrub {
    pub(super) fn start(self) {
        tokio::task::spawn_blocking(move || self.run());
    }

    fn run(self) {
        let mut due = self.every.map(|every| Instant::now() + every.min(FIRST));
        let mut pause = Instant::now();
        if !self.say_what_lacks() {
            return;
        }
        while !self.stopping.load(Ordering::Relaxed) {
            match self.healed.recv_timeout(LOOK) {
                Ok((peer, lacks)) => self.drop_healed(peer, &lacks),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let everything = due.is_some_and(|due| due <= Instant::now());
            if !everything && (pause > Instant::now() || !self.store.is_damage_suspected()) {
                continue;
            }
            if everything {
                due = self.every.map(|every| Instant::now() + every);
            }
            if !self.look(everything) {
                pause = Instant::now() + PAUSE;
            }
        }
    }

    /// Verifies files; `false` when the disk refused.
    fn look(&self, everything: bool) -> bool {
        let started = Instant::now();
        let progress = |done: u64, _: u64| {
            let due = Duration::from_millis(done.saturating_mul(1_000) / BYTES_PER_SECOND);
            while everything && started.elapsed() < due && !self.stopping.load(Ordering::Relaxed) {
                std::thread::sleep((due - started.elapsed().min(due)).min(LOOK));
            }
            !self.stopping.load(Ordering::Relaxed)
        };
        match self.store.set_damage_aside(everything, progress) {
            Ok(found) if found.is_empty() => true,
            Ok(found) => {
                for Aside { path, group, rows, .. } in found {
                    let event = Event::Damaged { file: path, group, rows };
                    let _ = self.work.blocking_send(Work::Tell(event));
                }
                self.say_what_lacks()
            }
            Err(error) => {
                tracing::warn!(%error, "files could not be looked at for damage");
                false
            }
        }
    }

    fn drop_healed(&self, peer: StoreId, lacks: &[Lack]) {
        for aside in self.store.aside() {
            if !lacks.contains(&lack_of(&aside)) {
                continue;
            }
            match self.store.drop_aside(&aside) {
                Ok(()) => {
                    let Aside { path, group, .. } = aside;
                    let event = Event::Healed { peer, file: path, group };
                    let _ = self.work.blocking_send(Work::Tell(event));
                }
                // It is asked for once more, and dropped then.
                Err(error) => tracing::warn!(%error, file = aside.path, "healed, but not dropped"),
            }
        }
        self.say_what_lacks();
    }

    /// `false` when nobody is there any more.
    fn say_what_lacks(&self) -> bool {
        let lacks: Vec<Lack> = self.store.aside().iter().map(lack_of).collect();
        self.work.blocking_send(Work::Input(Input::Lacks(lacks))).is_ok()
    }
}

fn lack_of(aside: &Aside) -> Lack {
    Lack { group: aside.group, newest: aside.newest }
}
