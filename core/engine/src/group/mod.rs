#![doc = include_str!("FORMAT.md")]

mod bounds;
mod cache;
mod index;
mod layout;
mod reader;
mod verify;
mod writer;

pub(crate) use bounds::Bounds;
pub(crate) use cache::IndexCache;
pub(crate) use index::SeriesIndex;
pub(crate) use layout::{directory, file_path, parse_file_name, temporary_path};
pub use reader::ReadError;
pub(crate) use reader::{GroupFile, PageAt, SeriesRef};
pub(crate) use verify::{Flaw, Verified, plain};
pub(crate) use writer::{GroupWriter, Levelling, Written};
