//! `tidelog forget`: lets go of a replica that will not come back.

use super::super::{print, print_json};
use super::socket;
use crate::arguments::Opener;
use crate::error::{CommandError, Outcome};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use tidelog::replication::topology::FileTopology;

/// Forget a replica that will not come back: keep no log for it any more, follow it no more, and refuse it from then on.
///
/// Take its [[peer]] out of the configuration first, and do both on every node. Its rows that are here stay. A machine comes back with
/// an empty store and a new key; rows that the old store had not sent return only as new writes, by `export` and `import`.
#[derive(Args, Debug)]
pub(crate) struct Forget {
    /// The directory of this node's store.
    store: PathBuf,
    /// The replica: its name, if this node was linked with it since it started, or its store id.
    node: String,
    /// The node's configuration, to do it though the node does not run.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Forget {
    pub(crate) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let request = json!({ "ask": "forget", "node": self.node });
        let asked = socket::ask(&self.store, &request, |done| {
            self.tell(done["forgotten"].as_str().unwrap_or_default())
        });
        let (Err(CommandError::NotRunning { .. }), Some(config)) = (&asked, &self.config) else {
            return asked.map(|()| Outcome::Done);
        };
        let topology = FileTopology::load(config)?;
        let store = opener.write(&self.store, false)?;
        let forgotten = tidelog::replication::forget(&store, &topology, &self.node);
        store.close()?;
        let forgotten = forgotten.map_err(|error| CommandError::Usage(error.to_string()))?;
        self.tell(&forgotten.to_string())?;
        Ok(Outcome::Done)
    }

    fn tell(&self, store: &str) -> Result<(), CommandError> {
        if self.json {
            return print_json(&json!({ "forgotten": store }));
        }
        print(&format!("store {store} is forgotten\n"))
    }
}
