//! Which calls of a simulated disk fail, and how.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// No such file or directory.
pub const ENOENT: i32 = 2;
/// Interrupted system call.
pub const EINTR: i32 = 4;
/// Input/output error.
pub const EIO: i32 = 5;
/// The handle is not for this.
pub const EBADF: i32 = 9;
/// File exists.
pub const EEXIST: i32 = 17;
/// Not a directory.
pub const ENOTDIR: i32 = 20;
/// Is a directory.
pub const EISDIR: i32 = 21;
/// Invalid argument.
pub const EINVAL: i32 = 22;
/// Too many open files in the system.
pub const ENFILE: i32 = 23;
/// Too many open files in this process.
pub const EMFILE: i32 = 24;
/// File too large.
pub const EFBIG: i32 = 27;
/// No space left on device.
pub const ENOSPC: i32 = 28;

/// The calls of the seam.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(missing_docs, reason = "each is named after the call it stands for")]
pub enum Call {
    CreateDir,
    /// `open` with `CreateNew`.
    Create,
    /// `open` of a file that exists.
    Open,
    OpenSealed,
    Rename,
    Remove,
    List,
    SyncDir,
    Lock,
    Write,
    Read,
    Len,
    SetLen,
    Sync,
}

impl Call {
    /// The calls that fail when a disk is full.
    pub const TAKING_SPACE: [Call; 4] = [Call::CreateDir, Call::Create, Call::Write, Call::SetLen];
    /// The calls that need a free file descriptor.
    pub const TAKING_DESCRIPTORS: [Call; 6] =
        [Call::Create, Call::Open, Call::OpenSealed, Call::List, Call::SyncDir, Call::Lock];
}

/// How much of a call takes place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Nothing.
    Nothing,
    /// The first so many bytes of a write; of any other call, nothing.
    Bytes(usize),
    /// All of it.
    Whole,
}

/// What goes wrong at a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The call fails with this error number and does nothing. A sync that fails so leaves what it
    /// was to save in doubt for ever: no later sync makes it durable.
    Error(i32),
    /// A write stores its first bytes, then fails with this error number.
    Partial {
        /// How many bytes are stored.
        bytes: usize,
        /// The error number.
        error: i32,
    },
    /// A write or read moves at most so many bytes, and says so.
    Short(usize),
    /// A write stores its first bytes and says that it stored all. The length grows as it should:
    /// drives lose data, not the file system's own records.
    LyingWrite {
        /// How many bytes are stored.
        bytes: usize,
    },
    /// A sync of a file or directory says ok, and nothing becomes durable.
    LyingSync,
    /// The process dies in this call; the part given still takes place. From here on every call
    /// fails (see [`is_killed`]) and does nothing.
    Kill(Part),
}

impl Fault {
    /// Can this happen to such a call?
    fn fits(self, call: Call) -> bool {
        match self {
            Fault::Error(_) | Fault::Kill(_) => true,
            Fault::Partial { .. } | Fault::LyingWrite { .. } => call == Call::Write,
            Fault::Short(_) => matches!(call, Call::Write | Call::Read),
            Fault::LyingSync => matches!(call, Call::Sync | Call::SyncDir),
        }
    }
}

/// Which calls a fault waits for.
#[derive(Clone, Debug)]
pub struct At {
    nth: u64,
    calls: Option<Vec<Call>>,
    under: Option<String>,
    onwards: bool,
}

impl At {
    /// The `nth` call from now on, 1 being the next; of those only that the other settings name.
    ///
    /// # Panics
    /// When `nth` is 0.
    #[must_use]
    pub fn nth(nth: u64) -> Self {
        assert!(nth > 0, "calls are counted from 1");
        At { nth, calls: None, under: None, onwards: false }
    }

    /// Only calls of these kinds count.
    #[must_use]
    pub fn of(self, calls: &[Call]) -> Self {
        At { calls: Some(calls.to_vec()), ..self }
    }

    /// Only calls on paths that begin so count (for a rename, either path).
    #[must_use]
    pub fn under(self, prefix: &str) -> Self {
        At { under: Some(prefix.into()), ..self }
    }

    /// Every counted call from that one on fails, until the disk is healed.
    #[must_use]
    pub fn onwards(self) -> Self {
        At { onwards: true, ..self }
    }

    fn counts(&self, call: Call, paths: [&str; 2]) -> bool {
        self.calls.as_ref().is_none_or(|calls| calls.contains(&call))
            && self.under.as_ref().is_none_or(|under| paths.iter().any(|p| p.starts_with(under)))
    }
}

/// The faults that are to come, and the calls counted so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) calls: u64,
    pub(super) by_call: BTreeMap<Call, u64>,
    pub(super) fired: u64,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    at: At,
    seen: u64,
    fault: Fault,
}

impl Plan {
    pub(super) fn add(&mut self, at: At, fault: Fault) {
        self.rules.push(Rule { at, seen: 0, fault });
    }

    pub(super) fn heal(&mut self) {
        self.rules.clear();
    }

    /// Counts a call and says what goes wrong with it. Of several faults the one planned first.
    pub(super) fn count(&mut self, call: Call, paths: [&str; 2]) -> Option<Fault> {
        self.calls += 1;
        *self.by_call.entry(call).or_default() += 1;
        let mut fault = None;
        for rule in self.rules.iter_mut().filter(|rule| rule.at.counts(call, paths)) {
            rule.seen += 1;
            let due = rule.seen == rule.at.nth || rule.at.onwards && rule.seen > rule.at.nth;
            if due && fault.is_none() && rule.fault.fits(call) {
                fault = Some(rule.fault);
            }
        }
        self.rules.retain(|rule| rule.at.onwards || rule.seen < rule.at.nth);
        self.fired += u64::from(fault.is_some());
        fault
    }
}

/// What every call returns once the process is dead.
#[derive(Debug, thiserror::Error)]
#[error("the simulated process was killed")]
struct Killed;

pub(super) fn killed() -> io::Error {
    io::Error::other(Killed)
}

/// Is this the error of a dead process, or caused by it?
#[must_use]
pub fn is_killed(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<Killed>() {
            return true;
        }
        // Neither an `io::Error` nor an `Arc` names what it wraps as its source, but the source of
        // that.
        let shared = error.downcast_ref::<Arc<io::Error>>().map(Arc::as_ref);
        let inner = shared.or_else(|| error.downcast_ref()).and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

pub(super) fn os_error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}
