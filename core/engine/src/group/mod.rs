#![doc = include_str!("FORMAT.md")]

mod bounds;
mod cache;
mod index;
mod layout;
mod reader;
mod writer;

pub(crate) use bounds::Bounds;
pub(crate) use cache::IndexCache;
pub(crate) use index::SeriesIndex;
pub(crate) use layout::{Summary, directory, file_path, parse_file_name, temporary_path};
pub(crate) use reader::{GroupFile, PageAt, ReadError, SeriesRef};
pub(crate) use writer::{GroupWriter, Levelling, Written};
