//! `--time-in`: a field and the value that is its state.

use super::condition::Condition;

/// Reads `field = value`, as a condition is written.
pub(super) fn parse_state(text: &str) -> Result<Condition, String> {
    match Condition::parse(text) {
        Ok(state) if state.is_equality() => Ok(state),
        _ => Err(format!("{text:?} is no state: write field=value, as 'state=on' or 'mode=3'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_an_equality() {
        for text in ["state=on", "state = \"\"", "\"a=b\"=3"] {
            assert_eq!(parse_state(text), Condition::parse(text), "{text}");
        }
        for text in ["", "state", "state=", "mode>3", "state!=on"] {
            assert!(parse_state(text).unwrap_err().contains("no state"), "{text}");
        }
    }
}
