//! All readers over one set of still pictures.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use pairlight_core::frame::{LumaBuffer, PackedFormat};
use serde::{Deserialize, Serialize};

use crate::numbers::{Times, round};
use crate::peers::{Luma, Peer, Reading, UNIT};
use crate::same;

/// One line of the manifest, as `pairlight bench` reads it.
#[derive(Deserialize)]
struct Line {
    image: PathBuf,
    expected: Option<Vec<String>>,
    #[serde(default)]
    set: String,
}

/// What one reader made of one picture, judged.
struct Judged {
    peer: usize,
    set: String,
    image: String,
    shows_code: bool,
    read: bool,
    all: bool,
    misread: Vec<String>,
    panicked: bool,
    ms: f64,
}

/// The figures of one reader over a set.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) images: usize,
    /// Pictures that show a code.
    pub(crate) with_code: usize,
    /// Of those, with at least one expected text read.
    pub(crate) read: usize,
    /// Of those, with all expected texts read.
    pub(crate) read_all: usize,
    /// Texts that were read and are not expected.
    pub(crate) false_reads: usize,
    pub(crate) panics: usize,
    /// Over all pictures.
    pub(crate) ms: Times,
    /// Over the pictures that this reader read.
    pub(crate) ms_of_read: Times,
}

/// A reader with its figures.
#[derive(Debug, Serialize)]
pub(crate) struct PeerReport {
    pub(crate) name: String,
    pub(crate) settings: String,
    pub(crate) all: Figures,
    /// The median of `ms / ms of zxing-cpp` over the pictures that this reader read.
    pub(crate) median_ratio: f64,
    /// `p95 / p95 of zxing-cpp`, both over all pictures.
    pub(crate) p95_ratio: f64,
    /// `worst / worst of zxing-cpp`.
    pub(crate) worst_ratio: f64,
    pub(crate) slowest_image: String,
    pub(crate) sets: BTreeMap<String, Figures>,
    /// Pictures with a code that this reader did not read and at least one other did.
    pub(crate) missed_alone: Vec<String>,
    /// Pictures with a code that this reader did not read.
    pub(crate) missed: Vec<String>,
    /// Picture and content of each text that is not expected; bytes that are no UTF-8 are replaced.
    pub(crate) misread: Vec<(String, String)>,
}

/// The whole result.
#[derive(Debug, Serialize)]
pub(crate) struct PhotoReport {
    pub(crate) unit: String,
    pub(crate) peers: Vec<PeerReport>,
    /// Pictures with a code that at least one reader read.
    pub(crate) read_by_any: usize,
    pub(crate) unusable_lines: usize,
    pub(crate) not_built: BTreeMap<String, String>,
}

/// Which pictures are taken.
pub(crate) struct Choice<'a> {
    pub(crate) set: Option<&'a str>,
    pub(crate) limit: Option<usize>,
    /// The longer side is averaged down to this before anyone sees the picture.
    pub(crate) shrink_to: Option<usize>,
}

/// Runs all `peers` over the pictures of a manifest. The order of the readers is turned by one with each picture, so
/// that none always meets warm caches.
pub(crate) fn run(manifest: &Path, peers: &[Peer], choice: &Choice<'_>) -> anyhow::Result<PhotoReport> {
    let file = std::fs::File::open(manifest)
        .with_context(|| format!("the manifest {} cannot be opened", manifest.display()))?;
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let mut judged = Vec::new();
    let (mut done, mut unusable) = (0, 0);
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.context("the manifest cannot be read")?;
        if choice.limit.is_some_and(|limit| done >= limit) {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        let entry: Line = match serde_json::from_str(&line) {
            Ok(entry) => entry,
            Err(error) => {
                eprintln!("{}:{number}: not a manifest entry: {error}", manifest.display());
                unusable += 1;
                continue;
            }
        };
        if choice.set.is_some_and(|wanted| wanted != entry.set) {
            continue;
        }
        let (mut pixels, mut width, mut height) = match open(&folder.join(&entry.image)) {
            Ok(opened) => opened,
            Err(error) => {
                eprintln!("{}:{number}: {error:#}", manifest.display());
                unusable += 1;
                continue;
            }
        };
        if let Some(side) = choice.shrink_to {
            (pixels, width, height) = shrink(pixels, width, height, side);
        }
        let luma = Luma { pixels: &pixels, width, height };
        for turn in 0..peers.len() {
            let peer = (turn + done) % peers.len();
            let reading = peers[peer].read(luma);
            judged.push(judge(peer, &entry, reading));
        }
        done += 1;
        if done % 50 == 0 {
            eprintln!("{done} pictures");
        }
    }
    Ok(report(peers, &judged, unusable))
}

