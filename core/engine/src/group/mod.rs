#![doc = include_str!("FORMAT.md")]

mod bounds;
mod cache;
mod container;
mod index;
mod layout;
mod reader;
mod table;
mod verify;
mod writer;

pub(crate) use bounds::Bounds;
pub(crate) use cache::{Cache, Cached, IndexCache};
pub(crate) use container::{Container, ContainerWriter, Extent, narrow};
pub(crate) use index::SeriesIndex;
pub(crate) use layout::{
    HEADER_LEN, Header, Summary, directory, file_path, parse_file_name, read_collection,
    read_range, temporary_path, write_collection,
};
pub use reader::ReadError;
pub(crate) use reader::{GroupFile, PageAt, SeriesRef};
pub(crate) use verify::{Cancelled, Flaw, Verified, plain};
pub(crate) use writer::{GroupWriter, Levelling, Written};

/// Decodes the parts of a group file from bytes that no checksum has vouched for.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_parts(bytes: &[u8]) {
    use tidelog_model::{FieldType, Name, StoreId};
    let _ = layout::Directory::decode(bytes);
    let fields: Vec<crate::rows::FieldKey> = FieldType::ALL
        .into_iter()
        .filter_map(|kind| {
            let name = Name::new("field", kind.name()).ok()?;
            Some(crate::rows::FieldKey { name, kind })
        })
        .collect();
    let _ = SeriesIndex::decode(bytes, &fields, &[StoreId([1; 16])], 1 << 20);
}
