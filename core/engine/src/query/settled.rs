//! Where retention has cut rows away: the settled nodes that answer in their place, or why none can.

use super::plan::{Context, QueryError};
use crate::ids::Tier;
use crate::pyramid::{Piece, StoredNode};
use crate::rollup::Rollup;
use tidelog_model::TimeRange;

/// Puts settled nodes into the place of rows that are gone.
pub(super) fn settle(
    context: &Context,
    device: &str,
    pieces: Vec<Piece<StoredNode>>,
) -> Result<Vec<Piece<StoredNode>>, QueryError> {
    let reaches_below = |gap: TimeRange| gap.first() < context.cuts.of(Tier::Raw);
    if !pieces.iter().filter_map(Piece::rows).any(reaches_below) {
        return Ok(pieces);
    }
    let settled = context.settled(context.group_of(device))?;
    let mut whole = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let gap = match piece {
            Piece::Rows(gap) => gap,
            node => {
                whole.push(node);
                continue;
            }
        };
        if let Some(below) = settled.below(gap) {
            for (tier, node) in settled.nodes(device, below, &context.read[..context.asked])? {
                if place(context, device, below, tier, &node)? {
                    whole.push(Piece::Node(tier, node));
                }
            }
        }
        whole.extend(gap.intersection(context.cuts.rows()).map(Piece::Rows));
    }
    Ok(whole)
}

/// Why a settled node does not answer.
pub(super) fn gone(
    context: &Context,
    device: &str,
    tier: Tier,
    node: &StoredNode,
    why: &'static str,
) -> QueryError {
    QueryError::ResolutionGone {
        collection: context.name.clone(),
        device: tidelog_model::device::to_text(device).into_owned(),
        window: node.window,
        finest: tier.directory(),
        rows_from: context.cuts.of(Tier::Raw),
        why,
    }
}

/// Does a node count in a gap? It has to lie in one window of the answer, or to begin in it where the nearest is
/// asked for.
fn place(
    context: &Context,
    device: &str,
    gap: TimeRange,
    tier: Tier,
    node: &StoredNode,
) -> Result<bool, QueryError> {
    let first = node.window.first();
    let gone = |why| gone(context, device, tier, node, why);
    if !context.filter.is_empty() {
        return Err(gone("a filter looks at rows"));
    }
    let window = context.windows.at(first);
    let fits = gap.covers(node.window) && window.covers(node.window);
    if !fits && !context.query.nearest {
        return Err(gone("a window of the answer, or its range, cuts through that one"));
    }
    if !fits {
        if !gap.contains(first) {
            return Ok(false);
        }
        context.touched.add_nearest();
    }
    if context.wants.falls {
        let rollups = node.rollups(&context.read[..context.asked], context.wants)?;
        if !rollups.iter().all(Rollup::knows_increase) {
            return Err(gone("a field falls too often to be kept as a counter"));
        }
    }
    Ok(true)
}
