//! Reading what callers hand in. What can be checked is: NULL, sizes, text; the rest is their part of the contract.

use super::tidelog::{TIDELOG_KIND_UPGRADE, TIDELOG_UNKNOWN_OPTION};
use crate::fault::Fault;
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

/// No struct of the ABI will be as long: a size beyond it was never set.
const STRUCT_MAX: usize = 4096;

/// A struct of C.
///
/// # Safety
/// `repr(C)`, and any bits are legal, zeros included.
pub unsafe trait Plain: Copy {
    const NAME: &'static str;
}

/// As much of a struct as the other side knows, the rest zero.
///
/// # Safety
/// `size` bytes can be read.
pub(super) unsafe fn head<T: Plain>(from: *const T, size: usize) -> T {
    let mut value = MaybeUninit::<T>::zeroed();
    let known = size.min(size_of::<T>());
    // SAFETY: as many bytes can be read, and are legal in a `T`, as the rest of zeros is.
    unsafe {
        from.cast::<u8>().copy_to_nonoverlapping(value.as_mut_ptr().cast(), known);
        value.assume_init()
    }
}

/// The size at the beginning of a struct, `least` bytes or more.
///
/// # Safety
/// `from` points to a struct that begins with its size.
pub(super) unsafe fn size<T: Plain>(from: *const T, least: usize) -> Result<usize, Fault> {
    // SAFETY: as promised to this function.
    let size = unsafe { from.cast::<u32>().read_unaligned() } as usize;
    if (least..=STRUCT_MAX).contains(&size) {
        return Ok(size);
    }
    let name = T::NAME;
    Err(Fault::argument(format!("struct_size of {name} is {size}: set it to sizeof({name})")))
}

/// Options as the caller's header knows them: what this library does not know has to be zero.
///
/// # Safety
/// `from` points to as many bytes as its size says.
pub(super) unsafe fn options<T: Plain>(from: *const T) -> Result<T, Fault> {
    // SAFETY: as promised to this function.
    unsafe {
        let size = size(from, 8)?;
        for at in size_of::<T>()..size {
            if from.cast::<u8>().add(at).read() != 0 {
                return Err(unknown(T::NAME));
            }
        }
        Ok(head(from, size))
    }
}

/// What an older library does not know, in a struct of a newer header.
pub(super) fn unknown(name: &str) -> Fault {
    let message = format!(
        "{name} carries an option that this library (version {}) does not know: leave it zero, or install a later libtidelog_wasm",
        env!("CARGO_PKG_VERSION")
    );
    Fault::new(TIDELOG_UNKNOWN_OPTION, TIDELOG_KIND_UPGRADE, message)
}

/// Text with a NUL at its end, or NULL.
///
/// # Safety
/// `text` is NULL, or such a text, which nobody changes for as long as it is used.
pub(super) unsafe fn text_or_null<'a>(
    text: *const c_char,
    what: &str,
) -> Result<Option<&'a str>, Fault> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: as promised to this function.
    let text = unsafe { CStr::from_ptr(text) };
    let text = text.to_str().map_err(|error| {
        let at = error.valid_up_to();
        Fault::argument(format!("{what} is no UTF-8 from byte {at} on: convert it first"))
    });
    text.map(Some)
}

/// Text with a NUL at its end.
///
/// # Safety
/// As for [`text_or_null`].
pub(super) unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str, Fault> {
    // SAFETY: as promised to this function.
    unsafe { text_or_null(text, what)? }.ok_or_else(|| Fault::null(what))
}

/// Bytes; none when `length` is zero, whatever the pointer.
///
/// # Safety
/// `bytes` is NULL, or points to as many bytes, which nobody changes for as long as they are used.
pub(super) unsafe fn bytes<'a>(
    bytes: *const u8,
    length: usize,
    what: &str,
) -> Result<&'a [u8], Fault> {
    if length == 0 {
        return Ok(&[]);
    }
    if bytes.is_null() {
        return Err(Fault::null(what));
    }
    if length > isize::MAX as usize {
        return Err(Fault::argument(format!("{what} has {length} bytes: no memory holds as many")));
    }
    // SAFETY: not NULL, not too long, and as promised to this function.
    Ok(unsafe { std::slice::from_raw_parts(bytes, length) })
}
