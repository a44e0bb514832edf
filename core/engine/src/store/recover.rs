//! Offline recovery: a manifest made anew of what the files and the log say themselves.
//!
//! First everything is read and decided, then it is done, in an order that a second run can pick up from
//! at any point. Nothing is deleted: what is damaged or replaced goes to `quarantine/`.

use super::catalog::new_entry;
use super::check::{Finding, read_record};
use super::open::{QUARANTINE, is_fresh, make_quarantine, quarantine_move, quarantine_name};
use super::rescue::rescue;
use super::survey::{Content, Fate, LogSurvey, Survey};
use crate::disk::{Disk, FileDisk, OpenMode, directory_of, read_all};
use crate::error::ManifestProblem;
use crate::group::{directory, file_path, parse_file_name};
use crate::ids::{FileId, Tier};
use crate::manifest::{FileEntry, Manifest, ManifestError, Mode, State, decode_tombstone};
use crate::nodes::NodeFile;
use crate::options::Options;
use crate::upkeep::entry_of;
use crate::wal::{self, AppliedPayload, KIND_ROWS, KIND_TOMBSTONE, RowsPayload};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tidelog_model::{Incarnation, Stamp, StoreId, Version};

/// What recovery did, and what it could not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct RecoverReport {
    /// Files that the store consists of now.
    pub files: Vec<String>,
    /// Rows in them; a row that several files hold counts in each.
    pub rows: u64,
    /// Of these, files that no manifest listed any more.
    pub listed_again: Vec<String>,
    /// Of these, files made of what could still be read of a damaged one: its path, and the new one's.
    pub rescued: Vec<(String, String)>,
    /// What was moved to `quarantine/`, by its former path, and why.
    pub quarantined: Vec<(String, String)>,
    /// Files that were listed and are not there.
    pub missing: Vec<String>,
    /// Writes and deletes that the next opening reads from the log.
    pub log_records: u64,
    /// All damage that was found.
    pub findings: Vec<Finding>,
    /// What may be wrong now, in words.
    pub notes: Vec<String>,
    /// Was the manifest written anew? Otherwise all was well.
    pub manifest_replaced: bool,
}

