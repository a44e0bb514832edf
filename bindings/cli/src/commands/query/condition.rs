//! `--where`: a field, a comparison, a value that takes the field's type.

use crate::error::CommandError;
use tidelog::{AnswerField, CollectionName, Comparison, FieldType, Predicate, Value};

/// A condition as it is written; its value has no type yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Condition {
    field: String,
    comparison: Comparison,
    value: String,
}

impl Condition {
    /// Reads `field op value`. Field and value may stand in double quotes, with `\"` and `\\` inside;
    /// spaces around the operator do not matter.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| {
            format!(
                "{why} in {text:?}: write field op value, as 'temp > 90' or 'state != \"off\"'; op is one of = != < <= > >="
            )
        };
        let (field, rest) = match quoted(text.trim_start()) {
            Some(quoted) => quoted.ok_or_else(|| refuse("a quote is left open"))?,
            None => {
                let end = text.find(['=', '!', '<', '>']).unwrap_or(text.len());
                (text[..end].trim().to_owned(), &text[end..])
            }
        };
        if field.is_empty() {
            return Err(refuse("there is no field"));
        }
        let (comparison, rest) =
            split_comparison(rest.trim_start()).ok_or_else(|| refuse("there is no comparison"))?;
        let rest = rest.trim();
        let value = match quoted(rest) {
            None if rest.is_empty() => return Err(refuse("there is no value")),
            None => rest.to_owned(),
            Some(Some((value, ""))) => value,
            Some(Some(_)) => return Err(refuse("something follows the value")),
            Some(None) => return Err(refuse("a quote is left open")),
        };
        Ok(Condition { field, comparison, value })
    }

    /// Is it `field = value`?
    pub(super) fn is_equality(&self) -> bool {
        self.comparison == Comparison::Equal
    }

    /// With the value in a type that the field compares with; `option` is what the condition was given to.
    pub(super) fn typed(
        &self,
        option: &str,
        collection: &CollectionName,
        fields: &[AnswerField],
    ) -> Result<Predicate, CommandError> {
        let Some(field) = fields.iter().find(|field| field.name == self.field) else {
            let known: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
            return Err(CommandError::Usage(format!(
                "{option}: {collection} has no field {:?}; it has: {}",
                self.field,
                known.join(", ")
            )));
        };
        let value = value_of(field.kind, &self.value).ok_or_else(|| {
            CommandError::Usage(format!(
                "{option}: field {:?} is {} and cannot be compared with {:?}",
                self.field, field.kind, self.value
            ))
        })?;
        Ok(Predicate { field: self.field.clone(), comparison: self.comparison, value })
    }
}

/// A text in quotes and what follows it. `None` when there is no quote, `Some(None)` when it does not end.
fn quoted(text: &str) -> Option<Option<(String, &str)>> {
    let inner = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some(Some((value, &inner[at + 1..]))),
            '\\' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                Some((_, c)) => value.extend(['\\', c]),
                None => return Some(None),
            },
            c => value.push(c),
        }
    }
    Some(None)
}

fn split_comparison(text: &str) -> Option<(Comparison, &str)> {
    // Longer ones first: `<=` begins as `<`.
    let all = [
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("=", Comparison::Equal),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    all.into_iter().find_map(|(sign, comparison)| Some((comparison, text.strip_prefix(sign)?)))
}

/// Whole numbers stay whole, because numbers of all types compare exactly. Other numbers take the width
/// of an `f32` field, so that what is printed of it can be asked for.
fn value_of(kind: FieldType, text: &str) -> Option<Value> {
    match kind {
        FieldType::Bool => text.parse().ok().map(Value::Bool),
        FieldType::String => Some(Value::String(text.to_owned())),
        FieldType::Bytes => bytes(text).map(Value::Bytes),
        FieldType::F64 | FieldType::F32 | FieldType::I64 | FieldType::U64 => {
            let whole = || text.parse().ok().map(Value::I64);
            let large = || text.parse().ok().map(Value::U64);
            let broken = || match kind {
                FieldType::F32 => text.parse().ok().map(Value::F32),
                _ => text.parse().ok().map(Value::F64),
            };
            whole().or_else(large).or_else(broken)
        }
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let digit =
        |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.chunks(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, Comparison, String) {
        let condition = Condition::parse(text).unwrap();
        (condition.field, condition.comparison, condition.value)
    }

    #[test]
    fn conditions_have_a_field_a_comparison_and_a_value() {
        let cases = [
            ("f > 90", "f", Comparison::Greater, "90"),
            ("f>=-1.5", "f", Comparison::GreaterOrEqual, "-1.5"),
            (" a b  == x y ", "a b", Comparison::Equal, "x y"),
            ("s = \"\"", "s", Comparison::Equal, ""),
            (r#""a=b" != "say \"hi\" \\ \n""#, "a=b", Comparison::NotEqual, r#"say "hi" \ \n"#),
            ("s <= a=b", "s", Comparison::LessOrEqual, "a=b"),
        ];
        for (text, field, comparison, value) in cases {
            assert_eq!(parsed(text), (field.into(), comparison, value.into()), "{text}");
        }
        for text in
            ["", "f", "f >", "> 1", "f ! 1", "f = \"x", "f = \"x\" y", "\"f = 1", "f = \"x\\"]
        {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_take_the_field_s_type() {
        let cases = [
            (FieldType::F64, "90", Some(Value::I64(90))),
            (FieldType::I64, "0.5", Some(Value::F64(0.5))),
            (FieldType::F32, "0.1", Some(Value::F32(0.1))),
            (FieldType::U64, "18446744073709551615", Some(Value::U64(u64::MAX))),
            (FieldType::F64, "hot", None),
            (FieldType::Bool, "true", Some(Value::Bool(true))),
            (FieldType::Bool, "1", None),
            (FieldType::String, "007", Some(Value::String("007".into()))),
            (FieldType::Bytes, "0x08ff", Some(Value::Bytes(vec![8, 255]))),
            (FieldType::Bytes, "0x8", None),
        ];
        for (kind, text, value) in cases {
            assert_eq!(value_of(kind, text), value, "{kind} {text}");
        }
    }
}
