//! Things with one home: files, maps, clocks, randomness, unsafe; and what stands nowhere.

use crate::source::{rust, rust_under};

/// What may stand only in some files of the crates below `core`. Tests at the foot are free.
const HOMES: [(&[&str], &[&str]); 9] = [
    // Certificates speak of the time that they are valid; what time it is, is asked in one place.
    (&["SystemTime"], &["core/engine/src/clock.rs", "core/replica/src/"]),
    (
        &["SystemTime::now", "UnixTime::now"],
        &["core/engine/src/clock.rs", "core/replica/src/clock.rs"],
    ),
    (&["getrandom"], &["core/engine/src/clock.rs"]),
    // Threads and the driver of a replica sleep on real time; what they do then asks the clock, or is told the time.
    (
        &["Instant::now"],
        &[
            "core/engine/src/clock.rs",
            "core/engine/src/upkeep/threads.rs",
            "core/replica/src/driver/",
        ],
    ),
    // The replica reads its keys, its configuration and what a policy keeps, and no file of a store.
    (
        &["std::fs", "fs::"],
        &[
            "core/engine/src/disk/",
            "core/replica/src/identity/files.rs",
            "core/replica/src/topology/file.rs",
            "core/replica/src/driver/policy_files.rs",
        ],
    ),
    (&["memmap2", "unsafe "], &["core/engine/src/disk/map.rs"]),
    // A lock knows the process that took it.
    (&["std::process"], &["core/engine/src/disk/file.rs"]),
    (&["std::net", "tokio::net"], &["core/replica/src/"]),
    (&["std::env"], &[]),
];

#[test]
fn files_clocks_randomness_and_unsafe_have_one_home_each() {
    // Examples are programs of their own.
    for source in rust_under("core").into_iter().filter(|s| !s.path.contains("/examples/")) {
        for (line, code) in source.shipped() {
            for (words, homes) in HOMES {
                for word in words.iter().filter(|word| contains_word(&code, word)) {
                    let home = homes.iter().any(|home| source.path.starts_with(home));
                    assert!(home, "{}:{line}: {word} belongs in {homes:?}: {code}", source.path);
                }
            }
        }
    }
}

/// Each home is still one: a rule about an empty house proves nothing.
#[test]
fn each_home_is_lived_in() {
    let sources = rust_under("core");
    for (words, homes) in HOMES {
        for home in homes {
            let mut own = sources.iter().filter(|source| source.path.starts_with(home));
            let lived_in = own.any(|source| {
                source
                    .shipped()
                    .iter()
                    .any(|(_, code)| words.iter().any(|w| contains_word(code, w)))
            });
            assert!(lived_in, "{home} has none of {words:?}: take it off the list");
        }
    }
}

#[test]
fn the_model_reads_no_clock_file_or_thread() {
    let root = rust_under("core/model/src").into_iter().find(|s| s.path.ends_with("src/lib.rs"));
    assert!(root.unwrap().text.contains("#![no_std]"));
    for source in rust_under("core/model/src") {
        for (line, code) in source.shipped() {
            assert!(!contains_word(&code, "std::"), "{}:{line}: {code}", source.path);
        }
    }
}

#[test]
fn no_unfinished_work_and_no_debug_prints() {
    for source in rust() {
        for (line, code) in source.code() {
            for word in ["todo!", "unimplemented!", "dbg!"] {
                assert!(!contains_word(&code, word), "{}:{line}: {code}", source.path);
            }
        }
    }
}

#[test]
fn unsafe_is_denied_everywhere_and_expected_with_a_reason_in_its_home() {
    let manifest = std::fs::read_to_string(crate::source::root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
    for source in rust() {
        for (line, code) in source.code() {
            let lifts = code.contains("expect(unsafe_code") || code.contains("allow(unsafe_code");
            let homes = [
                "bindings/cpp/src/lib.rs",
                "core/engine/src/disk/map.rs",
                "ffi/src/abi/mod.rs",
                "plugins/ffi/src/abi/mod.rs",
                "plugins/host/src/cache.rs",
                "plugins/host/src/memory.rs",
                "plugins/host/src/windows.rs",
            ];
            let home = homes.contains(&source.path.as_str());
            assert!(!lifts || home, "{}:{line}: {code}", source.path);
        }
    }
}

/// What C hands in is touched in one folder of each C ABI.
#[test]
fn the_c_abi_is_safe_code_behind_its_edge() {
    for (folder, least) in [("ffi/src", 100), ("plugins/ffi/src", 30)] {
        let mut edge = 0;
        for source in rust_under(folder) {
            for (line, code) in source.shipped() {
                let words = ["unsafe ", "unsafe(", "extern \"C\""];
                let raw = words.iter().any(|word| code.contains(word));
                let home = source.path.starts_with(&format!("{folder}/abi/"));
                assert!(!raw || home, "{}:{line}: belongs in {folder}/abi: {code}", source.path);
                edge += usize::from(raw);
            }
        }
        assert!(edge > least, "only {edge} lines were found: is the folder right?");
    }
}

/// The word, and not the end of a longer one: `no_std::` is not `std::`.
fn contains_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || c == '_'))
    })
}
