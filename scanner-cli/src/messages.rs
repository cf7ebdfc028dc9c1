//! `pairlight messages`: the conversations of this profile, read and written as any device of the account does.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use pairlight_core::net::{
    ConnectionEvent, Lapse, LinkedDevice, Primary, SharedStore, Sync, SyncUpdate, SyncUpdates, system_rng, system_time,
};
use pairlight_core::store::Cursor;
use pairlight_core::sync::messages::{self, ConversationInfo, Message};
use pairlight_core::sync::{Change, HistoryProgress, HistoryStanding, Replica, SyncRole, Turn};
use pairlight_wire::id::to_hex;
use rand_core::Rng;

use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::link::{Lines, block_on};
use crate::made_up::made_up;
use crate::profile::{ProfileArgs, standing_policy};
use crate::style::{Voice, printable};

pub(crate) mod files;
mod history;
pub(crate) mod news;
mod show;

use show::{clock, list, print, say_progress};
pub(crate) use show::{line, progress_words};

const EXAMPLES: &str = "\
Examples:
  pairlight messages                                 the conversations of this device
  pairlight messages show Kim                        the latest messages of one
  pairlight messages send Kim \"see you at eight\"     to all devices of the account; offline too
  pairlight messages attach Kim photo.jpg            a message with a file
  pairlight messages follow --format ndjson          stay online, print what arrives, until Ctrl-C
  pairlight messages follow Kim                      the same, and send each line that is typed
  pairlight messages search eight                    on this device alone; nobody else learns the word
  pairlight messages seed 1000                       a made-up history, to try a link with";

/// Messages of a history that are printed as they come, at most in one piece.
const FEW: usize = 64;
/// How long nothing comes once everything is here that waited at the relay.
const SETTLED: Duration = Duration::from_secs(1);
/// How long a sent message may take to reach the relay before it is left for the next time.
const SEND_PATIENCE: Duration = Duration::from_secs(10);

/// Read, send, follow and search messages
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct MessagesArgs {
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(subcommand)]
    command: Option<MessagesCommand>,
}

/// What is printed on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people; what could steer a terminal is escaped
    #[default]
    Text,
    /// One JSON object per line
    Ndjson,
}

