//! Uncompressed video (YUV4MPEG2), which ffmpeg, mpv and browsers' fake cameras read.

use std::io::Write;

use crate::{Frame, LensError};

/// Colour planes of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chroma {
    /// `C420jpeg`: full-range BT.601 with colours at half resolution, sited between the pixels.
    Yuv420Jpeg,
    /// `Cmono`: brightness alone.
    Mono,
}

/// Writes frames to anything that takes bytes. The header goes out with the first frame's size.
#[derive(Debug)]
pub struct Y4mWriter<W: Write> {
    out: W,
    width: usize,
    height: usize,
    chroma: Chroma,
}

impl<W: Write> Y4mWriter<W> {
    /// Writes the stream header.
    ///
    /// # Errors
    /// [`LensError::OutOfRange`] when a size or the rate is zero, [`LensError::Io`].
    pub fn new(mut out: W, width: usize, height: usize, fps: u32, chroma: Chroma) -> Result<Self, LensError> {
        if width == 0 || height == 0 || fps == 0 {
            return Err(LensError::OutOfRange { field: "Y4mWriter::new", reason: "size and rate at least 1" });
        }
        let (name, range) = match chroma {
            Chroma::Yuv420Jpeg => ("420jpeg", " XCOLORRANGE=FULL"),
            Chroma::Mono => ("mono", " XCOLORRANGE=FULL"),
        };
        writeln!(out, "YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C{name}{range}")?;
        Ok(Self { out, width, height, chroma })
    }

    /// Appends one frame.
    ///
    /// # Errors
    /// [`LensError::FrameSize`] when the frame has another size than the video, [`LensError::Io`].
    pub fn write(&mut self, frame: &Frame) -> Result<(), LensError> {
        let (width, height) = (self.width, self.height);
        if (frame.width, frame.height) != (width, height) {
            let (found_width, found_height) = (frame.width, frame.height);
            return Err(LensError::FrameSize { width, height, found_width, found_height });
        }
        self.out.write_all(b"FRAME\n")?;
        self.out.write_all(&frame.luma())?;
        if self.chroma == Chroma::Yuv420Jpeg {
            let (blue, red) = chroma_planes(frame);
            self.out.write_all(&blue)?;
            self.out.write_all(&red)?;
        }
        Ok(())
    }

    /// Flushes and gives the writer back.
    ///
    /// # Errors
    /// [`LensError::Io`].
    pub fn finish(mut self) -> Result<W, LensError> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Cb and Cr, each the mean of a square of four pixels (fewer at odd edges).
fn chroma_planes(frame: &Frame) -> (Vec<u8>, Vec<u8>) {
    let (across, down) = (frame.width.div_ceil(2), frame.height.div_ceil(2));
    let (mut blue, mut red) = (Vec::with_capacity(across * down), Vec::with_capacity(across * down));
    for y in 0..down {
        for x in 0..across {
            let (mut sum, mut count) = ([0.0_f32; 3], 0.0);
            for py in 2 * y..(2 * y + 2).min(frame.height) {
                for px in 2 * x..(2 * x + 2).min(frame.width) {
                    let at = 3 * (py * frame.width + px);
                    for (sum, value) in sum.iter_mut().zip(&frame.rgb[at..at + 3]) {
                        *sum += f32::from(*value);
                    }
                    count += 1.0;
                }
            }
            let [r, g, b] = sum.map(|value| value / count);
            let luma = 0.299 * r + 0.587 * g + 0.114 * b;
            blue.push((128.5 + (b - luma) / 1.772).clamp(0.0, 255.0) as u8);
            red.push((128.5 + (r - luma) / 1.402).clamp(0.0, 255.0) as u8);
        }
    }
    (blue, red)
}
