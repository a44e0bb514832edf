//! Durations as people write them: `30s`, `1h30m`.

use std::time::Duration;

/// Reads a duration: whole numbers with `ms`, `s`, `m`, `h`, `d` (24 h) or `w`, one or several, without spaces.
///
/// # Errors
/// [`DurationError`] for anything else, a number without a unit included.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let wrong = || DurationError { text: text.chars().take(40).collect() };
    let mut rest = text;
    let mut millis = 0_u64;
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at(letters);
        let unit = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let part = number.checked_mul(unit).ok_or_else(wrong)?;
        millis = millis.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    Ok(Duration::from_millis(millis))
}

/// Not a duration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{text:?} is no duration: write a whole number with ms, s, m, h, d or w, such as \"30s\" or \"1h30m\""
)]
pub struct DurationError {
    /// What was given, its first 40 characters.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_add_up_and_what_has_none_is_refused() {
        for (text, seconds) in [
            ("30s", 30),
            ("1h", 3600),
            ("1h30m", 5400),
            ("2d", 172_800),
            ("1w", 604_800),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for text in
            ["", "5", "s", "1x", "1 h", "-1s", "1.5h", "1h30", "99999999999999999999s", "1ä"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_duration("18446744073709551615w").is_err());
    }

    proptest! {
        #[test]
        fn any_text_gives_a_duration_or_an_error(text in "[0-9a-zé ]{0,20}") {
            let _ = parse_duration(&text);
        }
    }
}
