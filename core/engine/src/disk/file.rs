//! The real disk: a directory of the operating system.

use super::{Disk, DiskFile, OpenMode, Sealed};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory of the operating system.
#[derive(Clone, Debug)]
pub struct FileDisk {
    root: PathBuf,
    map: bool,
}

impl FileDisk {
    /// The directory at `root`. With `map`, sealed files are mapped where there is address space
    /// for it; without, they are read with plain reads.
    #[must_use]
    pub fn new(root: &Path, map: bool) -> Self {
        // A 32-bit address space is smaller than a store may be.
        FileDisk { root: root.to_path_buf(), map: map && cfg!(target_pointer_width = "64") }
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Disk for FileDisk {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        let path = self.path(path);
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match mode {
            OpenMode::CreateNew => options.write(true).create_new(true),
            OpenMode::Write => options.write(true),
            OpenMode::Read => &mut options,
        };
        Ok(Arc::new(Real(options.open(self.path(path))?)))
    }

    fn open_sealed(&self, path: &str) -> io::Result<Sealed> {
        let file = File::open(self.path(path))?;
        let len = file.metadata()?.len();
        if self.map
            && len > 0
            && let Ok(map) = Sealed::map(&file, len)
        {
            return Ok(map);
        }
        Ok(Sealed::file(Arc::new(Real(file)), len))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.path(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is not UTF-8 is not one of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        File::open(self.path(path))?.sync_all()
    }

    fn lock(&self, path: &str) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path(path))?;
        Ok(Held::take(file)?.map(|held| Box::new(held) as Box<dyn Send + Sync>))
    }
}

/// A lock that is held.
///
/// It is an `flock`: bound to the open file, so a second opener in the same process is refused too, and closing
/// some other descriptor of the file does not drop it, as it would an `fcntl` lock. But a child that any thread of
/// the program forks has the open file as well, until it runs another program or ends, and closing ours would
/// leave the store locked for so long. So the lock is given up by name. A child that drops its copy of the guard
/// must not do that to its parent.
struct Held {
    file: File,
    process: u32,
}

impl Held {
    fn take(file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Held { file, process: std::process::id() })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.process == std::process::id()
            && let Err(error) = self.file.unlock()
        {
            // Closing the file does it then, unless a child has it.
            tracing::warn!(%error, "the lock of a store could not be given up");
        }
    }
}

struct Real(File);

impl DiskFile for Real {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{publish, read_all};

    #[test]
    fn a_published_file_reads_back_mapped_and_plain() {
        let dir = tempfile::tempdir().unwrap();
        let disk = FileDisk::new(dir.path(), true);
        disk.create_dir("a").unwrap();
        disk.create_dir("a").unwrap();
        let file = disk.open("a/x.tmp", OpenMode::CreateNew).unwrap();
        file.write_all_at(b"hello", 0).unwrap();
        publish(&disk, &*file, "a/x.tmp", "a/x").unwrap();
        assert_eq!(disk.list("a").unwrap(), ["x"]);
        assert_eq!(read_all(&disk, "a/x").unwrap(), b"hello");
        for map in [true, false] {
            let sealed = FileDisk::new(dir.path(), map).open_sealed("a/x").unwrap();
            assert_eq!(&*sealed.read(1, 3).unwrap(), b"ell");
            assert!(sealed.read(3, 3).is_err());
            assert!(sealed.read(u64::MAX, 2).is_err());
        }
    }

    #[test]
    fn a_second_lock_in_the_same_process_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let disk = FileDisk::new(dir.path(), true);
        let held = disk.lock("LOCK").unwrap();
        assert!(held.is_some());
        assert!(disk.lock("LOCK").unwrap().is_none());
        drop(held);
        assert!(disk.lock("LOCK").unwrap().is_some());
    }

    /// A store that was closed was locked for some milliseconds more when another thread was just starting a
    /// program: the child has all open files until it runs that program. A clone shares the open file as it does.
    #[test]
    fn a_lock_is_given_up_though_a_forked_child_has_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let disk = FileDisk::new(dir.path(), true);
        let file = File::create(dir.path().join("LOCK")).unwrap();
        let child = file.try_clone().unwrap();
        let held = Held::take(file).unwrap();
        assert!(disk.lock("LOCK").unwrap().is_none());
        drop(held);
        assert!(disk.lock("LOCK").unwrap().is_some());
        drop(child);
    }

    #[test]
    fn a_forked_child_that_drops_its_copy_does_not_unlock_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let disk = FileDisk::new(dir.path(), true);
        let file = File::create(dir.path().join("LOCK")).unwrap();
        let parent = file.try_clone().unwrap();
        let mut held = Held::take(file).unwrap().unwrap();
        held.process += 1;
        drop(held);
        assert!(disk.lock("LOCK").unwrap().is_none());
        drop(parent);
        assert!(disk.lock("LOCK").unwrap().is_some());
    }
}
