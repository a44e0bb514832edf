//! Is a policy asked? One that fails too often is left alone for a while, and then tried again: it heals by itself.

use alloc::vec::Vec;

/// So many failures ...
pub const FAULTS_MAX: usize = 3;
/// ... within so many milliseconds put a policy into quarantine.
pub const FAULTS_WITHIN: u64 = 60_000;

/// The first quarantine lasts a second; each that follows without a plan between them lasts twice as long as the one
/// before, up to five minutes.
const FIRST: u64 = 1_000;
const LONGEST: u64 = 300_000;

/// A policy that is asked, unless it is in quarantine. Times are milliseconds of a clock that never goes back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Health {
    /// When it failed, of late.
    faults: Vec<u64>,
    /// Until when it is left alone, and how long that was.
    quarantine: Option<(u64, u64)>,
}

impl Health {
    /// Is it asked now?
    #[must_use]
    pub fn is_asked(&self, now: u64) -> bool {
        self.quarantine.is_none_or(|(until, _)| now >= until)
    }

    /// Until when it is not.
    #[must_use]
    pub fn quarantined_until(&self, now: u64) -> Option<u64> {
        self.quarantine.map(|(until, _)| until).filter(|until| *until > now)
    }

    /// It gave a plan that is carried out.
    pub fn well(&mut self) {
        *self = Health::default();
    }

    /// It failed. Is it in quarantine from now on?
    pub fn failed(&mut self, now: u64) -> bool {
        self.faults.retain(|at| now.saturating_sub(*at) < FAULTS_WITHIN);
        self.faults.push(now);
        let lasted = match self.quarantine {
            // The one try after it went wrong.
            Some((_, lasted)) => (lasted * 2).min(LONGEST),
            None if self.faults.len() >= FAULTS_MAX => FIRST,
            None => return false,
        };
        self.quarantine = Some((now.saturating_add(lasted), lasted));
        true
    }
}
