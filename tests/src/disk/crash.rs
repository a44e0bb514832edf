//! What a disk may hold after the power failed: each un-synced operation survives, is lost, or, when
//! it is a write of several sectors, is torn.

use super::SimDisk;
use super::content::{Content, Edit};
use super::directory::{Directory, Effect, NodeId};
use super::journal::{Pending, Sequence};
use super::tree::{Node, ROOT, Tree};
use crate::random::SplitMix;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// What becomes of one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pick {
    Lose,
    Keep,
    FirstHalf,
    SecondHalf,
    /// Every other sector.
    Alternate,
    AllButLast,
    /// Sectors by a seed.
    Scatter(u64),
}

impl Pick {
    /// Does this sector of so many survive?
    fn keeps(self, sector: u64, of: u64) -> bool {
        match self {
            Pick::Lose => false,
            Pick::Keep => true,
            Pick::FirstHalf => sector < of / 2,
            Pick::SecondHalf => sector >= of / 2,
            Pick::Alternate => sector.is_multiple_of(2),
            Pick::AllButLast => sector + 1 < of,
            Pick::Scatter(seed) => SplitMix::new(seed ^ (sector << 32)).draw() & 1 == 1,
        }
    }

    /// What is tried for an operation of so many sectors: every subset of one and two.
    fn options(sectors: u64) -> &'static [Pick] {
        use Pick::{AllButLast, Alternate, FirstHalf, Keep, Lose, SecondHalf};
        match sectors {
            0 | 1 => &[Lose, Keep],
            2 => &[Lose, Keep, FirstHalf, SecondHalf],
            _ => &[Lose, Keep, FirstHalf, SecondHalf, Alternate, AllButLast],
        }
    }
}

/// One operation that may be lost.
#[derive(Clone, Debug)]
pub(super) struct Point {
    sequence: Sequence,
    sectors: u64,
    text: String,
}

/// The operations that may be lost, in the order they were made.
pub(super) fn points(tree: &Tree) -> Vec<Point> {
    let names: BTreeMap<NodeId, String> = names(tree);
    let mut points = Vec::new();
    for node in tree.reachable() {
        let name = names.get(&node).map_or("a file without a name", String::as_str);
        match tree.nodes.get(&node) {
            Some(Node::File(content)) => points.extend(content.edits.uncertain().map(|pending| {
                let text = describe_edit(name, &pending.op);
                Point { sequence: pending.sequence, sectors: pending.op.sectors(), text }
            })),
            Some(Node::Directory(directory)) => {
                points.extend(directory.changes.uncertain().map(|pending| {
                    let text = describe_change(name, &pending.op.effect);
                    Point { sequence: pending.sequence, sectors: 1, text }
                }));
            }
            None => {}
        }
    }
    points.sort_by_key(|point| point.sequence);
    points
}

/// Some path of every reachable node, for messages.
fn names(tree: &Tree) -> BTreeMap<NodeId, String> {
    let mut names = BTreeMap::from([(ROOT, "the root".to_string())]);
    let mut next = vec![(ROOT, String::new())];
    while let Some((node, path)) = next.pop() {
        let Ok(directory) = tree.directory(node) else { continue };
        let pending = directory.changes.iter().filter_map(|pending| match &pending.op.effect {
            Effect::Add { name, node } | Effect::Move { to: name, node, .. } => Some((name, node)),
            Effect::Drop { .. } => None,
        });
        for (name, child) in directory.live.iter().chain(pending) {
            if !names.contains_key(child) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                names.insert(*child, path.clone());
                next.push((*child, path));
            }
        }
    }
    names
}

fn describe_edit(name: &str, edit: &Edit) -> String {
    match edit {
        Edit::Write { offset, bytes } => format!("write {name} {offset}+{}", bytes.len()),
        Edit::Grow { to } => format!("grow {name} to {to}"),
        Edit::SetLen { len } => format!("set length of {name} to {len}"),
    }
}

