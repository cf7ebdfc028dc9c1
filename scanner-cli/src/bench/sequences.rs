//! Readers over the sequences of the lens: what a person with a phone would see of them.
//!
//! `pairlight bench --sequences` runs ours with it; the side-by-side benchmark uses the same file for all readers.

use std::collections::BTreeMap;
use std::path::Path;

use pairlight_lens::{
    LensError, SEEDS_PER_SITUATION, SEQUENCE_FPS, SEQUENCE_FRAMES, Sequence, Situation, linking_text,
};
use serde::Serialize;

use super::clock;

/// A reader that sees one frame after the other.
pub(super) trait Reader {
    /// A new sequence begins.
    fn restart(&mut self);
    /// Contents read with this frame.
    fn read(&mut self, luma: &[u8], width: usize, height: usize) -> Vec<Vec<u8>>;
}

/// What one reader made of one sequence.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Watched {
    pub(super) sequence: String,
    pub(super) situation: &'static str,
    /// Frames until the first read, 1 for the first frame; null if nothing was read.
    pub(super) frames_to_read: Option<usize>,
    /// Frames in which something was read.
    pub(super) frames_read: usize,
    pub(super) false_reads: usize,
    /// Codes that were shown and read.
    pub(super) codes_read: usize,
    pub(super) codes: usize,
    /// CPU milliseconds of each frame until the first read.
    #[serde(skip)]
    pub(super) searching: Vec<f64>,
    /// CPU milliseconds of the frames after it in which something was read.
    #[serde(skip)]
    pub(super) locked: Vec<f64>,
    #[serde(skip)]
    pub(super) all: Vec<f64>,
}

/// The figures of a reader over one situation, or over all.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    pub(super) sequences: usize,
    pub(super) read: usize,
    pub(super) codes: usize,
    pub(super) codes_read: usize,
    pub(super) false_reads: usize,
    /// Of the sequences that were read.
    pub(super) frames_p50: usize,
    pub(super) frames_p95: usize,
    pub(super) ms_p50: f64,
    pub(super) ms_p95: f64,
    /// Median CPU milliseconds per frame: all, until the first read, and read frames after it.
    pub(super) cpu_ms: f64,
    pub(super) cpu_ms_p95: f64,
    pub(super) cpu_ms_searching: f64,
    pub(super) cpu_ms_locked: f64,
}

/// Which sequences are run.
pub(super) struct Choice<'a> {
    pub(super) situation: Option<&'a str>,
    pub(super) seeds: u64,
    /// A folder in which rendered frames are kept for the next run.
    pub(super) frames: Option<&'a Path>,
}

/// The frames of a sequence, rendered or kept from an earlier run.
struct Film {
    sequence: Sequence,
    kept: Option<Vec<u8>>,
    /// Where to keep them, and those of this run so far.
    keep: Option<(std::path::PathBuf, Vec<u8>)>,
}

/// Size of all frames of the sequences.
const SIZE: (usize, usize) = (1280, 720);

impl Film {
    fn new(sequence: Sequence, folder: Option<&Path>) -> Self {
        let path = folder.map(|folder| folder.join(format!("{}.gray", sequence.name())));
        let whole = SIZE.0 * SIZE.1 * SEQUENCE_FRAMES;
        let kept = path.as_ref().and_then(|path| std::fs::read(path).ok()).filter(|bytes| bytes.len() == whole);
        let keep = if kept.is_some() { None } else { path.map(|path| (path, Vec::new())) };
        Self { sequence, kept, keep }
    }

    /// Brightness of frame `index`; they are asked for in order.
    fn luma(&mut self, index: usize) -> Result<Vec<u8>, LensError> {
        let one = SIZE.0 * SIZE.1;
        if let Some(kept) = &self.kept {
            return Ok(kept[index * one..(index + 1) * one].to_vec());
        }
        let frame = self.sequence.shoot(index)?;
        assert_eq!((frame.width, frame.height), SIZE, "sequences have one size");
        let luma = frame.luma();
        if let Some((path, frames)) = &mut self.keep {
            frames.extend_from_slice(&luma);
            if index + 1 == SEQUENCE_FRAMES {
                std::fs::write(path, frames)?;
            }
        }
        Ok(luma)
    }
}

/// Renders the sequences and shows every frame to every reader, in an order that turns by one each frame. Gives one
/// list per reader.
pub(super) fn run(
    readers: &mut [Box<dyn Reader>],
    choice: &Choice<'_>,
    mut progress: impl FnMut(&str),
) -> Result<Vec<Vec<Watched>>, LensError> {
    let mut results: Vec<Vec<Watched>> = readers.iter().map(|_| Vec::new()).collect();
    let wanted = |situation: &Situation| choice.situation.is_none_or(|name| name == situation.name());
    for situation in Situation::ALL.into_iter().filter(wanted) {
        for seed in 0..choice.seeds.min(SEEDS_PER_SITUATION) {
            let sequence = Sequence::new(situation, seed, |n| linking_text(seed, n))?;
            let name = sequence.name();
            let watched = watch(readers, Film::new(sequence, choice.frames), situation, seed)?;
            let shown = |one: &Watched| one.frames_to_read.map_or_else(|| "-".to_owned(), |frames| frames.to_string());
            progress(&format!("{:<14} {}", name, watched.iter().map(shown).collect::<Vec<_>>().join(" ")));
            for (result, one) in results.iter_mut().zip(watched) {
                result.push(one);
            }
        }
    }
    Ok(results)
}

