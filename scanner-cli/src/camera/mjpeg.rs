//! Motion JPEG: finds the picture in the buffer and decodes its brightness only.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::luma::Damaged;

/// Longest side of a frame that is decoded.
const MAX_SIDE: usize = 8192;
const MARKER: u8 = 0xFF;
const START_OF_IMAGE: u8 = 0xD8;
const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;
const HUFFMAN_TABLES: u8 = 0xC4;

/// Many webcams leave out the Huffman tables, as the AVI convention allows. The decoder fills in the standard ones when
/// it sees this AVI1 segment.
const AVI1_SEGMENT: [u8; 10] = [MARKER, 0xE0, 0, 8, b'A', b'V', b'I', b'1', 0, 0];

/// Decodes the brightness plane of the JPEG at the start of `buffer` into `luma` and gives its size.
///
/// The capture library hands over the whole driver buffer: after the picture comes the rest of older ones.
pub(super) fn decode_luma(buffer: &[u8], luma: &mut Vec<u8>) -> Result<(u32, u32), Damaged> {
    let extent = measure(buffer).ok_or(Damaged)?;
    let picture = buffer.get(..extent.end).ok_or(Damaged)?;
    if extent.has_tables {
        decode(picture, luma)
    } else {
        let (start, rest) = picture.split_at_checked(2).ok_or(Damaged)?;
        decode(&[start, &AVI1_SEGMENT, rest].concat(), luma)
    }
}

fn decode(picture: &[u8], luma: &mut Vec<u8>) -> Result<(u32, u32), Damaged> {
    // Strict: by default missing data is painted grey and reported as success.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(picture), options);
    decoder.decode_headers().map_err(|_| Damaged)?;
    let (width, height) = decoder.dimensions().ok_or(Damaged)?;
    let pixels = width.checked_mul(height).ok_or(Damaged)?;
    if decoder.output_buffer_size() != Some(pixels) {
        return Err(Damaged);
    }
    luma.clear();
    luma.resize(pixels, 0);
    decoder.decode_into(luma).map_err(|_| Damaged)?;
    Ok((u32::try_from(width).map_err(|_| Damaged)?, u32::try_from(height).map_err(|_| Damaged)?))
}

/// Where the picture ends, and whether it brings its Huffman tables.
#[derive(Debug, PartialEq, Eq)]
struct Extent {
    end: usize,
    has_tables: bool,
}

/// Walks from marker to marker up to the end of the image (ITU-T T.81, annex B). Searching for the two end bytes alone
/// would stop inside a thumbnail. `None` when the picture is cut off or no JPEG at all.
fn measure(buffer: &[u8]) -> Option<Extent> {
    if buffer.get(..2)? != [MARKER, START_OF_IMAGE] {
        return None;
    }
    let (mut at, mut has_tables) = (2, false);
    loop {
        if *buffer.get(at)? != MARKER {
            return None;
        }
        let code = *buffer.get(at + 1)?;
        match code {
            // A marker may be preceded by any number of fill bytes.
            MARKER => at += 1,
            END_OF_IMAGE => return Some(Extent { end: at + 2, has_tables }),
            // Markers without a length: TEM and restarts.
            0x01 | 0xD0..=0xD7 => at += 2,
            _ => {
                has_tables |= code == HUFFMAN_TABLES;
                let length = usize::from(u16::from_be_bytes([*buffer.get(at + 2)?, *buffer.get(at + 3)?]));
                at += 2 + length.max(2);
                if code == START_OF_SCAN {
                    at = end_of_scan(buffer, at)?;
                }
            }
        }
    }
}

/// The next marker after entropy-coded data: FF followed by anything but a stuffed zero or a restart.
fn end_of_scan(buffer: &[u8], from: usize) -> Option<usize> {
    let data = buffer.get(from..)?;
    let found = data
        .windows(2)
        .position(|pair| matches!(pair, [MARKER, code] if !matches!(*code, 0x00 | 0xD0..=0xD7 | MARKER)))?;
    Some(from + found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;
    use image::{ExtendedColorType, ImageEncoder};

    /// A colour gradient, 4:2:0-free as the encoder writes it, and its expected brightness at the corners.
    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let pixels: Vec<u8> =
            (0..height).flat_map(|y| (0..width).flat_map(move |x| [(x * 3) as u8, (y * 3) as u8, 60])).collect();
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, 90)
            .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
            .unwrap();
        bytes
    }

    fn without_tables(jpeg: &[u8]) -> Vec<u8> {
        let (mut out, mut at) = (jpeg[..2].to_vec(), 2);
        loop {
            let length = 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            if jpeg[at + 1] == START_OF_SCAN {
                out.extend_from_slice(&jpeg[at..]);
                return out;
            }
            if jpeg[at + 1] != HUFFMAN_TABLES {
                out.extend_from_slice(&jpeg[at..at + length]);
            }
            at += length;
        }
    }

    #[test]
    fn brightness_is_decoded_whatever_follows_the_picture() {
        let picture = jpeg(64, 48);
        let mut clean = Vec::new();
        assert_eq!(decode_luma(&picture, &mut clean), Ok((64, 48)));
        // (63, 0): red 189, green 0, blue 60.
        assert!((i32::from(clean[63]) - 63).abs() <= 6, "{}", clean[63]);
        for tail in [vec![0; 5000], picture[300..].to_vec(), vec![0xFF; 3]] {
            let mut luma = Vec::new();
            let buffer = [picture.clone(), tail].concat();
            assert_eq!(decode_luma(&buffer, &mut luma), Ok((64, 48)));
            assert_eq!(luma, clean);
        }
    }

    #[test]
    fn a_picture_without_huffman_tables_uses_the_standard_ones() {
        let picture = jpeg(64, 48);
        let bare = without_tables(&picture);
        assert!(bare.len() + 400 < picture.len());
        assert_eq!(measure(&bare), Some(Extent { end: bare.len(), has_tables: false }));
        let (mut expected, mut luma) = (Vec::new(), Vec::new());
        decode_luma(&picture, &mut expected).unwrap();
        assert_eq!(decode_luma(&bare, &mut luma), Ok((64, 48)));
        assert_eq!(luma, expected);
    }

    #[test]
    fn a_cut_picture_is_damage_wherever_it_is_cut() {
        let picture = jpeg(64, 48);
        let mut luma = Vec::new();
        for end in (0..picture.len()).step_by(7) {
            assert_eq!(decode_luma(&picture[..end], &mut luma), Err(Damaged), "cut at {end}");
        }
    }

    #[test]
    fn rubbish_in_the_middle_never_panics() {
        let picture = jpeg(64, 48);
        let mut luma = Vec::new();
        for at in 2..picture.len() {
            for value in [0x00, 0x7F, 0xD9, 0xFF] {
                let mut broken = picture.clone();
                broken[at] = value;
                // Either outcome is fine; some changes only alter a few pixels.
                let _ = decode_luma(&broken, &mut luma);
            }
        }
    }
}
