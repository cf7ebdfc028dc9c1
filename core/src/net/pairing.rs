//! Drives the primary device's machine over HTTP and a real store.

use std::sync::Arc;
use std::time::Duration;

use pairlight_wire::Bytes;
use pairlight_wire::id::SlotId;
use pairlight_wire::relay::{RefusalCode, SlotMessage, SlotMessages};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::air::Air;
use super::client::{Credentials, RelayClient};
use super::clock::{Clock, SystemRng, pause};
use super::error::NetError;
use super::guard::Signer;
use super::host::{Task, run_probe, sleep, spawn};
use super::records::save_link;
use super::shared::SharedStore;
use crate::devices::Account;
use crate::pairing::{PrimaryEvent, PrimaryMachine, PrimaryOutput, PrimarySave, PrimaryState, TooEarly};
use crate::trust::{LanVerdict, ManagedVerdict, Radio, TapMedium};

/// Events that may wait for the app.
const WAITING_EVENTS: usize = 32;
/// Tries to deliver one message; repeating it does no harm.
const SEND_TRIES: u32 = 4;

type Machine = PrimaryMachine<SystemRng>;

enum Command {
    Approve(oneshot::Sender<Result<(), TooEarly>>),
    ApproveAgain(oneshot::Sender<Result<(), TooEarly>>),
    Decline,
    Cancel,
    Tap(TapMedium, Vec<u8>),
    Judge(ManagedVerdict),
}

/// A primary device on its way to a linked one. Dropping it ends the attempt without a word to the other side; call
/// [`Pairing::decline`] or [`Pairing::cancel`] first where there is time.
#[derive(Debug)]
pub struct Pairing {
    commands: mpsc::Sender<Command>,
    events: Mutex<mpsc::Receiver<PrimaryEvent>>,
    task: Task,
}

impl Pairing {
    pub(super) fn start(
        machine: Machine,
        account: Account,
        client: RelayClient,
        store: SharedStore,
        clock: Clock,
        radio: Option<Arc<dyn Radio>>,
    ) -> Self {
        let (commands, inbox) = mpsc::channel(8);
        let (outbox, events) = mpsc::channel(WAITING_EVENTS);
        let (polled, answers) = mpsc::channel(4);
        let driver = Driver {
            machine,
            account,
            client,
            store,
            clock,
            claimed: None,
            polled,
            answers,
            poller: None,
            probe: None,
            air: Air::new(radio),
            inbox,
            outbox,
        };
        Self { commands, events: Mutex::new(events), task: spawn(driver.run()) }
    }

    /// The next event; `None` after `Linked` or `Failed`. Safe to cancel.
    pub async fn next_event(&self) -> Option<PrimaryEvent> {
        self.events.lock().await.recv().await
    }

    /// The person approved, after unlocking the device.
    ///
    /// # Errors
    /// [`NetError::TooEarly`] before the time that the approval screen asks for: ask again then. [`NetError::Ended`].
    pub async fn approve(&self) -> Result<(), NetError> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::Approve(answer)).await?;
        Ok(answered.await.map_err(|_| NetError::Ended)??)
    }

    /// The person approved again, on the warning screen.
    ///
    /// # Errors
    /// [`NetError::TooEarly`] before the time to think is over; the event comes again. [`NetError::Ended`].
    pub async fn approve_again(&self) -> Result<(), NetError> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::ApproveAgain(answer)).await?;
        Ok(answered.await.map_err(|_| NetError::Ended)??)
    }

    /// The person said no.
    ///
    /// # Errors
    /// [`NetError::Ended`].
    pub async fn decline(&self) -> Result<(), NetError> {
        self.command(Command::Decline).await
    }

    /// The person closed the screen.
    ///
    /// # Errors
    /// [`NetError::Ended`].
    pub async fn cancel(&self) -> Result<(), NetError> {
        self.command(Command::Cancel).await
    }

    /// Over a cable or a tap came what the other device's app sent there.
    ///
    /// # Errors
    /// [`NetError::Ended`].
    pub async fn tapped(&self, medium: TapMedium, arrived: &[u8]) -> Result<(), NetError> {
        self.command(Command::Tap(medium, arrived.to_vec())).await
    }

    /// The answer to [`PrimaryEvent::JudgeManaged`].
    ///
    /// # Errors
    /// [`NetError::Ended`].
    pub async fn judge_managed(&self, verdict: ManagedVerdict) -> Result<(), NetError> {
        self.command(Command::Judge(verdict)).await
    }

    async fn command(&self, command: Command) -> Result<(), NetError> {
        self.commands.send(command).await.map_err(|_| NetError::Ended)
    }
}

