//! Reading what callers hand in, and writing what they asked for.
//!
//! What can be checked is: NULL, sizes, text. That a pointer which is not NULL points to what the header says is the
//! caller's part of the contract.

use super::library::{TIDELOG_KIND_UPGRADE, TIDELOG_UNKNOWN_OPTION};
use crate::fault::Fault;
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

/// No struct of this ABI will be as long: a size beyond it was never set.
const STRUCT_MAX: usize = 4096;

/// A struct that callers hand in. All of its fields are legal when all of its bits are zero.
///
/// # Safety
/// `repr(C)`, and any bits are legal.
pub(super) unsafe trait Plain: Copy {
    const NAME: &'static str;
}

/// A struct that begins with its `struct_size: u32`.
///
/// # Safety
/// As [`Plain`], and it begins so.
pub(super) unsafe trait Sized32: Plain {}

/// The zero of a plain struct: all defaults.
pub(super) fn zeroed<T: Plain>() -> T {
    // SAFETY: zero bits are legal, as `Plain` promises.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Options as the caller's header knows them, the rest zero. NULL: all defaults.
///
/// # Safety
/// `options` is NULL, or points to as many bytes as its size says.
pub(super) unsafe fn options<T: Sized32>(options: *const T) -> Result<T, Fault> {
    if options.is_null() {
        return Ok(zeroed());
    }
    // SAFETY: it begins with its size.
    let size = unsafe { options.cast::<u32>().read_unaligned() } as usize;
    // SAFETY: as promised to this function.
    unsafe { copy(options, size, "struct_size") }
}

/// The number of bytes that a caller has room for in a struct that the library fills.
///
/// # Safety
/// `out` is NULL, or points to as many bytes as its size says.
pub(super) unsafe fn fill<T: Sized32>(out: *mut T, value: &T) -> Result<(), Fault> {
    if out.is_null() {
        return Err(null(T::NAME));
    }
    // SAFETY: it begins with its size.
    let size = unsafe { out.cast::<u32>().read_unaligned() } as usize;
    check_size::<T>(size, "struct_size")?;
    let head = size_of::<u32>();
    let known = size.min(size_of::<T>());
    // SAFETY: `size` bytes are the caller's. What the caller's header knows and this library does not is set to zero.
    unsafe {
        let (from, to) = (std::ptr::from_ref(value).cast::<u8>(), out.cast::<u8>());
        to.add(head).copy_from_nonoverlapping(from.add(head), known - head);
        to.add(known).write_bytes(0, size - known);
    }
    Ok(())
}

/// As [`fill`], where NULL means that nobody wants to know.
///
/// # Safety
/// As for [`fill`].
pub(super) unsafe fn fill_if_wanted<T: Sized32>(out: *mut T, value: &T) -> Result<(), Fault> {
    // SAFETY: as promised to this function.
    if out.is_null() { Ok(()) } else { unsafe { fill(out, value) } }
}

/// Is there room that [`fill`] would take? Asked before anything is done.
///
/// # Safety
/// `out` is NULL, or begins with its size.
pub(super) unsafe fn check_out<T: Sized32>(out: *const T) -> Result<(), Fault> {
    if out.is_null() {
        return Ok(());
    }
    // SAFETY: it begins with its size.
    check_size::<T>(unsafe { out.cast::<u32>().read_unaligned() } as usize, "struct_size")
}

fn check_size<T: Plain>(size: usize, what: &str) -> Result<(), Fault> {
    if (8..=STRUCT_MAX).contains(&size) {
        return Ok(());
    }
    Err(Fault::argument(format!(
        "{what} of {name} is {size}: set it to sizeof({name})",
        name = T::NAME
    )))
}

/// A struct of which the caller knows `size` bytes.
///
/// # Safety
/// As many bytes can be read.
unsafe fn copy<T: Plain>(from: *const T, size: usize, what: &str) -> Result<T, Fault> {
    check_size::<T>(size, what)?;
    let (own, bytes) = (size_of::<T>(), from.cast::<u8>());
    let mut value = zeroed::<T>();
    // SAFETY: `size` bytes can be read, and a `T` can be written; any bits are legal in it.
    unsafe {
        bytes.copy_to_nonoverlapping((&raw mut value).cast(), size.min(own));
        for at in own..size {
            if bytes.add(at).read() != 0 {
                return Err(unknown(T::NAME));
            }
        }
    }
    Ok(value)
}

fn unknown(name: &str) -> Fault {
    let message = format!(
        "{name} carries an option that this library (version {}) does not know: leave it zero, or install a later library",
        env!("CARGO_PKG_VERSION")
    );
    Fault::new(TIDELOG_UNKNOWN_OPTION, TIDELOG_KIND_UPGRADE, message)
}

/// Bits of flags that are not known yet are refused.
pub(super) fn check_flags(flags: u64, known: u64, name: &str) -> Result<(), Fault> {
    if flags & !known == 0 { Ok(()) } else { Err(unknown(name)) }
}

/// An array of structs, `stride` bytes from one to the next.
///
/// # Safety
/// `array` is NULL, or points to `count` times `stride` bytes.
pub(super) unsafe fn structs<T: Plain>(
    array: *const T,
    count: usize,
    stride: usize,
    what: &str,
) -> Result<Vec<T>, Fault> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if array.is_null() {
        return Err(null(what));
    }
    let long = count.checked_mul(stride).is_none_or(|bytes| bytes > isize::MAX as usize);
    if long {
        return Err(Fault::argument(format!(
            "{what} has {count} entries: no memory holds as many"
        )));
    }
    let mut all = Vec::with_capacity(count.min(1 << 16));
    for number in 0..count {
        // SAFETY: inside of what the caller points to.
        all.push(unsafe { copy(array.byte_add(number * stride), stride, "the stride")? });
    }
    Ok(all)
}

