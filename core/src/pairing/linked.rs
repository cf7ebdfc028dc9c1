//! The linked device's machine: shows codes, checks the code that the person types, joins the account.

use std::collections::VecDeque;

use pairlight_wire::Bytes;
use pairlight_wire::limits::{
    CHECK_CODE_MS, CHECK_CODE_TRIES, CLAIM_MS, COMMIT_GIVE_UP_MS, COMMIT_POLL_MS, MESSAGE_MS, ROTATE_MS, SHOW_MS,
};
use pairlight_wire::pairing::{EndReason, M4Body};
use pairlight_wire::relay::{CancelSlot, LinkEvent, LinkRequest, ListChain, OpenSlot, RefusalCode, Refused, SlotSend};
use rand_core::CryptoRng;

use super::handshake::{DeviceDescription, Displayed, LinkedCertified, LinkedConfirmed, LinkedKeyed};
use super::record::LinkedAccount;
use super::timer::Timers;
use crate::Timestamp;
use crate::crypto::CryptoError;
use crate::crypto::olm::RatchetAccount;
use crate::crypto::sign::SigningKey;
use crate::session::Session;

/// Where a linked device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkedState {
    /// Waiting for the relay to open a slot.
    Opening,
    /// A code is on the screen.
    Showing,
    /// Shown for five minutes; waiting for the person to ask for a new code.
    Paused,
    /// A primary device scanned the code.
    Claimed,
    /// The person must type the six digits that the primary device shows.
    AwaitingCheckCode,
    /// The digits were right; the account decides.
    AwaitingCertificate,
    /// Certified; the list with this device is being published.
    AwaitingCommit,
    /// Done.
    Linked,
    /// Ended without a link.
    Failed(EndReason),
}

/// What the app shows.
#[derive(Debug)]
pub enum LinkedEvent {
    /// Draw this code; the next one comes by itself.
    ShowCode {
        /// Text of the QR code. Holds the pairing secret: never log it.
        text: String,
        /// How long this code is shown, ms.
        shown_ms: u64,
    },
    /// No code is live any more. Offer a button that calls [`LinkedMachine::show_again`].
    Paused,
    /// The relay cannot be reached; the machine tries again by itself.
    Reconnecting {
        /// Pause before the next try, ms.
        after_ms: u64,
    },
    /// "Phone connected, confirm there."
    Claimed,
    /// Ask for the six digits.
    EnterCheckCode,
    /// They were wrong.
    WrongCheckCode {
        /// Tries left.
        tries_left: u8,
    },
    /// They were right; the primary device decides.
    CheckCodeAccepted,
    /// A second device tried to scan the same code and was refused.
    SecondScanner,
    /// Linked.
    Linked(Box<LinkedAccount>),
    /// Ended without a link, by this side or the other.
    Failed(EndReason),
}

/// What must be on disk before the next output is taken.
#[derive(Debug)]
pub enum LinkedSave {
    /// Keep as pending.
    Pending(Box<LinkedAccount>),
    /// The link is complete.
    Committed(Box<LinkedAccount>),
    /// Erase what was kept as pending.
    Discard,
}

/// What the driver does next, in order.
#[derive(Debug)]
pub enum LinkedOutput {
    /// Open (or reopen) the link socket; answer with [`LinkedMachine::handle_connected`].
    Connect,
    /// Send a frame on the link socket.
    Send(LinkRequest),
    /// Fetch the account's lists as this device; answer with [`LinkedMachine::handle_list`].
    FetchList {
        /// The account as known so far: whose key logs in, from which epoch on.
        account: Box<LinkedAccount>,
    },
    /// Store something.
    Save(LinkedSave),
    /// Show something.
    Event(LinkedEvent),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    Reconnect,
    Rotate,
    Show,
    Claim,
    Message,
    CheckCode,
    Poll,
    GiveUp,
    LastAnswer,
}

