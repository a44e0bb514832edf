//! What Rust and C++ call of each other. Functions are unsafe where a plain struct brings pointers with it: the C++ classes set
//! those as `tidelog.h` says, and nobody else calls here.

use crate::batch::{Batch, batch};
use crate::copies::recover;
use crate::node::{Node, create_identity, forget, replay_policy, start, sync};
use crate::pin::{Hold, pin};
use crate::rows::Rows;
use crate::store::{Store, Ticket, open};
use crate::tail::{Tail, follow};

#[cxx::bridge(namespace = "tidelog::bridge")]
pub mod edge {
    /// A record of a tail.
    struct Told {
        /// Is there one?
        found: bool,
        kind: u32,
        collection: String,
        stamp: u64,
        position: Position,
        next: Position,
        rows: Box<Rows>,
    }

    unsafe extern "C++" {
        include!("tidelog_values.hpp");

        #[namespace = ""]
        type ArrowArray = crate::plain::ArrowArray;
        #[namespace = ""]
        type ArrowArrayStream = crate::plain::ArrowArrayStream;
        #[namespace = ""]
        type ArrowSchema = crate::plain::ArrowSchema;
        #[namespace = ""]
        #[cxx_name = "tidelog_arrow_options"]
        type ArrowOptions = crate::plain::ArrowOptions;
        #[namespace = ""]
        #[cxx_name = "tidelog_backup_report"]
        type BackupReport = crate::plain::BackupReport;
        #[namespace = ""]
        #[cxx_name = "tidelog_block"]
        type Block = crate::plain::Block;
        #[namespace = ""]
        #[cxx_name = "tidelog_check_report"]
        type CheckReport = crate::plain::CheckReport;
        #[namespace = ""]
        #[cxx_name = "tidelog_column"]
        type Column = crate::plain::Column;
        #[namespace = ""]
        #[cxx_name = "tidelog_delete_options"]
        type DeleteOptions = crate::plain::DeleteOptions;
        #[namespace = ""]
        #[cxx_name = "tidelog_dropped_group"]
        type DroppedGroup = crate::plain::DroppedGroup;
        #[namespace = ""]
        #[cxx_name = "tidelog_event"]
        type Event = crate::plain::Event;
        #[namespace = ""]
        #[cxx_name = "tidelog_explain"]
        type Explain = crate::plain::Explain;
        #[namespace = ""]
        #[cxx_name = "tidelog_node_options"]
        type NodeOptions = crate::plain::NodeOptions;
        #[namespace = ""]
        #[cxx_name = "tidelog_open_options"]
        type OpenOptions = crate::plain::OpenOptions;
        #[namespace = ""]
        #[cxx_name = "tidelog_policy_table"]
        type PolicyTable = crate::plain::PolicyTable;
        #[namespace = ""]
        #[cxx_name = "tidelog_position"]
        type Position = crate::plain::Position;
        #[namespace = ""]
        #[cxx_name = "tidelog_query_options"]
        type QueryOptions = crate::plain::QueryOptions;
        #[namespace = ""]
        #[cxx_name = "tidelog_receipt"]
        type Receipt = crate::plain::Receipt;
        #[namespace = ""]
        #[cxx_name = "tidelog_recover_report"]
        type RecoverReport = crate::plain::RecoverReport;
        #[namespace = ""]
        #[cxx_name = "tidelog_repair_options"]
        type RepairOptions = crate::plain::RepairOptions;
        #[namespace = ""]
        #[cxx_name = "tidelog_seal_report"]
        type SealReport = crate::plain::SealReport;
        #[namespace = ""]
        #[cxx_name = "tidelog_stats"]
        type Stats = crate::plain::Stats;
        #[namespace = ""]
        #[cxx_name = "tidelog_store_info"]
        type StoreInfo = crate::plain::StoreInfo;
        #[namespace = ""]
        #[cxx_name = "tidelog_sync_options"]
        type SyncOptions = crate::plain::SyncOptions;
        #[namespace = ""]
        #[cxx_name = "tidelog_write_options"]
        type WriteOptions = crate::plain::WriteOptions;

        /// Classes of C++ that Rust calls.
        #[namespace = "tidelog"]
        type EventHandler;
        #[namespace = "tidelog::detail"]
        fn hear(handler: Pin<&mut EventHandler>, event: &Event) -> bool;

        #[namespace = "tidelog::detail"]
        type Telling;
        fn tell(self: Pin<&mut Telling>, done: u64, total: u64) -> bool;
    }

