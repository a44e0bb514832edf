//! What lies in a store's directory, whatever its manifest says: for recovery.

use super::recover::RecoverError;
use crate::disk::{Disk, OpenMode};
use crate::group::{Flaw, GroupFile, ReadError, file_path, parse_file_name, plain};
use crate::ids::{FileId, LogPoint, Tier};
use crate::log::{FILE_HEADER_LEN, FileHeader, HeaderError, LogKind};
use crate::manifest::{FileEntry, Opening, State};
use crate::nodes::{NodeFile, NodeSection};
use crate::rows::FieldKey;
use crate::wal::{parse_segment, segment_path};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use tidelog_model::{CollectionName, Incarnation, LeafWidth, Stamp, StoreId, TimeRange};

/// The error number of a medium that cannot be read.
const EIO: i32 = 5;

/// What a file says of itself.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) entry: FileEntry,
    pub(super) groups: u32,
    pub(super) store: StoreId,
    pub(super) sections: Vec<(CollectionName, LeafWidth, Vec<FieldKey>)>,
    /// Of settled nodes: before which time what they are of is gone, by collection.
    pub(super) cuts: Vec<(CollectionName, i64)>,
}

/// What a manifest says of a file of rows that none lists yet: made as it says itself, and counted by no node.
pub(super) fn entry_of_rows(file: &GroupFile, blake3: [u8; 32]) -> FileEntry {
    let summary = file.summary();
    FileEntry {
        id: file.made_as().1,
        group: file.group().0,
        tier: Tier::Raw,
        len: file.len(),
        blake3,
        rows: summary.rows,
        values: summary.values,
        series: u32::try_from(summary.series).unwrap_or(u32::MAX),
        range: summary.range,
        stamps: summary.stamps,
        cleaned: summary.cleaned,
        dense: summary.dense,
        settled: false,
        borrowed: false,
        uncounted: vec![summary.range],
        made_as: None,
        collections: file.sections().iter().map(|section| section.name.clone()).collect(),
    }
}

impl Content {
    pub(super) fn of(file: &GroupFile, blake3: [u8; 32]) -> Self {
        let (entry, sections) = (entry_of_rows(file, blake3), file.sections());
        let of_section = sections.iter().map(|s| (s.name.clone(), s.leaf, s.fields.clone()));
        let sections = of_section.collect();
        let cuts = Vec::new();
        Content { entry, groups: file.group().1, store: file.store(), sections, cuts }
    }

    /// Of a file of settled nodes.
    fn of_settled(file: &NodeFile, blake3: [u8; 32]) -> Self {
        let sections = file.sections();
        let ranges = sections.iter().map(|section| section.range);
        let sum = |of: fn(&NodeSection) -> u64| sections.iter().map(of).sum::<u64>();
        let settled = || sections.iter().filter_map(|s| Some((s.name.clone(), s.settled?)));
        let entry = FileEntry {
            id: file.id(),
            group: file.group().0,
            tier: file.tier(),
            len: file.len(),
            blake3,
            rows: sum(|section| section.nodes),
            values: sum(|section| section.rollups),
            series: u32::try_from(sum(|section| section.series.into())).unwrap_or(u32::MAX),
            range: ranges.reduce(TimeRange::hull).unwrap_or(TimeRange::ALL),
            stamps: (Stamp::ZERO, Stamp::ZERO),
            cleaned: settled().map(|(_, settled)| settled.cleaned).min().unwrap_or_default(),
            dense: true,
            settled: true,
            borrowed: false,
            uncounted: Vec::new(),
            made_as: None,
            collections: sections.iter().map(|section| section.name.clone()).collect(),
        };
        let of_section = sections.iter().map(|s| (s.name.clone(), s.leaf, s.fields.clone()));
        let sections = of_section.collect();
        let cuts = settled().map(|(name, settled)| (name, settled.cut)).collect();
        let store = file.container().header.store;
        Content { entry, groups: file.group().1, store, sections, cuts }
    }

    /// Where it belongs.
    pub(super) fn path(&self) -> String {
        file_path(self.entry.group, self.entry.tier, self.entry.id)
    }
}

/// What becomes of a file.
#[derive(Debug)]
pub(super) enum Fate {
    /// Not a bit is wrong.
    Whole(Box<Content>),
    /// Not a bit is wrong, but it is not part of the store.
    Foreign(&'static str),
    /// The file, if it could be opened, and what is wrong.
    Damaged { file: Option<Box<GroupFile>>, flaws: Vec<Flaw> },
}

/// All group files, by path.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) files: BTreeMap<String, Fate>,
    /// The greatest stamp that any file tells of.
    pub(super) newest: Stamp,
    /// Ids of files that were never finished.
    pub(super) unfinished: Vec<FileId>,
}

