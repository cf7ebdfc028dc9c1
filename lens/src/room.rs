//! What surrounds the panel: bezel, keyboard, and a room far out of focus.

/// Linear light of the surroundings at a point of the plane, relative to the room's light.
///
/// `blur` is the width of the picture's blur on the plane, in screen pixels: edges are softened by it.
pub(crate) fn light(u: f32, v: f32, width: f32, height: f32, blur: f32) -> [f32; 3] {
    let rise = |at: f32, edge: f32, soft: f32| {
        let t = ((at - edge) / soft + 0.5).clamp(0.0, 1.0);
        t * t * (3.0 - 2.0 * t)
    };
    let soft = blur.max(1.0);
    let (side, chin) = (0.022 * width, 0.05 * width);
    let hinge = height + chin;

    // The room behind: a warm wall, brighter towards a lamp, with furniture as soft dark shapes.
    let (x, y) = (u / width - 0.5, v / height - 0.5);
    let lamp = 1.0 / (1.0 + 6.0 * ((x + 0.75).powi(2) + (y + 0.7).powi(2)));
    let wall = 0.10 + 0.35 * lamp;
    let shelf = rise(x, 0.62, 0.12) * rise(-y, -0.30, 0.12);
    let frame = rise(-(x + 0.80).abs(), -0.16, 0.05) * rise(-(y - 0.05).abs(), -0.28, 0.05);
    let mut rgb = [wall * 1.0, wall * 0.93, wall * 0.82];
    mix(&mut rgb, [0.05, 0.035, 0.025], 0.8 * shelf);
    mix(&mut rgb, [0.10, 0.16, 0.17], 0.7 * frame);
    let table = rise(v, hinge + 0.05 * height, 0.3 * height);
    mix(&mut rgb, [0.20, 0.13, 0.075], table);

    // The keyboard deck is foreshortened: it lies flat below the hinge.
    let deck =
        rise(v, hinge, soft) * rise(u, -side, soft + 0.2 * (v - hinge).max(0.0)) * rise(-u, -(width + side), soft);
    if deck > 0.0 {
        let mut metal = [0.30, 0.30, 0.31];
        let below = v - hinge;
        mix(&mut metal, [0.02, 0.02, 0.022], rise(-below, -0.018 * width, soft));
        let (key, row) = (width / 15.5, width / 24.0);
        let row_soft = soft.max(3.0);
        let rows = rise(below, 0.045 * width, row_soft) * rise(-below, -(0.045 * width + 5.0 * row), row_soft);
        let shift = if ((below / row) as i32) & 1 == 0 { 0.0 } else { 0.4 };
        let (in_key, in_row) = ((u / key + shift).rem_euclid(1.0), ((below - 0.045 * width) / row).rem_euclid(1.0));
        let cap = |at: f32, size: f32| rise((0.5 - (at - 0.5).abs()) * size, 0.07 * size, row_soft);
        let inside = rise(u, 0.02 * width, soft) * rise(-u, -0.98 * width, soft);
        mix(&mut metal, [0.018, 0.018, 0.02], rows * inside * cap(in_key, key) * cap(in_row, row));
        mix(&mut rgb, metal, deck);
    }

    let lid = rise(u, -side, soft) * rise(-u, -(width + side), soft) * rise(v, -side, soft) * rise(-v, -hinge, soft);
    mix(&mut rgb, [0.012, 0.012, 0.013], lid);
    rgb
}

fn mix(rgb: &mut [f32; 3], other: [f32; 3], part: f32) {
    for (value, other) in rgb.iter_mut().zip(other) {
        *value += (other - *value) * part;
    }
}
