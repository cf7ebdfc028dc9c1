//! A link from one end to the other.

use pairlight_bindings::*;

/// Links a device that has begun to show codes. Gives its id.
pub(crate) async fn join(phone: &PrimaryAccount, linking: &LinkingFlow) -> String {
    let text = loop {
        if let Some(LinkingEvent::ShowCode { code }) = linking.next_event().await.unwrap() {
            break code.text;
        }
    };
    let pairing = phone.link(text.into_bytes(), Source::LiveCamera).await.unwrap();
    let mut linked = None;
    while let Some(event) = pairing.next_event().await.unwrap() {
        match event {
            PairingEvent::Review { .. } => pairing.approve().await.unwrap(),
            PairingEvent::ShowCheckCode { digits } => {
                while linking.next_event().await.unwrap() != Some(LinkingEvent::EnterCheckCode) {}
                linking.enter_check_code(digits).await.unwrap();
            }
            PairingEvent::Linked { device } => linked = Some(device),
            PairingEvent::Failed { reason } => panic!("{reason:?}"),
            _ => {}
        }
    }
    while linking.next_event().await.unwrap().is_some() {}
    linked.unwrap()
}
