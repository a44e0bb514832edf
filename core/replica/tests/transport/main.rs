//! Links over the loopback: what passes, what is held back, who is refused, what a hostile peer can do.

mod common;
mod flow;
mod hostile;
mod path;
mod trust;
