//! Adoption: a copied store becomes one of its own.

use super::open::{is_fresh, manifest_error};
use crate::disk::{Disk, FileDisk};
use crate::error::{EditProblem, OpenError};
use crate::manifest::{Change, Manifest, Mode};
use crate::options::Options;
use std::path::Path;
use std::sync::Arc;
use tidelog_model::StoreId;

/// Gives the store in a directory a new id, durably, and returns it.
///
/// A copy, by [`crate::Store::backup`] or by hand of a closed store, has the id of the store it was
/// copied from: it *is* that store, at an earlier time, which is what a restore wants. When both are to
/// be written to, one of them must be adopted first: two stores with one id would stamp different
/// values alike, and replicas could not tell them apart. Rows keep the origins they have.
///
/// # Errors
/// See [`OpenError`]; `Locked` when the store is open for writing.
pub fn adopt(path: impl AsRef<Path>) -> Result<StoreId, OpenError> {
    adopt_on(Arc::new(FileDisk::new(path.as_ref(), false)), &Options::new())
}

/// [`adopt`] on a disk; of the options only the source of ids is used.
///
/// # Errors
/// See [`OpenError`].
pub fn adopt_on(disk: Arc<dyn Disk>, options: &Options) -> Result<StoreId, OpenError> {
    let place = disk.place();
    let io = |source| OpenError::Io { place: place.clone(), source };
    if is_fresh(&*disk).map_err(io)? {
        return Err(OpenError::Missing { place });
    }
    let Some(_lock) = disk.lock("LOCK").map_err(io)? else {
        return Err(OpenError::Locked { place });
    };
    let (mut manifest, _) = Manifest::open(Arc::clone(&disk), Mode::ReadWrite)
        .map_err(|error| manifest_error(&place, error))?;
    let store = StoreId(options.entropy.id().map_err(io)?);
    let edit = |error| OpenError::Edit(EditProblem(error));
    manifest.append(&vec![Change::Store(store)]).map_err(edit)?;
    manifest.close().map_err(edit)?;
    Ok(store)
}
