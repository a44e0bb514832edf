//! Values as text that reads back as the same bits.
//!
//! Floats take the fewest digits that do (Rust's `{:?}`: `6.0`, `0.1`, `1e300`), and always have a
//! point or an exponent, so that a column of them is read as floats again. `NaN` has one text:
//! which NaN it was is lost in every text format. Bytes are hexadecimal after `0x`.

use std::io::Write;
use tidelog::model::ValueRef;

/// Appends the value's text, as it is, without quotes.
pub(crate) fn write_value(out: &mut Vec<u8>, value: ValueRef<'_>) {
    // Writing to a vector cannot fail.
    let _ = match value {
        ValueRef::F64(v) => write!(out, "{v:?}"),
        ValueRef::F32(v) => write!(out, "{v:?}"),
        ValueRef::I64(v) => write!(out, "{v}"),
        ValueRef::U64(v) => write!(out, "{v}"),
        ValueRef::Bool(v) => write!(out, "{v}"),
        ValueRef::String(v) => out.write_all(v.as_bytes()),
        ValueRef::Bytes(v) => {
            out.extend_from_slice(b"0x");
            out.extend(
                v.iter()
                    .flat_map(|byte| [DIGITS[(byte >> 4) as usize], DIGITS[(byte & 15) as usize]]),
            );
            Ok(())
        }
    };
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: ValueRef<'_>) -> String {
        let mut out = Vec::new();
        write_value(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_are_short_and_look_like_floats() {
        let cases = [
            (6.0, "6.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e300, "1e300"),
            (1.5e-7, "1.5e-7"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (-f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(ValueRef::F64(value)), expected);
        }
        assert_eq!(text(ValueRef::F32(0.1)), "0.1");
    }

    proptest! {
        #[test]
        fn every_float_reads_back_as_its_bits(bits: u64) {
            let (wide, narrow) = (f64::from_bits(bits), f32::from_bits(bits as u32));
            let shown = text(ValueRef::F64(wide));
            prop_assert!(shown.len() <= 24, "{}", shown);
            let read: f64 = shown.parse().unwrap();
            prop_assert!(read.to_bits() == bits || read.is_nan() && wide.is_nan());
            let read: f32 = text(ValueRef::F32(narrow)).parse().unwrap();
            prop_assert!(read.to_bits() == bits as u32 || read.is_nan() && narrow.is_nan());
        }
    }
}
