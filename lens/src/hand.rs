//! A hand that holds a camera: slow drift, breathing and tremor, as a sequence of shots.

use std::f32::consts::TAU;

use rand_core::Rng;

use crate::{
    Frame, Lens, LensError, Scene, View,
    noise::{between, stream},
};

/// Frames of a hand-held video; see [`hand_held`].
#[derive(Debug)]
pub struct HandHeld<F> {
    scene: F,
    base: View,
    frames: usize,
    seconds_per_frame: f32,
    sway: [Sway; 6],
    seed: u64,
    next: usize,
    lens: Option<Lens>,
}

/// Shoots `frames` pictures, `fps` per second, around the pose of `base`.
///
/// `scene` gives what the screen shows in frame `i`, so a code that changes every few seconds is filmed as it
/// changes. Position, angles and distance sway as a hand does; the speed of that sway sets motion blur and rolling
/// shutter of each frame, on top of the constant `base.hand`. The same arguments give the same frames.
pub fn hand_held<F: FnMut(usize) -> Scene>(scene: F, base: View, frames: usize, fps: f32, seed: u64) -> HandHeld<F> {
    let rng = &mut stream(seed, 3);
    // Amplitudes: pixels right and down, degrees of yaw, pitch and roll, part of the distance.
    let sway = [9.0, 9.0, 1.6, 1.6, 1.0, 0.03].map(|amplitude| Sway::new(rng, amplitude));
    let seconds_per_frame = 1.0 / fps.clamp(0.1, 10_000.0);
    HandHeld { scene, base, frames, seconds_per_frame, sway, seed, next: 0, lens: None }
}

/// One degree of freedom: a sum of sines from slow drift to physiological tremor (8 to 12 hertz).
#[derive(Debug)]
struct Sway {
    /// Amplitude, radians per second, phase.
    waves: [[f32; 3]; 4],
}

impl Sway {
    fn new(rng: &mut impl Rng, amplitude: f32) -> Self {
        let mut wave = |part: f32, low: f32, high: f32| {
            [amplitude * part * between(rng, 0.7, 1.3), TAU * between(rng, low, high), between(rng, 0.0, TAU)]
        };
        Self { waves: [wave(1.0, 0.15, 0.35), wave(0.5, 0.5, 1.1), wave(0.12, 2.0, 4.0), wave(0.035, 8.0, 12.0)] }
    }

    fn at(&self, time: f32) -> f32 {
        self.waves.iter().map(|[size, speed, phase]| size * (speed * time + phase).sin()).sum()
    }

    fn speed_at(&self, time: f32) -> f32 {
        self.waves.iter().map(|[size, speed, phase]| size * speed * (speed * time + phase).cos()).sum()
    }
}

impl<F: FnMut(usize) -> Scene> HandHeld<F> {
    /// How the camera is held in frame `index`.
    #[must_use]
    pub fn view(&self, index: usize) -> View {
        let time = index as f32 * self.seconds_per_frame;
        let [x, y, yaw, pitch, roll, near] = &self.sway;
        let base = &self.base;
        View {
            offset: [base.offset[0] + x.at(time), base.offset[1] + y.at(time)],
            yaw: (base.yaw + yaw.at(time)).clamp(-80.0, 80.0),
            pitch: (base.pitch + pitch.at(time)).clamp(-80.0, 80.0),
            roll: base.roll + roll.at(time),
            px_per_module: base.px_per_module * (1.0 + near.at(time)),
            hand: [base.hand[0] + x.speed_at(time), base.hand[1] + y.speed_at(time)],
            seed: stream(self.seed, 1000 + index as u64).next_u64(),
            ..base.clone()
        }
    }
}

impl<F: FnMut(usize) -> Scene> Iterator for HandHeld<F> {
    type Item = Result<Frame, LensError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.frames {
            return None;
        }
        let index = self.next;
        self.next += 1;
        let scene = (self.scene)(index);
        let lens = match self.lens.take().filter(|lens| *lens.scene() == scene) {
            Some(lens) => lens,
            None => match Lens::new(&scene) {
                Ok(lens) => lens,
                Err(error) => return Some(Err(error)),
            },
        };
        let frame = lens.shoot(&self.view(index));
        self.lens = Some(lens);
        Some(frame)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.frames - self.next;
        (left, Some(left))
    }
}
