//! Repairs with one peer as long as that can be reached, and with the others what it does not know of.
//!
//! The same plans as Tidelog's built-in `prefer-peer`.

use tidelog_policy::{Divergence, PeerFacts, Policy, PolicyError, Round, Step, StoreId};

/// The peer. Put your own store's id here.
const TRUSTED: StoreId = StoreId::new(0x0202_0202_0202_0202_0202_0202_0202_0202);

/// The policy.
#[derive(Debug)]
pub struct TrustedPeer;

impl Policy for TrustedPeer {
    fn plan(round: &Round) -> Result<Vec<Step>, PolicyError> {
        let is_trusted = |peer: &PeerFacts| peer.store == TRUSTED && peer.up;
        let trusted = round.peers.iter().position(is_trusted);
        let peer_for = |window: &Divergence| {
            // After an agreement with it the difference is still there: it knows nothing of it.
            let knows = |at: &usize| round.peers[*at].agreed >= window.age;
            trusted.filter(knows).map_or(round.peer, |at| at as u32)
        };
        let windows = (0..).zip(&round.windows);
        Ok(windows.map(|(at, window)| Step::both(at, peer_for(window))).collect())
    }
}

tidelog_policy::export!(TrustedPeer);

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_policy::{Cost, Side};

    fn round(up: bool, agreed: u64) -> Round {
        let peer =
            |store, up, agreed| PeerFacts { store, up, cost: Cost::Free, rtt: 0, lag: 0, agreed };
        let window = |age| Divergence {
            group: 1,
            collection: 0,
            first: 0,
            last: 9,
            devices: 0,
            ours: Side { rows: 0, bytes: 0 },
            theirs: Side { rows: 1, bytes: 24 },
            age,
            borrowed: false,
        };
        Round {
            now: 0,
            peer: 0,
            budget: u64::MAX,
            max_deferral: u64::MAX,
            collections: vec!["plant.air".into()],
            peers: vec![peer(StoreId::new(1), true, 0), peer(TRUSTED, up, agreed)],
            windows: vec![window(5_000), window(1_000)],
        }
    }

    fn peers(round: &Round) -> Vec<u32> {
        TrustedPeer::plan(round).unwrap().iter().map(|step| step.peer).collect()
    }

    #[test]
    fn the_trusted_peer_repairs_what_it_knows_of() {
        assert_eq!(peers(&round(true, u64::MAX)), [1, 1]);
        assert_eq!(
            peers(&round(true, 2_000)),
            [0, 1],
            "it agreed, and the older one is still there"
        );
    }

    #[test]
    fn without_it_the_peer_of_the_round_does() {
        assert_eq!(peers(&round(false, u64::MAX)), [0, 0]);
    }
}
