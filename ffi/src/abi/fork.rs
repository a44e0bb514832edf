//! Is this process a child that was forked from the one that uses the library?
//!
//! A child has none of the threads, and locks as they happened to stand, so nothing may be touched there. Linux gives a child
//! an empty page where it is asked to, so a look at one byte tells; elsewhere the process id does. No fork handler is installed.

use std::sync::OnceLock;

/// What tells parent and child apart.
enum Mark {
    /// Holds a one in the process that made it, a zero in its children.
    #[cfg(target_os = "linux")]
    Page(&'static std::sync::atomic::AtomicU8),
    Pid(u32),
}

static MARK: OnceLock<Mark> = OnceLock::new();

/// From here on children of this process are told. Called when the first handle is made, or the first object of the cxx bridge: until then there is nothing that a
/// child could break.
pub fn watch() {
    MARK.get_or_init(|| page().unwrap_or_else(|| Mark::Pid(std::process::id())));
}

/// Is this a child of the process that made the first of them?
pub fn in_child() -> bool {
    match MARK.get() {
        None => false,
        #[cfg(target_os = "linux")]
        Some(Mark::Page(byte)) => byte.load(std::sync::atomic::Ordering::Relaxed) == 0,
        Some(Mark::Pid(pid)) => *pid != std::process::id(),
    }
}

/// A page for as long as the process lives.
#[cfg(target_os = "linux")]
fn page() -> Option<Mark> {
    use std::sync::atomic::{AtomicU8, Ordering};
    const BYTES: usize = 4096;
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at a place of the kernel's choice touches nothing that is there.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), BYTES, access, kind, -1, 0) };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the mapping is ours alone, and whole pages long.
    if unsafe { libc::madvise(page, BYTES, libc::MADV_WIPEONFORK) } != 0 {
        // A kernel before 4.14. SAFETY: as above.
        unsafe { libc::munmap(page, BYTES) };
        return None;
    }
    // SAFETY: the page is never unmapped, and nobody else knows of it.
    let byte: &'static AtomicU8 = unsafe { &*page.cast::<AtomicU8>() };
    byte.store(1, Ordering::Relaxed);
    Some(Mark::Page(byte))
}

#[cfg(not(target_os = "linux"))]
fn page() -> Option<Mark> {
    None
}
