//! The `tidelog` command.

#[allow(
    dead_code,
    unused_imports,
    reason = "the commands that call these layers are not there yet"
)]
mod print;
#[allow(
    dead_code,
    unused_imports,
    reason = "the commands that call these layers are not there yet"
)]
mod time;

fn main() {}
