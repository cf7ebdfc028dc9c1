//! The linked device's machine: shows codes, checks the code that the person types, joins the account.

use std::collections::VecDeque;

use pairlight_wire::id::SlotId;
use pairlight_wire::limits::{COMMIT_GIVE_UP_MS, MESSAGE_MS, SHOW_MS};
use pairlight_wire::offer::ClientKind;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::relay::{CancelSlot, LinkEvent, LinkRequest, ListChain};
use pairlight_wire::sign::SigningContext;
use rand_core::CryptoRng;

use super::handshake::{DeviceDescription, Displayed, LinkedCertified, LinkedConfirmed, LinkedKeyed};
use super::record::LinkedAccount;
use super::timer::Timers;
use crate::Timestamp;
use crate::crypto::olm::RatchetAccount;
use crate::crypto::sign::{DeviceKey, SigningKey};

mod channel;
mod evidence;
mod offering;
mod output;
mod signing;

use evidence::Gathering;
pub use output::{
    AppEvidence, EvidenceWanted, LinkedEvent, LinkedOutput, LinkedSave, LinkedState, PasskeyWanted, SignOrder,
};
use signing::ForSignature;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    Reconnect,
    Rotate,
    Show,
    Claim,
    Message,
    CheckCode,
    Need,
    Sign,
    Poll,
    GiveUp,
    LastAnswer,
}

/// A code at the relay.
struct Shown {
    displayed: Displayed,
    context: Option<Vec<u8>>,
}

/// The digits were right; the certificate is on its way.
struct Confirmed {
    channel: LinkedConfirmed,
    ratchet: RatchetAccount,
}

enum Step {
    /// Codes are shown, or will be once the relay answers.
    Offering {
        shown: Vec<Shown>,
    },
    Claimed {
        shown: Box<Shown>,
    },
    Keyed {
        keyed: Box<LinkedKeyed>,
        tries_left: u8,
    },
    Confirmed(Box<Confirmed>),
    /// The account asked for more evidence.
    Asked(Box<Confirmed>),
    /// The platform signs with the key that it guards. Nothing that depends on it has left.
    Signing {
        context: SigningContext,
        message: Vec<u8>,
        what: ForSignature,
    },
    /// Signed for. Whatever happens to the channel now, only a list of the account decides.
    Certified {
        certified: Option<Box<LinkedCertified>>,
        account: Box<LinkedAccount>,
    },
    Linked,
    Ended,
}

/// The machine of a device that wants to be linked. One machine, one attempt, ended by `Linked` or `Failed`.
pub struct LinkedMachine<R> {
    rng: R,
    /// Gone with the end.
    device: Option<DeviceKey>,
    description: DeviceDescription,
    relay_index: u8,
    gathering: Gathering,
    step: Step,
    state: LinkedState,
    slot: Option<SlotId>,
    connected: bool,
    failures: u32,
    next_in: u64,
    next_out: u64,
    /// With what the slot ended once this device had signed: the reason to show when the list says that there is no link.
    told: Option<EndReason>,
    /// Whether a pending account may be on disk that an end must erase.
    saved: bool,
    /// Whether the driver has taken the last event, so that everything before it is stored.
    reported: bool,
    timers: Timers<Timer>,
    outputs: VecDeque<LinkedOutput>,
}

impl<R: CryptoRng> LinkedMachine<R> {
    /// Begins: the first outputs connect to the relay and open a slot.
    #[must_use]
    pub fn new(description: DeviceDescription, relay_index: u8, now: Timestamp, mut rng: R) -> Self {
        let device = DeviceKey::Own(SigningKey::generate(&mut rng));
        Self::begin(device, description, relay_index, now, rng)
    }

    /// As [`LinkedMachine::new`], under a new key that the platform guards, whose public key this is. The machine never has
    /// it: it asks for signatures by [`LinkedOutput::Sign`].
    #[must_use]
    pub fn guarded(public: [u8; 32], description: DeviceDescription, relay_index: u8, now: Timestamp, rng: R) -> Self {
        Self::begin(DeviceKey::Guarded(public), description, relay_index, now, rng)
    }

