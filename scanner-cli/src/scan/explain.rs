//! `--explain`: a picture of what the scanner tried, and a sentence about the attempt that came farthest.

use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use pairlight_core::frame::{LumaFrame, Point};
use pairlight_core::scan::{End, Step};

const SQUARE: Rgb<u8> = Rgb([255, 170, 0]);
const FAILED: Rgb<u8> = Rgb([230, 60, 60]);
const UNREAD: Rgb<u8> = Rgb([220, 0, 220]);
const READ: Rgb<u8> = Rgb([0, 190, 70]);

/// Where the picture for this source goes: `NAME.explained.png` in the current folder.
pub(super) fn place_of(source: &str) -> PathBuf {
    let name = Path::new(source).file_stem().and_then(|name| name.to_str()).unwrap_or("picture");
    PathBuf::from(format!("{}.explained.png", if name == "-" { "picture" } else { name }))
}

/// Draws the steps over the frame: squares orange, threes that failed red, codes that were seen magenta with the grid of
/// their modules, codes that were read green.
pub(super) fn draw(frame: &LumaFrame<'_>, steps: &[Step]) -> RgbImage {
    let mut luma = Vec::new();
    frame.copy_upright_into(&mut luma);
    let width = frame.upright_width();
    let mut picture = RgbImage::from_fn(width, frame.upright_height(), |x, y| {
        let value = luma.get(y as usize * width as usize + x as usize).copied().unwrap_or(0);
        Rgb([value; 3])
    });
    let best = steps.iter().map(rank).max().unwrap_or(0);
    for step in steps {
        match step {
            Step::Looked { squares, .. } => {
                for (center, module) in squares {
                    let r = module * 3.5;
                    let p = |x: f32, y: f32| Point::new(center.x + x * r, center.y + y * r);
                    outline(&mut picture, &[p(-1.0, -1.0), p(1.0, -1.0), p(1.0, 1.0), p(-1.0, 1.0)], SQUARE);
                }
            }
            // All that failed early would cover the picture: only those that came farthest are drawn.
            Step::Tried { squares, end } if rank(step) == best => match end {
                End::Unread { modules, corners } => grid(&mut picture, corners, *modules, UNREAD),
                End::Read { modules, corners } => grid(&mut picture, corners, *modules, READ),
                _ => {
                    let [corner, right, below] = *squares;
                    outline(&mut picture, &[corner, right, below], FAILED);
                }
            },
            Step::Tried { .. } => {}
        }
    }
    picture
}

/// How far a step came.
fn rank(step: &Step) -> u8 {
    match step {
        Step::Looked { .. } => 0,
        Step::Tried { end, .. } => match end {
            End::NoSquare => 1,
            End::NoSize { .. } => 2,
            End::NoTiming { .. } => 3,
            End::NoCorners { .. } => 4,
            End::Unread { .. } => 5,
            End::Read { .. } => 6,
        },
    }
}

/// What was tried and where it ended, one line per look and one for the best attempt.
pub(super) fn tell(steps: &[Step]) -> Vec<String> {
    let mut lines: Vec<String> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Looked { shrunk, rule, squares, triples } => Some(format!(
                "looked at 1/{shrunk} of the size, {rule}: {} corner squares, {triples} plausible threes",
                squares.len()
            )),
            Step::Tried { .. } => None,
        })
        .collect();
    let best = steps.iter().max_by_key(|step| rank(step));
    lines.push(match best {
        Some(Step::Tried { end, .. }) => match end {
            End::NoSquare => "no three squares look like corner squares along the sides of one code".to_owned(),
            End::NoSize { upper, left } => {
                format!("the sides of the best three do not belong together: {upper:.1} and {left:.1} modules")
            }
            End::NoTiming { modules, agreement } => format!(
                "the best three fit no size: with {modules} modules {:.0} % of the timing patterns agree",
                agreement * 100.0
            ),
            End::NoCorners { modules, agreement } => format!(
                "the best three are not the corners of a code: with {modules} modules {:.0} % of them agree",
                agreement * 100.0
            ),
            End::Unread { modules, .. } => {
                format!("a code of {modules} by {modules} modules was found, and it has too many errors")
            }
            End::Read { modules, .. } => format!("a code of {modules} by {modules} modules was read"),
        },
        _ => "no three corner squares were found".to_owned(),
    });
    lines
}

fn outline(picture: &mut RgbImage, points: &[Point], colour: Rgb<u8>) {
    for (from, to) in points.iter().zip(points.iter().cycle().skip(1)) {
        line(picture, *from, *to, colour);
    }
}

fn line(picture: &mut RgbImage, from: Point, to: Point, colour: Rgb<u8>) {
    let steps = (from.distance(to) as usize).clamp(1, 40_000);
    for i in 0..=steps {
        let t = i as f32 / steps as f32;
        let (x, y) = (from.x + (to.x - from.x) * t, from.y + (to.y - from.y) * t);
        if x >= 0.0 && y >= 0.0 && (x as u32) < picture.width() && (y as u32) < picture.height() {
            picture.put_pixel(x as u32, y as u32, colour);
        }
    }
}

/// The outline of a code and a tick for every module on its sides.
fn grid(picture: &mut RgbImage, corners: &[Point; 4], modules: usize, colour: Rgb<u8>) {
    outline(picture, corners, colour);
    let [a, b, c, d] = *corners;
    let mix = |p: Point, q: Point, t: f32| Point::new(p.x + (q.x - p.x) * t, p.y + (q.y - p.y) * t);
    for i in 1..modules {
        let t = i as f32 / modules as f32;
        for (start, end, inner_start, inner_end) in [(a, b, d, c), (a, d, b, c)] {
            let outer = mix(start, end, t);
            line(picture, outer, mix(outer, mix(inner_start, inner_end, t), 0.02), colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_attempt_is_drawn_and_told() {
        let pixels = vec![200; 100 * 80];
        let frame = LumaFrame::luma8(&pixels, 100, 80, 100).unwrap();
        let p = Point::new;
        let corners = [p(10.0, 10.0), p(60.0, 10.0), p(60.0, 60.0), p(10.0, 60.0)];
        let squares = [p(15.0, 15.0), p(55.0, 15.0), p(15.0, 55.0)];
        let steps = [
            Step::Looked { shrunk: 1.0, rule: "a rule".to_owned(), squares: vec![(p(15.0, 15.0), 2.0)], triples: 1 },
            Step::Tried { squares, end: End::NoSquare },
            Step::Tried { squares, end: End::Unread { modules: 21, corners } },
        ];
        let picture = draw(&frame, &steps);
        // Lines may be drawn a pixel beside the edge, so what counts is how much of each colour there is.
        let count = |colour: Rgb<u8>| picture.pixels().filter(|&&pixel| pixel == colour).count();
        assert!(count(UNREAD) > 150, "four sides of 50 pixels, less the ticks: {}", count(UNREAD));
        assert!(count(SQUARE) > 30, "four sides of 14 pixels: {}", count(SQUARE));
        assert_eq!(*picture.get_pixel(90, 70), Rgb([200; 3]));
        assert!(tell(&steps).last().unwrap().contains("21 by 21"));
        assert_eq!(place_of("shots/a.jpg"), PathBuf::from("a.explained.png"));
        assert_eq!(tell(&[]).len(), 1);
    }
}
