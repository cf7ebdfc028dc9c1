//! Shots judged by their pixels, and by a QR reader.

use crate::{
    Chroma, Condition, Frame, Glare, GlareShape, Lens, LensError, Matrix, Mosaic, Scene, ScreenModel, Stripes, Theme,
    View, Y4mWriter, hand_held,
};

const TEXT: &str = "PAIRLIGHT:1:9F3KQ7X2M4ZC8V6B1N5T0HJWRDYPLSGAEU";

fn matrix() -> Matrix {
    Matrix::from_text(TEXT).unwrap()
}

fn shoot(condition: Condition, seed: u64) -> Frame {
    Lens::new(&condition.scene(matrix())).unwrap().shoot(&condition.view(seed)).unwrap()
}

fn read(frame: &Frame) -> Option<String> {
    let luma = frame.luma();
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(frame.width, frame.height, |x, y| luma[y * frame.width + x]);
    image.detect_grids().iter().find_map(|grid| grid.decode().ok()).map(|(_, text)| text)
}

/// A noiseless, straight, sharp look: what remains is screen, optics and sampling.
fn clean() -> View {
    View {
        yaw: 0.0,
        pitch: 0.0,
        roll: 0.0,
        distortion: 0.0,
        defocus_px: 0.0,
        hand: [0.0, 0.0],
        vignette: 0.0,
        flare: 0.0,
        full_well: 1e7,
        read_noise: 0.0,
        sharpen: 0.0,
        jpeg_quality: None,
        ..View::default()
    }
}