fn judge(peer: usize, entry: &Line, reading: Reading) -> Judged {
    let is_expected = |content: &Vec<u8>| match &entry.expected {
        None => true,
        Some(texts) => texts.iter().any(|text| same::is_same(content, text)),
    };
    let was_read = |text: &String| reading.contents.iter().any(|content| same::is_same(content, text));
    let read = reading.contents.iter().any(is_expected);
    Judged {
        peer,
        set: entry.set.clone(),
        image: entry.image.display().to_string(),
        shows_code: entry.expected.as_ref().is_none_or(|texts| !texts.is_empty()),
        read,
        all: entry.expected.as_ref().map_or(read, |texts| texts.iter().all(was_read)),
        misread: reading
            .contents
            .iter()
            .filter(|content| !is_expected(content))
            .map(|content| String::from_utf8_lossy(content).into_owned())
            .collect(),
        panicked: reading.panicked,
        ms: reading.ms,
    }
}

/// The brightness of a picture, as `pairlight bench` sees it.
fn open(path: &Path) -> anyhow::Result<(Vec<u8>, usize, usize)> {
    let picture = image::open(path).with_context(|| format!("the picture {} cannot be opened", path.display()))?;
    let (width, height) = (picture.width(), picture.height());
    if let image::DynamicImage::ImageLuma8(gray) = picture {
        return Ok((gray.into_raw(), width as usize, height as usize));
    }
    let mut luma = LumaBuffer::new();
    let rgba = picture.to_rgba8();
    let frame = luma.fill(PackedFormat::Rgba, &rgba, width, height, width as usize * 4)?;
    let mut pixels = Vec::new();
    frame.copy_upright_into(&mut pixels);
    Ok((pixels, width as usize, height as usize))
}

/// Averages a picture down so that its longer side is `side` pixels; smaller ones stay.
fn shrink(pixels: Vec<u8>, width: usize, height: usize, side: usize) -> (Vec<u8>, usize, usize) {
    let longer = width.max(height);
    if longer <= side {
        return (pixels, width, height);
    }
    let (to_width, to_height) = ((width * side / longer).max(1) as u32, (height * side / longer).max(1) as u32);
    let Some(gray) = image::GrayImage::from_raw(width as u32, height as u32, pixels) else {
        return (Vec::new(), 0, 0);
    };
    let small = image::imageops::thumbnail(&gray, to_width, to_height);
    (small.into_raw(), to_width as usize, to_height as usize)
}

