//! Where rows are not here and another store lent a rollup of their window: it answers in their place.

use super::plan::{Context, QueryError};
use crate::codec::Scratch;
use crate::ids::Tier;
use crate::pyramid::{Piece, StoredNode};
use crate::rollup::Rollup;
use crate::rows::FieldKey;
use std::sync::Arc;
use tidelog_model::TimeRange;

/// The borrowed nodes that answer for a device in a range, in order of time: those of windows without a row, each in one
/// window of the answer.
pub(super) fn borrowed(
    context: &Context,
    device: &str,
    range: TimeRange,
    scratch: &mut Scratch,
) -> Result<Vec<(Tier, StoredNode)>, QueryError> {
    let group = context.group_of(device);
    if !context.borrows || context.borrowed(group)?.is_empty() {
        return Ok(Vec::new());
    }
    let fields = &context.read[..context.asked];
    let mut fits = |node: &StoredNode| {
        let window = context.windows.at(node.window.first());
        if !window.covers(node.window) {
            return Ok(false);
        }
        // Of what looked like no counter nodes do not know the increase.
        Ok(!context.wants.falls
            || node.rollups(fields, context.wants)?.iter().all(Rollup::knows_increase))
    };
    let no_fields: Arc<[FieldKey]> = Arc::new([]);
    let mut rows = |range: TimeRange| {
        let place = (group, device);
        context.snapshot.scan(&context.name, place, range, &no_fields, &context.cache)
    };
    let lent = context.borrowed(group)?;
    Ok(lent.counting((device, range), fields, &mut fits, &mut rows, scratch)?)
}

/// Puts borrowed nodes into the gaps they lie in: no stored node is there, and no row.
pub(super) fn put_between(
    context: &Context,
    pieces: Vec<Piece<StoredNode>>,
    lent: Vec<(Tier, StoredNode)>,
) -> Vec<Piece<StoredNode>> {
    if lent.is_empty() {
        return pieces;
    }
    let mut lent = lent.into_iter().peekable();
    let mut whole = Vec::with_capacity(pieces.len() + 2 * lent.len());
    for piece in pieces {
        let Some(gap) = piece.rows() else {
            whole.push(piece);
            continue;
        };
        let mut from = Some(gap.first());
        while let Some((tier, node)) = lent.next_if(|(_, node)| gap.covers(node.window)) {
            let window = node.window;
            let before = window.first().checked_sub(1);
            let rows = from.zip(before).and_then(|(from, to)| TimeRange::inclusive(from, to));
            whole.extend(rows.map(Piece::Rows));
            context.touched.add_borrowed(tier);
            whole.push(Piece::Node(tier, node));
            from = window.last().checked_add(1);
        }
        let rest = from.and_then(|from| TimeRange::inclusive(from, gap.last()));
        whole.extend(rest.map(Piece::Rows));
    }
    whole
}