impl Survey {
    /// Opens and verifies every file.
    pub(super) fn read(
        disk: &dyn Disk,
        known: Option<&State>,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Self, RecoverError> {
        let io = |source| RecoverError::Io { place: disk.place(), source };
        let mut survey = Survey::default();
        let mut paths = Vec::new();
        let mut total = 0;
        for group in disk.list("").map_err(io)? {
            if !group.starts_with("group-") {
                continue;
            }
            let directory = format!("{group}/{}", Tier::Raw.directory());
            for name in disk.list(&directory).map_err(io)? {
                if let Some(name) = name.strip_suffix(".tmp") {
                    survey.unfinished.extend(parse_file_name(&format!("{name}.tide")));
                } else if name.ends_with(".tide") {
                    let path = format!("{directory}/{name}");
                    total += disk.open(&path, OpenMode::Read).and_then(|f| f.len()).unwrap_or(0);
                    paths.push(path);
                }
            }
        }
        survey.read_settled(disk, known)?;
        let mut done = 0;
        for path in paths {
            let (fate, len) = match GroupFile::open(disk, &path) {
                Ok(file) => {
                    survey.newest = survey.newest.max(file.summary().stamps.1);
                    let len = file.len();
                    let rows = file.summary().rows.max(1);
                    let mut told = |read: u64| {
                        let part = u128::from(len) * u128::from(read.min(rows)) / u128::from(rows);
                        progress(done + u64::try_from(part).unwrap_or(len), total)
                    };
                    let verified = file.verify(&mut told).map_err(|_| RecoverError::Cancelled)?;
                    let fate = match verified.digest {
                        Some(digest) if verified.flaws.is_empty() => {
                            Fate::Whole(Box::new(Content::of(&file, digest)))
                        }
                        _ => Fate::Damaged { file: Some(Box::new(file)), flaws: verified.flaws },
                    };
                    (fate, len)
                }
                Err(error @ ReadError::TooNew { .. }) => {
                    return Err(RecoverError::TooNew { what: error.to_string() });
                }
                // Short of descriptors or rights, say: that tells nothing about the file.
                Err(ReadError::Io { source, .. }) if source.raw_os_error() != Some(EIO) => {
                    return Err(io(source));
                }
                Err(error) => {
                    let flaws = vec![Flaw::of_file(plain(&error))];
                    (Fate::Damaged { file: None, flaws }, 0)
                }
            };
            done += len;
            survey.files.insert(path, fate);
        }
        if !progress(total, total) {
            return Err(RecoverError::Cancelled);
        }
        Ok(survey)
    }

    /// Opens and verifies the files of settled nodes; those that are a memory of rows are left out. One that cannot
    /// be opened counts as settled when the manifest says that it is.
    fn read_settled(&mut self, disk: &dyn Disk, known: Option<&State>) -> Result<(), RecoverError> {
        let io = |source| RecoverError::Io { place: disk.place(), source };
        for group in disk.list("").map_err(io)? {
            for tier in &Tier::ALL[1..] {
                let directory = format!("{group}/{}", tier.directory());
                if !group.starts_with("group-") {
                    continue;
                }
                for name in disk.list(&directory).map_err(io)? {
                    let Some(id) = parse_file_name(&name) else { continue };
                    let path = format!("{directory}/{name}");
                    let listed = known.and_then(|state| state.files.get(&id));
                    match NodeFile::open(disk, &path).map(Arc::new) {
                        Ok(file) if file.sections().iter().any(|s| s.settled.is_some()) => {
                            let verified =
                                file.verify(&mut |_| true).map_err(|_| RecoverError::Cancelled)?;
                            let fate = match verified.digest {
                                Some(digest) if verified.flaws.is_empty() => {
                                    Fate::Whole(Box::new(Content::of_settled(&file, digest)))
                                }
                                _ => Fate::Damaged { file: None, flaws: verified.flaws },
                            };
                            self.files.insert(path, fate);
                        }
                        Ok(_) => {}
                        Err(error @ ReadError::TooNew { .. }) => {
                            return Err(RecoverError::TooNew { what: error.to_string() });
                        }
                        Err(error) if listed.is_some_and(|entry| entry.settled) => {
                            let flaws = vec![Flaw::of_file(plain(&error))];
                            self.files.insert(path, Fate::Damaged { file: None, flaws });
                        }
                        Err(_) => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells the files that were installed as another store made them from own ones that lie in a wrong place: both
    /// have another id in their header than in their name.
    pub(super) fn tell_installed(&mut self, own: Option<StoreId>) {
        let own = own.or_else(|| {
            let placed = self.files.iter().filter_map(|(path, fate)| match fate {
                Fate::Whole(content) if content.path() == *path => Some(&**content),
                _ => None,
            });
            placed.max_by_key(|content| content.entry.id).map(|content| content.store)
        });
        for (path, fate) in &mut self.files {
            let Fate::Whole(content) = fate else { continue };
            let name = path.rsplit('/').next().unwrap_or_default();
            let Some(id) = parse_file_name(name).filter(|id| *id != content.entry.id) else {
                continue;
            };
            if content.entry.tier == Tier::Raw && own.is_some_and(|own| own != content.store) {
                content.entry.made_as = Some((content.store, content.entry.id));
                content.entry.id = id;
            }
        }
    }

    /// The files that are whole and belong here.
    pub(super) fn whole(&self) -> impl Iterator<Item = &Content> + '_ {
        self.files.values().filter_map(|fate| match fate {
            Fate::Whole(content) => Some(&**content),
            _ => None,
        })
    }
}

/// What the log's segments say of themselves.
#[derive(Debug, Default)]
pub(super) struct LogSurvey {
    /// Those of the manifest and those that only segments tell of, oldest first.
    pub(super) openings: Vec<Opening>,
    /// The first byte of the log that is still there.
    pub(super) start: Option<LogPoint>,
    /// Segments of openings that nobody knows.
    pub(super) orphans: Vec<String>,
    /// The store that wrote the newest segment.
    pub(super) store: Option<StoreId>,
}

impl LogSurvey {
    pub(super) fn read(disk: &dyn Disk, known: Option<&State>) -> io::Result<Self> {
        let mut found: BTreeMap<u32, Vec<(u32, Option<FileHeader>)>> = BTreeMap::new();
        for name in disk.list("wal")? {
            let Some((ordinal, index)) = parse_segment(&name) else { continue };
            let header = read_header(disk, &segment_path(ordinal, index))?
                .filter(|header| (header.ordinal, header.index) == (ordinal, index));
            found.entry(ordinal).or_default().push((index, header));
        }
        let known = known.map(|state| state.openings.as_slice()).unwrap_or_default();
        let mut openings: BTreeMap<u32, Incarnation> =
            known.iter().map(|opening| (opening.ordinal, opening.incarnation)).collect();
        let mut used: BTreeSet<Incarnation> = openings.values().copied().collect();
        let mut survey = LogSurvey::default();
        for (ordinal, mut segments) in found {
            segments.sort_unstable_by_key(|(index, _)| *index);
            let mut headers = segments.iter().filter_map(|(_, header)| *header);
            let first = headers.next();
            if let (None, Some(header)) = (openings.get(&ordinal), first)
                && used.insert(header.incarnation)
            {
                openings.insert(ordinal, header.incarnation);
            }
            if !openings.contains_key(&ordinal) {
                let path = |(index, _): &(u32, _)| segment_path(ordinal, *index);
                survey.orphans.extend(segments.iter().map(path));
                continue;
            }
            survey.store = first.map(|header| header.store).or(survey.store);
            if let (None, Some(header)) = (survey.start, first) {
                survey.start = Some(LogPoint { ordinal, offset: header.base });
            }
        }
        let opening = |(ordinal, incarnation)| Opening { ordinal, incarnation };
        survey.openings = openings.into_iter().map(opening).collect();
        Ok(survey)
    }
}

fn read_header(disk: &dyn Disk, path: &str) -> io::Result<Option<FileHeader>> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut bytes = [0; FILE_HEADER_LEN];
    if file.read_exact_at(&mut bytes, 0).is_err() {
        return Ok(None);
    }
    match FileHeader::decode(LogKind::Wal, &bytes) {
        Ok(header) => Ok(Some(header)),
        Err(HeaderError::Damaged) => Ok(None),
        Err(HeaderError::TooNew { .. }) => {
            let what = format!("{path} was written by a later version: upgrade tidelog");
            Err(io::Error::new(io::ErrorKind::Unsupported, what))
        }
    }
}
