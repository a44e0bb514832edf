//! The policy of a running node, through the socket in its store's directory.

use super::super::replica::{ask_policy, policy_text};
use super::print;
use crate::commands::print_json;
use crate::error::{CommandError, Outcome};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
pub(super) struct List {
    /// The store that the node serves.
    store: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Load {
    /// The store that the node serves.
    store: PathBuf,
    /// The component, FILE.wasm, with its manifest FILE.toml beside it.
    file: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct Enable {
    /// The store that the node serves.
    store: PathBuf,
    /// complete, newest-first, metered or prefer-peer.
    policy: String,
    /// For metered: rows cross metered links in these hours of the UTC day. [default: as configured, or all day]
    #[arg(long, value_name = "22:00-06:00")]
    raw_hours: Option<String>,
    /// For prefer-peer: the peer's name.
    #[arg(long, value_name = "NAME")]
    prefer: Option<String>,
}

impl List {
    pub(super) fn run(self) -> Result<Outcome, CommandError> {
        let said = ask_policy(&self.store, None)?;
        if self.json {
            print_json(&said["policy"])?;
            return Ok(Outcome::Done);
        }
        tell(&said)?;
        print(
            "built in: complete, newest-first, metered, prefer-peer (`tidelog policy enable`)\n",
        )?;
        print(
            "a component in a file: `tidelog policy load`, where the node was built with the feature wasm\n",
        )?;
        Ok(Outcome::Done)
    }
}

impl Load {
    pub(super) fn run(self) -> Result<Outcome, CommandError> {
        let failed = |source| CommandError::File { path: self.file.clone(), source };
        let file = std::fs::canonicalize(&self.file).map_err(failed)?;
        let Some(file) = file.to_str().filter(|file| file.ends_with(".wasm")) else {
            let file = file.display();
            return Err(CommandError::Usage(format!("{file}: name a file that ends with .wasm")));
        };
        set(&self.store, &json!({ "use": file }))
    }
}

impl Enable {
    pub(super) fn run(self) -> Result<Outcome, CommandError> {
        let mut section = json!({ "use": self.policy });
        for (name, given) in [("raw_hours", self.raw_hours), ("prefer", self.prefer)] {
            if let Some(given) = given {
                section[name] = given.into();
            }
        }
        set(&self.store, &section)
    }
}

fn set(store: &Path, section: &Value) -> Result<Outcome, CommandError> {
    tell(&ask_policy(store, Some(section.clone()))?)?;
    print(
        "until the node is started again; to keep it, write it under [policy] of its configuration\n",
    )?;
    Ok(Outcome::Done)
}

fn tell(said: &Value) -> Result<(), CommandError> {
    match &said["policy"] {
        Value::Null => print("no policy: everything is repaired at once\n"),
        policy => print(&policy_text(policy)),
    }
}
