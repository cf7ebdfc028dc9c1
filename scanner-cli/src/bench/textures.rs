//! Pictures that show no code: does the scanner make one up? `pairlight bench` and the side-by-side benchmark use this file.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use pairlight_core::frame::LumaFrame;
use pairlight_core::scan::{ScanEffort, ScanOptions, Scanner};
use pairlight_core::time::Timestamp;
use pairlight_lens::texture;
use serde::Serialize;

use super::clock;

/// Times that the live scanner sees each texture, so that it begins to hold what looks like a code.
const LIVE_FRAMES: usize = 3;

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Each with every attempt on it, and as frames of a camera stream.
    textures: u64,
    live_frames: usize,
    /// Of which kind how many.
    kinds: BTreeMap<&'static str, u64>,
    /// Textures in which corner squares looked like those of a code whose modules could be sampled.
    looked_like_a_code: u64,
    false_reads: usize,
    p50_ms: f64,
    p95_ms: f64,
    worst_ms: f64,
}

/// Scans so many textures and writes what came of it. The exit code is 1 if anything was read.
pub(super) fn run(out: &mut impl Write, count: u64, json: bool) -> anyhow::Result<ExitCode> {
    let report = look(count)?;
    if json {
        serde_json::to_writer(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        for (kind, count) in &report.kinds {
            writeln!(out, "{kind:<40} {count:>7}")?;
        }
        writeln!(
            out,
            "{} textures, {} of them looked like a code; with {} live frames: {} false reads",
            report.textures, report.looked_like_a_code, report.live_frames, report.false_reads
        )?;
        writeln!(
            out,
            "every attempt on each: p50 {:.1} ms, p95 {:.1} ms, worst {:.1} ms ({})",
            report.p50_ms,
            report.p95_ms,
            report.worst_ms,
            clock::UNIT
        )?;
    }
    Ok(if report.false_reads == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn look(count: u64) -> anyhow::Result<Report> {
    let options = ScanOptions { effort: ScanEffort::Thorough, all_symbols: true, ..ScanOptions::default() };
    let mut thorough = Scanner::new(options);
    let mut live = Scanner::new(ScanOptions::default());
    let mut times: Vec<Duration> = Vec::new();
    let mut report = Report::default();
    for number in 0..count {
        let texture = texture(number).with_context(|| format!("texture {number} cannot be drawn"))?;
        let (width, height) = (u32::try_from(texture.width)?, u32::try_from(texture.height)?);
        let frame = LumaFrame::luma8(&texture.luma, width, height, texture.width)?;
        let start = clock::now();
        let outcome = thorough.scan(&frame, Timestamp::default());
        times.push(clock::now().saturating_sub(start));
        report.looked_like_a_code += u64::from(outcome.stats.undecodable > 0);
        let mut read = outcome.symbols;
        for _ in 0..LIVE_FRAMES {
            read.extend(live.scan(&frame, Timestamp::default()).symbols);
        }
        for symbol in &read {
            eprintln!("texture {number} ({}) was read as {:?}", texture.kind, symbol.bytes);
        }
        report.false_reads += read.len();
        report.textures += 1;
        report.live_frames += LIVE_FRAMES;
        *report.kinds.entry(texture.kind).or_default() += 1;
        if report.textures.is_multiple_of(1000) {
            eprintln!("{} textures", report.textures);
        }
    }
    times.sort_unstable();
    // By nearest rank.
    let of = |percent: usize| {
        let rank = (times.len() * percent).div_ceil(100).max(1);
        times.get(rank - 1).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    (report.p50_ms, report.p95_ms, report.worst_ms) = (of(50), of(95), of(100));
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_looked_at_and_nothing_is_read() {
        let report = look(20).unwrap();
        assert_eq!((report.textures, report.live_frames, report.false_reads), (20, 60, 0));
        assert_eq!(report.kinds.len(), 10);
        assert!(report.looked_like_a_code > 0, "nothing in it would tempt a scanner");
    }
}
