//! Every decoder over any bytes, for the fuzz targets in `tests/fuzz`: nothing here may panic, hang or take
//! memory out of proportion. Built with the feature `fuzzing` only; no part of the API.

use crate::codec::{ChunkDecoder, Page, Scratch};
use crate::disk::{Disk, DiskFile, OpenMode, Sealed};
use crate::group::{self, Container, GroupFile};
use crate::ids::Tier;
use crate::log::{FILE_HEADER_LEN, FileHeader, LogKind, Piece, scan};
use crate::manifest;
use crate::nodes::{self, NodeFile};
use crate::rollup::{Parcel, Rollup, Wants, window_of};
use crate::rows::FieldKey;
use crate::wal::{self, RowsPayload};
use rkyv::util::AlignedVec;
use std::io;
use std::sync::Arc;
use tidelog_model::digest::TreeHasher;
use tidelog_model::{Column, FieldType, LeafWidth, Name, Stamp, SubBatch, ValueRef, Values};

/// A log file: its header, its frames, their payloads; and the bytes as a payload.
pub fn wal_frame(bytes: &[u8]) {
    if let Ok(header) = FileHeader::decode(LogKind::Wal, bytes) {
        let body = bytes.get(FILE_HEADER_LEN..).unwrap_or_default();
        let base = header.base.saturating_add(FILE_HEADER_LEN as u64);
        for piece in scan(body, base, header.seed()) {
            if let Piece::Frame(info) = piece {
                let end = usize::try_from(info.end() - base).unwrap_or(usize::MAX);
                let payload = body.get(end - info.payload_len..end).unwrap_or_default();
                rows(payload);
            }
        }
    }
    let _ = scan(bytes, 0, 0);
    rows(bytes);
    let _ = wal::read_tombstone_payload(bytes);
}

fn rows(payload: &[u8]) {
    let aligned = aligned(payload);
    for sub in RowsPayload::read(&aligned).unwrap_or_default() {
        read_all_of(&sub);
    }
}

/// A `BatchV1` archive: whatever passes is read whole.
pub fn batch_v1(bytes: &[u8]) {
    if let Ok(sub) = SubBatch::read(&aligned(bytes)) {
        read_all_of(&sub);
    }
}

fn read_all_of(sub: &SubBatch<'_>) {
    let rows: usize = sub.devices().map(|(_, rows)| rows).sum();
    let mut times = Vec::new();
    sub.times_into(&mut times);
    assert_eq!((rows, times.len()), (sub.rows(), sub.rows()), "a batch that passed its check");
    for field in sub.fields() {
        let mut values = Values::new(field.field_type());
        field.values_into(&mut values);
        assert_eq!(values.len(), field.count(), "a field that passed its check");
    }
    let _ = (sub.collection(), sub.leaf(), sub.group(), sub.version());
}

/// A generation of the manifest, an edit, a tombstone.
pub fn manifest(bytes: &[u8]) {
    manifest::fuzz(bytes);
}

/// A group file, verified whole; its parts without their checksums; and a chunk of every codec.
pub fn group_file(bytes: &[u8]) {
    let disk = OneFile(Arc::from(bytes));
    if let Ok(file) = GroupFile::open(&disk, "file") {
        let _ = file.verify(&mut |_| true);
    }
    group::fuzz_parts(bytes);
    let Some(([total, split, kind], rest)) = bytes.split_first_chunk::<3>() else { return };
    let (meta, page) = rest.split_at(usize::from(*split).min(rest.len()));
    let Some(kind) = FieldType::from_number(kind % 8) else { return };
    let total = usize::from(*total);
    if let Ok(decoder) = ChunkDecoder::parse(meta, kind, total) {
        let page = Page { first: 0, count: total, bytes: page };
        let mut values = Values::new(kind);
        let _ = decoder.decode_page(page, &mut values, &mut Scratch::default());
    }
}

/// A node file, verified whole, with its checksums and without them; and its parts.
pub fn node_file(bytes: &[u8]) {
    let disk = OneFile(Arc::from(bytes));
    let open = || Container::open(&disk, "file");
    let trusted = open().and_then(NodeFile::of);
    for file in [trusted, open().and_then(NodeFile::trusting)].into_iter().flatten() {
        let _ = Arc::new(file).verify(&mut |_| true);
    }
    nodes::fuzz_parts(bytes);
}

/// A node that travels: what passes can be sent on.
pub fn parcel(bytes: &[u8]) {
    let mut hasher = TreeHasher::new();
    if let Ok(parcel) = Parcel::decode(bytes, &mut hasher) {
        let sent = parcel.encode(&mut hasher);
        let read = Parcel::decode(&sent, &mut hasher).expect("a parcel that passed its check");
        assert_eq!(read.encode(&mut hasher), sent, "a parcel that passed its check");
    }
}

/// A parcel to begin with.
#[must_use]
pub fn parcel_seed() -> Vec<u8> {
    let field =
        FieldKey { name: Name::new("field", "level").expect("a name"), kind: FieldType::F64 };
    let mut column = Column::new(FieldType::F64);
    column.push(ValueRef::F64(1.5));
    let rollup = Rollup::of_block(&[5], &column, 0..1, Wants::ALL);
    let parcel = Parcel {
        tier: Tier::Day,
        leaf: LeafWidth::Hour,
        window: window_of(Tier::Day, 5, LeafWidth::Hour),
        device: "pump,site=a".into(),
        cleaned: Stamp(9),
        rows: 2,
        fields: vec![field],
        rollups: vec![rollup],
    };
    parcel.encode(&mut TreeHasher::new())
}

fn aligned(bytes: &[u8]) -> AlignedVec {
    let mut aligned = AlignedVec::with_capacity(bytes.len());
    aligned.extend_from_slice(bytes);
    aligned
}

/// A disk with one file, for reading.
#[derive(Clone, Debug)]
struct OneFile(Arc<[u8]>);

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Disk for OneFile {
    fn place(&self) -> String {
        "one file".into()
    }

    fn create_dir(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn open(&self, _: &str, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if mode == OpenMode::Read { Ok(Arc::new(self.clone())) } else { refused() }
    }

    fn open_sealed(&self, _: &str) -> io::Result<Sealed> {
        Ok(Sealed::file(Arc::new(self.clone()), self.0.len() as u64))
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn list(&self, _: &str) -> io::Result<Vec<String>> {
        Ok(vec!["file".into()])
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        refused()
    }

    fn lock(&self, _: &str) -> io::Result<Option<Box<dyn Send + Sync>>> {
        refused()
    }
}

impl DiskFile for OneFile {
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        refused()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let len = bytes.len().min(self.0.len() - start);
        bytes[..len].copy_from_slice(&self.0[start..start + len]);
        Ok(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        refused()
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }
}
