//! In a browser: one thread, `fetch`, `WebSocket`, `setTimeout`, in a page or in a worker of one.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{AbortHandle, Either, abortable, select};
use js_sys::{Array, ArrayBuffer, Object, Promise, Reflect, Uint8Array};
use tokio::sync::{mpsc, oneshot};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

use super::super::error::NetError;
use super::{Elapsed, FRAME_BYTES, Incoming, Method, REQUEST, Request};
use crate::trust::{LanProbe, LanResponder, LanVerdict};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &js_sys::Function, ms: f64) -> f64;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(id: f64);
    fn fetch(url: &str, init: &JsValue) -> Promise;

    type FetchResponse;
    #[wasm_bindgen(method, getter)]
    fn status(this: &FetchResponse) -> u16;
    #[wasm_bindgen(method, getter)]
    fn headers(this: &FetchResponse) -> FetchHeaders;
    #[wasm_bindgen(method, js_name = arrayBuffer)]
    fn array_buffer(this: &FetchResponse) -> Promise;

    type FetchHeaders;
    #[wasm_bindgen(method)]
    fn get(this: &FetchHeaders, name: &str) -> Option<String>;
}

/// A timer; dropping it takes it back.
pub(in crate::net) struct Sleep {
    rung: oneshot::Receiver<()>,
    id: f64,
    _callback: Closure<dyn FnMut()>,
}

/// Waits.
pub(in crate::net) fn sleep(pause: Duration) -> Sleep {
    let (ring, rung) = oneshot::channel();
    let mut ring = Some(ring);
    let callback = Closure::new(move || {
        if let Some(ring) = ring.take() {
            // Nobody waits any more: no fault.
            let _ = ring.send(());
        }
    });
    // Browsers hold the number in 32 bits; more is at once.
    let ms = u32::try_from(pause.as_millis()).unwrap_or(u32::MAX).min(i32::MAX.unsigned_abs());
    let id = set_timeout(callback.as_ref().unchecked_ref(), f64::from(ms));
    Sleep { rung, id, _callback: callback }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.rung).poll(cx).map(drop)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        clear_timeout(self.id);
    }
}

/// Waits for `work`, but no longer.
pub(in crate::net) async fn timeout<T>(patience: Duration, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    match select(std::pin::pin!(work), sleep(patience)).await {
        Either::Left((done, _)) => Ok(done),
        Either::Right(_) => Err(Elapsed),
    }
}

/// Milliseconds since 1970 by the system's clock.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds since 1970, a positive whole number"
)]
pub(in crate::net) fn now_ms() -> u64 {
    js_sys::Date::now() as u64
}

/// A task that runs beside the others. Its result is `None` when it was aborted.
#[derive(Debug)]
pub(in crate::net) struct Task<T = ()> {
    abort: AbortHandle,
    done: oneshot::Receiver<T>,
}

/// Begins a task.
pub(in crate::net) fn spawn<T: 'static>(work: impl Future<Output = T> + 'static) -> Task<T> {
    let (tell, done) = oneshot::channel();
    let (work, abort) = abortable(work);
    spawn_local(async move {
        if let Ok(outcome) = work.await {
            // Nobody waits for it: no fault.
            let _ = tell.send(outcome);
        }
    });
    Task { abort, done }
}

impl<T> Task<T> {
    pub(in crate::net) fn abort(&self) {
        self.abort.abort();
    }
}

impl<T> Future for Task<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.done).poll(cx).map(Result::ok)
    }
}

/// The words of a fault of the browser; it names no address, which may hold a slot id.
fn unreachable(_: JsValue) -> NetError {
    NetError::Unreachable("the browser could not reach it".into())
}

fn set(object: &Object, name: &str, value: &JsValue) {
    // Fails for a frozen object alone.
    let _ = Reflect::set(object, &name.into(), value);
}

/// Calls over HTTP. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::net) struct Http;

impl Http {
    /// # Errors
    /// Never; elsewhere TLS may be missing.
    #[expect(clippy::unnecessary_wraps, reason = "the other platform can fail here")]
    pub(in crate::net) fn new() -> Result<Self, NetError> {
        Ok(Self)
    }

