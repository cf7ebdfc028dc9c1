//! All conditions on one sheet, for the eye.

use crate::{Condition, Frame, Lens, LensError, Matrix, font};

const CAPTION_PX: usize = 26;
const GAP_PX: usize = 8;

/// Tiles of all conditions in `columns` columns, each tile `tile_width` pixels wide and showing the whole frame.
///
/// The truth of the result is that of the first tile's frame before it was made smaller.
///
/// # Errors
/// Those of [`Lens::new`] and [`Lens::shoot`].
pub fn contact_sheet(matrix: &Matrix, seed: u64, columns: usize, tile_width: usize) -> Result<Frame, LensError> {
    let columns = columns.clamp(1, Condition::ALL.len());
    let mut tiles = Vec::new();
    let mut first = None;
    for condition in Condition::ALL {
        let scene = condition.scene(matrix.clone());
        let view = condition.view(seed);
        let frame = Lens::new(&scene)?.shoot(&view)?;
        let caption = format!("{}  {:.1} px per module", condition.name(), view.px_per_module);
        tiles.push((shrink(&frame, tile_width), caption));
        first.get_or_insert(frame);
    }
    let Some(mut sheet) = first else {
        return Err(LensError::OutOfRange { field: "Condition::ALL", reason: "at least one" });
    };
    let tile_height = tiles[0].0.len() / (3 * tile_width);
    let (step_x, step_y) = (tile_width + GAP_PX, tile_height + CAPTION_PX + GAP_PX);
    sheet.width = columns * step_x + GAP_PX;
    sheet.height = tiles.len().div_ceil(columns) * step_y + GAP_PX;
    sheet.rgb = vec![24; 3 * sheet.width * sheet.height];
    for (index, (tile, caption)) in tiles.iter().enumerate() {
        let (left, top) = (GAP_PX + index % columns * step_x, GAP_PX + index / columns * step_y);
        for (y, row) in tile.chunks_exact(3 * tile_width).enumerate() {
            let at = 3 * ((top + y) * sheet.width + left);
            sheet.rgb[at..at + row.len()].copy_from_slice(row);
        }
        let scale = if font::width(caption, 2) < tile_width { 2 } else { 1 };
        font::draw(caption, scale, |x, y| {
            if x < tile_width {
                let at = 3 * ((top + tile_height + 7 + y) * sheet.width + left + 2 + x);
                sheet.rgb[at..at + 3].fill(225);
            }
        });
    }
    Ok(sheet)
}

/// The mean of the frame's pixels under each pixel of the tile.
fn shrink(frame: &Frame, width: usize) -> Vec<u8> {
    let height = (frame.height * width / frame.width).max(1);
    let mut tile = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        let rows = y * frame.height / height..((y + 1) * frame.height).div_ceil(height);
        for x in 0..width {
            let columns = x * frame.width / width..((x + 1) * frame.width).div_ceil(width);
            for channel in 0..3 {
                let values =
                    rows.clone().flat_map(|y| columns.clone().map(move |x| 3 * (y * frame.width + x) + channel));
                let (sum, count) = values.fold((0, 0), |(sum, count), at| (sum + u32::from(frame.rgb[at]), count + 1));
                tile.push((sum / count.max(1)) as u8);
            }
        }
    }
    tile
}
