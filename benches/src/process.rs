//! What the kernel says about a process and a directory. Linux only.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The most memory this process has held resident, in bytes (`VmHWM`).
pub fn peak_resident_bytes() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|kib| kib.parse::<u64>().ok())
        .map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other("/proc/self/status names no VmHWM"))
}

/// Bytes of a directory tree.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct DiskBytes {
    /// By length of files and directories, as `du -sb`.
    pub apparent: u64,
    /// By blocks allocated, as `du -s --block-size=1`: less when a file is sparse.
    pub allocated: u64,
}

/// Measures a directory tree.
pub fn disk_bytes(path: &Path) -> io::Result<DiskBytes> {
    let metadata = path.symlink_metadata()?;
    let mut bytes = DiskBytes { apparent: metadata.len(), allocated: metadata.blocks() * 512 };
    if metadata.is_dir() {
        for entry in path.read_dir()? {
            let below = disk_bytes(&entry?.path())?;
            bytes.apparent += below.apparent;
            bytes.allocated += below.allocated;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_more_than_a_megabyte() {
        assert!(peak_resident_bytes().unwrap() > 1 << 20);
    }

    #[test]
    fn a_directory_is_at_least_its_files() {
        let own_source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let file = own_source.join("process.rs");
        let file_bytes = disk_bytes(&file).unwrap();
        assert_eq!(file_bytes.apparent, file.metadata().unwrap().len());
        assert!(disk_bytes(&own_source).unwrap().apparent > file_bytes.apparent);
    }
}
