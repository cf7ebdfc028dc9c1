//! A camera for the tests of the bindings.

use pairlight_bindings::{CodePicture, FrameInfo, Turn};

/// The code as a camera's luma plane: 4 pixels a module, 4 modules of margin, rows padded to a stride.
pub(crate) fn photograph(code: &CodePicture) -> (Vec<u8>, FrameInfo) {
    let size = code.size as usize;
    let side = (size + 8) * 4;
    let stride = side + 24;
    let mut luma = vec![255; stride * side];
    for y in 0..side {
        for x in 0..side {
            let (column, row) = ((x / 4).wrapping_sub(4), (y / 4).wrapping_sub(4));
            if column < size && row < size && code.modules[row * size + column] == 1 {
                luma[y * stride + x] = 0;
            }
        }
    }
    let (side, row_stride) = (side as u32, stride as u32);
    let info = FrameInfo {
        width: side,
        height: side,
        row_stride,
        pixel_stride: 1,
        turn: Turn::None,
        mirrored: false,
        crop: None,
        taken_ms: 1,
    };
    (luma, info)
}
