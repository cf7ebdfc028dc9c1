#![expect(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use super::*;

/// A 4x3 picture whose pixels are numbered 0..12, in a buffer with 6 bytes per row.
fn numbered() -> Vec<u8> {
    let mut data = vec![99; 18];
    for y in 0..3 {
        for x in 0..4 {
            data[y * 6 + x] = (y * 4 + x) as u8;
        }
    }
    data
}

fn upright(frame: &LumaFrame<'_>) -> Vec<u8> {
    let mut out = vec![1, 2, 3];
    frame.copy_upright_into(&mut out);
    assert_eq!(out.len() as u32, frame.upright_width() * frame.upright_height());
    out
}

#[test]
fn every_turn_and_the_mirror_make_the_picture_upright() {
    let data = numbered();
    let frame = LumaFrame::luma8(&data, 4, 3, 6).unwrap();
    let turned = |degrees| frame.rotated(Rotation::from_degrees(degrees).unwrap());
    assert_eq!(upright(&turned(0)), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(upright(&turned(90)), [8, 4, 0, 9, 5, 1, 10, 6, 2, 11, 7, 3]);
    assert_eq!(upright(&turned(180)), [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    assert_eq!(upright(&turned(-90)), [3, 7, 11, 2, 6, 10, 1, 5, 9, 0, 4, 8]);
    assert_eq!(upright(&turned(0).mirrored(true)), [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8]);
    assert_eq!(upright(&turned(90).mirrored(true)), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
    assert_eq!(upright(&turned(180).mirrored(true)), [8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3]);
    assert_eq!(upright(&turned(270).mirrored(true)), [11, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4, 0]);
    assert_eq!(Rotation::from_degrees(45), None);
}

#[test]
fn a_point_of_a_cropped_view_maps_to_the_same_pixel_of_the_full_view() {
    let (width, height) = (13, 9);
    let data: Vec<u8> = (0..width * height).map(|i| i as u8).collect();
    let full = LumaFrame::luma8(&data, width, height, width as usize).unwrap();
    for degrees in [0, 90, 180, 270] {
        for mirrored in [false, true] {
            let full = full.rotated(Rotation::from_degrees(degrees).unwrap()).mirrored(mirrored);
            let cropped = full.crop(Rect::new(2, 1, 5, 7)).unwrap();
            let (all, part) = (upright(&full), upright(&cropped));
            for y in 0..cropped.upright_height() {
                for x in 0..cropped.upright_width() {
                    let there = cropped.to_full_frame(Point::new(x as f32, y as f32));
                    assert_eq!(
                        part[(y * cropped.upright_width() + x) as usize],
                        all[there.y as usize * full.upright_width() as usize + there.x as usize],
                        "{degrees} {mirrored} {x} {y}"
                    );
                }
            }
        }
    }
}

#[test]
fn yuv_formats_give_their_brightness_and_check_their_colour_planes() {
    let luma: Vec<u8> = (0..4 * 2).collect();
    let mut planar = luma.clone();
    planar.extend([200; 4]);
    for new in [LumaFrame::nv12, LumaFrame::nv21, LumaFrame::i420] {
        assert_eq!(upright(&new(&planar, 4, 2, 4).unwrap()), luma);
        assert_eq!(new(&planar[..11], 4, 2, 4).unwrap_err(), FrameError::BufferTooShort { expected: 12, got: 11 });
        assert!(matches!(new(&planar, 3, 2, 4), Err(FrameError::OddSize { width: 3, .. })));
        assert!(matches!(new(&planar, 4, 1, 4), Err(FrameError::OddSize { height: 1, .. })));
    }
    assert_eq!(LumaFrame::i420(&planar, 2, 2, 3).unwrap_err(), FrameError::OddStride { format: "I420", got: 3 });
    let yuyv: Vec<u8> = luma.iter().flat_map(|&y| [y, 128]).collect();
    assert_eq!(upright(&LumaFrame::yuyv(&yuyv, 4, 2, 8).unwrap()), luma);
    assert_eq!(upright(&LumaFrame::yuyv(&yuyv, 4, 2, 8).unwrap().rotated(Rotation::R90)), [4, 0, 5, 1, 6, 2, 7, 3]);
    assert_eq!(
        LumaFrame::yuyv(&yuyv[..15], 4, 2, 8).unwrap_err(),
        FrameError::BufferTooShort { expected: 16, got: 15 }
    );
    assert_eq!(LumaFrame::yuyv(&yuyv, 4, 2, 7).unwrap_err(), FrameError::StrideTooShort { expected: 8, got: 7 });
}

#[test]
fn colour_becomes_brightness_in_a_buffer_that_is_kept() {
    let mut buffer = LumaBuffer::new();
    let rgb = [255, 255, 255, 0, 0, 0, 7, 7, 255, 0, 0, 0, 255, 0];
    let frame = buffer.fill(PackedFormat::Rgb, &rgb, 2, 2, 8).unwrap();
    assert_eq!(upright(&frame), [255, 0, 76, 150]);
    let rgba = [0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 128];
    assert_eq!(upright(&buffer.fill(PackedFormat::Rgba, &rgba, 3, 1, 12).unwrap()), [0, 255, 127]);
    let bgra = [255, 0, 0, 0, 0, 0, 255, 0];
    assert_eq!(upright(&buffer.fill(PackedFormat::Bgra, &bgra, 2, 1, 8).unwrap()), [29, 76]);
    assert_eq!(
        buffer.fill(PackedFormat::Bgra, &bgra[..7], 2, 1, 8).unwrap_err(),
        FrameError::BufferTooShort { expected: 8, got: 7 }
    );
    assert_eq!(
        buffer.fill(PackedFormat::Rgb, &rgb, 2, 2, 5).unwrap_err(),
        FrameError::StrideTooShort { expected: 6, got: 5 }
    );
}

#[test]
fn impossible_sizes_are_refused_with_their_numbers() {
    let data = [0; 16];
    assert_eq!(LumaFrame::luma8(&data, 0, 4, 4).unwrap_err(), FrameError::Empty { width: 0, height: 4 });
    assert_eq!(
        LumaFrame::luma8(&data, u32::MAX, u32::MAX, usize::MAX).unwrap_err(),
        FrameError::TooLarge { width: u32::MAX, height: u32::MAX }
    );
    assert!(matches!(LumaFrame::luma8(&data, MAX_SIDE, MAX_SIDE, 20_000), Err(FrameError::TooLarge { .. })));
    assert_eq!(LumaFrame::luma8(&data, 4, 4, 3).unwrap_err(), FrameError::StrideTooShort { expected: 4, got: 3 });
    assert_eq!(LumaFrame::luma8(&data, 4, 5, 4).unwrap_err(), FrameError::BufferTooShort { expected: 20, got: 16 });
    assert_eq!(
        LumaFrame::luma8(&data, 4, 4, usize::MAX).unwrap_err(),
        FrameError::SizeOverflow { row_stride: usize::MAX, height: 4 }
    );
    assert_eq!(LumaFrame::new(&data, 4, 4, 4, 0).unwrap_err(), FrameError::NoPixelStride);
    assert!(LumaFrame::new(&data, 4, 4, usize::MAX, usize::MAX).is_err());
    let frame = LumaFrame::luma8(&data, 4, 4, 4).unwrap();
    for crop in [Rect::new(0, 0, 0, 1), Rect::new(1, 0, 4, 1), Rect::new(u32::MAX, 0, 2, 1), Rect::new(0, 4, 1, 1)] {
        assert_eq!(frame.crop(crop).unwrap_err(), FrameError::CropOutside { crop, width: 4, height: 4 });
    }
    assert_eq!(
        LumaFrame::luma8(&data, 4, 5, 4).unwrap_err().to_string(),
        "expected 20 bytes for this format and size, got 16"
    );
}

#[test]
fn the_last_row_may_end_with_its_last_pixel() {
    let data = numbered();
    assert!(LumaFrame::luma8(&data[..16], 4, 3, 6).is_ok());
    assert!(LumaFrame::luma8(&data[..15], 4, 3, 6).is_err());
}

proptest::proptest! {
    #[test]
    fn an_accepted_frame_can_always_be_copied(
        len in 0usize..600, width in 0u32..40, height in 0u32..40, row in 0usize..50, pixel in 0usize..4, turn in 0i32..4,
        mirrored: bool, crop in proptest::array::uniform4(0u32..40),
    ) {
        let data = vec![7; len];
        if let Ok(frame) = LumaFrame::new(&data, width, height, row, pixel) {
            let frame = frame.rotated(Rotation::from_degrees(turn * 90).unwrap()).mirrored(mirrored);
            upright(&frame);
            let [x, y, width, height] = crop;
            if let Ok(frame) = frame.crop(Rect::new(x, y, width, height)) {
                assert!(upright(&frame).iter().all(|&p| p == 7));
            }
        }
    }
}
