//! Nodes, and C++ classes that hear what happens with them.

use crate::bridge::edge::{EventHandler, hear};
use crate::failure::{Failure, run};
use crate::own::Own;
use crate::plain::{DroppedGroup, Event, NodeOptions, PolicyTable, RepairOptions, SyncOptions};
use crate::rows::Rows;
use crate::store::Store;
use cxx::UniquePtr;
use std::path::Path;
use std::time::Duration;
use tidelog_ffi::inside::{
    self, Fault, OpenNode, identity_create, policy_of, repair, replayed, settings,
    tidelog_dropped_group, utf8, visit,
};

/// How long the certificate of a key that is made here is good.
const DAYS: u32 = 3650;

pub struct Node(Own<OpenNode>);

pub fn create_identity(store: &Store, folder: &[u8], days: u32) -> Result<String, Failure> {
    run("tidelog::create_identity", || {
        let days = if days == 0 { DAYS } else { days };
        identity_create(store.get(), Path::new(utf8(folder, "folder")?), days)
    })
}

pub fn forget(store: &Store, config: &[u8], who: &[u8]) -> Result<[u8; 16], Failure> {
    run("tidelog::Store::forget", || {
        inside::forget(store.get(), Path::new(utf8(config, "config")?), utf8(who, "who")?)
    })
}

/// # Safety
/// The options are what the header says.
pub unsafe fn sync(store: &Store, options: &SyncOptions) -> Result<Box<Rows>, Failure> {
    run("tidelog::sync", || {
        // SAFETY: as promised to this function.
        let visit = unsafe { visit(&raw const options.0)? };
        Ok(Rows::boxed(inside::Rows::of_table(inside::sync(store.get(), &visit)?)))
    })
}

/// # Safety
/// The options are what the header says.
pub unsafe fn start(store: &Store, options: &NodeOptions) -> Result<Box<Node>, Failure> {
    run("tidelog::Node::start", || {
        // SAFETY: as promised to this function.
        let settings = unsafe { settings(&raw const options.0)? };
        Ok(Box::new(Node(Own::new(inside::start(store.get(), &store.path, settings)?))))
    })
}

/// # Safety
/// The table is what the header says.
pub unsafe fn replay_policy(table: &PolicyTable, recorded: &[u8]) -> Result<Box<Rows>, Failure> {
    run("tidelog::replay_policy", || {
        // SAFETY: as promised to this function.
        let table = unsafe { replayed(&raw const table.0, recorded)? };
        Ok(Rows::boxed(inside::Rows::of_table(table)))
    })
}

/// A handler of C++ on the thread of its node.
struct Hearing(UniquePtr<EventHandler>);

// SAFETY: one thread has it, and it is called there and dropped there; `EventHandler` says so to whoever writes one.
unsafe impl Send for Hearing {}

impl Hearing {
    /// What it throws ends it, for nobody could be told. C++ catches that, all of it: cxx knows std::exception only.
    fn hear(&mut self, event: &Event) -> bool {
        self.0.as_mut().is_some_and(|handler| hear(handler, event))
    }
}

impl Node {
    pub fn stop(&self) -> Result<(), Failure> {
        run("tidelog::Node::stop", || {
            self.0.stop();
            Ok(())
        })
    }

    pub fn address(&self) -> Result<String, Failure> {
        run("tidelog::Node::address", || self.0.address())
    }

    pub fn ready(&self, timeout_ns: u64) -> Result<bool, Failure> {
        run("tidelog::Node::ready", || self.0.ready(Duration::from_nanos(timeout_ns)))
    }

    pub fn status(&self) -> Result<Box<Rows>, Failure> {
        run("tidelog::Node::status", || Ok(Rows::boxed(inside::Rows::of_table(self.0.status()?))))
    }

    pub fn groups(&self) -> Result<Box<Rows>, Failure> {
        run("tidelog::Node::groups", || Ok(Rows::boxed(inside::Rows::of_table(self.0.groups()?))))
    }

    pub fn behind(&self) -> Result<Box<Rows>, Failure> {
        run("tidelog::Node::behind", || Ok(Rows::boxed(inside::Rows::of_table(self.0.behind()?))))
    }

    pub fn let_go(&self, who: &[u8]) -> Result<[u8; 16], Failure> {
        run("tidelog::Node::forget", || self.0.forget(utf8(who, "who")?))
    }

    pub fn drop_group(&self, group: u32) -> Result<DroppedGroup, Failure> {
        run("tidelog::Node::drop_group", || {
            let (rows, bytes) = self.0.drop_group(group)?;
            Ok(DroppedGroup(tidelog_dropped_group { struct_size: 0, group, rows, bytes }))
        })
    }

    /// # Safety
    /// The options are what the header says.
    pub unsafe fn repair(&self, options: &RepairOptions) -> Result<Box<Rows>, Failure> {
        run("tidelog::Node::repair", || {
            // SAFETY: as promised to this function.
            let table = unsafe { repair(&self.0, &raw const options.0)? };
            Ok(Rows::boxed(inside::Rows::of_table(table)))
        })
    }

    /// # Safety
    /// The table is NULL or what the header says.
    pub unsafe fn set_policy(&self, table: *const PolicyTable) -> Result<(), Failure> {
        run("tidelog::Node::set_policy", || {
            // SAFETY: as promised to this function; it is a table, and nothing beside it.
            let given = unsafe { policy_of(table.cast())? };
            self.0.set_policy(given)
        })
    }

    pub fn on_event(&self, handler: UniquePtr<EventHandler>) -> Result<(), Failure> {
        run("tidelog::Node::on_event", || {
            if handler.is_null() {
                return Err(Fault::argument("the handler is NULL: pass one that hears"));
            }
            let mut hearing = Hearing(handler);
            self.0.listen(move |heard| heard.tell(|event| hearing.hear(&Event(*event))))
        })
    }
}
