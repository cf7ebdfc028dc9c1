//! Where a point of the screen appears in the frame, and back.
//!
//! Plane coordinates are screen pixels from the top-left corner of the panel. Frame coordinates are pixels from the
//! frame's top-left corner, so that the centre of the first pixel is at (0.5, 0.5).

use crate::{Scene, View};

/// The path of light from the plane of the screen to the frame, for one view of one scene.
#[derive(Debug, Clone)]
pub(crate) struct Pose {
    to_frame: [f64; 9],
    to_plane: [f64; 9],
    centre: [f64; 2],
    corner_radius_squared: f64,
    distortion: f64,
    /// Image motion during the whole readout, per unit of frame height, in pixels.
    drift: [f64; 2],
    height: f64,
}

/// A point of the plane seen by a photosite, and how it moves when the photosite is moved by one pixel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight {
    pub(crate) u: f64,
    pub(crate) v: f64,
    /// du/dx, du/dy, dv/dx, dv/dy.
    pub(crate) jacobian: [f32; 4],
}

impl Pose {
    pub(crate) fn new(scene: &Scene, view: &View) -> Self {
        let (width, height) = (view.width as f64, view.height as f64);
        let centre = [width / 2.0, height / 2.0];
        let focal = centre[0] / (f64::from(view.field_of_view).to_radians() / 2.0).tan();
        let distance = focal * scene.module_px as f64 / f64::from(view.px_per_module);

        let (sin_yaw, cos_yaw) = f64::from(view.yaw).to_radians().sin_cos();
        let (sin_pitch, cos_pitch) = f64::from(view.pitch).to_radians().sin_cos();
        let (sin_roll, cos_roll) = f64::from(view.roll).to_radians().sin_cos();
        // Camera axes are right, down, forward. Columns: where the plane's right and down point after yaw, pitch, roll.
        let right = [cos_yaw, sin_yaw * sin_pitch, -sin_yaw * cos_pitch];
        let down = [0.0, cos_pitch, sin_pitch];
        let rolled = |a: [f64; 3]| [a[0] * cos_roll - a[1] * sin_roll, a[0] * sin_roll + a[1] * cos_roll, a[2]];
        let (right, down) = (rolled(right), rolled(down));
        let origin =
            [distance * f64::from(view.offset[0]) / focal, distance * f64::from(view.offset[1]) / focal, distance];
        let (left, top) = scene.symbol_origin();
        let half = scene.symbol_px() as f64 / 2.0;
        let (u0, v0) = (left as f64 + half, top as f64 + half);
        let shifted: Vec<f64> = (0..3).map(|i| origin[i] - right[i] * u0 - down[i] * v0).collect();
        let row = |axis: usize, c: f64| {
            [
                focal * right[axis] + c * right[2],
                focal * down[axis] + c * down[2],
                focal * shifted[axis] + c * shifted[2],
            ]
        };
        let (first, second) = (row(0, centre[0]), row(1, centre[1]));
        let to_frame = [first[0], first[1], first[2], second[0], second[1], second[2], right[2], down[2], shifted[2]];
        Self {
            to_frame,
            to_plane: inverse(&to_frame),
            centre,
            corner_radius_squared: centre[0] * centre[0] + centre[1] * centre[1],
            distortion: f64::from(view.distortion),
            drift: view.hand.map(|speed| f64::from(speed) * f64::from(view.readout_ms) / 1000.0),
            height,
        }
    }

    /// What the photosite at this point of the frame looks at; `None` above the horizon of the plane.
    pub(crate) fn sight(&self, x: f64, y: f64) -> Option<Sight> {
        let time = y / self.height - 0.5;
        let (dx, dy) = (x - self.drift[0] * time - self.centre[0], y - self.drift[1] * time - self.centre[1]);
        let stretch = 1.0 + self.distortion * (dx * dx + dy * dy) / self.corner_radius_squared;
        let (x, y) = (self.centre[0] + dx * stretch, self.centre[1] + dy * stretch);
        let h = &self.to_plane;
        let depth = h[6] * x + h[7] * y + h[8];
        if depth <= 1e-9 {
            return None;
        }
        let scale = 1.0 / depth;
        let u = (h[0] * x + h[1] * y + h[2]) * scale;
        let v = (h[3] * x + h[4] * y + h[5]) * scale;
        let slope = scale * stretch;
        let jacobian = [
            ((h[0] - u * h[6]) * slope) as f32,
            ((h[1] - u * h[7]) * slope) as f32,
            ((h[3] - v * h[6]) * slope) as f32,
            ((h[4] - v * h[7]) * slope) as f32,
        ];
        Some(Sight { u, v, jacobian })
    }

