//! A camera's raw buffer becomes one brightness plane without padding.

use super::{PixelFormat, StreamFormat, mjpeg};

/// The buffer is too short or the JPEG in it is broken: the frame is dropped and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

/// Fills `luma` from `data` and gives the picture's size. JPEG frames say their size themselves.
pub(super) fn extract(data: &[u8], format: StreamFormat, luma: &mut Vec<u8>) -> Result<(u32, u32), Damaged> {
    let StreamFormat { pixels, width, height, .. } = format;
    let (columns, rows) = (width as usize, height as usize);
    luma.clear();
    match pixels {
        PixelFormat::Mjpeg => return mjpeg::decode_luma(data, luma),
        PixelFormat::Gray => {
            for row in lines(data, columns, rows, rows)? {
                luma.extend_from_slice(row);
            }
        }
        PixelFormat::Nv12 => {
            // Half as many rows of chroma follow with the same stride.
            for row in lines(data, columns, rows, rows + rows.div_ceil(2))? {
                luma.extend_from_slice(row);
            }
        }
        PixelFormat::Yuyv => {
            for row in lines(data, columns * 2, rows, rows)? {
                luma.extend(row.iter().copied().step_by(2));
            }
        }
        PixelFormat::Rgb => {
            for row in lines(data, columns * 3, rows, rows)? {
                luma.extend(row.as_chunks::<3>().0.iter().map(|&[r, g, b]| weigh(r, g, b)));
            }
        }
        PixelFormat::Bgr => {
            for row in lines(data, columns * 3, rows, rows)? {
                luma.extend(row.as_chunks::<3>().0.iter().map(|&[b, g, r]| weigh(r, g, b)));
            }
        }
    }
    Ok((width, height))
}

/// Brightness by the weights of ITU-R BT.601, in 256ths.
fn weigh(r: u8, g: u8, b: u8) -> u8 {
    ((u32::from(r) * 77 + u32::from(g) * 150 + u32::from(b) * 29) >> 8) as u8
}

/// The first `rows` rows of `row_bytes` each.
///
/// The capture library does not tell the driver's stride. A buffer that divides evenly into `buffer_rows` rows slightly
/// longer than needed is read with that stride; otherwise rows are packed and the excess is page padding at the end.
fn lines(
    data: &[u8],
    row_bytes: usize,
    rows: usize,
    buffer_rows: usize,
) -> Result<impl Iterator<Item = &[u8]>, Damaged> {
    /// Drivers align rows to at most this many bytes; a larger excess is not row padding.
    const MOST_PADDING: usize = 256;
    if row_bytes == 0 || rows == 0 || data.len() < row_bytes * rows {
        return Err(Damaged);
    }
    let even = data.len() / buffer_rows;
    let padded = data.len().is_multiple_of(buffer_rows)
        && even > row_bytes
        && even - row_bytes < MOST_PADDING
        && even.is_multiple_of(16);
    let stride = if padded { even } else { row_bytes };
    Ok(data.chunks(stride).take(rows).filter_map(move |row| row.get(..row_bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(pixels: PixelFormat, width: u32, height: u32) -> StreamFormat {
        StreamFormat { pixels, width, height, fps: 30 }
    }

    fn luma_of(data: &[u8], pixels: PixelFormat, width: u32, height: u32) -> Result<Vec<u8>, Damaged> {
        let mut luma = Vec::new();
        let size = extract(data, format(pixels, width, height), &mut luma)?;
        assert_eq!(size, (width, height));
        Ok(luma)
    }

    #[test]
    fn brightness_is_taken_from_every_packing() {
        assert_eq!(luma_of(&[1, 2, 3, 4], PixelFormat::Gray, 2, 2).unwrap(), [1, 2, 3, 4]);
        assert_eq!(luma_of(&[1, 2, 3, 4, 128, 128], PixelFormat::Nv12, 2, 2).unwrap(), [1, 2, 3, 4]);
        assert_eq!(luma_of(&[1, 128, 2, 128, 3, 128, 4, 128], PixelFormat::Yuyv, 2, 2).unwrap(), [1, 2, 3, 4]);
        assert_eq!(luma_of(&[255, 255, 255, 255, 0, 0], PixelFormat::Rgb, 2, 1).unwrap(), [255, 76]);
        assert_eq!(luma_of(&[255, 255, 255, 255, 0, 0], PixelFormat::Bgr, 2, 1).unwrap(), [255, 28]);
    }

    #[test]
    fn padded_rows_are_skipped_and_page_padding_is_not_a_stride() {
        // 8 pixels of YUYV are 16 bytes; the driver pads rows to 32.
        let mut padded = vec![0xEE; 64];
        for (row, bytes) in padded.chunks_mut(32).enumerate() {
            for (at, byte) in bytes.iter_mut().take(16).enumerate() {
                *byte = if at % 2 == 0 { (row * 10 + at / 2) as u8 } else { 128 };
            }
        }
        let expected: Vec<u8> = (0..8).chain(10..18).collect();
        assert_eq!(luma_of(&padded, PixelFormat::Yuyv, 8, 2).unwrap(), expected);

        let mut page = vec![0; 4096];
        page[..4].copy_from_slice(&[9, 8, 7, 6]);
        assert_eq!(luma_of(&page, PixelFormat::Gray, 2, 2).unwrap(), [9, 8, 7, 6]);
    }

    #[test]
    fn a_short_buffer_is_damage() {
        for pixels in [PixelFormat::Gray, PixelFormat::Nv12, PixelFormat::Yuyv, PixelFormat::Rgb, PixelFormat::Bgr] {
            assert_eq!(luma_of(&[0; 3], pixels, 2, 2), Err(Damaged), "{pixels}");
            assert_eq!(luma_of(&[], pixels, 2, 2), Err(Damaged), "{pixels}");
        }
    }
}
