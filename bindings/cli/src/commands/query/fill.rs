//! `--fill`.

use crate::time::parse_duration;
use tidelog::Fill;

/// Reads `none`, `null`, `previous[:MAXGAP]`, `linear[:MAXGAP]` or a number.
pub(super) fn parse_fill(text: &str) -> Result<Fill, String> {
    let (name, gap) = match text.split_once(':') {
        Some((name, gap)) => (name, Some(parse_duration(gap).map_err(|error| error.to_string())?)),
        None => (text, None),
    };
    match (name, gap) {
        ("none", None) => Ok(Fill::None),
        ("null", None) => Ok(Fill::Null),
        ("previous", gap) => Ok(Fill::Previous(gap)),
        ("linear", gap) => Ok(Fill::Linear(gap)),
        (number, None) => number.parse().map(Fill::Value).map_err(|_| refuse(text)),
        _ => Err(refuse(text)),
    }
}

fn refuse(text: &str) -> String {
    format!(
        "{text:?} is no way to fill: write none, null, previous, linear (both as previous:2h, too) or a number"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_way_to_fill_has_a_text() {
        let hour = Some(Duration::from_secs(3600));
        let cases = [
            ("none", Fill::None),
            ("null", Fill::Null),
            ("previous", Fill::Previous(None)),
            ("previous:1h", Fill::Previous(hour)),
            ("linear:60m", Fill::Linear(hour)),
            ("-1.5", Fill::Value(-1.5)),
        ];
        for (text, fill) in cases {
            assert_eq!(parse_fill(text), Ok(fill), "{text}");
        }
        for text in ["", "nul", "null:1h", "previous:", "previous:x", "5:1h"] {
            assert!(parse_fill(text).is_err(), "{text}");
        }
    }
}
