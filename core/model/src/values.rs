//! Typed vectors of values: what a column holds, without names, times or presence.
//!
//! Seven types, exact end to end: nothing here converts one number type into another. Floats are
//! bits: NaN payloads and the sign of zero are kept and compared as bits.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The type of a field. The numbers are part of every durable format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum FieldType {
    /// IEEE 754 binary64.
    F64 = 1,
    /// IEEE 754 binary32.
    F32 = 2,
    /// Signed 64-bit integer.
    I64 = 3,
    /// Unsigned 64-bit integer.
    U64 = 4,
    /// True or false.
    Bool = 5,
    /// UTF-8 text of any length, empty included.
    String = 6,
    /// Bytes of any length, empty included.
    Bytes = 7,
}

impl FieldType {
    /// All seven, in the order of their numbers.
    pub const ALL: [FieldType; 7] = [
        FieldType::F64,
        FieldType::F32,
        FieldType::I64,
        FieldType::U64,
        FieldType::Bool,
        FieldType::String,
        FieldType::Bytes,
    ];

    /// The type with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The type with this name (`f64 f32 i64 u64 bool string bytes`).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name as users write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FieldType::F64 => "f64",
            FieldType::F32 => "f32",
            FieldType::I64 => "i64",
            FieldType::U64 => "u64",
            FieldType::Bool => "bool",
            FieldType::String => "string",
            FieldType::Bytes => "bytes",
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value, owned.
#[derive(Clone, Debug)]
pub enum Value {
    /// See [`FieldType::F64`].
    F64(f64),
    /// See [`FieldType::F32`].
    F32(f32),
    /// See [`FieldType::I64`].
    I64(i64),
    /// See [`FieldType::U64`].
    U64(u64),
    /// See [`FieldType::Bool`].
    Bool(bool),
    /// See [`FieldType::String`].
    String(String),
    /// See [`FieldType::Bytes`].
    Bytes(Vec<u8>),
}

/// One value, borrowed from a column.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// See [`FieldType::F64`].
    F64(f64),
    /// See [`FieldType::F32`].
    F32(f32),
    /// See [`FieldType::I64`].
    I64(i64),
    /// See [`FieldType::U64`].
    U64(u64),
    /// See [`FieldType::Bool`].
    Bool(bool),
    /// See [`FieldType::String`].
    String(&'a str),
    /// See [`FieldType::Bytes`].
    Bytes(&'a [u8]),
}

impl Value {
    /// The value's type.
    #[must_use]
    pub fn field_type(&self) -> FieldType {
        self.as_ref().field_type()
    }

    /// A view of the value.
    #[must_use]
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::F64(v) => ValueRef::F64(*v),
            Value::F32(v) => ValueRef::F32(*v),
            Value::I64(v) => ValueRef::I64(*v),
            Value::U64(v) => ValueRef::U64(*v),
            Value::Bool(v) => ValueRef::Bool(*v),
            Value::String(v) => ValueRef::String(v),
            Value::Bytes(v) => ValueRef::Bytes(v),
        }
    }
}

/// Bitwise: NaNs with equal bits are equal, -0.0 and +0.0 are not.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Value {}

impl ValueRef<'_> {
    /// The value's type.
    #[must_use]
    pub fn field_type(&self) -> FieldType {
        match self {
            ValueRef::F64(_) => FieldType::F64,
            ValueRef::F32(_) => FieldType::F32,
            ValueRef::I64(_) => FieldType::I64,
            ValueRef::U64(_) => FieldType::U64,
            ValueRef::Bool(_) => FieldType::Bool,
            ValueRef::String(_) => FieldType::String,
            ValueRef::Bytes(_) => FieldType::Bytes,
        }
    }

    /// An owned copy.
    #[must_use]
    pub fn to_owned(&self) -> Value {
        match *self {
            ValueRef::F64(v) => Value::F64(v),
            ValueRef::F32(v) => Value::F32(v),
            ValueRef::I64(v) => Value::I64(v),
            ValueRef::U64(v) => Value::U64(v),
            ValueRef::Bool(v) => Value::Bool(v),
            ValueRef::String(v) => Value::String(v.into()),
            ValueRef::Bytes(v) => Value::Bytes(v.into()),
        }
    }

    /// Calls `f` with the canonical bytes: little-endian bits of numbers, one byte for a bool,
    /// text and bytes as they are. Two values of one type are equal when these are.
    pub fn with_canonical_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        match *self {
            ValueRef::F64(v) => f(&v.to_bits().to_le_bytes()),
            ValueRef::F32(v) => f(&v.to_bits().to_le_bytes()),
            ValueRef::I64(v) => f(&v.to_le_bytes()),
            ValueRef::U64(v) => f(&v.to_le_bytes()),
            ValueRef::Bool(v) => f(&[u8::from(v)]),
            ValueRef::String(v) => f(v.as_bytes()),
            ValueRef::Bytes(v) => f(v),
        }
    }
}

/// Bitwise, as for [`Value`].
impl PartialEq for ValueRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.field_type() == other.field_type()
            && self.with_canonical_bytes(|a| other.with_canonical_bytes(|b| a == b))
    }
}