/// Why a store could not be recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The store is open for writing.
    #[error("{place} is open for writing: close it there, then recover")]
    Locked {
        /// The store.
        place: String,
    },
    /// There is nothing like a store.
    #[error("{place} holds no part of a store: check the path")]
    Missing {
        /// Where one was looked for.
        place: String,
    },
    /// Files were written by a later version, which knows better.
    #[error("{what}: recover with that version of tidelog")]
    TooNew {
        /// Which file, and its version.
        what: String,
    },
    /// `progress` said so, before anything was changed.
    #[error("cancelled; nothing was changed")]
    Cancelled,
    /// The new manifest could not be written.
    #[error(transparent)]
    Manifest(#[from] ManifestProblem),
    /// The disk refused.
    #[error("cannot recover {place}: check its permissions and free space, then run it again")]
    Io {
        /// The store.
        place: String,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

/// Makes a damaged store one that opens, offline: verifies every file, moves damaged ones to
/// `quarantine/` and writes what can still be read of them to new ones, and rebuilds the manifest from
/// what is left of it, the files' own directories and the log. Afterwards [`crate::Store::open`] answers with
/// all rows that can be read. Deletes nothing; a store that is well is left as it is.
///
/// Reads all bytes. `progress` is told bytes done and to do, and stops the work, before anything is
/// changed, by returning `false`.
///
/// # Errors
/// See [`RecoverError`].
pub fn recover(
    path: impl AsRef<Path>,
    progress: impl FnMut(u64, u64) -> bool,
) -> Result<RecoverReport, RecoverError> {
    recover_on(Arc::new(FileDisk::new(path.as_ref(), false)), &Options::new(), progress)
}

/// [`recover`] on a disk; of the options the clock, the source of ids and the number of groups are used,
/// the last two only where nothing is left that tells.
///
/// # Errors
/// See [`RecoverError`].
pub fn recover_on(
    disk: Arc<dyn Disk>,
    options: &Options,
    mut progress: impl FnMut(u64, u64) -> bool,
) -> Result<RecoverReport, RecoverError> {
    let place = disk.place();
    let io = |source| RecoverError::Io { place: place.clone(), source };
    if is_fresh(&*disk).map_err(io)? {
        return Err(RecoverError::Missing { place });
    }
    let Some(_lock) = disk.lock("LOCK").map_err(io)? else {
        return Err(RecoverError::Locked { place });
    };
    let mut report = RecoverReport::default();
    let known = Known::read(&disk, &mut report)?;
    let mut survey = Survey::read(&*disk, known.state.as_ref(), &mut progress)?;
    let log = LogSurvey::read(&*disk, known.state.as_ref()).map_err(io)?;
    survey.tell_installed(known.state.as_ref().map(|state| state.store).or(log.store));
    let mut recovery = Recovery { disk, options, known, survey, log, report };
    recovery.run().map_err(|error| match error {
        Failure::Io(source) => RecoverError::Io { place, source },
        Failure::Manifest(error) => RecoverError::Manifest(ManifestProblem(error)),
    })?;
    Ok(recovery.report)
}

enum Failure {
    Io(io::Error),
    Manifest(ManifestError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Io(error)
    }
}

/// What the manifest still says.
struct Known {
    state: Option<State>,
    /// No edit is lost.
    complete: bool,
    /// Not a byte of it is bad.
    intact: bool,
}

impl Known {
    fn read(disk: &Arc<dyn Disk>, report: &mut RecoverReport) -> Result<Self, RecoverError> {
        let opened = match Manifest::open(Arc::clone(disk), Mode::ReadOnly) {
            Ok((manifest, _)) => Some(State::clone(manifest.state())),
            Err(error @ ManifestError::TooNew { .. }) => {
                return Err(RecoverError::TooNew { what: error.to_string() });
            }
            Err(_) => None,
        };
        let salvaged = Manifest::salvage(&**disk).map_err(ManifestProblem)?;
        let damage = salvaged.1.damage.into_iter();
        report.findings.extend(damage.map(|bad| Finding::of_file(bad.file, bad.what)));
        let (complete, intact) = (opened.is_some(), opened.is_some() && report.findings.is_empty());
        Ok(Known { state: opened.or(salvaged.0), complete, intact })
    }

    fn lists(&self, id: FileId) -> bool {
        self.state.as_ref().is_some_and(|state| state.files.contains_key(&id))
    }
}

struct Recovery<'a> {
    disk: Arc<dyn Disk>,
    options: &'a Options,
    known: Known,
    survey: Survey,
    log: LogSurvey,
    report: RecoverReport,
}

impl Recovery<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        let groups = self.groups()?;
        let mut state = match &self.known.state {
            Some(state) => State { groups, ..state.clone() },
            None => State::new(self.store_id()?, groups),
        };
        self.judge(groups);
        if !(self.known.complete && self.nodes_are_whole(&state)) {
            forget_nodes(&mut state);
        }
        let found: BTreeSet<FileId> = self.survey.whole().map(|content| content.entry.id).collect();
        let data = state.files.values().filter(|entry| is_data(entry));
        let missing = data.filter(|entry| !found.contains(&entry.id));
        self.report.missing = missing
            .map(|entry| file_path(entry.group, entry.tier, entry.id))
            .filter(|path| !self.survey.files.contains_key(path))
            .collect();
        let all_there = self.report.missing.is_empty()
            && !self.survey.files.values().any(|fate| matches!(fate, Fate::Damaged { .. }));
        if !all_there {
            forget_nodes(&mut state);
        }
        if !(self.known.complete && all_there)
            && let Some(start) = self.log.start
        {
            // Merging is idempotent: what the log still holds of lost files comes back.
            state.covered = start;
        }
        state.openings = self.log.openings.clone();
        let known = |ordinal: &u32| self.log.openings.iter().any(|o| o.ordinal == *ordinal);
        state.ends.retain(|ordinal, _| known(ordinal));
        if state.openings.last().is_none_or(|last| last.ordinal < state.covered.ordinal) {
            state.covered = self.log.start.unwrap_or_default();
        }
        state.next_file = self.next_file(&state)?;
        let newest = self.read_log(&state)?;
        let moved = self.settle_files(&mut state)?;
        for path in std::mem::take(&mut self.log.orphans) {
            quarantine_move(&*self.disk, &path)?;
            let why = "no header tells which opening the segment is of".to_owned();
            self.report.quarantined.push((path, why));
        }
        self.report.files = state
            .files
            .values()
            .map(|entry| file_path(entry.group, entry.tier, entry.id))
            .collect();
        let rows = state.files.values().filter(|entry| entry.tier == Tier::Raw);
        self.report.rows = rows.map(|entry| entry.rows).sum();
        let changed = moved
            || !self.known.intact
            || self.known.state.as_ref().is_none_or(|before| {
                (&before.files, &before.collections, &before.openings, before.covered)
                    != (&state.files, &state.collections, &state.openings, state.covered)
            });
        if changed {
            let now = Stamp::from_millis(self.options.clock.wall_millis());
            let files = state.files.values().map(|entry| entry.stamps.1.max(entry.cleaned));
            let deletes = state.tombstones.iter().map(|tombstone| tombstone.version.stamp);
            let seen = files.chain(deletes).chain([newest, now, self.survey.newest]).max();
            state.ceiling = state.ceiling.max(seen.unwrap_or_default());
            self.replace_manifest(state)?;
        }
        self.note();
        Ok(())
    }

    /// Is every file of nodes that the manifest lists there and without a flaw?
    fn nodes_are_whole(&self, state: &State) -> bool {
        let mut nodes = state.files.values().filter(|entry| !is_data(entry));
        nodes.all(|entry| {
            let path = file_path(entry.group, entry.tier, entry.id);
            let file = NodeFile::open(&*self.disk, &path).ok().map(Arc::new);
            let verified = file.and_then(|file| file.verify(&mut |_| true).ok());
            verified
                .is_some_and(|found| found.flaws.is_empty() && found.digest == Some(entry.blake3))
        })
    }

    /// How many groups there are: whoever still knows.
    fn groups(&self) -> Result<u32, Failure> {
        if let Some(state) = &self.known.state
            && state.groups > 0
        {
            return Ok(state.groups);
        }
        let mut votes: BTreeMap<u32, usize> = BTreeMap::new();
        for content in self.survey.whole() {
            *votes.entry(content.groups).or_default() += 1;
        }
        if let Some((groups, _)) = votes.into_iter().max_by_key(|(_, votes)| *votes) {
            return Ok(groups);
        }
        let mut logged = None;
        let start = self.log.start.unwrap_or_default();
        let store = self.known.state.as_ref().map(|state| state.store).unwrap_or_default();
        wal::recover(
            &*self.disk,
            store,
            start,
            &self.openings(),
            &BTreeMap::new(),
            |_, frame, payload| {
                if frame.kind == KIND_ROWS && logged.is_none() {
                    let subs = RowsPayload::read(payload).map_err(|error| error.0)?;
                    logged = subs.first().map(|sub| sub.group().1);
                }
                Ok(())
            },
        )?;
        let damaged = self.survey.files.values().filter_map(|fate| match fate {
            Fate::Damaged { file: Some(file), .. } => Some(file.group().1),
            _ => None,
        });
        let groups = logged.into_iter().chain(damaged).find(|groups| *groups > 0);
        Ok(groups.or(self.options.groups).unwrap_or(super::open::GROUPS_DEFAULT))
    }

    fn store_id(&self) -> io::Result<StoreId> {
        let own = self.survey.whole().filter(|content| content.entry.made_as.is_none());
        let newest = own.max_by_key(|content| content.entry.id);
        match self.log.store.or(newest.map(|content| content.store)) {
            Some(store) => Ok(store),
            None => Ok(StoreId(self.options.entropy.id()?)),
        }
    }

    fn openings(&self) -> Vec<(u32, Incarnation)> {
        let openings = self.log.openings.iter();
        openings.map(|opening| (opening.ordinal, opening.incarnation)).collect()
    }

    /// Which of the whole files do not belong.
    fn judge(&mut self, groups: u32) {
        let mut seen = BTreeSet::new();
        let known = &self.known;
        let found: BTreeSet<FileId> = self.survey.whole().map(|content| content.entry.id).collect();
        // Otherwise what is left over may hold rows that are lost elsewhere, and recovery may have been
        // here before and not got further.
        let nothing_lost = known.complete
            && known.state.as_ref().is_some_and(|state| {
                let mut data = state.files.values().filter(|entry| is_data(entry));
                data.all(|entry| found.contains(&entry.id))
            });
        // One in its right place goes before a copy elsewhere.
        let mut paths: Vec<String> = self.survey.files.keys().cloned().collect();
        paths.sort_by_key(|path| match self.survey.files.get(path) {
            Some(Fate::Whole(content)) => content.path() != *path,
            _ => true,
        });
        for path in paths {
            let Some(fate) = self.survey.files.get_mut(&path) else { continue };
            let Fate::Whole(content) = fate else { continue };
            let id = content.entry.id;
            let why = if content.groups != groups {
                "it is of a store with another number of groups"
            } else if content.entry.group.0 >= groups || id.0 >= FILE_ID_END {
                "its numbers are out of range"
            } else if nothing_lost && !known.lists(id) {
                "the manifest, which is whole, does not list it: it is left over"
            } else if !seen.insert(id) {
                "it is a copy of another file of the store"
            } else {
                continue;
            };
            *fate = Fate::Foreign(why);
        }
    }

    /// Beyond every id that was ever seen, in quarantine too.
    fn next_file(&self, state: &State) -> io::Result<FileId> {
        let quarantined = self.disk.list(QUARANTINE)?;
        let name = |path: &String| {
            let name = path.rsplit(['/', '_']).next()?;
            let end = name.find(".tide")? + ".tide".len();
            parse_file_name(&name[..end])
        };
        let names = quarantined.iter().chain(self.survey.files.keys()).filter_map(name);
        let whole = self.survey.whole().map(|content| content.entry.id);
        let unfinished = self.survey.unfinished.iter().copied();
        let used = names.chain(whole).chain(unfinished).filter(|id| id.0 < FILE_ID_END).max();
        Ok(used.map_or(state.next_file, |id| state.next_file.max(FileId(id.0 + 1))))
    }

    /// Reads the log as the next opening will; the greatest stamp in it.
    fn read_log(&mut self, state: &State) -> Result<Stamp, Failure> {
        let mut newest = Stamp::ZERO;
        let groups = state.groups;
        let openings = self.openings();
        let store = state.store;
        let read = wal::recover(
            &*self.disk,
            store,
            state.covered,
            &openings,
            &state.ends,
            |_, frame, payload| {
                read_record(frame, payload, groups)?;
                if frame.kind == KIND_ROWS {
                    let subs = RowsPayload::read(payload).map_err(|error| error.0)?;
                    newest = subs.iter().map(|sub| sub.version().stamp).fold(newest, Stamp::max);
                } else if frame.kind == KIND_TOMBSTONE {
                    let encoded = wal::read_tombstone_payload(payload).map_err(|error| error.0)?;
                    let tombstone = decode_tombstone(encoded).map_err(|error| error.0)?;
                    newest = newest.max(tombstone.version.stamp);
                } else if frame.kind == wal::KIND_APPLIED {
                    let applied = AppliedPayload::read(payload).map_err(|error| error.0)?;
                    let subs = applied.subs.iter().map(|sub| sub.version().stamp);
                    let deletes = applied.tombstones.iter().map(|one| one.version.stamp);
                    newest = subs.chain(deletes).fold(newest, Stamp::max);
                }
                Ok(())
            },
        )?;
        self.report.log_records = read.frames;
        let damage = read.damage.into_iter();
        self.report.findings.extend(damage.map(|bad| Finding::of_file(bad.path, bad.what)));
        Ok(newest)
    }

    /// Moves what does not belong, rescues what can be, and lists the rest. Did anything move?
    fn settle_files(&mut self, state: &mut State) -> Result<bool, Failure> {
        let mut moved = false;
        let mut misplaced = Vec::new();
        let before = std::mem::take(&mut state.files);
        for (path, fate) in std::mem::take(&mut self.survey.files) {
            match fate {
                Fate::Whole(content) if content.path() == path => self.list_found(state, *content),
                Fate::Whole(content) => {
                    // Aside first, for another file may stand where this one belongs; still as a group
                    // file, so that a second run finds it.
                    let aside = self.name_aside(&path)?;
                    self.disk.rename(&path, &aside)?;
                    self.disk.sync_dir(directory_of(&path))?;
                    misplaced.push((aside, path, content));
                    moved = true;
                }
                Fate::Foreign(why) => {
                    quarantine_move(&*self.disk, &path)?;
                    self.report.quarantined.push((path, why.to_owned()));
                    moved = true;
                }
                Fate::Damaged { file, flaws, .. } => {
                    let why = flaws.first().map_or_else(String::new, |flaw| flaw.what.clone());
                    let flaws = flaws.into_iter().map(|flaw| Finding::new(&path, flaw));
                    self.report.findings.extend(flaws);
                    if let Some(file) = file.filter(|file| file.group().1 == state.groups) {
                        let id = state.next_file;
                        self.make_directory(&directory(file.group().0, Tier::Raw))?;
                        if let Some(written) = rescue(&self.disk, &file, id)? {
                            state.next_file = FileId(id.0 + 1);
                            let mut content = Content::of(&file, written.blake3);
                            content.entry = entry_of(&written);
                            let new = content.path();
                            list(state, content);
                            self.report.rescued.push((path.clone(), new));
                        }
                    }
                    quarantine_move(&*self.disk, &path)?;
                    self.report.quarantined.push((path, why));
                    moved = true;
                }
            }
        }
        for (aside, path, content) in misplaced {
            let right = content.path();
            self.make_directory(directory_of(&right))?;
            self.disk.rename(&aside, &right)?;
            self.disk.sync_dir(directory_of(&right))?;
            self.disk.sync_dir(directory_of(&path))?;
            self.report.findings.push(Finding::of_file(path, format!("it is {right}, moved back")));
            self.list_found(state, *content);
        }
        if moved {
            forget_nodes(state);
        } else {
            keep_nodes(state, before);
        }
        Ok(moved)
    }

    fn name_aside(&self, path: &str) -> io::Result<String> {
        let directory = directory_of(path);
        let taken = self.disk.list(directory)?;
        let stem = path.strip_suffix(".tide").unwrap_or(path);
        let names = (0u64..).map(|number| format!("{stem}.moved{number}.tide"));
        let mut free = names.filter(|name| {
            name.rsplit('/').next().is_some_and(|name| !taken.iter().any(|known| known == name))
        });
        free.next().ok_or_else(|| io::ErrorKind::AlreadyExists.into())
    }

    fn make_directory(&self, path: &str) -> io::Result<()> {
        let parent = directory_of(path);
        self.disk.create_dir(parent)?;
        self.disk.create_dir(path)?;
        self.disk.sync_dir("")?;
        self.disk.sync_dir(parent)
    }

    /// Lists a file that was found whole.
    fn list_found(&mut self, state: &mut State, content: Content) {
        if !self.known.lists(content.entry.id) {
            self.report.listed_again.push(content.path());
        }
        list(state, content);
    }

    fn replace_manifest(&mut self, state: State) -> Result<(), Failure> {
        for name in self.disk.list("")? {
            if !name.starts_with("MANIFEST-") || name.ends_with(".tmp") {
                continue;
            }
            make_quarantine(&*self.disk)?;
            let copy = quarantine_name(&*self.disk, &name)?;
            // One that cannot be read is moved instead, for a new one is not written over it.
            let Ok(bytes) = read_all(&*self.disk, &name) else {
                quarantine_move(&*self.disk, &name)?;
                continue;
            };
            let file = self.disk.open(&copy, OpenMode::CreateNew)?;
            file.write_all_at(&bytes, 0)?;
            file.sync()?;
            self.disk.sync_dir(QUARANTINE)?;
        }
        self.disk.create_dir("wal")?;
        self.disk.sync_dir("")?;
        Manifest::replace(Arc::clone(&self.disk), state).map_err(Failure::Manifest)?;
        self.report.manifest_replaced = true;
        Ok(())
    }

    fn note(&mut self) {
        let notes = &mut self.report.notes;
        let mut note = |holds: bool, text: &str| {
            if holds {
                notes.push(text.to_owned());
            }
        };
        note(
            self.known.state.is_none(),
            "no part of the manifest could be read: deletes that are not in the log any more are lost, \
             and what they hid may be visible again; retention and its cuts are lost too",
        );
        note(
            self.known.state.is_some() && !self.known.complete,
            "parts of the manifest are lost: the newest deletes, and changes of retention, may be \
             missing, and what such deletes hid may be visible again",
        );
        note(
            !self.known.complete && !self.report.listed_again.is_empty(),
            "files were listed again that may have been merged into others: their rows count \
             twice in figures until they are compacted, never in answers",
        );
        note(
            !self.report.rescued.is_empty() || !self.report.quarantined.is_empty(),
            "rows of damaged pages are missing, where no other file and not the log holds them: \
             restore quarantined files from a backup if there is one",
        );
        note(
            !self.report.missing.is_empty(),
            "files that were listed are not there: their rows are missing, where nothing else holds them",
        );
    }
}