#[derive(Debug, Subcommand)]
enum MessagesCommand {
    /// List the conversations, the latest first (the default)
    #[command(before_help = "Examples:\n  pairlight messages list --format ndjson")]
    List {
        /// What to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Print the latest messages of a conversation, oldest first
    #[command(before_help = "Examples:\n  pairlight messages show Kim\n  pairlight messages show Kim -n 500")]
    Show {
        /// Its title, or the beginning of its id
        conversation: String,
        /// How many
        #[arg(long, short = 'n', default_value_t = 50)]
        count: usize,
        /// What to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Write a message; a title that is not known begins a conversation
    #[command(before_help = "Examples:\n  pairlight messages send Kim \"see you at eight\"")]
    Send {
        /// Its title, or the beginning of its id
        conversation: String,
        /// What it says
        text: String,
    },
    /// Write a message with files; each other device fetches them when they are wanted there
    #[command(
        before_help = "Examples:\n  pairlight messages attach Kim photo.jpg\n  pairlight messages attach Kim *.pdf --text \"the papers\""
    )]
    Attach {
        /// Its title, or the beginning of its id
        conversation: String,
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// What the message says
        #[arg(long, default_value = "")]
        text: String,
    },
    /// List the files of all messages, newest first: hash, time, size, whether it is here, name
    #[command(before_help = "Examples:\n  pairlight messages files --format ndjson")]
    Files {
        /// What to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Write a file of a message out; fetched from another device if it is not here
    #[command(before_help = "Examples:\n  pairlight messages save 3fa9c1 --out photo.jpg")]
    Save {
        /// Its hash, or the beginning of it
        file: String,
        /// Where to; by default its name, in this folder
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Overwrite what is there
        #[arg(long)]
        force: bool,
    },
    /// Stay online: print messages and the progress of the history as they come
    #[command(before_help = "Examples:\n  pairlight messages follow --format ndjson\n  pairlight messages follow Kim")]
    Follow {
        /// Send each line of standard input to this conversation
        conversation: Option<String>,
        /// What to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Leave when the history is complete, what waited at the relay is here, and every device has what was written here
        #[arg(long)]
        once: bool,
    },
    /// Find messages that contain a text, newest first
    #[command(before_help = "Examples:\n  pairlight messages search eight")]
    Search {
        /// The text, in any case
        text: String,
        /// At most so many
        #[arg(long, short = 'n', default_value_t = 50)]
        count: usize,
        /// What to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Write a made-up history of this many messages
    #[command(before_help = "Examples:\n  pairlight messages seed 1000")]
    Seed {
        /// How many
        #[arg(value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
        count: u32,
    },
    /// How the transfer of history is doing, as the store has it
    #[command(before_help = "Examples:\n  pairlight messages status")]
    Status,
    /// Ask the primary device for messages of a conversation that are older than those that are here
    #[command(before_help = "Examples:\n  pairlight messages older Kim\n  pairlight messages older Kim -n 500")]
    Older {
        /// Its title, or the beginning of its id
        conversation: String,
        /// At most so many
        #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=512))]
        count: u16,
        /// What to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Stop the transfer of history; what came stays
    #[command(before_help = "Examples:\n  pairlight messages cancel")]
    Cancel,
    /// Begin the transfer of history again, after a stop or a failure; no new link is needed
    #[command(before_help = "Examples:\n  pairlight messages retry")]
    Retry,
    /// Check every record, drop what is damaged, and get it from the other devices again
    #[command(before_help = "Examples:\n  pairlight messages repair")]
    Repair,
}

pub(crate) fn new_id() -> [u8; 16] {
    let mut id = [0; 16];
    system_rng().fill_bytes(&mut id);
    id
}

/// Who this profile is.
pub(crate) enum Own {
    Primary,
    Linked,
}

pub(crate) async fn who(store: &SharedStore) -> Result<(Own, Replica), Failure> {
    if let Some(account) = store.run(|store| store.linked_account()).await? {
        if !account.is_committed() {
            return Err(pending_link());
        }
        let replica = Replica::new(account.device_id(), SyncRole::Linked);
        return Ok((Own::Linked, replica));
    }
    match store.run(|store| store.account()).await? {
        Some(account) => {
            let replica = Replica::new(account.device_id(), SyncRole::Primary(standing_policy()));
            Ok((Own::Primary, replica))
        }
        None => {
            let remedy = "link it with `pairlight link show`, or make an account with `pairlight link scan`";
            Err(Failure::new(Exit::Error, "this profile is not linked and has no account", remedy))
        }
    }
}

/// Fails when time has ended the permission of this profile: a device that never goes online must not outlive it.
pub(crate) async fn permitted(store: &SharedStore) -> Result<(), Failure> {
    match LinkedDevice::lapse(store, system_time()).await? {
        None => Ok(()),
        Some(Lapse::Locked(since)) => {
            let since = clock(since.unix_ms());
            let what = format!("this device is locked since {since} UTC: its permission was not renewed in time");
            Err(Failure::new(Exit::Error, what, "link it again with `pairlight link show --replace`"))
        }
        Some(Lapse::Erased) => {
            let what = "this device was not renewed for 90 days, so its keys and data were erased";
            Err(Failure::new(Exit::Error, what, "link it again with `pairlight link show`"))
        }
    }
}

/// The profile holds a link that was interrupted before the account's list was seen to hold it.
pub(crate) fn pending_link() -> Failure {
    let what = "a link of this profile waits to be completed";
    Failure::new(Exit::Error, what, "`pairlight link show` completes it, or says that nothing of it is left")
}

pub(crate) fn run(args: &MessagesArgs, voice: Voice) -> Result<Exit, Failure> {
    block_on(async {
        let role = args.profile.likely_role();
        let store = args.profile.open_existing(role)?;
        permitted(&store).await?;
        let command = args.command.as_ref().unwrap_or(&MessagesCommand::List { format: Format::Text });
        match command {
            MessagesCommand::List { format } => list(&conversations(&store).await?, *format),
            MessagesCommand::Show { conversation, count, format } => {
                let all = conversations(&store).await?;
                let chosen = find(&all, conversation)?;
                let (id, count) = (chosen.id.clone(), *count);
                let page = store.run(move |store| Ok(messages::messages(store, &id, Cursor::NEWEST, count))).await??;
                page.iter().rev().try_for_each(|message| print(message, &chosen.title, *format)).map(|()| Exit::Done)
            }
            MessagesCommand::Search { text, count, format } => {
                let all = conversations(&store).await?;
                let (text, count) = (text.clone(), *count);
                let found = store.run(move |store| Ok(messages::search(store, &text, count))).await??;
                for message in &found {
                    let title = all.iter().find(|talk| talk.id == message.group).map_or("", |talk| &talk.title);
                    print(message, title, *format)?;
                }
                Ok(Exit::Done)
            }
            MessagesCommand::Seed { count } => {
                let (_, replica) = who(&store).await?;
                for changes in made_up(*count, system_time().unix_ms()) {
                    write_offline(&store, replica, changes).await?;
                }
                voice.note(format_args!("wrote {count} messages"));
                Ok(Exit::Done)
            }
            MessagesCommand::Send { conversation, text } => {
                let (own, replica) = who(&store).await?;
                let changes =
                    compose(&conversations(&store).await?, conversation, &Message::text("me", checked(text)?))?;
                write_offline(&store, replica, changes).await?;
                send(args, own, store, voice).await
            }
            MessagesCommand::Attach { conversation, files: paths, text } => {
                files::attach(args, store, conversation, paths, text, voice).await
            }
            MessagesCommand::Files { format } => files::list(&store, *format).await,
            MessagesCommand::Save { file, out, force } => {
                files::save(args, store, file, out.as_deref(), *force, voice).await
            }
            MessagesCommand::Follow { conversation, format, once } => {
                let (own, _) = who(&store).await?;
                let line = online(args, own, store, *format, voice).await?;
                follow(&line, conversation.as_deref(), *format, *once, voice).await
            }
            MessagesCommand::Status => {
                let (_, replica) = who(&store).await?;
                let all = store.run(move |store| Ok(progress(store, replica))).await??;
                if all.is_empty() {
                    voice.note("no transfer of history has begun");
                }
                all.iter().try_for_each(|progress| say_progress(progress, Format::Text)).map(|()| Exit::Done)
            }
            MessagesCommand::Older { conversation, count, format } => {
                history::older(args, store, conversation, u64::from(*count), *format, voice).await
            }
            MessagesCommand::Cancel => history::cancel(args, store, voice).await,
            MessagesCommand::Retry => history::retry(args, store, voice).await,
            MessagesCommand::Repair => history::repair(args, store, voice).await,
        }
    })
}

fn progress(
    store: &pairlight_core::store::Store,
    replica: Replica,
) -> Result<Vec<HistoryProgress>, pairlight_core::net::NetError> {
    Ok(match replica.role() {
        SyncRole::Primary(_) => replica.sending(store)?,
        SyncRole::Linked => replica.receiving(store)?.into_iter().collect(),
    })
}

async fn conversations(store: &SharedStore) -> Result<Vec<ConversationInfo>, Failure> {
    let all = store.run(|store| Ok(messages::conversations(store))).await?;
    Ok(all?)
}

fn find<'a>(all: &'a [ConversationInfo], wanted: &str) -> Result<&'a ConversationInfo, Failure> {
    named(all, wanted).ok_or_else(|| {
        let what = format!("no conversation is called {wanted}");
        Failure::new(Exit::Usage, what, "`pairlight messages` lists them")
    })
}

fn named<'a>(all: &'a [ConversationInfo], wanted: &str) -> Option<&'a ConversationInfo> {
    let hex = wanted.to_ascii_lowercase();
    all.iter().find(|talk| talk.title.eq_ignore_ascii_case(wanted)).or_else(|| {
        let mut found = all.iter().filter(|talk| to_hex(&talk.id).starts_with(&hex));
        found.next().filter(|_| found.next().is_none())
    })
}

