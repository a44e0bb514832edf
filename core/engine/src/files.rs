//! The open files of one moment: what a query, a compaction and a check read.

use crate::group::{GroupFile, ReadError};
use crate::manifest::{FileEntry, State};
use std::sync::Arc;
use tidelog_model::GroupId;

/// A file that the manifest lists.
#[derive(Clone, Debug)]
pub(crate) struct OpenFile {
    pub(crate) entry: Arc<FileEntry>,
    /// The open file, or why it could not be opened: the store opens all the same, and whoever needs
    /// the file is told.
    pub(crate) file: Result<Arc<GroupFile>, Broken>,
}

/// Why a file cannot be read: the path, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Broken {
    pub(crate) path: String,
    pub(crate) what: String,
}

impl OpenFile {
    pub(crate) fn readable(&self) -> Result<&Arc<GroupFile>, ReadError> {
        self.file.as_ref().map_err(|broken| ReadError::Unreadable {
            path: broken.path.clone(),
            what: broken.what.clone(),
        })
    }
}

/// One version of the store's files, with the manifest that lists them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct FileSet {
    pub(crate) state: Arc<State>,
    /// By group.
    files: Arc<Vec<Vec<OpenFile>>>,
}

impl FileSet {
    pub(crate) fn new(state: Arc<State>, files: impl IntoIterator<Item = OpenFile>) -> Self {
        let mut by_group: Vec<Vec<OpenFile>> = Vec::new();
        by_group.resize_with(state.groups as usize, Vec::new);
        for file in files {
            if let Some(group) = by_group.get_mut(file.entry.group.0 as usize) {
                group.push(file);
            }
        }
        FileSet { state, files: Arc::new(by_group) }
    }

    /// The files of a group, oldest first.
    pub(crate) fn group(&self, group: GroupId) -> &[OpenFile] {
        self.files.get(group.0 as usize).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &OpenFile> + '_ {
        self.files.iter().flatten()
    }

    /// The set after an edit: some files gone, some new.
    pub(crate) fn after(
        &self,
        state: Arc<State>,
        added: impl IntoIterator<Item = OpenFile>,
    ) -> FileSet {
        let kept = self.all().filter(|file| state.files.contains_key(&file.entry.id)).cloned();
        let mut files: Vec<OpenFile> = kept.chain(added).collect();
        files.sort_by_key(|file| file.entry.id);
        FileSet::new(state, files)
    }
}
