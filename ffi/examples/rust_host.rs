//! A program in Rust that uses the library as one in C does: two Rust runtimes in one process.
//!
//!     rustc --edition 2024 -L PREFIX/lib -l dylib=tidelog rust_host.rs (or -l static=tidelog -l m -l dl)

use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;

#[repr(C)]
struct Failure {
    struct_size: u32,
    code: i32,
    kind: u32,
    message_length: u32,
    message: [c_char; 496],
}

unsafe extern "C" {
    fn tidelog_version() -> *const c_char;
    fn tidelog_open(
        abi: u32,
        path: *const c_char,
        options: *const c_void,
        store: *mut *mut c_void,
        error: *mut Failure,
    ) -> i32;
    fn tidelog_flush(store: *mut c_void, error: *mut Failure) -> i32;
    fn tidelog_close(store: *mut *mut c_void, error: *mut Failure) -> i32;
}

fn main() {
    let mut error =
        Failure { struct_size: 512, code: 0, kind: 0, message_length: 0, message: [0; 496] };
    let mut store = null_mut();
    // SAFETY: as tidelog.h says: texts with a NUL, room for a handle, an error with its size.
    unsafe {
        let opened = tidelog_open(1, c"store".as_ptr(), null_mut(), &raw mut store, &raw mut error);
        assert_eq!(opened, 0, "{}", CStr::from_ptr(error.message.as_ptr()).to_string_lossy());
        assert_eq!(tidelog_flush(store, &raw mut error), 0);
        assert_eq!(tidelog_close(&raw mut store, &raw mut error), 0);
        // A closed handle is an error there; a panic here is caught here. Neither runtime knows of the other.
        assert!(tidelog_flush(8 as *mut c_void, &raw mut error) < 0);
        let caught = std::panic::catch_unwind(|| panic!("the host's own"));
        assert!(caught.is_err());
        println!("{}", CStr::from_ptr(tidelog_version()).to_string_lossy());
    }
}
