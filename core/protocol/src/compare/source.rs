//! What a comparison asks of a store. Whoever drives the protocol answers it from the engine, at one moment.

use super::item::{Print, Scope};
use super::nodes::{Lent, Place, SettledClaim};
use alloc::string::String;
use alloc::vec::Vec;
use tidelog_model::digest::Bucket;
use tidelog_model::policy::Side;
use tidelog_model::{CollectionName, Digest, GroupId, LeafWidth, Level, TimeRange};

/// A collection in a group, as its store sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CollectionRoot {
    /// Its name.
    pub name: CollectionName,
    /// Its leaf width.
    pub leaf: LeafWidth,
    /// Rows before this are cut off.
    pub cut: i64,
    /// Its content root; `None` when there is nothing.
    pub root: Option<Digest>,
}

/// Rows packed to be sent, and whether all that was asked for are among them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Packed {
    /// Sub-batches, each the bytes of a `BatchV1` archive.
    pub archives: Vec<Vec<u8>>,
    /// How many rows.
    pub rows: u64,
    /// Where to go on; none: all is packed.
    pub more: Option<More>,
}

/// Where rows are that were not packed yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct More {
    /// From this time on ...
    pub from: i64,
    /// ... and behind this row, by device, then time.
    pub behind: Option<(String, i64)>,
}

/// Which rows to pack.
#[derive(Clone, Copy, Debug)]
pub enum Pack<'a> {
    /// All of a range, of one device or of all, device by device.
    Range {
        /// One device only.
        device: Option<&'a str>,
        /// The range.
        range: TimeRange,
        /// Go on behind this row, by device, then time.
        after: Option<(&'a str, i64)>,
    },
    /// Those of a device at these times, ascending.
    Times {
        /// The device.
        device: &'a str,
        /// The times.
        times: &'a [i64],
    },
}

/// A store up to a horizon, at one moment. Nothing here blocks for long but reading files; errors end the comparison.
pub trait Source {
    /// Why the store could not answer.
    type Error;

    /// The collections of a group, ascending by name; those without content too.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn collections(&mut self, group: GroupId) -> Result<Vec<CollectionRoot>, Self::Error>;

    /// The leaf width of a collection.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn leaf(&mut self, scope: &Scope) -> Result<LeafWidth, Self::Error>;

    /// The windows of a level that lie in a range and hold anything, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn windows(
        &mut self,
        scope: &Scope,
        level: Level,
        range: TimeRange,
    ) -> Result<Vec<(TimeRange, Digest)>, Self::Error>;

    /// The series of a leaf window, by device.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn series(
        &mut self,
        scope: &Scope,
        window: i64,
    ) -> Result<Vec<(String, Bucket, Digest)>, Self::Error>;

    /// The rows of a device in a range as prints of eight bytes, in order of time.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn prints(
        &mut self,
        scope: &Scope,
        device: &str,
        range: TimeRange,
    ) -> Result<Vec<(Print, u64)>, Self::Error>;

    /// Rows to be sent, about `bytes_max` bytes of them and one row at least. They are packed together, so that writes
    /// with one version take one archive; what does not fit of the last one that was begun is told, and how many were
    /// begun.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn pack(
        &mut self,
        scope: &Scope,
        what: &[Pack<'_>],
        bytes_max: usize,
    ) -> Result<(Packed, usize), Self::Error>;

    /// About what there is of devices in a range; of all when none is named.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn weigh(
        &mut self,
        scope: &Scope,
        range: TimeRange,
        devices: &[&str],
    ) -> Result<Side, Self::Error>;

    /// What is settled behind a place, in order of places, so many at most; is there more?
    ///
    /// # Errors
    /// When the store cannot be read.
    fn settled(
        &mut self,
        scope: &Scope,
        after: Option<&Place>,
        max: usize,
    ) -> Result<(Vec<SettledClaim>, bool), Self::Error>;

    /// Settled nodes to be sent, about `bytes_max` bytes of them and one at least; how many of those that are wanted were looked at.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn settled_nodes(
        &mut self,
        scope: &Scope,
        wanted: &[Place],
        bytes_max: usize,
    ) -> Result<(Vec<Vec<u8>>, usize), Self::Error>;

    /// Takes settled nodes: durable when it returns. How many were taken, and how many were left out because rows are not cut off
    /// there here.
    ///
    /// # Errors
    /// When they are refused, or cannot be written.
    fn take_settled(&mut self, scope: &Scope, nodes: &[Vec<u8>])
    -> Result<(u64, u64), Self::Error>;

    /// Rollups to be lent, of windows of a level that begin in a range, behind a place: about `bytes_max` bytes and one at least;
    /// behind which place there are more.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn lend(
        &mut self,
        scope: &Scope,
        what: (Level, TimeRange),
        after: Option<&Place>,
        bytes_max: usize,
    ) -> Result<Lent, Self::Error>;

    /// Borrows rollups; how many.
    ///
    /// # Errors
    /// When they are refused, or cannot be written.
    fn borrow(&mut self, scope: &Scope, rollups: &[Vec<u8>]) -> Result<u64, Self::Error>;

    /// Has the other side a right to a collection in a group?
    fn shares(&self, scope: &Scope) -> bool;

    /// Takes rows: durable when it returns. Of contested ones, what wins over them here and the sender does not have
    /// is given back.
    ///
    /// # Errors
    /// When they are refused, or cannot be written.
    fn take(
        &mut self,
        archives: &[Vec<u8>],
        contested: bool,
    ) -> Result<(Taken, Packed), Self::Error>;
}

/// What became of rows that were taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// Rows.
    pub rows: u64,
    /// Of them, rows before a cut, left out.
    pub below_cut: u64,
    /// Rows with stamps too far ahead of the clock here, left out.
    pub ahead: u64,
}