    /// # Errors
    /// [`NetError::Unreachable`].
    pub(in crate::net) async fn send(&self, request: Request) -> Result<Response, NetError> {
        let method = match request.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        };
        let headers = Array::new();
        for (name, value) in &request.headers {
            headers.push(&Array::of2(&(*name).into(), &value.as_str().into()));
        }
        let init = Object::new();
        set(&init, "method", &method.into());
        set(&init, "headers", &headers);
        set(&init, "cache", &"no-store".into());
        set(&init, "credentials", &"omit".into());
        set(&init, "redirect", &"error".into());
        set(&init, "referrerPolicy", &"no-referrer".into());
        if !request.body.is_empty() {
            set(&init, "body", &Uint8Array::from(request.body.as_slice()));
        }
        let answer = timeout(request.patience, JsFuture::from(fetch(&request.url, &init))).await;
        let answer = answer.map_err(|Elapsed| NetError::Unreachable(Elapsed.to_string()))?.map_err(unreachable)?;
        let answer: FetchResponse = answer.unchecked_into();
        Ok(Response { answer, patience: request.patience, read: false })
    }

    /// Opens a socket at an address that begins with `ws://` or `wss://`.
    ///
    /// # Errors
    /// [`NetError::Unreachable`].
    pub(in crate::net) async fn socket(&self, url: String) -> Result<Socket, NetError> {
        let socket = WebSocket::new(&url).map_err(unreachable)?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        let (opened, open) = oneshot::channel();
        let (tell, incoming) = mpsc::unbounded_channel();
        let opened = Rc::new(Cell::new(Some(opened)));
        let on_open = Closure::<dyn FnMut()>::new({
            let opened = Rc::clone(&opened);
            move || {
                if let Some(opened) = opened.take() {
                    let _ = opened.send(());
                }
            }
        });
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new({
            let tell = tell.clone();
            move |event: MessageEvent| {
                let frame = match event.data().dyn_into::<ArrayBuffer>() {
                    Ok(bytes) if usize::try_from(bytes.byte_length()).is_ok_and(|length| length <= FRAME_BYTES) => {
                        Incoming::Binary(Uint8Array::new(&bytes).to_vec())
                    }
                    _ => Incoming::Foreign,
                };
                let _ = tell.send(frame);
            }
        });
        let on_close = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
            // Whoever waits for the opening is told by the lost sender.
            drop(opened.take());
            let code = event.code();
            // 1005 and 1006 say that there was none.
            let _ = tell.send(Incoming::Closed((code != 1005 && code != 1006).then_some(code)));
        });
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        let socket = Socket { socket, incoming, _on_open: on_open, _on_message: on_message, _on_close: on_close };
        match timeout(REQUEST, open).await {
            Ok(Ok(())) => Ok(socket),
            _ => Err(unreachable(JsValue::UNDEFINED)),
        }
    }
}

/// The answer to a call.
pub(in crate::net) struct Response {
    answer: FetchResponse,
    patience: Duration,
    read: bool,
}

impl Response {
    pub(in crate::net) fn status(&self) -> u16 {
        self.answer.status()
    }

    pub(in crate::net) fn header(&self, name: &str) -> Option<String> {
        self.answer.headers().get(name)
    }

    /// The next part of the body; `None` at its end. Here the body comes as one.
    ///
    /// # Errors
    /// [`NetError::Unreachable`] when the line broke.
    pub(in crate::net) async fn chunk(&mut self) -> Result<Option<Vec<u8>>, NetError> {
        if self.read {
            return Ok(None);
        }
        self.read = true;
        let body = timeout(self.patience, JsFuture::from(self.answer.array_buffer())).await;
        let body = body.map_err(|Elapsed| NetError::Unreachable(Elapsed.to_string()))?.map_err(unreachable)?;
        Ok(Some(Uint8Array::new(&body).to_vec()))
    }
}

/// A WebSocket; dropping it closes it.
pub(in crate::net) struct Socket {
    socket: WebSocket,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

impl Socket {
    /// No page learns its address.
    pub(in crate::net) fn local_ip(&self) -> Option<IpAddr> {
        None
    }

    /// # Errors
    /// [`NetError::Unreachable`].
    pub(in crate::net) async fn send(&mut self, frame: Vec<u8>) -> Result<(), NetError> {
        if self.socket.ready_state() != WebSocket::OPEN {
            return Err(unreachable(JsValue::UNDEFINED));
        }
        self.socket.send_with_u8_array(&frame).map_err(unreachable)
    }

    /// What comes next. Safe to cancel.
    pub(in crate::net) async fn next(&mut self) -> Incoming {
        self.incoming.recv().await.unwrap_or(Incoming::Closed(None))
    }

    /// Says goodbye; what was sent before it arrives.
    pub(in crate::net) async fn close(self) {
        drop(self);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // Fails when it is closed already.
        let _ = self.socket.close();
    }
}

/// No page opens a socket of datagrams.
pub(in crate::net) struct LanListener {
    pub(in crate::net) port: u16,
    pub(in crate::net) addresses: Vec<IpAddr>,
}

impl LanListener {
    /// # Errors
    /// Always.
    pub(in crate::net) async fn open(_: LanResponder, _: Option<IpAddr>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A challenge that nobody hears.
pub(in crate::net) async fn run_probe(_: LanProbe) -> LanVerdict {
    LanVerdict::silence()
}
