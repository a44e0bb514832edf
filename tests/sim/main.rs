//! Replicas in a simulated world: whatever happens to disks, clocks and the network, at rest all of them hold what was
//! acknowledged, and nothing else.

#![allow(unreachable_pub, dead_code)]

mod damage;
mod figures;
mod first;
mod history;
mod liar;
mod members;
mod net;
mod pace;
mod plant;
mod policy;
mod progress;
mod regress;
mod rest;
mod rounds;
mod seeds;
mod settled;
mod snapshot;
mod twin;
mod world;
