//! One line chart: a title, the line between two axes, and where they begin and end.

use super::canvas::{ACROSS, Canvas, DOWN};
use crate::print::write_value;
use crate::time::print_time_shortly;
use tidelog::{TimeRange, ValueRef};
use unicode_width::UnicodeWidthStr;

/// What is drawn.
pub(super) struct Chart<'a> {
    pub(super) title: String,
    /// The least and the greatest value, exactly.
    pub(super) bounds: (ValueRef<'a>, ValueRef<'a>),
    /// From the left edge to the right.
    pub(super) range: TimeRange,
    /// What is written under the edges.
    pub(super) edges: (i64, i64),
    /// In order of time; finite values.
    pub(super) points: Vec<(i64, f64)>,
}

/// How large, in characters.
#[derive(Clone, Copy)]
pub(super) struct Size {
    /// Of a whole line.
    pub(super) width: usize,
    /// Of the drawing alone.
    pub(super) height: usize,
}

/// However long labels are, this much of a line is drawn.
const COLUMNS_MIN: usize = 8;

/// Characters across for the line, beside labels of this width and the axis.
fn columns(width: usize, labels: usize) -> usize {
    width.saturating_sub(labels + 2).max(COLUMNS_MIN)
}

/// How many dots the line has across beside the labels of these bounds.
pub(super) fn dots_across(width: usize, bounds: (ValueRef<'_>, ValueRef<'_>)) -> usize {
    columns(width, label_width(bounds)) * ACROSS
}

fn label_width(bounds: (ValueRef<'_>, ValueRef<'_>)) -> usize {
    label(bounds.0).width().max(label(bounds.1).width())
}

fn label(value: ValueRef<'_>) -> String {
    let mut text = Vec::new();
    write_value(&mut text, value);
    String::from_utf8_lossy(&text).into_owned()
}

/// The nearest float of a number.
pub(super) fn to_f64(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::F64(value) => Some(value),
        ValueRef::F32(value) => Some(f64::from(value)),
        ValueRef::I64(value) => Some(value as f64),
        ValueRef::U64(value) => Some(value as f64),
        ValueRef::Bool(_) | ValueRef::String(_) | ValueRef::Bytes(_) => None,
    }
}

