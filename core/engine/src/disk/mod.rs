//! The disk seam: the one trait through which the engine touches files.
//!
//! A [`Disk`] is one store's directory. Paths are relative, made by the engine from numbers, and
//! use `/`. Nothing else in the engine names `std::fs`, so a simulated disk sees every call, and
//! decides what survives a crash.
//!
//! What is assumed of a disk, and nothing more: bytes given to [`DiskFile::write_at`] may reach the medium
//! in any order, in part, or not at all, until [`DiskFile::sync`] returns; a name made by
//! [`Disk::open`], [`Disk::rename`] or [`Disk::create_dir`], or removed, may be lost until
//! [`Disk::sync_dir`] of its directory returns; a rename replaces its target whole or not at all.

mod file;
mod map;

pub use file::FileDisk;
pub use map::Sealed;

use std::io;
use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// Must not exist; for reading and writing.
    CreateNew,
    /// Must exist; for reading and writing.
    Write,
    /// Must exist; for reading.
    Read,
}

/// One directory with its sub-directories.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Where it is, for messages.
    fn place(&self) -> String;

    /// Makes a directory, readable by its owner only. Its parent must exist; it need not be new.
    ///
    /// # Errors
    /// Those of the file system.
    fn create_dir(&self, path: &str) -> io::Result<()>;

    /// Opens a file; new ones are readable by their owner only.
    ///
    /// # Errors
    /// Those of the file system.
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file that nobody writes any more, to read from: mapped where maps can serve and are
    /// wanted.
    ///
    /// # Errors
    /// Those of the file system.
    fn open_sealed(&self, path: &str) -> io::Result<Sealed>;

    /// Gives a file another name; what had that name before is gone.
    ///
    /// # Errors
    /// Those of the file system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name. Whoever has it open can still read it.
    ///
    /// # Errors
    /// Those of the file system.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// The names in a directory, files and directories, in no order. Empty when it does not exist.
    ///
    /// # Errors
    /// Those of the file system.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;

    /// Makes the names in a directory durable. Empty path: the directory itself.
    ///
    /// # Errors
    /// Those of the file system.
    fn sync_dir(&self, path: &str) -> io::Result<()>;

    /// Takes the exclusive lock on a file, made when it is missing, until the guard is dropped.
    /// `None` when another process, or another opener in this one, has it.
    ///
    /// # Errors
    /// Those of the file system.
    fn lock(&self, path: &str) -> io::Result<Option<Box<dyn Send + Sync>>>;
}

/// One open file.
pub trait DiskFile: Send + Sync {
    /// Writes some of `bytes` at `offset`; how many is returned.
    ///
    /// # Errors
    /// Those of the file system. Any part may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Reads up to `bytes.len()` bytes at `offset`; 0 at the end.
    ///
    /// # Errors
    /// Those of the file system.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// The file's length.
    ///
    /// # Errors
    /// Those of the file system.
    fn len(&self) -> io::Result<u64>;

    /// Cuts or extends the file with zeros.
    ///
    /// # Errors
    /// Those of the file system.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes content and length durable. After an error the content on disk is unknown, and a
    /// second call proves nothing: never retry.
    ///
    /// # Errors
    /// Those of the file system.
    fn sync(&self) -> io::Result<()>;
}

impl dyn DiskFile {
    /// Writes all of `bytes` at `offset`, however many calls it takes.
    ///
    /// # Errors
    /// Those of the file system. Any part may have been written.
    pub fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = bytes.get(written..).ok_or(io::ErrorKind::InvalidData)?;
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills `bytes` from `offset`.
    ///
    /// # Errors
    /// Those of the file system; `UnexpectedEof` when the file is shorter.
    pub fn read_exact_at(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.read_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    bytes = bytes.get_mut(read..).ok_or(io::ErrorKind::InvalidData)?;
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Publishes a finished file under its final name: all or nothing across a crash. The order is the
/// point: content durable, then the name, then the directory that holds the name.
///
/// # Errors
/// Those of the file system. The temporary name may be left over; recovery sweeps it.
pub fn publish(
    disk: &dyn Disk,
    file: &dyn DiskFile,
    temporary: &str,
    path: &str,
) -> io::Result<()> {
    file.sync()?;
    disk.rename(temporary, path)?;
    disk.sync_dir(directory_of(path))
}

/// The directory part of a relative path; empty for the store's own directory.
#[must_use]
pub fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// Reads a whole file.
///
/// # Errors
/// Those of the file system.
pub fn read_all(disk: &dyn Disk, path: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let len = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.resize(len, 0);
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
