//! A picture file becomes a brightness plane, the right way up.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use pairlight_core::frame::{LumaBuffer, LumaFrame, PackedFormat};

use super::input::InputError;

const MAX_SIDE: u32 = 16_384;
/// Memory for one decoded picture: 16 bit colour of 80 megapixels.
const MAX_DECODED_BYTES: u64 = 640 << 20;

/// Decodes a picture of any supported format. The format is told by the first bytes, never by a file name. What is
/// transparent is shown on white, as viewers do.
pub(crate) fn decode<'a>(bytes: &[u8], buffer: &'a mut LumaBuffer) -> Result<LumaFrame<'a>, InputError> {
    let Ok(format) = image::guess_format(bytes) else {
        return Err(if bytes.get(4..8) == Some(b"ftyp") { InputError::PhoneFormat } else { InputError::UnknownFormat });
    };
    if format == ImageFormat::Avif {
        return Err(InputError::PhoneFormat);
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    // Before the pixels are unpacked: a small file can hold a huge picture.
    let (width, height) = decoder.dimensions();
    LumaFrame::check_size(width, height)?;
    // A camera turns the picture by a note, not by moving pixels. Without the note it is upright.
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    let (width, height) = (picture.width(), picture.height());
    let frame = if picture.color().has_alpha() {
        buffer.fill(PackedFormat::Rgba, &picture.into_rgba8(), width, height, width as usize * 4)
    } else {
        buffer.fill(PackedFormat::Rgb, &picture.into_rgb8(), width, height, width as usize * 3)
    };
    Ok(frame?)
}

/// Whether the end of a JPEG is missing: a download that broke off. It is shown all the same, grey where nothing came.
pub(crate) fn is_cut_off(bytes: &[u8]) -> bool {
    let Some(mut rest) = bytes.strip_prefix(&[0xff, 0xd8]) else { return false };
    // Segments have a length (ITU-T T.81, B.1.1.4); one of them may hold a smaller picture with an end of its own. Behind
    // the start of scan (DA) come the pixels.
    while let [0xff, marker, high, low, ..] = rest {
        let length = 2 + usize::from(u16::from_be_bytes([*high, *low]));
        let Some(later) = rest.get(length..) else { return true };
        rest = later;
        if *marker == 0xda {
            return !rest.windows(2).any(|pair| pair == [0xff, 0xd9]);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgba, RgbaImage};

    fn png(picture: &RgbaImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn transparent_pixels_are_white() {
        let mut picture = RgbaImage::from_pixel(2, 1, Rgba([0, 0, 0, 0]));
        picture.put_pixel(1, 0, Rgba([0, 0, 0, 255]));
        let mut buffer = LumaBuffer::new();
        let mut luma = Vec::new();
        decode(&png(&picture), &mut buffer).unwrap().copy_upright_into(&mut luma);
        assert_eq!(luma, [255, 0]);
    }

    #[test]
    fn a_photo_is_turned_as_its_note_says() {
        // A 16x8 picture, its left half black, with "turn a quarter clockwise": then the top half is black.
        let pixels: Vec<u8> = (0..16 * 8).map(|at| if at % 16 < 8 { 0 } else { 255 }).collect();
        let mut jpeg = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95);
        encoder.encode(&pixels, 16, 8, image::ExtendedColorType::L8).unwrap();
        let exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        jpeg.splice(2..2, exif.iter().copied());
        let mut buffer = LumaBuffer::new();
        let frame = decode(&jpeg, &mut buffer).unwrap();
        let mut luma = Vec::new();
        frame.copy_upright_into(&mut luma);
        assert_eq!((frame.upright_width(), frame.upright_height()), (8, 16));
        assert!(luma[..8].iter().all(|&value| value < 40), "{luma:?}");
        assert!(luma[120..].iter().all(|&value| value > 215), "{luma:?}");
    }

    #[test]
    fn a_jpeg_without_its_end_is_noticed() {
        let mut jpeg = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
        encoder.encode(&[200; 64 * 64], 64, 64, image::ExtendedColorType::L8).unwrap();
        assert!(!is_cut_off(&jpeg));
        assert!(is_cut_off(&jpeg[..jpeg.len() - 2]));
        assert!(is_cut_off(&jpeg[..20]), "in the middle of the head");
        // A thumbnail inside has an end; that is not the picture's.
        jpeg.splice(2..2, *b"\xff\xe1\x00\x06\xff\xd8\xff\xd9");
        assert!(!is_cut_off(&jpeg));
        assert!(is_cut_off(&jpeg[..jpeg.len() - 2]));
        assert!(!is_cut_off(&png(&RgbaImage::new(1, 1))));
    }

    #[test]
    fn what_is_no_picture_is_named() {
        let mut buffer = LumaBuffer::new();
        assert!(matches!(decode(b"hello", &mut buffer), Err(InputError::UnknownFormat)));
        assert!(matches!(decode(b"", &mut buffer), Err(InputError::UnknownFormat)));
        assert!(matches!(decode(b"\0\0\0\x18ftypheic....", &mut buffer), Err(InputError::PhoneFormat)));
        let whole = png(&RgbaImage::from_pixel(40, 40, Rgba([1, 2, 3, 255])));
        assert!(matches!(decode(&whole[..whole.len() / 2], &mut buffer), Err(InputError::Picture(_))));
    }
}
