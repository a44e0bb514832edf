//! Values of `[sync]` that have bounds: an error names the key, what was given, and what may be.

use crate::topology::parse_duration;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Less than what is open for writing says nothing.
const WINDOW_MIN: Duration = Duration::from_secs(3600);

/// `all`, or how long.
pub(super) fn window<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    if text == "all" {
        return Ok(None);
    }
    let given = parse_duration(&text).ok().filter(|given| *given >= WINDOW_MIN);
    given.map(Some).ok_or_else(|| {
        Error::custom(format!(
            "window = {text:?}: give \"all\", or a duration of at least \"1h\" such as \"30d\""
        ))
    })
}

pub(super) fn groups_at_once<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    within(from, "groups_at_once", 1..=4096)
}

pub(super) fn batch_rows<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    within(from, "batch_rows", 1..=1_000_000)
}

/// No more than may be under way to a peer at once.
pub(super) fn batch_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    within(from, "batch_bytes", 4096..=8_388_608)
}

fn within<'de, D: Deserializer<'de>>(
    from: D,
    key: &str,
    allowed: RangeInclusive<i64>,
) -> Result<usize, D::Error> {
    let given = i64::deserialize(from)?;
    let good = usize::try_from(given).ok().filter(|_| allowed.contains(&given));
    good.ok_or_else(|| {
        let (least, most) = (allowed.start(), allowed.end());
        Error::custom(format!("{key} = {given}: give a whole number from {least} to {most}"))
    })
}
