//! Rescue: what can still be read of a damaged file, written to a new one.

use crate::codec::{Effort, Scratch};
use crate::disk::Disk;
use crate::group::{GroupFile, GroupWriter, Levelling, SeriesRef, Written};
use crate::ids::FileId;
use std::io;
use std::sync::Arc;
use tidelog_model::{Placer, TimeRange};

/// Writes the whole pages of a damaged file, with all their versions, to a new file; `None` when there
/// are none. A page with one damaged column is left out whole: a row without that cell would look as
/// if it never had one.
pub(super) fn rescue(
    disk: &Arc<dyn Disk>,
    file: &GroupFile,
    id: FileId,
) -> io::Result<Option<Written>> {
    let place = file.group();
    if place.1 == 0 {
        return Ok(None);
    }
    let mut writer = GroupWriter::create(
        disk,
        file.store(),
        place,
        id,
        Effort::Fast,
        Levelling::Forbidden,
        file.summary().cleaned,
    )?;
    let mut scratch = Scratch::default();
    for (number, section) in (0u32..).zip(file.sections()) {
        let mut devices: Vec<(String, SeriesRef)> = Vec::new();
        let listed = file.each_device(number, |device, series| {
            let sorted = devices.last().is_none_or(|(last, _)| last.as_str() < device);
            if sorted {
                devices.push((device.to_owned(), series));
            }
        });
        if listed.is_err() || file.section(&section.name) != Some(number) {
            continue;
        }
        let placer = Placer::new(&section.name);
        devices.retain(|(device, _)| placer.place(device).group(place.1) == place.0);
        let numbers = file.numbers(number, &section.fields);
        writer.begin_section(section.name.clone(), section.leaf, section.fields.clone())?;
        for (device, series) in &devices {
            let Ok(index) = file.index(series) else { continue };
            let mut pages = index.pages(TimeRange::ALL).into_iter();
            let mut last: Option<i64> = None;
            writer.series(device, || {
                for page in pages.by_ref() {
                    let after = last.is_none_or(|last| last < page.first);
                    let rows = file.read_page(series, &index, page, &numbers, true, &mut scratch);
                    if let (true, Ok(rows)) = (after, rows) {
                        last = Some(page.last);
                        return Ok::<_, io::Error>(Some(rows));
                    }
                }
                Ok(None)
            })?;
        }
    }
    writer.finish()
}
