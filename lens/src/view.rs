//! How the camera is held, what its lens and sensor do, and how its picture is stored.

use crate::LensError;

/// One exposure. Lengths are in pixels of the frame, angles in degrees, light relative to the white of the screen.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Frame width in pixels; 16 to 8192.
    pub width: usize,
    /// Frame height in pixels; 16 to 8192.
    pub height: usize,
    /// Frame pixels per module at the centre of the symbol: this sets the distance; 0.2 to 200.
    pub px_per_module: f32,
    /// Turn about the vertical axis; positive brings the right edge nearer; -80 to 80.
    pub yaw: f32,
    /// Turn about the horizontal axis; positive brings the top edge nearer; -80 to 80.
    pub pitch: f32,
    /// Turn in the plane of the frame, clockwise.
    pub roll: f32,
    /// Where the centre of the symbol lies, from the centre of the frame (right, down).
    pub offset: [f32; 2],
    /// Horizontal field of view; 10 to 120. A wide one makes the perspective of a tilt stronger.
    pub field_of_view: f32,
    /// Radial distortion at the frame's corner as a part of its radius; positive is barrel; -0.2 to 0.2.
    pub distortion: f32,
    /// Radius of the disc that a point becomes when the focus is wrong; 0 to 64.
    pub defocus_px: f32,
    /// Standard deviation of the blur of a well focused lens (diffraction, aberrations); 0 to 8.
    pub softness_px: f32,
    /// Side of the light-collecting part of a photosite as a part of the pitch; 0.2 to 1. Video modes that skip
    /// lines have a small one and alias more.
    pub aperture: f32,
    /// How the sensor sees colours.
    pub mosaic: Mosaic,
    /// Speed of the picture over the sensor (right, down) in pixels per second: gives motion blur and skew.
    pub hand: [f32; 2],
    /// How long each row collects light, in milliseconds; 0.01 to 1000.
    pub shutter_ms: f32,
    /// Delay between the first and the last row, in milliseconds; 0 to 200. 0 is a global shutter.
    pub readout_ms: f32,
    /// How full a photosite becomes on screen white; more than 1 clips.
    pub exposure: f32,
    /// Gain error of red, green and blue: the white balance.
    pub tint: [f32; 3],
    /// Light lost in the frame's corner; 0 to 1.
    pub vignette: f32,
    /// Part of the light that is scattered widely inside lens and cover glass; 0 to 0.9.
    pub flare: f32,
    /// Light of the room, relative to screen white: shows the surroundings and lifts the black of the screen.
    pub ambient: f32,
    /// Reflection in the glass of the screen.
    pub glare: Option<Glare>,
    /// Electrons in a full photosite at this gain: few mean much shot noise.
    pub full_well: f32,
    /// Standard deviation of the read noise in electrons.
    pub read_noise: f32,
    /// Exponent of the tone curve: stored value = light^(1/gamma).
    pub gamma: f32,
    /// Strength of the sharpening that a camera adds to its pictures; 0 to 4.
    pub sharpen: f32,
    /// Quality of the JPEG round trip, 1 to 100; `None` for the uncompressed camera preview.
    pub jpeg_quality: Option<u8>,
    /// Whether the picture is mirrored, as front cameras do.
    pub mirrored: bool,
    /// Seed of noise and flicker phase.
    pub seed: u64,
}

impl Default for View {
    /// A good hand-held shot, 1280x720.
    fn default() -> Self {
        Self {
            width: 1280,
            height: 720,
            px_per_module: 6.0,
            yaw: 4.0,
            pitch: -3.0,
            roll: 1.5,
            offset: [0.0, 0.0],
            field_of_view: 66.0,
            distortion: 0.008,
            defocus_px: 0.4,
            softness_px: 0.4,
            aperture: 0.95,
            mosaic: Mosaic::Bayer,
            hand: [15.0, -10.0],
            shutter_ms: 12.0,
            readout_ms: 20.0,
            exposure: 0.8,
            tint: [1.0, 1.0, 1.0],
            vignette: 0.25,
            flare: 0.03,
            ambient: 0.3,
            glare: None,
            full_well: 4000.0,
            read_noise: 6.0,
            gamma: 2.2,
            sharpen: 0.5,
            jpeg_quality: Some(90),
            mirrored: false,
            seed: 0,
        }
    }
}

