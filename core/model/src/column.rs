//! A column of rows: values of one type, any of which may be absent.

use crate::bitmap::Bitmap;
use crate::values::{FieldType, ValueRef, Values};

/// One value per row, with a zero standing where a cell is absent.
///
/// Invariant: `presence` is `None` while no cell is absent, else it has a bit per row.
#[derive(Clone, Debug)]
pub struct Column {
    values: Values,
    presence: Option<Bitmap>,
}

impl Column {
    /// A column without rows.
    #[must_use]
    pub fn new(kind: FieldType) -> Self {
        Column { values: Values::new(kind), presence: None }
    }

    /// A column from its parts; `None` when the lengths differ.
    #[must_use]
    pub fn from_parts(values: Values, presence: Option<Bitmap>) -> Option<Self> {
        let fits = presence.as_ref().is_none_or(|bits| bits.len() == values.len());
        let presence = presence.filter(|bits| bits.count() < bits.len());
        fits.then_some(Column { values, presence })
    }

    /// The values, a zero standing where a cell is absent, and which rows have one; `None` when all have.
    #[must_use]
    pub fn into_parts(self) -> (Values, Option<Bitmap>) {
        (self.values, self.presence)
    }

    /// The type of the values.
    #[must_use]
    pub fn field_type(&self) -> FieldType {
        self.values.field_type()
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True when there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values, a zero standing where a cell is absent.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Which rows have a value; `None` when all have.
    #[must_use]
    pub fn presence(&self) -> Option<&Bitmap> {
        self.presence.as_ref()
    }

    /// Does this row have a value?
    #[must_use]
    pub fn is_present(&self, row: usize) -> bool {
        self.presence.as_ref().is_none_or(|bits| bits.at(row))
    }

    /// The value of a row, if it has one.
    ///
    /// # Panics
    /// When `row` is out of bounds.
    #[must_use]
    pub fn at(&self, row: usize) -> Option<ValueRef<'_>> {
        self.is_present(row).then(|| self.values.at(row))
    }

    /// How many rows have a value.
    #[must_use]
    pub fn count_present(&self) -> usize {
        self.presence.as_ref().map_or(self.values.len(), Bitmap::count)
    }

    /// Appends a value; `false` (and nothing appended) when its type is another.
    pub fn push(&mut self, value: ValueRef<'_>) -> bool {
        let pushed = self.values.push(value);
        if pushed && let Some(bits) = &mut self.presence {
            bits.push(true);
        }
        pushed
    }

    /// Appends a row without a value.
    pub fn push_absent(&mut self) {
        let rows = self.values.len();
        self.presence.get_or_insert_with(|| Bitmap::filled(rows, true)).push(false);
        self.values.push_zero();
    }

    /// Appends absent rows until there are `rows`.
    pub fn pad(&mut self, rows: usize) {
        while self.values.len() < rows {
            self.push_absent();
        }
    }

    /// Appends all of `values`, present.
    ///
    /// # Panics
    /// When the types differ.
    pub fn extend(&mut self, values: &Values) {
        self.values.extend_from(values, 0, values.len());
        if let Some(bits) = &mut self.presence {
            bits.extend_with(true, values.len());
        }
    }

    /// Lets `append` add exactly `count` values, all present.
    pub(crate) fn extend_present(&mut self, count: usize, append: impl FnOnce(&mut Values)) {
        let before = self.values.len();
        append(&mut self.values);
        assert_eq!(self.values.len(), before + count, "append adds what it said");
        if let Some(bits) = &mut self.presence {
            bits.extend_with(true, count);
        }
    }

    /// Lets `append` add a value for each bit of `present`, a zero where it is not set.
    pub(crate) fn extend_where(&mut self, present: &Bitmap, append: impl FnOnce(&mut Values)) {
        if present.count() == present.len() {
            return self.extend_present(present.len(), append);
        }
        let before = self.values.len();
        append(&mut self.values);
        assert_eq!(self.values.len(), before + present.len(), "append adds what it said");
        let bits = self.presence.get_or_insert_with(|| Bitmap::filled(before, true));
        present.iter().for_each(|bit| bits.push(bit));
    }

    /// Makes room for so many more rows, and no more than that.
    pub fn reserve_exact(&mut self, more: usize) {
        self.values.reserve_exact(more);
    }

    /// Appends the rows `from..to` of another column.
    ///
    /// # Panics
    /// When the types differ or the range is out of bounds.
    pub fn extend_from(&mut self, other: &Column, from: usize, to: usize) {
        let rows = self.values.len();
        match (&mut self.presence, &other.presence) {
            (None, None) => {}
            (Some(mine), None) => mine.extend_with(true, to - from),
            (mine, Some(theirs)) => {
                let mine = mine.get_or_insert_with(|| Bitmap::filled(rows, true));
                (from..to).for_each(|row| mine.push(theirs.at(row)));
            }
        }
        self.values.extend_from(&other.values, from, to);
    }

    /// Removes all rows, keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.presence = None;
    }

    /// Heap bytes, roughly: what memory budgets count.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.values.heap_bytes() + self.presence.as_ref().map_or(0, |bits| bits.len() / 8)
    }
}

/// Equal when the same rows have the same values, bit for bit.
impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        self.field_type() == other.field_type()
            && self.len() == other.len()
            && (0..self.len()).all(|row| self.at(row) == other.at(row))
    }
}

impl Eq for Column {}
