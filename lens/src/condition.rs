//! Named ways in which a shot is good or bad, each with a seeded spread.

use rand_core::Rng;

use crate::{
    Glare, GlareShape, Matrix, Scene, Theme, View,
    noise::{between, either_side, stream},
};

/// What makes a shot hard. Each condition is a good hand-held shot with one thing wrong (`Worst`: with many).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// A careful user at arm's length.
    Nominal,
    /// Two or three frame pixels per module, from across a desk.
    Far,
    /// A code shown with few screen pixels per module, so that screen grid and modules are alike in size.
    Small,
    /// Seen from 30 to 48 degrees aside.
    Tilted,
    /// Any angle in the plane, up to upside down.
    Rotated,
    /// The lens is focused elsewhere: discs of half a module to a whole module.
    Defocused,
    /// The hand moves by half a module to more than one while the shutter is open.
    Motion,
    /// A dimmed screen in a dark room: few electrons, much gain.
    Dark,
    /// The exposure was measured on a dark desk: white clips and flows into its surroundings.
    Overexposed,
    /// A lamp or window mirrored in the glass, over part of the symbol.
    Glare,
    /// A sensor that skips lines, at a distance where its grid beats with that of the screen.
    Moire,
    /// A dimmed screen that flickers, seen by a short rolling shutter.
    Banding,
    /// Light modules on a dark page.
    Inverted,
    /// A front camera that mirrors its picture.
    Mirrored,
    /// Stored with a low JPEG quality.
    Compressed,
    /// Far, blurred, dark and glaring at once: no scanner is expected to read it.
    Worst,
}

impl Condition {
    /// All conditions, from easy to hopeless.
    pub const ALL: [Self; 16] = [
        Self::Nominal,
        Self::Far,
        Self::Small,
        Self::Tilted,
        Self::Rotated,
        Self::Defocused,
        Self::Motion,
        Self::Dark,
        Self::Overexposed,
        Self::Glare,
        Self::Moire,
        Self::Banding,
        Self::Inverted,
        Self::Mirrored,
        Self::Compressed,
        Self::Worst,
    ];

