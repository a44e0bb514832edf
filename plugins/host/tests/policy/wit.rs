//! A WIT package that was released is never edited: policies were built with it.

use tidelog_wasm::testing::WIT_TEXT;

/// The folder's files with their hashes, version by version. A change to a released one needs a new folder.
const RELEASED: [(&str, &str, &str); 1] =
    [("0.1", "policy.wit", "588df4b7f635e535616907a95fd44f465fabd309345b00f2f77160a7a2530a7e")];

#[test]
fn released_packages_are_as_they_were_released() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");
    let mut found = Vec::new();
    for version in std::fs::read_dir(root).unwrap() {
        let version = version.unwrap();
        for file in std::fs::read_dir(version.path()).unwrap() {
            let file = file.unwrap();
            let hash = blake3::hash(&std::fs::read(file.path()).unwrap());
            let name = |name: std::ffi::OsString| name.into_string().unwrap();
            found.push((name(version.file_name()), name(file.file_name()), hash.to_string()));
        }
    }
    found.sort();
    let want = RELEASED.map(|(version, file, hash)| (version.into(), file.into(), hash.into()));
    assert_eq!(found, want);
    assert!(WIT_TEXT.contains("package tidelog:policy@0.1.0;"));
}
