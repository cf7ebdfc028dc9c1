//! Records of the account on this device: write, list, watch; and how the history is doing.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pairlight_wire::file::PIECE_BYTES;
use pairlight_wire::id::DeviceId;
use tokio::sync::{Mutex, broadcast};
use zeroize::Zeroizing;

use super::clock::{system_rng, system_time};
use super::connection::{Connection, ConnectionEvent};
use super::error::NetError;
use super::files;
use super::host::{Task, spawn};
use super::linked::LinkedDevice;
use super::shared::SharedStore;
use super::syncing::{SyncUpdate, Syncing};
use crate::store::{Cursor, LoggedRecord, Store};
use crate::sync::messages::{self, ConversationInfo, Entry, Message};
use crate::sync::{self, Change, FileInfo, FileWriter, HistoryProgress, SyncError, SyncRole, Turn};

/// What happens on a synchronised connection.
#[derive(Debug)]
pub enum SyncUpdates {
    /// Records, signals, history.
    Update(SyncUpdate),
    /// The connection itself, and messages that are not of the synchronisation.
    Line(ConnectionEvent),
}

/// A device that is online and keeps its records in step. Dropping it goes offline; what was written stays and goes out
/// the next time. Once the permission of a linked device has ended everything here is [`NetError::Locked`], also without a
/// relay.
#[derive(Debug)]
pub struct Sync {
    connection: Connection,
    store: SharedStore,
    shared: Arc<Syncing>,
    updates: Mutex<broadcast::Receiver<SyncUpdate>>,
    /// Until when the records may be used without another look, ms since 1970: a line that ended, or never came up, must not
    /// outlive the permission of its device.
    permitted_until: AtomicU64,
    history: Task,
    files: Task,
}

impl Drop for Sync {
    fn drop(&mut self) {
        self.end();
    }
}

impl Sync {
    pub(super) fn start(connection: Connection, store: SharedStore, shared: Arc<Syncing>) -> Self {
        let updates = Mutex::new(shared.updates());
        let history = Arc::clone(&shared).transfer(store.clone(), connection.blobs().clone());
        let files = files::transfer(Arc::clone(&shared), store.clone(), connection.blobs().clone());
        let (history, files) = (spawn(history), spawn(files));
        Self { connection, store, shared, updates, permitted_until: AtomicU64::new(0), history, files }
    }

    /// The next event; `None` after the last. Safe to cancel. A device whose events are not taken stands still.
    pub async fn next_event(&self) -> Option<SyncUpdates> {
        let mut updates = self.updates.lock().await;
        tokio::select! {
            update = updates.recv() => Some(SyncUpdates::Update(match update {
                Ok(update) => update,
                Err(_) => SyncUpdate::Missed,
            })),
            event = self.connection.next_event() => event.map(SyncUpdates::Line),
        }
    }

    /// Goes offline now, as dropping it does, also while somebody waits for [`Sync::next_event`]: that gives what had come
    /// before, then `None`. Nothing that comes later is taken; what was written stays and goes out the next time.
    pub fn end(&self) {
        self.history.abort();
        self.files.abort();
        self.connection.end();
        self.shared.go_offline();
    }

    /// The connection below.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// # Errors
    /// [`NetError::Locked`] when the permission of this linked device has ended; a primary device has no end.
    async fn permitted(&self) -> Result<(), NetError> {
        let now = self.shared.now();
        if self.shared.replica().is_primary() || now.unix_ms() < self.permitted_until.load(Ordering::Relaxed) {
            return Ok(());
        }
        let until = LinkedDevice::permitted_until(&self.store, now).await;
        // What has ended stays ended, also for a clock that is set back to before its end.
        self.permitted_until.store(*until.as_ref().unwrap_or(&0), Ordering::Relaxed);
        until.map(drop)
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, SyncError> + Send + 'static,
    ) -> Result<T, NetError> {
        self.permitted().await?;
        Ok(self.store.run(move |store| Ok(read(store))).await??)
    }

