//! Cutting a batch: rows sorted by group and device, merged where one device has one time twice, and encoded as one
//! sub-batch per group.

use super::Batch;
use crate::batch_v1::{BatchV1, FieldV1};
use crate::column::Column;
use crate::stamp::Version;
use crate::time::LeafWidth;
use alloc::vec::Vec;
use hashbrown::HashMap;

impl Batch {
    /// Cuts the rows into one sub-batch per group that has any, under one version. `cutter` keeps
    /// the memory for the next time.
    ///
    /// Rows of one device at one time are merged first: the later row wins, cell by cell.
    ///
    /// # Panics
    /// When `groups` is 0.
    pub fn cut(
        &self,
        groups: u32,
        version: Version,
        leaf: LeafWidth,
        cutter: &mut Cutter,
        mut emit: impl FnMut(&BatchV1),
    ) {
        cutter.sort(self, groups);
        let mut from = 0;
        while from < cutter.device_order.len() {
            let group = self.group_of(cutter.device_order[from], groups);
            let to = from
                + cutter.device_order[from..]
                    .iter()
                    .take_while(|device| self.group_of(**device, groups) == group)
                    .count();
            cutter.fill(self, from..to);
            let sub = &mut cutter.sub_batch;
            sub.group = group;
            sub.groups = groups;
            sub.stamp = version.stamp.0;
            sub.origin = version.origin.0;
            sub.leaf_minutes = leaf as u8;
            emit(sub);
            from = to;
        }
    }

    fn group_of(&self, device: u32, groups: u32) -> u32 {
        self.devices[device as usize].place.group(groups).0
    }
}

/// Memory for [`Batch::cut`], kept between batches.
#[derive(Debug, Default)]
pub struct Cutter {
    /// Devices that have rows, by group, then by first appearance.
    device_order: Vec<u32>,
    /// Per device: where its rows begin in `rows`. One more at the end.
    starts: Vec<u32>,
    /// Row numbers by device, in time order once `merge_rows` ran over a device.
    rows: Vec<u32>,
    /// Where the devices of each group begin, while they are sorted.
    group_starts: Vec<u32>,
    /// The rows of one sub-batch, in order.
    picked: Vec<u32>,
    /// By row kept: the older rows at its time, newest first. Empty unless times repeat.
    absorbed: HashMap<u32, Vec<u32>>,
    sub_batch: BatchV1,
}

impl Cutter {
    /// Counting sort of the rows by device, and of the devices by group.
    fn sort(&mut self, batch: &Batch, groups: u32) {
        let devices = batch.devices.len();
        self.starts.clear();
        self.starts.resize(devices + 1, 0);
        for device in &batch.row_devices {
            self.starts[*device as usize + 1] += 1;
        }
        self.device_order.clear();
        for device in 0..devices {
            if self.starts[device + 1] > 0 {
                self.device_order.push(u32::try_from(device).expect("devices are numbered by u32"));
            }
            self.starts[device + 1] += self.starts[device];
        }
        self.sort_devices(batch, groups);
        self.rows.clear();
        self.rows.resize(batch.rows(), 0);
        let mut next = core::mem::take(&mut self.picked);
        next.clear();
        next.extend_from_slice(&self.starts[..devices]);
        for (row, device) in batch.row_devices.iter().enumerate() {
            let slot = &mut next[*device as usize];
            self.rows[*slot as usize] =
                u32::try_from(row).expect("a batch has less than 2^32 rows");
            *slot += 1;
        }
        self.picked = next;
    }

    /// Counting sort of `device_order` by group: devices of a group stay in their order.
    fn sort_devices(&mut self, batch: &Batch, groups: u32) {
        let mut next = core::mem::take(&mut self.group_starts);
        next.clear();
        next.resize(groups as usize + 1, 0u32);
        for device in &self.device_order {
            next[batch.group_of(*device, groups) as usize + 1] += 1;
        }
        for group in 0..groups as usize {
            next[group + 1] += next[group];
        }
        self.picked.clear();
        self.picked.resize(self.device_order.len(), 0);
        for device in &self.device_order {
            let slot = &mut next[batch.group_of(*device, groups) as usize];
            self.picked[*slot as usize] = *device;
            *slot += 1;
        }
        core::mem::swap(&mut self.device_order, &mut self.picked);
        self.group_starts = next;
    }

    /// Fills the scratch sub-batch with the devices at `order` of `device_order`.
    fn fill(&mut self, batch: &Batch, order: core::ops::Range<usize>) {
        self.picked.clear();
        self.absorbed.clear();
        let sub = &mut self.sub_batch;
        sub.clear(batch.collection.database(), batch.collection.collection());
        for device in &self.device_order[order] {
            let device = *device as usize;
            let rows =
                &mut self.rows[self.starts[device] as usize..self.starts[device + 1] as usize];
            let before = self.picked.len();
            merge_rows(&batch.times, rows, &mut self.picked, &mut self.absorbed);
            sub.push_device(&batch.devices[device].text, self.picked.len() - before);
        }
        sub.set_times(self.picked.iter().map(|row| batch.times[*row as usize]));
        let mut used = 0;
        for field in &batch.fields {
            let target = sub.field_slot(used, &field.name, field.column.field_type());
            if fill_field(&field.column, &self.picked, &self.absorbed, target) {
                used += 1;
            }
        }
        sub.truncate_fields(used);
    }
}

/// Puts a device's rows in time order into `picked`. Of rows at one time the last is picked; the
/// older ones go to `absorbed`, newest first, to fill the cells it leaves absent.
fn merge_rows(
    times: &[i64],
    rows: &mut [u32],
    picked: &mut Vec<u32>,
    absorbed: &mut HashMap<u32, Vec<u32>>,
) {
    let time = |row: u32| times[row as usize];
    if rows.windows(2).all(|pair| time(pair[0]) < time(pair[1])) {
        picked.extend_from_slice(rows);
        return;
    }
    // Rows were in arrival order and the sort is stable, so equal times stay in arrival order.
    rows.sort_by_key(|row| time(*row));
    for same_time in rows.chunk_by(|a, b| time(*a) == time(*b)) {
        if let Some((kept, older)) = same_time.split_last() {
            picked.push(*kept);
            if !older.is_empty() {
                absorbed.insert(*kept, older.iter().rev().copied().collect());
            }
        }
    }
}

/// Encodes the picked rows of a column; `false` when none of them has a value.
fn fill_field(
    column: &Column,
    picked: &[u32],
    absorbed: &HashMap<u32, Vec<u32>>,
    target: &mut FieldV1,
) -> bool {
    let rows = column.len();
    if absorbed.is_empty()
        && column.presence().is_none()
        && picked.iter().all(|row| (*row as usize) < rows)
    {
        target.set_values(column.values(), picked.iter().map(|row| *row as usize));
        return !picked.is_empty();
    }
    let source = |row: u32| {
        let present = |row: u32| (row as usize) < rows && column.is_present(row as usize);
        if present(row) {
            return Some(row as usize);
        }
        absorbed
            .get(&row)
            .into_iter()
            .flatten()
            .find(|older| present(**older))
            .map(|older| *older as usize)
    };
    let sources: Vec<Option<usize>> = picked.iter().map(|row| source(*row)).collect();
    if sources.iter().all(Option::is_none) {
        return false;
    }
    target.set_presence(sources.iter().map(Option::is_some));
    target.set_values(column.values(), sources.into_iter().flatten());
    true
}
