//! `pairlight link scan`: finds the code, shows who asks, lets the person decide.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use pairlight_core::net::{NetError, Pairing, Primary};
use pairlight_core::pairing::{PrimaryEvent, ReviewModel};
use pairlight_core::trust::{ManagedVerdict, Policy, ScanSource};
use pairlight_wire::id::DeviceId;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::qr::QrPayload;

use super::find;
use super::prompt::Lines;
use super::words::{self, failure};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::profile::{ProfileArgs, Role};
use crate::style::{Voice, printable};

const EXAMPLES: &str = "\
Examples:
  pairlight link scan --camera --relay https://relay.example   look through a webcam
  pairlight link scan --frames shaky.y4m                       a recording of a camera
  pairlight link scan --image code.png                         a picture; counts as weak evidence
  pairlight link scan --paste < code.txt                       a text; counts as weak evidence";

/// `pairlight link scan`
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ScanArgs {
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(flatten)]
    source: Source,
    /// Which evidence a link needs, and what it grants
    #[arg(long, value_enum, default_value_t)]
    policy: Preset,
    /// Approve without asking; only with --policy development
    #[arg(long)]
    yes: bool,
    /// How this device is called in the account, when it is made
    #[arg(long, value_name = "NAME", default_value = "this terminal", value_parser = crate::args::device_name)]
    name: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = false, multiple = false)]
struct Source {
    /// Look through a camera: its number, or a part of its name (the default)
    #[arg(long, value_name = "NAME|N", num_args = 0..=1, default_missing_value = "")]
    camera: Option<String>,
    /// A Y4M recording. It can have been forwarded, so it counts as weak evidence
    #[arg(long, value_name = "FILE.y4m")]
    frames: Option<PathBuf>,
    /// A picture. It can have been forwarded, so it counts as weak evidence
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The text of the code, as the first line of standard input. It counts as weak evidence
    #[arg(long)]
    paste: bool,
}

/// A policy preset by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Preset {
    /// Weak evidence asks twice and gets little at once
    #[default]
    Balanced,
    /// Weak and medium evidence get little
    Strict,
    /// Only strong evidence links
    StrongOnly,
    /// No delays and no refusals; for development
    Development,
}

impl Preset {
    fn policy(self) -> Policy {
        match self {
            Self::Balanced => Policy::BALANCED,
            Self::Strict => Policy::STRICT,
            Self::StrongOnly => Policy::STRONG_ONLY,
            Self::Development => Policy::DEVELOPMENT,
        }
    }
}

pub(super) async fn run(args: &ScanArgs, voice: Voice) -> Result<Exit, Failure> {
    if args.yes && args.policy != Preset::Development {
        let what = "--yes would approve whoever shows a code";
        return Err(Failure::new(Exit::Usage, what, "leave it out, or add --policy development for a test"));
    }
    let (store, client) = args.profile.open(Role::Primary, voice).await?;
    let mut lines = if args.source.paste { Lines::listen_then_terminal() } else { Lines::listen() };
    let interrupt = Interrupt::listen();
    // An account is made for a code, not for a picture without one.
    let is_new = store.run(|store| store.account()).await?.is_none();
    let early = if is_new { Some(find(args, &mut lines, &interrupt, voice).await?) } else { None };
    let primary = Primary::open(store, client, args.policy.policy(), &args.name).await?;
    for mut unfinished in primary.resume().await? {
        voice.note("finishing a link that was interrupted");
        let mut person = Person { args, voice, lines: &mut lines, interrupt: &interrupt };
        match person.follow(&mut unfinished).await {
            Ok(_) => voice.note("it is linked"),
            Err(_) => voice.note("it was given up; nothing of it is linked"),
        }
    }
    let (payload, source) = match early {
        Some(found) => found,
        None => find(args, &mut lines, &interrupt, voice).await?,
    };
    let mut pairing = primary.link(payload, source).await?;
    let mut person = Person { args, voice, lines: &mut lines, interrupt: &interrupt };
    let device = person.follow(&mut pairing).await?;
    let line = if args.json {
        serde_json::json!({ "schema": 1, "linked": true, "device": device.to_hex() }).to_string()
    } else {
        format!("linked {}", device.to_hex())
    };
    writeln!(std::io::stdout(), "{line}").map_err(|error| Failure::from_stdout(&error))?;
    Ok(Exit::Done)
}

