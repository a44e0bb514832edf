//! Runs of points of about equal number, between the first point of a series and its last.

/// Divides what stands between the first and the last of so many points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buckets {
    inner: u64,
    buckets: u64,
}

impl Buckets {
    /// `points` counts the first and the last, too. No bucket is empty as long as there are not more buckets than
    /// points between.
    pub(super) fn new(points: u64, buckets: u64) -> Self {
        Buckets { inner: points.saturating_sub(2), buckets }
    }

    /// How many inner points there are up to and including those of a bucket.
    pub(super) fn end(self, bucket: u64) -> u64 {
        // In integers: a width in floating point would put points of long series into the wrong bucket.
        let end = (u128::from(bucket) + 1) * u128::from(self.inner) / u128::from(self.buckets);
        u64::try_from(end).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_tile_what_is_between_and_differ_by_one_at_most() {
        for points in 4u64..60 {
            for buckets in 1..=points - 2 {
                let of = Buckets::new(points, buckets);
                let ends: Vec<u64> = (0..buckets).map(|bucket| of.end(bucket)).collect();
                assert_eq!(ends.last(), Some(&(points - 2)));
                let starts = std::iter::once(0).chain(ends.iter().copied());
                let sizes: Vec<u64> = starts.zip(&ends).map(|(start, end)| end - start).collect();
                let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
                assert!(*least >= 1 && most - least <= 1, "{points} {buckets}: {sizes:?}");
            }
        }
        assert_eq!(Buckets::new(u64::MAX, 3).end(2), u64::MAX - 2);
    }
}
