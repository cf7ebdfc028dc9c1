//! Everything that spreads the light of one point over neighbouring photosites.

use crate::View;

/// Points drawn to build a kernel; each is used together with its mirror image, so that a kernel never shifts a picture.
const POINTS: u32 = 8192;
/// Cells that carry half of a kernel's light, roughly: more give a smoother disc and a slower shot.
const CELLS: f32 = 14.0;
/// As before, for blurs much wider than a photosite.
const CELLS_OF_WIDE: f32 = 26.0;

/// The blur of one photosite: aperture, softness, defocus disc and hand motion in one, as a weighted set of square
/// cells in the frame that touch but do not overlap. Integrating the screen over all cells is integrating it over
/// the true blur, so fine stripes of the screen alias exactly as much as the real ones would.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// Centres and weights in groups of eight (padded with weight 0), for wide registers.
    pub(crate) cells: Vec<Cells>,
    /// Half the side of a cell, in frame pixels.
    pub(crate) half: f32,
    /// Largest distance of a cell's corner from the centre, in frame pixels.
    pub(crate) reach: f32,
}

/// Eight cells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cells {
    pub(crate) dx: [f32; 8],
    pub(crate) dy: [f32; 8],
    pub(crate) weight: [f32; 8],
}

impl Kernel {
    pub(crate) fn new(view: &View) -> Self {
        let motion = view.motion_px();
        let round = view.aperture.powi(2) / 12.0 + view.defocus_px.powi(2) / 4.0 + view.softness_px.powi(2);
        let along = round + (motion[0].powi(2) + motion[1].powi(2)) / 12.0;
        // A box of side a has the variance a²/12 along each axis.
        let area = 12.0 * (round * along).sqrt();
        let cells = if area > 8.0 { CELLS_OF_WIDE } else { CELLS };
        let side = (area / cells).sqrt().max(0.2);

        let radius = view.aperture + view.defocus_px + 4.0 * view.softness_px + motion[0].hypot(motion[1]) / 2.0;
        let span = (radius / side).ceil() as i32 + 2;
        let across = (2 * span + 1) as usize;
        let mut counts = vec![0.0_f32; across * across];
        for index in 1..=POINTS {
            let [x, y] = blurred_point(index, view, motion);
            for (x, y) in [(x, y), (-x, -y)] {
                let row = ((y / side).round() as i32).clamp(-span, span);
                let column = ((x / side - brick_shift(row)).round() as i32).clamp(-span, span);
                counts[(row + span) as usize * across + (column + span) as usize] += 1.0;
            }
        }
        let least = 0.02 * counts.iter().copied().fold(0.0, f32::max) + 1.0;
        let kept: f32 = counts.iter().filter(|count| **count >= least).sum();
        let mut flat = Vec::new();
        let mut spread = [0.0_f32; 2];
        for (index, count) in counts.iter().enumerate().filter(|(_, count)| **count >= least) {
            let row = (index / across) as i32 - span;
            let dx = ((index % across) as i32 - span) as f32 * side + brick_shift(row) * side;
            let dy = row as f32 * side;
            let weight = count / kept;
            spread[0] += weight * dx * dx;
            spread[1] += weight * dy * dy;
            flat.push([dx, dy, weight]);
        }
        // Sorting into cells widens a kernel and leaving out its faint rim narrows it: the cells are moved until
        // the variance is that of the optics again.
        let fit = [0, 1].map(|axis| {
            let wanted = round + motion[axis].powi(2) / 12.0 - side * side / 12.0;
            (wanted / spread[axis].max(1e-6)).clamp(0.25, 2.0).sqrt()
        });
        let mut reach = 0.0_f32;
        for [dx, dy, _] in &mut flat {
            (*dx, *dy) = (*dx * fit[0], *dy * fit[1]);
            reach = reach.max((dx.abs() + side / 2.0).hypot(dy.abs() + side / 2.0));
        }
        let cells = flat
            .chunks(8)
            .map(|chunk| {
                let mut cells = Cells { dx: [0.0; 8], dy: [0.0; 8], weight: [0.0; 8] };
                for (lane, [dx, dy, weight]) in chunk.iter().enumerate() {
                    (cells.dx[lane], cells.dy[lane], cells.weight[lane]) = (*dx, *dy, *weight);
                }
                cells
            })
            .collect();
        Self { cells, half: side / 2.0, reach }
    }
}