async fn find(
    args: &ScanArgs,
    lines: &mut Lines,
    interrupt: &Interrupt,
    voice: Voice,
) -> Result<(QrPayload, ScanSource), Failure> {
    let source = &args.source;
    if source.paste {
        let text = lines.next().await.ok_or_else(|| {
            Failure::new(Exit::Cancelled, "nothing was pasted", "paste the text of the code and press Enter")
        })?;
        return Ok((find::in_text(&text, voice)?, ScanSource::Pasted));
    }
    if let Some(path) = &source.image {
        return Ok((find::in_picture(path, voice)?, ScanSource::Picture));
    }
    if let Some(path) = &source.frames {
        return Ok((find::in_frames(path, voice)?, ScanSource::Picture));
    }
    let selector = source.camera.clone().unwrap_or_default();
    let stop = Arc::new(AtomicBool::new(false));
    let looking = {
        let stop = Arc::clone(&stop);
        tokio::task::spawn_blocking(move || find::through_camera(&selector, &stop, voice))
    };
    let watching = async {
        while !interrupt.is_raised() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        stop.store(true, Ordering::SeqCst);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        found = looking => {
            let found = found.map_err(|_| Failure::new(Exit::Error, "the camera's thread ended", "try another camera"))?;
            Ok((found?, ScanSource::LiveCamera))
        }
        () = watching => Err(Failure::new(Exit::Interrupted, "interrupted", "start again when you like")),
    }
}

/// Whose answers decide.
struct Person<'a> {
    args: &'a ScanArgs,
    voice: Voice,
    lines: &'a mut Lines,
    interrupt: &'a Interrupt,
}

/// A question that is on the screen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Approve,
    ApproveAgain,
}

