//! From the signed list to the end, over restarts and relays that answer late, wrong or not at all.
//!
//! The rule: once a list with the device may have left this device, only a list of the account decides. Whatever cannot
//! be known now stays on disk as the unfinished link, and the next start asks again.

use pairlight_wire::Text;
use pairlight_wire::hash::sha256;
use pairlight_wire::limits::PUBLISH_MS;
use pairlight_wire::list::{RemovalReason, VerifiedList};
use pairlight_wire::pairing::{EndReason, M5Body};
use pairlight_wire::relay::{ListChain, PublishList, RefusalCode};
use rand_core::CryptoRng;

use super::{
    Candidacy, PUBLISH_RETRY_MS, PrimaryEvent, PrimaryMachine, PrimaryOutput, PrimarySave, PrimaryState, Step, Timer,
};
use crate::Timestamp;
use crate::pairing::record::{LinkStage, PendingLink};

impl<R: CryptoRng> PrimaryMachine<R> {
    /// The relay's answer to a publication.
    pub fn handle_published(&mut self, answer: Result<(), RefusalCode>, now: Timestamp) {
        self.timers.observe(now);
        match (&mut self.step, answer) {
            (Step::Publishing { .. }, Ok(())) => self.finish(),
            (Step::Publishing { candidacy }, Err(RefusalCode::Conflict)) if candidacy.rebases_left > 0 => {
                candidacy.rebases_left = candidacy.rebases_left.saturating_sub(1);
                self.fetch_list();
            }
            (Step::Publishing { .. }, Err(RefusalCode::Unavailable | RefusalCode::RateLimited)) => {
                self.timers.start(Timer::Retry, PUBLISH_RETRY_MS);
            }
            // Refused for good, says the relay. Before this side forgets the device, the list must say so too.
            (Step::Publishing { candidacy }, Err(_)) => {
                let (pending, signed) = (candidacy.pending.clone(), candidacy.list.list().epoch);
                self.abandon(pending, signed);
            }
            (Step::Abandoning { removal, .. }, Ok(())) => {
                // Without a removal under way this is the late answer to the publication; the list was asked for.
                let Some(list) = removal.take() else { return };
                match self.account.advance(list.signed(), None) {
                    Ok(()) => self.end(EndReason::NotPublished),
                    Err(_) => self.fail_undecided(EndReason::NotPublished),
                }
            }
            (Step::Abandoning { removal, .. }, Err(_)) if removal.is_some() => {
                *removal = None;
                self.timers.start(Timer::Retry, PUBLISH_RETRY_MS);
            }
            _ => {}
        }
    }

    /// The answer to [`PrimaryOutput::FetchList`].
    pub fn handle_list(&mut self, chain: &ListChain, now: Timestamp) {
        self.timers.observe(now);
        if !matches!(self.step, Step::Publishing { .. } | Step::Abandoning { .. }) {
            return;
        }
        let mut account = self.account.clone();
        for signed in chain.lists.as_slice() {
            if sha256(&[signed.payload.as_slice()]) == *account.list().hash() {
                continue;
            }
            if account.advance(signed, chain.ops.as_ref()).is_err() {
                // A list that does not follow proves only that the relay lies now. Ours may stand all the same.
                return self.fail_undecided(EndReason::Tampered);
            }
        }
        let device = match &self.step {
            Step::Publishing { candidacy } => candidacy.pending.device,
            Step::Abandoning { device, .. } => *device,
            _ => return,
        };
        let listed = account.list().entry(&device).is_some();
        self.account = account;
        match &mut self.step {
            // Our own publication got through after all.
            Step::Publishing { candidacy } if listed => {
                *candidacy.list = self.account.list().clone();
                self.finish();
            }
            Step::Publishing { candidacy } if candidacy.list.list().prev == *self.account.list().hash() => {
                self.publish()
            }
            Step::Publishing { .. } => self.rebase(now),
            // Also when it is not listed: the publication may still be on its way, or be held back by the relay.
            Step::Abandoning { removal, signed, .. } if listed || self.account.list().list().epoch < *signed => {
                match self.account.list_barring(&device, RemovalReason::Abandoned, now) {
                    Err(_) => self.fail_undecided(EndReason::NotPublished),
                    Ok(list) => {
                        *removal = Some(Box::new(list.clone()));
                        self.publish_list(&list);
                    }
                }
            }
            _ => self.end(EndReason::NotPublished),
        }
    }