    extern "Rust" {
        type Store;
        unsafe fn open(path: &[u8], options: &OpenOptions) -> Result<Box<Store>>;
        fn close(self: &Store) -> Result<()>;
        fn write(self: &Store, batch: &Batch, options: &WriteOptions) -> Result<Receipt>;
        fn submit(self: &Store, batch: &Batch, options: &WriteOptions) -> Result<Box<Ticket>>;
        unsafe fn query(self: &Store, name: &[u8], options: &QueryOptions) -> Result<Box<Rows>>;
        unsafe fn latest(self: &Store, name: &[u8], options: &QueryOptions) -> Result<Box<Rows>>;
        unsafe fn downsample(
            self: &Store,
            name: &[u8],
            options: &QueryOptions,
            method: u32,
            points: usize,
        ) -> Result<Box<Rows>>;
        fn collections(self: &Store) -> Result<Box<Rows>>;
        fn fields(self: &Store, name: &[u8]) -> Result<Box<Rows>>;
        fn set_retention(self: &Store, name: &[u8], retention: &[u8]) -> Result<()>;
        fn create(self: &Store, name: &[u8], leaf_minutes: u32) -> Result<()>;
        unsafe fn erase(self: &Store, name: &[u8], options: &DeleteOptions) -> Result<u64>;
        fn compare(self: &Store, other: &Store, name: &[u8], limit: u64) -> Result<Box<Rows>>;
        unsafe fn digests(
            self: &Store,
            name: &[u8],
            level: u32,
            from_ns: *const i64,
            to_ns: *const i64,
        ) -> Result<Box<Rows>>;
        fn flush(self: &Store) -> Result<()>;
        fn seal(self: &Store, told: Pin<&mut Telling>, stopped: &mut bool) -> Result<SealReport>;
        fn compact(self: &Store, told: Pin<&mut Telling>) -> Result<bool>;
        fn check(
            self: &Store,
            told: Pin<&mut Telling>,
            report: &mut CheckReport,
            stopped: &mut bool,
        ) -> Result<Box<Rows>>;
        fn stats(self: &Store) -> Result<Stats>;
        fn describe(self: &Store) -> Result<StoreInfo>;
        fn backup(
            self: &Store,
            path: &[u8],
            told: Pin<&mut Telling>,
            stopped: &mut bool,
        ) -> Result<BackupReport>;
        fn epochs(self: &Store) -> Result<Box<Rows>>;
        fn recover(
            path: &[u8],
            told: Pin<&mut Telling>,
            report: &mut RecoverReport,
            stopped: &mut bool,
        ) -> Result<Box<Rows>>;

        type Hold;
        unsafe fn pin(
            store: &Store,
            name: &[u8],
            from: *const Position,
            bytes_max: u64,
            age_max_ns: u64,
        ) -> Result<Box<Hold>>;
        fn release(self: &Hold) -> Result<()>;
        fn position(self: &Store) -> Result<Position>;
        fn unpin(self: &Store, name: &[u8]) -> Result<()>;

        type Ticket;
        fn wait(self: &Ticket) -> Result<Receipt>;
        fn is_done(self: &Ticket) -> Result<bool>;

        type Batch;
        fn batch(collection: &[u8]) -> Result<Box<Batch>>;
        fn device(self: &Batch, name: &[u8]) -> Result<u32>;
        fn field(self: &Batch, name: &[u8], kind: u32) -> Result<u32>;
        fn row(self: &Batch, device: u32, time: i64) -> Result<()>;
        fn set_f64(self: &Batch, field: u32, value: f64) -> Result<()>;
        fn set_f32(self: &Batch, field: u32, value: f32) -> Result<()>;
        fn set_i64(self: &Batch, field: u32, value: i64) -> Result<()>;
        fn set_u64(self: &Batch, field: u32, value: u64) -> Result<()>;
        fn set_bool(self: &Batch, field: u32, value: bool) -> Result<()>;
        fn set_string(self: &Batch, field: u32, value: &[u8]) -> Result<()>;
        fn set_bytes(self: &Batch, field: u32, value: &[u8]) -> Result<()>;
        unsafe fn append(
            self: &Batch,
            device: u32,
            times: &[i64],
            columns: &[Column],
        ) -> Result<()>;
        unsafe fn append_arrow(
            self: &Batch,
            array: *mut ArrowArray,
            schema: *const ArrowSchema,
            options: *const ArrowOptions,
        ) -> Result<()>;
        fn rows(self: &Batch) -> usize;
        fn clear(self: &Batch);

        type Rows;
        fn next(self: &Rows, block: &mut Block) -> Result<bool>;
        fn columns(self: &Rows) -> Result<&[Column]>;
        fn cancel(self: &Rows);
        fn explain(self: &Rows) -> Result<Explain>;
        fn stream(self: &Rows) -> Result<ArrowArrayStream>;

        type Tail;
        unsafe fn follow(store: &Store, from: *const Position) -> Result<Box<Tail>>;
        fn next(self: &Tail, timeout_ns: u64) -> Result<Told>;

        type Node;
        fn create_identity(store: &Store, folder: &[u8], days: u32) -> Result<String>;
        fn forget(store: &Store, config: &[u8], who: &[u8]) -> Result<[u8; 16]>;
        unsafe fn sync(store: &Store, options: &SyncOptions) -> Result<Box<Rows>>;
        unsafe fn start(store: &Store, options: &NodeOptions) -> Result<Box<Node>>;
        fn stop(self: &Node) -> Result<()>;
        fn address(self: &Node) -> Result<String>;
        fn ready(self: &Node, timeout_ns: u64) -> Result<bool>;
        fn status(self: &Node) -> Result<Box<Rows>>;
        fn groups(self: &Node) -> Result<Box<Rows>>;
        fn behind(self: &Node) -> Result<Box<Rows>>;
        #[cxx_name = "forget"]
        fn let_go(self: &Node, who: &[u8]) -> Result<[u8; 16]>;
        fn drop_group(self: &Node, group: u32) -> Result<DroppedGroup>;
        unsafe fn repair(self: &Node, options: &RepairOptions) -> Result<Box<Rows>>;
        fn on_event(self: &Node, handler: UniquePtr<EventHandler>) -> Result<()>;
        unsafe fn set_policy(self: &Node, table: *const PolicyTable) -> Result<()>;
        unsafe fn replay_policy(table: &PolicyTable, recorded: &[u8]) -> Result<Box<Rows>>;
    }
}