    async fn turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T, SyncError> + Send + 'static,
    ) -> Result<T, NetError> {
        self.permitted().await?;
        let shared = Arc::clone(&self.shared);
        Ok(self.store.run(move |store| Ok(shared.turn(store, work))).await??)
    }

    /// Writes. When this returns, the changes are durable here; the other devices get them when they and this one are
    /// online.
    ///
    /// # Errors
    /// [`NetError::Store`], [`NetError::Sync`]; nothing was written then.
    pub async fn write(&self, changes: Vec<Change>) -> Result<(), NetError> {
        self.permitted().await?;
        let shared = Arc::clone(&self.shared);
        Ok(self.store.run(move |store| Ok(shared.write(store, changes))).await??)
    }

    /// Sends a signal to the devices that are online; worthless after `life_ms`, never stored.
    ///
    /// # Errors
    /// [`NetError::Sync`] for a long one.
    pub async fn signal(&self, name: &str, life_ms: u64, body: &[u8]) -> Result<(), NetError> {
        // Nobody would hear it, and each one sealed in vain leaves a gap in the ratchet.
        if !self.shared.is_online() {
            return Ok(());
        }
        let (replica, name, body) = (self.shared.replica(), name.to_owned(), body.to_vec());
        self.turn(move |turn| replica.signal(turn, &name, life_ms, &body, &mut system_rng())).await
    }

    /// The present version of a record; `None` when there is none or it is deleted.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn record(&self, collection: &'static str, id: Vec<u8>) -> Result<Option<LoggedRecord>, NetError> {
        let record = self.read(move |store| Ok(store.record(collection, &id)?)).await?;
        Ok(record.filter(|logged| logged.record.content.is_some()))
    }

    /// The conversations, latest first.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn conversations(&self) -> Result<Vec<ConversationInfo>, NetError> {
        self.read(messages::conversations).await
    }

    /// A page of messages older than `before`, newest first.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn messages(
        &self,
        conversation: Vec<u8>,
        before: Cursor,
        limit: usize,
    ) -> Result<Vec<Entry<Message>>, NetError> {
        self.read(move |store| messages::messages(store, &conversation, before, limit)).await
    }

    /// Messages that contain a text, newest first.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn search(&self, text: String, limit: usize) -> Result<Vec<Entry<Message>>, NetError> {
        self.read(move |store| messages::search(store, &text, limit)).await
    }

    /// How the transfers of history are doing: to each linked device, or to this one.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn history(&self) -> Result<Vec<HistoryProgress>, NetError> {
        let replica = self.shared.replica();
        match replica.role() {
            SyncRole::Primary(_) => self.read(move |store| replica.sending(store)).await,
            SyncRole::Linked => self.read(move |store| Ok(replica.receiving(store)?.into_iter().collect())).await,
        }
    }

    /// Takes a file: the content of an attachment. When this returns it is durable here. From a linked device it goes to the
    /// primary device by itself; every other device gets it when it asks ([`Sync::want_file`]).
    ///
    /// # Errors
    /// [`NetError::File`] when `content` cannot be read, [`NetError::Sync`] for one over 4 GiB, [`NetError::Store`].
    pub async fn add_file(&self, content: impl Read + Send + 'static) -> Result<FileInfo, NetError> {
        self.permitted().await?;
        let info = add_file(&self.store, content).await?;
        tell_file(&self.store, &self.shared, info.hash).await?;
        Ok(info)
    }

    /// As [`Sync::add_file`], for a content that comes bit by bit and may be slow: the store is free in between.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn begin_file(&self) -> Result<FileDraft, NetError> {
        self.permitted().await?;
        let writer = begin_file(&self.store).await?;
        Ok(FileDraft { store: self.store.clone(), shared: Arc::clone(&self.shared), writer: Some(writer) })
    }

    /// Wants a file that a record names. Its pieces come by [`SyncUpdate::File`]; after a restart it goes on where it was.
    ///
    /// # Errors
    /// [`NetError::Sync`] for one over 4 GiB, [`NetError::Store`].
    pub async fn want_file(&self, hash: [u8; 32], size: u64) -> Result<FileInfo, NetError> {
        let replica = self.shared.replica();
        self.turn(move |turn| replica.want_file(turn, &hash, size, &mut system_rng())).await
    }

    /// What is known of a file here; `None`: nothing.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn file(&self, hash: [u8; 32]) -> Result<Option<FileInfo>, NetError> {
        self.read(move |store| sync::file(store, &hash)).await
    }

    /// A piece of a file, 256 KiB or less, counted from 0; `None` behind its end, and where it is not here yet.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn file_piece(&self, hash: [u8; 32], index: u64) -> Result<Option<Zeroizing<Vec<u8>>>, NetError> {
        self.read(move |store| sync::file_piece(store, &hash, index)).await
    }

    /// Stops a transfer of history: to `device`, or to this one. What is stored stays.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn cancel_history(&self, device: DeviceId) -> Result<(), NetError> {
        let replica = self.shared.replica();
        self.turn(move |turn| replica.cancel(turn, &device, &mut system_rng())).await
    }

    /// Begins a transfer of history anew, without a new link.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn retry_history(&self, device: DeviceId) -> Result<(), NetError> {
        let replica = self.shared.replica();
        self.turn(move |turn| replica.retry(turn, &device, &mut system_rng())).await?;
        self.shared.look();
        Ok(())
    }

    /// On a primary device: the person proved presence (biometry, device lock) to free what the policy holds back of the
    /// history of `device`. The caller answers for the proof.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn presence_shown(&self, device: DeviceId) -> Result<(), NetError> {
        let replica = self.shared.replica();
        self.turn(move |turn| replica.presence_shown(turn, &device)).await?;
        self.shared.look();
        Ok(())
    }

    /// Asks the primary device for older records of a group. They arrive as changes.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn ask_older(
        &self,
        collection: &'static str,
        group: Vec<u8>,
        before: u64,
        count: u64,
    ) -> Result<(), NetError> {
        let replica = self.shared.replica();
        self.turn(move |turn| replica.ask_older(turn, collection, &group, before, count, &mut system_rng())).await
    }

    /// Whether every device has confirmed what was written here.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn is_in_step(&self) -> Result<bool, NetError> {
        let replica = self.shared.replica();
        self.read(move |store| replica.is_in_step(store)).await
    }

    /// Whether everything written here is at the relay, with the words on what came, for each device that is not too far
    /// behind.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn has_left(&self) -> Result<bool, NetError> {
        let replica = self.shared.replica();
        self.read(move |store| replica.has_left(store)).await
    }

    /// Deletes damaged records and asks the other devices for everything again. Gives how many were lost here.
    ///
    /// # Errors
    /// [`NetError::Store`].
    pub async fn repair(&self) -> Result<u64, NetError> {
        self.permitted().await?;
        let shared = Arc::clone(&self.shared);
        let repaired = self.store.run(move |store| {
            let lost = shared.replica().repair(store);
            Ok(lost.and_then(|lost| shared.pump(store, true).map(|()| lost)))
        });
        let lost = repaired.await??;
        self.shared.tell(SyncUpdate::Missed);
        Ok(lost)
    }
}