impl Chart<'_> {
    /// The chart as lines of text.
    pub(super) fn draw(&self, size: Size) -> String {
        let labels = label_width(self.bounds);
        let columns = columns(size.width, labels);
        let mut canvas = Canvas::new(columns, size.height);
        let place = |(time, value): &(i64, f64)| {
            (self.x(*time, columns * ACROSS), self.y(*value, size.height * DOWN))
        };
        let places: Vec<(usize, usize)> = self.points.iter().map(place).collect();
        for pair in places.windows(2) {
            canvas.line(pair[0], pair[1]);
        }
        if let [(x, y)] = places[..] {
            canvas.dot(x, y);
        }
        let mut text = format!("{}\n", self.title);
        for (row, line) in canvas.lines().enumerate() {
            let label = self.label_at(row, size.height);
            let axis = if label.is_empty() { '│' } else { '┤' };
            text.push_str(&format!("{label:>labels$} {axis}{line}"));
            text.push('\n');
        }
        text.push_str(&format!("{:labels$} └{}\n", "", "─".repeat(columns)));
        self.push_times(&mut text, labels + 2, columns);
        text
    }

    /// The greatest value stands above, the least below; where they are one, in the middle.
    fn label_at(&self, row: usize, height: usize) -> String {
        let (least, greatest) = self.bounds;
        let middle = (height * DOWN - 1) / 2 / DOWN;
        match row {
            row if self.is_flat() && row == middle => label(least),
            _ if self.is_flat() => String::new(),
            0 => label(greatest),
            row if row + 1 == height => label(least),
            _ => String::new(),
        }
    }

    fn is_flat(&self) -> bool {
        let (least, greatest) = self.values();
        least >= greatest
    }

    fn values(&self) -> (f64, f64) {
        (to_f64(self.bounds.0).unwrap_or(0.0), to_f64(self.bounds.1).unwrap_or(0.0))
    }

    /// Columns of dots are equal widths of time, those that M4 chose points by.
    fn x(&self, time: i64, across: usize) -> usize {
        let since = |time: i64| u128::from(time.abs_diff(self.range.first()));
        let x = since(time) * across as u128 / (since(self.range.last()) + 1);
        usize::try_from(x).map_or(across - 1, |x| x.min(across - 1))
    }

    fn y(&self, value: f64, down: usize) -> usize {
        let (least, greatest) = self.values();
        if self.is_flat() {
            return (down - 1) / 2;
        }
        // Halves, because the whole span of floats is no float.
        let share = (greatest / 2.0 - value / 2.0) / (greatest / 2.0 - least / 2.0);
        let y = (share.clamp(0.0, 1.0) * (down - 1) as f64).round();
        y as usize
    }

    /// The times of both edges, in one line if it holds them.
    fn push_times(&self, text: &mut String, indent: usize, columns: usize) {
        let (first, last) = (print_time_shortly(self.edges.0), print_time_shortly(self.edges.1));
        let spaces = " ".repeat(indent);
        if first.len() + last.len() < columns {
            let rest = columns - first.len();
            text.push_str(&format!("{spaces}{first}{last:>rest$}\n"));
        } else {
            text.push_str(&format!("{spaces}{first}\n{spaces}{last:>columns$}\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(i64, f64)>) -> Chart<'static> {
        let values = || points.iter().map(|point| point.1);
        let least = values().fold(f64::INFINITY, f64::min);
        let greatest = values().fold(f64::NEG_INFINITY, f64::max);
        let range = TimeRange::inclusive(points[0].0, points[points.len() - 1].0).unwrap();
        let bounds = (ValueRef::F64(least), ValueRef::F64(greatest));
        let edges = (range.first(), range.last());
        Chart { title: "a  temp".to_owned(), bounds, range, edges, points }
    }

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_line_goes_through_its_points_between_labelled_axes() {
        let points = [0.0, 9.0, 4.5, -3.0].into_iter().enumerate();
        let points = points.map(|(at, value)| (at as i64 * 20 * SECOND, value)).collect();
        let drawn = chart(points).draw(Size { width: 18, height: 3 });
        let expected = "\
a  temp
 9.0 ┤  ⡠⠊⠒⠤⣀
     │⢀⠔⠁    ⠉⠢⡀
-3.0 ┤⠁        ⠈⠑⢄
     └────────────
      1970-01-01T00:00:00Z
      1970-01-01T00:01:00Z
";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn times_share_a_line_that_holds_both() {
        let drawn = chart(vec![(0, 1.0), (SECOND, 2.0)]).draw(Size { width: 60, height: 2 });
        let last = drawn.lines().last().unwrap();
        assert_eq!(last, format!("     {:<35}{}", "1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z"));
        assert!(drawn.lines().all(|line| line.width() <= 60), "{drawn}");
    }

    #[test]
    fn a_constant_is_a_line_in_the_middle_and_one_point_a_dot() {
        let drawn = chart(vec![(0, 7.0), (SECOND, 7.0)]).draw(Size { width: 13, height: 3 });
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines[1..4], ["    │", "7.0 ┤⠒⠒⠒⠒⠒⠒⠒⠒", "    │"]);
        let drawn = chart(vec![(5, 7.0)]).draw(Size { width: 13, height: 1 });
        assert_eq!(drawn.lines().nth(1), Some("7.0 ┤⠂"));
    }

    #[test]
    fn the_widest_span_of_floats_and_of_time_is_drawn_from_corner_to_corner() {
        let ends = vec![(i64::MIN, f64::MIN), (i64::MAX, f64::MAX)];
        let chart = chart(ends);
        assert_eq!(
            [(i64::MIN, f64::MIN), (i64::MAX, f64::MAX)]
                .map(|(t, v)| (chart.x(t, 20), chart.y(v, 8))),
            [(0, 7), (19, 0)]
        );
    }
}
