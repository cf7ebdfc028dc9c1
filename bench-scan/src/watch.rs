//! Readers frame by frame over the sequences of the lens.

use std::path::Path;

use pairlight_core::scan::{ScanEffort, ScanOptions, Scanner};
use pairlight_core::time::Timestamp;
use serde::Serialize;

use crate::peers::Luma;
use crate::sequences::{self, Choice, Reader, Summary, Watched};

struct Ours {
    alone: bool,
    scanner: Scanner,
}

impl Ours {
    fn boxed(alone: bool) -> Box<dyn Reader> {
        Box::new(Self { alone, scanner: Scanner::default() })
    }
}

impl Reader for Ours {
    fn restart(&mut self) {
        let scanner = Scanner::new(ScanOptions { effort: ScanEffort::Live, ..ScanOptions::default() });
        self.scanner = if self.alone { scanner.each_frame_alone() } else { scanner };
    }

    fn read(&mut self, pixels: &[u8], width: usize, height: usize) -> Vec<Vec<u8>> {
        let Ok(frame) = (Luma { pixels, width, height }).frame() else { return Vec::new() };
        let outcome = self.scanner.scan(&frame, Timestamp::default());
        outcome.symbols.into_iter().map(|symbol| symbol.bytes).collect()
    }
}

#[cfg(feature = "peers")]
struct ZxingCpp;

#[cfg(feature = "peers")]
impl Reader for ZxingCpp {
    fn restart(&mut self) {}

    fn read(&mut self, pixels: &[u8], width: usize, height: usize) -> Vec<Vec<u8>> {
        crate::peers::zxing_cpp(Luma { pixels, width, height })
    }
}

/// One reader's result.
#[derive(Serialize)]
pub(crate) struct ReaderReport {
    pub(crate) name: &'static str,
    pub(crate) situations: Vec<(String, Summary)>,
    pub(crate) sequences: Vec<Watched>,
}

/// The whole result.
#[derive(Serialize)]
pub(crate) struct SequenceReport {
    pub(crate) readers: Vec<ReaderReport>,
    /// Sequences that zxing-cpp reads, those of them that ours reads in no more frames, and those it reads at all.
    pub(crate) read_by_zxing_cpp: usize,
    pub(crate) of_those_read: usize,
    pub(crate) of_those_in_no_more_frames: usize,
    /// Sequences in which zxing-cpp reads no frame, and those of them that ours reads.
    pub(crate) hard: usize,
    pub(crate) hard_read: usize,
}

/// Runs ours (with and without holding and adding up) and zxing-cpp over the chosen sequences.
pub(crate) fn run(situation: Option<&str>, seeds: u64, frames: Option<&Path>) -> anyhow::Result<SequenceReport> {
    #[allow(unused_mut, reason = "without peers nothing is added")]
    let mut readers: Vec<(&'static str, Box<dyn Reader>)> =
        vec![("ours", Ours::boxed(false)), ("ours-alone", Ours::boxed(true))];
    #[cfg(feature = "peers")]
    readers.push(("zxing-cpp", Box::new(ZxingCpp)));
    let (names, mut boxed): (Vec<_>, Vec<_>) = readers.into_iter().unzip();
    eprintln!("frames to the first read: {}", names.join(" "));
    let lists = sequences::run(&mut boxed, &Choice { situation, seeds, frames }, |line| eprintln!("{line}"))?;
    let mut report = SequenceReport {
        readers: Vec::new(),
        read_by_zxing_cpp: 0,
        of_those_read: 0,
        of_those_in_no_more_frames: 0,
        hard: 0,
        hard_read: 0,
    };
    if let [ours, _, theirs] = &lists[..] {
        for (ours, theirs) in ours.iter().zip(theirs) {
            match theirs.frames_to_read {
                Some(frames) => {
                    report.read_by_zxing_cpp += 1;
                    report.of_those_read += usize::from(ours.frames_to_read.is_some());
                    let sooner = ours.frames_to_read.is_some_and(|mine| mine <= frames);
                    report.of_those_in_no_more_frames += usize::from(sooner);
                }
                None => {
                    report.hard += 1;
                    report.hard_read += usize::from(ours.frames_to_read.is_some());
                }
            }
        }
    }
    let reports = names.into_iter().zip(lists).map(|(name, list)| ReaderReport {
        name,
        situations: sequences::summarize(&list),
        sequences: list,
    });
    report.readers = reports.collect();
    Ok(report)
}

/// Prints the result for people.
pub(crate) fn print(report: &SequenceReport) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for reader in &report.readers {
        sequences::print(&mut out, reader.name, &reader.situations)?;
    }
    if report.readers.iter().all(|reader| reader.name != "zxing-cpp") {
        println!("zxing-cpp was not built in: nothing to compare with");
        return Ok(());
    }
    println!(
        "zxing-cpp reads {}; of those ours reads {}, {} in no more frames",
        report.read_by_zxing_cpp, report.of_those_read, report.of_those_in_no_more_frames
    );
    println!("zxing-cpp reads no frame of {}; of those ours reads {}", report.hard, report.hard_read);
    Ok(())
}

/// Writes some frames as pictures, to be looked at.
pub(crate) fn show(folder: &Path, situation: &str, seed: u64) -> anyhow::Result<()> {
    use pairlight_lens::{Sequence, Situation, linking_text};
    let situation = Situation::from_name(situation).ok_or_else(|| anyhow::anyhow!("no situation {situation}"))?;
    let mut sequence = Sequence::new(situation, seed, |n| linking_text(seed, n))?;
    std::fs::create_dir_all(folder)?;
    for index in (0..90).step_by(22) {
        let frame = sequence.shoot(index)?;
        frame.write_png(std::fs::File::create(folder.join(format!("{}-{index}.png", sequence.name())))?)?;
    }
    Ok(())
}
