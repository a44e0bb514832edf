//! Windows folded by hand, for engines that hand out rows and leave the aggregating to the caller.
//! Rows come device by device and in time order, so one window is open at a time.

use tidelog_benches::query::Answer;

#[derive(Clone, Copy)]
pub(crate) enum Fold {
    Max,
    Mean,
}

/// The windows of a result, kept as a caller would keep them.
pub(crate) struct Windows {
    fold: Fold,
    width_ms: i64,
    open: Option<Open>,
    closed: Vec<(u32, i64, f64)>,
}

struct Open {
    device: u32,
    start_ms: i64,
    max: f64,
    sum: f64,
    count: u32,
}

impl Windows {
    /// Windows of a width given in ns.
    pub(crate) fn new(fold: Fold, width: i64) -> Self {
        Windows { fold, width_ms: crate::peer::millis(width), open: None, closed: Vec::new() }
    }

    #[inline]
    pub(crate) fn add(&mut self, device: u32, ms: i64, value: f64) {
        match &mut self.open {
            Some(open)
                if open.device == device && (0..self.width_ms).contains(&(ms - open.start_ms)) =>
            {
                open.max = open.max.max(value);
                open.sum += value;
                open.count += 1;
            }
            _ => {
                self.close();
                let start_ms = ms - ms.rem_euclid(self.width_ms);
                self.open = Some(Open { device, start_ms, max: value, sum: value, count: 1 });
            }
        }
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            let value = match self.fold {
                Fold::Max => open.max,
                Fold::Mean => open.sum / f64::from(open.count),
            };
            self.closed.push((open.device, open.start_ms, value));
        }
    }

    pub(crate) fn answer(mut self) -> Answer {
        self.close();
        Answer {
            rows: self.closed.len() as u64,
            checksum: self.closed.iter().map(|(_, _, value)| value).sum(),
        }
    }
}
