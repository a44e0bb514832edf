//! Durable bytes are written and read by what the wire uses too: the words of the model.

pub(crate) use tidelog_model::format::{Malformed, Reader, Writer};
