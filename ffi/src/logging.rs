//! Log lines for the host: the library's own events, as text, on one thread.
//!
//! The engine logs wherever something happens, locks held or not, so nothing of the host is called there: lines go into a
//! bounded queue, and a thread that lives as long as the hook hands them over. A queue that is full loses lines, and says how
//! many.

use crate::abi::*;
use crate::fault::Fault;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, JoinHandle};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

/// Lines that wait for the host.
const QUEUE: usize = 1024;

/// One line.
pub(crate) struct Line {
    /// 1 (error) to 5 (trace).
    pub(crate) level: u32,
    /// The part of the library it comes from.
    pub(crate) target: String,
    pub(crate) message: String,
    /// Lines that were lost before this one.
    pub(crate) lost: u64,
}

struct Hook {
    lines: SyncSender<Line>,
    thread: JoinHandle<()>,
}

static HOOK: Mutex<Option<Hook>> = Mutex::new(None);
/// The least important level that is wanted; 0: none.
static LEVEL: AtomicU32 = AtomicU32::new(0);
static LOST: AtomicU64 = AtomicU64::new(0);

/// Hands lines of a level and the more important ones to `callback` from now on, in place of the hook before.
pub(crate) fn set(level: u32, callback: Callback<tidelog_log_fn>) -> Result<(), Fault> {
    install()?;
    unset();
    let (lines, received) = sync_channel(QUEUE);
    let thread = thread::Builder::new().name("tidelog-log".to_owned());
    let thread = thread.spawn(move || deliver(&received, &callback)).map_err(|error| {
        let message = format!(
            "no thread could be started for log lines ({error}): raise the limit on threads"
        );
        Fault::new(TIDELOG_IO, TIDELOG_KIND_RETRY, message)
    })?;
    let former = put(Some(Hook { lines, thread }), level);
    tracing::callsite::rebuild_interest_cache();
    // One of another thread, which set its own since.
    if let Some(former) = former {
        end(former);
    }
    Ok(())
}

/// Ends the hook. What was queued is still handed over; when this returns, nothing is any more, unless it is called by the
/// callback itself.
pub(crate) fn unset() {
    let former = put(None, 0);
    tracing::callsite::rebuild_interest_cache();
    if let Some(former) = former {
        end(former);
    }
}

/// Puts a hook in the place of the one before, with the level that is its own.
fn put(new: Option<Hook>, level: u32) -> Option<Hook> {
    let mut hook = hook();
    LEVEL.store(level, Ordering::SeqCst);
    std::mem::replace(&mut *hook, new)
}

/// Waits until a hook that was taken out has handed over what was queued, and is dropped.
fn end(hook: Hook) {
    drop(hook.lines);
    if hook.thread.thread().id() != thread::current().id() {
        // A panic there has ended the hook, which is what is wanted.
        let _ = hook.thread.join();
    }
}

fn hook() -> std::sync::MutexGuard<'static, Option<Hook>> {
    HOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn deliver(lines: &Receiver<Line>, callback: &Callback<tidelog_log_fn>) {
    for line in lines {
        if !callback.log(&line) {
            return;
        }
    }
}

/// The subscriber is there for good once somebody wanted lines; without a hook it wants nothing.
fn install() -> Result<(), Fault> {
    static ONCE: Once = Once::new();
    static INSTALLED: AtomicU32 = AtomicU32::new(0);
    ONCE.call_once(|| {
        let installed = tracing::subscriber::set_global_default(Lines).is_ok();
        INSTALLED.store(u32::from(installed), Ordering::SeqCst);
    });
    if INSTALLED.load(Ordering::SeqCst) == 1 {
        return Ok(());
    }
    let message = "this process is a Rust program that collects tracing events itself: take the lines from there";
    Err(Fault::new(TIDELOG_LOCKED, TIDELOG_KIND_FIX_CALL, message))
}

struct Lines;

fn number(level: Level) -> u32 {
    match level {
        Level::ERROR => TIDELOG_LOG_ERROR,
        Level::WARN => TIDELOG_LOG_WARN,
        Level::INFO => TIDELOG_LOG_INFO,
        Level::DEBUG => TIDELOG_LOG_DEBUG,
        Level::TRACE => TIDELOG_LOG_TRACE,
    }
}

/// Spans are not told: the events of the library carry what matters.
impl Subscriber for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && number(*metadata.level()) <= LEVEL.load(Ordering::Relaxed)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut text = Text::default();
        event.record(&mut text);
        let line = Line {
            level: number(*metadata.level()),
            target: metadata.target().to_owned(),
            message: text.message + &text.fields,
            lost: LOST.swap(0, Ordering::Relaxed),
        };
        let lost = line.lost;
        let sent = hook().as_ref().is_some_and(|hook| hook.lines.try_send(line).is_ok());
        if !sent {
            LOST.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message, then its fields as `name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
