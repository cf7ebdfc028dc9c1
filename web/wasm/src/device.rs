//! The device itself: opened from kept rows, linked, online.

use std::cell::RefCell;
use std::io::Cursor as Bytes;
use std::rc::Rc;

use js_sys::{Array, Function};
use pairlight_core::net::{
    LinkedDevice, Linking, RelayClient, RelayEndpoint, SharedStore, Sync, system_rng, system_time,
};
use pairlight_core::pairing::{AppEvidence, DeviceDescription};
use pairlight_core::store::{Cursor, Store};
use pairlight_core::sync::messages::{self, Attachment, Message};
use pairlight_core::trust::LinkedAbilities;
use pairlight_wire::evidence::PasskeyProof;
use pairlight_wire::id::{parse_hex, to_hex};
use pairlight_wire::offer::ClientKind;
use pairlight_wire::{Bytes as Limited, List, Text};
use rand_core::Rng;
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

use crate::fault::{fault, from_net, from_store, from_sync, misuse};
use crate::guard::Guard;
use crate::keeper::{self, Database, Secret};
use crate::shape;

/// A device that is, or wants to be, linked.
#[wasm_bindgen]
pub struct Device {
    device: LinkedDevice,
    store: SharedStore,
    guard: Guard,
    linking: RefCell<Option<Rc<Linking>>>,
    sync: RefCell<Option<Rc<Sync>>>,
}

fn id(digits: &str) -> Result<Vec<u8>, JsValue> {
    shape::from_hex(digits).ok_or_else(|| misuse("an id is hexadecimal digits"))
}

fn hash(digits: &str) -> Result<[u8; 32], JsValue> {
    parse_hex(digits).ok_or_else(|| misuse("a hash is 64 hexadecimal digits"))
}

/// What a number of JavaScript says; whole and not negative, or nothing.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; NaN is 0")]
fn whole(number: f64) -> u64 {
    number as u64
}

fn place(text: Option<String>) -> Result<Cursor, JsValue> {
    let Some(text) = text else { return Ok(Cursor::NEWEST) };
    let parts = text.split_once('.').and_then(|(order, change)| Some((order.parse().ok()?, change.parse().ok()?)));
    let (order, change) = parts.ok_or_else(|| misuse("a place is what a message says of itself"))?;
    Ok(Cursor { order, change })
}

fn list(values: impl Iterator<Item = Value>) -> String {
    Value::Array(values.collect()).to_string()
}

#[wasm_bindgen]
impl Device {
    /// Opens the device. `rows` are pairs of bytes as `keep` got them, none at first; `secret` is 32 bytes, always the same;
    /// `keep` takes a list of pairs of bytes (the second is null for a row that is gone), keeps all of them or none, and gives
    /// a promise. `make_key` and `sign` are what the browser guards the device's key with: the one gives a promise of the public
    /// key of a new key, null where there are none; the other takes a public key and bytes, and gives a promise of the
    /// signature. `relay` is its address; `relay_key` its attestation key, 64 hexadecimal digits, or nothing: then the
    /// relay is asked.
    pub async fn open(
        relay: String,
        relay_key: Option<String>,
        secret: Vec<u8>,
        rows: Array,
        keep: Function,
        make_key: Function,
        sign: Function,
    ) -> Result<Device, JsValue> {
        let secret = Secret::new(secret).ok_or_else(|| misuse("the secret is 32 bytes"))?;
        let endpoint = match relay_key {
            Some(key) => RelayEndpoint::new(&relay, hash(&key)?),
            None => RelayClient::discover(&relay).await,
        };
        let client = RelayClient::new(endpoint.map_err(from_net)?).map_err(from_net)?;
        let store = Store::from_kept(keeper::rows(&rows), &secret, Box::new(system_rng())).map_err(from_store)?;
        let store = SharedStore::kept_by(store, Rc::new(Database(keep)));
        let device = LinkedDevice::open(store.clone(), client).await.map_err(from_net)?;
        let device = device.with_abilities(LinkedAbilities { passkey: true, ..LinkedAbilities::default() });
        let guard = Guard { make: make_key, sign };
        let device = device.with_key_guard(guard.clone());
        Ok(Self { device, store, guard, linking: RefCell::default(), sync: RefCell::default() })
    }

    /// The public key that the browser guards for a link, complete or pending; nothing when there is no link, or its key lies in
    /// the sealed store. Any other key that is guarded is of no use.
    #[wasm_bindgen(js_name = guardedKey)]
    pub async fn guarded_key(&self) -> Result<Option<Vec<u8>>, JsValue> {
        let key = self.device.device_key().await.map_err(from_net)?;
        Ok(key.filter(|key| key.own().is_none()).map(|key| key.public().to_vec()))
    }

