//! How long to wait before a peer is dialled again. Pure: time and randomness are given.
//!
//! Exponential with full jitter (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015): each wait is
//! drawn from 0 to a ceiling that doubles, so that peers which lost a common neighbour do not come back in step. What only a
//! person can mend is tried rarely, and never hot.

use crate::dial_error::Permanence;
use std::time::Duration;

/// Bounds of the waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct BackoffOptions {
    /// Ceiling of the first wait. 100 ms.
    pub first: Duration,
    /// Ceiling of all waits, and floor of those after a permanent error. 30 s.
    pub longest: Duration,
    /// A link that lived so long was healthy: waits begin anew. 10 s.
    pub healthy: Duration,
}

impl Default for BackoffOptions {
    fn default() -> Self {
        BackoffOptions {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(30),
            healthy: Duration::from_secs(10),
        }
    }
}

/// The waits for one peer.
#[derive(Clone, Debug)]
pub struct Backoff {
    options: BackoffOptions,
    failures: u32,
    random: u64,
}

impl Backoff {
    /// Begins. The same seed gives the same waits; give each peer and each process its own.
    #[must_use]
    pub fn new(options: BackoffOptions, seed: u64) -> Self {
        Backoff { options, failures: 0, random: seed }
    }

    /// A dial failed. How long to wait: from 0 to the ceiling, or between once and twice the longest wait when the error
    /// is permanent.
    pub fn failed(&mut self, permanence: Permanence) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        match permanence {
            Permanence::Passing => self.up_to(ceiling),
            Permanence::Permanent => {
                let longest = self.options.longest;
                longest.saturating_add(self.up_to(longest))
            }
        }
    }

    /// A link ended after so long. How long to wait: as for the first failure if it was healthy, and as for one more
    /// failure if it was not, for a peer that accepts and hangs up is no healthy one.
    pub fn ended(&mut self, lived: Duration, permanence: Permanence) -> Duration {
        if lived >= self.options.healthy {
            self.failures = 0;
        }
        self.failed(permanence)
    }

    /// Failures since the last healthy link.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn ceiling(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.options.first.saturating_mul(factor).min(self.options.longest)
    }

    fn up_to(&mut self, ceiling: Duration) -> Duration {
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        // The high half of a product of 64 bits each: uniform enough for a wait.
        let drawn = (u128::from(self.draw()) * (u128::from(nanos) + 1)) >> 64;
        Duration::from_nanos(u64::try_from(drawn).unwrap_or(nanos))
    }

    /// `SplitMix64` (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONGEST: Duration = Duration::from_secs(30);

    #[test]
    fn ceilings_double_from_100_ms_to_30_s() {
        let mut backoff = Backoff::new(BackoffOptions::default(), 1);
        let mut ceilings = Vec::new();
        for _ in 0..12 {
            ceilings.push(backoff.ceiling().as_millis());
            backoff.failed(Permanence::Passing);
        }
        let expected =
            [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000];
        assert_eq!(ceilings, expected);
    }

    #[test]
    fn waits_are_spread_over_the_whole_range() {
        let mut quarters = [0; 4];
        for seed in 0..4000 {
            let mut backoff = Backoff::new(BackoffOptions::default(), seed);
            backoff.failures = 20;
            let wait = backoff.failed(Permanence::Passing);
            quarters[(wait.as_millis() * 4 / 30_001) as usize] += 1;
        }
        assert!(quarters.iter().all(|count| (900..1100).contains(count)), "{quarters:?}");
    }

    #[test]
    fn the_generator_is_the_published_one() {
        let mut backoff = Backoff::new(BackoffOptions::default(), 1_234_567);
        assert_eq!(backoff.draw(), 6_457_827_717_110_365_317);
        assert_eq!(backoff.draw(), 3_203_168_211_198_807_973);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Failed(bool),
        Ended(u64, bool),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => any::<bool>().prop_map(Step::Failed),
            1 => (0_u64..20_000, any::<bool>()).prop_map(|(ms, p)| Step::Ended(ms, p)),
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn waits_keep_to_their_bounds_and_a_seed_repeats_them(seed: u64, steps in steps()) {
            let options = BackoffOptions::default();
            let (mut one, mut two) = (Backoff::new(options, seed), Backoff::new(options, seed));
            let mut failures = 0_u32;
            for step in steps {
                let (permanent, lived) = match step {
                    Step::Failed(permanent) => (permanent, None),
                    Step::Ended(ms, permanent) => (permanent, Some(Duration::from_millis(ms))),
                };
                if lived.is_some_and(|lived| lived >= options.healthy) {
                    failures = 0;
                }
                let permanence =
                    if permanent { Permanence::Permanent } else { Permanence::Passing };
                let next = |backoff: &mut Backoff| match lived {
                    Some(lived) => backoff.ended(lived, permanence),
                    None => backoff.failed(permanence),
                };
                let wait = next(&mut one);
                prop_assert_eq!(wait, next(&mut two));
                let ceiling = Duration::from_millis(100 * 2_u64.pow(failures.min(20))).min(LONGEST);
                if permanent {
                    prop_assert!(wait >= LONGEST && wait <= 2 * LONGEST, "{wait:?}");
                } else {
                    prop_assert!(wait <= ceiling, "{wait:?} after {failures} failures");
                }
                failures += 1;
                prop_assert_eq!(one.failures(), failures);
            }
        }

        #[test]
        fn any_options_and_any_number_of_failures_give_a_wait(
            first: u64, longest: u64, failures: u32, permanent: bool,
        ) {
            let options = BackoffOptions {
                first: Duration::from_millis(first),
                longest: Duration::from_millis(longest),
                healthy: Duration::ZERO,
            };
            let mut backoff = Backoff::new(options, first);
            backoff.failures = failures;
            let permanence = if permanent { Permanence::Permanent } else { Permanence::Passing };
            let wait = backoff.failed(permanence);
            prop_assert!(permanent || wait <= options.longest);
        }
    }
}