impl Eq for ValueRef<'_> {}

/// Byte strings of any length, end to end in one buffer.
///
/// Invariants: `ends` never decreases and its last element is `bytes.len()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VarBytes {
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

impl VarBytes {
    /// An empty vector.
    #[must_use]
    pub const fn new() -> Self {
        VarBytes { ends: Vec::new(), bytes: Vec::new() }
    }

    /// How many strings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Length of all strings together, in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Would `extra` more bytes still be addressable (4 GiB in one vector)?
    #[must_use]
    pub fn has_room(&self, extra: usize) -> bool {
        self.bytes.len().checked_add(extra).is_some_and(|n| u32::try_from(n).is_ok())
    }

    /// Appends one string.
    ///
    /// # Panics
    /// When the vector would pass 4 GiB; callers that take input ask [`Self::has_room`] first.
    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        let end = u32::try_from(self.bytes.len()).expect("at most 4 GiB of strings in one column");
        self.ends.push(end);
    }

    /// The string at `index`.
    ///
    /// # Panics
    /// When `index` is out of bounds.
    #[must_use]
    pub fn at(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[start..self.ends[index] as usize]
    }

    /// All strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + '_ {
        (0..self.len()).map(|index| self.at(index))
    }

    /// Appends the strings `from..to` of another vector.
    ///
    /// # Panics
    /// When the range is out of bounds or 4 GiB are passed.
    pub fn extend_from(&mut self, other: &VarBytes, from: usize, to: usize) {
        if from == to {
            return;
        }
        let first = if from == 0 { 0 } else { other.ends[from - 1] };
        let last = other.ends[to - 1];
        let base = u32::try_from(self.bytes.len()).expect("at most 4 GiB of strings in one column");
        self.bytes.extend_from_slice(&other.bytes[first as usize..last as usize]);
        base.checked_add(last - first).expect("at most 4 GiB of strings in one column");
        self.ends.extend(other.ends[from..to].iter().map(|end| end - first + base));
    }

    /// Where each string ends in [`Self::bytes`].
    #[must_use]
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// All strings, end to end.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A vector from its parts; `None` when `ends` does not describe `bytes`.
    #[must_use]
    pub fn from_parts(ends: Vec<u32>, bytes: Vec<u8>) -> Option<Self> {
        let ordered = ends.windows(2).all(|pair| pair[0] <= pair[1]);
        let complete = ends.last().map_or(0, |end| *end as usize) == bytes.len();
        (ordered && complete).then_some(VarBytes { ends, bytes })
    }

    /// Removes all strings, keeps the memory.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.bytes.clear();
    }
}

/// A vector of values of one type.
#[derive(Clone, Debug)]
pub enum Values {
    /// See [`FieldType::F64`].
    F64(Vec<f64>),
    /// See [`FieldType::F32`].
    F32(Vec<f32>),
    /// See [`FieldType::I64`].
    I64(Vec<i64>),
    /// See [`FieldType::U64`].
    U64(Vec<u64>),
    /// See [`FieldType::Bool`].
    Bool(Vec<bool>),
    /// See [`FieldType::String`]. Always valid UTF-8: checked where bytes come in.
    String(VarBytes),
    /// See [`FieldType::Bytes`].
    Bytes(VarBytes),
}

/// Runs `$body` with `$vec` bound to the inner vector, whatever its type; strings go to `$var`.
macro_rules! each {
    ($self:expr, $vec:ident => $body:expr, $var:ident => $var_body:expr) => {
        match $self {
            Values::F64($vec) => $body,
            Values::F32($vec) => $body,
            Values::I64($vec) => $body,
            Values::U64($vec) => $body,
            Values::Bool($vec) => $body,
            Values::String($var) | Values::Bytes($var) => $var_body,
        }
    };
}

impl Values {
    /// An empty vector of this type.
    #[must_use]
    pub fn new(kind: FieldType) -> Self {
        match kind {
            FieldType::F64 => Values::F64(Vec::new()),
            FieldType::F32 => Values::F32(Vec::new()),
            FieldType::I64 => Values::I64(Vec::new()),
            FieldType::U64 => Values::U64(Vec::new()),
            FieldType::Bool => Values::Bool(Vec::new()),
            FieldType::String => Values::String(VarBytes::new()),
            FieldType::Bytes => Values::Bytes(VarBytes::new()),
        }
    }

    /// The type of the values.
    #[must_use]
    pub fn field_type(&self) -> FieldType {
        match self {
            Values::F64(_) => FieldType::F64,
            Values::F32(_) => FieldType::F32,
            Values::I64(_) => FieldType::I64,
            Values::U64(_) => FieldType::U64,
            Values::Bool(_) => FieldType::Bool,
            Values::String(_) => FieldType::String,
            Values::Bytes(_) => FieldType::Bytes,
        }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        each!(self, v => v.len(), s => s.len())
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes the values take, roughly: what memory budgets count.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        each!(self, v => size_of_val(v.as_slice()), s => s.byte_len() + 4 * s.len())
    }

