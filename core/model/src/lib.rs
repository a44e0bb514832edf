//! The words of Tidelog: time, values, devices, batches, stamps and the merge rule.
//!
//! `no_std` and no I/O: nothing here reads a file, a clock or a random number.
//!
//! | word | meaning |
//! |---|---|
//! | collection | `database.collection`: devices that share a schema, which grows by writing |
//! | device | a source: a name plus optional labels. One device is one *series* of rows |
//! | row | a device, a time in nanoseconds, and a value per field; a field may be absent |
//! | cell | one field of one row: the unit of merging. A row's existence is a cell too |
//! | batch | rows of one collection in columns, written under one stamp, visible whole or not at all |
//! | sub-batch | the rows of a batch that belong to one group; [`BatchV1`] is its bytes |
//! | group | `hash(database, collection, device) mod groups`: the unit of placement and files |
//! | stamp | a hybrid logical clock reading: when a write *happened*; its *origin* is a store |
//! | leaf | one series in one leaf window (1 h UTC unless the collection chose 30 or 15 min) |
//! | digest | a BLAKE3 hash of visible rows or of digests below it: equal digests, equal rows |
//! | level | of the pyramid: root, year, month, day, leaf window, outer and inner bucket, series |
//! | settled | a window whose raw rows are cut: its rollup is the data then |
//! | tombstone | a delete: it hides the cells it covers that are not newer than itself |

#![no_std]
extern crate alloc;

mod batch;
mod batch_v1;
mod bitmap;
pub mod calendar;
mod column;
pub mod device;
pub mod digest;
pub mod format;
mod horizon;
mod level;
pub mod merge;
mod name;
mod placement;
pub mod policy;
mod stamp;
mod time;
mod tombstone;
mod values;

pub use batch::{
    BATCH_BYTES_MAX, Batch, BatchError, Cutter, DeviceIndex, FIELDS_MAX, FieldIndex, Mark, Row,
    Rows, VALUE_BYTES_MAX,
};
pub use batch_v1::{
    ArchivedBatchV1, BatchV1, CONSTANT, EncodedV1, FieldV1, PLAIN, SubBatch, SubBatchError,
    SubBatchField,
};
pub use bitmap::Bitmap;
pub use column::Column;
pub use device::{DEVICE_BYTES_MAX, Device, DeviceSelector};
pub use digest::Digest;
pub use horizon::Horizon;
pub use level::Level;
pub use name::{CollectionName, NAME_BYTES_MAX, Name, NameError};
pub use placement::{GroupEpoch, GroupId, PLACEMENT_CONTEXT, PlacementHash, Placer};
pub use stamp::{Incarnation, Position, Stamp, StampClock, StoreId, Version};
pub use time::{LeafWidth, MINUTE_NS, TimeRange, Timestamp};
pub use tombstone::Tombstone;
pub use values::{FieldType, Value, ValueRef, Values, VarBytes};
