//! Showing codes until one is claimed.

use pairlight_wire::Bytes;
use pairlight_wire::id::SlotId;
use pairlight_wire::limits::{CLAIM_MS, ROTATE_MS};
use pairlight_wire::pairing::EndReason;
use pairlight_wire::relay::{CancelSlot, LinkRequest, OpenSlot, RefusalCode, Refused};
use rand_core::CryptoRng;

use super::{LinkedEvent, LinkedMachine, LinkedOutput, LinkedState, Shown, Step, Timer};
use crate::pairing::handshake::Displayed;
use crate::pairing::refusal::{Refusal, end_reason};

impl<R: CryptoRng> LinkedMachine<R> {
    pub(super) fn offer_new_code(&mut self) {
        let (Step::Offering { shown }, Some(device)) = (&mut self.step, &self.device) else { return };
        // The relay allows two live slots a socket: the one before stays for whoever is just scanning it.
        while shown.len() >= 2 {
            let oldest = shown.remove(0).displayed.keys.slot;
            let cancel = CancelSlot { slot: oldest, reason: EndReason::Superseded };
            self.outputs.push_back(LinkedOutput::Send(LinkRequest::Cancel(cancel)));
        }
        let made = Displayed::generate(device.public(), &self.description, self.relay_index, &mut self.rng);
        let Ok(displayed) = made else { return self.fail(EndReason::Tampered) };
        let Ok(offer_ct) = Bytes::new(displayed.offer_ct.clone()) else { return self.fail(EndReason::Tampered) };
        let open = OpenSlot { slot: displayed.keys.slot, offer_ct };
        shown.push(Shown { displayed, context: None });
        self.timers.start(Timer::Rotate, ROTATE_MS);
        self.outputs.push_back(LinkedOutput::Send(LinkRequest::Open(open)));
    }

    pub(super) fn on_opened(&mut self, slot: SlotId, context: Vec<u8>) {
        let Step::Offering { shown } = &mut self.step else { return };
        let Some(shown) = shown.iter_mut().find(|shown| shown.displayed.keys.slot == slot) else { return };
        if shown.context.is_some() {
            return;
        }
        shown.context = Some(context);
        self.failures = 0;
        self.state = LinkedState::Showing;
        let shown_ms = self.timers.left_ms(Timer::Rotate).unwrap_or(ROTATE_MS);
        let text = shown.displayed.text();
        self.outputs.push_back(LinkedOutput::Event(LinkedEvent::ShowCode { text, shown_ms }));
    }

    pub(super) fn on_claimed(&mut self, slot: SlotId) {
        let Step::Offering { shown } = &mut self.step else { return };
        let Some(index) = shown.iter().position(|shown| shown.displayed.keys.slot == slot) else { return };
        let claimed = shown.remove(index);
        let others: Vec<_> = shown.iter().map(|shown| shown.displayed.keys.slot).collect();
        for slot in others {
            let cancel = CancelSlot { slot, reason: EndReason::Superseded };
            self.outputs.push_back(LinkedOutput::Send(LinkRequest::Cancel(cancel)));
        }
        self.listen(claimed.displayed.keys.ble.clone());
        self.step = Step::Claimed { shown: Box::new(claimed) };
        self.state = LinkedState::Claimed;
        self.slot = Some(slot);
        self.timers.stop_all();
        self.timers.start(Timer::Claim, CLAIM_MS);
        self.outputs.push_back(LinkedOutput::Event(LinkedEvent::Claimed));
    }

    pub(super) fn pause(&mut self) {
        let Step::Offering { shown } = &mut self.step else { return };
        for shown in shown.drain(..) {
            let cancel = CancelSlot { slot: shown.displayed.keys.slot, reason: EndReason::Superseded };
            self.outputs.push_back(LinkedOutput::Send(LinkRequest::Cancel(cancel)));
        }
        self.timers.stop_all();
        self.state = LinkedState::Paused;
        self.outputs.push_back(LinkedOutput::Event(LinkedEvent::Paused));
    }

    pub(super) fn on_refused(&mut self, refused: &Refused) {
        match &mut self.step {
            // The relay stops. Its socket closes next, and then there are new codes from whoever takes its place.
            Step::Offering { .. } if refused.slot.is_none() && refused.code == RefusalCode::Unavailable => {}
            Step::Offering { shown } => {
                // A refusal about a slot that is not waiting to be opened answers the end of an old one: the relay
                // forgot it before we did. It says nothing about the code on the screen.
                let is_waiting =
                    |shown: &Shown| Some(shown.displayed.keys.slot) == refused.slot && shown.context.is_none();
                if refused.slot.is_some() && !shown.iter().any(is_waiting) {
                    return;
                }
                shown.retain(|shown| shown.context.is_some());
                // With a code still live, patience is enough; without one there is nothing to show.
                if refused.code == RefusalCode::RateLimited && !shown.is_empty() {
                    self.timers.start(Timer::Rotate, refused.retry_after_ms.max(ROTATE_MS));
                } else {
                    self.fail_refused(refused);
                }
            }
            Step::Certified { .. } | Step::Linked | Step::Ended => {}
            _ if refused.slot.is_none() || refused.slot == self.slot => self.fail_refused(refused),
            _ => {}
        }
    }

    fn fail_refused(&mut self, refused: &Refused) {
        if let Some(retry_after_ms) = Refusal::from(refused).pause_ms() {
            self.outputs.push_back(LinkedOutput::Event(LinkedEvent::TooManyAttempts { retry_after_ms }));
        }
        self.fail(end_reason(refused.code));
    }

    pub(super) fn on_ended(&mut self, slot: SlotId, reason: EndReason) {
        match &mut self.step {
            // An unclaimed code that ran out; the next one is already shown.
            Step::Offering { shown } => shown.retain(|shown| shown.displayed.keys.slot != slot),
            // The relay may say so to hide that the link was completed: only the list counts now. A slot that ran out is
            // the relay's own word, the other reasons are the account's.
            Step::Certified { .. } if Some(slot) == self.slot => {
                self.told = self.told.or(Some(reason).filter(|reason| *reason != EndReason::Expired));
                self.fetch_list();
            }
            Step::Claimed { .. } | Step::Keyed { .. } | Step::Confirmed(_) | Step::Asked(_) | Step::Signing { .. }
                if Some(slot) == self.slot =>
            {
                self.end(reason);
            }
            _ => {}
        }
    }

    pub(super) fn on_conflict(&mut self) {
        match self.step {
            // Before the first sealed message nobody knows which of the two scanners is the person's own.
            Step::Claimed { .. } => self.fail(EndReason::Conflict),
            // Afterwards the check code decides, and the second scanner was refused.
            Step::Keyed { .. } | Step::Confirmed(_) | Step::Asked(_) | Step::Signing { .. } => {
                self.outputs.push_back(LinkedOutput::Event(LinkedEvent::SecondScanner));
            }
            _ => {}
        }
    }
}
