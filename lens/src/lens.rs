//! The shot itself: the order of things between screen and file.

use crate::{
    Frame, Glare, GlareShape, LensError, Mosaic, Scene, Truth, View,
    bands::each_row,
    noise::{between, stream},
    optics::{Kernel, flicker},
    panel::{Panel, Spread},
    pose::{Pose, Sight},
    room,
    sensor::{self, Exposure, bayer_channel},
};

/// A camera in front of a painted scene; painting once serves many shots.
#[derive(Debug)]
pub struct Lens {
    scene: Scene,
    panel: Panel,
}

impl Lens {
    /// Paints the scene onto its screen.
    ///
    /// # Errors
    /// [`LensError::OutOfRange`] or [`LensError::SymbolTooLarge`] when the scene is impossible.
    pub fn new(scene: &Scene) -> Result<Self, LensError> {
        scene.check()?;
        Ok(Self { panel: Panel::paint(scene), scene: scene.clone() })
    }

    /// The scene in front of this camera.
    #[must_use]
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Takes one picture.
    ///
    /// # Errors
    /// [`LensError::OutOfRange`] when the view is impossible, [`LensError::Codec`] when the JPEG round trip fails.
    pub fn shoot(&self, view: &View) -> Result<Frame, LensError> {
        view.check()?;
        let pose = Pose::new(&self.scene, view);
        let mut exposure = self.integrate(view, &pose);
        exposure.scatter(view.flare);
        exposure.expose(view);
        let mut rgb = exposure.develop(view);
        sensor::sharpen(&mut rgb, view.width, view.height, view.sharpen);
        let truth = Truth::new(&self.scene, pose, view.mirrored.then_some(view.width));
        let mut frame = Frame { width: view.width, height: view.height, rgb, truth };
        if view.mirrored {
            frame.mirror();
        }
        if let Some(quality) = view.jpeg_quality {
            frame.compress(quality)?;
        }
        Ok(frame)
    }

    /// Light collected by each photosite, before noise.
    fn integrate(&self, view: &View, pose: &Pose) -> Exposure {
        let kernel = Kernel::new(view);
        let screen = &self.scene.screen;
        let mut phase = stream(view.seed, 2);
        let phase = f64::from(between(&mut phase, 0.0, 1.0));
        let scale = view.exposure * screen.brightness;
        let black = 1.0 / screen.contrast;
        let glare = view.glare.map(|glare| Reflection::new(glare, &self.scene));
        let centre = [view.width as f32 / 2.0, view.height as f32 / 2.0];
        let corner_squared = centre[0] * centre[0] + centre[1] * centre[1];

        let mut exposure = Exposure { width: view.width, height: view.height, mosaic: view.mosaic, light: Vec::new() };
        let row_len = exposure.values_per_row();
        exposure.light = vec![0.0; row_len * view.height];
        each_row(&mut exposure.light, row_len, |y, row| {
            let backlight = if screen.pwm_hz > 0.0 {
                let hertz = f64::from(screen.pwm_hz) / 1000.0;
                let start = phase + hertz * f64::from(view.readout_ms) * y as f64 / view.height as f64;
                scale * flicker(start, hertz * f64::from(view.shutter_ms), f64::from(screen.pwm_duty))
            } else {
                scale
            };
            let dy = y as f32 + 0.5 - centre[1];
            for x in 0..view.width {
                let dx = x as f32 + 0.5 - centre[0];
                let shade = 1.0 - view.vignette * (dx * dx + dy * dy) / corner_squared;
                let Some(sight) = pose.sight(x as f64 + 0.5, y as f64 + 0.5) else { continue };
                let gathering = Gathering { kernel: &kernel, sight, backlight, black, view, glare: glare.as_ref() };
                match view.mosaic {
                    Mosaic::Bayer => row[x] = shade * self.gather(&gathering, [bayer_channel(x, y)])[0],
                    Mosaic::Full => {
                        let colours = self.gather(&gathering, [0, 1, 2]);
                        row[3 * x..3 * x + 3].copy_from_slice(&colours.map(|value| shade * value));
                    }
                }
            }
        });
        exposure
    }

