//! The series table of a section: which devices a file has, sorted, and where their series blocks stand.
//!
//! A map gives the whole table at no cost, and a look-up is a binary search in it. With plain reads every look
//! would read all of it, so one pass leaves *fences*: per block of entries the first device and a checksum.
//! A look-up then reads one block, and believes it as little as it would the whole.

use super::layout::ENTRY_LEN;
use super::reader::SeriesRef;
use std::borrow::Cow;
use std::cmp::Ordering;

/// Entries of a block: 2.3 KB and their names are read for a look-up; a fence takes about 40 bytes of memory.
const BLOCK: usize = 64;

/// Some entries of a table that stand together, and their names.
pub(super) struct Table<'a> {
    bytes: Cow<'a, [u8]>,
    /// Bytes of the entries; the names follow.
    entries: usize,
    section: u32,
    /// The number of the first entry.
    first: usize,
    /// Where its name stands among all names.
    names_from: usize,
}

impl<'a> Table<'a> {
    /// A whole table; `None` when it is too short for its entries.
    pub(super) fn whole(bytes: Cow<'a, [u8]>, series: usize, section: u32) -> Option<Self> {
        let entries = series * ENTRY_LEN;
        (entries <= bytes.len()).then_some(Table {
            bytes,
            entries,
            section,
            first: 0,
            names_from: 0,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.entries / ENTRY_LEN
    }

    /// An entry and its name; `None` when the table is not what the writer writes.
    pub(super) fn entry(&self, at: usize) -> Option<(SeriesRef, &[u8])> {
        let entry: &[u8; ENTRY_LEN] =
            self.bytes.get(at * ENTRY_LEN..self.entries)?.first_chunk::<ENTRY_LEN>()?;
        let names = &self.bytes[self.entries..];
        let name = names.get(self.name_start(at)?..self.name_end(at)?)?;
        let series = u32::try_from(self.first + at).ok()?;
        Some((SeriesRef::decode(&entry[4..], self.section, series)?, name))
    }

    fn name_start(&self, at: usize) -> Option<usize> {
        at.checked_sub(1).map_or(Some(0), |before| self.name_end(before))
    }

    /// Where a name ends, from the first name here.
    fn name_end(&self, at: usize) -> Option<usize> {
        let end = self.bytes.get(at * ENTRY_LEN..)?.first_chunk::<4>()?;
        (u32::from_le_bytes(*end) as usize).checked_sub(self.names_from)
    }

    /// The series of a device; `Err` when the table is not what the writer writes.
    pub(super) fn find(&self, device: &str) -> Result<Option<SeriesRef>, Malformed> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let (series, name) = self.entry(middle).ok_or(Malformed)?;
            match name.cmp(device.as_bytes()) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Some(series)),
            }
        }
        Ok(None)
    }
}

/// A table that is not what the writer writes.
#[derive(Debug)]
pub(super) struct Malformed;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Fences {
    blocks: Vec<Block>,
    /// The first names of the blocks, end to end.
    names: Vec<u8>,
    series: usize,
    section: u32,
}

#[derive(Debug)]
struct Block {
    /// Where its first name ends in `names`.
    name_end: usize,
    /// Where its names stand among all names of the table.
    names_from: usize,
    names_to: usize,
    crc: u32,
}

impl Fences {
    /// The fences of a whole table that passed its checksum.
    pub(super) fn of(table: &Table<'_>) -> Option<Self> {
        let series = table.len();
        let mut names = Vec::new();
        let mut blocks = Vec::with_capacity(series.div_ceil(BLOCK));
        for first in (0..series).step_by(BLOCK) {
            let last = (first + BLOCK).min(series) - 1;
            names.extend_from_slice(table.entry(first)?.1);
            let (names_from, names_to) = (table.name_start(first)?, table.name_end(last)?);
            let entries = table.bytes.get(first * ENTRY_LEN..(last + 1) * ENTRY_LEN)?;
            let texts = table.bytes[table.entries..].get(names_from..names_to)?;
            let crc = checksum(entries, texts);
            blocks.push(Block { name_end: names.len(), names_from, names_to, crc });
        }
        Some(Fences { blocks, names, series, section: table.section })
    }

