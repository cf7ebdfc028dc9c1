//! The history by hand: older messages of one conversation, a transfer stopped and begun again, damage repaired.

use std::time::Duration;

use pairlight_core::net::{ConnectionEvent, SharedStore, Sync, SyncUpdate, SyncUpdates, system_rng, system_time};
use pairlight_core::store::{Cursor, Store, StoreError};
use pairlight_core::sync::messages::{self, Entry, Message};
use pairlight_core::sync::{HistoryStanding, SyncError, Turn};

use super::{Format, MessagesArgs, Own, conversations, find, news, online, print, progress, send, who};
use crate::exit::{Exit, Failure};
use crate::style::Voice;

/// How long the other device may take to answer before it is left for the next time.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long it is waited for more when something came, or when the answer may have held nothing.
const QUIET: Duration = Duration::from_secs(2);
/// Messages read at a time.
const STRIDE: usize = 512;

/// Messages of a conversation that are older than a time, newest first; all of them.
fn older_than(store: &Store, conversation: &[u8], before: u64) -> Result<Vec<Entry<Message>>, SyncError> {
    let (mut found, mut cursor) = (Vec::new(), Cursor { order: before, change: 0 });
    loop {
        let page = messages::messages(store, conversation, cursor, STRIDE)?;
        let Some(last) = page.last() else { return Ok(found) };
        cursor = last.cursor;
        found.extend(page);
    }
}

/// What came of waiting for another device.
enum Answer {
    /// What was waited for is here.
    Here,
    /// Something was answered, and that was all.
    NoMore,
    /// Nothing was answered.
    Silence,
}

/// Takes events until `is_here` says so, or nothing comes any more.
async fn wait(
    line: &Sync,
    voice: Voice,
    mut is_here: impl AsyncFnMut() -> Result<bool, Failure>,
) -> Result<Answer, Failure> {
    let (mut answered, mut until) = (false, tokio::time::Instant::now() + PATIENCE);
    loop {
        match tokio::time::timeout_at(until, line.next_event()).await {
            Err(_) => return Ok(if answered { Answer::NoMore } else { Answer::Silence }),
            Ok(None) => return Err(Failure::new(Exit::Error, "the line ended", "start again")),
            Ok(Some(SyncUpdates::Line(event))) => news::tell(event, Format::Text, voice.hushed())?,
            Ok(Some(SyncUpdates::Update(SyncUpdate::Changed(_) | SyncUpdate::History | SyncUpdate::Missed))) => {
                if is_here().await? {
                    return Ok(Answer::Here);
                }
                (answered, until) = (true, tokio::time::Instant::now() + QUIET);
            }
            Ok(Some(SyncUpdates::Update(SyncUpdate::Signal { .. } | SyncUpdate::File(_)))) => {}
        }
    }
}

/// Waits until the relay has taken this device in.
async fn logged_in(line: &Sync, voice: Voice) -> Result<bool, Failure> {
    let login = async {
        loop {
            match line.next_event().await {
                Some(SyncUpdates::Line(event)) => {
                    let is_online = matches!(event, ConnectionEvent::Online);
                    news::tell(event, Format::Text, voice.hushed())?;
                    if is_online {
                        return Ok(true);
                    }
                }
                Some(SyncUpdates::Update(_)) => {}
                None => return Err(Failure::new(Exit::Error, "the line ended", "start again")),
            }
        }
    };
    tokio::time::timeout(PATIENCE, login).await.unwrap_or(Ok(false))
}

/// Asks the primary device for older messages of a conversation than are here, and prints what comes, oldest first.
pub(super) async fn older(
    args: &MessagesArgs,
    store: SharedStore,
    conversation: &str,
    count: u64,
    format: Format,
    voice: Voice,
) -> Result<Exit, Failure> {
    let (own, _) = who(&store).await?;
    if matches!(own, Own::Primary) {
        let what = "this profile is the primary device: what it does not have, no other device has from it";
        return Err(Failure::new(Exit::Usage, what, "`pairlight messages show` prints what is here"));
    }
    let chosen = find(&conversations(&store).await?, conversation)?.clone();
    let id = chosen.id.clone();
    let here = store.run(move |store| Ok(older_than(store, &id, u64::MAX))).await??;
    let before = here.last().map_or(u64::MAX >> 2, |oldest| oldest.at);
    drop(here);
    let line = online(args, own, store.clone(), format, voice).await?;
    if !logged_in(&line, voice).await? {
        return Err(Failure::new(Exit::Error, "the relay is out of reach", "ask again when this device is online"));
    }
    line.ask_older(messages::MESSAGE, chosen.id.clone(), before, count).await?;
    let look = || {
        let (store, id) = (store.clone(), chosen.id.clone());
        async move { Ok::<_, Failure>(store.run(move |store| Ok(older_than(store, &id, before))).await??) }
    };
    let answer = wait(&line, voice, async || Ok(!look().await?.is_empty())).await?;
    let came = look().await?;
    came.iter().rev().try_for_each(|message| print(message, &chosen.title, format))?;
    match answer {
        Answer::Here => voice.note(format_args!("{} older messages came", came.len())),
        Answer::NoMore => voice.note(
            "the primary device gave nothing older: this is all of the conversation, or its policy holds the rest back \
             (`pairlight messages status`)",
        ),
        Answer::Silence => voice.note("asked; the answer comes when the primary device is online"),
    }
    news::tell_rest(&line, format, voice.hushed()).await?;
    Ok(Exit::Done)
}

