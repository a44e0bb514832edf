//! Largest triangle three buckets: the point of each bucket that makes the largest triangle with the point
//! chosen before and the mean of the next bucket.
//!
//! Sveinn Steinarsson, "Downsampling Time Series for Visual Representation", MSc thesis, University of Iceland,
//! 2013, section 4.2. Buckets are borders in whole numbers here, and the first of equal triangles wins.

use super::buckets::Buckets;
use super::point::{Numeric, Point};

/// Chooses from a series whose length is known, in one pass.
///
/// In memory: the points of two buckets, because a bucket is chosen from when the mean of the next is known.
#[derive(Debug)]
pub(super) struct Lttb<T> {
    buckets: Buckets,
    count: u64,
    seen: u64,
    /// Times are taken from here, so that their floats are as exact as they can be.
    origin: i64,
    before: Place,
    /// The bucket that is chosen from next.
    waiting: Vec<Point<T>>,
    /// The bucket behind it, and its number.
    filling: Vec<Point<T>>,
    bucket: u64,
}

/// A place in the plane: nanoseconds since the origin, and a value.
#[derive(Clone, Copy, Debug)]
struct Place {
    x: f64,
    y: f64,
}

impl<T: Numeric> Lttb<T> {
    /// Of `count` points exactly `points`, which are at least three and fewer than `count`.
    pub(super) fn new(count: u64, points: u64) -> Self {
        Lttb {
            buckets: Buckets::new(count, points - 2),
            count,
            seen: 0,
            origin: 0,
            before: Place { x: 0.0, y: 0.0 },
            waiting: Vec::new(),
            filling: Vec::new(),
            bucket: 0,
        }
    }

    pub(super) fn push(&mut self, point: Point<T>, chosen: &mut Vec<Point<T>>) {
        let at = self.seen;
        self.seen += 1;
        if at == 0 {
            self.origin = point.time;
            self.before = self.place(point);
            chosen.push(point);
        } else if self.seen == self.count {
            self.next_bucket(chosen);
            self.choose(self.place(point), chosen);
            chosen.push(point);
        } else {
            if at - 1 == self.buckets.end(self.bucket) {
                self.next_bucket(chosen);
                self.bucket += 1;
            }
            self.filling.push(point);
        }
    }

    /// The bucket behind is full: its mean is known, and the one before it can be chosen from.
    fn next_bucket(&mut self, chosen: &mut Vec<Point<T>>) {
        self.choose(self.mean(), chosen);
        std::mem::swap(&mut self.waiting, &mut self.filling);
        self.filling.clear();
    }

    /// Chooses from the bucket that waits; none does before the second is full.
    fn choose(&mut self, after: Place, chosen: &mut Vec<Point<T>>) {
        let Some(first) = self.waiting.first() else { return };
        let (mut best, mut largest) = (*first, f64::NEG_INFINITY);
        for point in &self.waiting {
            // Infinite values make areas that are no numbers; the first point of such a bucket is taken.
            let area = area(self.before, self.place(*point), after);
            if area > largest {
                (best, largest) = (*point, area);
            }
        }
        self.before = self.place(best);
        chosen.push(best);
    }

    fn mean(&self) -> Place {
        let places = self.filling.iter().map(|point| self.place(*point));
        let (x, y) = places.fold((0.0, 0.0), |(x, y), place| (x + place.x, y + place.y));
        let count = self.filling.len() as f64;
        Place { x: x / count, y: y / count }
    }

    fn place(&self, point: Point<T>) -> Place {
        let x = (i128::from(point.time) - i128::from(self.origin)) as f64;
        Place { x, y: point.value.to_f64() }
    }
}

/// Twice the area of a triangle.
fn area(a: Place, b: Place, c: Place) -> f64 {
    ((a.x - c.x) * (b.y - a.y) - (a.x - b.x) * (c.y - a.y)).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(values: &[f64], points: u64) -> Vec<(i64, f64)> {
        let mut lttb = Lttb::new(values.len() as u64, points);
        let mut chosen = Vec::new();
        for (time, value) in values.iter().enumerate() {
            lttb.push(Point { time: time as i64, value: *value }, &mut chosen);
        }
        chosen.iter().map(|point| (point.time, point.value)).collect()
    }

    /// By hand. Seven points to four: the buckets are (1, 2) and (3, 4, 5).
    /// The mean of the second is (4, 10/3). From (0, 0), twice the areas are |(-4) * 5 + 10/3| = 16.7 at time 1 and
    /// |(-4) * 1 + 2 * 10/3| = 2.7 at time 2: (1, 5). From there to the last point, (6, 0), they are
    /// |(-5) * (8 - 5) + 2 * -5| = 25 at 3, |(-5) * (2 - 5) + 3 * -5| = 0 at 4, |(-5) * (0 - 5) + 4 * -5| = 5 at 5.
    #[test]
    fn an_example_by_hand_is_chosen_as_the_thesis_says() {
        let values = [0.0, 5.0, 1.0, 8.0, 2.0, 0.0, 0.0];
        assert_eq!(chosen(&values, 4), [(0, 0.0), (1, 5.0), (3, 8.0), (6, 0.0)]);
        assert_eq!(chosen(&values, 3), [(0, 0.0), (3, 8.0), (6, 0.0)]);
    }

    #[test]
    fn equal_triangles_take_the_first_and_infinite_ones_still_choose() {
        let flat = chosen(&[1.0; 12], 4);
        assert_eq!(flat.iter().map(|point| point.0).collect::<Vec<_>>(), [0, 1, 6, 11]);
        let mut infinite = [1.0; 12];
        infinite[4] = f64::INFINITY;
        assert_eq!(chosen(&infinite, 5).len(), 5);
    }

    #[test]
    fn two_buckets_are_held_and_no_more() {
        let mut lttb = Lttb::new(100_000, 102);
        let mut chosen = Vec::new();
        for time in 0..100_000 {
            lttb.push(Point { time, value: (time % 97) as f64 }, &mut chosen);
            assert!(lttb.waiting.len() + lttb.filling.len() <= 2_000);
        }
        assert_eq!(chosen.len(), 102);
    }
}
