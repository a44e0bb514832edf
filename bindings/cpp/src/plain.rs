//! The plain structs of `tidelog.h` as cxx knows them: the same bytes on both sides.

use cxx::{ExternType, kind, type_id};
use tidelog_ffi::inside;

macro_rules! plain {
    ($($name:ident $c:ident $id:literal)*) => { $(
        #[repr(transparent)]
        pub struct $name(pub(crate) inside::$c);

        // SAFETY: `repr(C)` structs of numbers and pointers; tests of tidelog-ffi hold their layout to the header's.
        unsafe impl ExternType for $name {
            type Id = type_id!($id);
            type Kind = kind::Trivial;
        }
    )* };
}

plain! {
    ArrowArray ArrowArray "ArrowArray"
    ArrowArrayStream ArrowArrayStream "ArrowArrayStream"
    ArrowSchema ArrowSchema "ArrowSchema"
    ArrowOptions tidelog_arrow_options "tidelog_arrow_options"
    BackupReport tidelog_backup_report "tidelog_backup_report"
    Block tidelog_block "tidelog_block"
    CheckReport tidelog_check_report "tidelog_check_report"
    Column tidelog_column "tidelog_column"
    DeleteOptions tidelog_delete_options "tidelog_delete_options"
    DroppedGroup tidelog_dropped_group "tidelog_dropped_group"
    Event tidelog_event "tidelog_event"
    Explain tidelog_explain "tidelog_explain"
    NodeOptions tidelog_node_options "tidelog_node_options"
    OpenOptions tidelog_open_options "tidelog_open_options"
    PolicyTable tidelog_policy_table "tidelog_policy_table"
    Position tidelog_position "tidelog_position"
    QueryOptions tidelog_query_options "tidelog_query_options"
    RecoverReport tidelog_recover_report "tidelog_recover_report"
    Receipt tidelog_receipt "tidelog_receipt"
    RepairOptions tidelog_repair_options "tidelog_repair_options"
    SealReport tidelog_seal_report "tidelog_seal_report"
    Stats tidelog_stats "tidelog_stats"
    StoreInfo tidelog_store_info "tidelog_store_info"
    SyncOptions tidelog_sync_options "tidelog_sync_options"
    WriteOptions tidelog_write_options "tidelog_write_options"
}
