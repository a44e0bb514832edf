//! What all files of the family share: header, footer and checksums, read and written.

use super::layout::{FOOTER_LEN, Footer, HEADER_LEN, Header, HeaderError, checksum};
use super::layout::{file_path, temporary_path};
use super::reader::ReadError;
use crate::disk::{Disk, DiskFile, OpenMode, Sealed, publish};
use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Bytes are given to the disk in pieces of this size.
const BUFFER_BYTES: usize = 1 << 20;

/// A file whose header, footer and directory passed their checks.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) path: String,
    pub(crate) header: Header,
    sealed: Sealed,
    seed: u32,
    directory: Extent,
    /// Was any of it found damaged since it was opened?
    suspect: AtomicBool,
    /// Pass over checksums, so that decoders get to see damage.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) trusting: bool,
}

/// Bytes of a file that one checksum covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) crc: u32,
}

impl Extent {
    /// The offset behind the last byte.
    pub(crate) fn end(&self) -> Option<u64> {
        self.offset.checked_add(u64::from(self.len))
    }
}

impl Container {
    pub(crate) fn open(disk: &dyn Disk, path: &str) -> Result<Self, ReadError> {
        let sealed = disk.open_sealed(path);
        let sealed = sealed.map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
        Self::from_sealed(path, sealed)
    }

    /// The same file, with header and footer read again.
    pub(crate) fn reopened(&self) -> Result<Self, ReadError> {
        Self::from_sealed(&self.path, self.sealed.clone())
    }

    pub(crate) fn from_sealed(path: &str, sealed: Sealed) -> Result<Self, ReadError> {
        let io = |source| ReadError::Io { path: path.to_owned(), source };
        let damaged = |what| ReadError::Damaged { path: path.to_owned(), window: None, what };
        if sealed.len() < (HEADER_LEN + FOOTER_LEN) as u64 {
            return Err(damaged("the file is too short"));
        }
        let bytes = sealed.read(0, HEADER_LEN).map_err(io)?;
        let header = Header::decode(&bytes).map_err(|error| match error {
            HeaderError::Damaged => damaged("header"),
            HeaderError::TooNew { found } => {
                ReadError::TooNew { path: path.to_owned(), found, newest: HeaderError::NEWEST }
            }
        })?;
        let seed = header.seed();
        let at = sealed.len() - FOOTER_LEN as u64;
        let footer = Footer::decode(&sealed.read(at, FOOTER_LEN).map_err(io)?, seed)
            .filter(|footer| footer.file_len == sealed.len() && footer.id == header.id)
            .ok_or_else(|| damaged("footer"))?;
        let directory = Extent {
            offset: footer.directory_offset,
            len: footer.directory_len,
            crc: footer.directory_crc,
        };
        if directory.end() != Some(at) {
            return Err(damaged("footer"));
        }
        Ok(Container {
            path: path.to_owned(),
            header,
            sealed,
            seed,
            directory,
            suspect: false.into(),
            #[cfg(any(test, feature = "fuzzing"))]
            trusting: false,
        })
    }

    pub(crate) fn len(&self) -> u64 {
        self.sealed.len()
    }

    /// Do its bytes stand in a map, so that reading them copies nothing?
    pub(crate) fn is_mapped(&self) -> bool {
        self.sealed.is_mapped()
    }

    /// Where the directory stands; it ends at the footer.
    pub(crate) fn directory(&self) -> Extent {
        self.directory
    }

    /// All bytes, for a checksum of the whole.
    pub(crate) fn digest(&self) -> Result<[u8; 32], ReadError> {
        let mut hasher = blake3::Hasher::new();
        let mut at = 0;
        while at < self.len() {
            let len = (self.len() - at).min(1 << 20);
            hasher.update(&self.read(at, len as usize)?);
            at += len;
        }
        Ok(*hasher.finalize().as_bytes())
    }

