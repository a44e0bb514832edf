//! The open files of one moment: what a query, a compaction and a check read.

use crate::group::{Container, GroupFile, ReadError};
use crate::manifest::{FileEntry, State};
use crate::nodes::NodeFile;
use crate::retention::Cuts;
use std::sync::Arc;
use tidelog_model::{CollectionName, GroupId};

/// A file that the manifest lists.
#[derive(Debug)]
pub(crate) struct Open<F> {
    pub(crate) entry: Arc<FileEntry>,
    /// The open file, or why it could not be opened: the store opens all the same, and whoever needs
    /// the file is told.
    pub(crate) file: Result<Arc<F>, Broken>,
}

/// A file of rows.
pub(crate) type OpenFile = Open<GroupFile>;
/// A file of the pyramid's nodes.
pub(crate) type OpenNodes = Open<NodeFile>;

/// A file of either kind.
#[derive(Clone, Debug)]
pub(crate) enum AnyFile {
    Rows(OpenFile),
    Nodes(OpenNodes),
}

/// Why a file cannot be read: the path, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Broken {
    pub(crate) path: String,
    pub(crate) what: String,
}

// Not derived, which would ask for files that can be copied.
impl<F> Clone for Open<F> {
    fn clone(&self) -> Self {
        Open { entry: Arc::clone(&self.entry), file: self.file.clone() }
    }
}

impl<F> Open<F> {
    pub(crate) fn readable(&self) -> Result<&Arc<F>, ReadError> {
        self.file.as_ref().map_err(|broken| ReadError::Unreadable {
            path: broken.path.clone(),
            what: broken.what.clone(),
        })
    }

    /// As the manifest lists it now, if it still does.
    fn listed(&self, state: &State) -> Option<Self> {
        let entry = Arc::clone(state.files.get(&self.entry.id)?);
        Some(Open { entry, file: self.file.clone() })
    }
}

impl AnyFile {
    pub(crate) fn entry(&self) -> &Arc<FileEntry> {
        match self {
            AnyFile::Rows(open) => &open.entry,
            AnyFile::Nodes(open) => &open.entry,
        }
    }

    /// The bytes of the file.
    pub(crate) fn bytes(&self) -> Result<&Container, ReadError> {
        match self {
            AnyFile::Rows(open) => Ok(open.readable()?.container()),
            AnyFile::Nodes(open) => Ok(open.readable()?.container()),
        }
    }

    pub(crate) fn broken(&self) -> Option<&Broken> {
        match self {
            AnyFile::Rows(open) => open.file.as_ref().err(),
            AnyFile::Nodes(open) => open.file.as_ref().err(),
        }
    }
}

/// One version of the store's files, with the manifest that lists them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct FileSet {
    pub(crate) state: Arc<State>,
    /// By group, oldest first.
    rows: Arc<Vec<Vec<OpenFile>>>,
    aside: Arc<Vec<Vec<OpenFile>>>,
    nodes: Arc<Vec<Vec<OpenNodes>>>,
    settled: Arc<Vec<Vec<OpenNodes>>>,
    borrowed: Arc<Vec<Vec<OpenNodes>>>,
}