impl Drop for Pairing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The slot that this machine claimed.
#[derive(Clone, Copy)]
struct Claimed {
    slot: SlotId,
    token: [u8; 16],
}

struct Driver {
    machine: Machine,
    account: Account,
    client: RelayClient,
    store: SharedStore,
    clock: Clock,
    claimed: Option<Claimed>,
    polled: mpsc::Sender<Result<SlotMessages, NetError>>,
    answers: mpsc::Receiver<Result<SlotMessages, NetError>>,
    poller: Option<Poller>,
    probe: Option<Probe>,
    air: Air,
    inbox: mpsc::Receiver<Command>,
    outbox: mpsc::Sender<PrimaryEvent>,
}

/// The long-poll task; ends with its handle.
struct Poller(Task);

impl Drop for Poller {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The challenge on the local network that is running; ends with its handle.
struct Probe(Task<LanVerdict>);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.abort();
    }
}

enum Woken {
    Lan(LanVerdict),
    Answer(Result<SlotMessages, NetError>),
    Command(Command),
    Time,
    Abandoned,
}

impl Driver {
    async fn run(mut self) {
        loop {
            while let Some(output) = self.machine.poll_output() {
                self.perform(output).await;
            }
            if matches!(self.machine.state(), PrimaryState::Linked | PrimaryState::Failed(_)) {
                return;
            }
            // One reading for the machine and the pause: a clock that was set back must not stretch the sleep.
            let now = (self.clock)();
            self.machine.handle_timeout(now);
            let pause = match self.machine.has_output() {
                true => Duration::ZERO,
                false => pause(now, self.machine.poll_timeout()),
            };
            let verdict = async {
                match &mut self.probe {
                    Some(probe) => (&mut probe.0).await.unwrap_or_else(LanVerdict::silence),
                    None => std::future::pending().await,
                }
            };
            // In order: what the app gave before the other side answered counts before that answer.
            let woken = tokio::select! {
                biased;
                command = self.inbox.recv() => command.map_or(Woken::Abandoned, Woken::Command),
                verdict = verdict => Woken::Lan(verdict),
                Some(answer) = self.answers.recv() => Woken::Answer(answer),
                () = sleep(pause) => Woken::Time,
            };
            let now = (self.clock)();
            match woken {
                Woken::Answer(Ok(answer)) => self.on_messages(&answer),
                Woken::Answer(Err(_)) => {
                    self.poller = None;
                    self.machine.handle_unreachable(now);
                }
                Woken::Lan(verdict) => {
                    self.probe = None;
                    tracing::debug!(?verdict, "the challenge on the local network is over");
                    self.machine.handle_lan(verdict, now);
                }
                Woken::Command(Command::Tap(medium, arrived)) => self.machine.handle_tap(medium, &arrived, now),
                Woken::Command(Command::Judge(verdict)) => self.machine.judge_managed(verdict, now),
                // Who asked may have gone.
                Woken::Command(Command::Approve(answer)) => drop(answer.send(self.machine.approve(now))),
                Woken::Command(Command::ApproveAgain(answer)) => drop(answer.send(self.machine.approve_again(now))),
                Woken::Command(Command::Decline) => self.machine.decline(now),
                Woken::Command(Command::Cancel) => self.machine.cancel(now),
                Woken::Time => self.machine.handle_timeout(now),
                Woken::Abandoned => return,
            }
        }
    }

    fn on_messages(&mut self, answer: &SlotMessages) {
        let now = (self.clock)();
        for message in answer.messages.as_slice() {
            self.machine.handle_message(message.seq, message.body.as_slice(), now);
        }
        if answer.conflict {
            self.machine.handle_conflict(now);
        }
        if let Some(reason) = answer.ended {
            self.poller = None;
            self.machine.handle_ended(reason, now);
        }
    }

