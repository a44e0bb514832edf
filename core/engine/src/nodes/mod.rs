#![doc = include_str!("FORMAT.md")]

mod block;
mod cache;
mod damage;
mod encode;
mod layout;
mod numbers;
mod parts;
mod reader;
mod sums;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub(crate) use block::NodeBlock;
pub(crate) use cache::NodeCache;
pub(crate) use damage::NodeDamage;
pub(crate) use layout::{NodeSection, TreeNode};
pub(crate) use reader::NodeFile;
pub(crate) use writer::NodeWriter;

/// Decodes the parts of a node file from bytes that no checksum has vouched for.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_parts(bytes: &[u8]) {
    use tidelog_model::{FieldType, Name};
    let _ = layout::NodeSection::decode_all(bytes);
    let fields: Vec<crate::rows::FieldKey> = FieldType::ALL
        .into_iter()
        .filter_map(|kind| {
            let name = Name::new("field", kind.name()).ok()?;
            Some(crate::rows::FieldKey { name, kind })
        })
        .collect();
    let _ = layout::BlockDirectory::decode(bytes, &fields, 1 << 20);
}