    fn begin(device: DeviceKey, description: DeviceDescription, relay_index: u8, now: Timestamp, rng: R) -> Self {
        let mut machine = Self::at(Step::Offering { shown: Vec::new() }, device, description, relay_index, now, rng);
        machine.timers.start(Timer::Show, SHOW_MS);
        machine.outputs.push_back(LinkedOutput::Connect);
        machine
    }

    /// As [`LinkedMachine::new`], for a device that was linked before and whose lease lapsed: it comes back under the key
    /// that it has, so its name, its place in the list and its history go on.
    #[must_use]
    pub fn relink(
        account: &LinkedAccount,
        description: DeviceDescription,
        relay_index: u8,
        now: Timestamp,
        rng: R,
    ) -> Self {
        let mut machine = Self::begin(account.device_key().clone(), description, relay_index, now, rng);
        machine.gathering.returning = true;
        machine
    }

    /// Goes on after a restart with what was saved as pending: asks whether the link was completed.
    #[must_use]
    pub fn resume(account: LinkedAccount, now: Timestamp, rng: R) -> Self {
        let age = now.ms_since(account.created());
        let (name, os, app) = <(String, String, String)>::default();
        let description = DeviceDescription { name, os, app, kind: ClientKind::Native };
        let device = account.device_key().clone();
        let step = Step::Certified { certified: None, account: Box::new(account) };
        let mut machine = Self::at(step, device, description, 0, now, rng);
        machine.state = LinkedState::AwaitingCommit;
        machine.saved = true;
        machine.timers.start(Timer::GiveUp, COMMIT_GIVE_UP_MS.saturating_sub(age));
        machine.fetch_list();
        machine
    }

    fn at(
        step: Step,
        device: DeviceKey,
        description: DeviceDescription,
        relay_index: u8,
        now: Timestamp,
        rng: R,
    ) -> Self {
        Self {
            rng,
            device: Some(device),
            description,
            relay_index,
            gathering: Gathering::default(),
            step,
            state: LinkedState::Opening,
            slot: None,
            connected: false,
            failures: 0,
            next_in: 0,
            next_out: 0,
            told: None,
            saved: false,
            reported: false,
            timers: Timers::new(now),
            outputs: VecDeque::new(),
        }
    }

    /// Where the machine is.
    #[must_use]
    pub fn state(&self) -> LinkedState {
        self.state
    }

    /// What to do next; call until `None`.
    pub fn poll_output(&mut self) -> Option<LinkedOutput> {
        let output = self.outputs.pop_front();
        let last = matches!(output, Some(LinkedOutput::Event(LinkedEvent::Linked(_) | LinkedEvent::Failed(_))));
        self.reported |= last;
        output
    }

    /// Whether an output waits.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// When [`LinkedMachine::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// The link socket is open.
    pub fn handle_connected(&mut self, now: Timestamp) {
        self.timers.observe(now);
        self.connected = true;
        if matches!(self.step, Step::Offering { .. }) && self.state != LinkedState::Paused {
            self.offer_new_code();
        }
    }

    /// The link socket could not be opened, or was lost.
    pub fn handle_disconnected(&mut self, now: Timestamp) {
        self.timers.observe(now);
        self.connected = false;
        match &mut self.step {
            Step::Offering { shown } => {
                // The slots died with the socket: new keys when it is back.
                shown.clear();
                self.timers.stop(Timer::Rotate);
                if self.state != LinkedState::Paused {
                    self.state = LinkedState::Opening;
                    let after_ms = [1_000, 2_000, 4_000, 8_000, 16_000].get(self.failures as usize);
                    let after_ms = after_ms.copied().unwrap_or(30_000);
                    self.failures = self.failures.saturating_add(1);
                    self.timers.start(Timer::Reconnect, after_ms);
                    self.outputs.push_back(LinkedOutput::Event(LinkedEvent::Reconnecting { after_ms }));
                }
            }
            // The channel is gone for good, but the link may still be completed: the list will tell.
            Step::Certified { certified, .. } if self.state == LinkedState::AwaitingCommit => {
                *certified = None;
                self.timers.stop(Timer::Message);
                self.timers.stop(Timer::Claim);
                self.fetch_list();
            }
            Step::Linked | Step::Ended => {}
            _ => self.fail(EndReason::Unreachable),
        }
    }

