//! `pairlight link show`: draws codes until a primary device scans one, asks for the check code, joins the account.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use pairlight_core::net::{LinkedDevice, Linking};
use pairlight_core::pairing::{CodeMatrix, DeviceDescription, LinkedAccount, LinkedEvent, QUIET_ZONE};
use pairlight_wire::offer::ClientKind;
use pairlight_wire::standing::Standing;

use super::draw::{columns, draw, write_png};
use super::prompt::Lines;
use super::words::failure;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::profile::{ProfileArgs, Role};
use crate::style::Voice;

/// The phone has this long before the person here hears that it is still waited for.
const PATIENCE: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "\
Examples:
  pairlight link show --relay https://relay.example     the first time
  pairlight link show --name \"Kim's laptop\"            how the phone shows this device
  pairlight link show --qr-out code.png                 also as a picture, for another screen";

/// `pairlight link show`
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    profile: ProfileArgs,
    /// How this device calls itself on the primary device's screen
    #[arg(long, value_name = "NAME", value_parser = crate::args::device_name)]
    name: Option<String>,
    /// Also write the current code as a picture that only you can read, for another screen; removed at the end
    #[arg(long, value_name = "FILE.png")]
    qr_out: Option<PathBuf>,
    /// Overwrite the file of --qr-out if it exists
    #[arg(long, requires = "qr_out")]
    force: bool,
    /// Link this profile anew although it is linked. One that is locked or quarantined comes back as the device that it was;
    /// any other becomes another device, in the place of the old one
    #[arg(long)]
    replace: bool,
    /// Also print the text of each code on standard output. It is a secret: whoever has it can answer the code
    #[arg(long)]
    text: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &ShowArgs, voice: Voice) -> Result<Exit, Failure> {
    if let Some(path) = args.qr_out.as_ref().filter(|path| path.exists() && !args.force) {
        let what = format!("{} exists", path.display());
        return Err(Failure::new(Exit::Error, what, "name another file with --qr-out, or add --force"));
    }
    let interrupt = Interrupt::listen();
    let (store, client) = args.profile.open_patiently(Role::Linked, voice, &interrupt).await?;
    let device = LinkedDevice::open(store, client).await?;
    if device.account().await?.is_some() && !args.replace {
        let remedy = "add --replace to link it anew, or name another folder with --profile";
        return Err(Failure::new(Exit::Error, "this profile is linked already", remedy));
    }
    let on_terminal = std::io::stderr().is_terminal();
    let mut screen = Screen { args, voice, on_terminal, expires: None, drew: false, waits_since: None };
    let mut lines = Lines::listen();
    if let Some(mut unfinished) = device.resume().await? {
        voice.note("finishing a link that was interrupted");
        match screen.follow(&mut unfinished, &mut lines, &interrupt).await {
            Ok(account) => return screen.linked(&account),
            // Still pending: the list could not be seen, so the account may hold this device. A new link would forget it.
            Err(failure) if device.resume().await?.is_some() => return Err(failure),
            Err(_) => voice.note("it was not completed, and nothing of it is linked; here is a new code"),
        }
    }
    if !on_terminal && args.qr_out.is_none() && !args.text {
        let what = "there is nothing to show the code on: standard error is no terminal";
        return Err(Failure::new(
            Exit::Usage,
            what,
            "write it to a picture with --qr-out, or print its text with --text",
        ));
    }
    let description = DeviceDescription {
        name: args.name.clone().unwrap_or_else(host_name),
        os: std::env::consts::OS.into(),
        app: "pairlight terminal".into(),
        kind: ClientKind::Native,
    };
    let mut linking = match device.standing().await? {
        // As the device that it was: with its name, its place in the list and its records.
        Some(known) if known.locked || known.standing == Standing::Quarantined => device.relink(description).await?,
        _ => device.link(description),
    };
    let account = screen.follow(&mut linking, &mut lines, &interrupt).await?;
    screen.linked(&account)
}

