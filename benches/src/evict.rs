//! Dropping a store's files from the page cache, so that what is opened next is read from the disk.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Advice, fadvise};

/// Writes back and drops every file below a directory.
pub fn evict(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        for entry in path.read_dir()? {
            evict(&entry?.path())?;
        }
        return Ok(());
    }
    let file = File::open(path)?;
    // The kernel keeps dirty pages, whatever is advised.
    file.sync_data()?;
    Ok(fadvise(&file, 0, None, Advice::DontNeed)?)
}
