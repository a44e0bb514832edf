//! Policies as components: what is loaded and what is not, what hostile ones get away with, how they are swapped.

mod built;
mod equal;
mod hostile;
#[cfg(target_os = "linux")]
mod linux;
mod load;
mod swap;
mod wit;
