//! How the groups of a store stand. Nothing is kept: it follows from how its peers stand when it is asked, and so cannot be
//! stale.

use tidelog_model::GroupId;
use tidelog_protocol::PeerState;

/// How a group stands with its other replicas.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum GroupState {
    /// No other store holds it: what is lost here is lost.
    Single,
    /// What others wrote before they could be followed is being found.
    Syncing,
    /// Differences were found and are being repaired.
    Repairing,
    /// A replica is not linked, still differs after a comparison, or is not heard for its clock is ahead.
    Degraded,
    /// Every replica is linked and followed.
    Active,
}

/// How one group stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct GroupStatus {
    /// The group.
    pub group: GroupId,
    /// In a word.
    pub state: GroupState,
    /// Other stores that hold it.
    pub replicas: usize,
    /// Those of them that are linked.
    pub linked: usize,
}

/// How a group stands of which other replicas stand so.
pub(super) fn status_of(group: GroupId, others: &[PeerState]) -> GroupStatus {
    use PeerState as Peer;
    let any = |wanted: &[Peer]| others.iter().any(|state| wanted.contains(state));
    let state = if others.is_empty() {
        GroupState::Single
    } else if any(&[Peer::Repairing]) {
        GroupState::Repairing
    } else if any(&[Peer::Syncing]) && !any(&[Peer::Connected, Peer::Lagging]) {
        // As long as nobody is known to agree, that is what matters.
        GroupState::Syncing
    } else if any(&[Peer::Disconnected, Peer::Diverged, Peer::ClockAhead]) {
        GroupState::Degraded
    } else if any(&[Peer::Syncing]) {
        GroupState::Syncing
    } else {
        GroupState::Active
    };
    let linked = others.iter().filter(|state| **state != Peer::Disconnected).count();
    GroupStatus { group, state, replicas: others.len(), linked }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_stands_as_its_replicas_do() {
        use PeerState as Peer;
        let cases: [(&[Peer], GroupState, usize); 12] = [
            (&[], GroupState::Single, 0),
            (&[Peer::Disconnected], GroupState::Degraded, 0),
            (&[Peer::Syncing], GroupState::Syncing, 1),
            (&[Peer::Syncing, Peer::Disconnected], GroupState::Syncing, 1),
            (&[Peer::Syncing, Peer::Connected], GroupState::Syncing, 2),
            (&[Peer::Syncing, Peer::Connected, Peer::Disconnected], GroupState::Degraded, 2),
            (&[Peer::Repairing, Peer::Disconnected], GroupState::Repairing, 1),
            (&[Peer::Connected, Peer::Connected], GroupState::Active, 2),
            (&[Peer::Connected, Peer::Lagging], GroupState::Active, 2),
            (&[Peer::Connected, Peer::Disconnected], GroupState::Degraded, 1),
            (&[Peer::Connected, Peer::Diverged], GroupState::Degraded, 2),
            (&[Peer::Connected, Peer::ClockAhead], GroupState::Degraded, 2),
        ];
        for (others, state, linked) in cases {
            let status = status_of(GroupId(3), others);
            assert_eq!((status.state, status.linked), (state, linked), "{others:?}");
            assert_eq!((status.group, status.replicas), (GroupId(3), others.len()));
        }
    }
}
