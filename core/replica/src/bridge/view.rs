//! A moment of the store, as a comparison looks at it: what was read of it stays for as long as the moment does.

use super::{Access, aligned, apply_but_ahead, failure, nodes};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidelog_engine::{
    ApplyError, Content, ContentRow, Incoming, QueryError, RowPacker, Store, state_root,
};
use tidelog_model::digest::{Bucket, RowPrinter, TreeHasher};
use tidelog_model::policy::Side;
use tidelog_model::{
    CollectionName, Device, Digest, FieldType, GroupId, Horizon, LeafWidth, Level, SubBatch,
    TimeRange, Value, Version, merge,
};
use tidelog_protocol::compare::{
    CollectionRoot, Lent, More, Pack, Packed, Place, Print, Scope, SettledClaim, Source, Taken,
};
use tidelog_protocol::{Answer, Failure, FailureKind, View};

/// Device, bucket and digest.
type Series = Vec<(String, Bucket, Digest)>;

/// See the module documentation.
pub(super) struct Viewed {
    store: Store,
    view: View,
    horizon: Arc<Horizon>,
    access: Access,
    contents: BTreeMap<Scope, Content>,
    /// The series of the leaf window that was asked for last.
    series: Option<(Scope, i64, Series)>,
    roots: BTreeMap<GroupId, Vec<CollectionRoot>>,
}

impl std::fmt::Debug for Viewed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Viewed").field("view", &self.view).finish_non_exhaustive()
    }
}

pub(super) fn unreadable(error: QueryError) -> Failure {
    Failure { kind: FailureKind::Later, text: error.to_string() }
}

