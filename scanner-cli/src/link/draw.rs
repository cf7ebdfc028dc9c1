//! A code on a terminal and in a picture: always dark on light, always with its quiet zone.

use std::io::Write;
use std::path::Path;

use pairlight_core::pairing::{CodeMatrix, QUIET_ZONE};

/// Whether the module at a place of the drawing (quiet zone included) is dark.
fn is_dark(code: &CodeMatrix, x: usize, y: usize) -> bool {
    x >= QUIET_ZONE && y >= QUIET_ZONE && code.is_dark(x - QUIET_ZONE, y - QUIET_ZONE)
}

/// The code in half blocks, two rows of modules a line. With `color` foreground and background are set, so that every
/// theme shows the same. Without, light modules are drawn as blocks, which is right on a dark terminal only.
pub(crate) fn draw(code: &CodeMatrix, color: bool) -> String {
    let side = code.size() + 2 * QUIET_ZONE;
    let mut drawing = String::new();
    for y in (0..side).step_by(2) {
        let blocks = (0..side).map(|x| {
            let (upper, lower) = (is_dark(code, x, y), is_dark(code, x, y + 1) && y + 1 < side);
            // With colours a block is dark ink on white; without, it is light on the terminal's black.
            match if color { (upper, lower) } else { (!upper, !lower && y + 1 < side) } {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            }
        });
        let line: String = blocks.collect();
        if color {
            drawing.push_str(&format!("\x1b[38;2;0;0;0m\x1b[48;2;255;255;255m{line}\x1b[0m\n"));
        } else {
            drawing.push_str(&line);
            drawing.push('\n');
        }
    }
    drawing
}

/// How many letters fit in a line of the terminal; `None` when there is none.
pub(crate) fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// Writes the code as a PNG of 8 pixels per module that only its owner can read; the old picture is replaced in one
/// step.
pub(crate) fn write_png(code: &CodeMatrix, path: &Path) -> Result<(), String> {
    const SCALE: usize = 8;
    let side = (code.size() + 2 * QUIET_ZONE) * SCALE;
    let picture = image::GrayImage::from_fn(side as u32, side as u32, |x, y| {
        let dark = is_dark(code, x as usize / SCALE, y as usize / SCALE);
        image::Luma([if dark { 0 } else { 255 }])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).map_err(|error| error.to_string())?;
    // A fresh file under a name that nobody can guess, readable by its owner alone, and gone if anything fails.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut unfinished = tempfile::NamedTempFile::new_in(folder).map_err(|error| error.to_string())?;
    unfinished.write_all(bytes.get_ref()).map_err(|error| error.to_string())?;
    unfinished.persist(path).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use pairlight_core::Timestamp;
    use pairlight_core::frame::LumaFrame;
    use pairlight_core::scan::{ScanEffort, ScanOptions, Scanner};
    use pairlight_wire::qr::QrPayload;

    use super::*;

    /// What a terminal shows of a drawing: pixels of `ink` on `paper`, 4 a module, on a page of `page`.
    fn photograph(drawing: &str, ink: u8, paper: u8, page: u8) -> (Vec<u8>, u32) {
        let mut plain = String::new();
        let mut escape = false;
        for letter in drawing.chars() {
            match (escape, letter) {
                (false, '\x1b') => escape = true,
                (true, 'm') => escape = false,
                (true, _) => {}
                (false, letter) => plain.push(letter),
            }
        }
        let lines: Vec<Vec<char>> = plain.lines().map(|line| line.chars().collect()).collect();
        let side = (lines[0].len() + 16) * 4;
        let mut pixels = vec![page; side * side];
        for (row, line) in lines.iter().enumerate() {
            for (column, letter) in line.iter().enumerate() {
                let halves = [matches!(letter, '█' | '▀'), matches!(letter, '█' | '▄')];
                for (half, inked) in halves.into_iter().enumerate() {
                    for dy in 0..4 {
                        for dx in 0..4 {
                            let (x, y) = ((column + 8) * 4 + dx, (row * 2 + half + 8) * 4 + dy);
                            pixels[y * side + x] = if inked { ink } else { paper };
                        }
                    }
                }
            }
        }
        (pixels, side as u32)
    }

    fn read(pixels: &[u8], side: u32) -> Option<Vec<u8>> {
        let frame = LumaFrame::luma8(pixels, side, side, side as usize).unwrap();
        let mut scanner = Scanner::new(ScanOptions { effort: ScanEffort::Thorough, ..ScanOptions::default() });
        scanner.scan(&frame, Timestamp::from_unix_ms(0)).symbols.into_iter().next().map(|symbol| symbol.bytes)
    }

    #[test]
    fn the_drawing_is_read_back_on_dark_and_light_terminals() {
        let text = QrPayload::new(0, [0x3c; 32], [0xc3; 16]).to_text();
        let code = CodeMatrix::draw(&text).unwrap();
        for page in [0, 255] {
            let (pixels, side) = photograph(&draw(&code, true), 0, 255, page);
            assert_eq!(read(&pixels, side).as_deref(), Some(text.as_bytes()), "with colours on {page}");
        }
        let (pixels, side) = photograph(&draw(&code, false), 255, 0, 0);
        assert_eq!(read(&pixels, side).as_deref(), Some(text.as_bytes()), "without colours on black");
    }
}