/// How far a row of cells is moved along x, in cells. Cells in straight columns would be a grid of their own and beat
/// with that of the screen; rows moved by multiples of the golden section are none.
fn brick_shift(row: i32) -> f32 {
    let turns = 0.618_034 * row.unsigned_abs() as f32;
    let shift = turns - turns.round();
    if row < 0 { -shift } else { shift }
}

/// One point of the convolution of aperture, softness, disc and motion, from a low-discrepancy sequence.
fn blurred_point(index: u32, view: &View, motion: [f32; 2]) -> [f32; 2] {
    let unit = |base| radical_inverse(index, base);
    let aperture = [(unit(2) - 0.5) * view.aperture, (unit(3) - 0.5) * view.aperture];
    let disc = polar(unit(5).sqrt() * view.defocus_px, unit(7));
    let soft = polar((-2.0 * (1.0 - unit(11)).max(1e-6).ln()).sqrt() * view.softness_px, unit(13));
    let time = unit(17) - 0.5;
    [0, 1].map(|axis| aperture[axis] + disc[axis] + soft[axis] + motion[axis] * time)
}

fn polar(radius: f32, turn: f32) -> [f32; 2] {
    let (sin, cos) = (turn * std::f32::consts::TAU).sin_cos();
    [radius * cos, radius * sin]
}

/// The digits of `index` mirrored at the point: van der Corput's sequence, which fills 0..1 evenly.
fn radical_inverse(mut index: u32, base: u32) -> f32 {
    let (mut value, mut place) = (0.0, 1.0 / f64::from(base));
    while index > 0 {
        value += f64::from(index % base) * place;
        index /= base;
        place /= f64::from(base);
    }
    value as f32
}

/// Light of the backlight during one row's exposure, relative to its mean: the bands of a dimmed screen.
///
/// `start` and `length` of the exposure are in periods of the switching.
pub(crate) fn flicker(start: f64, length: f64, duty: f64) -> f32 {
    let lit_until = |time: f64| time.floor() * duty + (time - time.floor()).min(duty);
    ((lit_until(start + length) - lit_until(start)) / (length * duty)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(kernel: &Kernel) -> (f32, [f32; 2], [f32; 2]) {
        let (mut sum, mut mean, mut variance) = (0.0, [0.0; 2], [0.0; 2]);
        for cells in &kernel.cells {
            for lane in 0..8 {
                let (x, y, w) = (cells.dx[lane], cells.dy[lane], cells.weight[lane]);
                sum += w;
                mean[0] += w * x;
                mean[1] += w * y;
                variance[0] += w * (x * x + kernel.half * kernel.half / 3.0);
                variance[1] += w * (y * y + kernel.half * kernel.half / 3.0);
            }
        }
        (sum, mean, variance)
    }

    #[test]
    fn a_kernel_keeps_the_light_and_has_the_spread_of_its_parts() {
        let view = View {
            defocus_px: 3.0,
            softness_px: 0.5,
            aperture: 1.0,
            hand: [800.0, 0.0],
            shutter_ms: 10.0,
            ..View::default()
        };
        let kernel = Kernel::new(&view);
        let (sum, mean, variance) = moments(&kernel);
        assert!((sum - 1.0).abs() < 1e-4 && mean[0].abs() < 1e-3 && mean[1].abs() < 1e-3);
        let round = 1.0 / 12.0 + 9.0 / 4.0 + 0.25;
        let wanted = [round + 64.0 / 12.0, round];
        for axis in 0..2 {
            let ratio = variance[axis] / wanted[axis];
            assert!((0.95..1.05).contains(&ratio), "axis {axis}: {ratio}");
        }
    }

    #[test]
    fn flicker_vanishes_over_whole_periods_and_not_over_parts() {
        assert!((flicker(0.3, 2.0, 0.5) - 1.0).abs() < 1e-6);
        assert!((flicker(0.0, 0.5, 0.5) - 2.0).abs() < 1e-6);
        assert!(flicker(0.5, 0.5, 0.5).abs() < 1e-6);
    }
}