    pub(crate) fn read(&self, offset: u64, len: usize) -> Result<Cow<'_, [u8]>, ReadError> {
        self.sealed.read(offset, len).map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                self.damaged("an index points past the end")
            } else {
                self.suspect.store(true, Relaxed);
                ReadError::Io { path: self.path.clone(), source }
            }
        })
    }

    /// Bytes that must pass their checksum; `what` they are, for the error.
    pub(crate) fn verified(
        &self,
        extent: Extent,
        what: &'static str,
    ) -> Result<Cow<'_, [u8]>, ReadError> {
        let bytes = self.read(extent.offset, extent.len as usize)?;
        if self.passes(extent, &bytes) { Ok(bytes) } else { Err(self.damaged(what)) }
    }

    /// Are these the bytes that were written there?
    pub(crate) fn passes(&self, extent: Extent, bytes: &[u8]) -> bool {
        #[cfg(any(test, feature = "fuzzing"))]
        if self.trusting {
            return true;
        }
        checksum(self.seed, extent.offset, bytes) == extent.crc
    }

    /// Has any read of it found damage, or been refused by the disk?
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect.load(Relaxed)
    }

    /// All of it was read again and is whole.
    pub(crate) fn trust(&self) {
        self.suspect.store(false, Relaxed);
    }

    pub(crate) fn damaged(&self, what: &'static str) -> ReadError {
        self.suspect.store(true, Relaxed);
        ReadError::Damaged { path: self.path.clone(), window: None, what }
    }
}

/// Streams a file to the disk. Dropped before [`Self::finish`], it removes what it wrote.
pub(crate) struct ContainerWriter {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    header: Header,
    seed: u32,
    buffer: Vec<u8>,
    /// File offset of the first byte of the buffer.
    flushed: u64,
    hasher: blake3::Hasher,
    finished: bool,
}

impl ContainerWriter {
    pub(crate) fn create(disk: &Arc<dyn Disk>, header: Header) -> io::Result<Self> {
        let temporary = temporary_path(header.group, header.tier, header.id);
        let file = disk.open(&temporary, OpenMode::CreateNew)?;
        let mut writer = ContainerWriter {
            disk: Arc::clone(disk),
            file,
            seed: header.seed(),
            header,
            buffer: Vec::with_capacity(BUFFER_BYTES + (BUFFER_BYTES >> 1)),
            flushed: 0,
            hasher: blake3::Hasher::new(),
            finished: false,
        };
        writer.put(&writer.header.encode())?;
        Ok(writer)
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Where the next byte goes.
    pub(crate) fn offset(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    /// The checksum of bytes at an offset.
    pub(crate) fn checksum(&self, offset: u64, bytes: &[u8]) -> u32 {
        checksum(self.seed, offset, bytes)
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Puts bytes that one checksum covers.
    pub(crate) fn put_covered(&mut self, bytes: &[u8]) -> io::Result<Extent> {
        let offset = self.offset();
        let extent =
            Extent { offset, len: narrow(bytes.len())?, crc: self.checksum(offset, bytes) };
        self.put(bytes)?;
        Ok(extent)
    }

    /// Writes directory and footer and publishes the file; its length and BLAKE3.
    pub(crate) fn finish(mut self, directory: &[u8]) -> io::Result<(u64, [u8; 32])> {
        let directory = self.put_covered(directory)?;
        let file_len = self.offset() + FOOTER_LEN as u64;
        let footer = Footer {
            directory_offset: directory.offset,
            directory_len: directory.len,
            directory_crc: directory.crc,
            file_len,
            id: self.header.id,
        };
        self.put(&footer.encode(self.seed))?;
        self.flush()?;
        let Header { group, tier, id, .. } = self.header;
        let temporary = temporary_path(group, tier, id);
        publish(&*self.disk, &*self.file, &temporary, &file_path(group, tier, id))?;
        self.finished = true;
        Ok((file_len, *self.hasher.finalize().as_bytes()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hasher.update(&self.buffer);
        self.file.write_all_at(&self.buffer, self.flushed)?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Drop for ContainerWriter {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: recovery sweeps what is left.
            let Header { group, tier, id, .. } = self.header;
            let _ = self.disk.remove(&temporary_path(group, tier, id));
        }
    }
}

/// A length as formats keep it.
pub(crate) fn narrow(n: usize) -> io::Result<u32> {
    u32::try_from(n).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
