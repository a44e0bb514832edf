//! Bytes of files and messages: a little-endian writer, and a reader that checks every length before it believes it.

use alloc::vec::Vec;
use core::fmt;

/// Appends numbers and texts to a buffer, little-endian.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    /// What was written so far.
    pub bytes: Vec<u8>,
}

impl Writer {
    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Eight bytes, two's complement.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// LEB128: seven bits a byte, lowest first, the high bit set on all but the last.
    pub fn varint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
        self
    }

    /// A signed number as a varint, small magnitudes short (zigzag).
    pub fn zigzag(&mut self, value: i64) -> &mut Self {
        self.varint(((value << 1) ^ (value >> 63)) as u64)
    }

    /// A varint length, then the bytes.
    pub fn blob(&mut self, value: &[u8]) -> &mut Self {
        self.varint(value.len() as u64).raw(value)
    }

    /// A varint length, then UTF-8.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.blob(value.as_bytes())
    }

    /// The bytes as they are.
    pub fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(value);
        self
    }

    /// A presence byte, then the value if there is one.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
        self
    }

    /// A varint count, then the items.
    pub fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.varint(items.len() as u64);
        items.for_each(|item| write(self, item));
        self
    }
}

/// Bytes are not what their format says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(
    /// What is wrong.
    pub &'static str,
);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for Malformed {}

/// Takes numbers and texts off the front of bytes that may be anything.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of all of them.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// How many bytes were not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// So many bytes.
    ///
    /// # Errors
    /// When the bytes end before, or are none.
    pub fn raw(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed("cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// As many bytes as the array holds.
    ///
    /// # Errors
    /// When the bytes end before, or are none.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed("cut short"))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    ///
    /// # Errors
    /// When the bytes end before, or are none.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// When the bytes end before, or are none.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// When the bytes end before, or are none.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// Eight bytes, two's complement.
    ///
    /// # Errors
    /// When the bytes end before, or are none.
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_le_bytes)
    }

    /// What [`Writer::varint`] wrote.
    ///
    /// # Errors
    /// When the bytes end before, or are none.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed("a number is longer than 64 bits"))
    }

    /// What [`Writer::zigzag`] wrote.
    ///
    /// # Errors
    /// When the bytes end before, or are none.
    pub fn zigzag(&mut self) -> Result<i64, Malformed> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A varint that must fit a `u32`.
    ///
    /// # Errors
    /// When the bytes end before, or are none.
    pub fn varint32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.varint()?).map_err(|_| Malformed("a number is too large"))
    }

    /// A varint count of items that each take at least `item_bytes` of what remains, so that sizing a
    /// vector by it is earned.
    ///
    /// # Errors
    /// When the bytes end before, or are none.
    pub fn count(&mut self, item_bytes: usize) -> Result<usize, Malformed> {
        let count = usize::try_from(self.varint()?).map_err(|_| Malformed("too many"))?;
        let fits = count.checked_mul(item_bytes.max(1)).is_some_and(|n| n <= self.rest.len());
        if fits { Ok(count) } else { Err(Malformed("more items than bytes")) }
    }

    /// A varint length, then the bytes.
    ///
    /// # Errors
    /// When the bytes end before, or are none.
    pub fn blob(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.count(1)?;
        self.raw(len)
    }

    /// A varint length, then UTF-8.
    ///
    /// # Errors
    /// When the bytes end before, or are none.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        core::str::from_utf8(self.blob()?).map_err(|_| Malformed("text is not UTF-8"))
    }

    /// What [`Writer::option`] wrote.
    ///
    /// # Errors
    /// When the bytes end before, or are none.
    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Malformed("a flag is neither 0 nor 1")),
        }
    }

    /// A varint count, then items of at least `item_bytes` each.
    ///
    /// # Errors
    /// When the bytes end before, or are none.
    pub fn list<T>(
        &mut self,
        item_bytes: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.count(item_bytes)?;
        (0..count).map(|_| read(self)).collect()
    }

    /// Nothing may follow.
    ///
    /// # Errors
    /// When something does.
    pub fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("bytes follow the end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(a in any::<u64>(), b in any::<i64>(), text in ".{0,9}") {
            let mut writer = Writer::default();
            writer.varint(a).zigzag(b).text(&text).option(Some(a), |w, v| { w.u64(v); });
            let bytes = writer.bytes;
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(a));
            prop_assert_eq!(reader.zigzag(), Ok(b));
            prop_assert_eq!(reader.text(), Ok(text.as_str()));
            prop_assert_eq!(reader.option(Reader::u64), Ok(Some(a)));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader::new(&bytes);
            while reader.list(1, Reader::blob).is_ok() && reader.remaining() > 0 {}
        }
    }

    #[test]
    fn a_count_larger_than_what_remains_is_refused_before_memory_is_taken() {
        let mut writer = Writer::default();
        writer.varint(u64::MAX);
        assert!(Reader::new(&writer.bytes).list(1, Reader::u8).is_err());
    }
}