/// How colours are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mosaic {
    /// One colour per photosite in the RGGB pattern, then interpolated: the native resolution of a sensor.
    Bayer,
    /// All three colours in each pixel, as after binning a larger sensor.
    Full,
}

/// A reflection in the glass. Positions and sizes are in widths of the symbol, from its centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Glare {
    /// Light at its brightest point, relative to screen white.
    pub strength: f32,
    /// Centre (right, down).
    pub centre: [f32; 2],
    /// Radius of a lamp, half width of a window.
    pub size: f32,
    /// What is reflected.
    pub shape: GlareShape,
}

/// What a glare is the mirror image of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GlareShape {
    /// A lamp: a bright core with a wide halo.
    Lamp,
    /// A window with a cross bar.
    Window,
}

impl View {
    pub(crate) fn check(&self) -> Result<(), LensError> {
        let within = |field, value: f32, low: f32, high: f32, reason| {
            if (low..=high).contains(&value) { Ok(()) } else { Err(LensError::OutOfRange { field, reason }) }
        };
        within("View::width", self.width as f32, 16.0, 8192.0, "16 to 8192")?;
        within("View::height", self.height as f32, 16.0, 8192.0, "16 to 8192")?;
        within("View::px_per_module", self.px_per_module, 0.2, 200.0, "0.2 to 200")?;
        within("View::yaw", self.yaw, -80.0, 80.0, "-80 to 80")?;
        within("View::pitch", self.pitch, -80.0, 80.0, "-80 to 80")?;
        within("View::roll", self.roll, -1e6, 1e6, "finite")?;
        within("View::offset", self.offset[0], -1e5, 1e5, "-100000 to 100000")?;
        within("View::offset", self.offset[1], -1e5, 1e5, "-100000 to 100000")?;
        within("View::field_of_view", self.field_of_view, 10.0, 120.0, "10 to 120")?;
        within("View::distortion", self.distortion, -0.2, 0.2, "-0.2 to 0.2")?;
        within("View::defocus_px", self.defocus_px, 0.0, 64.0, "0 to 64")?;
        within("View::softness_px", self.softness_px, 0.0, 8.0, "0 to 8")?;
        within("View::aperture", self.aperture, 0.2, 1.0, "0.2 to 1")?;
        within("View::hand", self.hand[0].hypot(self.hand[1]), 0.0, 5000.0, "at most 5000 px/s")?;
        within("View::shutter_ms", self.shutter_ms, 0.01, 1000.0, "0.01 to 1000")?;
        within("View::readout_ms", self.readout_ms, 0.0, 200.0, "0 to 200")?;
        within("View::exposure", self.exposure, 0.0, 1000.0, "0 to 1000")?;
        for gain in self.tint {
            within("View::tint", gain, 0.0, 10.0, "0 to 10")?;
        }
        within("View::vignette", self.vignette, 0.0, 1.0, "0 to 1")?;
        within("View::flare", self.flare, 0.0, 0.9, "0 to 0.9")?;
        within("View::ambient", self.ambient, 0.0, 100.0, "0 to 100")?;
        if let Some(glare) = self.glare {
            within("Glare::strength", glare.strength, 0.0, 1000.0, "0 to 1000")?;
            within("Glare::size", glare.size, 0.001, 100.0, "0.001 to 100")?;
        }
        within("View::full_well", self.full_well, 1.0, 1e7, "1 to 10000000")?;
        within("View::read_noise", self.read_noise, 0.0, 1e6, "0 to 1000000")?;
        within("View::gamma", self.gamma, 0.2, 5.0, "0.2 to 5")?;
        within("View::sharpen", self.sharpen, 0.0, 4.0, "0 to 4")?;
        if let Some(quality) = self.jpeg_quality {
            within("View::jpeg_quality", f32::from(quality), 1.0, 100.0, "1 to 100")?;
        }
        Ok(())
    }

    /// Length of the motion blur of this view (right, down), in pixels.
    #[must_use]
    pub fn motion_px(&self) -> [f32; 2] {
        self.hand.map(|speed| speed * self.shutter_ms / 1000.0)
    }
}
