//! The type of a CSV column, from all of its texts.
//!
//! A type is given only when it loses nothing that a reader could mean: a text is a number when it
//! is written as numbers are (`7`, `-0.5`, `1e-3`), not as codes are (`007`, `+49`, `08ff`). When
//! in doubt a column is text, which keeps every byte; `--types` decides otherwise.
//!
//! | all non-empty fields are | type |
//! |---|---|
//! | integers, canonical, in i64 | `i64` |
//! | integers, canonical, none negative, some above i64 | `u64` |
//! | decimals, `NaN`, `inf`, `-inf`, `-0` and integers up to 2^53 (which an f64 holds exactly) | `f64` |
//! | `true` and `false` | `bool` |
//! | anything else, and every column with an empty string in quotes | `string` |
//!
//! A decimal counts as the f64 nearest to it, however many digits it has; one that would become
//! infinite, or zero without being zero, is text. A column without any value has no type.

use tidelog::model::FieldType;

/// What was seen in a column. Order does not matter, and nothing is forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Evidence {
    seen: u8,
}

impl Evidence {
    /// Takes one field into account. An empty one without quotes is absent, and says nothing.
    pub(crate) fn add(&mut self, text: &str, quoted: bool) {
        // Text is final: no need to look closer.
        if self.seen & TEXT == 0 && (quoted || !text.is_empty()) {
            self.seen |= classify(text.as_bytes());
        }
    }

    /// The type of the column; `None` when it has no value.
    pub(crate) fn field_type(self) -> Option<FieldType> {
        let only = |kinds: u8| self.seen & !kinds == 0;
        match self.seen {
            0 => None,
            BOOL => Some(FieldType::Bool),
            _ if only(INTEGER | NEGATIVE | LARGE) => Some(FieldType::I64),
            _ if only(INTEGER | LARGE | UNSIGNED) => Some(FieldType::U64),
            _ if only(INTEGER | NEGATIVE | DECIMAL) => Some(FieldType::F64),
            _ => Some(FieldType::String),
        }
    }
}

/// An integer, and with it possibly the next two.
const INTEGER: u8 = 1;
/// … below zero.
const NEGATIVE: u8 = 2;
/// … of a magnitude above 2^53.
const LARGE: u8 = 4;
/// An integer above i64, in u64.
const UNSIGNED: u8 = 8;
const DECIMAL: u8 = 16;
const BOOL: u8 = 32;
const TEXT: u8 = 64;

fn classify(text: &[u8]) -> u8 {
    match text {
        b"true" | b"false" => BOOL,
        b"NaN" | b"inf" | b"-inf" => DECIMAL,
        _ => classify_number(text).unwrap_or(TEXT),
    }
}

/// `None` when the text is not a number, or not one as numbers are written.
fn classify_number(text: &[u8]) -> Option<u8> {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let whole = digits(unsigned);
    if whole > 1 && unsigned[0] == b'0' {
        return None;
    }
    let rest = &unsigned[whole..];
    if rest.is_empty() && whole > 0 {
        return classify_integer(text, negative, unsigned);
    }
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => (digits(rest), &rest[digits(rest)..]),
        _ => (0, rest),
    };
    if whole + fraction == 0 {
        return None;
    }
    let exponent = match rest {
        [] => false,
        [b'e' | b'E', b'+' | b'-', power @ ..] | [b'e' | b'E', power @ ..] => {
            if power.is_empty() || digits(power) != power.len() {
                return None;
            }
            true
        }
        _ => return None,
    };
    // Without an exponent it takes more than 300 digits to leave the range of f64.
    let in_range = !exponent && text.len() < 300 || is_in_range(text);
    in_range.then_some(DECIMAL)
}

fn classify_integer(text: &[u8], negative: bool, unsigned: &[u8]) -> Option<u8> {
    if unsigned.len() < 16 {
        return Some(match (negative, unsigned) {
            (true, b"0") => DECIMAL,
            (true, _) => INTEGER | NEGATIVE,
            (false, _) => INTEGER,
        });
    }
    let text = std::str::from_utf8(text).ok()?;
    let Ok(value) = text.parse::<i64>() else {
        return text.parse::<u64>().is_ok().then_some(UNSIGNED);
    };
    let sign = if negative { NEGATIVE } else { 0 };
    let size = if value.unsigned_abs() > EXACT_MAX { LARGE } else { 0 };
    Some(INTEGER | sign | size)
}

