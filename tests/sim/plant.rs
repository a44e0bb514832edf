//! Planted bugs: each one that replicas have had, put between a node and its store or on the wire, so that what is
//! shipped holds none of it. The simulator is worth what it finds of them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use tidelog_engine::clock::Entropy;
use tidelog_engine::{Answer as Rows, Delete, Query, Store};
use tidelog_model::digest::StateKind;
use tidelog_model::{
    Device, DeviceSelector, Digest, Horizon, Position, Stamp, StoreId, SubBatch, Version,
};
use tidelog_protocol::compare::{Item, Look};
use tidelog_protocol::message::{Control, TailBatch};
use tidelog_protocol::{Answer, Ask, Channel, FailureKind, LinkId};
use tidelog_replica::bridge::Bridge;
use tidelog_tests::clock::SimClock;

/// Which bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plant {
    Nothing,
    /// What is in flight is compared, too.
    SkipHorizon,
    /// Each opening of a store has the same name.
    ReuseIncarnation,
    /// What a peer sent is said to be durable before it is.
    AckBeforeSync,
    /// The last record of a log is not sent when nothing follows it.
    DropTail,
    /// An older moment is compared than what then counts as compared: the mark that the start of a tail was missed is
    /// newer than what clears it.
    ClearNewerMark,
    /// Rows that come by comparison replace what is there.
    InstallByReplace,
    /// The place in a peer's log is durable before what stands there.
    CursorApart,
    /// Rows are compared before deletes were exchanged.
    RowsBeforeDeletes,
    /// What comes last wins, whatever its stamp.
    WinByArrival,
    /// Differences are repaired at the first look, and nothing bounds what is looked at: with a horizon one look would
    /// do, so it cannot be missed alone.
    LookOnce,
    /// A comparison agrees without looking.
    LookNotAtAll,
    /// A tail carries what others wrote, too.
    ForwardForeign,
    /// What is missing in a tail is passed over. Stands for accepting rows below a cut, which no replica can be
    /// brought to from outside: the engine's one door for rows holds cuts (`tests/pyramid/settled.rs`).
    PassOverGap,
    /// What a store wrote up to a stamp is said to be everywhere while it is on its way.
    PromiseTooEarly,
    /// What is stamped too far ahead is dropped instead of parked.
    DropWhatIsAhead,
    /// Rows that are sent in a comparison have the greatest of their stamps.
    LevelEarly,
    /// Files of a snapshot take the place of what is there of their group.
    ReplaceByFiles,
}

impl Plant {
    /// All, each with the first seed that catches it: the first to be tried.
    pub const ALL: [(Plant, u64); 16] = [
        (Plant::SkipHorizon, 2),
        (Plant::ReuseIncarnation, 1),
        (Plant::AckBeforeSync, 4),
        (Plant::DropTail, 1),
        (Plant::ClearNewerMark, 2),
        (Plant::InstallByReplace, 25),
        (Plant::CursorApart, 6),
        (Plant::RowsBeforeDeletes, 5),
        (Plant::WinByArrival, 1),
        (Plant::LookOnce, 1),
        (Plant::LookNotAtAll, 2),
        (Plant::ForwardForeign, 1),
        (Plant::PassOverGap, 43),
        (Plant::PromiseTooEarly, 43),
        (Plant::DropWhatIsAhead, 7),
        (Plant::LevelEarly, 374),
    ];

    /// What the bug does to a store before an ask is answered.
    pub fn meddle(self, store: &Store, ask: &Ask) {
        let (Plant::ReplaceByFiles, Ask::Install { group, .. }) = (self, ask) else { return };
        for name in store.collection_names() {
            let rows = store.query(&name, Query::new()).and_then(Rows::collect_rows);
            let devices = rows.expect("readable").devices;
            let devices =
                devices.iter().map(|text| Device::from_canonical(text).expect("a device"));
            for device in devices.filter(|device| store.group_of(&name, device) == *group) {
                let delete = Delete::collection(&name).devices(DeviceSelector::one(device));
                store.delete(&delete).expect("a healthy disk");
            }
        }
    }

