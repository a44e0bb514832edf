//! All files and directories of a simulated disk, and what the calls of the seam do to them.
//!
//! Nothing here fails on purpose, counts or locks: that is the business of the disk around it.

use super::content::Content;
use super::directory::{Directory, Effect, NodeId};
use super::fault::{EEXIST, EFBIG, EISDIR, ENOENT, ENOTDIR, os_error};
use super::journal::{Fate, Sequence};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// Files longer than this are refused, before a test asks for more memory than there is.
const LEN_MAX: u64 = 1 << 30;

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(Content),
    Directory(Directory),
}

/// The nodes, by id; [`ROOT`] is the store's own directory.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) nodes: BTreeMap<NodeId, Node>,
    next_node: u64,
    next_sequence: Sequence,
}

pub(super) const ROOT: NodeId = NodeId(0);

impl Tree {
    pub(super) fn new() -> Self {
        let root = Node::Directory(Directory::settled(BTreeMap::new()));
        Tree { nodes: BTreeMap::from([(ROOT, root)]), next_node: 1, next_sequence: 1 }
    }

    /// A tree of settled nodes, with ids that go on where `self`'s stop.
    pub(super) fn with_nodes(&self, nodes: BTreeMap<NodeId, Node>) -> Self {
        Tree { nodes, next_node: self.next_node, next_sequence: self.next_sequence }
    }

    /// The same tree for another process: without anybody's open handles.
    pub(super) fn without_handles(&self) -> Self {
        let mut tree = self.clone();
        for node in tree.nodes.values_mut() {
            if let Node::File(content) = node {
                content.handles = Arc::new(());
            }
        }
        tree
    }

    pub(super) fn find(&self, path: &str) -> io::Result<NodeId> {
        if path.is_empty() {
            return Ok(ROOT);
        }
        let (parent, name) = self.parent(path)?;
        self.directory(parent)?.live.get(name).copied().ok_or_else(|| os_error(ENOENT))
    }

    pub(super) fn find_file(&self, path: &str) -> io::Result<NodeId> {
        let node = self.find(path)?;
        match self.nodes.get(&node) {
            Some(Node::File(_)) => Ok(node),
            _ => Err(os_error(EISDIR)),
        }
    }

