//! Memory for instances, used again.
//!
//! A plan takes a fresh instance, and an instance memory. Asked of the system for each plan, most of a short plan would
//! be spent with the system mapping pages, zeroing them at their first touch, and taking them back. So one piece that is
//! done with is kept, all zeros again, for the next plan. A large one is given back: what was used must be zeroed, and
//! what is kept is memory that nobody else has.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::{Error, LinearMemory, MemoryCreator, MemoryType, Result};

/// Pieces of which more was used than this are not kept.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// For the policies of one engine, which have one limit.
#[derive(Debug)]
pub(crate) struct Memories {
    kept: Arc<Mutex<Option<Piece>>>,
}

impl Memories {
    pub(crate) fn new() -> Self {
        Memories { kept: Arc::default() }
    }
}

fn lock(kept: &Mutex<Option<Piece>>) -> MutexGuard<'_, Option<Piece>> {
    // Nothing panics while it is held.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(unsafe_code, reason = "wasmtime asks for memory by an unsafe trait")]
// SAFETY: what is handed out is all zeros, belongs to one instance, and has room for all that was asked for without
// moving. No guard is asked for: bounds are checked by the code.
unsafe impl MemoryCreator for Memories {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        _: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> std::result::Result<Box<dyn LinearMemory>, String> {
        if guard > 0 {
            return Err("memory with guards is not made here".to_owned());
        }
        let room = reserved.unwrap_or(0).max(minimum);
        let kept = lock(&self.kept).take().filter(|piece| piece.layout.size() >= room);
        let piece = match kept {
            Some(piece) => piece,
            None => Piece::new(room).ok_or_else(|| format!("no memory of {room} bytes"))?,
        };
        Ok(Box::new(Memory { piece: Some(piece), size: minimum, home: Arc::clone(&self.kept) }))
    }
}

/// Memory of an instance.
struct Memory {
    /// There until it is dropped.
    piece: Option<Piece>,
    size: usize,
    home: Arc<Mutex<Option<Piece>>>,
}

#[expect(unsafe_code, reason = "as above")]
// SAFETY: the piece does not move, and the size stays within it.
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.size
    }

    fn byte_capacity(&self) -> usize {
        self.piece.as_ref().map_or(0, |piece| piece.layout.size())
    }

    fn grow_to(&mut self, size: usize) -> Result<()> {
        if size > self.byte_capacity() {
            return Err(Error::msg("memory does not grow beyond what was reserved for it"));
        }
        // It never shrinks, so what was used lies below its size.
        self.size = self.size.max(size);
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.piece.as_ref().map_or(std::ptr::null_mut(), |piece| piece.at.as_ptr())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let Some(mut piece) = self.piece.take().filter(|_| self.size <= KEPT_BYTES_MAX) else {
            return;
        };
        piece.clear(self.size);
        *lock(&self.home) = Some(piece);
    }
}

/// Zeroed bytes that stay where they are.
#[derive(Debug)]
struct Piece {
    at: NonNull<u8>,
    layout: Layout,
}

#[expect(unsafe_code, reason = "memory that stays where it is while wasmtime writes it")]
mod piece {
    use super::{Layout, NonNull, Piece, alloc_zeroed, dealloc};

    // SAFETY: it owns its bytes, and nothing of them is shared.
    unsafe impl Send for Piece {}
    // SAFETY: a shared one gives its address alone.
    unsafe impl Sync for Piece {}

    impl Piece {
        /// `None`: there is no room.
        pub(super) fn new(bytes: usize) -> Option<Self> {
            // As the largest access needs it. For more the allocator would zero all of it by hand, and what is large
            // comes from the system as zeros, page by page as it is touched.
            let layout = Layout::from_size_align(bytes.max(1), 16).ok()?;
            // SAFETY: the layout has a size.
            let at = NonNull::new(unsafe { alloc_zeroed(layout) })?;
            Some(Piece { at, layout })
        }

        /// Makes the first bytes zeros.
        pub(super) fn clear(&mut self, used: usize) {
            let used = used.min(self.layout.size());
            // SAFETY: so many bytes were allocated, and nobody else has them: the instance is gone.
            unsafe { self.at.as_ptr().write_bytes(0, used) };
        }
    }

    impl Drop for Piece {
        fn drop(&mut self) {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(self.at.as_ptr(), self.layout) };
        }
    }
}