fn report(peers: &[Peer], judged: &[Judged], unusable_lines: usize) -> PhotoReport {
    let by_peer: Vec<Vec<&Judged>> =
        (0..peers.len()).map(|peer| judged.iter().filter(|one| one.peer == peer).collect()).collect();
    let images = by_peer.first().map_or(0, Vec::len);
    let unit = peers.iter().position(|peer| peer.name == UNIT);
    let any: Vec<bool> = (0..images).map(|i| by_peer.iter().any(|list| list[i].shows_code && list[i].read)).collect();
    let reports = by_peer.iter().zip(peers).map(|(list, peer)| {
        let all = figures(list);
        let slowest = list.iter().max_by(|a, b| a.ms.total_cmp(&b.ms));
        let (mut median_ratio, mut p95_ratio, mut worst_ratio) = (0.0, 0.0, 0.0);
        if let Some(unit) = unit {
            let theirs = &by_peer[unit];
            let ratios = list.iter().zip(theirs).filter(|(one, _)| one.read).map(|(one, unit)| one.ms / unit.ms);
            median_ratio = Times::of(ratios.collect()).median;
            let unit = figures(theirs);
            p95_ratio = round(all.ms.p95 / unit.ms.p95);
            worst_ratio = round(all.ms.worst / unit.ms.worst);
        }
        let mut sets: BTreeMap<String, Vec<&Judged>> = BTreeMap::new();
        for one in list {
            sets.entry(one.set.clone()).or_default().push(one);
        }
        let missed = list.iter().zip(&any).filter(|(one, any)| **any && !one.read);
        PeerReport {
            name: peer.name.to_owned(),
            settings: peer.settings.to_owned(),
            all,
            median_ratio,
            p95_ratio,
            worst_ratio,
            slowest_image: slowest.map(|one| one.image.clone()).unwrap_or_default(),
            sets: sets.into_iter().map(|(name, list)| (name, figures(&list))).collect(),
            missed_alone: missed.map(|(one, _)| one.image.clone()).collect(),
            missed: list.iter().filter(|one| one.shows_code && !one.read).map(|one| one.image.clone()).collect(),
            misread: list
                .iter()
                .flat_map(|one| one.misread.iter().map(|text| (one.image.clone(), text.clone())))
                .collect(),
        }
    });
    PhotoReport {
        unit: UNIT.to_owned(),
        peers: reports.collect(),
        read_by_any: any.iter().filter(|any| **any).count(),
        unusable_lines,
        not_built: crate::peers::missing().iter().map(|(name, why)| ((*name).into(), (*why).into())).collect(),
    }
}

fn figures(list: &[&Judged]) -> Figures {
    let count = |wanted: fn(&Judged) -> bool| list.iter().filter(|one| wanted(one)).count();
    Figures {
        images: list.len(),
        with_code: count(|one| one.shows_code),
        read: count(|one| one.shows_code && one.read),
        read_all: count(|one| one.shows_code && one.all),
        false_reads: list.iter().map(|one| one.misread.len()).sum(),
        panics: count(|one| one.panicked),
        ms: Times::of(list.iter().map(|one| one.ms).collect()),
        ms_of_read: Times::of(list.iter().filter(|one| one.read).map(|one| one.ms).collect()),
    }
}

/// Prints the result for people.
pub(crate) fn print(report: &PhotoReport) {
    println!(
        "{:<12} {:>6} {:>7} {:>7} {:>5} {:>6} {:>8} {:>8} {:>9} {:>7} {:>7} {:>7}",
        "reader", "read", "rate", "all", "false", "panics", "p50 ms", "p95 ms", "worst ms", "p50 x", "p95 x", "worst x"
    );
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    for peer in &report.peers {
        let all = &peer.all;
        println!(
            "{:<12} {:>6} {:>5.1} % {:>5.1} % {:>5} {:>6} {:>8.2} {:>8.1} {:>9.1} {:>7.2} {:>7.2} {:>7.2}",
            peer.name,
            all.read,
            percent(all.read, all.with_code),
            percent(all.read_all, all.with_code),
            all.false_reads,
            all.panics,
            all.ms_of_read.median,
            all.ms.p95,
            all.ms.worst,
            peer.median_ratio,
            peer.p95_ratio,
            peer.worst_ratio
        );
    }
    println!("CPU time of one thread. p50 over the pictures that a reader read, p95 and worst over all pictures;");
    println!("x is against {} (p50 x: the median of the ratios picture by picture).", report.unit);
    println!("read by at least one reader: {}", report.read_by_any);
    println!("\nread per set");
    let Some(first) = report.peers.first() else { return };
    print!("{:<28} {:>5}", "set", "codes");
    report.peers.iter().for_each(|peer| print!(" {:>11}", peer.name));
    println!();
    for (name, figures) in &first.sets {
        print!("{name:<28} {:>5}", figures.with_code);
        for peer in &report.peers {
            print!(" {:>11}", peer.sets.get(name).map_or(0, |figures| figures.read));
        }
        println!();
    }
    for (name, why) in &report.not_built {
        println!("not measured: {name} ({why})");
    }
}
