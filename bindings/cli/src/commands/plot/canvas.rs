//! A grid of dots, printed as braille characters: two dots across and four down in each.

/// Dots, numbered from the upper left.
pub(super) struct Canvas {
    /// Characters in a line.
    columns: usize,
    /// The dots of each character, as the Unicode standard numbers the patterns of braille from U+2800 on.
    cells: Vec<u8>,
}

/// Dots across and down in a character.
pub(super) const ACROSS: usize = 2;
pub(super) const DOWN: usize = 4;

/// The bit of each dot of a character, row by row.
const BITS: [[u8; ACROSS]; DOWN] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

impl Canvas {
    pub(super) fn new(columns: usize, rows: usize) -> Self {
        Canvas { columns, cells: vec![0; columns * rows] }
    }

    /// Sets a dot; one beyond the edge is left out.
    pub(super) fn dot(&mut self, x: usize, y: usize) {
        if x / ACROSS >= self.columns {
            return;
        }
        if let Some(cell) = self.cells.get_mut(y / DOWN * self.columns + x / ACROSS) {
            *cell |= BITS[y % DOWN][x % ACROSS];
        }
    }

    /// Sets the dots of a straight line, both ends included: as many as its longer side has.
    pub(super) fn line(&mut self, from: (usize, usize), to: (usize, usize)) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1));
        let between = |a: usize, b: usize, step: usize| {
            // To the nearest dot, halves towards the end.
            let part = (a.abs_diff(b) * step * 2 + steps) / (steps * 2);
            if a < b { a + part } else { a - part }
        };
        self.dot(from.0, from.1);
        for step in 1..=steps {
            self.dot(between(from.0, to.0, step), between(from.1, to.1, step));
        }
    }

    /// The characters, line by line, without blanks at the ends.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.cells.chunks(self.columns.max(1)).map(|cells| {
            let used = cells.iter().rposition(|cell| *cell != 0).map_or(0, |last| last + 1);
            // A space for the pattern without dots, which some fonts draw as empty circles.
            let character = |cell: &u8| match cell {
                0 => ' ',
                cell => char::from_u32(0x2800 + u32::from(*cell)).unwrap_or(' '),
            };
            cells[..used].iter().map(character).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(canvas: &Canvas) -> Vec<String> {
        canvas.lines().collect()
    }

    #[test]
    fn each_dot_has_its_place_in_a_character() {
        let mut all = Canvas::new(1, 1);
        let mut seen = Vec::new();
        for y in 0..DOWN {
            for x in 0..ACROSS {
                let mut one = Canvas::new(2, 1);
                one.dot(x, y);
                all.dot(x, y);
                seen.extend(drawn(&one));
            }
        }
        assert_eq!(seen.join(""), "⠁⠈⠂⠐⠄⠠⡀⢀");
        assert_eq!(drawn(&all), ["⣿"]);
    }

    #[test]
    fn lines_are_whole_at_every_slope_and_in_both_directions() {
        let corners = [(0, 0), (7, 0), (0, 11), (7, 11), (3, 11), (7, 5)];
        for from in corners {
            for to in corners {
                let (mut there, mut back) = (Canvas::new(4, 3), Canvas::new(4, 3));
                there.line(from, to);
                back.line(to, from);
                let dots = |canvas: &Canvas| {
                    canvas.cells.iter().map(|cell| cell.count_ones() as usize).sum::<usize>()
                };
                let longer = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)) + 1;
                assert_eq!((dots(&there), dots(&back)), (longer, longer), "{from:?} {to:?}");
            }
        }
        let mut slope = Canvas::new(4, 1);
        slope.line((0, 3), (7, 0));
        assert_eq!(drawn(&slope), ["⣀⠤⠒⠉"]);
    }

    #[test]
    fn what_lies_beyond_the_edge_is_left_out() {
        let mut canvas = Canvas::new(2, 1);
        canvas.line((0, 0), (9, 9));
        canvas.dot(4, 0);
        assert_eq!(drawn(&canvas), ["⠑⢄"]);
    }
}
