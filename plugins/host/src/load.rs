//! From a file to a policy that can be asked: read, verified, compiled, linked, tried.

use crate::bounds;
use crate::cache::{Cache, CacheError};
use crate::code::{self, Code};
use crate::golden::golden_round;
use crate::manifest::{Manifest, ManifestError};
use crate::policy::WasmPolicy;
use blake3::{Hash, Hasher};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidelog_model::policy::{PolicyError, PolicyErrorKind, check};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The largest component that is loaded, in bytes.
pub const WASM_BYTES_MAX: usize = 4 << 20;

const MANIFEST_BYTES_MAX: usize = 64 << 10;

/// A policy is tried on rounds of so many windows before it is used.
const TRIED_ON: [u32; 3] = [0, 1, 1_000];

/// What a component may import, and what it must export: names without their patch versions.
const IMPORTS: [&str; 2] = ["tidelog:policy/types@0.1.", "tidelog:policy/log@0.1."];
const EXPORT: &str = "tidelog:policy/repair@0.1.";

/// Loads policies.
#[derive(Debug, Default)]
pub struct Loader {
    cache: Option<Cache>,
}

impl Loader {
    /// Compiles each policy that it loads: tens of milliseconds for a small one.
    #[must_use]
    pub fn new() -> Self {
        Loader::default()
    }

    /// Keeps compiled code in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When others than this user can enter the folder, or when it cannot be used.
    pub fn with_cache(folder: &Path) -> Result<Self, CacheError> {
        Ok(Loader { cache: Some(Cache::open(folder)?) })
    }

    /// Loads a component by the manifest beside it: `policy.wasm` by `policy.toml`. Both are read once and whole: what
    /// becomes of the files later does not matter to a policy that runs. They are never written.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load_file(&self, path: &Path) -> Result<WasmPolicy, LoadError> {
        let beside = path.with_extension("toml");
        let text = read(&beside, MANIFEST_BYTES_MAX)?;
        let text = String::from_utf8(text).map_err(|error| LoadError::Read {
            path: beside.clone(),
            source: io::Error::new(io::ErrorKind::InvalidData, error),
        })?;
        let manifest = Manifest::parse(&text)
            .map_err(|source| LoadError::Manifest { path: beside, source })?;
        self.load(&read(path, WASM_BYTES_MAX)?, manifest)
    }

    /// Loads a component from memory. Blocks while it is compiled and tried.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(&self, wasm: &[u8], manifest: Manifest) -> Result<WasmPolicy, LoadError> {
        if wasm.len() > WASM_BYTES_MAX {
            return Err(LoadError::TooLarge { path: None });
        }
        let found = blake3::hash(wasm);
        if found != manifest.hash {
            return Err(LoadError::Hash { expected: manifest.hash, found });
        }
        let engine = code::engine(manifest.limits).map_err(compile)?;
        let key = key(&engine, &manifest);
        let kept = self.cache.as_ref().and_then(|cache| cache.load(&engine, key));
        if let Some(component) = &kept {
            // It was tried before it was kept, with the same limits; a plan follows from its round alone.
            let code = Code::new(manifest, component).map_err(link)?;
            return Ok(WasmPolicy::new(Arc::new(code)));
        }
        bounds::check(wasm)?;
        let component = Component::from_binary(&engine, wasm).map_err(compile)?;
        verify(&engine, &component)?;
        let code = Code::new(manifest, &component).map_err(link)?;
        code.check_types().map_err(link)?;
        try_out(&code)?;
        if let Some(cache) = &self.cache {
            cache.keep(key, &component);
        }
        Ok(WasmPolicy::new(Arc::new(code)))
    }
}