    /// How this device stands; nothing when it is not linked.
    pub async fn standing(&self) -> Result<Option<String>, JsValue> {
        let account = self.device.account().await.map_err(from_net)?;
        let standing = self.device.standing().await.map_err(from_net)?;
        let Some((account, standing)) = account.zip(standing) else { return Ok(None) };
        let entry = account.list().entry(&account.device_id());
        let shown = json!({
            "device": account.device_id().to_hex(),
            "isLocked": standing.locked,
            "restriction": standing.because.map(shape::key),
            "endsMs": standing.ends.unix_ms(),
            "linkedMs": entry.map(|entry| entry.created),
            "keyGuard": if account.device_key().own().is_some() { "sealed" } else { "browser" },
        });
        Ok(Some(shown.to_string()))
    }

    /// Shows codes until a primary device links this one, or goes on with a link that was interrupted; events come by
    /// `nextLinkEvent`.
    pub async fn link(&self, name: String, os: String, app: String) -> Result<(), JsValue> {
        let description = DeviceDescription { name, os, app, kind: ClientKind::Web };
        self.put_linking(None);
        let resumed = self.device.resume().await.map_err(from_net)?;
        let linking = match resumed {
            Some(linking) => linking,
            None if self.device.account().await.map_err(from_net)?.is_some() => {
                self.device.relink(description).await.map_err(from_net)?
            }
            None => match self.guard.make().await {
                Some(public) => self.device.link_guarded(public, description),
                None => self.device.link(description),
            },
        };
        self.put_linking(Some(linking));
        Ok(())
    }

    /// Whoever waits for an event holds on to the link: dropping it here would not end it.
    fn put_linking(&self, linking: Option<Linking>) {
        if let Some(old) = self.linking.replace(linking.map(Rc::new)) {
            old.end();
        }
    }

    fn linking(&self) -> Result<Rc<Linking>, JsValue> {
        self.linking.borrow().clone().ok_or_else(|| fault("Ended", "no link is under way"))
    }

    /// What happens next in a link; nothing after its end.
    #[wasm_bindgen(js_name = nextLinkEvent)]
    pub async fn next_link_event(&self) -> Result<Option<String>, JsValue> {
        let linking = self.linking()?;
        Ok(linking.next_event().await.map(|event| shape::linking(&event).to_string()))
    }

    /// The person typed the check code.
    #[wasm_bindgen(js_name = enterCheckCode)]
    pub async fn enter_check_code(&self, typed: String) -> Result<(), JsValue> {
        self.linking()?.enter_check_code(&typed).await.map_err(from_net)
    }

    /// The person asks for a new code.
    #[wasm_bindgen(js_name = showAgain)]
    pub async fn show_again(&self) -> Result<(), JsValue> {
        self.linking()?.show_again().await.map_err(from_net)
    }

    /// The person ends the attempt; the other side is told.
    #[wasm_bindgen(js_name = cancelLink)]
    pub async fn cancel_link(&self) -> Result<(), JsValue> {
        self.linking()?.cancel().await.map_err(from_net)
    }

    /// Ends the attempt without a word.
    #[wasm_bindgen(js_name = dropLink)]
    pub fn drop_link(&self) {
        self.put_linking(None);
    }

    /// A passkey assertion, the answer to `evidence-wanted`.
    #[wasm_bindgen(js_name = givePasskey)]
    pub async fn give_passkey(
        &self,
        credential: Vec<u8>,
        authenticator_data: Vec<u8>,
        client_data: Vec<u8>,
        signature: Vec<u8>,
    ) -> Result<(), JsValue> {
        let long = |_| misuse("a part of the assertion is too long");
        let proof = PasskeyProof {
            credential: Limited::new(credential).map_err(long)?,
            authenticator_data: Limited::new(authenticator_data).map_err(long)?,
            client_data: Limited::new(client_data).map_err(long)?,
            signature: Limited::new(signature).map_err(long)?,
        };
        self.linking()?.give_evidence(vec![AppEvidence::Passkey(Box::new(proof))]).await.map_err(from_net)
    }

    /// There is no such evidence here, or the person did not give it.
    #[wasm_bindgen(js_name = giveNothing)]
    pub async fn give_nothing(&self) -> Result<(), JsValue> {
        self.linking()?.give_evidence(Vec::new()).await.map_err(from_net)
    }

    /// Goes online and stays in step; events come by `nextEvent`.
    pub async fn connect(&self) -> Result<(), JsValue> {
        self.put_linking(None);
        self.put_sync(None);
        let sync = self.device.sync().await.map_err(from_net)?;
        self.put_sync(Some(sync));
        Ok(())
    }

    /// As [`Self::put_linking`].
    fn put_sync(&self, sync: Option<Sync>) {
        if let Some(old) = self.sync.replace(sync.map(Rc::new)) {
            old.end();
        }
    }

    /// Goes offline. What was written stays, and goes out the next time.
    pub fn disconnect(&self) {
        self.put_sync(None);
    }

    fn sync(&self) -> Result<Rc<Sync>, JsValue> {
        self.sync.borrow().clone().ok_or_else(|| fault("Ended", "this device is not online"))
    }

    /// What happens next on the line; nothing after the last.
    #[wasm_bindgen(js_name = nextEvent)]
    pub async fn next_event(&self) -> Result<Option<String>, JsValue> {
        let sync = self.sync()?;
        Ok(sync.next_event().await.map(|update| shape::update(update).to_string()))
    }

