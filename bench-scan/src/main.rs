//! `bench-scan`: Pairlight's scanner beside other readers, over the same luma planes in the same process.

// Shared with `pairlight bench`, so that both judge and measure alike.
#[path = "../../scanner-cli/src/bench/clock.rs"]
mod clock;
#[path = "../../scanner-cli/src/bench/same.rs"]
mod same;
#[path = "../../scanner-cli/src/bench/sequences.rs"]
mod sequences;
#[path = "../../scanner-cli/src/bench/textures.rs"]
mod textures;

mod chart;
mod numbers;
mod peers;
mod photos;
mod watch;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Parser, Subcommand};
use serde::Serialize;

/// Measure QR readers side by side: one process, one thread, the same pictures in memory, thread CPU time.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Still pictures with known contents
    Photos {
        /// The manifest, as `pairlight bench` takes it: one JSON object per line
        manifest: PathBuf,
        /// Only these readers, separated by commas
        #[arg(long, value_delimiter = ',')]
        peers: Vec<String>,
        /// Only pictures of this set
        #[arg(long)]
        set: Option<String>,
        /// Stop after this many pictures
        #[arg(long)]
        limit: Option<usize>,
        /// Average pictures down to this longer side first, as a phone's preview is
        #[arg(long, value_name = "PIXELS")]
        shrink_to: Option<usize>,
        /// Write NAME.json and NAME.svg into this folder
        #[arg(long)]
        out: Option<PathBuf>,
        /// NAME of those files
        #[arg(long, default_value = "photos")]
        name: String,
    },
    /// Camera streams of the lens, frame by frame: ours (live) and zxing-cpp
    Sequences {
        /// Only this situation
        #[arg(long)]
        situation: Option<String>,
        /// So many seeds of each situation
        #[arg(long, default_value_t = 5)]
        seeds: u64,
        /// Keep the rendered frames in this folder, and take them from there the next time
        #[arg(long)]
        frames: Option<PathBuf>,
        /// Write sequences.json and sequences.svg into this folder
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Pictures without a code: what does ours make up?
    Textures {
        /// How many
        #[arg(long, default_value_t = 10_000)]
        count: u64,
    },
    /// Some frames of a sequence as pictures
    Show {
        /// The situation
        situation: String,
        /// Its seed
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Folder to write into
        #[arg(long)]
        out: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    peers::silence_contained_panics();
    match Cli::parse().command {
        Command::Photos { manifest, peers, set, limit, shrink_to, out, name } => {
            let mut chosen = peers::all();
            if !peers.is_empty() {
                chosen.retain(|peer| peers.iter().any(|wanted| wanted == peer.name));
            }
            let choice = photos::Choice { set: set.as_deref(), limit, shrink_to };
            let report = photos::run(&manifest, &chosen, &choice)?;
            photos::print(&report);
            if let Some(out) = out {
                save(&out, &name, &report)?;
                chart::photos(&out.join(format!("{name}.svg")), &report)?;
            }
        }
        Command::Sequences { situation, seeds, frames, out } => {
            let report = watch::run(situation.as_deref(), seeds, frames.as_deref())?;
            watch::print(&report)?;
            if let Some(out) = out {
                save(&out, "sequences", &report)?;
                chart::sequences(&out.join("sequences.svg"), &report)?;
            }
        }
        Command::Textures { count } => _ = textures::run(&mut std::io::stdout().lock(), count, false)?,
        Command::Show { situation, seed, out } => watch::show(&out, &situation, seed)?,
    }
    Ok(())
}

fn save(folder: &Path, name: &str, report: &impl Serialize) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let path = folder.join(format!("{name}.json"));
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
}