    /// Light of the given colours on one photosite.
    #[inline]
    fn gather<const C: usize>(&self, from: &Gathering<'_>, channels: [usize; C]) -> [f32; C] {
        let (sight, panel) = (from.sight, &self.panel);
        let [a, b, c, d] = sight.jacobian;
        let stretch = [(a * a + b * b).sqrt(), (c * c + d * d).sqrt()];
        let half = stretch.map(|stretch| stretch * from.kernel.half);
        let reach = stretch.map(|stretch| f64::from(stretch * from.kernel.reach));
        let spread = Spread { cells: &from.kernel.cells, sight, half };
        let room_light = from.view.exposure * from.view.ambient;

        let mut light = [0.0; C];
        if let Some(colour) = panel.plain_colour(sight.u, sight.v, reach[0], reach[1]) {
            for (index, channel) in channels.into_iter().enumerate() {
                light[index] = from.backlight * (from.black + colour[channel] * panel.grid_light(&spread, channel))
                    + 0.012 * room_light;
            }
        } else {
            let (width, height) = (panel.width as f64, panel.height as f64);
            let outside_u = (-sight.u).max(sight.u - width);
            let outside_v = (-sight.v).max(sight.v - height);
            if outside_u < reach[0] && outside_v < reach[1] {
                for (index, channel) in channels.into_iter().enumerate() {
                    light[index] =
                        from.backlight * (from.black + panel.light(&spread, channel, reach)) + 0.012 * room_light;
                }
            } else {
                let blur = 2.0 * reach[0].max(reach[1]) as f32;
                let room = room::light(sight.u as f32, sight.v as f32, width as f32, height as f32, blur);
                light = channels.map(|channel| room_light * room[channel]);
            }
        }
        if let Some(glare) = from.glare {
            let reflected = from.view.exposure * glare.light(sight.u as f32, sight.v as f32);
            for value in &mut light {
                *value += reflected;
            }
        }
        light
    }
}

/// What one photosite needs to know.
struct Gathering<'a> {
    kernel: &'a Kernel,
    sight: Sight,
    backlight: f32,
    black: f32,
    view: &'a View,
    glare: Option<&'a Reflection>,
}

/// A glare in plane coordinates, confined to the glass.
struct Reflection {
    glare: Glare,
    centre: [f32; 2],
    per_size: f32,
    glass: [f32; 2],
}

impl Reflection {
    fn new(glare: Glare, scene: &Scene) -> Self {
        let side = scene.symbol_px() as f32;
        let (left, top) = scene.symbol_origin();
        let centre = [left as f32 + side * (0.5 + glare.centre[0]), top as f32 + side * (0.5 + glare.centre[1])];
        let glass = [scene.screen.width as f32, scene.screen.height as f32];
        Self { glare, centre, per_size: 1.0 / (side * glare.size), glass }
    }

    fn light(&self, u: f32, v: f32) -> f32 {
        if u < 0.0 || v < 0.0 || u > self.glass[0] || v > self.glass[1] {
            return 0.0;
        }
        let (x, y) = ((u - self.centre[0]) * self.per_size, (v - self.centre[1]) * self.per_size);
        let shape = match self.glare.shape {
            GlareShape::Lamp => {
                let squared = x * x + y * y;
                1.0 / (1.0 + squared * squared) + 0.04 / (1.0 + 0.3 * squared)
            }
            GlareShape::Window => {
                // Slightly slanted panes, soft because the camera is focused on the screen and not on the window.
                let (x, y) = (x + 0.15 * y, y);
                let inside = |at: f32, edge: f32| ((edge - at.abs()) / 0.18 + 0.5).clamp(0.0, 1.0);
                let bar = |at: f32| 1.0 - 0.75 * inside(at, 0.08);
                inside(x, 1.0) * inside(y, 1.3) * bar(x) * bar(y + 0.25) * (0.8 - 0.2 * y)
            }
        };
        self.glare.strength * shape
    }
}
