//! Snapshots, given and received: the protocol's words to the engine's and back.

use super::{Bridge, failed};
use tidelog_engine::{Kind, SnapshotError, SnapshotFile};
use tidelog_model::{CollectionName, Digest, GroupId, StoreId};
use tidelog_protocol::snapshot::{FileOffer, PieceSum};
use tidelog_protocol::{Answer, Failure, FailureKind};

impl Bridge {
    /// The files that a peer lacks. It may be given those in whose databases it may see everything.
    pub(super) fn offer(&self, peer: StoreId, held: &[(GroupId, u64)], bytes_min: u64) -> Answer {
        let allowed = |group: GroupId, database: &str| self.access.allows(Some(group), database);
        let offer = self.store.offer_snapshot(peer, held, bytes_min, &allowed);
        answered(offer.map(|files| {
            let file = |file: SnapshotFile| FileOffer {
                group: file.group,
                len: file.len,
                digest: file.digest,
            };
            Answer::Offered(files.into_iter().map(file).collect())
        }))
    }

    pub(super) fn piece_sums(&self, peer: StoreId, file: Digest, from: u64, count: u64) -> Answer {
        let sums = self.store.snapshot_sums(peer, file, from, count);
        answered(sums.map(|sums| Answer::PieceSums { file, from, sums }))
    }

    pub(super) fn piece(&self, peer: StoreId, file: Digest, piece: u64) -> Answer {
        let bytes = self.store.snapshot_piece(peer, file, piece);
        answered(bytes.map(|bytes| Answer::Piece { file, piece, bytes }))
    }

    /// What is not here of an offer. What was received of other files goes.
    pub(super) fn choose(&self, files: &[FileOffer]) -> Answer {
        let lacking = files.iter().map(|file| file.digest);
        let lacking: Vec<Digest> =
            lacking.filter(|digest| !self.store.is_installed(*digest)).collect();
        self.partials.lock().clear();
        answered(self.store.keep_partials(&lacking).map(|()| Answer::Lacking(lacking)))
    }

    pub(super) fn open_file(&self, file: FileOffer, sums: Vec<PieceSum>) -> Answer {
        let digest = file.digest;
        self.partials.lock().remove(&digest);
        answered(self.store.partial(file_of(&file), sums).map(|partial| {
            let pieces = partial.done();
            self.partials.lock().insert(digest, partial);
            Answer::PartialOpened { pieces }
        }))
    }

    pub(super) fn take_piece(&self, file: Digest, piece: u64, bytes: &[u8]) -> Answer {
        // Not held while the disk works.
        let Some(mut partial) = self.partials.lock().remove(&file) else { return not_open() };
        answered(partial.add(piece, bytes).map(|()| {
            self.partials.lock().insert(file, partial);
            Answer::PieceTaken
        }))
    }

    pub(super) fn finish_file(&self, file: Digest) -> Answer {
        let Some(partial) = self.partials.lock().remove(&file) else { return not_open() };
        answered(partial.finish().map(|()| Answer::PartialDone))
    }

    pub(super) fn install(&self, group: GroupId, files: &[FileOffer]) -> Answer {
        let files: Vec<SnapshotFile> = files.iter().map(file_of).collect();
        let allowed = |name: &CollectionName| self.access.allows(Some(group), name.database());
        let installed = self.store.install(group, &files, &allowed);
        answered(installed.map(|done| Answer::Installed { files: done.files, rows: done.rows }))
    }
}

fn file_of(file: &FileOffer) -> SnapshotFile {
    SnapshotFile { group: file.group, len: file.len, digest: file.digest }
}

/// After a change of rights, say, which gives a peer another bridge.
fn not_open() -> Answer {
    failed(
        FailureKind::Later,
        "the file of the snapshot is not open any more: it is taken up again",
    )
}

fn answered(outcome: Result<Answer, SnapshotError>) -> Answer {
    let error = match outcome {
        Ok(answer) => return answer,
        Err(SnapshotError::Gone) => return Answer::SnapshotGone,
        Err(error) => error,
    };
    let kind = match &error {
        SnapshotError::Refused(error) => super::failure(error).kind,
        error if error.kind() == Kind::Reopen => FailureKind::Store,
        _ => FailureKind::Later,
    };
    // The peer is told as well: what a disk said is for this side.
    Answer::Failed(Failure { kind, text: error.to_string() })
}
