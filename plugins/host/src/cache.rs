//! Compiled code on disk, so that a policy that was compiled once starts at once.
//!
//! Compiled code is run as it is: what is loaded here must be what was kept here. So the folder belongs to its user
//! alone, and each entry begins with a sum that takes a secret of the folder to make: an entry that was damaged, cut,
//! renamed, copied from elsewhere or written by another program is not loaded but compiled anew.
//!
//! ```text
//! folder    mode 0700, owned by the user of the process
//! secret    32 random bytes, mode 0600
//! entry     KEY.code: sum 32 bytes, code; KEY is 64 hexadecimal digits
//! sum       BLAKE3 keyed with the secret, of KEY's 32 bytes and the code
//! ```
//!
//! Who can write as the user of the process can replace the process itself: against that there is no sum.

use blake3::{Hash, Hasher};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use wasmtime::Engine;
use wasmtime::component::Component;

const SECRET: &str = "secret";
const SUM: usize = 32;

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    secret: [u8; 32],
}

/// Why a folder is not used as a cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// Others could write into it.
    #[error(
        "{path} is not private: compiled code there must belong to this user alone, with mode 0700"
    )]
    NotPrivate {
        /// The folder, or its secret.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("cannot use {path} for compiled policies")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Cache {
    /// Opens a folder, or makes one.
    pub(crate) fn open(folder: &Path) -> Result<Self, CacheError> {
        let failed = |source| CacheError::Io { path: folder.to_owned(), source };
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        match private(fs::DirBuilder::new()).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        let metadata = fs::symlink_metadata(folder).map_err(failed)?;
        if !metadata.is_dir() || !is_private(&metadata) {
            return Err(CacheError::NotPrivate { path: folder.to_owned() });
        }
        let path = folder.join(SECRET);
        if !path.exists() {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).map_err(|error| failed(io::Error::other(error)))?;
            // Whoever comes second finds the secret of the first.
            publish(&path, &secret, false).map_err(failed)?;
        }
        if !is_private(&fs::symlink_metadata(&path).map_err(failed)?) {
            return Err(CacheError::NotPrivate { path });
        }
        let secret = fs::read(&path).map_err(failed)?;
        let secret = secret
            .try_into()
            .map_err(|_| failed(io::Error::other("its secret is damaged: remove the folder")))?;
        Ok(Cache { folder: folder.to_owned(), secret })
    }

    /// The component that was kept under a key. `None`: there is none, or it is not what was kept.
    pub(crate) fn load(&self, engine: &Engine, key: Hash) -> Option<Component> {
        let mut entry = Vec::new();
        File::open(self.path(key)).ok()?.read_to_end(&mut entry).ok()?;
        let (sum, code) = entry.split_at_checked(SUM)?;
        // The comparison of hashes takes the same time whatever they are.
        if Hash::from_slice(sum).ok()? != self.sum(key, code) {
            tracing::warn!(key = %key.to_hex(), "compiled code of a policy was changed on disk: it is not used");
            return None;
        }
        deserialize(engine, code)
    }

    /// Keeps a component. What cannot be kept is compiled again the next time.
    pub(crate) fn keep(&self, key: Hash, component: &Component) {
        let kept = component.serialize().map_err(io::Error::other).and_then(|code| {
            let entry = [self.sum(key, &code).as_bytes(), &code[..]].concat();
            publish(&self.path(key), &entry, true)
        });
        if let Err(error) = kept {
            tracing::warn!(%error, folder = %self.folder.display(), "cannot keep compiled code of a policy");
        }
    }

    fn path(&self, key: Hash) -> PathBuf {
        self.folder.join(format!("{}.code", key.to_hex()))
    }

    fn sum(&self, key: Hash, code: &[u8]) -> Hash {
        Hasher::new_keyed(&self.secret).update(key.as_bytes()).update(code).finalize()
    }
}

