//! The words of Tidelog.
#![no_std]
extern crate alloc;

mod values;

pub use values::{FieldType, Value, ValueRef, Values, VarBytes};
