//! `tidelog export`: all rows of a collection, by device and time.

use super::say_made_of;
use crate::arguments::{Opener, Target};
use crate::error::{CommandError, Outcome, say};
use crate::print::{Format, Header, printer};
use clap::{Args, ValueEnum};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tidelog::{Answer, Query};

/// Write all rows of a collection, by device and time. `tidelog import` takes the CSV back.
#[derive(Args, Debug)]
pub(crate) struct Export {
    #[command(flatten)]
    target: Target,
    /// CSV, or an Arrow IPC stream.
    #[arg(long, default_value = "csv")]
    format: ExportFormat,
    /// The file to write; it appears when it is complete. Stdout when there is none, or for `-`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum ExportFormat {
    Csv,
    Arrow,
}

impl Export {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let store = opener.read(&self.target.store)?;
        let answer = store.query(&self.target.collection, Query::new())?;
        let format = match self.format {
            ExportFormat::Csv => Format::Csv,
            ExportFormat::Arrow => Format::Arrow,
        };
        match self.out.as_deref().filter(|out| *out != Path::new("-")) {
            None => write_rows(answer, format, io::stdout().lock(), CommandError::Output)?,
            Some(path) => {
                let rows = write_file(answer, format, path)?;
                say(&format!("{} to {}", super::counted(rows, "row"), path.display()));
                rows
            }
        };
        Ok(Outcome::Done)
    }
}

/// Writes beside the file and renames, so that a file of this name is always whole.
fn write_file(answer: Answer, format: Format, path: &Path) -> Result<u64, CommandError> {
    let failed = |source| CommandError::File { path: path.to_owned(), source };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        // Of a new file as others make it: the umask narrows this.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.prefix(".tidelog-export-").tempfile_in(directory).map_err(failed)?;
    let rows = write_rows(answer, format, file.as_file_mut(), failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(rows)
}

fn write_rows(
    mut answer: Answer,
    format: Format,
    out: impl Write,
    failed: impl Fn(io::Error) -> CommandError,
) -> Result<u64, CommandError> {
    let header = Header::new(true, answer.fields());
    let mut printer = printer(format, header, out).map_err(&failed)?;
    for rows in answer.by_ref() {
        printer.print(&rows?).map_err(&failed)?;
    }
    say_made_of(&answer.explain(), false);
    printer.finish(None).map_err(&failed)
}
