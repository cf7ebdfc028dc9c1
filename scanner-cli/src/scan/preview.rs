//! `--preview`: what the camera shows, in half blocks on the terminal, with the outline of what was read.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use pairlight_core::frame::{LumaFrame, Point};

/// Ten pictures a second are smooth enough and leave the terminal time.
const PAUSE: Duration = Duration::from_millis(100);
/// Columns where the terminal does not tell how many it has.
const COLUMNS: usize = 80;
/// Rows of text that a picture fills at most.
const MOST_ROWS: usize = 30;
/// Colour of the outline in the palette of 256: a bright green.
const OUTLINE: u8 = 46;

/// Draws over its own last picture.
#[derive(Debug)]
pub(super) struct Preview {
    columns: usize,
    luma: Vec<u8>,
    drawn: usize,
    last: Option<Instant>,
}

impl Preview {
    /// As wide as the terminal.
    pub(super) fn new() -> Self {
        let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        Self { columns: told.unwrap_or(COLUMNS).clamp(20, 160), luma: Vec::new(), drawn: 0, last: None }
    }

    /// Shows a frame, unless one was shown a moment ago.
    ///
    /// # Errors
    /// The terminal's.
    pub(super) fn show(
        &mut self,
        out: &mut impl Write,
        frame: &LumaFrame<'_>,
        outlines: &[[Point; 4]],
        words: &str,
    ) -> io::Result<()> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < PAUSE) {
            return Ok(());
        }
        self.last = Some(now);
        frame.copy_upright_into(&mut self.luma);
        let (width, height) = (frame.upright_width() as usize, frame.upright_height() as usize);
        let (picture, rows) = draw(&self.luma, width, height, self.columns, outlines);
        if self.drawn > 0 {
            write!(out, "\x1b[{}A", self.drawn)?;
        }
        // \x1b[K clears what a longer hint left.
        writeln!(out, "{picture}{words}\x1b[K")?;
        self.drawn = rows + 1;
        out.flush()
    }

    /// Something else was printed: the next picture begins below it.
    pub(super) fn leave(&mut self) {
        self.drawn = 0;
    }
}

/// The picture in lines of half blocks, and how many lines that is.
fn draw(luma: &[u8], width: usize, height: usize, columns: usize, outlines: &[[Point; 4]]) -> (String, usize) {
    // Cells are about square: one column wide, half a row high.
    let across = columns.min(width).min(2 * MOST_ROWS * width / height.max(1)).max(1);
    let down = (across * height / width.max(1)).clamp(1, 2 * MOST_ROWS);
    let mut cells: Vec<u8> = Vec::with_capacity(across * down);
    for y in 0..down {
        for x in 0..across {
            let (left, right) = (x * width / across, ((x + 1) * width / across).max(x * width / across + 1));
            let (top, bottom) = (y * height / down, ((y + 1) * height / down).max(y * height / down + 1));
            let (mut sum, mut count) = (0usize, 0usize);
            for row in (top..bottom.min(height)).step_by(2) {
                for &value in &luma[row * width + left..row * width + right.min(width)] {
                    sum += usize::from(value);
                    count += 1;
                }
            }
            // Greys 232 to 255 of the palette: 24 steps.
            cells.push(232 + (sum / count.max(1) * 24 / 256) as u8);
        }
    }
    let scale = (across as f32 / width as f32, down as f32 / height as f32);
    for corners in outlines {
        for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
            let steps = (across + down) as u32;
            for step in 0..=steps {
                let part = step as f32 / steps as f32;
                let x = (from.x + (to.x - from.x) * part) * scale.0;
                let y = (from.y + (to.y - from.y) * part) * scale.1;
                if x >= 0.0 && y >= 0.0 && (x as usize) < across && (y as usize) < down {
                    cells[y as usize * across + x as usize] = OUTLINE;
                }
            }
        }
    }
    let mut picture = String::new();
    for pair in cells.chunks(2 * across) {
        let (upper, lower) = pair.split_at(across);
        let mut colors = None;
        for (x, &above) in upper.iter().enumerate() {
            let below = lower.get(x).copied().unwrap_or(232);
            if colors != Some((above, below)) {
                picture.push_str(&format!("\x1b[38;5;{above};48;5;{below}m"));
                colors = Some((above, below));
            }
            picture.push('▀');
        }
        picture.push_str("\x1b[0m\n");
    }
    (picture, down.div_ceil(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_proportions_and_shows_the_outline() {
        let luma: Vec<u8> = (0..320 * 240).map(|i| if i % 320 < 160 { 0 } else { 255 }).collect();
        let outline = [(80.0, 60.0), (240.0, 60.0), (240.0, 180.0), (80.0, 180.0)].map(|(x, y)| Point::new(x, y));
        let (plain, rows) = draw(&luma, 320, 240, 40, &[]);
        assert_eq!((rows, plain.lines().count()), (15, 15));
        assert!(plain.lines().all(|line| line.matches('▀').count() == 40));
        assert!(plain.contains("38;5;232") && plain.contains("38;5;255") && !plain.contains(";5;46"));
        let (drawn, _) = draw(&luma, 320, 240, 40, &[outline]);
        assert!(drawn.contains("38;5;46") || drawn.contains("48;5;46"));
        // An outline that reaches out of the picture is cut.
        let far = [(-500.0, -90.0), (900.0, 10.0), (900.0, 900.0), (-10.0, 700.0)].map(|(x, y)| Point::new(x, y));
        assert_eq!(draw(&luma, 320, 240, 40, &[far]).1, 15);
        assert_eq!(draw(&[7], 1, 1, 40, &[]).1, 1);
    }

    #[test]
    fn the_next_picture_is_drawn_over_the_last_until_something_else_was_printed() {
        let luma = vec![90; 64 * 32];
        let frame = LumaFrame::luma8(&luma, 64, 32, 64).unwrap();
        let mut preview = Preview { columns: 32, luma: Vec::new(), drawn: 0, last: None };
        let show = |preview: &mut Preview| {
            let mut out = Vec::new();
            preview.last = None;
            preview.show(&mut out, &frame, &[], "closer").unwrap();
            String::from_utf8(out).unwrap()
        };
        let first = show(&mut preview);
        assert!(first.ends_with("closer\x1b[K\n") && !first.contains("\x1b[9A"));
        assert!(show(&mut preview).starts_with("\x1b[9A"));
        preview.leave();
        assert!(!show(&mut preview).contains("\x1b[9A"));
    }
}