    /// Heap bytes there is room for, used or not.
    #[must_use]
    pub fn room_bytes(&self) -> usize {
        fn room<T>(vec: &Vec<T>) -> usize {
            vec.capacity() * size_of::<T>()
        }
        each!(self, v => room(v), s => room(&s.ends) + room(&s.bytes))
    }

    /// Removes all values, keeps the memory.
    pub fn clear(&mut self) {
        each!(self, v => v.clear(), s => s.clear());
    }

    /// The value at `index`.
    ///
    /// # Panics
    /// When `index` is out of bounds.
    #[must_use]
    pub fn at(&self, index: usize) -> ValueRef<'_> {
        match self {
            Values::F64(v) => ValueRef::F64(v[index]),
            Values::F32(v) => ValueRef::F32(v[index]),
            Values::I64(v) => ValueRef::I64(v[index]),
            Values::U64(v) => ValueRef::U64(v[index]),
            Values::Bool(v) => ValueRef::Bool(v[index]),
            Values::String(v) => ValueRef::String(
                // Checked where the bytes came in; an empty string is a safe answer to a bug.
                core::str::from_utf8(v.at(index)).unwrap_or_default(),
            ),
            Values::Bytes(v) => ValueRef::Bytes(v.at(index)),
        }
    }

    /// Appends one value; `false` (and nothing appended) when it is of another type or a string
    /// vector is full.
    pub fn push(&mut self, value: ValueRef<'_>) -> bool {
        match (self, value) {
            (Values::F64(vec), ValueRef::F64(v)) => vec.push(v),
            (Values::F32(vec), ValueRef::F32(v)) => vec.push(v),
            (Values::I64(vec), ValueRef::I64(v)) => vec.push(v),
            (Values::U64(vec), ValueRef::U64(v)) => vec.push(v),
            (Values::Bool(vec), ValueRef::Bool(v)) => vec.push(v),
            (Values::String(vec), ValueRef::String(v)) if vec.has_room(v.len()) => {
                vec.push(v.as_bytes());
            }
            (Values::Bytes(vec), ValueRef::Bytes(v)) if vec.has_room(v.len()) => vec.push(v),
            _ => return false,
        }
        true
    }

    /// Appends the type's zero: 0, false or the empty string. Stands where a cell is absent.
    pub fn push_zero(&mut self) {
        match self {
            Values::F64(v) => v.push(0.0),
            Values::F32(v) => v.push(0.0),
            Values::I64(v) => v.push(0),
            Values::U64(v) => v.push(0),
            Values::Bool(v) => v.push(false),
            Values::String(v) | Values::Bytes(v) => v.push(b""),
        }
    }

    /// Makes room for so many more values, and no more than that; of strings and bytes, for where they end.
    pub fn reserve_exact(&mut self, more: usize) {
        match self {
            Values::F64(values) => values.reserve_exact(more),
            Values::F32(values) => values.reserve_exact(more),
            Values::I64(values) => values.reserve_exact(more),
            Values::U64(values) => values.reserve_exact(more),
            Values::Bool(values) => values.reserve_exact(more),
            Values::String(values) | Values::Bytes(values) => values.ends.reserve_exact(more),
        }
    }

    /// Appends the values `from..to` of another vector of the same type.
    ///
    /// # Panics
    /// When the types differ or the range is out of bounds.
    pub fn extend_from(&mut self, other: &Values, from: usize, to: usize) {
        match (self, other) {
            (Values::F64(a), Values::F64(b)) => a.extend_from_slice(&b[from..to]),
            (Values::F32(a), Values::F32(b)) => a.extend_from_slice(&b[from..to]),
            (Values::I64(a), Values::I64(b)) => a.extend_from_slice(&b[from..to]),
            (Values::U64(a), Values::U64(b)) => a.extend_from_slice(&b[from..to]),
            (Values::Bool(a), Values::Bool(b)) => a.extend_from_slice(&b[from..to]),
            (Values::String(a), Values::String(b)) | (Values::Bytes(a), Values::Bytes(b)) => {
                a.extend_from(b, from, to);
            }
            (a, b) => panic!("{} and {} do not mix", a.field_type(), b.field_type()),
        }
    }
}

/// Bitwise and by type, as for [`Value`].
impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        fn same<T, B: PartialEq>(a: &[T], b: &[T], bits: impl Fn(&T) -> B) -> bool {
            a.len() == b.len() && a.iter().zip(b).all(|(x, y)| bits(x) == bits(y))
        }
        match (self, other) {
            (Values::F64(a), Values::F64(b)) => same(a, b, |v| v.to_bits()),
            (Values::F32(a), Values::F32(b)) => same(a, b, |v| v.to_bits()),
            (Values::I64(a), Values::I64(b)) => a == b,
            (Values::U64(a), Values::U64(b)) => a == b,
            (Values::Bool(a), Values::Bool(b)) => a == b,
            (Values::String(a), Values::String(b)) | (Values::Bytes(a), Values::Bytes(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Values {}