    pub(super) fn save_and_publish(&mut self) {
        if let Step::Publishing { candidacy } = &self.step {
            let pending = Box::new(candidacy.pending.clone());
            self.outputs.push_back(PrimaryOutput::Save(PrimarySave::Pending(pending)));
            self.publish();
        }
    }

    pub(super) fn publish(&mut self) {
        if let Step::Publishing { candidacy } = &self.step {
            let list = (*candidacy.list).clone();
            self.publish_list(&list);
        }
    }

    pub(super) fn publish_list(&mut self, list: &VerifiedList) {
        let publish = PublishList { list: list.signed().clone(), ops: self.account.ops_cert().clone() };
        self.outputs.push_back(PrimaryOutput::Publish(Box::new(publish)));
    }

    pub(super) fn fetch_list(&mut self) {
        let from = self.account.list().list().epoch.saturating_add(1);
        self.outputs.push_back(PrimaryOutput::FetchList { from });
    }

    /// Too late to finish: find out whether the list was published after all, and let the chain go on without the
    /// device. The decision is stored first: the other device may give up from now on.
    pub(super) fn abandon(&mut self, mut pending: PendingLink, signed: u64) {
        self.step = Step::Abandoning { device: pending.device, signed, removal: None };
        pending.stage = LinkStage::Abandoning;
        self.outputs.push_back(PrimaryOutput::Save(PrimarySave::Pending(Box::new(pending))));
        self.timers.stop_all();
        self.timers.start(Timer::GiveUp, PUBLISH_MS);
        self.fetch_list();
    }

    /// Another device changed the list first: the same entry goes into the list after that.
    pub(super) fn rebase(&mut self, now: Timestamp) {
        let Step::Publishing { candidacy } = &mut self.step else { return };
        match self.account.list_with(candidacy.pending.entry.clone(), now) {
            Err(_) => self.fail(EndReason::NotPublished),
            Ok(list) => {
                candidacy.pending.list = Some(list.signed().clone());
                *candidacy.list = list;
                self.save_and_publish();
            }
        }
    }

    pub(super) fn finish(&mut self) {
        let Step::Publishing { candidacy } = &mut self.step else { return };
        let channel = candidacy.channel.take();
        let Candidacy { pending, list, .. } = &**candidacy;
        let (mut pending, list) = (pending.clone(), list.clone());
        if self.account.list().hash() != list.hash() && self.account.advance(list.signed(), None).is_err() {
            return self.fail_undecided(EndReason::Tampered);
        }
        self.step = Step::Linked;
        self.state = PrimaryState::Linked;
        self.stop_radio();
        (self.on_air, self.tap) = (None, None);
        self.timers.stop_all();
        self.saved = None;
        let session = zeroize::Zeroizing::new(core::mem::take(&mut pending.session).into_vec());
        let (account, device) = (Box::new(self.account.clone()), pending.device);
        self.outputs.push_back(PrimaryOutput::Save(PrimarySave::Linked { account, device, session }));
        let m5 = M5Body {
            list: list.signed().clone(),
            mailbox: *device.as_bytes(),
            blob_base: Text::truncated("/v1/blobs/"),
        };
        // A lost channel does no harm: the linked device finds itself on the list.
        if let Some(Ok(m5)) = channel.map(|mut channel| channel.finish(&m5)) {
            self.send(m5);
        }
        self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::Linked(device)));
    }
}
