//! Rounds and plans as bytes, to be kept, told and planned again. Little-endian, lengths as varints:
//!
//! ```text
//! recorded  version u8 = 1, round, plan
//! round     now u64, peer varint, budget u64, max_deferral u64,
//!           count, { store 16 bytes, flags u8 (1 up, 2 metered), rtt varint, lag varint, agreed u64 },
//!           count, { group varint, database text, collection text, first i64, last i64, devices varint,
//!                    ours rows varint, bytes varint, theirs rows varint, bytes varint, age varint, borrowed u8 }
//! plan      count, { window varint, action u8, until u64 when the action is 4, peer varint }
//! action    0 skip, 1 pull, 2 push, 3 both, 4 defer, 5 rollups
//! ```

use super::{Action, Cost, Divergence, PEERS_MAX, PeerFacts, Round, Side, Step, WINDOWS_MAX};
use crate::format::{Malformed, Reader, Writer};
use crate::{CollectionName, GroupId, StoreId, TimeRange};
use alloc::vec::Vec;

const VERSION: u8 = 1;
const UP: u8 = 1;
const METERED: u8 = 2;

/// A round, and what was planned for it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recorded {
    /// What was told.
    pub round: Round,
    /// What was said.
    pub plan: Vec<Step>,
}

impl Recorded {
    /// See the module documentation.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.u8(VERSION);
        write_round(&mut to, &self.round);
        write_plan(&mut to, &self.plan);
        to.bytes
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// When the bytes are not such.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        if from.u8()? != VERSION {
            return Err(Malformed("a recorded round of a version that is not known"));
        }
        let recorded = Recorded { round: read_round(&mut from)?, plan: read_plan(&mut from)? };
        from.end()?;
        Ok(recorded)
    }
}

/// A plan alone.
#[must_use]
pub fn encode_plan(plan: &[Step]) -> Vec<u8> {
    let mut to = Writer::default();
    write_plan(&mut to, plan);
    to.bytes
}

/// Reads what [`encode_plan`] wrote.
///
/// # Errors
/// When the bytes are not such.
pub fn decode_plan(bytes: &[u8]) -> Result<Vec<Step>, Malformed> {
    let mut from = Reader::new(bytes);
    let plan = read_plan(&mut from)?;
    from.end()?;
    Ok(plan)
}

fn write_round(to: &mut Writer, round: &Round) {
    to.u64(round.now).varint(round.peer.into()).u64(round.budget).u64(round.max_deferral);
    to.list(round.peers.iter(), |to, one| {
        let metered = if one.cost == Cost::Metered { METERED } else { 0 };
        to.raw(&one.store.0).u8(if one.up { UP } else { 0 } | metered);
        to.varint(one.rtt.into()).varint(one.lag).u64(one.agreed);
    });
    to.list(round.windows.iter(), |to, one| {
        to.varint(one.group.0.into());
        to.text(one.collection.database().as_str()).text(one.collection.collection().as_str());
        to.i64(one.range.first()).i64(one.range.last()).varint(one.devices.into());
        for side in [one.ours, one.theirs] {
            to.varint(side.rows).varint(side.bytes);
        }
        to.varint(one.age).u8(one.borrowed.into());
    });
}

fn read_round(from: &mut Reader<'_>) -> Result<Round, Malformed> {
    let (now, peer, budget, max_deferral) =
        (from.u64()?, from.varint32()?, from.u64()?, from.u64()?);
    let count = from.count(16 + 1 + 1 + 1 + 8)?;
    if count > PEERS_MAX {
        return Err(Malformed("a round with too many peers"));
    }
    let peers = (0..count).map(|_| read_peer(from)).collect::<Result<_, _>>()?;
    let count = from.count(1 + 2 + 16 + 7)?;
    if count > WINDOWS_MAX {
        return Err(Malformed("a round with too many windows"));
    }
    let windows = (0..count).map(|_| read_window(from)).collect::<Result<_, _>>()?;
    Ok(Round { now, peer, budget, max_deferral, peers, windows })
}

fn read_peer(from: &mut Reader<'_>) -> Result<PeerFacts, Malformed> {
    let store = StoreId(from.array()?);
    let flags = from.u8()?;
    if flags & !(UP | METERED) != 0 {
        return Err(Malformed("a peer of a round with flags that are not known"));
    }
    let cost = if flags & METERED != 0 { Cost::Metered } else { Cost::Free };
    let (rtt, lag, agreed) = (from.varint32()?, from.varint()?, from.u64()?);
    Ok(PeerFacts { store, up: flags & UP != 0, cost, rtt, lag, agreed })
}

fn read_window(from: &mut Reader<'_>) -> Result<Divergence, Malformed> {
    let group = GroupId(from.varint32()?);
    let (database, collection) = (from.text()?, from.text()?);
    let collection = CollectionName::new(database, collection)
        .map_err(|_| Malformed("a window of a round names no collection"))?;
    let (first, last) = (from.i64()?, from.i64()?);
    let range = TimeRange::inclusive(first, last)
        .ok_or(Malformed("a window of a round ends before it begins"))?;
    let devices = from.varint32()?;
    let mut side = || Ok(Side { rows: from.varint()?, bytes: from.varint()? });
    let (ours, theirs) = (side()?, side()?);
    let age = from.varint()?;
    let borrowed = match from.u8()? {
        0 => false,
        1 => true,
        _ => return Err(Malformed("a window of a round is neither borrowed nor not")),
    };
    Ok(Divergence { group, collection, range, devices, ours, theirs, age, borrowed })
}

fn write_plan(to: &mut Writer, plan: &[Step]) {
    to.list(plan.iter(), |to, step| {
        to.varint(step.window.into());
        match step.action {
            Action::Skip => to.u8(0),
            Action::Pull => to.u8(1),
            Action::Push => to.u8(2),
            Action::Both => to.u8(3),
            Action::Defer(until) => to.u8(4).u64(until),
            Action::Rollups => to.u8(5),
        };
        to.varint(step.peer.into());
    });
}

fn read_plan(from: &mut Reader<'_>) -> Result<Vec<Step>, Malformed> {
    let count = from.count(3)?;
    if count > WINDOWS_MAX {
        return Err(Malformed("a plan with too many steps"));
    }
    let step = |_| {
        let window = from.varint32()?;
        let action = match from.u8()? {
            0 => Action::Skip,
            1 => Action::Pull,
            2 => Action::Push,
            3 => Action::Both,
            4 => Action::Defer(from.u64()?),
            5 => Action::Rollups,
            _ => return Err(Malformed("a step of a plan with an action that is not known")),
        };
        Ok(Step { window, action, peer: from.varint32()? })
    };
    (0..count).map(step).collect()
}