/// Linear light (0..1) of a pixel's channel, from a frame with gamma 1.
fn row_of_light(frame: &Frame, y: usize, columns: std::ops::Range<usize>, channel: usize) -> Vec<f64> {
    columns.map(|x| f64::from(frame.rgb[3 * (y * frame.width + x) + channel]) / 255.0).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Amplitude of the wave with `frequency` cycles per sample.
fn amplitude(values: &[f64], frequency: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    let (mean, len) = (mean(values), values.len() as f64);
    for (i, value) in values.iter().enumerate() {
        let window = 1.0 - (std::f64::consts::TAU * (i as f64 + 0.5) / len).cos();
        let (sin, cos) = (std::f64::consts::TAU * frequency * i as f64).sin_cos();
        re += window * (value - mean) * cos;
        im += window * (value - mean) * sin;
    }
    2.0 * re.hypot(im) / len
}

#[test]
fn same_seed_and_view_give_the_same_bytes_and_another_seed_does_not() {
    let scene = Condition::Dark.scene(matrix());
    let view = View { width: 320, height: 240, ..Condition::Dark.view(4) };
    assert_eq!(view, View { width: 320, height: 240, ..Condition::Dark.view(4) });
    let first = Lens::new(&scene).unwrap().shoot(&view).unwrap();
    let second = Lens::new(&scene).unwrap().shoot(&view).unwrap();
    assert_eq!(first.rgb, second.rgb);
    let other = Lens::new(&scene).unwrap().shoot(&View { seed: view.seed ^ 1, ..view }).unwrap();
    assert_ne!(first.rgb, other.rgb);
    assert_ne!(Condition::Dark.view(4), Condition::Dark.view(5));
}

/// Counts modules whose centre, by the truth of the frame, has the wrong brightness.
fn wrong_modules(frame: &Frame, matrix: &Matrix, inverted: bool) -> usize {
    let luma = frame.luma();
    let at = |column: f64, row: f64| {
        let [x, y] = frame.truth.point(column, row);
        luma[y as usize * frame.width + x as usize]
    };
    let values: Vec<Vec<u8>> = (0..matrix.size())
        .map(|row| (0..matrix.size()).map(|column| at(column as f64 + 0.5, row as f64 + 0.5)).collect())
        .collect();
    // The finder pattern gives both colours: its centre is dark, the ring around the centre is light.
    let (dark, light) = (at(3.5, 3.5), at(1.5, 1.5));
    let middle = (u16::from(dark) + u16::from(light)) / 2;
    let is_dark = |value: u8| (u16::from(value) < middle) != inverted;
    let modules = (0..matrix.size()).flat_map(|y| (0..matrix.size()).map(move |x| (x, y)));
    modules.filter(|(x, y)| is_dark(values[*y][*x]) != matrix.is_dark(*x, *y)).count()
}

#[test]
fn every_module_is_where_the_truth_says() {
    for (condition, seed) in [
        (Condition::Nominal, 1),
        (Condition::Tilted, 2),
        (Condition::Rotated, 3),
        (Condition::Mirrored, 4),
        (Condition::Inverted, 5),
    ] {
        let frame = shoot(condition, seed);
        let wrong = wrong_modules(&frame, &matrix(), condition == Condition::Inverted);
        assert_eq!(wrong, 0, "{condition:?}");
    }
}

#[test]
fn truth_follows_a_fast_hand_through_the_rolling_shutter() {
    let scene = Scene::new(matrix());
    let view = View { hand: [900.0, 0.0], shutter_ms: 1.0, readout_ms: 60.0, ..clean() };
    let frame = Lens::new(&scene).unwrap().shoot(&view).unwrap();
    assert_eq!(wrong_modules(&frame, &matrix(), false), 0);
    // The symbol leans by about a fifth of its height, so a truth without the shutter would be wrong.
    let [top_left, _, _, bottom_left] = frame.truth.corners;
    assert!(bottom_left[0] - top_left[0] > 12.0, "{:?}", frame.truth.corners);
}

#[test]
fn corners_are_the_borders_of_the_symbol() {
    let scene = Scene::new(matrix());
    let frame = Lens::new(&scene).unwrap().shoot(&clean()).unwrap();
    let [top_left, top_right, bottom_right, bottom_left] = frame.truth.corners;
    let side = scene.matrix.size() as f64 * 6.0;
    assert!((top_right[0] - top_left[0] - side).abs() < 1e-6 && (bottom_left[1] - top_left[1] - side).abs() < 1e-6);
    assert!((bottom_right[0] - 640.0 - side / 2.0).abs() < 1e-6 && (bottom_right[1] - 360.0 - side / 2.0).abs() < 1e-6);
    // Half a module inside is the dark frame of the finder pattern, half a module outside the quiet zone.
    let luma = frame.luma();
    let at = |x: f64, y: f64| luma[y as usize * frame.width + x as usize];
    assert!(at(top_left[0] + 3.0, top_left[1] + 3.0) < 90 && at(top_left[0] - 3.0, top_left[1] - 3.0) > 160);
}

/// Green light of a row of white card, seen with `ratio` frame pixels per screen pixel.
fn white_row(ratio: f32, change: impl Fn(&mut View)) -> Vec<f64> {
    // A blank matrix makes one large white card.
    let mut scene = Scene::new(Matrix::new(100, vec![false; 10_000]).unwrap()).with_module_px(6);
    scene.screen = ScreenModel { fill_y: 1.0, ..scene.screen };
    let mut view = View {
        width: 480,
        height: 64,
        px_per_module: ratio * 6.0,
        aperture: 0.5,
        softness_px: 0.2,
        gamma: 1.0,
        mosaic: Mosaic::Full,
        ..clean()
    };
    change(&mut view);
    let frame = Lens::new(&scene).unwrap().shoot(&view).unwrap();
    row_of_light(&frame, 32, 0..480, 1)
}

#[test]
fn moire_has_the_beat_of_screen_grid_and_sensor_grid() {
    for ratio in [1.05_f32, 1.10, 0.93] {
        // The grid has 1/ratio cycles per photosite; one cycle per photosite looks like none.
        let beat = (1.0 - 1.0 / f64::from(ratio)).abs();
        let row = white_row(ratio, |_| {});
        let strength = amplitude(&row, beat) / mean(&row);
        assert!(strength > 0.05, "ratio {ratio}: {strength}");
        for elsewhere in [0.5 * beat, 1.6 * beat] {
            assert!(amplitude(&row, elsewhere) < 0.25 * strength * mean(&row), "ratio {ratio}, {elsewhere}");
        }
    }
}

#[test]
fn moire_vanishes_with_another_distance_a_full_aperture_or_defocus() {
    let beat = 1.0 - 1.0 / 1.05;
    let strength = |row: Vec<f64>| amplitude(&row, beat) / mean(&row);
    let beating = strength(white_row(1.05, |_| {}));
    assert!(strength(white_row(1.37, |_| {})) < 0.05 * beating);
    assert!(strength(white_row(1.05, |view| view.aperture = 1.0)) < 0.3 * beating);
    assert!(strength(white_row(1.05, |view| view.defocus_px = 2.0)) < 0.2 * beating);
}

#[test]
fn stripes_show_their_colour_when_the_camera_is_close() {
    let scene = |stripes| {
        let mut scene = Scene::new(Matrix::new(21, vec![false; 441]).unwrap()).with_module_px(8);
        scene.screen.stripes = stripes;
        scene
    };
    // 24 frame pixels per screen pixel: each stripe is 8 wide.
    let view = View { width: 96, height: 64, px_per_module: 192.0, gamma: 1.0, mosaic: Mosaic::Full, ..clean() };
    let brightest = |stripes, channel| {
        let frame = Lens::new(&scene(stripes)).unwrap().shoot(&view).unwrap();
        // The centre of the frame is the border of two screen pixels.
        let row = row_of_light(&frame, 20, 48..72, channel);
        row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0
    };
    assert!(brightest(Stripes::Rgb, 0) < 8 && brightest(Stripes::Rgb, 2) >= 16);
    assert!(brightest(Stripes::Bgr, 2) < 8 && brightest(Stripes::Bgr, 0) >= 16);
}

#[test]
fn blur_spreads_light_and_loses_none() {
    // Five and a bit frame pixels per six screen pixels: no beat that would add light of its own.
    let light = |softness_px: f32| {
        let view = View { px_per_module: 5.1, softness_px, gamma: 1.0, mosaic: Mosaic::Full, ..clean() };
        let frame = Lens::new(&Scene::new(matrix())).unwrap().shoot(&view).unwrap();
        let [left, top] = frame.truth.corners[0].map(|at| at as usize - 12);
        let rows = (top..top + 172).map(|y| mean(&row_of_light(&frame, y, left..left + 172, 1)));
        mean(&rows.collect::<Vec<_>>())
    };
    let (sharp, soft) = (light(0.3), light(2.0));
    assert!((sharp - soft).abs() < 0.015 * sharp, "{sharp} {soft}");
}

/// Mean and deviation of the luma over a patch of white card.
fn patch(view: &View) -> (f64, f64) {
    let scene = Scene::new(Matrix::new(60, vec![false; 3600]).unwrap());
    let frame = Lens::new(&scene).unwrap().shoot(&View { width: 160, height: 120, ..view.clone() }).unwrap();
    let luma: Vec<f64> = frame.luma().iter().map(|value| f64::from(*value)).collect();
    let mean = mean(&luma);
    (mean, (luma.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / luma.len() as f64).sqrt())
}

#[test]
fn more_exposure_is_brighter_until_it_clips_and_fewer_electrons_are_noisier() {
    let quiet = View { softness_px: 1.0, ..clean() };
    let levels = [0.1, 0.2, 0.4, 0.8, 3.0].map(|exposure| patch(&View { exposure, ..quiet.clone() }).0);
    assert!(levels.windows(2).all(|pair| pair[1] > pair[0] + 5.0), "{levels:?}");
    assert_eq!(levels[4], 255.0);
    // The stored value follows the tone curve.
    let expected = (0.5_f64).powf(1.0 / 2.2);
    assert!((levels[2] / levels[3] - expected).abs() < 0.02, "{levels:?}");

    let noise = [10_000.0, 1_000.0, 100.0].map(|full_well| patch(&View { full_well, ..quiet.clone() }).1);
    assert!(noise.windows(2).all(|pair| pair[1] > 2.0 * pair[0]), "{noise:?}");
    let read = [0.0, 30.0, 90.0].map(|read_noise| patch(&View { full_well: 1000.0, read_noise, ..quiet.clone() }).1);
    assert!(read.windows(2).all(|pair| pair[1] > 1.2 * pair[0]), "{read:?}");
}

#[test]
fn blur_and_motion_take_contrast_and_motion_only_along_its_direction() {
    let scene = Scene::new(matrix());
    let lens = Lens::new(&scene).unwrap();
    // Differences across the symbol's timing pattern rows and columns, in the direction of x and of y.
    let edges = |view: &View| {
        let frame = lens.shoot(view).unwrap();
        let (luma, width) = (frame.luma(), frame.width);
        let [left, top] = frame.truth.corners[0].map(|at| at as usize);
        let mut sums = [0_i64; 2];
        for (x, y) in (top..top + 180).flat_map(|y| (left..left + 180).map(move |x| (x, y))) {
            let here = i64::from(luma[y * width + x]);
            sums[0] += (i64::from(luma[y * width + x + 3]) - here).abs();
            sums[1] += (i64::from(luma[(y + 3) * width + x]) - here).abs();
        }
        sums.map(|sum| sum as f64)
    };
    let sharp = edges(&clean());
    let defocused = edges(&View { defocus_px: 4.0, ..clean() });
    assert!(defocused[0] < 0.75 * sharp[0] && defocused[1] < 0.75 * sharp[1]);
    let moved = edges(&View { hand: [700.0, 0.0], shutter_ms: 10.0, readout_ms: 0.0, ..clean() });
    assert!(moved[0] < 0.75 * sharp[0] && moved[1] > 0.8 * sharp[1], "{moved:?} of {sharp:?}");
}

#[test]
fn glare_and_flicker_change_the_light_only_where_they_are() {
    let scene = Scene::new(matrix());
    let glare = Glare { strength: 1.0, centre: [0.3, 0.3], size: 0.1, shape: GlareShape::Lamp };
    let plain = Lens::new(&scene).unwrap().shoot(&clean()).unwrap();
    let shining = Lens::new(&scene).unwrap().shoot(&View { glare: Some(glare), ..clean() }).unwrap();
    let at = |frame: &Frame, column: f64, row: f64| {
        let [x, y] = frame.truth.point(column, row);
        i32::from(frame.luma()[y as usize * frame.width + x as usize])
    };
    let side = scene.matrix.size() as f64;
    assert!(at(&shining, 0.8 * side, 0.8 * side) - at(&plain, 0.8 * side, 0.8 * side) >= 0);
    assert!(at(&shining, 0.8 * side, 0.8 * side) > 220);
    assert!((at(&shining, 0.5, 0.5) - at(&plain, 0.5, 0.5)).abs() < 25);

    let mut flickering = scene.clone();
    (flickering.screen.pwm_hz, flickering.screen.pwm_duty) = (240.0, 0.5);
    let view = View { shutter_ms: 1.5, softness_px: 1.0, ..clean() };
    let row_means = |scene: &Scene| {
        let frame = Lens::new(scene).unwrap().shoot(&view).unwrap();
        (0..720).map(|y| mean(&row_of_light(&frame, y, 0..100, 1))).collect::<Vec<_>>()
    };
    // 240 hertz over a readout of 20 ms is 4.8 bands in the frame.
    let (steady, banded) = (row_means(&scene), row_means(&flickering));
    assert!(amplitude(&banded, 4.8 / 720.0) > 0.2 && amplitude(&steady, 4.8 / 720.0) < 0.05);
}

#[test]
fn easy_shots_are_read_and_hopeless_ones_are_not() {
    for seed in 0..4 {
        assert_eq!(read(&shoot(Condition::Nominal, seed)).as_deref(), Some(TEXT), "seed {seed}");
        assert_eq!(read(&shoot(Condition::Worst, seed)), None, "seed {seed}");
    }
}

#[test]
fn a_video_has_its_header_and_its_bytes() {
    let scene = Scene { theme: Theme::DarkPage, ..Scene::new(matrix()) };
    let base = View { width: 63, height: 49, ..View::default() };
    for (chroma, name, bytes) in
        [(Chroma::Yuv420Jpeg, "420jpeg", 63 * 49 + 2 * 32 * 25), (Chroma::Mono, "mono", 63 * 49)]
    {
        let mut video = Y4mWriter::new(Vec::new(), 63, 49, 30, chroma).unwrap();
        for frame in hand_held(|_| scene.clone(), base.clone(), 3, 30.0, 9) {
            video.write(&frame.unwrap()).unwrap();
        }
        let wrong = Lens::new(&scene).unwrap().shoot(&View { width: 64, ..base.clone() }).unwrap();
        assert!(matches!(video.write(&wrong), Err(LensError::FrameSize { found_width: 64, .. })));
        let stream = video.finish().unwrap();
        let header = format!("YUV4MPEG2 W63 H49 F30:1 Ip A1:1 C{name} XCOLORRANGE=FULL\n");
        assert!(stream.starts_with(header.as_bytes()));
        assert_eq!(stream.len(), header.len() + 3 * ("FRAME\n".len() + bytes));
        assert_eq!(&stream[header.len() + 6 + bytes..][..6], b"FRAME\n");
    }
}

#[test]
fn a_grey_frame_has_neutral_chroma_and_a_red_one_does_not() {
    let mut frame = shoot(Condition::Nominal, 1);
    for (grey, expected) in [(true, [90, 128, 128]), (false, [76, 85, 255])] {
        frame.rgb.chunks_exact_mut(3).for_each(|p| p.copy_from_slice(if grey { &[90; 3] } else { &[255, 0, 0] }));
        let mut video = Y4mWriter::new(Vec::new(), frame.width, frame.height, 1, Chroma::Yuv420Jpeg).unwrap();
        video.write(&frame).unwrap();
        let stream = video.finish().unwrap();
        let pixels = frame.width * frame.height;
        let planes = &stream[stream.len() - pixels * 3 / 2..];
        assert_eq!([planes[0], planes[pixels], planes[pixels * 5 / 4]], expected);
    }
}

#[test]
fn a_hand_sways_smoothly_and_shows_the_code_of_the_moment() {
    let (first, second) = (matrix(), Matrix::from_text("ANOTHER CODE OF THE SAME SIZE WITH 46 LETTERS.").unwrap());
    let scene = |index: usize| Scene::new(if index < 2 { first.clone() } else { second.clone() });
    let film = || hand_held(scene, View::default(), 4, 30.0, 11);
    let frames: Vec<Frame> = film().map(Result::unwrap).collect();
    assert_eq!(frames.len(), 4);
    assert_eq!(read(&frames[1]).as_deref(), Some(TEXT));
    assert_eq!(read(&frames[2]).as_deref(), Some("ANOTHER CODE OF THE SAME SIZE WITH 46 LETTERS."));
    assert_eq!(film().next().unwrap().unwrap().rgb, frames[0].rgb);
    for pair in frames.windows(2) {
        let [from, to] = [0, 1].map(|i| pair[i].truth.corners[0]);
        let step = (to[0] - from[0]).hypot(to[1] - from[1]);
        assert!(step > 0.01 && step < 12.0, "{step}");
    }
    // Motion blur belongs to the movement between the frames.
    let film = film();
    let (before, now, after) = (film.view(29), film.view(30), film.view(31));
    let speed = (after.offset[0] - before.offset[0]) * 15.0 + View::default().hand[0];
    assert!((now.hand[0] - speed).abs() < 25.0, "{} {speed}", now.hand[0]);
}

#[test]
fn impossible_scenes_and_views_are_refused() {
    assert!(matches!(Matrix::new(3, vec![true; 8]), Err(LensError::MatrixShape { expected: 9, found: 8, .. })));
    let scene = Scene { module_px: 40, ..Scene::new(matrix()) };
    assert!(matches!(Lens::new(&scene), Err(LensError::SymbolTooLarge { .. })));
    let lens = Lens::new(&Scene::new(matrix())).unwrap();
    for view in [
        View { width: 0, ..View::default() },
        View { px_per_module: f32::NAN, ..View::default() },
        View { yaw: 90.0, ..View::default() },
        View { jpeg_quality: Some(0), ..View::default() },
    ] {
        assert!(matches!(lens.shoot(&view), Err(LensError::OutOfRange { .. })));
    }
    // At the limits there is a picture, whatever it shows.
    let steep = View { width: 64, height: 48, yaw: 80.0, pitch: -80.0, field_of_view: 120.0, ..View::default() };
    assert_eq!(lens.shoot(&steep).unwrap().rgb.len(), 3 * 64 * 48);
    let near = View { width: 64, height: 48, px_per_module: 200.0, defocus_px: 64.0, ..View::default() };
    assert_eq!(lens.shoot(&near).unwrap().rgb.len(), 3 * 64 * 48);
}

#[test]
fn every_condition_has_its_own_name() {
    for condition in Condition::ALL {
        assert_eq!(Condition::from_name(condition.name()), Some(condition));
    }
    assert_eq!(Condition::from_name("no such thing"), None);
}

/// Share of modules that a sampler would get wrong that knows their places and compares each with its surroundings.
fn lost_modules(frame: &Frame, matrix: &Matrix, inverted: bool) -> f64 {
    let (luma, size) = (frame.luma(), matrix.size() as i32);
    let value = |column: i32, row: i32| {
        let [x, y] = frame.truth.point(f64::from(column) + 0.5, f64::from(row) + 0.5);
        let (x, y) = (x.clamp(0.0, frame.width as f64 - 1.0), y.clamp(0.0, frame.height as f64 - 1.0));
        i32::from(luma[y as usize * frame.width + x as usize])
    };
    let wrong = (0..size * size).filter(|index| {
        let (column, row) = (index % size, index / size);
        let around = (-3..=3).flat_map(|dy| (-3..=3).map(move |dx| (dx, dy)));
        let values: Vec<i32> = around.map(|(dx, dy)| value(column + dx, row + dy)).collect();
        let middle = (values.iter().min().unwrap() + values.iter().max().unwrap()) / 2;
        ((value(column, row) < middle) != inverted) != matrix.is_dark(column as usize, row as usize)
    });
    wrong.count() as f64 / f64::from(size * size)
}

/// Prints the table in `docs/lens.md`: the fastest of twelve shots, how many of them a plain QR reader reads, and how
/// many modules are lost.
#[test]
#[ignore = "a measurement, not a check"]
fn measure_every_condition() {
    for condition in Condition::ALL {
        let scene = condition.scene(matrix());
        let lens = Lens::new(&scene).unwrap();
        let (mut fastest, mut reads, mut lost) = (u128::MAX, 0, 0.0);
        for seed in 100..112 {
            let start = std::time::Instant::now();
            let frame = lens.shoot(&condition.view(seed)).unwrap();
            fastest = fastest.min(start.elapsed().as_millis());
            reads += usize::from(read(&frame).as_deref() == Some(TEXT));
            lost += lost_modules(&frame, &matrix(), condition == Condition::Inverted) / 12.0;
        }
        println!("| `{}` | {fastest} ms | {reads}/12 | {:.1} % |", condition.name(), 100.0 * lost);
    }
}
