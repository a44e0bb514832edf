//! What each side has of windows that differ, before a policy decides about them.

use super::item::Item;
use super::source::Source;
use alloc::vec::Vec;
use tidelog_model::policy::Side;

/// About what there is of what each item is about, in their order. Of what the other side has no right to there is nothing.
///
/// # Errors
/// What the source says.
pub fn weigh<S: Source>(source: &mut S, items: &[Item]) -> Result<Vec<Side>, S::Error> {
    let mut sides = Vec::with_capacity(items.len());
    for item in items {
        let side = match item {
            Item::Suspects { scope, range, devices } if source.shares(scope) => {
                let devices: Vec<&str> =
                    devices.iter().map(|(device, _)| device.as_str()).collect();
                source.weigh(scope, *range, &devices)?
            }
            _ => Side::default(),
        };
        sides.push(side);
    }
    Ok(sides)
}