/// A code at the relay.
struct Shown {
    displayed: Displayed,
    context: Option<Vec<u8>>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "one machine holds one step; boxing every step would only hide its keys elsewhere"
)]
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
    Confirmed {
        confirmed: Box<LinkedConfirmed>,
        ratchet: RatchetAccount,
    },
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
    device: SigningKey,
    description: DeviceDescription,
    relay_index: u8,
    step: Step,
    state: LinkedState,
    slot: Option<pairlight_wire::id::SlotId>,
    connected: bool,
    failures: u32,
    next_in: u64,
    next_out: u64,
    saved: bool,
    timers: Timers<Timer>,
    outputs: VecDeque<LinkedOutput>,
}

impl<R: CryptoRng> LinkedMachine<R> {
    /// Begins: the first outputs connect to the relay and open a slot.
    #[must_use]
    pub fn new(description: DeviceDescription, relay_index: u8, now: Timestamp, mut rng: R) -> Self {
        let device = SigningKey::generate(&mut rng);
        let mut machine = Self::at(Step::Offering { shown: Vec::new() }, device, description, relay_index, now, rng);
        machine.timers.start(Timer::Show, SHOW_MS);
        machine.outputs.push_back(LinkedOutput::Connect);
        machine
    }

    /// Goes on after a restart with what was saved as pending: asks whether the link was completed.
    #[must_use]
    pub fn resume(account: LinkedAccount, now: Timestamp, rng: R) -> Self {
        let age = now.ms_since(account.created());
        let kind = pairlight_wire::offer::ClientKind::Native;
        let description = DeviceDescription { name: String::new(), os: String::new(), app: String::new(), kind };
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
        device: SigningKey,
        description: DeviceDescription,
        relay_index: u8,
        now: Timestamp,
        rng: R,
    ) -> Self {
        Self {
            rng,
            device,
            description,
            relay_index,
            step,
            state: LinkedState::Opening,
            slot: None,
            connected: false,
            failures: 0,
            next_in: 0,
            next_out: 0,
            saved: false,
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
        self.outputs.pop_front()
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
        self.failures = 0;
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

    /// The answer to [`LinkedOutput::FetchList`]; `None` = this device is not known there (yet), or no answer.
    pub fn handle_list(&mut self, chain: Option<&ListChain>, now: Timestamp) {
        self.timers.observe(now);
        let Step::Certified { account, .. } = &mut self.step else { return };
        let Some(chain) = chain else { return };
        let mut followed = account.clone();
        if followed.follow(chain).is_err() {
            return self.fail(EndReason::Tampered);
        }
        if followed.is_listed() {
            self.complete(followed);
        } else if followed.list().tombstone(&followed.device_id()).is_some() {
            self.fail(EndReason::NotPublished);
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

    /// The person closed the screen.
    pub fn cancel(&mut self, now: Timestamp) {
        self.timers.observe(now);
        self.fail(EndReason::Cancelled);
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
        self.outputs.clear();
        self.saved = false;
        self.step_back_from_linked();
        self.fail(EndReason::StorageFailed);
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
                Timer::LastAnswer => self.fail(EndReason::NotPublished),
                Timer::Claim | Timer::Message if self.state == LinkedState::AwaitingCommit => self.fetch_list(),
                Timer::Claim | Timer::Message | Timer::CheckCode => self.fail(EndReason::TimedOut),
            }
        }
    }

    // ---- offering

    fn offer_new_code(&mut self) {
        let Step::Offering { shown } = &mut self.step else { return };
        // The relay allows two live slots a socket: the one before stays for whoever is just scanning it.
        while shown.len() >= 2 {
            let oldest = shown.remove(0).displayed.keys.slot;
            let cancel = CancelSlot { slot: oldest, reason: EndReason::Superseded };
            self.outputs.push_back(LinkedOutput::Send(LinkRequest::Cancel(cancel)));
        }
        let made = Displayed::generate(self.device.public(), &self.description, self.relay_index, &mut self.rng);
        let Ok(displayed) = made else { return self.fail(EndReason::Tampered) };
        let Ok(offer_ct) = Bytes::new(displayed.offer_ct.clone()) else { return self.fail(EndReason::Tampered) };
        let open = OpenSlot { slot: displayed.keys.slot, offer_ct };
        shown.push(Shown { displayed, context: None });
        self.timers.start(Timer::Rotate, ROTATE_MS);
        self.outputs.push_back(LinkedOutput::Send(LinkRequest::Open(open)));
    }

    fn on_opened(&mut self, slot: pairlight_wire::id::SlotId, context: Vec<u8>) {
        let Step::Offering { shown } = &mut self.step else { return };
        let Some(shown) = shown.iter_mut().find(|shown| shown.displayed.keys.slot == slot) else { return };
        if shown.context.is_some() {
            return;
        }
        shown.context = Some(context);
        self.state = LinkedState::Showing;
        let shown_ms = self.timers.left_ms(Timer::Rotate).unwrap_or(ROTATE_MS);
        let text = shown.displayed.text();
        self.outputs.push_back(LinkedOutput::Event(LinkedEvent::ShowCode { text, shown_ms }));
    }

    fn on_claimed(&mut self, slot: pairlight_wire::id::SlotId) {
        let Step::Offering { shown } = &mut self.step else { return };
        let Some(index) = shown.iter().position(|shown| shown.displayed.keys.slot == slot) else { return };
        let claimed = shown.remove(index);
        let others: Vec<_> = shown.iter().map(|shown| shown.displayed.keys.slot).collect();
        for slot in others {
            let cancel = CancelSlot { slot, reason: EndReason::Superseded };
            self.outputs.push_back(LinkedOutput::Send(LinkRequest::Cancel(cancel)));
        }
        self.step = Step::Claimed { shown: Box::new(claimed) };
        self.state = LinkedState::Claimed;
        self.slot = Some(slot);
        self.timers.stop_all();
        self.timers.start(Timer::Claim, CLAIM_MS);
        self.outputs.push_back(LinkedOutput::Event(LinkedEvent::Claimed));
    }

    fn pause(&mut self) {
        let Step::Offering { shown } = &mut self.step else { return };
        for shown in shown.drain(..) {
            let cancel = CancelSlot { slot: shown.displayed.keys.slot, reason: EndReason::Superseded };
            self.outputs.push_back(LinkedOutput::Send(LinkRequest::Cancel(cancel)));
        }
        self.timers.stop_all();
        self.state = LinkedState::Paused;
        self.outputs.push_back(LinkedOutput::Event(LinkedEvent::Paused));
    }

    fn on_refused(&mut self, refused: &Refused) {
        let reason = match refused.code {
            RefusalCode::Outdated => EndReason::Outdated,
            RefusalCode::RateLimited => EndReason::RateLimited,
            RefusalCode::Conflict => EndReason::Conflict,
            RefusalCode::Unavailable | RefusalCode::Overflow => EndReason::Unreachable,
            RefusalCode::NotFound | RefusalCode::TimedOut => EndReason::Expired,
            _ => EndReason::Tampered,
        };
        match &mut self.step {
            Step::Offering { shown } => {
                shown.retain(|shown| shown.context.is_some());
                // With a code still live, patience is enough; without one there is nothing to show.
                if refused.code == RefusalCode::RateLimited && !shown.is_empty() {
                    self.timers.start(Timer::Rotate, refused.retry_after_ms.max(ROTATE_MS));
                } else {
                    self.fail(reason);
                }
            }
            Step::Certified { .. } | Step::Linked | Step::Ended => {}
            _ if refused.slot.is_none() || refused.slot == self.slot => self.fail(reason),
            _ => {}
        }
    }

    fn on_ended(&mut self, slot: pairlight_wire::id::SlotId, reason: EndReason) {
        match &mut self.step {
            // An unclaimed code that ran out; the next one is already shown.
            Step::Offering { shown } => shown.retain(|shown| shown.displayed.keys.slot != slot),
            // The relay may say so to hide that the link was completed: only the list counts now.
            Step::Certified { .. } if Some(slot) == self.slot => self.fetch_list(),
            Step::Claimed { .. } | Step::Keyed { .. } | Step::Confirmed { .. } if Some(slot) == self.slot => {
                self.end(reason);
            }
            _ => {}
        }
    }

    fn on_conflict(&mut self) {
        match self.step {
            // Before the first sealed message nobody knows which of the two scanners is the person's own.
            Step::Claimed { .. } => self.fail(EndReason::Conflict),
            // Afterwards the check code decides, and the second scanner was refused.
            Step::Keyed { .. } | Step::Confirmed { .. } => {
                self.outputs.push_back(LinkedOutput::Event(LinkedEvent::SecondScanner));
            }
            _ => {}
        }
    }

    // ---- messages

    fn on_message(&mut self, seq: u64, bytes: &[u8], now: Timestamp) {
        if seq != self.next_in {
            // A repetition is harmless; a gap means that the relay dropped something.
            if seq > self.next_in {
                self.fail(EndReason::Tampered);
            }
            return;
        }
        self.next_in = self.next_in.saturating_add(1);
        match core::mem::replace(&mut self.step, Step::Ended) {
            Step::Claimed { shown } => self.on_m1(*shown, bytes),
            Step::Confirmed { confirmed, ratchet } => self.on_m3(*confirmed, ratchet, bytes, now),
            Step::Certified { certified: Some(certified), account } => self.on_m5(certified, account, bytes),
            step @ (Step::Linked | Step::Ended | Step::Certified { .. }) => self.step = step,
            step => {
                self.step = step;
                self.fail(EndReason::Tampered);
            }
        }
    }

    fn on_m1(&mut self, shown: Shown, bytes: &[u8]) {
        let context = shown.context.unwrap_or_default();
        match shown.displayed.receive_m1(&context, bytes, &mut self.rng) {
            Err(CryptoError) => self.fail_from(EndReason::Tampered),
            Ok((keyed, m2)) => {
                self.step = Step::Keyed { keyed: Box::new(keyed), tries_left: CHECK_CODE_TRIES };
                self.state = LinkedState::AwaitingCheckCode;
                self.timers.start(Timer::CheckCode, CHECK_CODE_MS);
                self.send(m2);
                self.outputs.push_back(LinkedOutput::Event(LinkedEvent::EnterCheckCode));
            }
        }
    }

    fn confirm(&mut self) {
        let Step::Keyed { keyed, .. } = core::mem::replace(&mut self.step, Step::Ended) else {
            return;
        };
        let made = RatchetAccount::generate()
            .and_then(|ratchet| keyed.confirm(Vec::new(), &ratchet.keys()).map(|(next, m2b)| (ratchet, next, m2b)));
        let Ok((ratchet, confirmed, m2b)) = made else { return self.fail_from(EndReason::Tampered) };
        self.step = Step::Confirmed { confirmed: Box::new(confirmed), ratchet };
        self.state = LinkedState::AwaitingCertificate;
        self.timers.stop(Timer::CheckCode);
        self.outputs.push_back(LinkedOutput::Event(LinkedEvent::CheckCodeAccepted));
        self.send(m2b);
        // The account may ask its owner once more: the whole claim time is the limit, not one message time.
    }

    fn refuse(&mut self) {
        let Step::Keyed { keyed, .. } = core::mem::replace(&mut self.step, Step::Ended) else {
            return;
        };
        if let Ok(m2b) = keyed.refuse() {
            self.send(m2b);
        }
        self.fail_from(EndReason::WrongCheckCode);
    }

    fn on_m3(&mut self, confirmed: LinkedConfirmed, ratchet: RatchetAccount, bytes: &[u8], now: Timestamp) {
        match self.accept_m3(confirmed, ratchet, bytes, now) {
            Err(CryptoError) => self.fail_from(EndReason::Tampered),
            Ok((certified, account, m4)) => {
                self.outputs.push_back(LinkedOutput::Save(LinkedSave::Pending(account.clone())));
                self.saved = true;
                self.step = Step::Certified { certified: Some(Box::new(certified)), account };
                self.state = LinkedState::AwaitingCommit;
                self.timers.start(Timer::Message, MESSAGE_MS);
                self.timers.start(Timer::GiveUp, COMMIT_GIVE_UP_MS);
                self.send(m4);
            }
        }
    }

    fn accept_m3(
        &mut self,
        confirmed: LinkedConfirmed,
        ratchet: RatchetAccount,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(LinkedCertified, Box<LinkedAccount>, Vec<u8>), CryptoError> {
        let th2 = confirmed.th2;
        let (mut certified, m3) = confirmed.receive_m3(bytes)?;
        let mut account = LinkedAccount::verify(&m3, self.device.clone(), &th2, now)?;
        let joined = ratchet.join(&m3.olm_ik, m3.olm_prekey.as_slice())?;
        if joined.plaintext != th2 {
            return Err(CryptoError);
        }
        let mut ratchet = joined.ratchet;
        let answer = ratchet.seal(&th2)?;
        let peer = account.primary().ok_or(CryptoError)?;
        let session = Session::new(account.device_id(), peer, ratchet);
        account.set_session(session.encode().map_err(|_| CryptoError)?);
        let olm_msg = Bytes::new(answer.bytes).map_err(|_| CryptoError)?;
        let m4 = certified.accept(&M4Body { accept_sig: account.accept_signature(), olm_msg })?;
        Ok((certified, Box::new(account), m4))
    }

    fn on_m5(&mut self, mut certified: Box<LinkedCertified>, account: Box<LinkedAccount>, bytes: &[u8]) {
        let mut committed = account.clone();
        let accepted = certified.receive_m5(bytes).and_then(|m5| committed.advance(&m5.list, None));
        let listed = accepted.is_ok() && committed.is_listed();
        // A bad M5 proves only that the relay lies now; whether the link was completed, the list tells.
        self.step = Step::Certified { certified: None, account };
        if listed { self.complete(committed) } else { self.fetch_list() }
    }

    fn complete(&mut self, account: Box<LinkedAccount>) {
        self.step = Step::Linked;
        self.state = LinkedState::Linked;
        self.timers.stop_all();
        self.outputs.push_back(LinkedOutput::Save(LinkedSave::Committed(account.clone())));
        self.outputs.push_back(LinkedOutput::Event(LinkedEvent::Linked(account)));
    }

    fn fetch_list(&mut self) {
        if let Step::Certified { account, .. } = &self.step {
            self.timers.start(Timer::Poll, COMMIT_POLL_MS);
            self.outputs.push_back(LinkedOutput::FetchList { account: account.clone() });
        }
    }

    fn send(&mut self, body: Vec<u8>) {
        let (Some(slot), Ok(body)) = (self.slot, Bytes::new(body)) else { return };
        let send = SlotSend { slot, seq: self.next_out, body };
        self.next_out = self.next_out.saturating_add(1);
        self.outputs.push_back(LinkedOutput::Send(LinkRequest::Send(send)));
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
        self.timers.stop_all();
        if core::mem::take(&mut self.saved) {
            self.outputs.push_back(LinkedOutput::Save(LinkedSave::Discard));
        }
        self.outputs.push_back(LinkedOutput::Event(LinkedEvent::Failed(reason)));
    }

    /// A link that could not be stored is no link.
    fn step_back_from_linked(&mut self) {
        if matches!(self.step, Step::Linked) {
            self.step = Step::Offering { shown: Vec::new() };
        }
    }
}

impl<R> core::fmt::Debug for LinkedMachine<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LinkedMachine").field("state", &self.state).finish_non_exhaustive()
    }
}
