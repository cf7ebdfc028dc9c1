//! `pairlight-lens`: pictures and videos of a QR code on a screen, as a phone would take them.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use pairlight_lens::{
    Chroma, Condition, Frame, Lens, LensError, Matrix, SEEDS_PER_SITUATION, SEQUENCE_FPS, SEQUENCE_FRAMES, Sequence,
    Situation, Y4mWriter, contact_sheet, hand_held, linking_text,
};

/// Draws what a phone camera sees of a QR code on a screen.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take one picture (PNG, or JPEG if the file's name says so)
    Shoot {
        #[command(flatten)]
        shot: Shot,
        /// File to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Film a hand-held sequence (YUV4MPEG2)
    Sequence {
        #[command(flatten)]
        shot: Shot,
        /// Number of frames
        #[arg(long, default_value_t = 60)]
        frames: usize,
        /// Frames per second
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
        fps: u32,
        /// Brightness alone, without colours
        #[arg(long)]
        mono: bool,
        /// File to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Film every situation with every seed: one YUV4MPEG2 file each (brightness alone) and a manifest
    Sequences {
        /// Folder to write into; about 5.9 GB
        #[arg(long)]
        out: PathBuf,
        /// Only this situation
        #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Situation::ALL.map(Situation::name)))]
        situation: Option<String>,
    },
    /// Draw all conditions on one sheet
    ContactSheet {
        /// Content of the code
        #[arg(long, default_value = SAMPLE)]
        text: String,
        /// Seed of all randomness
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// File to write
        #[arg(long)]
        out: PathBuf,
    },
}

/// As long as the content of a linking code.
const SAMPLE: &str = "PAIRLIGHT:1:9F3KQ7X2M4ZC8V6B1N5T0HJWRDYPLSGAEU-CONTACT-SHEET-NOT-A-REAL-OFFER-0123456789";

#[derive(Args)]
struct Shot {
    /// Content of the code
    #[arg(long)]
    text: String,
    /// What makes the shot hard
    #[arg(long, default_value = "nominal", value_parser = clap::builder::PossibleValuesParser::new(Condition::ALL.map(Condition::name)))]
    condition: String,
    /// Seed of all randomness
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pairlight-lens: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(inner) = cause {
                eprintln!("  because: {inner}");
                cause = inner.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), LensError> {
    match command {
        Command::Shoot { shot, out } => {
            let condition = shot.condition();
            let lens = Lens::new(&condition.scene(Matrix::from_text(&shot.text)?))?;
            save(&lens.shoot(&condition.view(shot.seed))?, &out)
        }
        Command::Sequence { shot, frames, fps, mono, out } => {
            let condition = shot.condition();
            let scene = condition.scene(Matrix::from_text(&shot.text)?);
            let view = condition.view(shot.seed);
            let chroma = if mono { Chroma::Mono } else { Chroma::Yuv420Jpeg };
            let file = BufWriter::new(File::create(out)?);
            let mut video = Y4mWriter::new(file, view.width, view.height, fps, chroma)?;
            for frame in hand_held(|_| scene.clone(), view, frames, fps as f32, shot.seed) {
                video.write(&frame?)?;
            }
            video.finish().map(drop)
        }
        Command::Sequences { out, situation } => film_all(&out, situation.as_deref()),
        Command::ContactSheet { text, seed, out } => {
            save(&contact_sheet(&Matrix::from_text(&text)?, seed, 4, 480)?, &out)
        }
    }
}

/// Writes NAME.y4m for each sequence, and `sequences.jsonl` with the text of each frame's code.
fn film_all(folder: &Path, only: Option<&str>) -> Result<(), LensError> {
    std::fs::create_dir_all(folder)?;
    let mut manifest = BufWriter::new(File::create(folder.join("sequences.jsonl"))?);
    for situation in Situation::ALL.into_iter().filter(|situation| only.is_none_or(|only| only == situation.name())) {
        for seed in 0..SEEDS_PER_SITUATION {
            let mut sequence = Sequence::new(situation, seed, |n| linking_text(seed, n))?;
            let name = format!("{}.y4m", sequence.name());
            let file = BufWriter::new(File::create(folder.join(&name))?);
            let size = sequence.view(0);
            let mut video = Y4mWriter::new(file, size.width, size.height, SEQUENCE_FPS, Chroma::Mono)?;
            let codes: Vec<usize> = (0..SEQUENCE_FRAMES).map(|index| sequence.code_in(index)).collect();
            for frame in sequence.by_ref() {
                video.write(&frame?)?;
            }
            video.finish()?;
            let texts = codes.iter().map(|code| format!("\"{}\"", linking_text(seed, *code)));
            let texts = texts.collect::<Vec<_>>().join(",");
            let situation = situation.name();
            writeln!(
                manifest,
                "{{\"video\":\"{name}\",\"situation\":\"{situation}\",\"seed\":{seed},\"texts\":[{texts}]}}"
            )?;
        }
    }
    Ok(manifest.flush()?)
}

impl Shot {
    fn condition(&self) -> Condition {
        // clap admits only names of conditions.
        Condition::from_name(&self.condition).unwrap_or(Condition::Nominal)
    }
}

fn save(frame: &Frame, path: &Path) -> Result<(), LensError> {
    let mut file = BufWriter::new(File::create(path)?);
    let jpeg = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("jpg") || end.eq_ignore_ascii_case("jpeg"));
    if jpeg {
        frame.write_jpeg(&mut file, 82)?
    } else {
        frame.write_png(&mut file)?
    }
    Ok(file.flush()?)
}
