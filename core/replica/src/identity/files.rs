//! The files of keys and certificates: who may read them, and writes that are whole or not there.

use super::IdentityError;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// No key or chain is as large; what is was named by mistake.
const BYTES_MAX: u64 = 64 << 10;

/// The bytes of a file. One that is secret is refused when others may read it.
pub(super) fn read(path: &Path, secret: bool) -> Result<Vec<u8>, IdentityError> {
    let file = File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => IdentityError::Missing { path: path.to_owned() },
        _ => io_error(path, source),
    })?;
    let mode = file.metadata().map_err(|source| io_error(path, source))?.mode() & 0o777;
    if secret && mode & 0o077 != 0 {
        return Err(IdentityError::Permissions { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(|source| io_error(path, source))?;
    Ok(bytes)
}

/// Writes beside and renames, so that a crash leaves the old file or the new one. A `new` file replaces nothing.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32, new: bool) -> Result<(), IdentityError> {
    if new && path.exists() {
        return Err(IdentityError::Exists { path: path.to_owned() });
    }
    let beside = path.with_extension("new");
    let done = write_and_sync(&beside, bytes, mode).and_then(|()| {
        fs::rename(&beside, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    });
    done.map_err(|source| io_error(path, source))
}

fn write_and_sync(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // A leftover may have other permissions, and they would stay.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The folder, for its owner only when it is new.
pub(super) fn create_folder(path: &Path) -> Result<(), IdentityError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: io::Error) -> IdentityError {
    IdentityError::Io { path: path.to_owned(), source }
}
