//! `tidelog delete`: hides rows at once; compaction frees their space.

use super::print;
#[cfg(feature = "replication")]
use super::replica::Written;
use crate::arguments::{Devices, Opener, Range, schema};
use crate::error::{CommandError, Outcome};
use clap::Args;
use std::path::PathBuf;
use tidelog::{CollectionName, Delete, QueryError, Store};

const DONE: &str = "deleted; `tidelog compact` frees the space\n";

/// Delete rows, or named fields of rows, of a collection or a whole database.
#[derive(Args, Debug)]
pub(crate) struct DeleteArguments {
    /// The store's directory.
    pub(super) store: PathBuf,
    /// The collection, as database.collection; a database alone means all its collections.
    #[arg(value_name = "DB[.COLLECTION]")]
    target: String,
    #[command(flatten)]
    devices: Devices,
    /// Delete this field only; the rows stay, without it.
    #[arg(long = "field", value_name = "F")]
    fields: Vec<String>,
    #[command(flatten)]
    range: Range,
    /// Delete everything there. Needed when nothing else narrows the delete.
    #[arg(long)]
    all: bool,
}

impl DeleteArguments {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        self.check()?;
        let store = opener.write(&self.store, false)?;
        self.delete_from(&store)?;
        store.close()?;
        print(DONE)?;
        Ok(Outcome::Done)
    }

    /// The same for a store that this process serves.
    #[cfg(feature = "replication")]
    pub(super) fn run_served(&self, store: &Store) -> Result<Written, CommandError> {
        self.check()?;
        self.delete_from(store)?;
        Ok(Written { outcome: Outcome::Done, text: DONE.to_owned(), said: Vec::new() })
    }

    fn check(&self) -> Result<(), CommandError> {
        let narrows =
            !self.devices.selector().is_all() || !self.fields.is_empty() || !self.range.is_open();
        if narrows == self.all {
            let target = &self.target;
            return Err(CommandError::Usage(if narrows {
                format!("--all deletes everything in {target}: leave it out to delete a part")
            } else {
                format!("this deletes everything in {target}: say so with --all, or narrow it")
            }));
        }
        Ok(())
    }

    fn delete_from(&self, store: &Store) -> Result<(), CommandError> {
        let range = self.range.time_range()?;
        let mut delete = self.whole(store)?.devices(self.devices.selector()).range(range);
        if !self.fields.is_empty() {
            delete = delete.fields(self.fields.iter().map(String::as_str))?;
        }
        store.delete(&delete)?;
        Ok(())
    }

    /// All of the target, which must exist: a mistyped name must not look like a success.
    fn whole(&self, store: &Store) -> Result<Delete, CommandError> {
        if self.target.contains('.') {
            let name = CollectionName::parse(&self.target)?;
            let fields = schema(store, &name)?
                .ok_or_else(|| QueryError::NoCollection { name: name.clone() })?;
            if let Some(unknown) =
                self.fields.iter().find(|field| !fields.iter().any(|known| known.name == **field))
            {
                let known: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
                return Err(CommandError::Usage(format!(
                    "{name} has no field {unknown:?}; it has: {}",
                    known.join(", ")
                )));
            }
            return Ok(Delete::collection(&name));
        }
        let known = store.collections()?;
        if !known.iter().any(|stats| stats.name.database().as_str() == self.target) {
            return Err(CommandError::Usage(format!(
                "there is no database {}: `tidelog info` lists the collections there are",
                self.target
            )));
        }
        Ok(Delete::database(&self.target)?)
    }
}
