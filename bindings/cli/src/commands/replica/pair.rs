//! `tidelog pair`: what a peer has to know of this store, and what this store is told of a peer.

use super::super::print;
use crate::error::{CommandError, Outcome, say};
use clap::Args;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use tidelog::replication::identity::{Fingerprint, Identity};
use tidelog::replication::topology::FileTopology;

/// Print the fingerprint of a node, or tell it of a peer: adds a [[peer]] to its configuration.
///
/// On each of two machines: `tidelog pair --config node.toml` prints what the other one is to be given as
/// `tidelog pair --config node.toml --name b --address b.example:7447 --fingerprint tl1-…`. A running node reads the file again.
#[derive(Args, Debug)]
pub(crate) struct Pair {
    /// The node's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The peer's name here.
    #[arg(long, requires = "address", requires = "fingerprint")]
    name: Option<String>,
    /// Where it listens.
    #[arg(long, value_name = "HOST:PORT", requires = "name")]
    address: Option<String>,
    /// Its fingerprint, as its own `tidelog pair` prints it.
    #[arg(long, value_name = "TL1", requires = "name")]
    fingerprint: Option<Fingerprint>,
}

impl Pair {
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        let topology = FileTopology::load(&self.config)?;
        let (Some(name), Some(address), Some(fingerprint)) =
            (&self.name, &self.address, &self.fingerprint)
        else {
            let folder = topology.config().node.identity.clone();
            let identity = Identity::load(&folder)?;
            let text = format!(
                "store        {}\nfingerprint  {}\n",
                identity.store(),
                identity.fingerprint()
            );
            print(&text)?;
            return Ok(Outcome::Done);
        };
        let failed = |source| CommandError::File { path: self.config.clone(), source };
        let mut text = fs::read_to_string(&self.config).map_err(failed)?;
        if !text.ends_with('\n') {
            text.push('\n');
        }
        // Quoted as JSON strings are, which TOML reads alike.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let _ = write!(
            text,
            "\n[[peer]]\nname = {}\naddress = {}\nfingerprint = {}\n",
            quoted(name),
            quoted(address),
            quoted(&fingerprint.to_string())
        );
        replace(&self.config, &text)?;
        say(&format!("{name} is a peer from now on; give it the fingerprint of this node, too"));
        Ok(Outcome::Done)
    }
}

/// Checks the new text before it takes the place of the old one, whole or not at all.
fn replace(path: &Path, text: &str) -> Result<(), CommandError> {
    let beside = path.with_extension("toml.new");
    let failed = |source| CommandError::File { path: beside.clone(), source };
    fs::write(&beside, text).map_err(failed)?;
    if let Err(error) = FileTopology::load(&beside) {
        let _ = fs::remove_file(&beside);
        return Err(error.into());
    }
    fs::rename(&beside, path).map_err(failed)
}
