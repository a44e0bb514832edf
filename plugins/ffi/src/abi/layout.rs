//! How the structs lie in memory: those of `tidelog.h` as they are frozen in `ffi/abi/layouts.txt`, those of `tidelog_wasm.h` as in
//! `abi/layouts.txt` here; `TIDELOG_BLESS=1` writes additions down. Programs in C hold both headers to the same files.

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

fn file(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
#[cfg(target_pointer_width = "64")]
fn structs_of_libtidelog_lie_as_they_were_frozen() {
    let own = layouts! {
        tidelog::tidelog_error { struct_size, code, kind, message_length, message }
        tidelog::tidelog_log_record { struct_size, level, target, message, lost }
        tidelog::tidelog_policy_peer { store_id, up, cost, rtt_us, reserved, lag_ms, agreed_ms_ago }
        tidelog::tidelog_policy_round { struct_size, peer, now_ms, budget_bytes, max_deferral_ms, peers, peer_count, peer_stride, windows, window_count, window_stride }
        tidelog::tidelog_policy_side { rows, bytes }
        tidelog::tidelog_policy_step { window, peer, action, reserved, until_ms }
        tidelog::tidelog_policy_table { struct_size, reserved, name, plan, drop, user, options, options_length, max_deferral_ms, timeout_ms, bytes_per_day, state, record }
        tidelog::tidelog_policy_window { collection, group, devices, first_ns, last_ns, ours, theirs, age_ms, borrowed, reserved }
        tidelog::tidelog_text { data, length }
    };
    let frozen = file("../../ffi/abi/layouts.txt");
    // Neither fewer fields nor others: all lines of the structs that are mirrored.
    let names: Vec<&str> = own.lines().filter_map(|line| line.split([' ', '.']).next()).collect();
    let mirrored = |line: &&str| line.split([' ', '.']).next().is_some_and(|n| names.contains(&n));
    let mut frozen: Vec<&str> = frozen.lines().filter(mirrored).collect();
    let mut own: Vec<&str> = own.lines().collect();
    frozen.sort_unstable();
    own.sort_unstable();
    assert_eq!(own, frozen);
}

#[test]
#[cfg(target_pointer_width = "64")]
fn structs_lie_as_they_were_frozen() {
    let own = layouts! {
        load::tidelog_wasm_options { struct_size, reserved, cache, log, log_user, log_drop }
        load::tidelog_wasm_calls { struct_size, reserved, plan_add, plan_explain }
    };
    if std::env::var_os("TIDELOG_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/abi/layouts.txt");
        std::fs::write(path, &own).unwrap();
    }
    assert_eq!(own, file("abi/layouts.txt"));
}

/// Each number that stands here is the one of the header.
#[test]
fn numbers_are_those_of_the_header() {
    let (source, header) = (file("src/abi/tidelog.rs"), file("../../ffi/include/tidelog.h"));
    let mut count = 0;
    for line in source.lines() {
        let Some((name, rest)) = line.strip_prefix("pub const ").and_then(|l| l.split_once(": "))
        else {
            continue;
        };
        let number = rest.split_once(" = ").unwrap().1.trim_end_matches(';');
        let number =
            if number.starts_with('-') { format!("({number})") } else { number.to_owned() };
        let define = format!("#define {name} {number}");
        assert!(header.lines().any(|line| line == define), "{define}");
        count += 1;
    }
    assert!(count > 20, "only {count} numbers were found");
}