#[expect(
    unsafe_code,
    reason = "compiled code is run as it is; its sum shows that this host wrote it"
)]
fn deserialize(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: `Cache::load` found the keyed sum of these bytes: `Cache::keep` wrote them, from a component.
    // What another version or configuration of the engine wrote is refused by wasmtime itself.
    unsafe { Component::deserialize(engine, code) }.ok()
}

/// Writes a file at once or not at all; with `replace`, instead of one that is there.
fn publish(path: &Path, bytes: &[u8], replace: bool) -> io::Result<()> {
    let mut unique = [0; 8];
    getrandom::fill(&mut unique).map_err(io::Error::other)?;
    let new = path.with_extension(format!("{:016x}", u64::from_le_bytes(unique)));
    let written = private_file(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        if replace { fs::rename(&new, path) } else { fs::hard_link(&new, path) }
    });
    match written {
        // Renamed away, or a second name of what is published.
        Ok(()) if replace => Ok(()),
        Err(error) if replace || error.kind() != io::ErrorKind::AlreadyExists => {
            let _ = fs::remove_file(&new);
            Err(error)
        }
        _ => fs::remove_file(&new),
    }
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn private(mut builder: fs::DirBuilder) -> fs::DirBuilder {
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(false);
    builder
}

#[cfg(unix)]
fn is_private(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    own && metadata.mode() & 0o077 == 0
}

/// Elsewhere folders of a user are private by what they inherit.
#[cfg(not(unix))]
fn is_private(_: &fs::Metadata) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn component(engine: &Engine) -> Component {
        // An empty component: the preamble alone.
        Component::new(engine, b"\0asm\x0d\0\x01\0").unwrap()
    }

    #[test]
    fn what_was_kept_is_loaded_and_what_was_changed_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, engine) = (folder.path().join("cache"), Engine::default());
        let cache = Cache::open(&folder).unwrap();
        let key = blake3::hash(b"key");
        assert!(cache.load(&engine, key).is_none());
        cache.keep(key, &component(&engine));
        assert!(cache.load(&engine, key).is_some());
        assert!(Cache::open(&folder).unwrap().load(&engine, key).is_some(), "by the next process");

        let path = cache.path(key);
        let kept = fs::read(&path).unwrap();
        for at in (0..SUM).chain((SUM..kept.len()).step_by(97)) {
            let mut changed = kept.clone();
            changed[at] ^= 1;
            fs::write(&path, changed).unwrap();
            assert!(cache.load(&engine, key).is_none(), "changed at {at}");
        }
        for cut in [0, SUM - 1, SUM, kept.len() - 1] {
            fs::write(&path, &kept[..cut]).unwrap();
            assert!(cache.load(&engine, key).is_none(), "cut at {cut}");
        }
        // The entry of another key, and one that another folder's secret made.
        let other = blake3::hash(b"other");
        fs::write(cache.path(other), &kept).unwrap();
        assert!(cache.load(&engine, other).is_none());
        let elsewhere = Cache::open(&folder.with_extension("2")).unwrap();
        fs::write(elsewhere.path(key), &kept).unwrap();
        assert!(elsewhere.load(&engine, key).is_none());
        cache.keep(key, &component(&engine));
        assert!(cache.load(&engine, key).is_some(), "it heals");
        let names = fs::read_dir(&folder).unwrap().count();
        assert_eq!(names, 3, "nothing is left over");
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        Cache::open(&path).unwrap();
        let open = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        open(&path, 0o750);
        assert!(matches!(Cache::open(&path), Err(CacheError::NotPrivate { .. })));
        open(&path, 0o700);
        open(&path.join(SECRET), 0o644);
        assert!(matches!(Cache::open(&path), Err(CacheError::NotPrivate { .. })));
        open(&path.join(SECRET), 0o600);
        assert!(Cache::open(&path).is_ok());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(Cache::open(&link), Err(CacheError::NotPrivate { .. })));
    }
}