    /// A frame of the relay.
    pub fn handle_relay(&mut self, event: LinkEvent, now: Timestamp) {
        self.timers.observe(now);
        match event {
            LinkEvent::Opened(opened) => self.on_opened(opened.slot, opened.context.payload.into_vec()),
            LinkEvent::Claimed(claimed) => self.on_claimed(claimed.slot),
            LinkEvent::Msg(msg) if Some(msg.slot) == self.slot => self.on_message(msg.seq, msg.body.as_slice(), now),
            LinkEvent::Msg(_) => {}
            LinkEvent::Ended(ended) => self.on_ended(ended.slot, ended.reason),
            LinkEvent::Conflict(conflict) if Some(conflict.slot) == self.slot => self.on_conflict(),
            LinkEvent::Conflict(_) => {}
            LinkEvent::Refused(refused) => self.on_refused(&refused),
        }
    }

    /// The answer to [`LinkedOutput::FetchList`]; `None` = the relay answered that this device is not known there
    /// (yet). No answer at all is [`LinkedMachine::handle_unreachable`].
    pub fn handle_list(&mut self, chain: Option<&ListChain>, now: Timestamp) {
        self.timers.observe(now);
        let Step::Certified { account, .. } = &self.step else { return };
        let mut followed = account.clone();
        let believed = chain.is_none_or(|chain| followed.follow(chain).is_ok());
        let removed = believed && followed.list().tombstone(&followed.device_id()).is_some();
        if believed && followed.is_listed() {
            self.complete(followed);
        } else if removed {
            self.fail(EndReason::NotPublished);
        } else if chain.is_none() && self.is_last_look() {
            // No link: what the other side said of it is true as far as anybody here can know.
            self.fail(self.told.unwrap_or(EndReason::NotPublished));
        } else if self.is_last_look() {
            // Lists that do not follow, or that a relay shows to a device that is not on them, prove only that the
            // relay lies now. The link may stand all the same.
            self.fail_undecided(EndReason::Tampered);
        }
    }

    /// [`LinkedOutput::FetchList`] got no answer. The machine asks again; when it gives up, what is pending stays on
    /// disk, because the account may have published, and [`LinkedMachine::resume`] asks once more.
    pub fn handle_unreachable(&mut self, now: Timestamp) {
        self.timers.observe(now);
        if matches!(self.step, Step::Certified { .. }) && self.is_last_look() {
            self.fail_undecided(EndReason::Unreachable);
        }
    }

    /// The person typed digits. Anything but six digits is a slip and no try.
    pub fn enter_check_code(&mut self, typed: &str, now: Timestamp) {
        self.timers.observe(now);
        let Step::Keyed { keyed, tries_left } = &mut self.step else { return };
        match keyed.check_code.matches(typed) {
            None => {
                let tries_left = *tries_left;
                self.outputs.push_back(LinkedOutput::Event(LinkedEvent::WrongCheckCode { tries_left }));
            }
            Some(true) => self.confirm(),
            Some(false) => {
                *tries_left = tries_left.saturating_sub(1);
                let tries_left = *tries_left;
                self.outputs.push_back(LinkedOutput::Event(LinkedEvent::WrongCheckCode { tries_left }));
                if tries_left == 0 {
                    self.refuse();
                }
            }
        }
    }

    /// The person closed the screen. Once this device has signed for its certificate it is too late: the account is
    /// publishing, so the machine goes on until it knows, and a device that is not wanted logs out afterwards.
    pub fn cancel(&mut self, now: Timestamp) {
        self.timers.observe(now);
        if !matches!(self.step, Step::Certified { .. }) {
            self.fail(EndReason::Cancelled);
        }
    }

    /// After [`LinkedEvent::Paused`]: the person asks for a new code.
    pub fn show_again(&mut self, now: Timestamp) {
        self.timers.observe(now);
        if self.state == LinkedState::Paused {
            self.state = LinkedState::Opening;
            self.timers.start(Timer::Show, SHOW_MS);
            if self.connected {
                self.offer_new_code();
            } else {
                self.outputs.push_back(LinkedOutput::Connect);
            }
        }
    }

