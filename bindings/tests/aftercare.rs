//! What comes after a link, through the binding objects: files of messages, edits, alerts, a removal, and a lost phone.

mod common;
#[path = "common/join.rs"]
mod join;
#[path = "common/wait.rs"]
mod wait;

use std::sync::Arc;

use common::{SoftKey, start_relay};
use join::join;
use pairlight_bindings::*;
use wait::until;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    async fn phone(&self, relay: &RelayAddress) -> PrimaryAccount {
        let (path, key, preset) = (self.path("phone.db"), Arc::new(SoftKey), PolicyPreset::Development);
        PrimaryAccount::open(path, key, relay.clone(), preset, "Phone".into(), PrimaryHooks::default()).await.unwrap()
    }

    async fn linked(&self, name: &str, relay: &RelayAddress, phone: &PrimaryAccount) -> (LinkedAccount, String) {
        let device = LinkedAccount::open(self.path(name), Arc::new(SoftKey), relay.clone(), LinkedHooks::default())
            .await
            .unwrap();
        let linking = device.link(name.into(), "Linux".into(), "test".into()).await.unwrap();
        let id = join(phone, &linking).await;
        (device, id)
    }
}

async fn take(line: &Sync, name: &str, content: &[u8]) -> Attachment {
    let file = line.begin_file().await.unwrap();
    for piece in content.chunks(100_000) {
        file.write(piece.to_vec()).await.unwrap();
    }
    let taken = file.finish(name.into(), "image/jpeg".into()).await.unwrap();
    assert_eq!(file.finish(name.into(), String::new()).await, Err(PairlightError::Ended), "it ends once");
    assert_eq!(file.write(vec![1]).await, Err(PairlightError::Ended));
    taken
}

async fn read(line: &Sync, file: &str) -> Vec<u8> {
    let mut content = Vec::new();
    for index in 0.. {
        let Some(piece) = line.file_piece(file.into(), index).await.unwrap() else { break };
        content.extend(piece);
    }
    content
}

async fn until_here(line: &Sync, file: &str) {
    while !line.file(file.into()).await.unwrap().is_some_and(|state| state.is_complete) {
        until(line, |event| match event {
            SyncEvent::FileMoved { file: moved } if moved == file => Some(()),
            _ => None,
        })
        .await;
    }
}

/// An app that takes the events of its line and does nothing with them: without that a device stands still.
fn attended(line: Arc<Sync>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { while let Ok(Some(_)) = line.next_event().await {} })
}

/// Waits for a change of messages, and gives those of `talk`.
async fn changed(line: &Sync, talk: &str) -> Vec<Message> {
    until(line, |event| match event {
        SyncEvent::Changed { records } => records.iter().any(|record| record.collection == "message").then_some(()),
        _ => None,
    })
    .await;
    line.messages(talk.into(), None, 10).await.unwrap()
}

#[tokio::test]
async fn files_go_both_ways_and_messages_are_answered_and_edited() {
    let (_relay, address) = start_relay().await;
    let folder = Folder::new();
    let phone = folder.phone(&address).await;
    let (laptop, _) = folder.linked("laptop", &address, &phone).await;
    let (here, there) = (phone.sync().await.unwrap(), laptop.sync().await.unwrap());

    let photo: Vec<u8> = (0..600_000_u32).flat_map(|word| word.to_le_bytes()).collect();
    let taken = take(&there, "photo.jpg", &photo).await;
    assert_eq!(taken.size, photo.len() as u64);
    let talk = there.begin_conversation("Kim".into()).await.unwrap();
    let first = there.send(talk.clone(), "me".into(), "look".into(), None, vec![taken.clone()]).await.unwrap();
    assert_eq!(changed(&there, &talk).await[0].id, first, "what is written here is told here");
    let page = changed(&here, &talk).await;
    assert_eq!((page[0].text.as_str(), &page[0].attachments), ("look", &vec![taken.clone()]));
    // What a linked device adds comes to the phone by itself.
    until_here(&here, &taken.file).await;
    assert!(read(&here, &taken.file).await == photo, "it came whole");

    // What the phone adds comes when it is asked for.
    let note = take(&here, "note.txt", b"bring the key").await;
    let answer = here
        .send(talk.clone(), "Kim".into(), "and read".into(), Some(first.clone()), vec![note.clone()])
        .await
        .unwrap();
    assert_eq!(changed(&here, &talk).await[0].id, answer);
    let page = changed(&there, &talk).await;
    assert_eq!((&page[0].id, page[0].reply_to.as_ref()), (&answer, Some(&first)));
    assert_eq!(there.file(note.file.clone()).await.unwrap(), None, "nobody asked yet");
    let wanted = there.want_file(note.file.clone(), note.size).await.unwrap();
    assert!(wanted.is_wanted && !wanted.is_complete);
    until_here(&there, &note.file).await;
    assert_eq!(read(&there, &note.file).await, b"bring the key");

    there.edit_message(first.clone(), "look at this".into()).await.unwrap();
    assert_eq!(changed(&there, &talk).await[1].text, "look at this");
    let page = changed(&here, &talk).await;
    let edited = page.iter().find(|message| message.id == first).unwrap();
    assert_eq!((edited.text.as_str(), &edited.attachments), ("look at this", &vec![taken]));
    assert!(edited.edited_ms.is_some());

    // What makes no sense.
    let misuse = |outcome: Result<(), PairlightError>| assert!(matches!(outcome, Err(PairlightError::Misuse { .. })));
    misuse(there.edit_message("00".repeat(16), "x".into()).await);
    misuse(there.file("nonsense".into()).await.map(|_| ()));
    misuse(there.want_file(note.file.clone(), 5 << 30).await.map(|_| ()));
    let many = vec![note; 33];
    misuse(here.send(talk, "Kim".into(), String::new(), None, many).await.map(|_| ()));
}