    /// Where a store draws its ids.
    pub fn entropy(self, clock: &SimClock, number: usize) -> Arc<dyn Entropy> {
        match self {
            Plant::ReuseIncarnation => Arc::new(AlwaysTheSame(number as u8 + 1)),
            _ => Arc::new(clock.clone()),
        }
    }

    /// What arrives of a message.
    pub fn deliver(
        self,
        gaps: &mut BTreeMap<(LinkId, usize), Position>,
        link: (LinkId, usize),
        channel: Channel,
        bytes: Vec<u8>,
    ) -> Vec<u8> {
        match (self, channel) {
            (Plant::PassOverGap, Channel::Tail) => {
                let mut batch = TailBatch::decode(&bytes).expect("as it was sent");
                if let Some(last) = gaps.insert(link, batch.next)
                    && last.incarnation == batch.from.incarnation
                    && last.offset < batch.from.offset
                {
                    batch.from = last;
                }
                batch.encode()
            }
            (Plant::PromiseTooEarly, Channel::Control) => {
                let mut message = Control::decode(&bytes).expect("as it was sent");
                if let Control::Pulse(pulse) = &mut message {
                    pulse.position.offset = 0;
                }
                message.encode()
            }
            _ => bytes,
        }
    }
}

#[derive(Debug)]
struct AlwaysTheSame(u8);

impl Entropy for AlwaysTheSame {
    fn id(&self) -> io::Result<[u8; 16]> {
        Ok([self.0; 16])
    }
}

/// Between a node and its bridge.
pub struct Planted {
    plant: Plant,
    /// What is done only later, and when.
    late: Vec<(u64, Ask)>,
    foreign: Vec<(StoreId, Vec<u8>)>,
    forwarded: BTreeMap<StoreId, usize>,
}

/// What is done late is done so many milliseconds later.
const LATE: u64 = 400;
/// An older moment is older by 30 s.
const OLDER: u64 = 30_000 << 16;

impl Planted {
    pub fn new(plant: Plant) -> Self {
        let (late, foreign, forwarded) = (Vec::new(), Vec::new(), BTreeMap::new());
        Planted { plant, late, foreign, forwarded }
    }

    pub fn wake_at(&self) -> Option<u64> {
        self.late.first().map(|(at, _)| *at)
    }

    /// Does what was put off.
    pub fn tick(&mut self, bridge: &mut Bridge, now: u64) {
        while self.late.first().is_some_and(|(at, _)| *at <= now) {
            let (_, ask) = self.late.remove(0);
            bridge.answer(ask);
        }
    }

    /// Answers an ask as the bridge does, but for the bug.
    pub fn answer(&mut self, bridge: &mut Bridge, ask: Ask, now: u64) -> Option<Answer> {
        let newest = Stamp::from_millis(crate::world::EPOCH_MILLIS + now);
        match (self.plant, ask) {
            (Plant::Nothing, ask) => bridge.answer(ask),
            (Plant::AckBeforeSync, ask @ Ask::Apply { .. }) => {
                self.late.push((now + LATE, ask));
                Some(Answer::Applied { rows: 0 })
            }
            (Plant::CursorApart, Ask::Apply { peer, cursor, tombstones, batches }) => {
                let rows = Ask::Apply { peer, cursor: None, tombstones, batches };
                self.late.push((now + LATE, rows));
                bridge.answer(Ask::Apply {
                    peer,
                    cursor,
                    tombstones: Vec::new(),
                    batches: Vec::new(),
                })
            }
            (Plant::WinByArrival, Ask::Apply { peer, cursor, tombstones, batches }) => {
                let batches = batches.iter().map(|bytes| restamp(bytes, newest)).collect();
                bridge.answer(Ask::Apply { peer, cursor, tombstones, batches })
            }
            (Plant::ForwardForeign, Ask::Apply { peer, cursor, tombstones, batches }) => {
                if let Some((origin, _)) = cursor {
                    self.foreign.extend(batches.iter().map(|bytes| (origin, bytes.clone())));
                }
                bridge.answer(Ask::Apply { peer, cursor, tombstones, batches })
            }
            (Plant::DropWhatIsAhead, ask) => match bridge.answer(ask) {
                Some(Answer::Failed(failure))
                    if matches!(failure.kind, FailureKind::ClockAhead(_)) =>
                {
                    Some(Answer::Applied { rows: 0 })
                }
                answer => answer,
            },
            (Plant::LookNotAtAll, Ask::Summary { .. }) => {
                let (store, groups, state) = (None, Vec::new(), Digest([0; 32]));
                Some(Answer::Summary { store, groups, state })
            }
            (_, ask) => {
                let to = if let Ask::Tail { peer, .. } = &ask { Some(*peer) } else { None };
                let answer = bridge.answer(self.twist(ask, newest))?;
                Some(self.twist_answer(answer, to))
            }
        }
    }