    /// Where a point of the plane appears in the frame.
    pub(crate) fn project(&self, u: f64, v: f64) -> [f64; 2] {
        let h = &self.to_frame;
        let depth = h[6] * u + h[7] * v + h[8];
        let (dx, dy) = (
            (h[0] * u + h[1] * v + h[2]) / depth - self.centre[0],
            (h[3] * u + h[4] * v + h[5]) / depth - self.centre[1],
        );
        // Distortion and rolling shutter are small, so a fixed-point search converges in a few rounds.
        let (mut bent, mut y) = ([dx, dy], dy + self.centre[1]);
        for _ in 0..40 {
            let radius_squared = bent[0] * bent[0] + bent[1] * bent[1];
            let stretch = (1.0 + self.distortion * radius_squared / self.corner_radius_squared).max(0.5);
            bent = [dx / stretch, dy / stretch];
            y = bent[1] + self.centre[1] + self.drift[1] * (y / self.height - 0.5);
        }
        let time = y / self.height - 0.5;
        [bent[0] + self.centre[0] + self.drift[0] * time, y]
    }
}

/// The inverse of a homography, scaled so that the depth of visible points is positive.
fn inverse(m: &[f64; 9]) -> [f64; 9] {
    let cofactors = [
        m[4] * m[8] - m[5] * m[7],
        m[2] * m[7] - m[1] * m[8],
        m[1] * m[5] - m[2] * m[4],
        m[5] * m[6] - m[3] * m[8],
        m[0] * m[8] - m[2] * m[6],
        m[2] * m[3] - m[0] * m[5],
        m[3] * m[7] - m[4] * m[6],
        m[1] * m[6] - m[0] * m[7],
        m[0] * m[4] - m[1] * m[3],
    ];
    let determinant = m[0] * cofactors[0] + m[1] * cofactors[3] + m[2] * cofactors[6];
    cofactors.map(|c| c / determinant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;

    #[test]
    fn projecting_and_sighting_are_inverse_in_a_tilted_moving_view() {
        let scene = Scene::new(Matrix::from_text("there and back").unwrap());
        let view = View {
            yaw: 31.0,
            pitch: -22.0,
            roll: 140.0,
            distortion: 0.03,
            hand: [400.0, -250.0],
            offset: [80.0, -30.0],
            ..View::default()
        };
        let pose = Pose::new(&scene, &view);
        for (u, v) in [(600.0, 400.0), (900.0, 300.0), (720.0, 450.0), (500.0, 600.0)] {
            let [x, y] = pose.project(u, v);
            let sight = pose.sight(x, y).unwrap();
            assert!((sight.u - u).abs() < 1e-6 && (sight.v - v).abs() < 1e-6, "{u} {v}: {sight:?}");
            // The Jacobian leaves out the gradients of distortion and drift: they must stay small.
            let beside = pose.sight(x + 0.5, y + 0.5).unwrap();
            let [a, b, c, d] = sight.jacobian.map(f64::from);
            assert!((sight.u + 0.5 * (a + b) - beside.u).abs() < 0.08);
            assert!((sight.v + 0.5 * (c + d) - beside.v).abs() < 0.08);
        }
    }

    #[test]
    fn positive_yaw_brings_the_right_edge_nearer_and_positive_pitch_the_top() {
        let scene = Scene::new(Matrix::from_text("which way").unwrap());
        let straight = View { yaw: 0.0, pitch: 0.0, roll: 0.0, hand: [0.0; 2], ..View::default() };
        let height = |pose: &Pose, u: f64| pose.project(u, 700.0)[1] - pose.project(u, 200.0)[1];
        let width = |pose: &Pose, v: f64| pose.project(1000.0, v)[0] - pose.project(400.0, v)[0];
        let yawed = Pose::new(&scene, &View { yaw: 20.0, ..straight.clone() });
        assert!(height(&yawed, 1000.0) > 1.1 * height(&yawed, 400.0));
        let pitched = Pose::new(&scene, &View { pitch: 20.0, ..straight });
        assert!(width(&pitched, 200.0) > 1.1 * width(&pitched, 700.0));
    }
}
