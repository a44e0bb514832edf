//! Replicas over a path that loses packets and is long: 1 % and 50 ms each way unless said otherwise, beside TCP over the same
//! path. See benches/SYNC.md. Needs root and `ip`.
//!
//!     cargo run --release -p tidelog-benches --features lossy --bin lossy -- DIRECTORY [LOSS_PER_10000] [DELAY_MS] [RUN...]
//!
//! Two network namespaces with a TUN each; this process carries packets between the two ([`relay`]), seeded. What sends and
//! what receives are processes of this program in the namespaces ([`roles`]).

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

mod path;
mod relay;
mod roles;

use path::Path;
use relay::Faults;
use std::path::PathBuf;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What goes one way and how it is called: the role of both sides, and its controller.
const RUNS: [(&str, &str, &str); 8] = [
    ("TCP, Cubic", "tcp", "cubic"),
    ("TCP, BBR", "tcp", "bbr"),
    ("frames over one link, Cubic", "frames", "cubic"),
    ("frames over one link, BBR", "frames", "bbr"),
    ("log catch-up, Cubic", "tail", "cubic"),
    ("log catch-up, BBR", "tail", "bbr"),
    ("empty store by comparison, Cubic", "full", "cubic"),
    ("empty store by comparison, BBR", "full", "bbr"),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "role") {
        return roles::run(&arguments[1..]);
    }
    let mut arguments = arguments.into_iter();
    let folder = PathBuf::from(arguments.next().ok_or("name a directory for stores")?);
    let lost_of_10000 = arguments.next().map_or(Ok(100), |text| text.parse())?;
    let delay = arguments.next().map_or(Ok(50), |text| text.parse())?;
    let wanted: Vec<String> = arguments.collect();
    let faults = Faults { lost_of_10000, delay: Duration::from_millis(delay) };
    println!("{:.2} % loss and {delay} ms each way", f64::from(lost_of_10000) / 100.0);
    let mut yardstick = None;
    for (what, role, controller) in RUNS {
        let named = |name: &String| name == role || *name == format!("{role}-{controller}");
        if !wanted.is_empty() && !wanted.iter().any(named) {
            continue;
        }
        std::fs::create_dir_all(&folder)?;
        // A path of its own for each run, so that all begin with the same losses.
        let path = Path::new(faults)?;
        let moved = path.run(role, controller, &folder)?;
        let rate = moved.bytes / moved.seconds / 1e6;
        let against = *yardstick.get_or_insert(rate);
        println!(
            "{what:<36} {:>10.0} B {:>8.2} s {rate:>9.3} MB/s {:>6.1} x",
            moved.bytes,
            moved.seconds,
            rate / against
        );
    }
    Ok(())
}