    fn twist(&self, mut ask: Ask, newest: Stamp) -> Ask {
        match &mut ask {
            Ask::Summary { view, .. } | Ask::Collections { view, .. } => {
                self.twist_horizon(&mut view.horizon);
            }
            Ask::State { horizon, .. } => self.twist_horizon(horizon),
            Ask::Step { view, pace, items } => {
                self.twist_horizon(&mut view.horizon);
                if self.plant == Plant::LookOnce {
                    pace.look = Look::Second;
                }
                if self.plant == Plant::InstallByReplace {
                    for item in items {
                        if let Item::Rows { archives, .. } = item {
                            archives.iter_mut().for_each(|one| *one = restamp(one, newest));
                        }
                    }
                }
            }
            _ => {}
        }
        ask
    }

    fn twist_horizon(&self, horizon: &mut Horizon) {
        match self.plant {
            Plant::SkipHorizon | Plant::LookOnce => *horizon = Horizon::default(),
            Plant::ClearNewerMark => {
                let bounds = horizon.bounds().iter();
                let older = |stamp: Stamp| Stamp(stamp.0.saturating_sub(OLDER));
                *horizon = Horizon::new(bounds.map(|(store, stamp)| (*store, older(*stamp))));
            }
            _ => {}
        }
    }

    fn twist_answer(&mut self, mut answer: Answer, to: Option<StoreId>) -> Answer {
        match (&mut answer, self.plant) {
            (Answer::Tail { batches, at_end: true, .. }, Plant::DropTail) => {
                batches.pop();
            }
            (Answer::Tail { batches, .. }, Plant::ForwardForeign) => {
                if let Some(to) = to {
                    let done = self.forwarded.insert(to, self.foreign.len()).unwrap_or(0);
                    let more = self.foreign[done..].iter().filter(|(origin, _)| *origin != to);
                    batches.extend(more.map(|(_, bytes)| bytes.clone()));
                }
            }
            (Answer::State(parts), Plant::RowsBeforeDeletes) => {
                parts.retain(|part| part.0 != StateKind::Tombstone as u8);
            }
            (Answer::Stepped(step), Plant::LevelEarly) => {
                for item in &mut step.out {
                    let Item::Rows { archives, .. } = item else { continue };
                    let stamps = archives.iter().map(|bytes| version_of(bytes).stamp);
                    let Some(greatest) = stamps.max() else { continue };
                    archives.iter_mut().for_each(|one| *one = restamp(one, greatest));
                }
            }
            _ => {}
        }
        answer
    }
}

/// The version of an archive.
pub fn version_of(bytes: &[u8]) -> Version {
    let mut aligned = rkyv::util::AlignedVec::<16>::new();
    aligned.extend_from_slice(bytes);
    SubBatch::read(&aligned).expect("an archive").version()
}

/// The same archive under another stamp.
fn restamp(bytes: &[u8], stamp: Stamp) -> Vec<u8> {
    let old = version_of(bytes).stamp.0.to_le_bytes();
    let mut out = bytes.to_vec();
    // The root of an archive stands at its end.
    let at = out.windows(8).rposition(|window| window == old).expect("its stamp");
    out[at..at + 8].copy_from_slice(&stamp.0.to_le_bytes());
    assert_eq!(version_of(&out).stamp, stamp, "another stamp");
    out
}
