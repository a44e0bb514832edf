//! What can be had from damaged generations, for offline recovery.

use super::change;
use super::error::{Damage, ManifestError, Report};
use super::file::{Manifest, generations};
use super::generation::{self, EDIT, SNAPSHOT};
use super::state::State;
use crate::disk::{Disk, read_all};
use crate::ids::FileId;
use crate::log::{FILE_HEADER_LEN, FileHeader, LogKind, Piece, scan};
use tidelog_model::StoreId;

impl Manifest {
    /// Every good frame of every generation, in order, whatever is missing between them. A state found so
    /// may break rules and name files that are gone; `groups` is 0 when no snapshot was good. `None` when no
    /// frame was good.
    ///
    /// # Errors
    /// When the directory cannot be listed. A file that cannot be read is reported as damage.
    pub(crate) fn salvage(disk: &dyn Disk) -> Result<(Option<State>, Report), ManifestError> {
        let mut report = Report::default();
        let mut state = None;
        for ordinal in generations(disk)? {
            report.generation = ordinal;
            let file = generation::name(ordinal);
            match read_all(disk, &file) {
                Ok(bytes) => {
                    let found = salvage_generation(ordinal, &bytes, &mut state);
                    report.damage.extend(found.into_iter().map(|what| {
                        let file = file.clone();
                        Damage { file, what }
                    }));
                }
                Err(error) => report.damage.push(Damage { file, what: error.to_string() }),
            }
        }
        if let Some(state) = &mut state {
            let used = state.files.keys().next_back().map_or(0, |id| id.0.saturating_add(1));
            state.next_file = state.next_file.max(FileId(used));
        }
        Ok((state, report))
    }
}

/// Takes one generation in; says what is bad in it.
fn salvage_generation(ordinal: u32, bytes: &[u8], state: &mut Option<State>) -> Vec<String> {
    let mut damage = Vec::new();
    let header = match FileHeader::decode(LogKind::Manifest, bytes) {
        Ok(header) => header,
        Err(_) => {
            damage.push("its header is bad".to_owned());
            generation::header(ordinal, likely_store(bytes, state.as_ref()))
        }
    };
    let frames = bytes.get(FILE_HEADER_LEN..).unwrap_or(&[]);
    for piece in scan(frames, FILE_HEADER_LEN as u64, header.seed()) {
        match piece {
            Piece::Bad { from, to } => damage.push(format!("bytes {from} to {to} are bad")),
            Piece::Frame(info) if matches!(info.kind, SNAPSHOT | EDIT) => {
                match change::decode(generation::payload(bytes, &info)) {
                    Ok(edit) => take(state, header.store, info.kind, info.sequence, &edit),
                    Err(error) => {
                        damage.push(format!("the frame at byte {}: {error}", info.offset))
                    }
                }
            }
            Piece::Frame(_) => {}
        }
    }
    damage
}

/// Frames tell whether it was right: their checksums cover the header's.
fn likely_store(bytes: &[u8], state: Option<&State>) -> StoreId {
    let written = bytes.get(24..40).and_then(|id| id.first_chunk());
    state.map(|state| state.store).or(written.map(|id| StoreId(*id))).unwrap_or_default()
}

fn take(state: &mut Option<State>, store: StoreId, kind: u8, number: u64, edit: &[change::Change]) {
    let known = state.as_ref().map(|state| state.number);
    let mut next = match kind {
        // It has all that came before it.
        SNAPSHOT if known.is_none_or(|known| number >= known) => State::nothing(),
        EDIT if known.is_none_or(|known| number > known) => {
            state.take().unwrap_or_else(|| State { store, ..State::nothing() })
        }
        _ => return,
    };
    for change in edit {
        // What does not fit any more (a file to remove that is not there) has no effect.
        let _ = next.change(change);
    }
    next.number = number;
    *state = Some(next);
}