    async fn perform(&mut self, output: PrimaryOutput) {
        match output {
            PrimaryOutput::Claim(slot) => self.claim(slot).await,
            PrimaryOutput::Send { seq, body } => self.send(seq, body).await,
            PrimaryOutput::Cancel(reason) => {
                self.poller = None;
                if let Some(claimed) = self.claimed {
                    // The slot ends by itself when this does not arrive.
                    let _ = self.client.end(claimed.slot, &claimed.token, reason).await;
                }
            }
            PrimaryOutput::ProbeLan(probe) => self.probe = Some(Probe(spawn(run_probe(*probe)))),
            PrimaryOutput::Radio(order) => self.air.perform(order),
            PrimaryOutput::Publish(publish) => {
                let answer = self.client.publish(self.account.id(), &publish).await;
                let answer = answer.map_err(|error| error.as_refusal().code);
                self.machine.handle_published(answer, (self.clock)());
            }
            PrimaryOutput::FetchList { from } => {
                let who = credentials(&self.account, from.saturating_sub(1));
                match self.client.chain(&who, from).await {
                    Ok(chain) => self.machine.handle_list(&chain, (self.clock)()),
                    Err(_) => self.machine.handle_unreachable((self.clock)()),
                }
            }
            PrimaryOutput::Save(save) => {
                let with = match &save {
                    PrimarySave::Linked { device, .. } => Some(*device),
                    PrimarySave::Pending(_) | PrimarySave::Discard { .. } => None,
                };
                let saved = self.store.run(move |store| save_link(store, with, |store| store.save_primary(&save)));
                if let Err(error) = saved.await {
                    tracing::warn!(%error, "the link cannot be stored");
                    self.machine.handle_storage_failed((self.clock)());
                }
            }
            PrimaryOutput::Event(event) => {
                // Who has heard the last one is told that nothing can be done any more, however long the rest takes.
                if matches!(event, PrimaryEvent::Linked(_) | PrimaryEvent::Failed(_)) {
                    self.inbox.close();
                }
                let _ = self.outbox.send(event).await;
            }
        }
    }

    async fn claim(&mut self, slot: SlotId) {
        let epoch = self.account.list().list().epoch;
        let answer = self.client.claim(&credentials(&self.account, epoch), slot).await;
        if let Ok(answer) = &answer {
            let claimed = Claimed { slot, token: answer.claim_token };
            self.claimed = Some(claimed);
            let polling = poll(self.client.clone(), claimed, self.polled.clone());
            self.poller = Some(Poller(spawn(polling)));
        }
        let answer = answer.map_err(|error| error.as_refusal());
        self.machine.handle_claim(answer, (self.clock)());
    }

    async fn send(&mut self, seq: u64, body: Vec<u8>) {
        let (Some(claimed), Ok(body)) = (self.claimed, Bytes::new(body)) else { return };
        let message = SlotMessage { seq, body };
        for try_number in 0..SEND_TRIES {
            match self.client.send(claimed.slot, &claimed.token, &message).await {
                Ok(()) => return,
                // The slot ended; the poll says why.
                Err(NetError::Refused(refused)) if refused.code != RefusalCode::Unavailable => return,
                Err(_) => {}
            }
            sleep(Duration::from_millis(250u64.saturating_mul(u64::from(try_number)))).await;
        }
        self.machine.handle_unreachable((self.clock)());
    }
}

fn credentials(account: &Account, epoch: u64) -> Credentials<'_> {
    Credentials { account: account.id(), device: account.device_id(), signer: Signer::Own(account.device_key()), epoch }
}

/// Asks for the other device's messages until the slot ends.
async fn poll(client: RelayClient, claimed: Claimed, polled: mpsc::Sender<Result<SlotMessages, NetError>>) {
    let mut from = 0u64;
    let mut failures = 0u32;
    loop {
        match client.messages(claimed.slot, &claimed.token, from).await {
            Ok(answer) => {
                failures = 0;
                from = answer.messages.as_slice().last().map_or(from, |last| last.seq.saturating_add(1));
                let ended = answer.ended.is_some();
                if polled.send(Ok(answer)).await.is_err() || ended {
                    return;
                }
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                let lost = matches!(error, NetError::Refused(_) | NetError::Protocol) || failures >= SEND_TRIES;
                if lost {
                    let _ = polled.send(Err(error)).await;
                    return;
                }
                sleep(Duration::from_millis(500)).await;
            }
        }
    }
}