/// Does the decimal stay finite, and zero only when all its digits are?
fn is_in_range(text: &[u8]) -> bool {
    let mantissa = text.iter().take_while(|byte| !matches!(byte, b'e' | b'E'));
    let is_zero = !mantissa.into_iter().any(|byte| matches!(byte, b'1'..=b'9'));
    let value = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    value.is_some_and(|value| value.is_finite() && (value != 0.0 || is_zero))
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Every integer up to this magnitude is an f64.
const EXACT_MAX: u64 = 1 << 53;

#[cfg(test)]
mod tests {
    use super::*;
    use FieldType::{Bool, F64, I64, String as Text, U64};
    use proptest::prelude::*;

    fn infer(texts: &[&str]) -> Option<FieldType> {
        let mut evidence = Evidence::default();
        texts.iter().for_each(|text| evidence.add(text, false));
        evidence.field_type()
    }

    #[test]
    fn single_texts_have_these_types() {
        let cases = [
            (I64, "0 7 -7 10 9223372036854775807 -9223372036854775808 9007199254740993"),
            (U64, "9223372036854775808 18446744073709551615"),
            (F64, "-0 0.0 -0.0 6.0 .5 5. -.5 1e5 1E-5 1.5e+300 0e999 NaN inf -inf 1.10 5e-324"),
            (Bool, "true false"),
            (
                Text,
                "007 -007 00 00.5 +5 +1.5 08ff 1e5x 1e 1e+ e5 . - -. 1.2.3 0x10 1_000 1,5 5% \
                 18446744073709551616 -9223372036854775809 1e999 -1e999 1e-999 nan NAN Inf infinity \
                 True TRUE t - -- 1-2 ١",
            ),
        ];
        for (kind, texts) in cases {
            for text in texts.split_whitespace() {
                assert_eq!(infer(&[text]), Some(kind), "{text:?}");
            }
        }
        for text in [" 5", "5 ", "1 000", "\n"] {
            assert_eq!(infer(&[text]), Some(Text), "{text:?}");
        }
    }

    #[test]
    fn mixes_take_the_type_that_loses_nothing() {
        let cases: &[(&[&str], FieldType)] = &[
            (&["1", "-2"], I64),
            (&["1", "9223372036854775808"], U64),
            (&["-1", "9223372036854775808"], Text),
            (&["1", "-2", "0.5"], F64),
            (&["1", "-0"], F64),
            (&["9007199254740992", "0.5"], F64),
            (&["9007199254740993", "0.5"], Text),
            (&["-9007199254740993", "NaN"], Text),
            (&["9223372036854775808", "0.5"], Text),
            (&["1", "true"], Text),
            (&["1", "007"], Text),
            (&["12", "08ff"], Text),
            (&["", "1", ""], I64),
        ];
        for (texts, kind) in cases {
            assert_eq!(infer(texts), Some(*kind), "{texts:?}");
            let reversed: Vec<&str> = texts.iter().rev().copied().collect();
            assert_eq!(infer(&reversed), Some(*kind), "{reversed:?}");
        }
    }

    #[test]
    fn empty_fields_say_nothing_and_empty_strings_say_text() {
        assert_eq!(infer(&["", ""]), None);
        let mut evidence = Evidence::default();
        evidence.add("1", true);
        assert_eq!(evidence.field_type(), Some(I64), "quoted numbers are numbers");
        evidence.add("", true);
        assert_eq!(evidence.field_type(), Some(Text));
    }

    proptest! {
        #[test]
        fn a_type_is_given_only_to_what_it_gives_back(texts in prop::collection::vec(
            prop_oneof![
                "-?[0-9]{1,20}",
                "-?[0-9]{0,3}\\.?[0-9]{0,3}(e[+-]?[0-9]{1,3})?",
                "[-+.e0-9a-f]{1,5}",
                any::<f64>().prop_map(|v| format!("{v:?}")),
                any::<i64>().prop_map(|v| v.to_string()),
            ], 1..4,
        )) {
            let kind = infer(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            for text in texts.iter().filter(|text| !text.is_empty()) {
                match kind {
                    Some(I64) => prop_assert_eq!(&text.parse::<i64>().unwrap().to_string(), text),
                    Some(U64) => prop_assert_eq!(&text.parse::<u64>().unwrap().to_string(), text),
                    Some(F64) => {
                        let value: f64 = text.parse().unwrap();
                        let again: f64 = format!("{value:?}").parse().unwrap();
                        prop_assert_eq!(value.to_bits(), again.to_bits());
                        if let Ok(integer) = text.parse::<i128>() {
                            prop_assert_eq!(value as i128, integer);
                        }
                    }
                    Some(Bool) => prop_assert!(text.parse::<bool>().is_ok()),
                    Some(_) => {}
                    None => prop_assert!(false, "{text:?} has no type"),
                }
            }
        }
    }
}
