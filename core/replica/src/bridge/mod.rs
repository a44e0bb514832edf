//! What the protocol asks, answered from the engine: on a thread that may block, for it reads files and waits for
//! fsyncs. Decides nothing.

mod access;
mod nodes;
mod snapshot;
mod view;

pub use access::Access;

use rkyv::util::AlignedVec;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidelog_engine::{
    Applied, ApplyError, Incoming, Kind, Partial, StatePart, Store, Tail, TailError, WriteError,
};
use tidelog_model::digest::StateKind;
use tidelog_model::{Digest, GroupId, Horizon, Position, StoreId, SubBatch};
use tidelog_protocol::compare;
use tidelog_protocol::{Answer, Ask, Closed, Failure, FailureKind, Part, Portion};
use view::Viewed;

/// Bytes of the log that are kept for a peer that is away, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PinBudget {
    /// Bytes.
    pub bytes_max: u64,
    /// Time.
    pub age_max: Duration,
}

impl Default for PinBudget {
    fn default() -> Self {
        PinBudget { bytes_max: 4 << 30, age_max: Duration::from_secs(24 * 3600) }
    }
}

/// Answers for one store. What belongs together (a comparison, the tail of a peer) goes through one bridge; several
/// bridges of one store may work side by side.
pub struct Bridge {
    store: Store,
    pins: PinBudget,
    /// What the peer may see and send.
    access: Access,
    views: BTreeMap<(StoreId, u32), Viewed>,
    tails: BTreeMap<StoreId, Tail>,
    partials: Partials,
}

/// The files of a snapshot that are being received, of all bridges that are told to share them: one may take pieces while
/// another makes what is whole durable.
#[derive(Clone, Default)]
pub struct Partials(Arc<Mutex<BTreeMap<Digest, Partial>>>);

impl Partials {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Partial>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bridge").field("store", &self.store.store_id()).finish_non_exhaustive()
    }
}

impl Bridge {
    /// A bridge to a store.
    #[must_use]
    pub fn new(store: Store, pins: PinBudget) -> Self {
        let (views, tails) = (BTreeMap::new(), BTreeMap::new());
        let partials = Partials::default();
        Bridge { store, pins, access: Access::All, views, tails, partials }
    }

    /// The same with files of a snapshot that other bridges take part in.
    #[must_use]
    pub fn sharing(mut self, partials: Partials) -> Self {
        self.partials = partials;
        self
    }

