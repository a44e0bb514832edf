//! Sealed files: immutable, read through a memory map, or with plain reads where a map cannot serve.
//!
//! The only unsafe code of the engine.

use super::DiskFile;
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// A file that nobody writes any more. Cheap to clone.
#[derive(Clone)]
pub struct Sealed {
    bytes: Bytes,
    len: u64,
}

#[derive(Clone)]
enum Bytes {
    Map(Arc<memmap2::Mmap>),
    File(Arc<dyn DiskFile>),
}

impl Sealed {
    /// Maps the first `len` bytes.
    ///
    /// # Errors
    /// When there is no address space for it, or the file system cannot map.
    pub(super) fn map(file: &File, len: u64) -> io::Result<Self> {
        let size = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        #[expect(unsafe_code, reason = "the one place where files are mapped")]
        // SAFETY: the mapping is read-only and private to this process. Sealed files are written
        // under a temporary name, fsynced and renamed before they are opened here, and from then on
        // only ever unlinked, which keeps a mapping valid. The store's directory is the owner's
        // alone (0700) and locked; a process that breaks in and truncates a file can raise SIGBUS,
        // which is why hosts that do not trust the directory open with `map: false`.
        let map = unsafe { memmap2::MmapOptions::new().len(size).map(file)? };
        Ok(Sealed { bytes: Bytes::Map(Arc::new(map)), len })
    }

    /// Reads through `file`, which has `len` bytes.
    #[must_use]
    pub fn file(file: Arc<dyn DiskFile>, len: u64) -> Self {
        Sealed { bytes: Bytes::File(file), len }
    }

    /// The file's length when it was opened.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True when the file had no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Is it mapped, so that reading costs nothing?
    pub(crate) fn is_mapped(&self) -> bool {
        matches!(self.bytes, Bytes::Map(_))
    }

    /// The `len` bytes at `offset`: borrowed from the map, or read.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file is shorter, else those of the file system.
    pub fn read(&self, offset: u64, len: usize) -> io::Result<Cow<'_, [u8]>> {
        let end = offset.checked_add(len as u64).filter(|end| *end <= self.len);
        if end.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &self.bytes {
            Bytes::Map(map) => {
                let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
                map.get(start..start + len)
                    .map(Cow::Borrowed)
                    .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
            Bytes::File(file) => {
                // `len` is below the file's length, so the allocation is earned.
                let mut bytes = vec![0; len];
                file.read_exact_at(&mut bytes, offset)?;
                Ok(Cow::Owned(bytes))
            }
        }
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = if self.is_mapped() { "mapped" } else { "plain" };
        write!(f, "Sealed({how}, {} bytes)", self.len)
    }
}