impl Viewed {
    pub(super) fn new(store: Store, view: View, access: Access) -> Self {
        let horizon = Arc::new(view.horizon.clone());
        let (contents, roots) = (BTreeMap::new(), BTreeMap::new());
        Viewed { store, view, horizon, access, contents, series: None, roots }
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// The root over groups, those of each that holds anything, and that of the state.
    pub(super) fn summary(&mut self, groups: &[GroupId]) -> Result<Answer, Failure> {
        let mut hasher = TreeHasher::new();
        let mut roots = Vec::new();
        for group in groups {
            let collections = self.collections(*group)?;
            let there: Vec<(&CollectionName, Digest)> =
                collections.iter().filter_map(|one| Some((&one.name, one.root?))).collect();
            roots.extend(hasher.group(&there).map(|root| (*group, root)));
        }
        let seen = |database: &str| self.access.allows(None, database);
        let state = state_root(None, &self.store.state_parts_of(&self.horizon, seen));
        let store = hasher.store(&roots);
        Ok(Answer::Summary { store, groups: roots, state })
    }

    fn content(&mut self, scope: &Scope) -> Result<&mut Content, Failure> {
        if !self.contents.contains_key(scope) {
            let (group, database) = (scope.group, scope.collection.database());
            if !self.access.allows(Some(group), database) {
                let error =
                    ApplyError::Forbidden { database: database.to_string(), group: group.0 };
                return Err(failure(&error));
            }
            let content = self.store.content(&scope.collection, scope.group, &self.horizon);
            self.contents.insert(scope.clone(), content.map_err(unreadable)?);
        }
        Ok(self.contents.get_mut(scope).expect("inserted just above"))
    }

    /// What of the own rows wins over incoming ones, and the sender does not have.
    fn winners(&mut self, archives: &[Vec<u8>]) -> Result<Packed, Failure> {
        let mut incoming: BTreeMap<Scope, BTreeMap<String, Rows>> = BTreeMap::new();
        for archive in archives {
            let bytes = aligned(archive);
            let sub = SubBatch::read(&bytes).map_err(|error| Failure {
                kind: FailureKind::Peer,
                text: format!("what the peer sent is damaged or forged ({error})"),
            })?;
            let group = GroupId(sub.group().0);
            let scope = Scope { group, collection: sub.collection() };
            gather(&sub, incoming.entry(scope).or_default());
        }
        let mut packed = Packed::default();
        for (scope, devices) in incoming {
            let content = self.content(&scope)?;
            let mut packer = content.packer();
            for (text, theirs) in devices {
                let Ok(device) = Device::from_canonical(&text) else { continue };
                let (Some((first, _)), Some((last, _))) =
                    (theirs.first_key_value(), theirs.last_key_value())
                else {
                    continue;
                };
                let Some(range) = TimeRange::inclusive(*first, *last) else { continue };
                let mut own = Vec::new();
                content
                    .rows(&text, range, |row| {
                        if theirs.get(&row.time).is_some_and(|cells| wins(row, cells)) {
                            own.push(row.time);
                        }
                        true
                    })
                    .map_err(unreadable)?;
                pack_times(content, &mut packer, &device, &own, usize::MAX)?;
            }
            packed.rows += packer.rows() as u64;
            packed.archives.extend(packer.finish().iter().map(|bytes| bytes.to_vec()));
        }
        Ok(packed)
    }
}

/// More rows of a window are not counted.
const ROWS_WEIGHED_MAX: u64 = 10_000_000;

/// Cells by name and type, by time.
type Rows = BTreeMap<i64, BTreeMap<(String, FieldType), (Version, Value)>>;

fn gather(sub: &SubBatch<'_>, devices: &mut BTreeMap<String, Rows>) {
    let mut times = Vec::new();
    sub.times_into(&mut times);
    let version = sub.version();
    let mut at = 0;
    let mut owners = Vec::with_capacity(sub.rows());
    for (device, rows) in sub.devices() {
        let own = devices.entry(device.to_owned()).or_default();
        for time in &times[at..at + rows] {
            own.entry(*time).or_default();
            owners.push(device);
        }
        at += rows;
    }
    for field in sub.fields() {
        let mut values = tidelog_model::Values::new(field.field_type());
        field.values_into(&mut values);
        let mut next = 0;
        for (row, device) in owners.iter().enumerate() {
            if !field.is_present(row) {
                continue;
            }
            let value = values.at(next).to_owned();
            next += 1;
            let cells = devices.get_mut(*device).and_then(|rows| rows.get_mut(&times[row]));
            if let Some(cells) = cells {
                cells.insert((field.name().to_owned(), field.field_type()), (version, value));
            }
        }
    }
}

/// Has the row a cell that the other one lacks, or that wins over its own?
fn wins(row: &ContentRow<'_>, theirs: &BTreeMap<(String, FieldType), (Version, Value)>) -> bool {
    row.cells.iter().any(|(name, kind, value, version)| {
        match theirs.get(&((*name).to_owned(), *kind)) {
            None => true,
            Some((other, their)) => {
                let theirs = (*other, Some(their.as_ref()));
                merge::order((*version, Some(*value)), theirs).is_gt()
            }
        }
    })
}

/// Packs the rows of a device at some times, ascending, until so many bytes are packed; from which time on to go on.
fn pack_times(
    content: &mut Content,
    packer: &mut RowPacker,
    device: &Device,
    times: &[i64],
    bytes_max: usize,
) -> Result<Option<i64>, Failure> {
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return Ok(None) };
    let Some(range) = TimeRange::inclusive(*first, *last) else { return Ok(None) };
    let mut more = None;
    each(content, device.as_str(), range, |row| {
        if times.binary_search(&row.time).is_err() {
            return Ok(true);
        }
        if packer.rows() > 0 && packer.bytes() >= bytes_max {
            more = Some(row.time);
            return Ok(false);
        }
        pack(packer, device, row)?;
        Ok(true)
    })?;
    Ok(more)
}

fn pack(packer: &mut RowPacker, device: &Device, row: &ContentRow<'_>) -> Result<(), Failure> {
    let full = |error: tidelog_model::BatchError| Failure {
        kind: FailureKind::Later,
        text: error.to_string(),
    };
    packer.push(device, row).map_err(full)
}

