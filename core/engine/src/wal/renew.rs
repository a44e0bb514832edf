//! Making durable what recovery read of a log whose last fsync may have failed.
//!
//! After a failed fsync the system may hold pages for written that the disk never got (Rebello et al., "Can
//! Applications Recover from fsync Failures?", 2020): another fsync of the same file says ok and proves nothing.
//! So the bytes go into a new file, which is synced and takes the segment's name.

use super::recover::Doubtful;
use crate::disk::{Disk, OpenMode, publish};
use std::io;

/// Puts a copy of what was read in the place of a segment.
pub(crate) fn renew(disk: &dyn Disk, doubtful: &Doubtful) -> io::Result<()> {
    let Doubtful { path, keeps, read: (len, crc) } = doubtful;
    let source = disk.open(path, OpenMode::Read)?;
    let temporary = format!("{path}{TEMPORARY}");
    let copy = disk.open(&temporary, OpenMode::CreateNew)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    let mut at = 0;
    while at < *len {
        let part = usize::try_from(len - at).unwrap_or(buffer.len()).min(buffer.len());
        source.read_exact_at(&mut buffer[..part], at)?;
        hasher.update(&buffer[..part]);
        let kept = usize::try_from(keeps.saturating_sub(at)).unwrap_or(part).min(part);
        copy.write_all_at(&buffer[..kept], at)?;
        at += part as u64;
    }
    // A page that was dropped meanwhile comes back as the disk has it, and not as it was replayed.
    if hasher.finalize() != *crc {
        let what = format!("{path} changed while it was read: open the store again");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    publish(disk, &*copy, &temporary, path)
}

/// Removes copies that were not finished.
pub(crate) fn sweep_unfinished(disk: &dyn Disk) -> io::Result<()> {
    for name in disk.list("wal")?.iter().filter(|name| name.ends_with(TEMPORARY)) {
        disk.remove(&format!("wal/{name}"))?;
    }
    Ok(())
}

const TEMPORARY: &str = ".tmp";
