//! `pairlight demo`: the product's main job on one machine, told as it happens.
//!
//! Everything is real: a relay on a free loopback port, a linked device and a primary device with a sealed store each,
//! and a camera that looks at the code. Without a webcam the camera is the lens, which draws what a phone would see.

mod acts;
mod attack;
mod eye;
mod records;
mod timeline;

use std::path::PathBuf;

use clap::Args;

use crate::exit::{Exit, Failure};
use crate::link::block_on;

use self::acts::Stage;
use self::timeline::Timeline;

const EXAMPLES: &str = "\
Examples:
  pairlight demo                        both devices and the relay on this machine, a simulated camera
  pairlight demo --camera 0             hold your webcam in front of this screen
  pairlight demo --out story            leave the frames and the timeline in story/
  pairlight demo --attack list          attacks that can be played, and where each stops";

/// Link two devices on this machine and tell the story, with the time of each step
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// Look through a real camera, by number or a part of its name, at the code on this screen
    #[arg(long, value_name = "NAME|N")]
    pub(crate) camera: Option<String>,
    /// Where to leave the last frames and the timeline; made if it is missing
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    pub(crate) out: PathBuf,
    /// Seed of the simulated hand and sensor
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Play an attack instead, and show what the person sees and where it stops; "list" names them
    #[arg(long, value_name = "NAME", conflicts_with = "camera")]
    pub(crate) attack: Option<String>,
}

/// Runs the story to its end.
pub(crate) fn run(args: &DemoArgs) -> Result<Exit, Failure> {
    if let Some(name) = &args.attack {
        return attack::run(name, &Timeline::new());
    }
    std::fs::create_dir_all(&args.out).map_err(|error| {
        let what = format!("cannot make the folder {}: {error}", args.out.display());
        Failure::new(Exit::Error, what, "name another folder with --out")
    })?;
    let timeline = Timeline::new();
    let told = block_on(async {
        let mut stage = Stage::set(args, timeline.clone()).await?;
        tokio::select! {
            told = stage.play() => told,
            // The stage is taken down in order: its stores and keys lie in a temporary folder.
            _ = tokio::signal::ctrl_c() => {
                Err(Failure::new(Exit::Interrupted, "interrupted", "start the demo again when you like"))
            }
        }
    });
    // The timeline is left also when the story broke off: that is when it is needed.
    timeline.write(&args.out).map_err(|error| {
        let what = format!("cannot write the timeline to {}: {error}", args.out.display());
        Failure::new(Exit::Error, what, "make room there, or name another folder with --out")
    })?;
    told?;
    timeline.say(&format!("\nThe last frames and the timeline are in {}/", args.out.display()))?;
    Ok(Exit::Done)
}
