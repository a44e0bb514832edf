//! Merging files: series by series, page by page, with a page of each file in memory.

use crate::codec::{Effort, Scratch};
use crate::error::UpkeepError;
use crate::files::OpenFile;
use crate::group::{GroupFile, GroupWriter, IndexCache, Levelling, SeriesRef, Written};
use crate::ids::{FileId, Tier};
use crate::rows::FieldKey;
use crate::scan::{Scan, Source};
use crate::store::Inner;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidelog_model::{CollectionName, GroupId, TimeRange};

/// Merges files into a new one, without what deletes and cuts hide; `None` when nothing is left.
pub(super) fn merge(
    inner: &Inner,
    group: GroupId,
    id: FileId,
    inputs: &[OpenFile],
    levelling: Levelling,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Option<Written>, UpkeepError> {
    let files: Vec<&Arc<GroupFile>> =
        inputs.iter().map(OpenFile::readable).collect::<Result<_, _>>()?;
    let rows: u64 = inputs.iter().map(|open| open.entry.rows).sum();
    let mut done = 0;
    inner.ensure_directory(group, Tier::Raw)?;
    // Before the tombstones are read: each up to this stamp is then among them.
    let cleaned = inner.cleaned();
    let mut writer = GroupWriter::create(
        &inner.disk,
        inner.store_id,
        (group, inner.groups),
        id,
        Effort::Dense,
        levelling,
        cleaned,
    )?;
    let names: BTreeSet<&CollectionName> =
        files.iter().flat_map(|file| file.sections().iter().map(|section| &section.name)).collect();
    // Indexes are read once and then done with: the store's cache is for queries.
    let cache = IndexCache::new(0);
    let mut scratch = Scratch::default();
    for name in names {
        let tombstones = inner.tombstones_of(name);
        let cut = inner.cut_of(name).unwrap_or(i64::MIN);
        let Some(range) = TimeRange::inclusive(cut, i64::MAX) else { continue };
        let mut fields: BTreeSet<FieldKey> = BTreeSet::new();
        let mut series: BTreeMap<String, Vec<(usize, SeriesRef)>> = BTreeMap::new();
        let mut leaf = inner.leaf_of(name);
        for (at, file) in files.iter().enumerate() {
            let Some(number) = file.section(name) else { continue };
            let section = &file.sections()[number as usize];
            fields.extend(section.fields.iter().cloned());
            leaf = section.leaf;
            file.each_device(number, |device, found| {
                series.entry(device.to_owned()).or_default().push((at, found));
            })?;
        }
        let fields: Arc<[FieldKey]> = fields.into_iter().collect();
        writer.begin_section(name.clone(), leaf, fields.to_vec())?;
        for (device, found) in &series {
            let mut sources = Vec::with_capacity(found.len());
            for (at, series) in found {
                sources.push(Source::file(files[*at], *series, &fields, &cache, range)?);
            }
            let of_device = tombstones.iter().filter(|tombstone| tombstone.devices.matches(device));
            let tombstones = of_device.cloned().collect();
            let horizon = Arc::default();
            let mut scan =
                Scan { fields: Arc::clone(&fields), range, sources, tombstones, horizon };
            writer.series(device, || {
                let slice = scan.next_with_versions(&mut scratch)?;
                done += slice.as_ref().map_or(0, |rows| rows.len() as u64);
                Ok::<_, UpkeepError>(slice)
            })?;
            if !progress(done.min(rows), rows) {
                return Err(UpkeepError::Cancelled);
            }
        }
    }
    Ok(writer.finish()?)
}
