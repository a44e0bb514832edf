//! A topology from a file that is watched: what is wrong in it is reported, and what was there before stays.

use super::members::Members;
use super::{Config, ConfigError, NodeInfo, Topology};
use crate::trust::Pins;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidelog_model::{GroupEpoch, GroupId};
use tokio::sync::watch;

/// Read at most.
const BYTES_MAX: u64 = 1 << 20;

/// Answers from a TOML file.
///
/// The file is read again and compared, not waited for by the system's notices: those do not reach through network
/// file systems, bind mounts and renamed folders, and a small file costs nothing to read.
#[derive(Debug)]
pub struct FileTopology {
    path: PathBuf,
    started: Config,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    problems: watch::Sender<Option<Arc<ConfigError>>>,
}

#[derive(Debug)]
struct State {
    text: String,
    config: Arc<Config>,
    members: Members,
}

impl FileTopology {
    /// Reads the file. Blocks on the disk.
    ///
    /// # Errors
    /// [`ConfigError`] with file and line.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let config = Config::parse(&text, path)?;
        let members = Members::new(config.nodes());
        let started = config.clone();
        let state = State { text, config: Arc::new(config), members };
        Ok(FileTopology {
            path: path.to_owned(),
            started,
            state: Mutex::new(state),
            changes: watch::Sender::new(1),
            problems: watch::Sender::new(None),
        })
    }

    /// The configuration that holds now: the last one that was valid.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.state().config)
    }

    /// What is wrong with the file now, while an earlier configuration holds.
    #[must_use]
    pub fn problem(&self) -> Option<Arc<ConfigError>> {
        self.problems.borrow().clone()
    }

    /// The same, to wait for.
    #[must_use]
    pub fn problems(&self) -> watch::Receiver<Option<Arc<ConfigError>>> {
        self.problems.subscribe()
    }

    /// Does the file say something of this store that takes effect only when it starts again?
    #[must_use]
    pub fn needs_restart(&self) -> bool {
        let (now, then) = (self.config(), &self.started);
        let fixed = |config: &Config| {
            let node = config.node.clone();
            (node.listen, node.store, node.identity, node.authority, config.sync.clone())
        };
        fixed(&now) != fixed(then)
    }

    /// Reads the file again. `true` when something changed. Blocks on the disk.
    ///
    /// # Errors
    /// [`ConfigError`]: what held before holds on.
    pub fn reload(&self) -> Result<bool, ConfigError> {
        let reloaded = read(&self.path).and_then(|text| self.take(text));
        match &reloaded {
            Ok(_) => self.problems.send_if_modified(|problem| problem.take().is_some()),
            Err(error) => self.report(error),
        };
        reloaded
    }

    /// Reads the file again and again, for ever. Spawn it, and abort it to end it.
    pub async fn watch(self: Arc<Self>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let own = Arc::clone(&self);
            // An error is reported where it happens.
            let _ = tokio::task::spawn_blocking(move || own.reload().is_ok()).await;
        }
    }

    fn take(&self, text: String) -> Result<bool, ConfigError> {
        let mut state = self.state();
        if state.text == text {
            return Ok(false);
        }
        let config = Config::parse(&text, &self.path)?;
        let changed = *state.config != config;
        state.text = text;
        if changed {
            state.members.replace(config.nodes());
            state.config = Arc::new(config);
            drop(state);
            self.changes.send_modify(|number| *number += 1);
            if self.needs_restart() {
                tracing::warn!(path = %self.path.display(), "[node] or [sync] changed: that takes effect when this store starts again");
            }
        }
        Ok(changed)
    }

    fn report(&self, error: &ConfigError) -> bool {
        self.problems.send_if_modified(|problem| {
            let said = problem.as_ref().is_some_and(|known| known.to_string() == error.to_string());
            if !said {
                tracing::warn!(%error, "the configuration that held before holds on");
                *problem = Some(Arc::new(error.clone()));
            }
            !said
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topology for FileTopology {
    fn me(&self) -> Arc<NodeInfo> {
        self.state().members.me()
    }

    fn node(&self, name: &str) -> Option<Arc<NodeInfo>> {
        self.state().members.node(name)
    }

    fn nodes(&self) -> Vec<Arc<NodeInfo>> {
        self.state().members.all()
    }

    fn is_active(&self, name: &str) -> bool {
        self.state().members.is_active(name)
    }

    fn set_active(&self, name: &str, active: bool) {
        let changed = self.state().members.set_active(name, active);
        if changed {
            self.changes.send_modify(|number| *number += 1);
        }
    }

    fn epoch(&self, group: GroupId) -> GroupEpoch {
        self.config().epoch(group)
    }

    fn pins(&self) -> Pins {
        self.config().pins()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let io = |source| ConfigError::Io { path: path.to_owned(), source: Arc::new(source) };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned(), max: BYTES_MAX });
    }
    String::from_utf8(bytes).map_err(|error| io(io::Error::new(io::ErrorKind::InvalidData, error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Selection;
    use std::fs;

    const KEY: &str = "tl1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn text(groups: &str) -> String {
        format!(
            "[node]\nstore = \"s\"\nidentity = \"i\"\ngroups = [0, 1]\n[[peer]]\nname = \"b\"\naddress = \"b:1\"\nfingerprint = \"{KEY}\"\ngroups = {groups}\n"
        )
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tidelog.toml");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn names(nodes: &[Arc<NodeInfo>]) -> Vec<&str> {
        nodes.iter().map(|node| &*node.name).collect()
    }

    #[test]
    fn questions_are_answered_from_the_file() {
        let (_folder, path) = file(&text("[1, 2]"));
        let topology: &dyn Topology = &FileTopology::load(&path).unwrap();
        assert_eq!(topology.my_groups(), Selection::Only([GroupId(0), GroupId(1)].into()));
        assert_eq!(topology.my_shards(), topology.my_groups());
        assert_eq!(names(&topology.nodes()), ["b", "self"]);
        assert_eq!(names(&topology.replicas(GroupId(0))), ["self"]);
        assert_eq!(names(&topology.replicas(GroupId(1))), ["b", "self"]);
        assert_eq!(names(&topology.replicas(GroupId(2))), ["b"]);
        assert_eq!(names(&topology.active_replicas(GroupId(1))), ["self"]);
        let changes = topology.changes();
        topology.set_active("b", true);
        assert!(changes.has_changed().unwrap());
        assert_eq!(names(&topology.active_replicas(GroupId(1))), ["b", "self"]);
        topology.set_active("unknown", true);
        assert!(!topology.is_active("unknown") && topology.node("unknown").is_none());
        assert_eq!(topology.node("b").unwrap().address, "b:1");
        assert_eq!(topology.pins().peers().len(), 1);
    }

    #[tokio::test]
    async fn a_change_is_seen_and_an_invalid_one_keeps_what_held() {
        let (_folder, path) = file(&text("[1]"));
        let topology = Arc::new(FileTopology::load(&path).unwrap());
        topology.set_active("b", true);
        let watch = tokio::spawn(Arc::clone(&topology).watch(Duration::from_millis(5)));
        let wait = Duration::from_secs(10);
        let mut changes = topology.changes();
        let mut problems = topology.problems();

        fs::write(&path, text("[1, 2]")).unwrap();
        tokio::time::timeout(wait, changes.changed()).await.unwrap().unwrap();
        assert_eq!(topology.replicas(GroupId(2)).len(), 1);
        assert!(topology.is_active("b"), "a peer that stays stays active");
        assert!(!topology.needs_restart());

        fs::write(&path, text("\"al\"")).unwrap();
        tokio::time::timeout(wait, problems.changed()).await.unwrap().unwrap();
        let problem = topology.problem().unwrap().to_string();
        assert!(problem.contains("tidelog.toml:9: "), "{problem}");
        assert_eq!(topology.replicas(GroupId(2)).len(), 1, "what held holds on");

        fs::remove_file(&path).unwrap();
        tokio::time::timeout(wait, problems.changed()).await.unwrap().unwrap();
        assert!(topology.problem().unwrap().to_string().contains("check that it exists"));
        assert_eq!(topology.nodes().len(), 2);

        fs::write(&path, text("\"all\"").replace("\"s\"", "\"other\"")).unwrap();
        tokio::time::timeout(wait, changes.changed()).await.unwrap().unwrap();
        assert!(topology.needs_restart());
        fs::write(&path, format!("{}[sync]\nwindow = \"1d\"\n", text("[1, 2]"))).unwrap();
        tokio::time::timeout(wait, changes.changed()).await.unwrap().unwrap();
        assert!(topology.needs_restart(), "[sync] holds from the start on, too");
        tokio::time::timeout(wait, problems.wait_for(Option::is_none)).await.unwrap().unwrap();
        watch.abort();
    }

    #[test]
    fn a_file_that_is_no_configuration_is_refused() {
        let (_folder, path) = file("");
        fs::write(&path, vec![b'#'; BYTES_MAX as usize + 1]).unwrap();
        assert!(matches!(FileTopology::load(&path), Err(ConfigError::TooLarge { .. })));
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(FileTopology::load(&path), Err(ConfigError::Io { .. })));
    }
}
