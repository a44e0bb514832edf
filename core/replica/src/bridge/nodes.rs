//! Rollups between stores: settled nodes, and those that are lent and borrowed.

use super::view::unreadable;
use tidelog_engine::{Kind, RollupError, Store};
use tidelog_model::{Level, TimeRange};
use tidelog_protocol::compare::{Lent, Place, Scope, SettledClaim};
use tidelog_protocol::{Failure, FailureKind};

fn place_of(place: &Place) -> (i64, &str) {
    (place.0, place.1.as_str())
}

pub(super) fn settled(
    store: &Store,
    scope: &Scope,
    after: Option<&Place>,
    max: usize,
) -> Result<(Vec<SettledClaim>, bool), Failure> {
    let (group, name) = (scope.group, &scope.collection);
    let after = after.map(place_of);
    let found =
        store.settled_claims(group, name, TimeRange::ALL, after, max).map_err(unreadable)?;
    let claim = |claim: &tidelog_engine::SettledClaim| SettledClaim {
        place: (claim.window.first(), claim.device.to_string()),
        rows: claim.rows,
        // The first byte is the highest, as the order of digests is.
        digest: u64::from_be_bytes(claim.digest.0.first_chunk().copied().unwrap_or_default()),
    };
    Ok((found.claims.iter().map(claim).collect(), found.more))
}

pub(super) fn settled_nodes(
    store: &Store,
    scope: &Scope,
    wanted: &[Place],
    bytes_max: usize,
) -> Result<(Vec<Vec<u8>>, usize), Failure> {
    let wanted: Vec<(i64, &str)> = wanted.iter().map(place_of).collect();
    let found = store
        .settled_nodes(scope.group, &scope.collection, &wanted, bytes_max)
        .map_err(unreadable)?;
    Ok((found.nodes, found.done))
}

pub(super) fn take_settled(
    store: &Store,
    scope: &Scope,
    nodes: &[Vec<u8>],
) -> Result<(u64, u64), Failure> {
    let taken = store.take_settled(scope.group, &scope.collection, nodes).map_err(refused)?;
    Ok((taken.taken, taken.left_out))
}

pub(super) fn lend(
    store: &Store,
    scope: &Scope,
    (level, range): (Level, TimeRange),
    after: Option<&Place>,
    bytes_max: usize,
) -> Result<Lent, Failure> {
    let (group, name) = (scope.group, &scope.collection);
    let lent = store
        .lend(group, name, level, range, after.map(place_of), bytes_max)
        .map_err(unreadable)?;
    let more = lent.more.map(|(start, device)| (start, device.to_string()));
    Ok((lent.rollups, more))
}

pub(super) fn borrow(store: &Store, scope: &Scope, rollups: &[Vec<u8>]) -> Result<u64, Failure> {
    let taken = store.borrow(scope.group, &scope.collection, rollups).map_err(refused)?;
    Ok(taken.taken)
}

fn refused(error: RollupError) -> Failure {
    let kind = match &error {
        RollupError::Malformed { .. } | RollupError::TooMany { .. } => FailureKind::Peer,
        RollupError::ClockAhead { by_millis, .. } => FailureKind::ClockAhead(*by_millis),
        other if other.kind() == Kind::Reopen => FailureKind::Store,
        _ => FailureKind::Later,
    };
    Failure { kind, text: error.to_string() }
}
