//! The `tidelog` command.

#[allow(
    dead_code,
    unused_imports,
    reason = "the commands that call these layers are not there yet"
)]
mod input;
#[allow(
    dead_code,
    unused_imports,
    reason = "the commands that call these layers are not there yet"
)]
mod print;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod test_rows;
#[allow(
    dead_code,
    unused_imports,
    reason = "the commands that call these layers are not there yet"
)]
mod time;

fn main() {}
