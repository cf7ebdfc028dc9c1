//! The results as pictures.

use std::path::Path;

use anyhow::anyhow;
use plotters::prelude::*;

use crate::photos::PhotoReport;
use crate::watch::SequenceReport;

/// Read rate against CPU time: better is up and to the left.
pub(crate) fn photos(path: &Path, report: &PhotoReport) -> anyhow::Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("the picture {} cannot be drawn: {error}", path.display());
    let root = SVGBackend::new(path, (900, 560)).into_drawing_area();
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    let rate = |read: usize, all: usize| 100.0 * read as f64 / all.max(1) as f64;
    let slowest = report.peers.iter().map(|peer| peer.all.ms.mean).fold(1.0, f64::max);
    let fastest = report.peers.iter().map(|peer| peer.all.ms.mean).fold(slowest, f64::min).max(0.01);
    let lowest = report.peers.iter().map(|peer| rate(peer.all.read, peer.all.with_code)).fold(100.0, f64::min);
    let mut chart = ChartBuilder::on(&root)
        .caption("Pictures read, and CPU time per picture", ("sans-serif", 22))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d((fastest / 1.6..slowest * 2.5).log_scale(), (lowest - 6.0).max(0.0)..101.0)
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .x_desc("mean CPU milliseconds per picture, one thread")
        .y_desc("% of pictures with a code read")
        .x_label_formatter(&|ms| format!("{ms}"))
        .draw()
        .map_err(|error| failed(&error))?;
    let points = report.peers.iter().map(|peer| {
        let ours = peer.name.starts_with("ours");
        (peer.name.clone(), ours, (peer.all.ms.mean.max(0.01), rate(peer.all.read, peer.all.with_code)))
    });
    for (name, ours, at) in points {
        let color = if ours { RGBColor(200, 30, 40) } else { RGBColor(60, 90, 150) };
        let dot = EmptyElement::at(at)
            + Circle::new((0, 0), 5, color.filled())
            + Text::new(name, (9, -6), ("sans-serif", 15).into_font().color(&color));
        chart.draw_series(std::iter::once(dot)).map_err(|error| failed(&error))?;
    }
    root.present().map_err(|error| failed(&error))
}

/// For each reader, the part of the sequences that is read by a given frame: better is up and to the left.
pub(crate) fn sequences(path: &Path, report: &SequenceReport) -> anyhow::Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("the picture {} cannot be drawn: {error}", path.display());
    let root = SVGBackend::new(path, (900, 520)).into_drawing_area();
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Sequences read by frame", ("sans-serif", 22))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..91.0, 0.0..100.0)
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .x_desc("frames since the start, 30 per second")
        .y_desc("% of sequences read")
        .draw()
        .map_err(|error| failed(&error))?;
    let colors = [RGBColor(200, 30, 40), RGBColor(230, 150, 60), RGBColor(60, 90, 150)];
    for (reader, color) in report.readers.iter().zip(colors) {
        let all = reader.sequences.len().max(1) as f64;
        let by = |frame: usize| {
            let read = reader.sequences.iter().filter(|one| one.frames_to_read.is_some_and(|frames| frames <= frame));
            100.0 * read.count() as f64 / all
        };
        chart
            .draw_series(LineSeries::new((0..=90).map(|frame| (frame as f64, by(frame))), color.stroke_width(2)))
            .map_err(|error| failed(&error))?
            .label(reader.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .border_style(BLACK)
        .background_style(WHITE)
        .draw()
        .map_err(|error| failed(&error))?;
    root.present().map_err(|error| failed(&error))
}
