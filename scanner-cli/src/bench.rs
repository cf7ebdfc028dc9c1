//! `pairlight bench`: how many pictures of a recorded set are read, and how long that takes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use pairlight_core::frame::{FrameError, LumaBuffer, LumaFrame, PackedFormat};
use pairlight_core::scan::{ScanEffort, ScanOptions, ScanOutcome, ScanStats, Scanner, Symbol};
use pairlight_core::time::Timestamp;
use pairlight_lens::{SEEDS_PER_SITUATION, Situation};
use serde::{Deserialize, Serialize};

use crate::exit::print;

mod clock;
mod same;
mod sequences;
mod textures;

const EXAMPLES: &str = "\
Examples:
  pairlight bench frames/manifest.jsonl            read rate and milliseconds, for each set and in all
  pairlight bench frames/manifest.jsonl --json     the same for programs
  pairlight bench --sequences --seeds 1            frames until a code is read, on simulated camera streams";

/// Measure the scanner on a set of recorded pictures.
///
/// MANIFEST holds one JSON object per line: `image` is the path of a picture relative to the manifest, `expected` the
/// list of texts on it (an empty list: it shows no code; null: it shows a code with unknown contents) and `set` the
/// group it belongs to.
///
/// A picture counts as read when at least one expected text was read from it, or anything at all if the contents are
/// unknown. A false read is a text that was read but is not expected, on a picture whose contents are known; white space,
/// control characters and the code page (UTF-8, Latin-1, Shift-JIS) make no difference. Only
/// scanning is timed, not opening the file: CPU time of the one thread where the system tells it, else wall time.
///
/// With --json the result is one object: `images` scanned, `expected` images that show a code, `read` images of those
/// that were read, `rate` = read / expected (null if nothing was expected), `false_reads`, `p50_ms` and `p95_ms` (the
/// median and the 95th percentile over all images, by nearest rank), `worst_ms`, `read_p50_ms` (the median over the
/// images that were read), `codes` (texts that are expected), `codes_read`, `all_read` (images of which every expected
/// text was read), `all_rate` = all_read / expected, and `sets` with the same fields under the name of each set.
///
/// With --sequences the simulated camera films what a person does with a phone (14 situations, 5 seeds, 90 frames) and
/// the live scanner watches: once as it is, once looking at each frame by itself.
///
/// With --textures nothing must be read: noise, bars, lattices, symbols with drawn data, each with every attempt and as
/// frames of a camera stream.
///
/// The exit status is 1 when a line or a picture could not be used (the others are measured all the same), or when a
/// texture was read.
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// The manifest: one JSON object per line
    #[arg(required_unless_present_any = ["sequences", "textures"])]
    manifest: Option<PathBuf>,
    /// Measure on sequences of the simulated camera, which are rendered on the way (minutes)
    #[arg(long, conflicts_with_all = ["manifest", "limit", "set", "effort"])]
    sequences: bool,
    /// Look at so many drawn pictures without a code, and count what is read all the same
    #[arg(long, value_name = "N", conflicts_with_all = ["manifest", "limit", "set", "effort", "sequences"])]
    textures: Option<u64>,
    /// Only sequences of this situation
    #[arg(long, value_name = "NAME", requires = "sequences",
        value_parser = clap::builder::PossibleValuesParser::new(Situation::ALL.map(Situation::name)))]
    situation: Option<String>,
    /// So many sequences of each situation
    #[arg(long, value_name = "N", requires = "sequences", default_value_t = SEEDS_PER_SITUATION,
        value_parser = clap::value_parser!(u64).range(1..=SEEDS_PER_SITUATION))]
    seeds: u64,
    /// Keep the rendered frames in this folder, and take them from there the next time
    #[arg(long, value_name = "DIR", requires = "sequences")]
    frames: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    /// How much work each picture is worth: `live` treats it as a single camera frame
    #[arg(long, value_enum, default_value_t = Effort::Thorough)]
    effort: Effort,
    /// Spend every attempt on every picture, as if each showed several codes
    #[arg(long)]
    all: bool,
    /// Also name the pictures that were not read, and what was read and is not expected
    #[arg(long)]
    list: bool,
    /// Also print how much work each stage of the scanner did
    #[arg(long)]
    stages: bool,
    /// Stop after this many pictures
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only pictures of this set
    #[arg(long, value_name = "NAME")]
    set: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Effort {
    Live,
    Thorough,
}

