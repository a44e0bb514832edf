//! What the engine asks of the host: time and randomness, behind two traits, and the number of cores.
//! The only place that asks.

use std::fmt::Debug;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the engine learns what time it is.
pub trait Clock: Send + Sync + Debug {
    /// Milliseconds since the Unix epoch, by the wall clock, which may jump.
    fn wall_millis(&self) -> u64;

    /// Time since some fixed moment, by a clock that never goes back.
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.wall_millis())
    }
}

/// Where the engine gets random bytes, for ids.
pub trait Entropy: Send + Sync + Debug {
    /// Sixteen random bytes.
    ///
    /// # Errors
    /// When the system has none to give.
    fn id(&self) -> std::io::Result<[u8; 16]>;
}

/// How many threads can run at once. Asked once: the answer is read from several files.
pub(crate) fn cores() -> usize {
    static CORES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// The operating system's clock and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Clock for System {
    fn wall_millis(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

impl Entropy for System {
    fn id(&self) -> std::io::Result<[u8; 16]> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(std::io::Error::other)?;
        Ok(id)
    }
}
