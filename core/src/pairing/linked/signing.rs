//! A key that the platform guards: the machine asks for a signature, and nothing that needs it leaves before it came.

use pairlight_wire::Bytes;
use pairlight_wire::limits::SIGN_MS;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::sign::{SigningContext, verify};
use rand_core::CryptoRng;

use super::output::SignOrder;
use super::{LinkedMachine, LinkedOutput, Step, Timer};
use crate::Timestamp;
use crate::pairing::handshake::{LinkedCertified, LinkedKeyed};
use crate::pairing::record::LinkedAccount;

/// What waits for a signature.
pub(super) enum ForSignature {
    /// M2 and the check code, of a device that shows that it was linked before.
    Known { keyed: Box<LinkedKeyed>, m2: Vec<u8> },
    /// M4, which accepts the certificate.
    Accept(Box<Acceptance>),
}

/// M3 was checked; what M4 says beside the signature.
pub(super) struct Acceptance {
    pub(super) certified: Box<LinkedCertified>,
    pub(super) account: Box<LinkedAccount>,
    pub(super) olm_msg: Bytes<1024>,
}

impl<R: CryptoRng> LinkedMachine<R> {
    pub(super) fn ask_guard(
        &mut self,
        public: [u8; 32],
        context: SigningContext,
        message: Vec<u8>,
        what: ForSignature,
    ) {
        self.timers.start(Timer::Sign, SIGN_MS);
        self.outputs.push_back(LinkedOutput::Sign(SignOrder { public, context, message: message.clone() }));
        self.step = Step::Signing { context, message, what };
    }

    /// The answer to [`LinkedOutput::Sign`]; `None` = the guard could not sign. Without the right signature the attempt ends:
    /// the key is lost, or is another one.
    pub fn handle_signature(&mut self, signature: Option<&[u8; 64]>, now: Timestamp) {
        self.timers.observe(now);
        let Step::Signing { .. } = &self.step else { return };
        let public = self.device.as_ref().map(|device| device.public());
        let Step::Signing { context, message, what } = core::mem::replace(&mut self.step, Step::Ended) else { return };
        self.timers.stop(Timer::Sign);
        let signed =
            signature.zip(public).filter(|(signature, public)| verify(public, context, &message, signature).is_ok());
        match (signed, what) {
            (None, _) => self.fail_from(EndReason::StorageFailed),
            (Some((signature, _)), ForSignature::Known { keyed, m2 }) => {
                self.gathering.known = Some(*signature);
                self.enter(keyed, m2);
            }
            (Some((signature, _)), ForSignature::Accept(acceptance)) => self.accept(*acceptance, *signature),
        }
    }
}
