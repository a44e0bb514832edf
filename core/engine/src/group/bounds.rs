//! The least and greatest value of a page: what lets a value filter skip it.

use crate::format::{Malformed, Reader, Writer};
use tidelog_model::Values;

/// Least and greatest value of a page, NaN left out.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Bounds {
    /// Nothing is known, or the type has no order here.
    Unknown,
    /// Every value is NaN.
    AllNan,
    /// `f64`, and `f32` widened.
    Float(f64, f64),
    I64(i64, i64),
    U64(u64, u64),
}

const UNKNOWN: u8 = 0;
const ALL_NAN: u8 = 1;
const RAW: u8 = 2;
const DECIMAL: u8 = 16;
/// Whole numbers up to here are exact in binary64, and so is their quotient by the powers below.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

impl Bounds {
    /// The bounds of the values `from..to`.
    pub(super) fn of(values: &Values, from: usize, to: usize) -> Self {
        match values {
            Values::F64(all) => float_bounds(all[from..to].iter().copied()),
            Values::F32(all) => float_bounds(all[from..to].iter().map(|v| f64::from(*v))),
            Values::I64(all) => {
                min_max(&all[from..to]).map_or(Bounds::Unknown, |b| Bounds::I64(b.0, b.1))
            }
            Values::U64(all) => {
                min_max(&all[from..to]).map_or(Bounds::Unknown, |b| Bounds::U64(b.0, b.1))
            }
            Values::Bool(_) | Values::String(_) | Values::Bytes(_) => Bounds::Unknown,
        }
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        match *self {
            Bounds::Unknown => {
                writer.u8(UNKNOWN);
            }
            Bounds::AllNan => {
                writer.u8(ALL_NAN);
            }
            Bounds::Float(least, greatest) => match decimals(least, greatest) {
                Some((exponent, m, d)) => {
                    writer.u8(DECIMAL + exponent).zigzag(m).varint(d);
                }
                None => {
                    writer.u8(RAW).u64(least.to_bits()).u64(greatest.to_bits());
                }
            },
            Bounds::I64(least, greatest) => {
                writer.u8(DECIMAL).zigzag(least).varint(greatest.wrapping_sub(least) as u64);
            }
            Bounds::U64(least, greatest) => {
                writer.u8(RAW).u64(least).u64(greatest);
            }
        }
    }

    pub(super) fn decode(
        reader: &mut Reader<'_>,
        kind: tidelog_model::FieldType,
    ) -> Result<Self, Malformed> {
        use tidelog_model::FieldType as T;
        Ok(match (reader.u8()?, kind) {
            (UNKNOWN, _) => Bounds::Unknown,
            (ALL_NAN, T::F64 | T::F32) => Bounds::AllNan,
            (RAW, T::F64 | T::F32) => {
                Bounds::Float(f64::from_bits(reader.u64()?), f64::from_bits(reader.u64()?))
            }
            (RAW, T::U64) => Bounds::U64(reader.u64()?, reader.u64()?),
            (DECIMAL, T::I64) => {
                let least = reader.zigzag()?;
                Bounds::I64(least, least.wrapping_add(reader.varint()? as i64))
            }
            (form @ 16..=31, T::F64 | T::F32) => {
                let power = POWERS[usize::from(form - DECIMAL)];
                let least = reader.zigzag()?;
                let greatest = least.wrapping_add(reader.varint()? as i64);
                Bounds::Float(least as f64 / power, greatest as f64 / power)
            }
            _ => return Err(Malformed("a page's bounds have an unknown form")),
        })
    }
}

fn min_max<T: Copy + Ord>(values: &[T]) -> Option<(T, T)> {
    Some((*values.iter().min()?, *values.iter().max()?))
}

fn float_bounds(values: impl Iterator<Item = f64>) -> Bounds {
    let mut any = false;
    let (mut least, mut greatest) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        any = true;
        // Comparisons with NaN are false, so NaN leaves both as they are.
        least = if value < least { value } else { least };
        greatest = if value > greatest { value } else { greatest };
    }
    if !any {
        return Bounds::Unknown;
    }
    if least > greatest {
        return Bounds::AllNan;
    }
    Bounds::Float(least, greatest)
}

/// Exponent, least times ten to it, and the distance to the greatest, where that is exact.
fn decimals(least: f64, greatest: f64) -> Option<(u8, i64, u64)> {
    POWERS.iter().zip(0u8..).find_map(|(power, exponent)| {
        let (m, n) = (least * power, greatest * power);
        let (m, n) = (m.round(), n.round());
        let exact = m.abs() < EXACT_MAX
            && n.abs() < EXACT_MAX
            && (m / power).to_bits() == least.to_bits()
            && (n / power).to_bits() == greatest.to_bits();
        exact.then(|| (exponent, m as i64, (n as i64 - m as i64) as u64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tidelog_model::FieldType;

    fn through(bounds: Bounds, kind: FieldType) -> Bounds {
        let mut writer = Writer::default();
        bounds.encode(&mut writer);
        Bounds::decode(&mut Reader::new(&writer.bytes), kind).unwrap()
    }

    proptest! {
        #[test]
        fn bounds_hold_every_value_and_survive_encoding(
            values in proptest::collection::vec(
                prop_oneof![any::<f64>(), (-999i32..999).prop_map(|v| f64::from(v) / 100.0)], 1..20),
        ) {
            let bounds = Bounds::of(&Values::F64(values.clone()), 0, values.len());
            let read = through(bounds, FieldType::F64);
            if let Bounds::Float(least, greatest) = read {
                for value in values.iter().filter(|v| !v.is_nan()) {
                    prop_assert!(least <= *value && *value <= greatest);
                }
            }
            prop_assert_eq!(read, bounds);
        }

        #[test]
        fn whole_numbers_survive_encoding(a in any::<i64>(), b in any::<i64>(), c in any::<u64>()) {
            let signed = Bounds::I64(a.min(b), a.max(b));
            prop_assert_eq!(through(signed, FieldType::I64), signed);
            prop_assert_eq!(through(Bounds::U64(0, c), FieldType::U64), Bounds::U64(0, c));
        }
    }

    #[test]
    fn two_decimals_take_a_few_bytes() {
        let mut writer = Writer::default();
        Bounds::Float(12.34, 98.76).encode(&mut writer);
        assert!(writer.bytes.len() <= 5);
    }
}