#[tokio::test]
async fn the_others_are_alerted_of_a_link_and_of_a_removal() {
    let (_relay, address) = start_relay().await;
    let folder = Folder::new();
    let phone = folder.phone(&address).await;
    let (laptop, _) = folder.linked("laptop", &address, &phone).await;
    let here = attended(Arc::new(phone.sync().await.unwrap()));
    let there = laptop.sync().await.unwrap();
    let alert = |wanted: AlertKind| {
        move |event| match event {
            SyncEvent::Line { event: LineEvent::Alerted { alert } } if alert.kind == wanted => Some(alert),
            _ => None,
        }
    };
    // A device reports by itself as soon as it is online: its permission is renewed.
    let restriction = until(&there, |event| match event {
        SyncEvent::Line { event: LineEvent::Leased { restriction, .. } } => Some(restriction),
        _ => None,
    })
    .await;
    assert_eq!(restriction, None);
    assert!(phone.devices().await.unwrap().iter().any(|device| device.last_check_in_ms.is_some()));
    let (_tablet, id) = folder.linked("tablet", &address, &phone).await;
    let heard = until(&there, alert(AlertKind::Linked)).await;
    assert_eq!((heard.device.as_ref(), heard.text.as_str()), (Some(&id), "a device was linked"));
    phone.revoke(id.clone()).await.unwrap();
    let heard = until(&there, alert(AlertKind::Removed)).await;
    assert_eq!((heard.device, heard.text.as_str()), (Some(id), "a device was removed: removed by hand"));
    here.abort();
    assert_eq!(phone.fork().await.unwrap(), None);
    let standing = laptop.standing().await.unwrap().unwrap();
    assert_eq!((standing.fork, standing.is_locked), (None, false));
}

#[tokio::test]
async fn twenty_four_words_bring_the_account_to_another_phone() {
    let (_relay, address) = start_relay().await;
    let folder = Folder::new();
    let phone = folder.phone(&address).await;
    let (laptop, id) = folder.linked("laptop", &address, &phone).await;
    let words = phone.create_recovery().await.unwrap();
    assert_eq!(words.split(' ').count(), 24);
    let recover = |words: &str| {
        let (path, key, preset) = (folder.path("new.db"), Arc::new(SoftKey), PolicyPreset::Development);
        recover_account(words.into(), path, key, address.clone(), preset, "New phone".into(), PrimaryHooks::default())
    };
    let mistyped = recover("abandon ".repeat(24).trim()).await;
    assert!(matches!(mistyped.map(|_| ()), Err(PairlightError::Misuse { .. })), "a checksum shows that it is mistyped");
    let recovered = recover(&words).await.unwrap();
    assert!(recovered.words != words, "the old ones are spent");
    let devices = recovered.account.devices().await.unwrap();
    let named: Vec<_> = devices.iter().map(|device| (device.is_primary, device.name.as_deref())).collect();
    assert_eq!(named, [(false, Some("laptop")), (true, Some("New phone"))]);
    let there = attended(Arc::new(recovered.account.sync().await.unwrap()));
    let line = laptop.sync().await.unwrap();
    until(&line, |event| match event {
        SyncEvent::Line { event: LineEvent::Alerted { alert } } => (alert.kind == AlertKind::RootChanged).then_some(()),
        _ => None,
    })
    .await;
    assert!(devices.iter().any(|device| device.id == id));
    there.abort();
    recovered.account.rotate_root().await.unwrap();
    assert_eq!(recovered.account.devices().await.unwrap().len(), 2);
}