    /// Finds a device, reading the one block that may have it. `read` gives the bytes at a place of the table.
    pub(super) fn find<'f, E>(
        &self,
        device: &str,
        read: impl Fn(usize, usize) -> Result<Cow<'f, [u8]>, E>,
        malformed: impl Fn(Malformed) -> E,
    ) -> Result<Option<SeriesRef>, E> {
        let Some(at) = self.block_of(device.as_bytes()) else { return Ok(None) };
        let block = &self.blocks[at];
        let first = at * BLOCK;
        let entries = (self.series - first).min(BLOCK) * ENTRY_LEN;
        let mut bytes = read(first * ENTRY_LEN, entries)?.into_owned();
        let names = self.series * ENTRY_LEN + block.names_from;
        bytes.extend_from_slice(&read(names, block.names_to - block.names_from)?);
        if checksum(&bytes[..entries], &bytes[entries..]) != block.crc {
            return Err(malformed(Malformed));
        }
        let (section, names_from) = (self.section, block.names_from);
        let table = Table { bytes: Cow::Owned(bytes), entries, section, first, names_from };
        table.find(device).map_err(malformed)
    }

    /// The last block whose first device is not behind this one.
    fn block_of(&self, device: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.blocks.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.first_name(middle) <= device {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.checked_sub(1)
    }

    fn first_name(&self, block: usize) -> &[u8] {
        let start = block.checked_sub(1).map_or(0, |before| self.blocks[before].name_end);
        &self.names[start..self.blocks[block].name_end]
    }
}

fn checksum(entries: &[u8], names: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(entries);
    hasher.update(names);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of devices whose series blocks stand at their numbers.
    fn table(devices: &[String]) -> Vec<u8> {
        let mut end = 0;
        let mut bytes = Vec::new();
        for (number, device) in (0u64..).zip(devices) {
            end += device.len() as u32;
            bytes.extend(end.to_le_bytes());
            bytes.extend(number.to_le_bytes());
            bytes.extend([0; 24]);
        }
        devices.iter().for_each(|device| bytes.extend(device.as_bytes()));
        bytes
    }

    #[test]
    fn a_block_gives_what_the_whole_table_gives() {
        for count in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 7] {
            let devices: Vec<String> = (0..count).map(|n| format!("d{:05}", 2 * n + 1)).collect();
            let bytes = table(&devices);
            let whole = Table::whole(Cow::Borrowed(&bytes), count, 3).unwrap();
            let fences = Fences::of(&whole).unwrap();
            let read = |at: usize, len: usize| Ok(Cow::Borrowed(&bytes[at..at + len]));
            for n in 0..2 * count + 2 {
                let device = format!("d{n:05}");
                let found = fences.find(&device, read, |error| error).unwrap();
                assert_eq!(found, whole.find(&device).unwrap(), "{device} of {count}");
                let there = (n % 2 == 1 && n < 2 * count).then_some(n as u64 / 2);
                assert_eq!(found.map(|series| series.offset), there);
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_a_block_is_found_at_every_look() {
        let devices: Vec<String> = (0..200).map(|n| format!("d{n:05}")).collect();
        let bytes = table(&devices);
        let whole = Table::whole(Cow::Borrowed(&bytes), devices.len(), 0).unwrap();
        let fences = Fences::of(&whole).unwrap();
        for at in (0..bytes.len()).step_by(23) {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            let read = |at: usize, len: usize| Ok(Cow::Borrowed(&bad[at..at + len]));
            let fails = |device: &&String| fences.find(device, read, |error| error).is_err();
            let failed = devices.iter().filter(fails).count();
            assert!((1..=BLOCK).contains(&failed), "byte {at}: {failed}");
        }
    }
}
