//! Sealed messages between two devices over a real relay, beyond the first connection.

use std::time::Duration;

use pairlight_core::net::{Connection, ConnectionEvent};
use pairlight_core::trust::Policy;
use pairlight_tests::world::{Person, World, play};
use pairlight_wire::envelope::EnvelopeKind;

async fn message(connection: &mut Connection) -> Vec<u8> {
    let wanted = async {
        loop {
            match connection.next_event().await.expect("the connection ended too early") {
                ConnectionEvent::Message { body, .. } => return body,
                ConnectionEvent::Online | ConnectionEvent::Offline { .. } | ConnectionEvent::ListChanged { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wanted).await.expect("the message never came")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_message_of_a_later_connection_is_not_taken_for_a_repetition() {
    let world = World::start().await;
    let primary = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();
    let laptop = world.linked("laptop").await.unwrap();
    let account = play(&primary, &laptop, "laptop", Person::Agrees).await.linked.unwrap();
    let mut phone_line = primary.connect().await.unwrap();
    for body in [b"first", b"again"] {
        // A new connection numbers its posts anew; the relay remembers the numbers of the one before.
        let laptop_line = laptop.connect().await.unwrap();
        laptop_line.send(account.primary().unwrap(), EnvelopeKind::Application, body).await.unwrap();
        assert_eq!(message(&mut phone_line).await, body);
    }
}