    /// The directory that holds the last part of a path, and that part.
    fn parent<'p>(&self, path: &'p str) -> io::Result<(NodeId, &'p str)> {
        let (parents, name) = path.rsplit_once('/').map_or((None, path), |(a, b)| (Some(a), b));
        // The engine makes its paths from numbers; one that leaves the directory is a bug there.
        if matches!(name, "" | "." | "..") {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("path {path:?}")));
        }
        let parent = parents.map_or(Ok(ROOT), |parents| self.find(parents))?;
        self.directory(parent)?;
        Ok((parent, name))
    }

    pub(super) fn directory(&self, node: NodeId) -> io::Result<&Directory> {
        match self.nodes.get(&node) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(os_error(ENOTDIR)),
            None => Err(os_error(ENOENT)),
        }
    }

    /// An open file: it stays while it has handles, so this cannot miss.
    pub(super) fn content(&self, node: NodeId) -> &Content {
        match self.nodes.get(&node) {
            Some(Node::File(content)) => content,
            _ => unreachable!("{node:?} is an open file"),
        }
    }

    fn edit<R>(&mut self, node: NodeId, act: impl FnOnce(&mut Content, &mut Sequence) -> R) -> R {
        match self.nodes.get_mut(&node) {
            Some(Node::File(content)) => act(content, &mut self.next_sequence),
            _ => unreachable!("{node:?} is an open file"),
        }
    }

    fn change(
        &mut self,
        directory: NodeId,
        effect: Effect,
        other: Option<(NodeId, Sequence)>,
    ) -> (NodeId, Sequence) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        match self.nodes.get_mut(&directory) {
            Some(Node::Directory(names)) => names.change(directory, sequence, effect, other),
            _ => unreachable!("{directory:?} is a directory: it was looked up"),
        }
        (directory, sequence)
    }

    fn add(&mut self, path: &str, node: Node) -> io::Result<NodeId> {
        let (parent, name) = self.parent(path)?;
        if self.directory(parent)?.live.contains_key(name) {
            return Err(os_error(EEXIST));
        }
        let id = NodeId(self.next_node);
        self.next_node += 1;
        self.nodes.insert(id, node);
        self.change(parent, Effect::Add { name: name.into(), node: id }, None);
        Ok(id)
    }

    pub(super) fn create_dir(&mut self, path: &str) -> io::Result<()> {
        if let Ok(node) = self.find(path)
            && self.directory(node).is_ok()
        {
            return Ok(());
        }
        self.add(path, Node::Directory(Directory::settled(BTreeMap::new()))).map(|_| ())
    }

    pub(super) fn create(&mut self, path: &str) -> io::Result<NodeId> {
        self.add(path, Node::File(Content::settled(Arc::default())))
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let node = self.find(from)?;
        if self.directory(node).is_ok() {
            // No part of the seam needs it, and its crash states would be a chapter of their own.
            return Err(io::Error::new(io::ErrorKind::Unsupported, "renames a directory"));
        }
        let ((source, old), (target, new)) = (self.parent(from)?, self.parent(to)?);
        match self.directory(target)?.live.get(new) {
            Some(replaced) if *replaced == node => return Ok(()),
            Some(replaced) if self.directory(*replaced).is_ok() => {
                return Err(os_error(EISDIR));
            }
            _ => {}
        }
        if source == target {
            let effect = Effect::Move { from: old.into(), to: new.into(), node };
            self.change(source, effect, None);
        } else {
            // Each directory is synced by itself, so the file may be found in both, never in none.
            let arrival = self.change(target, Effect::Add { name: new.into(), node }, None);
            self.change(source, Effect::Drop { name: old.into() }, Some(arrival));
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> io::Result<()> {
        self.find_file(path)?;
        let (parent, name) = self.parent(path)?;
        self.change(parent, Effect::Drop { name: name.into() }, None);
        Ok(())
    }

    pub(super) fn list(&self, path: &str) -> io::Result<Vec<String>> {
        match self.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            node => Ok(self.directory(node?)?.live.keys().cloned().collect()),
        }
    }

    pub(super) fn write(&mut self, node: NodeId, bytes: &[u8], offset: u64) -> io::Result<()> {
        check_len(offset.checked_add(bytes.len() as u64))?;
        self.edit(node, |content, sequence| content.write(sequence, bytes, offset));
        Ok(())
    }

    pub(super) fn grow(&mut self, node: NodeId, to: u64) {
        self.edit(node, |content, sequence| content.grow(sequence, to));
    }

    pub(super) fn set_len(&mut self, node: NodeId, len: u64) -> io::Result<()> {
        check_len(Some(len))?;
        self.edit(node, |content, sequence| content.set_len(sequence, len));
        Ok(())
    }

    pub(super) fn sync(&mut self, node: NodeId) {
        self.edit(node, |content, _| content.sync());
    }

    pub(super) fn fail_sync(&mut self, node: NodeId) {
        self.edit(node, |content, _| content.fail_sync());
    }

    pub(super) fn sync_dir(&mut self, directory: NodeId) {
        let Some(Node::Directory(names)) = self.nodes.get(&directory) else { return };
        let open: Vec<Sequence> = names.changes.iter().map(|pending| pending.sequence).collect();
        for sequence in open {
            self.settle(directory, sequence);
        }
        for node in self.nodes.values_mut() {
            if let Node::Directory(names) = node {
                names.collapse();
            }
        }
        self.forget_unreachable();
    }

    pub(super) fn fail_sync_dir(&mut self, directory: NodeId) {
        if let Some(Node::Directory(names)) = self.nodes.get_mut(&directory) {
            names.changes.settle(Fate::Stuck);
        }
    }

    /// Makes a change certain, and what it needs; stuck when that is. True when it is certain.
    fn settle(&mut self, directory: NodeId, sequence: Sequence) -> bool {
        let Some(Node::Directory(names)) = self.nodes.get(&directory) else { return true };
        // A change that is no longer in the journal is durable.
        let Some(pending) = names.changes.find(sequence) else { return true };
        if pending.fate != Fate::Open {
            return pending.fate == Fate::Certain;
        }
        let needs = pending.op.needs.clone();
        let certain = needs.into_iter().all(|(node, needed)| self.settle(node, needed));
        if let Some(Node::Directory(names)) = self.nodes.get_mut(&directory)
            && let Some(pending) = names.changes.find_mut(sequence)
        {
            pending.fate = if certain { Fate::Certain } else { Fate::Stuck };
        }
        certain
    }

    /// Makes all names durable, whatever happened to them.
    pub(super) fn settle_names(&mut self) {
        for node in self.nodes.values_mut() {
            if let Node::Directory(names) = node {
                *names = Directory::settled(std::mem::take(&mut names.live));
            }
        }
    }

    /// Changes the bytes of a file in both images.
    pub(super) fn damage(&mut self, node: NodeId, act: impl FnOnce(&mut Vec<u8>)) {
        self.edit(node, |content, _| content.damage(act));
    }

    /// Drops removed files that nobody has open and no crash brings back.
    fn forget_unreachable(&mut self) {
        let reachable = self.reachable();
        self.nodes.retain(|id, node| {
            let open =
                matches!(node, Node::File(content) if Arc::strong_count(&content.handles) > 1);
            open || reachable.contains(id)
        });
    }

    /// Every node that the process or any crash state can find.
    pub(super) fn reachable(&self) -> BTreeSet<NodeId> {
        let (mut seen, mut next) = (BTreeSet::from([ROOT]), vec![ROOT]);
        while let Some(node) = next.pop() {
            if let Ok(directory) = self.directory(node) {
                next.extend(directory.all_nodes().filter(|child| seen.insert(*child)));
            }
        }
        seen
    }

    /// Every live file and directory with its path, parents first, names in order.
    pub(super) fn walk(&self) -> Vec<(String, &Node)> {
        let mut found = Vec::new();
        self.walk_into(ROOT, "", &mut found);
        found
    }

    fn walk_into<'t>(&'t self, node: NodeId, path: &str, found: &mut Vec<(String, &'t Node)>) {
        let Ok(directory) = self.directory(node) else { return };
        for (name, child) in &directory.live {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            if let Some(node) = self.nodes.get(child) {
                found.push((path.clone(), node));
            }
            self.walk_into(*child, &path, found);
        }
    }

    /// Bytes in files that have a name.
    pub(super) fn live_bytes(&self) -> u64 {
        let len = |(_, node): (String, &Node)| match node {
            Node::File(content) => content.len(),
            Node::Directory(_) => 0,
        };
        self.walk().into_iter().map(len).sum()
    }
}

fn check_len(len: Option<u64>) -> io::Result<()> {
    match len {
        Some(len) if len <= LEN_MAX => Ok(()),
        _ => Err(os_error(EFBIG)),
    }
}
