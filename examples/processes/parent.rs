//! The parent's side.

use super::Fallible;
use super::child::CHILD;
use super::wire::{self, PeerAt, Reply, Request, StartRequest};
use ledger_core::codec::Bytes;
use ledger_crypto::Digest;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};

/// How long a child may take from its start to its connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// How children are started: this program, with these arguments before the children's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// A test program needs some; others none.
    pub(crate) arguments: Vec<OsString>,
}

type Waiting = Arc<Mutex<Option<BTreeMap<u64, oneshot::Sender<Reply>>>>>;

/// A validator in a process of its own. It is killed when this is dropped.
pub(crate) struct Child {
    process: tokio::process::Child,
    /// Held open: the child ends when it closes. (Waiting for a process would close it.)
    _stdin: Option<tokio::process::ChildStdin>,
    line: Line,
    /// Where its peers reach it.
    pub(crate) address: String,
}

/// The connection with a child; clones are the same one.
#[derive(Clone)]
pub(crate) struct Line {
    requests: mpsc::Sender<(u64, Request)>,
    waiting: Waiting,
    next: Arc<AtomicU64>,
}

impl Child {
    /// Starts a process and its validator.
    pub(crate) async fn start(program: &Program, request: StartRequest) -> Fallible<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let token = Digest::new(random).to_string();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&program.arguments);
        command.arg(CHILD).arg(listener.local_addr()?.to_string()).arg(&token);
        // The child reads its end of this pipe, which closes with this process.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let stdin = process.stdin.take();
        let connected = tokio::select! {
            connected = tokio::time::timeout(CONNECT_WITHIN, connected(&listener, &token)) => connected,
            ended = process.wait() => return Err(format!("a validator's process ended at its start: {}", ended?).into()),
        };
        let stream = connected.map_err(|_| "a validator's process doesn't connect")??;
        stream.set_nodelay(true)?;
        let (mut answers, mut out) = stream.into_split();
        let (requests, mut queued) = mpsc::channel::<(u64, Request)>(4_096);
        let waiting: Waiting = Arc::new(Mutex::new(Some(BTreeMap::new())));
        tokio::spawn(async move {
            while let Some((number, request)) = queued.recv().await {
                if wire::write(&mut out, number, &request).await.is_err() {
                    return;
                }
            }
        });
        let open = Arc::clone(&waiting);
        tokio::spawn(async move {
            while let Ok((number, reply)) = wire::read::<Reply>(&mut answers).await {
                let found =
                    open.lock().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(|all| all.remove(&number));
                if let Some(found) = found {
                    // Whoever asked has given up.
                    let _ = found.send(reply);
                }
            }
            // All who wait hear that nobody will answer.
            open.lock().unwrap_or_else(PoisonError::into_inner).take();
        });
        let line = Line { requests, waiting, next: Arc::default() };
        let mut child = Child { process, _stdin: stdin, line, address: String::new() };
        match child.line.call(Request::Start(request)).await? {
            Reply::Started(address) => child.address = address.to_string(),
            other => return Err(format!("a validator answered its start with {other:?}").into()),
        }
        Ok(child)
    }

    /// The connection with it.
    pub(crate) fn line(&self) -> Line {
        self.line.clone()
    }

    /// The operating system's number of the process; `None` once it has ended.
    pub(crate) fn process(&self) -> Option<u32> {
        self.process.id()
    }

    /// Ends it at once (SIGKILL) and waits until it has ended.
    pub(crate) async fn kill(&mut self) -> Fallible<()> {
        Ok(self.process.kill().await?)
    }

    /// Ends it in good order.
    pub(crate) async fn stop(mut self) -> Fallible<()> {
        let stopped = self.line.call(Request::Stop).await;
        // With the last line gone the connection is closed, and the child ends.
        drop(self.line);
        stopped?;
        self.process.wait().await?;
        Ok(())
    }
}

impl Line {
    /// Tells where the others are.
    pub(crate) async fn peers(&self, peers: Vec<PeerAt>) -> Fallible<()> {
        self.call(Request::Peers(peers.into())).await.map(|_| ())
    }

    /// Asks the program's own question.
    pub(crate) async fn ask(&self, question: Vec<u8>) -> Fallible<Bytes> {
        match self.call(Request::Ask(question.into())).await? {
            Reply::Answer(bytes) => Ok(bytes),
            other => Err(format!("a validator answered a question with {other:?}").into()),
        }
    }

    async fn call(&self, request: Request) -> Fallible<Reply> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        match &mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(waiting) => waiting.insert(number, sender),
            None => return Err(GONE.into()),
        };
        self.requests.send((number, request)).await.map_err(|_| GONE)?;
        match receiver.await.map_err(|_| GONE)? {
            Reply::Failed(reason) => Err(reason.as_str().into()),
            reply => Ok(reply),
        }
    }
}

const GONE: &str = "the validator's process has ended";

/// The first connection that says the token; others are none of ours.
async fn connected(listener: &TcpListener, token: &str) -> Fallible<tokio::net::TcpStream> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let mut said = vec![0; token.len()];
        if stream.read_exact(&mut said).await.is_ok() && said == token.as_bytes() {
            return Ok(stream);
        }
    }
}