impl Person<'_> {
    async fn follow(&mut self, pairing: &mut Pairing) -> Result<DeviceId, Failure> {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let (mut asked, mut not_before, mut cancelling) = (None, Instant::now(), false);
        let (mut asked_at, mut told_of_second, mut pause_ms) = (Instant::now(), false, None);
        loop {
            tokio::select! {
                event = pairing.next_event() => {
                    let event = event.ok_or_else(|| Failure::new(Exit::Error, "the link ended without a word", "start again"))?;
                    match event {
                        PrimaryEvent::Linked(device) => return Ok(device),
                        PrimaryEvent::Failed(_) if self.interrupt.is_raised() => {
                            return Err(Failure::new(Exit::Interrupted, "interrupted", "nothing was linked"));
                        }
                        PrimaryEvent::Failed(EndReason::Declined) => {
                            let remedy = "nothing was linked; scan again if that was not meant";
                            return Err(Failure::new(Exit::Cancelled, "the link was declined here", remedy));
                        }
                        PrimaryEvent::Failed(reason) => return Err(failure(reason, pause_ms)),
                        PrimaryEvent::TooManyAttempts { retry_after_ms } => pause_ms = Some(retry_after_ms),
                        PrimaryEvent::Review(model) => {
                            asked_at = Instant::now();
                            self.review(&model);
                            not_before = Instant::now() + Duration::from_millis(model.hold_ms);
                            asked = self.ask(pairing, Asked::Approve, model.hold_ms).await?;
                        }
                        PrimaryEvent::ApproveAgain { hold_ms } => {
                            asked_at = Instant::now();
                            self.voice.caution("nothing proves that the other device is near you; somebody may be deceiving you");
                            not_before = Instant::now() + Duration::from_millis(hold_ms);
                            asked = self.ask(pairing, Asked::ApproveAgain, hold_ms).await?;
                        }
                        PrimaryEvent::ShowCheckCode(code) => {
                            self.say(&format!("\nType these digits on the other device:   {}\n", code.to_display()));
                        }
                        PrimaryEvent::CheckCodeConfirmed { .. } => self.voice.note("typed right"),
                        PrimaryEvent::EvidenceChecked { bit, finding } => self.voice.note(words::finding(bit, &finding)),
                        PrimaryEvent::AskedForEvidence(bits) => {
                            let names: Vec<_> = bits.into_iter().map(words::evidence).collect();
                            self.voice.note(format_args!("asked the other device for: {}", names.join(", ")));
                        }
                        // This program registers no attestation, so it is never asked to judge one.
                        PrimaryEvent::JudgeManaged(_) => pairing.judge_managed(ManagedVerdict::NotAttested).await?,
                        PrimaryEvent::EvidenceMissing { help, .. } => {
                            self.voice.warn("the policy refuses this link with the evidence there is; any of these would help:");
                            for help in help {
                                self.voice.note(help.text());
                            }
                        }
                        PrimaryEvent::Certified => self.voice.note("certified"),
                        PrimaryEvent::Accepted => self.voice.note("accepted by the other device; publishing the list"),
                        PrimaryEvent::SecondScanner if told_of_second => {}
                        PrimaryEvent::SecondScanner => {
                            told_of_second = true;
                            self.voice.caution("somebody else tried to scan the same code and was refused");
                        }
                    }
                }
                line = self.lines.answer(asked_at), if asked.is_some() => match (line, asked) {
                    (Some(line), Some(question)) if is_yes(&line) => {
                        let wait = not_before.saturating_duration_since(Instant::now());
                        if wait > Duration::ZERO {
                            self.voice.warn(format_args!("take {} s more to think about it, then answer again", wait.as_secs() + 1));
                        } else {
                            asked = None;
                            match self.approve(pairing, question).await {
                                // The clock was set back meanwhile: the core counts the time anew.
                                Err(NetError::TooEarly(_)) => {
                                    asked = Some(question);
                                    self.voice.warn("this came too early; answer again in some seconds");
                                }
                                done => done?,
                            }
                        }
                    }
                    // Anything but yes, and the end of the input, is no.
                    (line, _) => {
                        asked = None;
                        if line.is_none() {
                            self.voice.caution("nobody is there to answer: the input has ended and there is no terminal");
                        }
                        pairing.decline().await?;
                    }
                },
                _ = tick.tick() => {
                    if self.interrupt.is_raised() && !cancelling {
                        cancelling = true;
                        pairing.cancel().await?;
                    }
                }
            }
        }
    }

    async fn ask(&self, pairing: &Pairing, question: Asked, hold_ms: u64) -> Result<Option<Asked>, Failure> {
        if self.args.yes {
            // Nobody thinks, but an approval counts only after the time to do so.
            tokio::time::sleep(Duration::from_millis(hold_ms)).await;
            self.approve(pairing, question).await?;
            return Ok(None);
        }
        let hold =
            if hold_ms == 0 { String::new() } else { format!(" (yes counts after {} s)", hold_ms.div_ceil(1000)) };
        self.say(&format!("Link this device? It can read and write as you.{hold} [y/N]"));
        Ok(Some(question))
    }

    async fn approve(&self, pairing: &Pairing, question: Asked) -> Result<(), NetError> {
        match question {
            Asked::Approve => pairing.approve().await,
            Asked::ApproveAgain => pairing.approve_again().await,
        }
    }

    fn review(&self, model: &ReviewModel) {
        let origin = model.origin.as_deref().unwrap_or(if model.in_browser { "a web page" } else { "a program" });
        self.say(&format!(
            "\nA device wants to be linked\n  name     {}\n  program  {} on {}\n  shown by {origin}\n  place    {}\n  evidence {} so far",
            model.device_name,
            model.app,
            model.os,
            model.place.as_deref().unwrap_or("not known"),
            model.grade_so_far.text(),
        ));
        if let Some(name) = &model.returning {
            self.say(&format!("  returns  as \"{name}\", whose lease has lapsed"));
        }
        for warning in &model.warnings {
            self.voice.caution(warning.text());
        }
        for help in &model.help {
            self.voice.note(help.text());
        }
    }

    fn say(&self, text: &str) {
        drop(writeln!(std::io::stderr(), "{}", printable(text)));
    }
}

fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