/// A file that is taken bit by bit. Dropped before [`FileDraft::finish`] it leaves nothing but what is removed later.
pub struct FileDraft {
    store: SharedStore,
    shared: Arc<Syncing>,
    /// `None` after a failure, or a call that was not waited for.
    writer: Option<FileWriter>,
}

impl FileDraft {
    /// Takes the next bytes. A draft that failed once is of no use any more.
    ///
    /// # Errors
    /// [`NetError::Sync`] when the file grows over 4 GiB, [`NetError::Store`], [`NetError::Ended`] after a failure.
    pub async fn write(&mut self, bytes: Vec<u8>) -> Result<(), NetError> {
        let mut writer = self.writer.take().ok_or(NetError::Ended)?;
        let bytes = Zeroizing::new(bytes);
        let write = move |store: &mut Store| Ok(writer.write(store, &bytes).map(|()| writer));
        self.writer = Some(self.store.run(write).await??);
        Ok(())
    }

    /// Ends the file. When this returns it is durable here; it goes on as one of [`Sync::add_file`].
    ///
    /// # Errors
    /// [`NetError::Store`], [`NetError::Ended`] after a failure.
    pub async fn finish(mut self) -> Result<FileInfo, NetError> {
        let writer = self.writer.take().ok_or(NetError::Ended)?;
        let info = self.store.run(move |store| Ok(writer.finish(store))).await??;
        tell_file(&self.store, &self.shared, info.hash).await?;
        Ok(info)
    }
}

impl std::fmt::Debug for FileDraft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileDraft(..)")
    }
}

async fn tell_file(store: &SharedStore, shared: &Arc<Syncing>, hash: [u8; 32]) -> Result<(), NetError> {
    let shared = Arc::clone(shared);
    let replica = shared.replica();
    let tell = move |turn: &mut Turn<'_>| replica.tell_file(turn, &hash, &mut system_rng());
    Ok(store.run(move |store| Ok(shared.turn(store, tell))).await??)
}

async fn begin_file(store: &SharedStore) -> Result<FileWriter, NetError> {
    let now = system_time().unix_ms();
    Ok(store.run(move |store| Ok(FileWriter::begin(store, now, &mut system_rng()))).await??)
}

/// Takes a file into a store that is not online: it is told of at the next connection.
///
/// # Errors
/// As for [`Sync::add_file`].
pub async fn add_file(store: &SharedStore, mut content: impl Read + Send + 'static) -> Result<FileInfo, NetError> {
    let mut writer = begin_file(store).await?;
    loop {
        let step = move |store: &mut Store| {
            let mut piece = Zeroizing::new(Vec::with_capacity(PIECE_BYTES));
            let read = content.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece);
            Ok(match read {
                Err(error) => Err(NetError::File(error)),
                Ok(0) => writer.finish(store).map(Step::Done).map_err(NetError::from),
                Ok(_) => match writer.write(store, &piece) {
                    Ok(()) => Ok(Step::More(writer, content)),
                    Err(error) => Err(NetError::from(error)),
                },
            })
        };
        match store.run(step).await?? {
            Step::Done(info) => return Ok(info),
            Step::More(next, rest) => (writer, content) = (next, rest),
        }
    }
}