    /// The same for a peer that may see and send only some databases.
    #[must_use]
    pub fn allowing(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// May an archive of the own log be sent to the peer?
    fn allows(&self, group: GroupId, archive: &[u8]) -> bool {
        self.access.of_group(group).unwrap_or_else(|| {
            let bytes = aligned(archive);
            SubBatch::read(&bytes)
                .is_ok_and(|sub| self.access.allows(Some(group), sub.collection().database()))
        })
    }

    /// Does what is asked; `None` where nothing is to be answered. Blocks.
    pub fn answer(&mut self, ask: Ask) -> Option<Answer> {
        Some(match ask {
            Ask::Closed => self.closed(),
            Ask::Summary { view, groups } => settled(self.viewed(view).summary(&groups)),
            Ask::Collections { view, groups } => {
                let viewed = self.viewed(view);
                let items: Result<Vec<Vec<_>>, Failure> =
                    groups.into_iter().map(|group| compare::collections(viewed, group)).collect();
                settled(items.map(|items| Answer::Collections(items.concat())))
            }
            Ask::Step { view, pace, items } => {
                settled(compare::step(self.viewed(view), items, pace).map(Answer::Stepped))
            }
            Ask::Weigh { view, items } => {
                settled(compare::weigh(self.viewed(view), &items).map(Answer::Weighed))
            }
            Ask::Forget { peer, session } => {
                self.views.remove(&(peer, session));
                return None;
            }
            Ask::State { horizon, .. } => Answer::State(self.state(&horizon)),
            Ask::TakeState { parts, .. } => self.take_state(&parts),
            Ask::Apply { cursor, tombstones, batches, .. } => {
                self.apply(cursor, &tombstones, &batches)
            }
            Ask::Tail { peer, from, groups, portion } => self.tail(peer, from, &groups, portion),
            Ask::Pin { peer, from } => {
                let PinBudget { bytes_max, age_max } = self.pins;
                if let Err(error) = self.store.pin(&peer.to_string(), from, bytes_max, age_max) {
                    tracing::warn!(%peer, %error, "the log cannot be kept for a peer");
                }
                return None;
            }
            Ask::SeeEpochs { epochs } => {
                if let Err(error) = self.store.see_epochs(&epochs) {
                    tracing::warn!(%error, "epochs of groups cannot be kept");
                }
                return None;
            }
            Ask::OfferSnapshot { peer, held, bytes_min } => self.offer(peer, &held, bytes_min),
            Ask::PieceSums { peer, file, from, count } => self.piece_sums(peer, file, from, count),
            Ask::Piece { peer, file, piece } => self.piece(peer, file, piece),
            Ask::EndSnapshot { peer } => {
                self.store.end_snapshot(peer);
                return None;
            }
            Ask::ChooseFiles { files, .. } => self.choose(&files),
            Ask::OpenFile { file, sums, .. } => self.open_file(file, sums),
            Ask::TakePiece { file, piece, bytes, .. } => self.take_piece(file, piece, &bytes),
            Ask::FinishFile { file, .. } => self.finish_file(file),
            Ask::Install { group, files, .. } => self.install(group, &files),
        })
    }

    fn viewed(&mut self, view: tidelog_protocol::View) -> &mut Viewed {
        let key = (view.peer, view.session);
        if self.views.get(&key).is_none_or(|known| *known.view() != view) {
            let access = self.access.clone();
            self.views.insert(key, Viewed::new(self.store.clone(), view, access));
        }
        self.views.get_mut(&key).expect("inserted just above")
    }

    fn closed(&self) -> Answer {
        match self.store.closed() {
            Some(closed) => Answer::Closed(Closed {
                stamp: closed.stamp,
                position: closed.position,
                visible: closed.visible,
                latest: closed.latest,
                cursors: self.store.all_cursors(),
                held: self.store.held(),
                takes_files: self.store.takes_snapshots(),
                partials: self.store.has_partials(),
                epochs: self.store.epochs(),
                forgotten: self.store.forgotten(),
            }),
            None => failed(FailureKind::Store, "the store is open for reading only"),
        }
    }

    fn state(&self, horizon: &Horizon) -> Vec<Part> {
        let seen = |database: &str| self.access.allows(None, database);
        let parts = self.store.state_parts_of(horizon, seen).into_iter();
        parts.map(part).collect()
    }

    fn take_state(&self, parts: &[Part]) -> Answer {
        let known = parts.iter().filter_map(|(kind, bytes)| {
            let kind = StateKind::from_number(*kind)?;
            Some(StatePart { kind, bytes: bytes.clone() })
        });
        let known: Vec<StatePart> = known.collect();
        for part in &known {
            match part.database() {
                Err(error) => return Answer::Failed(failure(&error)),
                Ok(database) if !self.access.allows(None, &database) => {
                    let error = ApplyError::Forbidden { database, group: 0 };
                    return Answer::Failed(failure(&error));
                }
                Ok(_) => {}
            }
        }
        let mut taken = TakenState::default();
        match self.apply_state(&known, &mut taken) {
            Ok(()) => {
                let TakenState { conflicts, ahead, superseding } = taken;
                Answer::StateTaken { conflicts, ahead, superseding }
            }
            Err(error) => Answer::Failed(failure(&error)),
        }
    }

    /// Takes parts but those with stamps too far ahead; counts those that are in conflict, and those too far ahead.
    fn apply_state(&self, parts: &[StatePart], taken: &mut TakenState) -> Result<(), ApplyError> {
        match self.store.apply_state(parts) {
            Err(ApplyError::ClockAhead { .. }) if parts.len() == 1 => taken.ahead += 1,
            Err(ApplyError::ClockAhead { .. }) => {
                let (first, second) = parts.split_at(parts.len() / 2);
                self.apply_state(first, taken)?;
                self.apply_state(second, taken)?;
            }
            Err(error) => return Err(error),
            Ok(applied) => {
                taken.conflicts += applied.conflicts.len() as u64;
                taken.superseding.extend(applied.superseding.into_iter().map(part));
                for name in &applied.conflicts {
                    tracing::warn!(%name, "a peer has leaves of another width: its options were not taken");
                }
            }
        }
        Ok(())
    }

    fn apply(
        &self,
        cursor: Option<(StoreId, Position)>,
        tombstones: &[Vec<u8>],
        batches: &[Vec<u8>],
    ) -> Answer {
        let tombstones = tombstones.iter().map(|bytes| tidelog_engine::read_tombstone(bytes));
        let tombstones = tombstones.collect::<Result<Vec<_>, ApplyError>>();
        let batches: Vec<AlignedVec> = batches.iter().map(|bytes| aligned(bytes)).collect();
        let incoming = tombstones.map(|tombstones| Incoming { batches, tombstones, cursor });
        match incoming.and_then(|incoming| apply_in_parts(&self.store, &self.access, incoming)) {
            Ok(applied) => Answer::Applied { rows: applied.rows },
            Err(error) => Answer::Failed(failure(&error)),
        }
    }

    fn tail(
        &mut self,
        peer: StoreId,
        from: Position,
        groups: &[GroupId],
        portion: Portion,
    ) -> Answer {
        let mut tail = match self.tails.remove(&peer).filter(|tail| tail.position() == from) {
            Some(tail) => tail,
            None => match self.store.tail(from) {
                Ok(tail) => tail,
                Err(error) => return of_tail(&error),
            },
        };
        let (mut tombstones, mut batches) = (Vec::new(), Vec::new());
        let mut read = Portion { rows: 0, bytes: 0 };
        let at_end = loop {
            if read.rows >= portion.rows || read.bytes >= portion.bytes {
                break false;
            }
            let record = match tail.next(Duration::ZERO) {
                Ok(Some(record)) => record,
                Ok(None) => break true,
                Err(error) => return of_tail(&error),
            };
            let seen = record.tombstone().is_none_or(|one| self.access.allows(None, &one.database));
            if let Some(delete) = record.tombstone_bytes().filter(|_| seen) {
                read.bytes += delete.len();
                tombstones.push(delete.to_vec());
            }
            for archive in record.archives() {
                let (group, bytes) = (archive.group, archive.bytes);
                if groups.binary_search(&group).is_ok() && self.allows(group, bytes) {
                    read.rows += archive.rows;
                    read.bytes += bytes.len();
                    batches.push(bytes.to_vec());
                }
            }
        };
        let next = tail.position();
        self.tails.insert(peer, tail);
        Answer::Tail { next, tombstones, batches, at_end }
    }
}

/// What became of parts of the state.
#[derive(Default)]
struct TakenState {
    conflicts: u64,
    ahead: u64,
    superseding: Vec<Part>,
}

fn part(part: StatePart) -> Part {
    (part.kind as u8, part.bytes)
}

fn of_tail(error: &TailError) -> Answer {
    match error {
        TailError::Gone { .. } => Answer::TailGone,
        error => {
            tracing::warn!(%error, "the log cannot be read for a peer; it is tried again");
            failed(FailureKind::Later, &error.to_string())
        }
    }
}

fn failed(kind: FailureKind, text: &str) -> Answer {
    Answer::Failed(Failure { kind, text: text.to_owned() })
}

fn settled(outcome: Result<Answer, Failure>) -> Answer {
    outcome.unwrap_or_else(Answer::Failed)
}

fn failure(error: &ApplyError) -> Failure {
    let kind = match error {
        ApplyError::Malformed { .. } | ApplyError::Groups { .. } | ApplyError::Forbidden { .. } => {
            FailureKind::Peer
        }
        ApplyError::ClockAhead { by_millis, .. } => FailureKind::ClockAhead(*by_millis),
        other if other.kind() == Kind::Reopen => FailureKind::Store,
        _ => FailureKind::Later,
    };
    Failure { kind, text: error.to_string() }
}

/// The same of rows without a cursor, without those whose stamps are too far ahead; how many those are.
fn apply_but_ahead(
    store: &Store,
    access: &Access,
    mut incoming: Incoming,
) -> Result<(Applied, u64), ApplyError> {
    let rest = match store.apply_allowed(&incoming, |group, name| access.allows(group, name)) {
        Err(ApplyError::ClockAhead { .. }) if incoming.batches.len() == 1 => {
            let rows = SubBatch::read(&incoming.batches[0]).map_or(0, |sub| sub.rows() as u64);
            return Ok((Applied::default(), rows));
        }
        Err(ApplyError::ClockAhead { .. } | ApplyError::Write(WriteError::TooLarge { .. }))
            if incoming.batches.len() > 1 =>
        {
            incoming.batches.split_off(incoming.batches.len() / 2)
        }
        other => return other.map(|applied| (applied, 0)),
    };
    let (mut first, ahead) = apply_but_ahead(store, access, incoming)?;
    let rest = Incoming { batches: rest, ..Incoming::default() };
    let (second, more) = apply_but_ahead(store, access, rest)?;
    first.rows += second.rows;
    first.below_cut += second.below_cut;
    Ok((first, ahead + more))
}

/// Applies what came, in halves where all together is more than memory may hold: each batch fitted into the memory of
/// whoever wrote it, and how many travel together is not its doing. The cursor comes with the last.
fn apply_in_parts(
    store: &Store,
    access: &Access,
    mut incoming: Incoming,
) -> Result<Applied, ApplyError> {
    let applied = store.apply_allowed(&incoming, |group, database| access.allows(group, database));
    let too_large = matches!(applied, Err(ApplyError::Write(WriteError::TooLarge { .. })));
    if !too_large || incoming.batches.len() < 2 {
        return applied;
    }
    let rest = incoming.batches.split_off(incoming.batches.len() / 2);
    let cursor = incoming.cursor.take();
    let mut first = apply_in_parts(store, access, incoming)?;
    let rest = Incoming { batches: rest, cursor, ..Incoming::default() };
    let second = apply_in_parts(store, access, rest)?;
    first.rows += second.rows;
    first.below_cut += second.below_cut;
    Ok(first)
}

fn aligned(bytes: &[u8]) -> AlignedVec {
    let mut aligned = AlignedVec::with_capacity(bytes.len());
    aligned.extend_from_slice(bytes);
    aligned
}
