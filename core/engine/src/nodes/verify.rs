//! Verifying a whole node file: every byte against its checksum, every number against what it counts.
//!
//! All that is wrong is collected. One block is in memory at a time.

use super::block::NodeBlock;
use super::layout::NodeSection;
use super::parts::Source;
use super::reader::NodeFile;
use crate::group::{Cancelled, Extent, Flaw, HEADER_LEN, ReadError, Verified, plain};
use crate::rollup::{Wants, window_of, wrong_with};
use std::sync::Arc;
use tidelog_model::{Placer, TimeRange, device};

impl NodeFile {
    /// Verifies everything. `go_on` is told the nodes read so far, and stops the work with `false`. Pages are
    /// blocks here, rows are nodes, values are rollups with values.
    pub(crate) fn verify(
        self: &Arc<Self>,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Verified, Cancelled> {
        let mut found = Verified::default();
        if !go_on(0) {
            return Err(Cancelled);
        }
        match self.container.digest() {
            Ok(digest) => found.digest = Some(digest),
            Err(error) => found.flaws.push(Flaw::of_file(plain(&error))),
        }
        let mut walk = Walk { file: self, found, extents: Vec::new(), lost: false, go_on };
        for (number, section) in (0u32..).zip(self.sections()) {
            let first = self.section(&section.name) == Some(number);
            walk.expect(first, section, "the collection stands in the directory twice");
            walk.section(number, section)?;
        }
        if self.sections().is_empty() {
            walk.found.flaws.push(Flaw::of_file("the file holds nothing"));
        }
        walk.no_gaps();
        Ok(walk.found)
    }
}

struct Walk<'a> {
    file: &'a Arc<NodeFile>,
    found: Verified,
    /// The parts that were found, which fill the file.
    extents: Vec<(u64, u64)>,
    /// Is there a part that may hold others and cannot be read?
    lost: bool,
    go_on: &'a mut dyn FnMut(u64) -> bool,
}

