//! A round as libtidelog shows it, read into the words of the model; and steps the other way.

use super::raw::{self, Plain};
use super::tidelog::*;
use crate::fault::Fault;
use tidelog_model::policy::{
    Action, Cost, Divergence, PEERS_MAX, PeerFacts, Round, Side, Step, WINDOWS_MAX,
};
use tidelog_model::{CollectionName, GroupId, StoreId, TimeRange};

/// Reads a round. A later libtidelog may tell more than is known here: that is passed over.
///
/// # Safety
/// `round` is NULL or what `tidelog.h` says.
pub(super) unsafe fn read(round: *const tidelog_policy_round) -> Result<Round, Fault> {
    if round.is_null() {
        return Err(Fault::null("round"));
    }
    // SAFETY: as promised to this function, here and for the arrays in it.
    unsafe {
        let told = raw::head(round, raw::size(round, 8)?);
        let peers = array(told.peers, told.peer_count, told.peer_stride, PEERS_MAX)?;
        let windows = array(told.windows, told.window_count, told.window_stride, WINDOWS_MAX)?;
        Ok(Round {
            now: told.now_ms,
            peer: told.peer,
            budget: told.budget_bytes,
            max_deferral: told.max_deferral_ms,
            peers: peers.iter().map(peer).collect::<Result<_, _>>()?,
            windows: windows.iter().map(|one| window(one)).collect::<Result<_, _>>()?,
        })
    }
}

/// An array of structs, `stride` bytes from one to the next.
///
/// # Safety
/// `from` is NULL, or points to `count` times `stride` bytes.
unsafe fn array<T: Plain>(
    from: *const T,
    count: usize,
    stride: usize,
    most: usize,
) -> Result<Vec<T>, Fault> {
    if count > most {
        return Err(Fault::argument(format!("the round has {count} {}s: {most} may be", T::NAME)));
    }
    if count > 0 && from.is_null() {
        return Err(Fault::null(T::NAME));
    }
    // SAFETY: inside of what the round points to.
    let one = |at: usize| unsafe { raw::head(from.byte_add(at * stride), stride) };
    Ok((0..count).map(one).collect())
}

fn peer(one: &tidelog_policy_peer) -> Result<PeerFacts, Fault> {
    Ok(PeerFacts {
        store: StoreId(one.store_id),
        up: one.up != 0,
        cost: match one.cost {
            TIDELOG_COST_FREE => Cost::Free,
            TIDELOG_COST_METERED => Cost::Metered,
            other => return Err(Fault::argument(format!("{other} is no TIDELOG_COST_*"))),
        },
        rtt: one.rtt_us,
        lag: one.lag_ms,
        agreed: one.agreed_ms_ago,
    })
}

/// # Safety
/// The name of the collection is what `tidelog.h` says.
unsafe fn window(one: &tidelog_policy_window) -> Result<Divergence, Fault> {
    // SAFETY: as promised to this function.
    let name = unsafe { raw::text(one.collection, "the collection of a window")? };
    let side = |side: tidelog_policy_side| Side { rows: side.rows, bytes: side.bytes };
    let range = TimeRange::inclusive(one.first_ns, one.last_ns);
    Ok(Divergence {
        group: GroupId(one.group),
        collection: CollectionName::parse(name).map_err(|e| Fault::argument(e.to_string()))?,
        range: range.ok_or_else(|| Fault::argument("a window ends before it begins"))?,
        devices: one.devices,
        ours: side(one.ours),
        theirs: side(one.theirs),
        age: one.age_ms,
        borrowed: one.borrowed != 0,
    })
}

/// A step as `tidelog.h` has it.
pub(super) fn step(step: &Step) -> tidelog_policy_step {
    let (action, until_ms) = match step.action {
        Action::Skip => (TIDELOG_ACTION_SKIP, 0),
        Action::Pull => (TIDELOG_ACTION_PULL, 0),
        Action::Push => (TIDELOG_ACTION_PUSH, 0),
        Action::Both => (TIDELOG_ACTION_BOTH, 0),
        Action::Defer(until) => (TIDELOG_ACTION_DEFER, until),
        Action::Rollups => (TIDELOG_ACTION_ROLLUPS, 0),
    };
    tidelog_policy_step { window: step.window, peer: step.peer, action, reserved: 0, until_ms }
}
