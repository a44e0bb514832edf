//! The project's Rust files, and what is code in them.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the project: its path from the root, and its text.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Where the project's own Rust stands.
pub(crate) const ROOTS: [&str; 6] = ["core", "ffi", "bindings", "plugins", "tests", "benches/src"];

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_owned()
}

/// Every Rust file of the project, sorted by path.
pub(crate) fn rust() -> Vec<Source> {
    let mut found = Vec::new();
    for start in ROOTS {
        collect(&root().join(start), &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 100, "only {} files found: is the root right?", found.len());
    found
}

/// Rust files below one folder.
pub(crate) fn rust_under(folder: &str) -> Vec<Source> {
    let folder = format!("{folder}/");
    rust().into_iter().filter(|source| source.path.starts_with(&folder)).collect()
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && name != "fuzz" && !name.starts_with('.') {
                collect(&path, found);
            }
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            found.push(Source { path, text });
        }
    }
}

impl Source {
    /// The lines with their numbers, strings and comments blanked out, so that words in them do not count.
    pub(crate) fn code(&self) -> Vec<(usize, String)> {
        blank(&self.text).lines().map(str::to_owned).enumerate().map(|(n, l)| (n + 1, l)).collect()
    }

    /// The code before the unit tests at the foot.
    pub(crate) fn shipped(&self) -> Vec<(usize, String)> {
        if self.is_test() {
            return Vec::new();
        }
        let mut code = self.code();
        let tests = code.windows(2).position(|pair| {
            let module = pair[1].1.starts_with("mod ") && pair[1].1.ends_with('{');
            pair[0].1 == "#[cfg(test)]" && module
        });
        code.truncate(tests.unwrap_or(code.len()));
        code
    }

    /// A file that only tests see.
    pub(crate) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || name == "tests.rs"
            || name.starts_with("test_")
            || name == "round_trip.rs"
    }
}

/// Comments, strings and character literals replaced by spaces; lines stay where they are.
pub(crate) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match literal_end(bytes, at) {
            Some(end) => end,
            None => {
                out.push(bytes[at]);
                at += 1;
                continue;
            }
        };
        out.extend(bytes[at..end].iter().map(|b| if *b == b'\n' { b'\n' } else { b' ' }));
        at = end;
    }
    String::from_utf8(out).expect("only whole literals are replaced")
}

/// The end of the comment, string or character that starts here.
fn literal_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let find = |from: usize, what: &[u8]| {
        let hit = rest[from..].windows(what.len()).position(|window| window == what);
        at + hit.map_or(rest.len(), |hit| from + hit + what.len())
    };
    let before = at.checked_sub(1).map(|before| bytes[before]);
    let in_word = before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    if rest.starts_with(b"//") {
        return Some(at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return Some(find(2, b"*/"));
    }
    let raw = if rest.starts_with(b"br") { 2 } else { 1 };
    if !in_word && (rest.starts_with(b"r\"") || rest.starts_with(b"r#") || raw == 2) {
        let hashes = rest[raw..].iter().take_while(|b| **b == b'#').count();
        if rest.get(raw + hashes) == Some(&b'"') {
            let close = [&b"\""[..], &vec![b'#'; hashes]].concat();
            return Some(find(raw + hashes + 1, &close));
        }
    }
    if rest[0] == b'"' {
        return Some(at + quoted_end(rest, b'"'));
    }
    // A character, and not a lifetime: it closes after one character or an escape.
    if rest[0] == b'\'' {
        if rest.get(1) == Some(&b'\\') {
            return Some(at + quoted_end(rest, b'\''));
        }
        let text = std::str::from_utf8(&rest[1..rest.len().min(6)]);
        let text = text.or_else(|e| std::str::from_utf8(&rest[1..1 + e.valid_up_to()])).ok()?;
        let width = text.chars().next()?.len_utf8();
        return (rest.get(1 + width) == Some(&b'\'')).then_some(at + width + 2);
    }
    None
}

fn quoted_end(rest: &[u8], quote: u8) -> usize {
    let mut end = 1;
    while end < rest.len() && rest[end] != quote {
        end += if rest[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(rest.len())
}

#[test]
fn words_in_comments_and_strings_do_not_count() {
    let text = "a // unsafe\nb \"uns\\\"afe\" c r#\"unsafe \" \"# d 'u' '\\'' &'a x /* unsafe */ e";
    let code = blank(text);
    assert!(!code.contains("unsafe"), "{code}");
    for word in ["a ", "b ", " c ", " d ", "&'a x", " e"] {
        assert!(code.contains(word), "{word:?} in {code:?}");
    }
    assert_eq!(code.lines().count(), 2);
}
