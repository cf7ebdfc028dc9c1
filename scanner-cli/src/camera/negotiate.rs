//! Which of a camera's formats is best for reading codes.

use super::{PixelFormat, StreamFormat};

/// Enough pixels for a dense code at arm's length, few enough to scan 30 times a second.
const WANTED_PIXELS: f64 = 1280.0 * 720.0;
const WANTED_FPS: f64 = 30.0;

/// The formats from best to worst, each once. The caller tries them in turn: drivers refuse some that they list.
pub(super) fn rank(offered: &[StreamFormat]) -> Vec<StreamFormat> {
    let mut ranked = offered.to_vec();
    ranked.retain(|format| format.width > 0 && format.height > 0 && format.fps > 0);
    ranked.sort_by(|a, b| cost(a).total_cmp(&cost(b)).then_with(|| a.cmp(b)));
    ranked.dedup();
    ranked
}

/// How far a format is from what we want; a factor of two in size or rate counts about 1.
fn cost(format: &StreamFormat) -> f64 {
    let size = (f64::from(format.width) * f64::from(format.height) / WANTED_PIXELS).log2();
    // Too small loses codes, too large only costs time.
    let size_cost = if size < 0.0 { -1.3 * size } else { size };
    let rate = (f64::from(format.fps) / WANTED_FPS).log2();
    let rate_cost = if rate < 0.0 { -0.6 * rate } else { 0.05 * rate };
    let pixel_cost = match format.pixels {
        PixelFormat::Gray | PixelFormat::Nv12 => 0.0,
        PixelFormat::Yuyv => 0.02,
        // Decoding costs milliseconds and blurs edges, but USB 2 cannot carry 720p30 otherwise.
        PixelFormat::Mjpeg => 0.1,
        PixelFormat::Rgb | PixelFormat::Bgr => 0.25,
    };
    size_cost + rate_cost + pixel_cost
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(pixels: PixelFormat, width: u32, height: u32, fps: u32) -> StreamFormat {
        StreamFormat { pixels, width, height, fps }
    }

    #[test]
    fn the_best_format_is_near_720p30_and_uncompressed_if_it_is_as_fast() {
        use PixelFormat::{Gray, Mjpeg, Rgb, Yuyv};
        let usb2 = [
            offer(Yuyv, 640, 480, 30),
            offer(Yuyv, 1280, 720, 10),
            offer(Mjpeg, 1280, 720, 30),
            offer(Mjpeg, 1920, 1080, 30),
        ];
        assert_eq!(rank(&usb2)[0], offer(Mjpeg, 1280, 720, 30));
        let usb3 = [
            offer(Mjpeg, 1280, 720, 30),
            offer(Yuyv, 1280, 720, 30),
            offer(Rgb, 1280, 720, 30),
            offer(Mjpeg, 1280, 720, 60),
        ];
        assert_eq!(rank(&usb3)[0], offer(Yuyv, 1280, 720, 30));
        let slow = [offer(Yuyv, 320, 240, 30), offer(Yuyv, 1280, 720, 10)];
        assert_eq!(rank(&slow)[0], offer(Yuyv, 1280, 720, 10));
        let infrared = [offer(Gray, 640, 360, 15), offer(Mjpeg, 3840, 2160, 30)];
        assert_eq!(rank(&infrared).len(), 2);
    }

    #[test]
    fn impossible_and_repeated_offers_are_left_out() {
        let good = offer(PixelFormat::Yuyv, 640, 480, 30);
        let offers = [good, offer(PixelFormat::Yuyv, 0, 480, 30), good, offer(PixelFormat::Yuyv, 640, 480, 0)];
        assert_eq!(rank(&offers), [good]);
        assert!(rank(&[]).is_empty());
    }
}
