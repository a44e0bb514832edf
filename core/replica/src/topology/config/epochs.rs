//! Epochs of groups, as numbers.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use tidelog_model::{GroupEpoch, GroupId};

pub(super) fn one<'de, D: Deserializer<'de>>(from: D) -> Result<GroupEpoch, D::Error> {
    checked("epoch", i64::deserialize(from)?)
}

/// A table of group numbers, which TOML keys are as text.
pub(super) fn by_group<'de, D>(from: D) -> Result<BTreeMap<GroupId, GroupEpoch>, D::Error>
where
    D: Deserializer<'de>,
{
    let listed = BTreeMap::<String, i64>::deserialize(from)?;
    let one = |(group, epoch): (String, i64)| match group.parse() {
        Ok(number) => Ok((GroupId(number), checked("epochs", epoch)?)),
        Err(_) => Err(D::Error::custom(format!(
            "epochs of {group:?}: give epochs by the numbers of groups, as {{ 3 = 5 }}"
        ))),
    };
    listed.into_iter().map(one).collect()
}

fn checked<E: Error>(key: &str, given: i64) -> Result<GroupEpoch, E> {
    u64::try_from(given).map(GroupEpoch).map_err(|_| {
        E::custom(format!("{key} = {given}: give a whole number from 0 to {}", i64::MAX))
    })
}
