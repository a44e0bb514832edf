//! Rounds out of a seed, and rounds as they were met.

use tidelog_model::policy::{Cost, Divergence, PeerFacts, Recorded, Round, Side, WINDOWS_MAX};
use tidelog_model::{CollectionName, GroupId, StoreId, TimeRange};

const HOUR: i64 = 3_600_000_000_000;

/// Rounds without end, the same for the same seed: most are small, a few have as many windows as a round may have, and
/// numbers are often the smallest or the largest of their kind.
#[derive(Clone, Debug)]
pub struct Rounds {
    state: u64,
}

impl Rounds {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Rounds { state: seed }
    }

    /// SplitMix64, by Sebastiano Vigna.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One in so many.
    fn one_in(&mut self, end: u64) -> bool {
        self.below(end) == 0
    }

    /// Mostly below `end`, now and then anything.
    fn number(&mut self, end: u64) -> u64 {
        match self.below(20) {
            0 => 0,
            1 => u64::MAX,
            2 => self.next(),
            _ => self.below(end),
        }
    }

    fn peer(&mut self, at: u8) -> PeerFacts {
        PeerFacts {
            store: StoreId([at + 1; 16]),
            up: !self.one_in(4),
            cost: if self.one_in(2) { Cost::Metered } else { Cost::Free },
            rtt: self.number(1_000_000) as u32,
            lag: self.number(10_000_000),
            agreed: self.number(200_000_000),
        }
    }

    fn window(&mut self, at: u64) -> Divergence {
        let (first, last) = match self.below(50) {
            0 => (i64::MIN, i64::MIN + HOUR),
            1 => (i64::MAX - HOUR, i64::MAX),
            // Some end together.
            _ => {
                let first = self.below(500) as i64 * HOUR;
                (first, first + HOUR - 1)
            }
        };
        let number = self.below(3);
        let name = format!("plant{}.air.{number}", at / 200);
        let mut side = || match self.below(4) {
            0 => Side::default(),
            _ => Side { rows: self.number(10_000), bytes: self.number(200_000) },
        };
        let (ours, theirs) = (side(), side());
        Divergence {
            group: GroupId(self.number(9) as u32),
            collection: CollectionName::parse(&name).expect("a name"),
            range: TimeRange::inclusive(first, last).expect("not empty"),
            devices: self.number(100) as u32,
            ours,
            theirs,
            age: self.number(200_000_000),
            borrowed: self.one_in(3),
        }
    }
}

impl Iterator for Rounds {
    type Item = Round;

    fn next(&mut self) -> Option<Round> {
        let peers = 1 + self.below(6) as u8;
        let windows = match self.below(100) {
            0 => WINDOWS_MAX as u64,
            1..=9 => self.below(300),
            _ => self.below(30),
        };
        Some(Round {
            now: self.number(1_900_000_000_000),
            peer: self.below(peers.into()) as u32,
            budget: if self.one_in(4) { u64::MAX } else { self.number(3_000_000) },
            max_deferral: self.number(100_000_000),
            peers: (0..peers).map(|at| self.peer(at)).collect(),
            windows: (0..windows).map(|at| self.window(at)).collect(),
        })
    }
}

/// What policies were asked in simulated worlds: a few hundred rounds that stand in the repository, or those in the file that
/// `TIDELOG_ROUNDS_RECORDED` names. `tests/sim/rounds.rs` of the repository records them and says how.
#[must_use]
pub fn recorded() -> Vec<Round> {
    let bytes = match std::env::var_os("TIDELOG_ROUNDS_RECORDED") {
        Some(path) => std::fs::read(path).expect("recorded rounds"),
        None => include_bytes!("../../../../tests/golden/rounds").to_vec(),
    };
    let (mut rounds, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((len, behind)) = rest.split_first_chunk() {
        let (one, behind) = behind.split_at(u32::from_le_bytes(*len) as usize);
        rounds.push(Recorded::decode(one).expect("a recorded round").round);
        rest = behind;
    }
    rounds
}