impl FileSet {
    pub(crate) fn new(state: Arc<State>, files: impl IntoIterator<Item = AnyFile>) -> Self {
        let groups = state.groups as usize;
        let (mut rows, mut aside): (Vec<Vec<OpenFile>>, Vec<Vec<OpenFile>>) = Default::default();
        let (mut nodes, mut settled): (Vec<Vec<OpenNodes>>, Vec<Vec<OpenNodes>>) =
            Default::default();
        let mut borrowed: Vec<Vec<OpenNodes>> = vec![Vec::new(); groups];
        rows.resize_with(groups, Vec::new);
        aside.resize_with(groups, Vec::new);
        nodes.resize_with(groups, Vec::new);
        settled.resize_with(groups, Vec::new);
        for file in files {
            let group = file.entry().group.0 as usize;
            match file {
                AnyFile::Rows(open) => {
                    let is_aside = state.aside.contains(&open.entry.id);
                    let list = if is_aside { &mut aside } else { &mut rows };
                    list.get_mut(group).into_iter().for_each(|files| files.push(open.clone()))
                }
                AnyFile::Nodes(open) => {
                    let list = match (open.entry.settled, open.entry.borrowed) {
                        (true, _) => &mut settled,
                        (_, true) => &mut borrowed,
                        _ => &mut nodes,
                    };
                    list.get_mut(group).into_iter().for_each(|files| files.push(open.clone()))
                }
            }
        }
        for files in rows.iter_mut().chain(&mut aside) {
            files.sort_by_key(|open| open.entry.id);
        }
        for files in nodes.iter_mut().chain(&mut settled).chain(&mut borrowed) {
            files.sort_by_key(|open| open.entry.id);
        }
        let (rows, aside) = (Arc::new(rows), Arc::new(aside));
        let (nodes, settled) = (Arc::new(nodes), Arc::new(settled));
        FileSet { state, rows, aside, nodes, settled, borrowed: Arc::new(borrowed) }
    }

    /// The files of rows of a group, oldest first, but for those that are set aside.
    pub(crate) fn group(&self, group: GroupId) -> &[OpenFile] {
        self.rows.get(group.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// The files of rows of a group that are damaged and set aside: answers need them, upkeep must not.
    pub(crate) fn aside(&self, group: GroupId) -> &[OpenFile] {
        self.aside.get(group.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// All files of rows that are set aside.
    pub(crate) fn all_aside(&self) -> impl Iterator<Item = &OpenFile> + '_ {
        self.aside.iter().flatten()
    }

    /// The files of nodes of a group that are a memory of its rows, oldest first.
    pub(crate) fn nodes(&self, group: GroupId) -> &[OpenNodes] {
        self.nodes.get(group.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// The files of settled nodes of a group, oldest first: they are data.
    pub(crate) fn settled(&self, group: GroupId) -> &[OpenNodes] {
        self.settled.get(group.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// The files of nodes of a group that other stores lent, oldest first: they count only where there are no rows.
    pub(crate) fn borrowed(&self, group: GroupId) -> &[OpenNodes] {
        self.borrowed.get(group.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// All files of rows, but for those that are set aside.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &OpenFile> + '_ {
        self.rows.iter().flatten()
    }

    /// All files of nodes, settled and borrowed ones too.
    pub(crate) fn all_nodes(&self) -> impl Iterator<Item = &OpenNodes> + '_ {
        self.nodes.iter().chain(self.settled.iter()).chain(self.borrowed.iter()).flatten()
    }

    /// All files of both kinds.
    pub(crate) fn all(&self) -> impl Iterator<Item = AnyFile> + '_ {
        let rows = self.rows().chain(self.all_aside()).cloned().map(AnyFile::Rows);
        rows.chain(self.all_nodes().cloned().map(AnyFile::Nodes))
    }

    /// Before which time each tier of a collection is gone.
    pub(crate) fn cuts(&self, name: &CollectionName) -> Cuts {
        self.state.collections.get(name).map_or(Cuts::NONE, |entry| entry.cuts())
    }

    /// The set after an edit: some files gone, some new, some listed otherwise.
    pub(crate) fn after(
        &self,
        state: Arc<State>,
        added: impl IntoIterator<Item = AnyFile>,
    ) -> FileSet {
        let rows = self.rows().chain(self.all_aside());
        let rows = rows.filter_map(|open| open.listed(&state)).map(AnyFile::Rows);
        let nodes = self.all_nodes().filter_map(|open| open.listed(&state)).map(AnyFile::Nodes);
        // The edit that adds a file may say more of it.
        let added = added.into_iter().filter_map(|file| match file {
            AnyFile::Rows(open) => open.listed(&state).map(AnyFile::Rows),
            AnyFile::Nodes(open) => open.listed(&state).map(AnyFile::Nodes),
        });
        let files: Vec<AnyFile> = rows.chain(nodes).chain(added).collect();
        FileSet::new(state, files)
    }
}
