//! Commands that write, done by the node that serves the store: it alone may write there.
//!
//! The arguments go to the node as they were typed, with the folder they were typed in, and the node does the command with
//! its own store. It reads files itself, so stdin is refused.

use super::socket;
use crate::arguments::Arguments;
use crate::commands::{Command, print};
use crate::error::{CommandError, Outcome, say};
use clap::Parser;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tidelog::Store;

/// Has the node that serves a store do the command of this process; `None` when no node serves it.
pub(in crate::commands) fn by_node(store: &Path) -> Option<Result<Outcome, CommandError>> {
    if !socket::path_of(store).exists() {
        return None;
    }
    let arguments: Vec<String> =
        std::env::args_os().map(|one| one.to_string_lossy().into_owned()).collect();
    let folder = std::env::current_dir().unwrap_or_default();
    let request = json!({ "ask": "write", "arguments": arguments, "folder": folder });
    let mut outcome = Outcome::Done;
    let asked = socket::ask(store, &request, |done| {
        let text = done["text"].as_str().unwrap_or_default();
        if let Some(code) = done["exit_code"].as_u64() {
            let code = u8::try_from(code).unwrap_or(u8::MAX);
            return Err(CommandError::ByNode { text: text.to_owned(), code });
        }
        done["said"].as_array().into_iter().flatten().filter_map(Value::as_str).for_each(say);
        if done["found"] == true {
            outcome = Outcome::Found;
        }
        print(text)
    });
    match asked {
        // A socket that is left over: whoever holds the store is no node.
        Err(CommandError::NotRunning { .. }) => None,
        other => Some(other.map(|()| outcome)),
    }
}

/// Does a command that was handed over, and says what came of it.
pub(super) fn write(store: &Store, request: &Value) -> Value {
    match try_write(store, request) {
        Ok(done) => {
            let found = done.outcome == Outcome::Found;
            json!({ "text": done.text, "said": done.said, "found": found })
        }
        Err(error) => json!({ "text": error.text(), "exit_code": error.exit_code() }),
    }
}

fn try_write(store: &Store, request: &Value) -> Result<Written, CommandError> {
    let typed = request["arguments"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let arguments = Arguments::try_parse_from(typed)
        .map_err(|error| CommandError::Usage(format!("the node cannot read the call: {error}")))?;
    let folder = PathBuf::from(request["folder"].as_str().unwrap_or_default());
    match arguments.command {
        Command::Import(command) => command.run_served(store, &folder),
        Command::Delete(command) => command.run_served(store),
        _ => Err(CommandError::Usage("a node does import and delete, and no other".to_owned())),
    }
}

/// What a command that a node did has to tell.
pub(in crate::commands) struct Written {
    pub(in crate::commands) outcome: Outcome,
    /// For stdout.
    pub(in crate::commands) text: String,
    /// Lines for stderr.
    pub(in crate::commands) said: Vec<String>,
}