/// Stops the transfer of history to this device, or from this one to others. What came stays.
pub(super) async fn cancel(args: &MessagesArgs, store: SharedStore, voice: Voice) -> Result<Exit, Failure> {
    turn(args, store, voice, "stopped; `pairlight messages retry` begins again, without a new link", true).await
}

/// Begins it again, after a stop or a failure.
pub(super) async fn retry(args: &MessagesArgs, store: SharedStore, voice: Voice) -> Result<Exit, Failure> {
    turn(args, store, voice, "begun again; `pairlight messages follow` shows how it goes on", false).await
}

async fn turn(args: &MessagesArgs, store: SharedStore, voice: Voice, done: &str, stop: bool) -> Result<Exit, Failure> {
    let (own, replica) = who(&store).await?;
    let transfers = store.run(move |store| Ok(progress(store, replica))).await??;
    // What is complete would come once more as a whole.
    let open = |standing| standing != HistoryStanding::Done && !(stop && standing == HistoryStanding::Cancelled);
    let devices: Vec<_> = transfers.iter().filter(|one| open(one.standing)).map(|one| one.device).collect();
    if devices.is_empty() {
        let what = match (stop, transfers.is_empty()) {
            (true, _) => "no transfer of history is under way",
            (false, true) => "no history was promised yet",
            (false, false) => "every history is complete: there is nothing to begin again",
        };
        let next = "`pairlight messages status` says how it stands, `pairlight messages repair` mends what is damaged";
        return Err(Failure::new(Exit::Usage, what, next));
    }
    let work = move |store: &mut Store| -> Result<Result<(), SyncError>, StoreError> {
        let mut run = || {
            let mut turn = Turn::begin(store, system_time(), &mut system_rng())?;
            for device in &devices {
                match stop {
                    true => replica.cancel(&mut turn, device, &mut system_rng())?,
                    false => replica.retry(&mut turn, device, &mut system_rng())?,
                }
            }
            turn.commit().map(drop)
        };
        Ok(run())
    };
    store.run(work).await??;
    voice.note(done);
    send(args, own, store, voice).await
}

/// Checks the whole store, drops what is damaged, and gets it from the other devices.
pub(super) async fn repair(args: &MessagesArgs, store: SharedStore, voice: Voice) -> Result<Exit, Failure> {
    let (own, replica) = who(&store).await?;
    let count = |store: &mut Store| store.count_records(u64::MAX, 0);
    let before = store.run(count).await?;
    let lost = store.run(move |store| Ok(replica.repair(store))).await??;
    if lost == 0 {
        store.run(|store| store.integrity_check()).await?;
        voice.note("every record is sound; nothing was changed");
        return Ok(Exit::Done);
    }
    voice.note(format_args!("{lost} damaged records were dropped; the other devices are asked for them"));
    let left = store.run(count).await?;
    let later = "what is missing comes by itself when this profile and the other devices are online";
    let line = match online(args, own, store.clone(), Format::Text, voice).await {
        Ok(line) => line,
        Err(failure) => {
            voice.note(format_args!("{} ({later})", failure.what()));
            return Ok(Exit::Done);
        }
    };
    let whole = async || Ok(store.run(count).await? >= before);
    let answer = wait(&line, voice, whole).await?;
    let now = store.run(count).await?;
    voice.note(format_args!("{} of {} came back", now.saturating_sub(left), before.saturating_sub(left)));
    match answer {
        Answer::Here => voice.note("nothing is missing"),
        Answer::NoMore => voice.note("the others do not have the rest, or it was deleted meanwhile"),
        Answer::Silence => voice.note(later),
    }
    news::tell_rest(&line, Format::Text, voice.hushed()).await?;
    Ok(Exit::Done)
}