impl Walk<'_> {
    fn expect(&mut self, holds: bool, section: &NodeSection, otherwise: &str) {
        if !holds {
            self.flaw(section, None, section.range, otherwise);
        }
    }

    fn flaw(
        &mut self,
        section: &NodeSection,
        device: Option<String>,
        range: TimeRange,
        what: impl Into<String>,
    ) {
        let collection = Some(section.name.clone());
        self.found.flaws.push(Flaw { collection, device, range: Some(range), what: what.into() });
    }

    /// What a part is read from; a flaw when it cannot be.
    fn read<T>(&mut self, section: &NodeSection, read: Result<T, ReadError>) -> Option<T> {
        if let Err(error) = &read {
            self.flaw(section, None, section.range, plain(error));
            self.lost = true;
        }
        read.ok()
    }

    fn section(&mut self, number: u32, section: &NodeSection) -> Result<(), Cancelled> {
        let before = (self.found.rows, self.found.values, self.found.flaws.len());
        for table in [section.names, section.blocks, section.leaves, section.tree] {
            self.holds(table);
        }
        self.devices(number, section);
        let mut range = None;
        let mut last = None;
        for block in 0..section.block_count() {
            self.block(number, section, block, &mut last, &mut range);
            if !(self.go_on)(self.found.rows) {
                return Err(Cancelled);
            }
        }
        self.digests(number, section, &mut range);
        if self.found.flaws.len() == before.2 {
            let counts = (self.found.rows - before.0, self.found.values - before.1);
            let same = counts == (section.nodes, section.rollups);
            self.expect(same, section, "the counts in the directory are wrong");
            let same = range == Some(section.range);
            self.expect(same, section, "the times in the directory are wrong");
        }
        Ok(())
    }

    fn devices(&mut self, number: u32, section: &NodeSection) {
        let mut devices = Vec::new();
        let listed = self.file.each_series(number, |_, device| devices.push(device.to_owned()));
        if self.read(section, listed).is_none() {
            // Names in a table that fails its checksum are nothing to go by.
            return;
        }
        let sorted = devices.is_sorted_by(|a, b| a < b);
        self.expect(sorted, section, "the devices of a table are not in order");
        let bytes: usize = devices.iter().map(String::len).sum();
        let filled =
            section.names.len as usize == devices.len() * super::layout::SERIES_LEN + bytes;
        self.expect(filled, section, "bytes of a series table are of no device");
        let (group, placer) = (self.file.group(), Placer::new(&section.name));
        for name in devices {
            let canonical = device::is_canonical(&name);
            let here = group.1 > 0 && placer.place(&name).group(group.1) == group.0;
            if !canonical {
                let what = "the device's name is not in its canonical form";
                self.flaw(section, Some(name.clone()), section.range, what);
            }
            if !here {
                let what = "the device belongs to another group";
                self.flaw(section, Some(name), section.range, what);
            }
        }
    }

    fn block(
        &mut self,
        number: u32,
        section: &NodeSection,
        block: u32,
        last: &mut Option<(u32, i64)>,
        range: &mut Option<TimeRange>,
    ) {
        let entry = self.file.block_entry(number, block);
        let Some(entry) = self.read(section, entry) else { return };
        self.holds(Extent { len: entry.len, ..entry.directory });
        let ordered = last.is_none_or(|last| last < entry.first) && entry.first <= entry.last;
        self.expect(ordered, section, "the blocks of nodes are not in order");
        *last = Some(entry.last);
        let block = match self.file.block(number, block) {
            Ok(block) => block,
            Err(error) => {
                let device = self.file.device(number, entry.first.0).ok();
                let range = TimeRange::inclusive(entry.first.1, entry.last.1)
                    .filter(|_| entry.first.0 == entry.last.0);
                let device = device.filter(|_| range.is_some());
                self.flaw(section, device, range.unwrap_or(section.range), plain(&error));
                return;
            }
        };
        self.found.pages += 1;
        self.found.rows += block.len() as u64;
        for node in 0..block.len() {
            let window = block.window(node);
            *range = Some(range.map_or(window, |range: TimeRange| range.hull(window)));
        }
        if self.columns(section, &block) {
            for node in 0..block.len() {
                self.node(section, &block, node);
            }
        }
    }

    /// Decodes every column; is none of them damaged? Damage hits all nodes of the block, so every series of it is
    /// named.
    fn columns(&mut self, section: &NodeSection, block: &NodeBlock) -> bool {
        for columns in &block.columns.fields {
            let source = block.source(columns.field).expect("the field is in the block");
            for column in &columns.columns {
                let Err(error) = source.column(column.part) else { continue };
                let field = &section.fields[columns.field as usize].name;
                let what = format!("{} of field {field}", plain(&error));
                let mut node = 0;
                while node < block.len() {
                    let series = block.series(node);
                    let end = block.find(series, TimeRange::ALL).end;
                    let range = block.window(node).hull(block.window(end - 1));
                    let device = self.file.device(block.section, series).ok();
                    self.flaw(section, device, range, what.clone());
                    node = end;
                }
                return false;
            }
        }
        true
    }

    fn node(&mut self, section: &NodeSection, block: &NodeBlock, node: usize) {
        let window = block.window(node);
        let mut flaws = Vec::new();
        if window.first() != block.start(node) {
            flaws.push("a node's window is not one of the tier".to_owned());
        }
        for (field, key) in (0u32..).zip(&section.fields) {
            match block.rollup(field, node, Wants::ALL) {
                Ok(rollup) if rollup.is_empty() => {}
                Ok(rollup) => {
                    self.found.values += 1;
                    if let Some(what) = wrong_with(&rollup, window) {
                        flaws.push(format!("{what}, in field {}", key.name));
                    }
                }
                Err(error) => flaws.push(format!("{}, in field {}", plain(&error), key.name)),
            }
        }
        for what in flaws {
            let device = self.file.device(block.section, block.series(node)).ok();
            self.flaw(section, device, window, what);
        }
    }

    /// The digests of leaves and the digest tree.
    fn digests(&mut self, number: u32, section: &NodeSection, range: &mut Option<TimeRange>) {
        let file = self.file;
        let leaves = self.read(section, file.leaf_entries(number)).unwrap_or_default();
        let sorted = leaves.is_sorted_by(|a, b| a.start < b.start);
        self.expect(sorted, section, "the leaves with digests are not in order");
        let mut windows = Vec::new();
        for leaf in leaves {
            self.holds(leaf.bytes);
            windows.push(leaf.start);
            if let Err(error) = file.leaf_digests(number, leaf.start) {
                let window = window_of(file.tier(), leaf.start, section.leaf);
                self.flaw(section, None, window, plain(&error));
            }
        }
        let tree = self.read(section, file.tree_nodes(number, TimeRange::ALL)).unwrap_or_default();
        let sorted = tree.is_sorted_by(|a, b| a.start < b.start);
        self.expect(sorted, section, "the nodes of the digest tree are not in order");
        windows.extend(tree.iter().map(|node| node.start));
        for start in windows {
            let window = window_of(file.tier(), start, section.leaf);
            if window.first() != start {
                self.flaw(section, None, window, "a digest's window is not one of the tier");
            }
            *range = Some(range.map_or(window, |range: TimeRange| range.hull(window)));
        }
    }

    fn holds(&mut self, extent: Extent) {
        if extent.len > 0 {
            self.extents.push((extent.offset, extent.end().unwrap_or(u64::MAX)));
        }
    }

    /// The parts stand one behind the other, from the header to the directory.
    fn no_gaps(&mut self) {
        if self.lost {
            return;
        }
        self.extents.sort_unstable();
        let mut at = HEADER_LEN as u64;
        for (start, end) in &self.extents {
            if *start != at {
                let what = format!("bytes from {at} to {start} are of no part, or of two");
                self.found.flaws.push(Flaw::of_file(what));
            }
            at = *end;
        }
        if at != self.file.container.directory().offset {
            self.found.flaws.push(Flaw::of_file("bytes before the directory are of no part"));
        }
    }
}
