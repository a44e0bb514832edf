//! `tidelog adopt`: makes a copy a store of its own.

use super::print;
use crate::error::{CommandError, Outcome};
use clap::Args;
use std::path::PathBuf;

/// Give a copied store an id of its own, so that it can be written to beside the original.
#[derive(Args, Debug)]
pub(crate) struct Adopt {
    /// The copy's directory.
    store: PathBuf,
}

impl Adopt {
    pub(super) fn run(self) -> Result<Outcome, CommandError> {
        let id = tidelog::adopt(&self.store)?;
        print(&format!("its store id is {} now\n", super::hex(id)))?;
        Ok(Outcome::Done)
    }
}