/// Makes a file part of the store, and its collections known.
fn list(state: &mut State, content: Content) {
    let Content { entry, store, sections, cuts, .. } = content;
    let first = Version { stamp: entry.stamps.0, origin: store };
    for (name, leaf, fields) in sections {
        let known = &mut state.collections;
        let collection = known.entry(name).or_insert_with(|| Arc::new(new_entry(leaf)));
        for field in fields {
            let key = (field.name, field.kind);
            if !collection.fields.contains_key(&key) {
                Arc::make_mut(collection).fields.insert(key, first);
            }
        }
    }
    for (name, cut) in cuts {
        // What the nodes are of is gone: were it to show again, it would count twice.
        if let Some(collection) = state.collections.get_mut(&name) {
            let cuts = &mut Arc::make_mut(collection).cuts;
            for finer in Tier::ALL.into_iter().filter(|finer| *finer < entry.tier) {
                let held = cuts.entry(finer).or_insert(cut);
                *held = (*held).max(cut);
            }
        }
    }
    state.files.insert(entry.id, Arc::new(entry));
}

/// Ids from here on were never given: a greater one is damage.
const FILE_ID_END: u64 = 1 << 63;

/// Not a memory of other files.
fn is_data(entry: &FileEntry) -> bool {
    entry.tier == Tier::Raw || entry.settled
}

/// The nodes that a store still lists stay, and so does which rows they count.
fn keep_nodes(state: &mut State, listed: BTreeMap<FileId, Arc<FileEntry>>) {
    for (id, entry) in listed {
        if !is_data(&entry) {
            state.files.insert(id, entry);
        } else if let Some(found) = state.files.get_mut(&id) {
            Arc::make_mut(found).uncounted.clone_from(&entry.uncounted);
        }
    }
}

/// The pyramid is made anew from rows: its files are no part of the store any more.
fn forget_nodes(state: &mut State) {
    state.files.retain(|_, entry| is_data(entry));
    for entry in state.files.values_mut().filter(|entry| entry.tier == Tier::Raw) {
        let entry = Arc::make_mut(entry);
        entry.uncounted = vec![entry.range];
    }
    state.not_rolled_up.clone_from(&state.tombstones);
}
