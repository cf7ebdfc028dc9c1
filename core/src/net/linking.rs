//! Drives the linked device's machine over a real socket and a real store.

use std::sync::Arc;

use pairlight_wire::relay::{LinkEvent, RefusalCode};
use tokio::sync::{Mutex, mpsc, watch};

use super::air::Air;
use super::client::{Credentials, Received, RelayClient, next_frame, send_frame};
use super::clock::{Clock, SystemRng, pause};
use super::error::NetError;
use super::guard::{SharedGuard, Signer};
use super::host::{LanListener, Socket, Task, sleep, spawn};
use super::records::save_link;
use super::shared::SharedStore;
use crate::pairing::{
    AppEvidence, LinkedAccount, LinkedEvent, LinkedMachine, LinkedOutput, LinkedSave, LinkedState, SignOrder,
};
use crate::trust::{Radio, TapWord};

/// Events that may wait for the app.
const WAITING_EVENTS: usize = 32;

type Machine = LinkedMachine<SystemRng>;

enum Command {
    CheckCode(String),
    ShowAgain,
    Cancel,
    Give(Vec<AppEvidence>),
    Heard([u8; 16]),
}

/// A linked device on its way into an account. Dropping it ends the attempt without a word to the other side; call
/// [`Linking::cancel`] first where there is time.
#[derive(Debug)]
pub struct Linking {
    commands: mpsc::Sender<Command>,
    events: Mutex<mpsc::Receiver<LinkedEvent>>,
    tap: watch::Receiver<Option<TapWord>>,
    task: Task,
}

impl Linking {
    pub(super) fn start(
        machine: Machine,
        client: RelayClient,
        store: SharedStore,
        clock: Clock,
        radio: Option<Arc<dyn Radio>>,
        guard: Option<SharedGuard>,
    ) -> Self {
        let (commands, inbox) = mpsc::channel(8);
        let (outbox, events) = mpsc::channel(WAITING_EVENTS);
        let (tapped, tap) = watch::channel(None);
        let driver = Driver {
            machine,
            client,
            store,
            clock,
            air: Air::new(radio),
            socket: None,
            lan: None,
            guard,
            signing: None,
            tapped,
            inbox,
            outbox,
        };
        Self { commands, events: Mutex::new(events), tap, task: spawn(driver.run()) }
    }

    /// The next event; `None` after `Linked` or `Failed`. Safe to cancel.
    pub async fn next_event(&self) -> Option<LinkedEvent> {
        self.events.lock().await.recv().await
    }

    /// The person typed the check code.
    ///
    /// # Errors
    /// [`NetError::Ended`].
    pub async fn enter_check_code(&self, typed: &str) -> Result<(), NetError> {
        self.command(Command::CheckCode(typed.to_owned())).await
    }

    /// The person asks for a new code after a pause.
    ///
    /// # Errors
    /// [`NetError::Ended`].
    pub async fn show_again(&self) -> Result<(), NetError> {
        self.command(Command::ShowAgain).await
    }

    /// The person closed the screen.
    ///
    /// # Errors
    /// [`NetError::Ended`].
    pub async fn cancel(&self) -> Result<(), NetError> {
        self.command(Command::Cancel).await
    }

    /// Evidence from the app: the answer to [`LinkedEvent::EvidenceWanted`]. Nothing = it cannot be had.
    ///
    /// # Errors
    /// [`NetError::Ended`].
    pub async fn give_evidence(&self, given: Vec<AppEvidence>) -> Result<(), NetError> {
        self.command(Command::Give(given)).await
    }

    /// The radio heard a 128-bit service UUID.
    ///
    /// # Errors
    /// [`NetError::Ended`].
    pub async fn heard(&self, uuid: [u8; 16]) -> Result<(), NetError> {
        self.command(Command::Heard(uuid)).await
    }

    /// What this device's app sends over a cable or a tap; nothing before the check code can be typed.
    #[must_use]
    pub fn tap_word(&self) -> Option<TapWord> {
        self.tap.borrow().clone()
    }

    /// Ends the attempt now, as dropping it does, also while somebody waits for [`Linking::next_event`]: that gives what had
    /// come before, then `None`. The code is void once the relay hears that the socket is closed.
    pub fn end(&self) {
        self.task.abort();
    }

    async fn command(&self, command: Command) -> Result<(), NetError> {
        self.commands.send(command).await.map_err(|_| NetError::Ended)
    }
}

impl Drop for Linking {
    fn drop(&mut self) {
        self.end();
    }
}

struct Driver {
    machine: Machine,
    client: RelayClient,
    store: SharedStore,
    clock: Clock,
    air: Air,
    socket: Option<Socket>,
    /// Answers challenges on the local network; gone with the driver.
    lan: Option<LanListener>,
    /// Who has this device's key, where it is not here.
    guard: Option<SharedGuard>,
    /// The signature that the machine waits for.
    signing: Option<Signing>,
    tapped: watch::Sender<Option<TapWord>>,
    inbox: mpsc::Receiver<Command>,
    outbox: mpsc::Sender<LinkedEvent>,
}

/// A signature that is being made; ends with its handle.
struct Signing(Task<Option<[u8; 64]>>);

impl Drop for Signing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

