//! The socket of a running node, in its store's directory: a request is a line of JSON, and so is each line of its answer.
//! Only the user who runs the node may connect.

use crate::error::CommandError;
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The socket of the node that serves a store.
pub(super) fn path_of(store: &Path) -> PathBuf {
    store.join("node.sock")
}

/// Asks a running node; each line of the answer goes to `each`.
pub(super) fn ask(
    store: &Path,
    request: &Value,
    mut each: impl FnMut(Value) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let failed = |source| CommandError::NotRunning { store: store.to_owned(), source };
    let mut stream = UnixStream::connect(path_of(store)).map_err(failed)?;
    stream.write_all(format!("{request}\n").as_bytes()).map_err(failed)?;
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(failed)?;
        let value: Value =
            serde_json::from_str(&line).map_err(|error| failed(io::Error::other(error)))?;
        if let Some(error) = value["error"].as_str() {
            return Err(CommandError::Usage(error.to_owned()));
        }
        each(value)?;
    }
    Ok(())
}