/// One line of the manifest. Other fields are for people.
#[derive(Deserialize)]
struct Line {
    image: PathBuf,
    expected: Option<Vec<String>>,
    #[serde(default)]
    set: String,
}

/// What one picture gave.
struct Measured {
    image: PathBuf,
    set: String,
    shows_code: bool,
    read: bool,
    /// Texts that are expected, and how many of them were read.
    codes: (usize, usize),
    misread: Vec<Symbol>,
    took: Duration,
    stats: ScanStats,
}

/// The numbers of a set, or of all sets together.
#[derive(Serialize)]
struct Summary {
    images: usize,
    expected: usize,
    read: usize,
    rate: Option<f64>,
    false_reads: usize,
    p50_ms: f64,
    p95_ms: f64,
    worst_ms: f64,
    read_p50_ms: f64,
    codes: usize,
    codes_read: usize,
    all_read: usize,
    all_rate: Option<f64>,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    overall: Summary,
    sets: BTreeMap<&'a str, Summary>,
}

/// Runs the benchmark and prints its result.
///
/// # Errors
/// When the manifest cannot be read or the result cannot be written. A bad line or picture is reported on stderr and
/// makes the exit code 1.
pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    if let Some(count) = args.textures {
        let mut out = Vec::new();
        let exit = textures::run(&mut out, count, args.json)?;
        print(&out)?;
        return Ok(exit);
    }
    let Some(manifest) = &args.manifest else { return run_sequences(args) };
    let file = std::fs::File::open(manifest)
        .with_context(|| format!("the manifest {} cannot be opened", manifest.display()))?;
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let mut measured = Vec::new();
    let mut broken = 0usize;
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.with_context(|| format!("the manifest {} cannot be read", manifest.display()))?;
        if args.limit.is_some_and(|limit| measured.len() >= limit) {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        match measure(folder, &line, args) {
            Ok(Some(one)) => measured.push(one),
            Ok(None) => {}
            Err(error) => {
                eprintln!("{}:{number}: {error:#}", manifest.display());
                broken += 1;
            }
        }
    }

    if measured.is_empty() && broken == 0 {
        let of_set = args.set.as_ref().map(|set| format!(" of the set {set:?}")).unwrap_or_default();
        anyhow::bail!("nothing to measure: the manifest {} lists no picture{of_set}", manifest.display());
    }

    let mut groups: BTreeMap<&str, Vec<&Measured>> = BTreeMap::new();
    for one in &measured {
        groups.entry(&one.set).or_default().push(one);
    }
    let report = Report {
        overall: summarize(&measured.iter().collect::<Vec<_>>()),
        sets: groups.into_iter().map(|(name, group)| (name, summarize(&group))).collect(),
    };
    let mut out = Vec::new();
    if args.json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        print_table(&mut out, &report)?;
        let worst = measured.iter().map(|one| one.took).max().unwrap_or_default();
        writeln!(out, "slowest image: {:.1} ms ({})", milliseconds(worst), clock::UNIT)?;
        let overall = &report.overall;
        writeln!(
            out,
            "codes: {} of {} read; every code of {} images; median of the images that were read: {:.2} ms",
            overall.codes_read, overall.codes, overall.all_read, overall.read_p50_ms
        )?;
        if args.list {
            print_list(&mut out, &measured)?;
        }
        if args.stages {
            print_stages(&mut out, &measured)?;
        }
    }
    print(&out)?;
    if broken > 0 {
        eprintln!("{broken} lines could not be used: see above");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The live scanner, restarted for each sequence.
struct Live {
    alone: bool,
    scanner: Scanner,
}

impl sequences::Reader for Live {
    fn restart(&mut self) {
        let scanner = Scanner::new(ScanOptions { effort: ScanEffort::Live, ..ScanOptions::default() });
        self.scanner = if self.alone { scanner.each_frame_alone() } else { scanner };
    }

    fn read(&mut self, luma: &[u8], width: usize, height: usize) -> Vec<Vec<u8>> {
        let frame = LumaFrame::luma8(luma, width as u32, height as u32, width);
        let outcome = frame.map(|frame| self.scanner.scan(&frame, Timestamp::default())).unwrap_or_default();
        outcome.symbols.into_iter().map(|symbol| symbol.bytes).collect()
    }
}

/// What one way of watching gave.
#[derive(Serialize)]
struct Watching {
    name: &'static str,
    situations: BTreeMap<String, sequences::Summary>,
    sequences: Vec<sequences::Watched>,
}

fn run_sequences(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let live = |alone| Box::new(Live { alone, scanner: Scanner::default() }) as Box<dyn sequences::Reader>;
    let mut readers = [live(false), live(true)];
    let choice =
        sequences::Choice { situation: args.situation.as_deref(), seeds: args.seeds, frames: args.frames.as_deref() };
    let progress = |line: &str| eprintln!("{line}");
    let lists = sequences::run(&mut readers, &choice, progress).context("the sequences cannot be rendered")?;
    let mut out = Vec::new();
    let mut all = Vec::new();
    for (name, list) in ["together", "each alone"].into_iter().zip(lists) {
        let summaries = sequences::summarize(&list);
        if args.json {
            all.push(Watching { name, situations: summaries.into_iter().collect(), sequences: list });
        } else {
            sequences::print(&mut out, name, &summaries)?;
        }
    }
    if args.json {
        serde_json::to_writer(&mut out, &all)?;
        writeln!(out)?;
    } else {
        writeln!(out, "frames (fr) and ms from the first frame to the first read; cpu ms per frame: {}", clock::UNIT)?;
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}

/// Scans the picture of one line; `None` when it is of another set than the one asked for.
fn measure(folder: &Path, line: &str, args: &BenchArgs) -> anyhow::Result<Option<Measured>> {
    let Line { image, expected, set } = serde_json::from_str(line).context("the line is not a manifest entry")?;
    if args.set.as_ref().is_some_and(|wanted| *wanted != set) {
        return Ok(None);
    }
    let path = folder.join(&image);
    let picture = image::open(&path).with_context(|| format!("the picture {} cannot be opened", path.display()))?;
    let mut luma = LumaBuffer::new();
    let frame = view(&picture, &mut luma).with_context(|| format!("the picture {} cannot be used", path.display()))?;
    let effort = match args.effort {
        Effort::Live => ScanEffort::Live,
        Effort::Thorough => ScanEffort::Thorough,
    };
    let mut scanner = Scanner::new(ScanOptions { effort, all_symbols: args.all, ..ScanOptions::default() });
    let start = clock::now();
    let outcome: ScanOutcome = scanner.scan(&frame, Timestamp::default());
    let took = clock::now().saturating_sub(start);
    let is_expected = |symbol: &Symbol| match &expected {
        None => true,
        Some(texts) => texts.iter().any(|text| same::is_same(&symbol.bytes, text)),
    };
    let read = outcome.symbols.iter().any(is_expected);
    let texts = expected.as_deref().unwrap_or_default();
    let is_read = |text: &&String| outcome.symbols.iter().any(|symbol| same::is_same(&symbol.bytes, text));
    let codes = (texts.len(), texts.iter().filter(is_read).count());
    let shows_code = expected.as_ref().is_none_or(|texts| !texts.is_empty());
    let misread = outcome.symbols.iter().filter(|symbol| !is_expected(symbol)).cloned().collect();
    Ok(Some(Measured { image, set, shows_code, read, codes, misread, took, stats: outcome.stats }))
}

/// The brightness of a picture, as `pairlight scan` sees it.
fn view<'a>(picture: &'a image::DynamicImage, luma: &'a mut LumaBuffer) -> Result<LumaFrame<'a>, FrameError> {
    let (width, height) = (picture.width(), picture.height());
    if let image::DynamicImage::ImageLuma8(gray) = picture {
        return LumaFrame::luma8(gray.as_raw(), width, height, width as usize);
    }
    let rgba = picture.to_rgba8();
    luma.fill(PackedFormat::Rgba, &rgba, width, height, width as usize * PackedFormat::Rgba.bytes_per_pixel())
}

fn summarize(group: &[&Measured]) -> Summary {
    let count = |wanted: fn(&Measured) -> bool| group.iter().filter(|one| wanted(one)).count();
    let (expected, read) = (count(|one| one.shows_code), count(|one| one.shows_code && one.read));
    let mut times: Vec<Duration> = group.iter().map(|one| one.took).collect();
    times.sort_unstable();
    let mut read_times: Vec<Duration> =
        group.iter().filter(|one| one.shows_code && one.read).map(|one| one.took).collect();
    read_times.sort_unstable();
    let all_read = count(|one| one.shows_code && one.read && one.codes.0 == one.codes.1);
    Summary {
        images: group.len(),
        expected,
        read,
        rate: (expected > 0).then(|| read as f64 / expected as f64),
        false_reads: group.iter().map(|one| one.misread.len()).sum(),
        p50_ms: percentile(&times, 50),
        p95_ms: percentile(&times, 95),
        worst_ms: times.last().copied().map_or(0.0, milliseconds),
        read_p50_ms: percentile(&read_times, 50),
        codes: group.iter().map(|one| one.codes.0).sum(),
        codes_read: group.iter().map(|one| one.codes.1).sum(),
        all_read,
        all_rate: (expected > 0).then(|| all_read as f64 / expected as f64),
    }
}

/// The value that `percent` of the sorted values do not exceed, by nearest rank, in milliseconds; 0 if there is none.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().map_or(0.0, milliseconds)
}

/// The pictures that were not read, and what was read and is not expected.
fn print_list(out: &mut impl Write, measured: &[Measured]) -> std::io::Result<()> {
    for one in measured {
        let image = one.image.display();
        if one.shows_code && !one.read {
            writeln!(out, "not read    {image}: {} corner squares at most", one.stats.finders)?;
        }
        if one.codes.1 > 0 && one.codes.1 < one.codes.0 {
            writeln!(out, "incomplete  {image}: {} of {} codes", one.codes.1, one.codes.0)?;
        }
        for symbol in &one.misread {
            writeln!(out, "unexpected  {image}: {}", symbol.bytes.escape_ascii())?;
        }
    }
    Ok(())
}

/// The work of each stage: the sum over all images, the median and the most for one image.
fn print_stages(out: &mut impl Write, measured: &[Measured]) -> std::io::Result<()> {
    type Stage = (&'static str, fn(&ScanStats) -> u64);
    const STAGES: [Stage; 6] = [
        ("looks", |stats| u64::from(stats.attempts)),
        ("pixels looked at", |stats| stats.pixels),
        ("threes measured", |stats| u64::from(stats.triples)),
        ("projections fitted", |stats| u64::from(stats.fits)),
        ("codes sampled", |stats| u64::from(stats.samples)),
        ("repairs tried", |stats| u64::from(stats.reads)),
    ];
    for (name, of) in STAGES {
        let mut counts: Vec<u64> = measured.iter().map(|one| of(&one.stats)).collect();
        counts.sort_unstable();
        let sum: u64 = counts.iter().sum();
        let (middle, most) = (counts.get(counts.len() / 2).unwrap_or(&0), counts.last().unwrap_or(&0));
        writeln!(out, "{name:<20} all {sum:>12}  median {middle:>9}  most {most:>10}")?;
    }
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn print_table(out: &mut impl Write, report: &Report<'_>) -> std::io::Result<()> {
    writeln!(
        out,
        "{:<24} {:>7} {:>9} {:>6} {:>7} {:>6} {:>9} {:>9}",
        "set", "images", "expected", "read", "rate", "false", "p50 ms", "p95 ms"
    )?;
    let sets = report.sets.iter().map(|(name, summary)| (*name, summary));
    for (name, summary) in sets.chain([("all", &report.overall)]) {
        let rate = summary.rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
        writeln!(
            out,
            "{name:<24} {:>7} {:>9} {:>6} {rate:>7} {:>6} {:>9.1} {:>9.1}",
            summary.images, summary.expected, summary.read, summary.false_reads, summary.p50_ms, summary.p95_ms
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(set: &str, shows_code: bool, read: bool, ms: u64) -> Measured {
        let codes = (usize::from(shows_code), usize::from(read));
        let (set, took) = (set.to_owned(), Duration::from_millis(ms));
        let stats = ScanStats::default();
        Measured { image: PathBuf::new(), set, shows_code, read, codes, misread: Vec::new(), took, stats }
    }

    /// Writes a picture with a code on it, or a white one.
    fn picture(path: &Path, text: Option<&str>) {
        let code = text.map(|text| qrcodegen::QrCode::encode_text(text, qrcodegen::QrCodeEcc::Medium).unwrap());
        let pixels = image::GrayImage::from_fn(200, 200, |x, y| {
            let module = |at: u32| at as i32 / 5 - 4;
            let black = code.as_ref().is_some_and(|code| code.get_module(module(x), module(y)));
            image::Luma([if black { 0 } else { 255 }])
        });
        pixels.save(path).unwrap();
    }

    fn args(manifest: PathBuf) -> BenchArgs {
        BenchArgs {
            manifest: Some(manifest),
            json: false,
            effort: Effort::Thorough,
            all: false,
            stages: false,
            list: false,
            limit: None,
            set: None,
            sequences: false,
            textures: None,
            frames: None,
            situation: None,
            seeds: 1,
        }
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let times: Vec<Duration> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!((percentile(&times, 50), percentile(&times, 95)), (10.0, 19.0));
        assert_eq!(percentile(&[], 50), 0.0);
    }

    #[test]
    fn a_picture_without_a_code_counts_for_false_reads_and_not_for_the_rate() {
        let all = [measured("a", true, true, 1), measured("a", true, false, 2), measured("b", false, false, 3)];
        let summary = summarize(&all.iter().collect::<Vec<_>>());
        assert_eq!((summary.images, summary.expected, summary.read, summary.false_reads), (3, 2, 1, 0));
        assert_eq!((summary.rate, summary.p50_ms, summary.worst_ms), (Some(0.5), 2.0, 3.0));
        assert_eq!((summary.codes, summary.codes_read, summary.all_read, summary.all_rate), (2, 1, 1, Some(0.5)));
        assert_eq!(summarize(&[&all[2]]).rate, None);
    }

    #[test]
    fn pictures_are_judged_by_what_the_manifest_expects() {
        let folder = tempfile::tempdir().unwrap();
        picture(&folder.path().join("code.png"), Some("hello"));
        picture(&folder.path().join("white.png"), None);
        let args = args(PathBuf::new());
        let judge = |line: &str| {
            let one = measure(folder.path(), line, &args).unwrap().unwrap();
            (one.shows_code, one.read, one.misread.len())
        };
        assert_eq!(judge(r#"{"image": "code.png", "expected": ["hello", "other"], "set": "a"}"#), (true, true, 0));
        assert_eq!(judge(r#"{"image": "code.png", "expected": ["other"]}"#), (true, false, 1));
        assert_eq!(judge(r#"{"image": "code.png", "expected": null}"#), (true, true, 0));
        assert_eq!(judge(r#"{"image": "code.png", "expected": []}"#), (false, false, 1));
        assert_eq!(judge(r#"{"image": "white.png", "expected": null}"#), (true, false, 0));
        assert_eq!(judge(r#"{"image": "white.png", "expected": []}"#), (false, false, 0));
    }

    #[test]
    fn a_bad_line_is_counted_and_does_not_end_the_run() {
        let folder = tempfile::tempdir().unwrap();
        picture(&folder.path().join("code.png"), Some("hello"));
        let manifest = folder.path().join("manifest.jsonl");
        let good = r#"{"image": "code.png", "expected": ["hello"], "set": "a"}"#;
        std::fs::write(&manifest, format!("{good}\n\n")).unwrap();
        assert_eq!(run(&args(manifest.clone())).unwrap(), ExitCode::SUCCESS);
        std::fs::write(&manifest, format!("{{\n{{\"image\": \"gone.png\", \"expected\": []}}\n{good}\n")).unwrap();
        assert_eq!(run(&args(manifest)).unwrap(), ExitCode::FAILURE);
        assert!(run(&args(folder.path().join("none.jsonl"))).is_err());
    }

    #[test]
    fn a_manifest_without_pictures_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("manifest.jsonl");
        std::fs::write(&manifest, "\n").unwrap();
        assert!(run(&args(manifest.clone())).unwrap_err().to_string().contains("lists no picture"));
        picture(&folder.path().join("code.png"), Some("hello"));
        std::fs::write(&manifest, r#"{"image": "code.png", "expected": ["hello"], "set": "a"}"#).unwrap();
        let other_set = BenchArgs { set: Some("b".to_owned()), ..args(manifest) };
        assert!(run(&other_set).unwrap_err().to_string().contains("of the set \"b\""));
    }
}