fn describe_change(directory: &str, effect: &Effect) -> String {
    match effect {
        Effect::Add { name, .. } => format!("add {name} to {directory}"),
        Effect::Drop { name } => format!("drop {name} from {directory}"),
        Effect::Move { from, to, .. } => format!("rename {from} to {to} in {directory}"),
    }
}

/// How many ways there are to choose; the largest number when it does not fit.
fn count_choices(points: &[Point]) -> u128 {
    let options = points.iter().map(|point| Pick::options(point.sectors).len() as u128);
    options.fold(1, u128::saturating_mul)
}

/// The tree after a crash, `picks` in the order of `points`.
fn crash(tree: &Tree, points: &[Point], picks: &[Pick]) -> Tree {
    let by_sequence: BTreeMap<Sequence, Pick> =
        points.iter().map(|point| point.sequence).zip(picks.iter().copied()).collect();
    let pick = |sequence| by_sequence.get(&sequence).copied().unwrap_or(Pick::Keep);
    let mut nodes = BTreeMap::new();
    let mut next = vec![ROOT];
    while let Some(id) = next.pop() {
        let node = match tree.nodes.get(&id) {
            Some(Node::File(content)) => {
                let survives =
                    |pending: &Pending<Edit>, sector, of| pick(pending.sequence).keeps(sector, of);
                Node::File(Content::settled(content.after_crash(survives)))
            }
            Some(Node::Directory(directory)) => {
                let entries = directory
                    .after_crash(|pending| change_survives(tree, pending.sequence, id, &pick));
                let new = entries.values().copied().filter(|child| !nodes.contains_key(child));
                next.extend(new);
                Node::Directory(Directory::settled(entries))
            }
            None => continue,
        };
        nodes.insert(id, node);
    }
    tree.with_nodes(nodes)
}

/// A change survives when it is picked and all that it needs survives.
fn change_survives(
    tree: &Tree,
    sequence: Sequence,
    directory: NodeId,
    pick: &impl Fn(Sequence) -> Pick,
) -> bool {
    let Ok(names) = tree.directory(directory) else { return true };
    // A change that is no longer in the journal is durable.
    let Some(pending) = names.changes.find(sequence) else { return true };
    pick(sequence) != Pick::Lose
        && pending.op.needs.iter().all(|(node, needed)| change_survives(tree, *needed, *node, pick))
}

/// How a disk came out of a crash.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    points: Arc<[Point]>,
    picks: Vec<Pick>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (point, pick) in self.points.iter().zip(&self.picks) {
            writeln!(f, "{:?}: {}", pick, point.text)?;
        }
        Ok(())
    }
}

/// The disks that a power failure may leave behind, each different from the others.
///
/// All of them when the choices are at most the limit; else as many as the limit: nothing kept, all
/// kept, each operation lost alone and kept alone, everything up to each operation (which is torn),
/// then random ones from a fixed seed.
#[derive(Clone, Debug)]
pub struct CrashStates {
    tree: Tree,
    points: Arc<[Point]>,
    choices: u128,
    limit: usize,
    tried: u128,
    seen: HashSet<u64>,
}

impl CrashStates {
    pub(super) fn new(tree: &Tree, limit: usize) -> Self {
        let points: Arc<[Point]> = points(tree).into();
        let choices = count_choices(&points);
        let tree = tree.without_handles();
        CrashStates { tree, points, choices, limit, tried: 0, seen: HashSet::new() }
    }

    /// How many ways there are to choose what survives. Several may leave equal disks.
    #[must_use]
    pub fn choices(&self) -> u128 {
        self.choices
    }

    /// Are all choices tried?
    #[must_use]
    pub fn is_exhaustive(&self) -> bool {
        self.choices <= self.limit as u128
    }