/// A text that a message can say.
fn checked(text: &str) -> Result<&str, Failure> {
    if text.len() <= messages::TEXT_BYTES && !text.trim().is_empty() {
        return Ok(text);
    }
    let what = format!("a message has 1 to {} bytes of text; this one has {}", messages::TEXT_BYTES, text.len());
    Err(Failure::new(Exit::Usage, what, "send it in parts"))
}

/// A message to a conversation, which begins with it when there is none of that name.
fn compose(all: &[ConversationInfo], conversation: &str, message: &Message) -> Result<Vec<Change>, Failure> {
    let now = system_time().unix_ms();
    let mut changes = Vec::new();
    let talk = match named(all, conversation) {
        Some(known) => known.id.clone(),
        None => {
            let id = new_id().to_vec();
            changes.push(messages::put_conversation(&id, conversation, now)?);
            id
        }
    };
    changes.push(messages::put_message(&talk, &new_id(), now, message)?);
    Ok(changes)
}

pub(crate) async fn write_offline(store: &SharedStore, replica: Replica, changes: Vec<Change>) -> Result<(), Failure> {
    let written = store.run(move |store| {
        let write = || {
            let mut turn = Turn::begin(store, system_time(), &mut system_rng())?;
            replica.write(&mut turn, changes)?;
            turn.commit()
        };
        Ok(write())
    });
    written.await??;
    Ok(())
}