/// Reads rows until `f` says that it is enough, or fails.
fn each(
    content: &mut Content,
    device: &str,
    range: TimeRange,
    mut f: impl FnMut(&ContentRow<'_>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut outcome = Ok(());
    let mut one = |row: &ContentRow<'_>| match f(row) {
        Ok(go_on) => go_on,
        Err(error) => {
            outcome = Err(error);
            false
        }
    };
    content.rows(device, range, &mut one).map_err(unreadable)?;
    outcome
}

impl Source for Viewed {
    type Error = Failure;

    fn collections(&mut self, group: GroupId) -> Result<Vec<CollectionRoot>, Failure> {
        if let Some(roots) = self.roots.get(&group) {
            return Ok(roots.clone());
        }
        let mut roots = Vec::new();
        for name in self.store.collection_names() {
            if !self.access.allows(Some(group), name.database()) {
                continue;
            }
            let scope = Scope { group, collection: name.clone() };
            let content = self.content(&scope)?;
            let root = content.root().map_err(unreadable)?;
            roots.push(CollectionRoot { name, leaf: content.leaf(), cut: content.cut(), root });
        }
        self.roots.insert(group, roots.clone());
        Ok(roots)
    }

    fn leaf(&mut self, scope: &Scope) -> Result<LeafWidth, Failure> {
        Ok(self.content(scope)?.leaf())
    }

    fn windows(
        &mut self,
        scope: &Scope,
        level: Level,
        range: TimeRange,
    ) -> Result<Vec<(TimeRange, Digest)>, Failure> {
        self.content(scope)?.windows(level, range).map_err(unreadable)
    }

    fn series(
        &mut self,
        scope: &Scope,
        window: i64,
    ) -> Result<Vec<(String, Bucket, Digest)>, Failure> {
        if let Some((known, start, series)) = &self.series
            && known == scope
            && *start == window
        {
            return Ok(series.clone());
        }
        let series = self.content(scope)?.series(window).map_err(unreadable)?;
        let series: Vec<(String, Bucket, Digest)> = series
            .into_iter()
            .map(|(device, bucket, digest)| (device.to_string(), bucket, digest))
            .collect();
        self.series = Some((scope.clone(), window, series.clone()));
        Ok(series)
    }

    fn prints(
        &mut self,
        scope: &Scope,
        device: &str,
        range: TimeRange,
    ) -> Result<Vec<(Print, u64)>, Failure> {
        let mut printer = RowPrinter::new(self.view.salt);
        let mut prints = Vec::new();
        let content = self.content(scope)?;
        content
            .rows(device, range, |row| {
                let cells = row.cells.iter().map(|(name, kind, value, _)| (*name, *kind, *value));
                let whole = printer.print(row.time, cells);
                // The upper half is that of the parts' sums.
                let print = Print { time: row.time, print: whole as u32, stamp: row.version.stamp };
                prints.push((print, whole));
                true
            })
            .map_err(unreadable)?;
        // In two passes: the horizon moves on between them, and if it does not, a clock is what keeps it.
        if self.view.epoch < Print::EPOCHS {
            let overtaken = self.content(scope)?.overtaken(device, range).map_err(unreadable)?;
            for time in overtaken {
                match prints.binary_search_by_key(&time, |(print, _)| print.time) {
                    Ok(at) => prints[at].0.stamp = Print::OVERTAKEN,
                    Err(at) => prints.insert(at, (Print::hidden(time), 0)),
                }
            }
        }
        Ok(prints)
    }

