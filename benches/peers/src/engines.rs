//! The peers, one file each, with the settings they are measured with.

pub(crate) mod fjall;
pub(crate) mod redb;
pub(crate) mod sqlite;
pub(crate) mod tsink;

/// The version of a dependency as locked, for engines that do not tell.
fn locked_version(package: &str) -> String {
    let mut lines = include_str!("../Cargo.lock").lines();
    let name = format!("name = {package:?}");
    lines
        .find(|line| *line == name)
        .and_then(|_| lines.next()?.strip_prefix("version = \"")?.strip_suffix('"'))
        .expect("the engine stands in Cargo.lock")
        .to_owned()
}