enum Step<R> {
    More(FileWriter, R),
    Done(FileInfo),
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::Timestamp;
    use crate::net::client::{RelayClient, RelayEndpoint};
    use crate::net::clock::Clock;
    use crate::pairing::LinkedAccount;
    use crate::pairing::tests::linked_pair;
    use crate::store::KeyFile;

    /// A device whose relay is not there, and its folder.
    async fn unreachable(linked: &LinkedAccount, clock: Clock) -> (tempfile::TempDir, LinkedDevice) {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyFile::open_or_create(&folder.path().join("key"), Box::new(system_rng())).unwrap();
        let mut store = Store::open(&folder.path().join("db"), &key, Box::new(system_rng())).unwrap();
        store.put_linked_account(linked).unwrap();
        let client = RelayClient::new(RelayEndpoint::new("http://127.0.0.1:9", [7; 32]).unwrap()).unwrap();
        (folder, LinkedDevice::open_at(SharedStore::new(store), client, clock).await.unwrap())
    }

    /// A screen that shows what is here hears of it also when nobody else has a part in it.
    #[tokio::test]
    async fn what_this_device_does_by_itself_is_told_here_as_what_others_do() {
        async fn next(line: &Sync) -> SyncUpdate {
            loop {
                if let SyncUpdates::Update(update) = line.next_event().await.unwrap() {
                    return update;
                }
            }
        }
        let (_, linked, _) = linked_pair(7);
        let now = linked.created();
        let (_folder, device) = unreachable(&linked, Arc::new(move || now)).await;
        let line = device.sync().await.unwrap();

        line.write(vec![messages::put_conversation(b"talk", "Kim", 1).unwrap()]).await.unwrap();
        let SyncUpdate::Changed(changed) = next(&line).await else { panic!("a change is told as one") };
        assert_eq!((changed[0].id.as_slice(), changed[0].is_own), (&b"talk"[..], true));

        assert!(line.want_file([1; 32], 10).await.unwrap().is_wanted);
        assert!(matches!(next(&line).await, SyncUpdate::File(hash) if hash == [1; 32]));
        // Nothing else is known of it when it is asked for once more.
        line.want_file([1; 32], 10).await.unwrap();
        let added = line.add_file(&b"bring the key"[..]).await.unwrap();
        assert!(matches!(next(&line).await, SyncUpdate::File(hash) if hash == added.hash));

        line.repair().await.unwrap();
        assert!(matches!(next(&line).await, SyncUpdate::Missed));
    }

    /// A device whose line never comes up, or has ended, keeps its handle: as an app that was in the background.
    #[tokio::test]
    async fn the_records_of_a_device_whose_permission_ended_are_closed_also_while_it_is_offline() {
        let (_, linked, _) = linked_pair(7);
        let (linked_at, ends) = (linked.created().unix_ms(), linked.ends());
        let time = Arc::new(AtomicU64::new(linked_at));
        let clock: Clock = {
            let time = Arc::clone(&time);
            Arc::new(move || Timestamp::from_unix_ms(time.load(Ordering::Relaxed)))
        };
        let (_folder, device) = unreachable(&linked, clock).await;
        let line = device.sync().await.unwrap();
        line.end();
        let talk = || vec![messages::put_conversation(b"talk", "Kim", 1).unwrap()];
        line.write(talk()).await.unwrap();
        assert_eq!(line.conversations().await.unwrap().len(), 1);
        let at = |ms| time.store(ms, Ordering::Relaxed);
        let grace = pairlight_wire::limits::LEASE_GRACE_MS;
        at(ends + grace - 1);
        assert_eq!(line.conversations().await.unwrap().len(), 1, "until the end");
        at(ends + grace);
        assert!(matches!(line.conversations().await, Err(NetError::Locked)));
        assert!(matches!(line.search("Kim".into(), 9).await, Err(NetError::Locked)));
        assert!(matches!(line.write(talk()).await, Err(NetError::Locked)));
        assert!(matches!(line.add_file(&b"private"[..]).await, Err(NetError::Locked)));
        assert!(matches!(line.file_piece([1; 32], 0).await, Err(NetError::Locked)));
        assert!(matches!(line.repair().await, Err(NetError::Locked)));
        // A clock that is set back opens nothing.
        at(linked_at);
        assert!(matches!(line.conversations().await, Err(NetError::Locked)), "nor what was open before");
        assert!(matches!(device.sync().await, Err(NetError::Locked)));
        // In the end there is nothing to open.
        at(linked_at + 91 * 86_400_000);
        assert!(matches!(line.conversations().await, Err(NetError::NoAccount)));
    }
}