    fn pack(
        &mut self,
        scope: &Scope,
        what: &[Pack<'_>],
        bytes_max: usize,
    ) -> Result<(Packed, usize), Failure> {
        let content = self.content(scope)?;
        let mut packer = content.packer();
        let (mut more, mut begun) = (None, 0);
        for one in what {
            if begun > 0 && packer.bytes() >= bytes_max {
                break;
            }
            begun += 1;
            more = match *one {
                Pack::Times { device, times } => match Device::from_canonical(device) {
                    Ok(device) => pack_times(content, &mut packer, &device, times, bytes_max)?
                        .map(|from| More { from, behind: None }),
                    Err(_) => None,
                },
                Pack::Range { device, range, after } => {
                    pack_range(content, &mut packer, device, range, after, bytes_max)?
                }
            };
            if more.is_some() {
                break;
            }
        }
        let rows = packer.rows() as u64;
        let archives = packer.finish().iter().map(|bytes| bytes.to_vec()).collect();
        Ok((Packed { archives, rows, more }, begun))
    }

    fn weigh(
        &mut self,
        scope: &Scope,
        range: TimeRange,
        devices: &[&str],
    ) -> Result<Side, Failure> {
        let content = self.content(scope)?;
        let (rows, bytes) = content.weigh(range, devices, ROWS_WEIGHED_MAX).map_err(unreadable)?;
        Ok(Side { rows, bytes })
    }

    fn settled(
        &mut self,
        scope: &Scope,
        after: Option<&Place>,
        max: usize,
    ) -> Result<(Vec<SettledClaim>, bool), Failure> {
        nodes::settled(&self.store, scope, after, max)
    }

    fn settled_nodes(
        &mut self,
        scope: &Scope,
        wanted: &[Place],
        bytes_max: usize,
    ) -> Result<(Vec<Vec<u8>>, usize), Failure> {
        nodes::settled_nodes(&self.store, scope, wanted, bytes_max)
    }

    fn take_settled(&mut self, scope: &Scope, given: &[Vec<u8>]) -> Result<(u64, u64), Failure> {
        nodes::take_settled(&self.store, scope, given)
    }

    fn lend(
        &mut self,
        scope: &Scope,
        what: (Level, TimeRange),
        after: Option<&Place>,
        bytes_max: usize,
    ) -> Result<Lent, Failure> {
        nodes::lend(&self.store, scope, what, after, bytes_max)
    }

    fn borrow(&mut self, scope: &Scope, rollups: &[Vec<u8>]) -> Result<u64, Failure> {
        nodes::borrow(&self.store, scope, rollups)
    }

    fn shares(&self, scope: &Scope) -> bool {
        self.access.allows(Some(scope.group), scope.collection.database())
    }

    fn take(&mut self, archives: &[Vec<u8>], contested: bool) -> Result<(Taken, Packed), Failure> {
        let back = if contested { self.winners(archives)? } else { Packed::default() };
        let batches = archives.iter().map(|bytes| aligned(bytes)).collect();
        let incoming = Incoming { batches, ..Incoming::default() };
        let (applied, ahead) = apply_but_ahead(&self.store, &self.access, incoming)
            .map_err(|error| failure(&error))?;
        let taken = Taken { rows: applied.rows, below_cut: applied.below_cut, ahead };
        Ok((taken, back))
    }
}

/// Packs all rows of a range, device by device, going on behind a row.
fn pack_range(
    content: &mut Content,
    packer: &mut RowPacker,
    only: Option<&str>,
    range: TimeRange,
    after: Option<(&str, i64)>,
    bytes_max: usize,
) -> Result<Option<More>, Failure> {
    let devices: BTreeSet<Arc<str>> = match only {
        Some(device) => [device.into()].into(),
        None => content.devices(range).map_err(unreadable)?,
    };
    let mut before = after.map(|(device, time)| (device.to_owned(), time));
    for text in devices {
        let behind = match after {
            Some((device, _)) if *text < *device => continue,
            Some((device, time)) if *text == *device => Some(time),
            _ => None,
        };
        let Ok(device) = Device::from_canonical(&text) else { continue };
        let from = behind.map_or(Some(range.first()), |time| time.checked_add(1));
        let rest = from.and_then(|from| TimeRange::inclusive(from, range.last()));
        let Some(rest) = rest else { continue };
        let mut full = false;
        each(content, &text, rest, |row| {
            if packer.rows() > 0 && packer.bytes() >= bytes_max {
                full = true;
                return Ok(false);
            }
            before = Some((text.to_string(), row.time));
            pack(packer, &device, row)?;
            Ok(true)
        })?;
        if full {
            return Ok(Some(More { from: range.first(), behind: before }));
        }
    }
    Ok(None)
}
