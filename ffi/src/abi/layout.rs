//! How the structs of the ABI lie in memory, frozen in `abi/layouts.txt` for systems of 64 bits. Programs in C hold the header
//! to the same file. `TIDELOG_BLESS=1` writes additions down.

use std::fmt::Write;
use std::mem::offset_of;

macro_rules! layouts {
    ($($module:ident::$name:ident { $($field:ident),* $(,)? })*) => {{
        let mut text = String::new();
        $(
            let (size, align) = (size_of::<super::$module::$name>(), align_of::<super::$module::$name>());
            let _ = writeln!(text, "{} {size} {align}", stringify!($name));
            $(
                let at = offset_of!(super::$module::$name, $field);
                let _ = writeln!(text, "{}.{} {at}", stringify!($name), stringify!($field));
            )*
        )*
        text
    }};
}

#[test]
#[cfg(target_pointer_width = "64")]
fn structs_lie_as_they_were_frozen() {
    let text = layouts! {
        library::tidelog_error { struct_size, code, kind, message_length, message }
        store::tidelog_open_options { struct_size, flags, memory_budget, cache_budget, segment_bytes, max_bytes, clock_ahead_max_ns, groups, reserved }
        store::tidelog_store_info { struct_size, groups, store_id, incarnation, log_records, log_bytes, torn_bytes, damaged, clock_behind_ms, swept }
        batch::tidelog_column { name, values, ends, validity, kind, reserved }
        batch::tidelog_arrow_options { struct_size, reserved, device, device_column, time_column }
        write::tidelog_write_options { struct_size, durability, interval_ns }
        write::tidelog_position { incarnation, offset }
        write::tidelog_receipt { struct_size, reserved, rows, stamp, position }
        result::tidelog_text { data, length }
        result::tidelog_block { struct_size, reserved, rows, times_ns, row_devices, devices, device_count, columns, column_count, column_stride }
        result::tidelog_explain { struct_size, has_rows_from, rows, leaves, days, months, years, nearest, rows_from_ns }
        query::tidelog_value { kind, boolean, real, integer, unsigned_integer, data, length }
        query::tidelog_predicate { field, reserved, comparison, value }
        query::tidelog_label { key, value }
        query::tidelog_devices { names, name_count, prefix, labels, label_count, reserved }
        query::tidelog_query_options { struct_size, flags, limit, every_ns, fill_gap_ns, fill_value, every_unit, aggregates, fill, threads, zone, from_ns, to_ns, fields, field_count, predicates, predicate_count, predicate_stride, devices, states, state_count, state_stride }
        collection::tidelog_delete_options { struct_size, reserved, from_ns, to_ns, fields, field_count, devices }
        upkeep::tidelog_seal_report { struct_size, reserved, leaves, parents, windows, rows }
        upkeep::tidelog_check_report { struct_size, reserved, files, pages, rows, bytes, log_records, findings }
        upkeep::tidelog_stats { struct_size, poisoned, writes, rows_written, values_written, rows_applied, rows_settled, rows_evicted, waits_for_room, writes_waiting, log_syncs, log_bytes_written, log_bytes, log_segments, memory_bytes, memory_rows, memory_budget, cache_bytes, flushes, flush_failures, flushed_bytes, compactions, compaction_failures, compacted_bytes, files, file_bytes, files_broken, files_unsealed, tombstones, write_amplification }
        copies::tidelog_backup_report { struct_size, reserved, files, bytes, rows }
        copies::tidelog_recover_report { struct_size, manifest_replaced, files, rows, log_records, listed_again, rescued, quarantined, missing, findings }
        tail::tidelog_record { struct_size, kind, position, next, stamp, collection }
        log::tidelog_log_record { struct_size, level, target, message, lost }
        node::tidelog_peer { name, address, fingerprint }
        node::tidelog_node_options { struct_size, reserved, interval_ns, initial_delay_ns, config, listen, identity, authority, peers, peer_count, peer_stride, policy }
        node::tidelog_repair_options { struct_size, reserved, timeout_ns, peer, collection, from_ns, to_ns }
        event::tidelog_group_epoch { group, reserved, epoch }
        member::tidelog_dropped_group { struct_size, group, rows, bytes }
        event::tidelog_event { struct_size, kind, peer, outcome, why, session, leaves, rows_sent, rows_taken, bytes_sent, bytes_received, bytes_total, elapsed_ms, lost, file, groups, group_count, group_stride, policy, windows, repaired, rollups, overdue }
        node::tidelog_sync_options { struct_size, reserved, timeout_ns, peer, fingerprint, identity }
        policy::tidelog_policy_peer { store_id, up, cost, rtt_us, reserved, lag_ms, agreed_ms_ago }
        policy::tidelog_policy_side { rows, bytes }
        policy::tidelog_policy_window { collection, group, devices, first_ns, last_ns, ours, theirs, age_ms, borrowed, reserved }
        policy::tidelog_policy_round { struct_size, peer, now_ms, budget_bytes, max_deferral_ms, peers, peer_count, peer_stride, windows, window_count, window_stride }
        policy::tidelog_policy_step { window, peer, action, reserved, until_ms }
        policy::tidelog_policy_table { struct_size, reserved, name, plan, drop, user, options, options_length, max_deferral_ms, timeout_ms, bytes_per_day, state, record }
    };
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/abi/layouts.txt");
    if std::env::var_os("TIDELOG_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap());
}