    /// How many different disks there were so far.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.seen.len()
    }

    /// The picks of the next try; `None` when there is none left.
    fn picks(&self) -> Option<Vec<Pick>> {
        if self.is_exhaustive() {
            return (self.tried < self.choices).then(|| self.nth_choice(self.tried));
        }
        // Different picks often leave equal disks; a disk with few may never reach the limit.
        let exhausted = self.tried >= self.limit as u128 * 4 || self.distinct() >= self.limit;
        let nth = usize::try_from(self.tried).unwrap_or(usize::MAX);
        (!exhausted).then(|| self.sample(nth))
    }

    /// The digits of `nth` in a number system whose bases are the points' options.
    fn nth_choice(&self, mut nth: u128) -> Vec<Pick> {
        let mut picks = Vec::with_capacity(self.points.len());
        for point in self.points.iter() {
            let options = Pick::options(point.sectors);
            picks.push(options[(nth % options.len() as u128) as usize]);
            nth /= options.len() as u128;
        }
        picks
    }

    fn sample(&self, nth: usize) -> Vec<Pick> {
        let points = self.points.len();
        let all_but = |index: usize, others: Pick, own: Pick| {
            (0..points).map(|point| if point == index { own } else { others }).collect()
        };
        match nth {
            0 => vec![Pick::Lose; points],
            1 => vec![Pick::Keep; points],
            _ => match ((nth - 2) / 3, (nth - 2) % 3) {
                (index, _) if index >= points => random_picks(&self.points, nth as u64),
                (index, 0) => all_but(index, Pick::Keep, Pick::Lose),
                (index, 1) => all_but(index, Pick::Lose, Pick::Keep),
                (index, _) => {
                    let mut picks = vec![Pick::Lose; points];
                    picks[..index].fill(Pick::Keep);
                    if self.points[index].sectors > 1 {
                        picks[index] = Pick::FirstHalf;
                    }
                    picks
                }
            },
        }
    }
}

impl Iterator for CrashStates {
    type Item = SimDisk;

    fn next(&mut self) -> Option<SimDisk> {
        loop {
            let picks = self.picks()?;
            self.tried += 1;
            let tree = crash(&self.tree, &self.points, &picks);
            if self.seen.insert(digest(&tree)) {
                let origin = Origin { points: Arc::clone(&self.points), picks };
                return Some(SimDisk::from_tree(tree, Some(origin)));
            }
        }
    }
}

/// `24 crash states of 32 choices, all tried`.
impl fmt::Display for CrashStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match (self.is_exhaustive(), self.tried == self.choices) {
            (true, true) => "all tried".into(),
            (true, false) => format!("{} tried", self.tried),
            (false, _) => format!("{} sampled", self.tried),
        };
        write!(f, "{} crash states of {} choices, {how}", self.distinct(), self.choices)
    }
}

/// One crash whose picks come from a seed; how much survives is drawn too, from little to most.
pub(super) fn random(tree: &Tree, seed: u64) -> SimDisk {
    let points: Arc<[Point]> = points(tree).into();
    let picks = random_picks(&points, seed);
    one(tree, points, picks)
}

/// One crash with the same pick for every operation.
pub(super) fn uniform(tree: &Tree, pick: Pick) -> SimDisk {
    let points: Arc<[Point]> = points(tree).into();
    let picks = vec![pick; points.len()];
    one(tree, points, picks)
}

fn one(tree: &Tree, points: Arc<[Point]>, picks: Vec<Pick>) -> SimDisk {
    let after = crash(tree, &points, &picks);
    SimDisk::from_tree(after, Some(Origin { points, picks }))
}

fn random_picks(points: &[Point], seed: u64) -> Vec<Pick> {
    let mut random = SplitMix::new(seed);
    let kept_of_eight = 1 + random.below(7);
    points
        .iter()
        .map(|point| match random.below(8) < kept_of_eight {
            true if point.sectors > 1 && random.below(2) == 0 => Pick::Scatter(random.draw()),
            true => Pick::Keep,
            false => Pick::Lose,
        })
        .collect()
}

/// Equal for equal disks: names, and what is in the files.
fn digest(tree: &Tree) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut shared = BTreeSet::new();
    for (path, node) in tree.walk() {
        path.hash(&mut hasher);
        match node {
            Node::File(content) => {
                content.live.hash(&mut hasher);
                // Two names of one file are not two files.
                shared.insert(Arc::as_ptr(&content.handles)).hash(&mut hasher);
            }
            Node::Directory(_) => u64::MAX.hash(&mut hasher),
        }
    }
    hasher.finish()
}
