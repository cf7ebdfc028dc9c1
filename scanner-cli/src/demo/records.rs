//! The act after the link: the laptop gets the conversations, and both stay in step.

use std::time::{Duration, Instant};

use pairlight_core::net::{Sync, SyncUpdates, system_time};
use pairlight_core::store::Cursor;
use pairlight_core::sync::HistoryStanding;
use pairlight_core::sync::messages::{self, Message};

use super::acts::{PATIENCE, Stage, broken};
use super::timeline::{LAPTOP, PHONE};
use crate::exit::{Exit, Failure};
use crate::made_up::made_up;
use crate::messages::{new_id, progress_words};

/// Messages on the phone before the laptop was linked.
const OLD_MESSAGES: u32 = 2_000;

impl Stage {
    /// What was on the phone before it links anything.
    pub(super) async fn fill(&self) -> Result<(), Failure> {
        let phone = self.phone.sync().await?;
        for changes in made_up(OLD_MESSAGES, system_time().unix_ms()) {
            phone.write(changes).await?;
        }
        self.timeline.step(PHONE, format!("has {OLD_MESSAGES} messages, sealed in its store"))
    }

    /// History, then one message each way.
    pub(super) async fn records(&self) -> Result<(), Failure> {
        self.timeline.act("The history, and messages as they are written")?;
        let phone = self.phone.sync().await?;
        let laptop = self.laptop.sync().await?;
        self.timeline.step(LAPTOP, "linked, and not yet in step: the two are shown apart")?;
        let started = Instant::now();
        settle(&phone, &laptop, async || Ok(!laptop.conversations().await?.is_empty())).await?;
        let first = started.elapsed().as_millis();
        let talks = laptop.conversations().await?;
        self.timeline.step(LAPTOP, format!("shows {} conversations, {first} ms after it went online", talks.len()))?;
        settle(&phone, &laptop, async || {
            let all = laptop.history().await?;
            let done = all.iter().all(|progress| progress.standing == HistoryStanding::Done);
            Ok(done && !all.is_empty())
        })
        .await?;
        for progress in laptop.history().await? {
            self.timeline.step(LAPTOP, progress_words(&progress))?;
        }
        let talk = talks.first().ok_or_else(|| broken("the history brought no conversation"))?;
        for (from, to, actor, reader) in [(&phone, &laptop, PHONE, LAPTOP), (&laptop, &phone, LAPTOP, PHONE)] {
            let text = format!("written on the {actor}");
            let write =
                messages::put_message(&talk.id, &new_id(), system_time().unix_ms(), &Message::text("me", &text));
            let started = Instant::now();
            from.write(vec![write?]).await?;
            settle(&phone, &laptop, async || {
                let page = to.messages(talk.id.clone(), Cursor::NEWEST, 1).await?;
                Ok(page.first().is_some_and(|latest| latest.value.text.as_str() == text))
            })
            .await?;
            let took = started.elapsed().as_secs_f64() * 1000.0;
            self.timeline.step(reader, format!("has \"{text}\" {took:.0} ms after it was written"))?;
        }
        Ok(())
    }
}

/// Takes the events of both lines until `done`.
async fn settle(
    phone: &Sync,
    laptop: &Sync,
    mut done: impl AsyncFnMut() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let wait = async {
        while !done().await? {
            let event = tokio::select! {
                event = phone.next_event() => event,
                event = laptop.next_event() => event,
                () = tokio::time::sleep(Duration::from_millis(20)) => continue,
            };
            match event {
                Some(SyncUpdates::Line(event)) => crate::messages::news::ended(event)?,
                Some(SyncUpdates::Update(_)) => {}
                None => return Err(broken("a line ended without a word")),
            }
        }
        Ok(())
    };
    let late = || Failure::new(Exit::TimedOut, "the story stands still", "try again on a quieter machine");
    tokio::time::timeout(PATIENCE, wait).await.map_err(|_| late())?
}