    /// The name in lower case, as in file names and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nominal => "nominal",
            Self::Far => "far",
            Self::Small => "small",
            Self::Tilted => "tilted",
            Self::Rotated => "rotated",
            Self::Defocused => "defocused",
            Self::Motion => "motion",
            Self::Dark => "dark",
            Self::Overexposed => "overexposed",
            Self::Glare => "glare",
            Self::Moire => "moire",
            Self::Banding => "banding",
            Self::Inverted => "inverted",
            Self::Mirrored => "mirrored",
            Self::Compressed => "compressed",
            Self::Worst => "worst",
        }
    }

    /// The condition with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|condition| condition.name() == name)
    }

    /// The screen that goes with this condition: some are faults of the page or the panel and not of the camera.
    #[must_use]
    pub fn scene(self, matrix: Matrix) -> Scene {
        let mut scene = Scene::new(matrix);
        match self {
            Self::Small => scene = scene.with_module_px(3),
            Self::Dark => scene.screen.brightness = 0.6,
            Self::Banding => {
                scene.screen.pwm_hz = 240.0;
                scene.screen.pwm_duty = 0.6;
            }
            Self::Inverted => scene.theme = Theme::Inverted,
            Self::Glare => scene.theme = Theme::DarkPage,
            Self::Worst => scene.screen.brightness = 0.6,
            _ => {}
        }
        scene
    }

    /// One shot under this condition. Meant for [`Condition::scene`], but any scene works.
    #[must_use]
    pub fn view(self, seed: u64) -> View {
        let rng = &mut stream(seed, 16 + self as u64);
        let nominal = View::default();
        let mut view = View {
            px_per_module: between(rng, 5.2, 7.0),
            yaw: between(rng, -8.0, 8.0),
            pitch: between(rng, -8.0, 8.0),
            roll: between(rng, -5.0, 5.0),
            offset: [between(rng, -60.0, 60.0), between(rng, -30.0, 30.0)],
            defocus_px: between(rng, 0.0, 0.7),
            softness_px: between(rng, 0.32, 0.5),
            distortion: between(rng, 0.0, 0.015),
            hand: [either_side(rng, 0.0, 45.0), either_side(rng, 0.0, 45.0)],
            shutter_ms: between(rng, 8.0, 16.7),
            exposure: between(rng, 0.7, 0.9),
            tint: [between(rng, 0.96, 1.02), 1.0, between(rng, 0.96, 1.04)],
            ambient: between(rng, 0.2, 0.5),
            full_well: between(rng, 3000.0, 5000.0),
            seed: rng.next_u64(),
            ..nominal
        };
        match self {
            Self::Nominal | Self::Inverted => {}
            Self::Far => view.px_per_module = between(rng, 2.1, 2.9),
            Self::Small => {
                view.px_per_module = between(rng, 2.4, 3.0);
                view.softness_px = between(rng, 0.3, 0.4);
                view.defocus_px = between(rng, 0.0, 0.3);
            }
            Self::Tilted => {
                view.yaw = either_side(rng, 30.0, 48.0);
                view.pitch = either_side(rng, 0.0, 22.0);
                view.px_per_module = between(rng, 6.0, 7.5);
            }
            Self::Rotated => view.roll = between(rng, 15.0, 345.0),
            Self::Defocused => view.defocus_px = view.px_per_module * between(rng, 0.5, 0.95),
            Self::Motion => {
                let turn = between(rng, 0.0, std::f32::consts::TAU);
                let length = view.px_per_module * between(rng, 0.6, 1.3);
                view.shutter_ms = between(rng, 16.0, 30.0);
                let speed = length * 1000.0 / view.shutter_ms;
                view.hand = [speed * turn.cos(), speed * turn.sin()];
            }
            Self::Dark => {
                view.exposure = between(rng, 0.14, 0.26);
                view.full_well = between(rng, 250.0, 600.0);
                view.read_noise = between(rng, 4.0, 7.0);
                view.ambient = between(rng, 0.04, 0.10);
                view.shutter_ms = between(rng, 30.0, 40.0);
                view.jpeg_quality = Some(75);
            }
            Self::Overexposed => {
                view.exposure = between(rng, 3.0, 6.0);
                view.flare = between(rng, 0.05, 0.09);
                view.defocus_px = between(rng, 0.8, 1.4);
            }
            Self::Glare => {
                let window = rng.next_u32() & 1 == 0;
                view.glare = Some(Glare {
                    strength: between(rng, 0.8, 1.6) * if window { 0.45 } else { 1.5 },
                    centre: [either_side(rng, 0.05, 0.25), either_side(rng, 0.05, 0.25)],
                    size: if window { between(rng, 0.2, 0.34) } else { between(rng, 0.06, 0.13) },
                    shape: if window { GlareShape::Window } else { GlareShape::Lamp },
                });
                view.ambient = between(rng, 0.8, 1.5);
            }
            Self::Moire => {
                // Scene::new shows 6 screen pixels per module: near 6 frame pixels per module the grids beat slowly.
                view.px_per_module = 6.0 * (1.0 + either_side(rng, 0.015, 0.06));
                view.yaw *= 0.5;
                view.pitch *= 0.5;
                view.roll *= 0.6;
                view.aperture = between(rng, 0.5, 0.68);
                view.softness_px = between(rng, 0.2, 0.28);
                view.defocus_px = 0.0;
                view.hand = [0.0, 0.0];
                view.sharpen = 0.8;
            }
            Self::Banding => {
                view.shutter_ms = between(rng, 2.4, 3.6);
                view.exposure *= 0.75;
                view.readout_ms = between(rng, 16.0, 30.0);
                view.full_well = between(rng, 900.0, 1600.0);
            }
            Self::Mirrored => view.mirrored = true,
            Self::Compressed => view.jpeg_quality = Some(between(rng, 6.0, 16.0) as u8),
            Self::Worst => {
                view.px_per_module = between(rng, 1.5, 2.0);
                view.defocus_px = between(rng, 2.5, 4.0);
                view.exposure = between(rng, 0.08, 0.14);
                view.full_well = between(rng, 90.0, 160.0);
                view.ambient = 0.3;
                view.hand = [either_side(rng, 100.0, 200.0), either_side(rng, 60.0, 120.0)];
                view.shutter_ms = 33.0;
                view.jpeg_quality = Some(30);
                view.glare = Some(Glare { strength: 1.2, centre: [0.2, -0.2], size: 0.3, shape: GlareShape::Lamp });
            }
        }
        view
    }
}