fn watch(
    readers: &mut [Box<dyn Reader>],
    mut film: Film,
    situation: Situation,
    seed: u64,
) -> Result<Vec<Watched>, LensError> {
    let codes = film.sequence.code_in(SEQUENCE_FRAMES - 1) + 1;
    let texts: Vec<String> = (0..codes).map(|code| linking_text(seed, code)).collect();
    let mut known: Vec<Vec<bool>> = readers.iter().map(|_| vec![false; codes]).collect();
    let blank = Watched {
        sequence: film.sequence.name(),
        situation: situation.name(),
        frames_to_read: None,
        frames_read: 0,
        false_reads: 0,
        codes_read: 0,
        codes,
        searching: Vec::new(),
        locked: Vec::new(),
        all: Vec::new(),
    };
    let mut watched = vec![blank; readers.len()];
    readers.iter_mut().for_each(|reader| reader.restart());
    for index in 0..SEQUENCE_FRAMES {
        let luma = film.luma(index)?;
        for turn in 0..readers.len() {
            let which = (turn + index) % readers.len();
            let one = &mut watched[which];
            let start = clock::now();
            let contents = readers[which].read(&luma, SIZE.0, SIZE.1);
            let ms = clock::now().saturating_sub(start).as_secs_f64() * 1e3;
            one.all.push(ms);
            if one.frames_to_read.is_none() {
                one.searching.push(ms);
            } else if !contents.is_empty() {
                one.locked.push(ms);
            }
            for content in contents {
                // A code that was shown up to now; the one before may be told late, never one that is still to come.
                let shown = texts.iter().take(film.sequence.code_in(index) + 1);
                match shown.enumerate().find(|(_, text)| text.as_bytes() == content) {
                    Some((code, _)) => {
                        known[which][code] = true;
                        one.frames_read += 1;
                        one.frames_to_read.get_or_insert(index + 1);
                    }
                    None => one.false_reads += 1,
                }
            }
        }
    }
    for (one, known) in watched.iter_mut().zip(known) {
        one.codes_read = known.into_iter().filter(|known| *known).count();
    }
    Ok(watched)
}

/// The figures per situation; the last is over all.
pub(super) fn summarize(watched: &[Watched]) -> Vec<(String, Summary)> {
    let mut groups: BTreeMap<&str, Vec<&Watched>> = BTreeMap::new();
    for one in watched {
        groups.entry(one.situation).or_default().push(one);
    }
    let mut summaries: Vec<(String, Summary)> =
        groups.into_iter().map(|(name, group)| (name.to_owned(), summary(&group))).collect();
    summaries.push(("all".to_owned(), summary(&watched.iter().collect::<Vec<_>>())));
    summaries
}

fn summary(group: &[&Watched]) -> Summary {
    let mut frames: Vec<f64> = group.iter().filter_map(|one| one.frames_to_read).map(|frames| frames as f64).collect();
    frames.sort_by(f64::total_cmp);
    let times = |pick: fn(&Watched) -> &Vec<f64>| {
        let mut all: Vec<f64> = group.iter().flat_map(|one| pick(one)).copied().collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let round = |ms: f64| (ms * 1e3).round() / 1e3;
    let (p50, p95) = (percentile(&frames, 50), percentile(&frames, 95));
    let ms = |frames: f64| (frames * 1000.0 / f64::from(SEQUENCE_FPS)).round();
    Summary {
        sequences: group.len(),
        read: frames.len(),
        codes: group.iter().map(|one| one.codes).sum(),
        codes_read: group.iter().map(|one| one.codes_read).sum(),
        false_reads: group.iter().map(|one| one.false_reads).sum(),
        frames_p50: p50 as usize,
        frames_p95: p95 as usize,
        ms_p50: ms(p50),
        ms_p95: ms(p95),
        cpu_ms: round(percentile(&times(|one| &one.all), 50)),
        cpu_ms_p95: round(percentile(&times(|one| &one.all), 95)),
        cpu_ms_searching: round(percentile(&times(|one| &one.searching), 50)),
        cpu_ms_locked: round(percentile(&times(|one| &one.locked), 50)),
    }
}

/// By nearest rank; 0 for an empty list.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

/// Prints one reader's figures.
pub(super) fn print(out: &mut impl std::io::Write, name: &str, summaries: &[(String, Summary)]) -> std::io::Result<()> {
    writeln!(
        out,
        "{name:<14} {:>5} {:>5} {:>7} {:>5} {:>7} {:>7} {:>7} {:>7} {:>8} {:>8} {:>8}",
        "of", "read", "codes", "false", "fr p50", "fr p95", "ms p50", "ms p95", "cpu ms", "search", "locked"
    )?;
    for (situation, one) in summaries {
        writeln!(
            out,
            "{situation:<14} {:>5} {:>5} {:>3}/{:<3} {:>5} {:>7} {:>7} {:>7.0} {:>7.0} {:>8.2} {:>8.2} {:>8.2}",
            one.sequences,
            one.read,
            one.codes_read,
            one.codes,
            one.false_reads,
            one.frames_p50,
            one.frames_p95,
            one.ms_p50,
            one.ms_p95,
            one.cpu_ms,
            one.cpu_ms_searching,
            one.cpu_ms_locked
        )?;
    }
    Ok(())
}