pub(super) fn null(what: &str) -> Fault {
    Fault::argument(format!("{what} is NULL: it has to point somewhere"))
}

/// A slice of numbers; empty when `count` is zero, whatever the pointer.
///
/// # Safety
/// `array` is NULL, or points to `count` values, which nobody changes for as long as the slice is used.
pub(super) unsafe fn slice<'a, T: Copy>(
    array: *const T,
    count: usize,
    what: &str,
) -> Result<&'a [T], Fault> {
    if count == 0 {
        return Ok(&[]);
    }
    if array.is_null() {
        return Err(null(what));
    }
    if count.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Fault::argument(format!("{what} has {count} values: no memory holds as many")));
    }
    if !array.is_aligned() {
        return Err(Fault::argument(format!(
            "{what} is not aligned for its type: copy it to where it is"
        )));
    }
    // SAFETY: not NULL, aligned, not too long, and as promised to this function.
    Ok(unsafe { std::slice::from_raw_parts(array, count) })
}

/// Text with a NUL at its end.
///
/// # Safety
/// `text` is NULL, or such a text, which nobody changes for as long as it is used.
pub unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str, Fault> {
    // SAFETY: as promised to this function.
    match unsafe { text_or_null(text, what)? } {
        Some(text) => Ok(text),
        None => Err(null(what)),
    }
}

/// Text with a NUL at its end, or NULL.
///
/// # Safety
/// As for [`text`].
pub(super) unsafe fn text_or_null<'a>(
    text: *const c_char,
    what: &str,
) -> Result<Option<&'a str>, Fault> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: as promised to this function.
    let text = unsafe { CStr::from_ptr(text) };
    utf8(text.to_bytes(), what).map(Some)
}

pub fn utf8<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Fault::argument(format!("{what} is no UTF-8 from byte {at} on: convert it first"))
    })
}

/// Where a result is to be put.
pub(super) fn check_put<T>(out: *const T, what: &str) -> Result<(), Fault> {
    if out.is_null() { Err(null(what)) } else { Ok(()) }
}

/// Puts a result where the caller wants it.
///
/// # Safety
/// `out` is NULL or the caller's to be written.
pub(super) unsafe fn put_if_wanted<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: not NULL, and as promised to this function.
        unsafe { out.write_unaligned(value) }
    }
}