    /// A [`LinkedSave`] could not be stored: nothing may be half-linked, so the attempt ends.
    pub fn handle_storage_failed(&mut self, now: Timestamp) {
        self.timers.observe(now);
        if self.reported {
            return;
        }
        // What depends on the record stays here. That it is over, the other side and the radio hear all the same.
        let goes = |output: &LinkedOutput| {
            matches!(output, LinkedOutput::Send(LinkRequest::Cancel(_)) | LinkedOutput::Radio(_))
        };
        self.outputs.retain(goes);
        if let LinkedState::Failed(reason) = self.state {
            // What could not be erased is found, and decided, by the next start.
            self.outputs.push_back(LinkedOutput::Event(LinkedEvent::Failed(reason)));
        } else {
            // Told of an end before this device could store that it signed: that is the reason.
            let told = self.told.filter(|_| matches!(self.step, Step::Certified { .. }));
            self.fail_undecided(told.unwrap_or(EndReason::StorageFailed));
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.timers.observe(now);
        while let Some(timer) = self.timers.expired() {
            match timer {
                Timer::Reconnect => self.outputs.push_back(LinkedOutput::Connect),
                Timer::Rotate => self.offer_new_code(),
                Timer::Show => self.pause(),
                Timer::Poll => self.fetch_list(),
                // One last look: a clock that jumped, or a sleep, must not leave a link that only one side knows.
                Timer::GiveUp => {
                    self.timers.start(Timer::LastAnswer, MESSAGE_MS);
                    self.fetch_list();
                }
                // Nobody gave what was asked for: the account decides without it.
                Timer::Need => self.answer_need(),
                Timer::Sign => self.fail(EndReason::TimedOut),
                Timer::LastAnswer => self.fail_undecided(EndReason::Unreachable),
                Timer::Claim | Timer::Message if self.state == LinkedState::AwaitingCommit => self.fetch_list(),
                Timer::Claim | Timer::Message | Timer::CheckCode => self.fail(EndReason::TimedOut),
            }
        }
    }

    // ---- ends

    /// Ends because of something here, and tells the other side.
    fn fail(&mut self, reason: EndReason) {
        if !matches!(self.step, Step::Linked | Step::Ended) {
            self.fail_from(reason);
        }
    }

    /// As [`Self::fail`], for a step that was already taken apart.
    fn fail_from(&mut self, reason: EndReason) {
        let mut slots: Vec<_> = self.slot.into_iter().collect();
        if let Step::Offering { shown } = &self.step {
            slots.extend(shown.iter().map(|shown| shown.displayed.keys.slot));
        }
        for slot in slots.into_iter().filter(|_| self.connected) {
            self.outputs.push_back(LinkedOutput::Send(LinkRequest::Cancel(CancelSlot { slot, reason })));
        }
        self.end(reason);
    }

    /// Ends because the other side did.
    fn end(&mut self, reason: EndReason) {
        // Dropping the step erases its keys.
        self.step = Step::Ended;
        self.state = LinkedState::Failed(reason);
        self.forget();
        self.timers.stop_all();
        if core::mem::take(&mut self.saved) {
            self.outputs.push_back(LinkedOutput::Save(LinkedSave::Discard));
        }
        self.outputs.push_back(LinkedOutput::Event(LinkedEvent::Failed(reason)));
    }

    fn has_ended(&self) -> bool {
        matches!(self.step, Step::Linked | Step::Ended)
    }

    /// Drops what no end needs: the device's key, and what was gathered.
    fn forget(&mut self) {
        self.stop_radio();
        self.gathering = Gathering::default();
        self.device = None;
    }

    /// Whether anything is left that an end must not leave behind.
    #[cfg(test)]
    pub(crate) fn holds_secrets(&self) -> bool {
        !self.has_ended() || self.device.is_some() || self.gathering.holds_secrets()
    }

    /// Ends without knowing whether the account published: what is on disk stays there for the next start.
    fn fail_undecided(&mut self, reason: EndReason) {
        self.saved = false;
        self.fail_from(reason);
    }

    fn is_last_look(&self) -> bool {
        self.timers.left_ms(Timer::LastAnswer).is_some()
    }
}

impl<R> core::fmt::Debug for LinkedMachine<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LinkedMachine").field("state", &self.state).finish_non_exhaustive()
    }
}