enum Woken {
    Signed(Option<[u8; 64]>),
    Frame(Received<LinkEvent>),
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
            if matches!(self.machine.state(), LinkedState::Linked | LinkedState::Failed(_)) {
                break;
            }
            let woken = self.wait().await;
            let now = (self.clock)();
            match woken {
                Woken::Signed(signature) => {
                    self.signing = None;
                    self.machine.handle_signature(signature.as_ref(), now);
                }
                Woken::Frame(Received::Frame(event)) => self.machine.handle_relay(event, now),
                Woken::Frame(Received::Closed(_)) => {
                    self.socket = None;
                    self.machine.handle_disconnected(now);
                }
                Woken::Command(Command::CheckCode(typed)) => self.machine.enter_check_code(&typed, now),
                Woken::Command(Command::Give(given)) => self.machine.give_evidence(given, now),
                Woken::Command(Command::Heard(uuid)) => self.machine.handle_advertisement(uuid, now),
                Woken::Command(Command::ShowAgain) => self.machine.show_again(now),
                Woken::Command(Command::Cancel) => self.machine.cancel(now),
                Woken::Time => self.machine.handle_timeout(now),
                Woken::Abandoned => break,
            }
        }
        if let Some(socket) = self.socket.take() {
            socket.close().await;
        }
    }

    async fn wait(&mut self) -> Woken {
        // One reading for the machine and the pause: a clock that was set back must not stretch the sleep.
        let now = (self.clock)();
        self.machine.handle_timeout(now);
        let pause = match self.machine.has_output() {
            true => std::time::Duration::ZERO,
            false => pause(now, self.machine.poll_timeout()),
        };
        let frame = async {
            match &mut self.socket {
                Some(socket) => next_frame(socket).await,
                None => std::future::pending().await,
            }
        };
        let signed = async {
            match &mut self.signing {
                Some(signing) => (&mut signing.0).await.flatten(),
                None => std::future::pending().await,
            }
        };
        // In order: what the app gave before the other side answered counts before that answer.
        tokio::select! {
            biased;
            signature = signed => Woken::Signed(signature),
            command = self.inbox.recv() => command.map_or(Woken::Abandoned, Woken::Command),
            frame = frame => Woken::Frame(frame),
            () = sleep(pause) => Woken::Time,
        }
    }

    async fn perform(&mut self, output: LinkedOutput) {
        match output {
            LinkedOutput::Connect => match self.client.socket("/v1/link").await {
                Ok(socket) => {
                    self.socket = Some(socket);
                    self.machine.handle_connected((self.clock)());
                }
                Err(error) => {
                    tracing::debug!(%error, "the link socket does not open");
                    self.machine.handle_disconnected((self.clock)());
                }
            },
            LinkedOutput::Send(request) => {
                let sent = match &mut self.socket {
                    Some(socket) => send_frame(socket, &request).await,
                    None => Ok(()),
                };
                if sent.is_err() {
                    self.socket = None;
                    self.machine.handle_disconnected((self.clock)());
                }
            }
            LinkedOutput::ListenLan(responder) => {
                let local = self.socket.as_ref().and_then(Socket::local_ip);
                match LanListener::open(*responder, local).await {
                    Ok(lan) => {
                        self.machine.handle_lan_open(lan.port, &lan.addresses, (self.clock)());
                        self.lan = Some(lan);
                    }
                    Err(error) => tracing::debug!(%error, "no socket for the local network"),
                }
            }
            LinkedOutput::Radio(order) => self.air.perform(order),
            LinkedOutput::Sign(order) => {
                let guard = self.guard.clone();
                // A task of its own: the machine hears of the time, and of the other side, while it waits.
                self.signing = Some(Signing(spawn(async move {
                    let SignOrder { public, context, message } = order;
                    let signer = Signer::Guarded { public: &public, guard: guard.as_ref() };
                    let signed = signer.sign(context, &message).await;
                    signed.inspect_err(|error| tracing::warn!(%error, "the link is not signed for")).ok()
                })));
            }
            LinkedOutput::FetchList { account } => {
                let chain = fetch_chain(&self.client, &account, self.guard.as_ref()).await;
                let now = (self.clock)();
                match chain {
                    Ok(chain) => self.machine.handle_list(Some(&chain), now),
                    // Only a relay that does not know this device says something about the link. A login that it does not
                    // take (another host name, a nonce that ran out) says nothing.
                    Err(error) if matches!(error.refusal(), Some(RefusalCode::NotFound | RefusalCode::Removed)) => {
                        self.machine.handle_list(None, now);
                    }
                    Err(_) => self.machine.handle_unreachable(now),
                }
            }
            LinkedOutput::Save(save) => {
                let with = match &save {
                    LinkedSave::Committed(account) => account.primary(),
                    LinkedSave::Pending(_) | LinkedSave::Discard => None,
                };
                let saved = self.store.run(move |store| save_link(store, with, |store| store.save_linked(&save)));
                if let Err(error) = saved.await {
                    tracing::warn!(%error, "the link cannot be stored");
                    self.machine.handle_storage_failed((self.clock)());
                }
            }
            LinkedOutput::Event(event) => {
                if matches!(event, LinkedEvent::EnterCheckCode) {
                    self.tapped.send_replace(self.machine.tap_word().cloned());
                }
                // Who has heard the last one is told that nothing can be done any more, however long the rest takes.
                if matches!(event, LinkedEvent::Linked(_) | LinkedEvent::Failed(_)) {
                    self.inbox.close();
                }
                let _ = self.outbox.send(event).await;
            }
        }
    }
}

/// The lists that a linked device does not know yet.
pub(super) async fn fetch_chain(
    client: &RelayClient,
    account: &LinkedAccount,
    guard: Option<&SharedGuard>,
) -> Result<pairlight_wire::relay::ListChain, NetError> {
    let epoch = account.list().list().epoch;
    let signer = Signer::new(account.device_key(), guard);
    let who = Credentials { account: account.id(), device: account.device_id(), signer, epoch };
    client.chain(&who, epoch.saturating_add(1)).await
}
