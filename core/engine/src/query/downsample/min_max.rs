//! The least and the greatest value of each bucket: peaks stay, whatever the number of points.

use super::buckets::Buckets;
use super::point::{Numeric, Point};
use std::cmp::Ordering;

/// Chooses from a series whose length is known.
///
/// In memory: one bucket's two points.
#[derive(Debug)]
pub(super) struct MinMax<T> {
    buckets: Buckets,
    count: u64,
    seen: u64,
    /// The bucket that is being filled, and what is known of it.
    bucket: u64,
    extremes: Option<(Point<T>, Point<T>)>,
}

impl<T: Numeric> MinMax<T> {
    /// Of `count` points about `points`, which are at least four and fewer than `count`.
    pub(super) fn new(count: u64, points: u64) -> Self {
        let buckets = Buckets::new(count, (points - 2) / 2);
        MinMax { buckets, count, seen: 0, bucket: 0, extremes: None }
    }

    pub(super) fn push(&mut self, point: Point<T>, chosen: &mut Vec<Point<T>>) {
        let at = self.seen;
        self.seen += 1;
        if at == 0 || self.seen == self.count {
            self.end_bucket(chosen);
            chosen.push(point);
            return;
        }
        if at - 1 == self.buckets.end(self.bucket) {
            self.end_bucket(chosen);
            self.bucket += 1;
        }
        match &mut self.extremes {
            None => self.extremes = Some((point, point)),
            Some((least, greatest)) => {
                // The first of equals stays.
                if point.value.compare(least.value) == Ordering::Less {
                    *least = point;
                }
                if point.value.compare(greatest.value) == Ordering::Greater {
                    *greatest = point;
                }
            }
        }
    }

    fn end_bucket(&mut self, chosen: &mut Vec<Point<T>>) {
        let Some((least, greatest)) = self.extremes.take() else { return };
        match least.time.cmp(&greatest.time) {
            Ordering::Less => chosen.extend([least, greatest]),
            Ordering::Equal => chosen.push(least),
            Ordering::Greater => chosen.extend([greatest, least]),
        }
    }
}