async fn online(
    args: &MessagesArgs,
    own: Own,
    store: SharedStore,
    format: Format,
    voice: Voice,
) -> Result<Sync, Failure> {
    let client = args.profile.client(&store, voice).await?;
    Ok(match own {
        Own::Primary => {
            let primary = Primary::open(store, client, standing_policy(), "this terminal").await?;
            // Before the line is open, which would count them as shown.
            primary.show_due_notices(|notice| news::tell_notice(notice, format, voice)).await?;
            primary.sync().await?
        }
        Own::Linked => LinkedDevice::open(store, client).await?.sync().await?,
    })
}

/// Goes online until everything written here has left.
async fn send(args: &MessagesArgs, own: Own, store: SharedStore, voice: Voice) -> Result<Exit, Failure> {
    let later = "written; it goes out when this profile is online the next time";
    let line = match online(args, own, store, Format::Text, voice).await {
        Ok(line) => line,
        Err(failure) => {
            voice.note(format_args!("{} ({later})", failure.what()));
            return Ok(Exit::Done);
        }
    };
    let sent = async {
        let mut online = false;
        loop {
            if online && line.has_left().await.unwrap_or(false) {
                return Ok(());
            }
            tokio::select! {
                event = line.next_event() => match event {
                    Some(SyncUpdates::Line(event)) => {
                        online |= matches!(event, ConnectionEvent::Online);
                        news::tell(event, Format::Text, voice.hushed())?;
                    }
                    Some(SyncUpdates::Update(_)) => {}
                    None => return Err(Failure::new(Exit::Error, "the line ended", "start again")),
                },
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    };
    match tokio::time::timeout(SEND_PATIENCE, sent).await {
        Ok(done) => done?,
        Err(_) => voice.note(later),
    }
    news::tell_rest(&line, Format::Text, voice.hushed()).await?;
    Ok(Exit::Done)
}

async fn follow(
    line: &Sync,
    conversation: Option<&str>,
    format: Format,
    once: bool,
    voice: Voice,
) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen();
    let mut typed = conversation.map(|_| Lines::listen());
    let mut told: Vec<HistoryProgress> = Vec::new();
    let (mut is_online, mut quiet_since) = (false, tokio::time::Instant::now());
    while !interrupt.is_raised() {
        let event = tokio::select! {
            event = line.next_event() => match event {
                Some(event) => Some(event),
                None => return Ok(Exit::Done),
            },
            text = next_line(&mut typed) => {
                match (text, conversation) {
                    (Some(text), Some(conversation)) if !text.trim().is_empty() => {
                        match checked(text.trim_end()) {
                            Ok(text) => {
                                let message = Message::text("me", text);
                                line.write(compose(&line.conversations().await?, conversation, &message)?).await?;
                            }
                            Err(failure) => voice.warn(format_args!("not sent: {failure}")),
                        }
                    }
                    (Some(_), _) => {}
                    (None, _) => typed = None,
                }
                None
            }
            () = tokio::time::sleep(Duration::from_millis(200)) => None,
        };
        if event.is_some() {
            quiet_since = tokio::time::Instant::now();
        }
        if let Some(SyncUpdates::Line(line)) = &event {
            is_online = (is_online && !matches!(line, ConnectionEvent::Offline { .. }))
                || matches!(line, ConnectionEvent::Online);
        }
        match event {
            Some(SyncUpdates::Update(SyncUpdate::Changed(mut changed))) => {
                // What was typed here stands on the terminal.
                changed.retain(|record| !record.is_own);
                // A history brings thousands at once: those are counted by its progress, not printed one by one. What is new
                // is printed, however much it is.
                if changed.len() > FEW {
                    changed.retain(|record| !record.is_history);
                }
                if !changed.is_empty() {
                    let titles = line.conversations().await?;
                    let mut entries = Vec::new();
                    for record in changed.iter().filter(|record| record.collection == messages::MESSAGE) {
                        if record.group.is_none() {
                            show::print_deleted(&record.id, format)?;
                            continue;
                        }
                        let logged = line.record(messages::MESSAGE, record.id.clone()).await?;
                        entries.extend(logged.as_ref().and_then(messages::read::<Message>));
                    }
                    // A first screen comes newest first.
                    entries.sort_by_key(|entry| entry.at);
                    for entry in &entries {
                        let title = titles.iter().find(|talk| talk.id == entry.group).map_or("", |talk| &talk.title);
                        print(entry, title, format)?;
                    }
                }
            }
            Some(SyncUpdates::Update(SyncUpdate::Signal { name, body, .. })) => {
                voice.note(format_args!("{}: {}", printable(&name), printable(&String::from_utf8_lossy(&body))));
            }
            Some(SyncUpdates::Line(event)) => news::tell(event, format, voice)?,
            Some(SyncUpdates::Update(SyncUpdate::Missed)) => show::say_missed(format, voice)?,
            Some(SyncUpdates::Update(SyncUpdate::History | SyncUpdate::File(_))) | None => {}
        }
        let progress = line.history().await?;
        if progress != told {
            for progress in progress.iter().filter(|progress| !told.contains(progress)) {
                say_progress(progress, format)?;
            }
            told = progress;
        }
        let over = told.iter().all(|progress| progress.standing != HistoryStanding::Running);
        // What waited at the relay has come when nothing more comes.
        let is_settled = is_online && quiet_since.elapsed() >= SETTLED;
        if once
            && is_settled
            && typed.is_none()
            && over
            && !told.is_empty()
            && line.is_in_step().await?
            && line.has_left().await?
        {
            news::tell_rest(line, format, voice).await?;
            return Ok(Exit::Done);
        }
    }
    news::tell_rest(line, format, voice).await?;
    Ok(Exit::Interrupted)
}

async fn next_line(lines: &mut Option<Lines>) -> Option<String> {
    match lines {
        Some(lines) => lines.next().await,
        None => std::future::pending().await,
    }
}