    /// The conversations, latest first.
    pub async fn conversations(&self) -> Result<String, JsValue> {
        let talks = self.sync()?.conversations().await.map_err(from_net)?;
        Ok(list(talks.iter().map(shape::conversation)))
    }

    /// A page of messages older than `before` (nothing: the newest), newest first.
    pub async fn messages(
        &self,
        conversation: String,
        before: Option<String>,
        limit: usize,
    ) -> Result<String, JsValue> {
        let page = self.sync()?.messages(id(&conversation)?, place(before)?, limit).await.map_err(from_net)?;
        Ok(list(page.iter().map(shape::message)))
    }

    /// Messages that contain a text, newest first; on this device alone.
    pub async fn search(&self, text: String, limit: usize) -> Result<String, JsValue> {
        let found = self.sync()?.search(text, limit).await.map_err(from_net)?;
        Ok(list(found.iter().map(shape::message)))
    }

    /// Writes a message. Gives its id. `attachments` is a list as messages have it.
    pub async fn send(
        &self,
        conversation: String,
        sender: String,
        text: String,
        attachments: String,
    ) -> Result<String, JsValue> {
        // A text that is too long is refused, never cut: nobody must send what they did not write.
        if text.len() > messages::TEXT_BYTES {
            return Err(misuse("the text is longer than 32 KiB"));
        }
        let bad = || misuse("attachments are a list of name, mediaType, size and hash");
        let given: Vec<Value> = serde_json::from_str(&attachments).map_err(|_| bad())?;
        let mut files = Vec::with_capacity(given.len());
        for file in &given {
            let text = |name: &str| file.get(name).and_then(Value::as_str).ok_or_else(bad);
            files.push(Attachment {
                name: Text::truncated(text("name")?),
                media_type: Text::truncated(text("mediaType")?),
                size: file.get("size").and_then(Value::as_u64).ok_or_else(bad)?,
                hash: hash(text("hash")?)?,
            });
        }
        let mut message = Message::text(&sender, &text);
        message.attachments = List::new(files).map_err(|_| misuse("more than 32 attachments"))?;
        let mut new = [0; 16];
        system_rng().fill_bytes(&mut new);
        let change = messages::put_message(&id(&conversation)?, &new, system_time().unix_ms(), &message);
        self.sync()?.write(vec![change.map_err(from_sync)?]).await.map_err(from_net)?;
        Ok(to_hex(&new))
    }

    /// Marks a conversation as read up to a time.
    #[wasm_bindgen(js_name = markRead)]
    pub async fn mark_read(&self, conversation: String, up_to_ms: f64) -> Result<(), JsValue> {
        let change = messages::put_read_mark(&id(&conversation)?, whole(up_to_ms)).map_err(from_sync)?;
        self.sync()?.write(vec![change]).await.map_err(from_net)
    }

    /// How the transfer of history to this device is doing.
    pub async fn history(&self) -> Result<String, JsValue> {
        Ok(list(self.sync()?.history().await.map_err(from_net)?.iter().map(shape::history)))
    }

    /// Whether the account has all that was written here.
    #[wasm_bindgen(js_name = isInStep)]
    pub async fn is_in_step(&self) -> Result<bool, JsValue> {
        self.sync()?.is_in_step().await.map_err(from_net)
    }

    /// Takes the content of a file. Gives what an attachment says of it: its hash.
    #[wasm_bindgen(js_name = addFile)]
    pub async fn add_file(&self, content: Vec<u8>) -> Result<String, JsValue> {
        let info = self.sync()?.add_file(Bytes::new(content)).await.map_err(from_net)?;
        Ok(to_hex(&info.hash))
    }

    /// Asks for the content of a file, if it is not here.
    #[wasm_bindgen(js_name = wantFile)]
    pub async fn want_file(&self, digits: String, size: f64) -> Result<String, JsValue> {
        let info = self.sync()?.want_file(hash(&digits)?, whole(size)).await.map_err(from_net)?;
        Ok(shape::file(&info).to_string())
    }

    /// What is known of a file; nothing when it is not.
    pub async fn file(&self, digits: String) -> Result<Option<String>, JsValue> {
        let info = self.sync()?.file(hash(&digits)?).await.map_err(from_net)?;
        Ok(info.map(|info| shape::file(&info).to_string()))
    }

    /// A piece of a file, counted from 0; nothing behind its end, and where it is not here yet.
    #[wasm_bindgen(js_name = filePiece)]
    pub async fn file_piece(&self, digits: String, index: f64) -> Result<Option<Vec<u8>>, JsValue> {
        let piece = self.sync()?.file_piece(hash(&digits)?, whole(index)).await.map_err(from_net)?;
        Ok(piece.map(|piece| piece.to_vec()))
    }

    /// Erases everything that this device knows. Its account's list names it until the primary device removes it.
    pub async fn forget(&self) -> Result<(), JsValue> {
        self.put_linking(None);
        self.put_sync(None);
        self.device.forget().await.map_err(from_net)?;
        // Waits until that is kept.
        self.store.run(|_| Ok(())).await.map_err(from_net)
    }
}