/// Why a policy is not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest is refused.
    #[error("{path}: {source}")]
    Manifest {
        /// Where it stands.
        path: PathBuf,
        /// Why.
        source: ManifestError,
    },
    /// A component has 4 MiB at most, a manifest 64 KiB.
    #[error("{} is too large: a component has 4 MiB at most, a manifest 64 KiB", shown(path))]
    TooLarge {
        /// The file, if it is one.
        path: Option<PathBuf>,
    },
    /// The component is not the one that the manifest means.
    #[error("the component has the hash {found}, and its manifest says {expected}")]
    Hash {
        /// What the manifest says.
        expected: Hash,
        /// What the component has.
        found: Hash,
    },
    /// It has more of something than is compiled: a compiler that is given too much is busy for minutes, or takes all memory.
    #[error(
        "{place} has {found} {what}, and a policy may have {max}: take out what it does not need"
    )]
    Bound {
        /// Where.
        place: String,
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much there may be.
        max: u64,
    },
    /// It cannot be compiled.
    #[error("not a component that can be compiled: {0}")]
    Compile(String),
    /// It wants something that policies do not get.
    #[error(
        "the component imports {name}, which policies do not get: they may import tidelog:policy/log@0.1.0 alone"
    )]
    Import {
        /// What it wants.
        name: String,
    },
    /// It is no policy, or for another version.
    #[error("the component exports {found}: a policy exports tidelog:policy/repair@0.1.0")]
    Export {
        /// What it has.
        found: String,
    },
    /// A function has another type than the WIT package says.
    #[error("the component does not fit tidelog:policy 0.1: {0}")]
    Types(String),
    /// It failed on a round that each policy is tried on.
    #[error("the policy failed on the sample round with {windows} windows: {source}")]
    Tried {
        /// How many windows.
        windows: u32,
        /// How.
        source: PolicyError,
    },
}

fn shown(path: &Option<PathBuf>) -> String {
    path.as_ref().map_or("the component".to_owned(), |path| path.display().to_string())
}

fn compile(error: wasmtime::Error) -> LoadError {
    LoadError::Compile(format!("{error:#}"))
}

fn link(error: wasmtime::Error) -> LoadError {
    LoadError::Types(format!("{error:#}"))
}

fn read(path: &Path, max: usize) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > max {
        return Err(LoadError::TooLarge { path: Some(path.to_owned()) });
    }
    Ok(bytes)
}

/// The export first: what is meant for another version wants other imports too.
fn verify(engine: &Engine, component: &Component) -> Result<(), LoadError> {
    let own = component.component_type();
    let exports: Vec<&str> = own.exports(engine).map(|(name, _)| name).collect();
    if !exports.iter().any(|name| name.starts_with(EXPORT)) {
        let found = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
        return Err(LoadError::Export { found });
    }
    for (name, _) in own.imports(engine) {
        if !IMPORTS.iter().any(|known| name.starts_with(known)) {
            return Err(LoadError::Import { name: name.to_owned() });
        }
    }
    Ok(())
}

/// A policy may say that it does not support a round; nothing else may go wrong.
fn try_out(code: &Code) -> Result<(), LoadError> {
    for windows in TRIED_ON {
        let round = golden_round(windows);
        let source = match code.plan(&round).0 {
            Ok(plan) => match check(&round, &plan) {
                Ok(_) => continue,
                Err(error) => PolicyError::new(PolicyErrorKind::Plan, error.to_string()),
            },
            Err(error) if error.kind == PolicyErrorKind::Unsupported => continue,
            Err(error) => error,
        };
        return Err(LoadError::Tried { windows, source });
    }
    Ok(())
}

/// Of all that compiled and tried code depends on.
fn key(engine: &Engine, manifest: &Manifest) -> Hash {
    struct Feed(Hasher);
    impl std::hash::Hasher for Feed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        fn finish(&self) -> u64 {
            0
        }
    }
    let mut feed = Feed(Hasher::new());
    feed.0.update(env!("CARGO_PKG_VERSION").as_bytes()).update(manifest.hash.as_bytes());
    feed.0.update(&(manifest.limits.memory_bytes as u64).to_le_bytes());
    feed.0.update(&manifest.limits.deadline.as_nanos().to_le_bytes());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut feed);
    feed.0.finalize()
}