/// The name of this machine, for the primary device's screen.
fn host_name() -> String {
    let read = |path: &str| std::fs::read_to_string(path).ok().map(|name| name.trim().to_owned());
    let name = std::env::var("HOSTNAME").ok().or_else(|| read("/etc/hostname")).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "a terminal".into())
}

impl Drop for Screen<'_> {
    /// A code is a secret while it lives, and litter afterwards.
    fn drop(&mut self) {
        self.end_count_down();
        if let Some(path) = self.args.qr_out.as_ref().filter(|_| self.drew) {
            drop(std::fs::remove_file(path));
        }
    }
}

struct Screen<'a> {
    args: &'a ShowArgs,
    voice: Voice,
    on_terminal: bool,
    expires: Option<Instant>,
    /// Whether the file of `--qr-out` is ours.
    drew: bool,
    /// The last word about a phone that lets us wait.
    waits_since: Option<Instant>,
}

impl Screen<'_> {
    async fn follow(
        &mut self,
        linking: &mut Linking,
        lines: &mut Lines,
        interrupt: &Interrupt,
    ) -> Result<Box<LinkedAccount>, Failure> {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let (mut asking, mut cancelling, mut input_open) = (false, false, true);
        let (mut paused, mut asked_at, mut pause_ms) = (false, Instant::now(), None);
        loop {
            tokio::select! {
                event = linking.next_event() => {
                    let event = event.ok_or_else(|| Failure::new(Exit::Error, "the link ended without a word", "start again"))?;
                    match event {
                        LinkedEvent::Linked(account) => return Ok(account),
                        LinkedEvent::Failed(_) if interrupt.is_raised() => {
                            return Err(Failure::new(Exit::Interrupted, "interrupted", "start again when you like; nothing was linked"));
                        }
                        LinkedEvent::Failed(reason) => return Err(failure(reason, pause_ms)),
                        LinkedEvent::TooManyAttempts { retry_after_ms } => pause_ms = Some(retry_after_ms),
                        other => {
                            // Before the question is on the screen: an answer to it cannot be older.
                            asked_at = Instant::now();
                            paused = matches!(other, LinkedEvent::Paused);
                            asking = self.on_event(other, asking)?;
                        }
                    }
                }
                line = lines.answer(asked_at), if input_open => match line {
                    None => {
                        input_open = false;
                        // Nobody is left who could type the code.
                        if asking {
                            linking.cancel().await?;
                        }
                    }
                    Some(line) if asking => linking.enter_check_code(line.trim()).await?,
                    // Enter on the pause screen asks for a new code.
                    Some(_) => linking.show_again().await?,
                },
                _ = tick.tick() => {
                    if interrupt.is_raised() && !cancelling {
                        cancelling = true;
                        linking.cancel().await?;
                    }
                    self.count_down();
                    if self.waits_since.is_some_and(|since| since.elapsed() > PATIENCE) {
                        self.waits_since = Some(Instant::now());
                        self.voice.note("the phone has not finished yet; this ends by itself, after ten minutes at the latest");
                    }
                }
            }
            if paused && !input_open {
                let remedy = "start again when the phone is at hand";
                return Err(Failure::new(Exit::TimedOut, "nobody scanned the code for five minutes", remedy));
            }
            if asking && !input_open && !cancelling {
                cancelling = true;
                linking.cancel().await?;
            }
        }
    }

    /// Shows an event; tells whether the check code is being asked for.
    fn on_event(&mut self, event: LinkedEvent, asking: bool) -> Result<bool, Failure> {
        if !matches!(event, LinkedEvent::ShowCode { .. }) {
            self.end_count_down();
        }
        match event {
            LinkedEvent::ShowCode { text, shown_ms } => self.show(&text, shown_ms)?,
            LinkedEvent::Paused => self.voice.note("no code is shown any more; press Enter for a new one"),
            LinkedEvent::Reconnecting { after_ms } => {
                self.voice.warn(format_args!("the relay cannot be reached; trying again in {} s", after_ms / 1000));
            }
            LinkedEvent::Claimed => self.voice.note("phone connected, confirm there"),
            LinkedEvent::EnterCheckCode => {
                self.ask("Type the six digits that the phone shows: ");
                return Ok(true);
            }
            LinkedEvent::WrongCheckCode { tries_left } => {
                let left = match tries_left {
                    0 => "that was the last try",
                    1 => "one try left",
                    2 => "two tries left",
                    _ => "three tries left",
                };
                self.voice.warn(format_args!("these are not the six digits that the phone shows; {left}"));
                if tries_left > 0 {
                    self.ask("Type the six digits that the phone shows: ");
                }
                return Ok(tries_left > 0);
            }
            LinkedEvent::CheckCodeAccepted => {
                self.voice.note("right; the phone decides now");
                self.waits_since = Some(Instant::now());
                return Ok(false);
            }
            LinkedEvent::SecondScanner => self.voice.warn("somebody else tried to scan the code and was refused"),
            // A terminal has neither passkeys nor attestations, and says so before it is asked.
            LinkedEvent::EvidenceWanted(_)
            | LinkedEvent::TooManyAttempts { .. }
            | LinkedEvent::Linked(_)
            | LinkedEvent::Failed(_) => {}
        }
        Ok(asking)
    }

    fn show(&mut self, text: &str, shown_ms: u64) -> Result<(), Failure> {
        let code =
            CodeMatrix::draw(text).map_err(|error| Failure::new(Exit::Error, error.to_string(), "report this"))?;
        if let Some(path) = &self.args.qr_out {
            write_png(&code, path).map_err(|error| {
                let what = format!("cannot write {}: {error}", path.display());
                Failure::new(Exit::Error, what, "choose another file for --qr-out")
            })?;
            self.drew = true;
        }
        if self.args.text {
            writeln!(std::io::stdout(), "{text}").map_err(|error| Failure::from_stdout(&error))?;
        }
        self.expires = Some(Instant::now() + Duration::from_millis(shown_ms));
        if self.on_terminal {
            let color = self.voice.has_color();
            let home = if color { "\x1b[2J\x1b[H" } else { "" };
            let needed = code.size() + 2 * QUIET_ZONE;
            if let Some(columns) = columns().filter(|&columns| columns < needed) {
                // Wrapped lines are no code: nothing could read them.
                self.voice.warn(format_args!(
                    "the window has {columns} columns and the code needs {needed}: widen it and wait for the next code, \
                     or write it to a picture with --qr-out"
                ));
                return Ok(());
            }
            let drawing = draw(&code, color);
            drop(writeln!(
                std::io::stderr(),
                "{home}{drawing}Scan this code with the phone: its app, \"Link a device\"."
            ));
            if !color {
                self.voice.note("without colours this code is right on a dark terminal only");
            }
        } else {
            let place = match &self.args.qr_out {
                Some(path) => format!("in {}", path.display()),
                None => "on standard output".into(),
            };
            self.voice.note(format_args!("a code is shown {place}, good for {} s", shown_ms / 1000));
        }
        Ok(())
    }

    fn count_down(&self) {
        if let Some(left) =
            self.expires.filter(|_| self.on_terminal).map(|at| at.saturating_duration_since(Instant::now()))
        {
            drop(write!(std::io::stderr(), "\rA new code in {:>2} s ", left.as_secs() + 1));
        }
    }

    fn end_count_down(&mut self) {
        if self.expires.take().is_some() && self.on_terminal {
            drop(write!(std::io::stderr(), "\r                     \r"));
        }
    }

    fn ask(&self, question: &str) {
        drop(write!(std::io::stderr(), "{question}"));
        drop(std::io::stderr().flush());
        if !self.on_terminal {
            drop(writeln!(std::io::stderr()));
        }
    }

    fn linked(&self, account: &LinkedAccount) -> Result<Exit, Failure> {
        let (device, account) = (account.device_id().to_hex(), account.id().to_hex());
        self.voice.note("linked");
        let line = if self.args.json {
            serde_json::json!({ "schema": 1, "linked": true, "device": device, "account": account }).to_string()
        } else {
            format!("linked as {device} to account {account}")
        };
        writeln!(std::io::stdout(), "{line}").map_err(|error| Failure::from_stdout(&error))?;
        Ok(Exit::Done)
    }
}
