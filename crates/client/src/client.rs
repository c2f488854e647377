//! The client: what it returns is verified.

use crate::config::ClientConfig;
use crate::error::ClientError;
use crate::events::EventStream;
use crate::http::{Ask, Http, again};
use crate::unverified::Unverified;
use crate::wire::{
    Answer, Base64, CheckpointInfo, Hex, Problem, ProblemKind, Proved, ReceiptAnswer, StateAnswer, StreamedEvent,
    TransactionAnswer, TransactionProofAnswer,
};
use hyper::body::Bytes;
use ledger_core::{
    AccountId, ChainId, CheckpointBundle, Consistency, ContractId, Event, Height, HistoryHead, Key, LightClient, Place,
    Proof, Proven, Receipt, SignedTransaction, Timestamp, TransactionId, TransactionLeaf, TransactionResult,
    TrustError, TrustRoot, VerifiedCheckpoint, Versioned, codec,
};
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// The longest that a server is asked to wait at a time.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Composes a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    servers: Vec<String>,
    token: Option<String>,
    config: ClientConfig,
    root: TrustRoot,
}

impl ClientBuilder {
    /// Another server of the same chain, to go to when one can't be reached.
    #[must_use]
    pub fn server(mut self, url: &str) -> Self {
        self.servers.push(url.to_owned());
        self
    }

    /// The bearer token.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The bounds.
    #[must_use]
    pub fn config(mut self, config: ClientConfig) -> Self {
        self.config = config;
        self
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Url`] and [`ClientError::TrustRoot`].
    pub fn build(self) -> Result<Client, ClientError> {
        let http = Http::new(&self.servers, self.token.as_deref(), self.config)?;
        let chain = self.root.chain();
        let light = Mutex::new(LightClient::new(self.root).map_err(|error| ClientError::TrustRoot(Box::new(error)))?);
        Ok(Client { inner: Arc::new(Inner { http, chain, light }) })
    }
}

/// A client of one chain. Cheap to clone; clones share what was seen.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) http: Http,
    chain: ChainId,
    light: Mutex<LightClient>,
}

/// What a server says about a transaction that was handed in. Before [`Client::wait_certified`] it is its word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The transaction.
    pub id: TransactionId,
    /// How far it has come; `None` when the server holds a copy of it and doesn't know more.
    pub reached: Option<Answer>,
    /// Whether it had been handed in before.
    pub duplicate: bool,
}

/// A proven receipt, and the events that it commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReceipt {
    /// The receipt.
    pub receipt: Receipt,
    /// Its events.
    pub events: Vec<Event>,
    /// Where and when.
    pub place: Place,
}

/// What a key holds, proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedState {
    /// The value and who wrote it; `None` is a proven absence.
    pub value: Option<Versioned>,
    /// The block after which it holds.
    pub height: Height,
}

/// A proven transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedTransaction {
    /// Envelope and witness.
    pub leaf: TransactionLeaf,
    /// Its body, where it is still there.
    pub body: Option<ledger_core::Body>,
    /// Where and when.
    pub place: Place,
}

/// A proven event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedEvent {
    /// The event.
    pub event: Event,
    /// The transaction that emitted it.
    pub transaction: TransactionId,
    /// Its place among the transaction's events.
    pub index: u32,
    /// Where and when.
    pub place: Place,
}

impl Client {
    /// A client of the server at `url`, that trusts `root` and nothing else.
    ///
    /// # Errors
    /// As [`ClientBuilder::build`].
    pub fn new(url: &str, root: TrustRoot) -> Result<Self, ClientError> {
        Client::builder(url, root).build()
    }

    /// A client with more than the defaults.
    pub fn builder(url: &str, root: TrustRoot) -> ClientBuilder {
        ClientBuilder { servers: vec![url.to_owned()], token: None, config: ClientConfig::default(), root }
    }

    /// The chain's id.
    pub fn chain(&self) -> ChainId {
        self.inner.chain
    }

    /// What was verified so far, to be stored and begun from again: a server that shows less is refused then.
    pub fn trust_root(&self) -> TrustRoot {
        self.inner.light().trust_root()
    }

    /// What servers say and no proof shows.
    pub fn unverified(&self) -> Unverified {
        Unverified::new(Arc::clone(&self.inner))
    }

    /// Hands a transaction in, again and again until a server has taken it up: the same signed bytes have one place,
    /// however often they are handed in.
    ///
    /// # Errors
    /// [`ClientError::Problem`] when the transaction is refused; [`ClientError::OutcomeUnknown`] when it may have been
    /// taken up, but nobody says so.
    pub async fn submit(&self, transaction: &SignedTransaction) -> Result<Submitted, ClientError> {
        self.submit_until(transaction, Answer::Accepted, Duration::ZERO).await
    }

    /// Hands a transaction in and lets the server wait for `answer`, at most `wait`. It is the server's word.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub async fn submit_until(
        &self,
        transaction: &SignedTransaction,
        answer: Answer,
        wait: Duration,
    ) -> Result<Submitted, ClientError> {
        let (id, http) = (transaction.id(), &self.inner.http);
        let wait = wait.min(LONGEST_WAIT);
        let path = format!("/transactions?wait={answer}&timeout_ms={}", wait.as_millis());
        let ask = Ask { path: self.inner.path(&path), body: Some(Bytes::from(codec::encode(transaction))), wait };
        let (mut attempt, mut uncertain) = (0, false);
        loop {
            let (number, server) = http.server(attempt);
            attempt += 1;
            let error = match http.once::<TransactionAnswer>(server, &ask, attempt).await {
                Ok(answer) if answer.id == id => {
                    http.prefer(number);
                    return Ok(Submitted { id, reached: answer.reached, duplicate: answer.duplicate });
                }
                Ok(answer) => {
                    let reason = format!("it answers for transaction {}, not {id}", answer.id);
                    return Err(ClientError::Mismatch { server: server.to_owned(), what: "transaction", reason });
                }
                Err(error) => error,
            };
            // What was sent may have arrived even when its answer hasn't.
            uncertain |= match &error {
                ClientError::Network { .. } | ClientError::Answer { .. } => true,
                error => kind(error) == Some(ProblemKind::OutcomeUnknown),
            };
            let refused = kind(&error) == Some(ProblemKind::TransactionRefused);
            if refused && uncertain {
                // An earlier attempt may have taken its own place.
                return self.settle(id, error).await;
            }
            if attempt >= http.config.attempts || !again(&error) {
                return Err(match uncertain {
                    true => ClientError::OutcomeUnknown { id, reason: error.to_string() },
                    false => error,
                });
            }
            http.rest(attempt, &error).await;
        }
    }

    /// Finds out whether a refused transaction was refused because of itself.
    async fn settle(&self, id: TransactionId, refusal: ClientError) -> Result<Submitted, ClientError> {
        let unknown = |reason: String| ClientError::OutcomeUnknown { id, reason };
        let status = self.unverified().wait(id, Answer::Executed, Duration::from_secs(1)).await;
        match status.map_err(|error| unknown(error.to_string()))? {
            TransactionAnswer { reached: Some(reached), .. } => {
                Ok(Submitted { id, reached: Some(reached), duplicate: true })
            }
            _ => Err(unknown(refusal.to_string())),
        }
    }

    /// Waits until the transaction's receipt can be proven, and verifies it.
    ///
    /// # Errors
    /// [`ClientError::OutcomeUnknown`] when that takes longer than `wait`; [`ClientError`] says what didn't verify.
    pub async fn wait_certified(&self, id: TransactionId, wait: Duration) -> Result<VerifiedReceipt, ClientError> {
        let begin = Instant::now();
        loop {
            let left = wait.saturating_sub(begin.elapsed());
            let status = self.unverified().wait(id, Answer::Certified, left.min(LONGEST_WAIT)).await?;
            if status.complete {
                return self.receipt(id).await;
            }
            if begin.elapsed() >= wait {
                let reason = match status.reached {
                    Some(reached) => format!("it was {reached} after {} ms", wait.as_millis()),
                    None => format!("no server knew it after {} ms", wait.as_millis()),
                };
                return Err(ClientError::OutcomeUnknown { id, reason });
            }
        }
    }

    /// What became of a transaction.
    ///
    /// # Errors
    /// [`ClientError`] says what didn't verify.
    pub async fn receipt(&self, id: TransactionId) -> Result<VerifiedReceipt, ClientError> {
        let path = format!("/transactions/{id}/receipt?proof=true");
        let (answer, proven, found) =
            self.inner.proved::<ReceiptAnswer>("receipt", &path, |answer| answer.proof.as_ref()).await?;
        let Proven::Receipt { receipt, place } = proven else {
            return Err(self.inner.mismatch(&found, "no receipt is proven"));
        };
        if receipt.transaction != id {
            return Err(self
                .inner
                .mismatch(&found, &format!("the receipt of transaction {} is proven", receipt.transaction)));
        }
        let events: Vec<Event> = answer.receipt.events.iter().map(crate::wire::EventInfo::to_event).collect();
        let Receipt { index, status, fuel_used, output, .. } = receipt.clone();
        let shown = TransactionResult::new(id, index, status, fuel_used, output, events.clone().into());
        if shown.receipt != receipt {
            return Err(self.inner.mismatch(&found, "the events aren't those that the receipt commits to"));
        }
        Ok(VerifiedReceipt { receipt, events, place })
    }

    /// The transaction, as a block holds it.
    ///
    /// # Errors
    /// [`ClientError`] says what didn't verify.
    pub async fn transaction(&self, id: TransactionId) -> Result<VerifiedTransaction, ClientError> {
        let path = format!("/transactions/{id}/proof");
        let proof = |answer: &TransactionProofAnswer| Some(&answer.proof).cloned();
        let (_, proven, found) = self.inner.proved_by("transaction", &path, proof).await?;
        let Proven::Transaction { id: shown, leaf, body, place } = proven else {
            return Err(self.inner.mismatch(&found, "no transaction is proven"));
        };
        if shown != id {
            return Err(self.inner.mismatch(&found, &format!("transaction {shown} is proven")));
        }
        Ok(VerifiedTransaction { leaf: *leaf, body, place })
    }

    /// An event of a transaction.
    ///
    /// # Errors
    /// [`ClientError`] says what didn't verify.
    pub async fn event(&self, id: TransactionId, index: u32) -> Result<VerifiedEvent, ClientError> {
        let path = format!("/transactions/{id}/events/{index}");
        let (answer, proven, found) =
            self.inner.proved::<StreamedEvent>("event", &path, |answer| answer.proof.as_ref()).await?;
        // That the event stands at the index asked for, the proof itself says.
        let at = found.event_index;
        let Proven::Event { event, transaction, place } = proven else {
            return Err(self.inner.mismatch(&found, "no event is proven"));
        };
        if transaction != id || at != Some(index) || answer.event.to_event() != event {
            return Err(self.inner.mismatch(&found, &format!("event {at:?} of transaction {transaction} is proven")));
        }
        Ok(VerifiedEvent { event, transaction, index, place })
    }

    /// What a key of a contract holds, in the state of the newest checkpoint.
    ///
    /// # Errors
    /// [`ClientError`] says what didn't verify.
    pub async fn state(&self, contract: ContractId, key: &[u8]) -> Result<VerifiedState, ClientError> {
        self.key(&Key::new(contract, key)).await
    }

    /// What a key holds, in the state of the newest checkpoint.
    ///
    /// # Errors
    /// [`ClientError`] says what didn't verify.
    pub async fn key(&self, key: &Key) -> Result<VerifiedState, ClientError> {
        let path = format!("/state/{}/{}?proof=true", key.namespace, Hex(key.name.to_vec()));
        let (_, proven, found) =
            self.inner.proved::<StateAnswer>("state", &path, |answer| answer.proof.as_ref()).await?;
        let Proven::State { key: shown, value, at } = proven else {
            return Err(self.inner.mismatch(&found, "no state is proven"));
        };
        if shown != *key {
            return Err(self.inner.mismatch(&found, &format!("the key {shown:?} is proven")));
        }
        Ok(VerifiedState { value, height: at })
    }

    /// The number that comes next in a stream of an account, in the state of the newest checkpoint: what is under way
    /// isn't counted.
    ///
    /// # Errors
    /// [`ClientError`] says what didn't verify.
    pub async fn next_number(&self, account: &AccountId, lane: u64) -> Result<u64, ClientError> {
        let stored = self.key(&Key::sequence(account, lane)).await?.value;
        let number = stored.and_then(|stored| stored.value.first_chunk::<8>().copied());
        Ok(number.map_or(0, u64::from_le_bytes))
    }

    /// Goes on to the newest checkpoint of the server.
    ///
    /// # Errors
    /// [`ClientError::Checkpoint`] when it isn't trusted, or doesn't continue what was seen.
    pub async fn checkpoint(&self) -> Result<VerifiedCheckpoint, ClientError> {
        let inner = &self.inner;
        let read = |answer: &CheckpointInfo| {
            let (checkpoint, consistency) = (answer.encoded.clone(), answer.consistency.clone());
            Some(Proved { proof: Base64::default(), checkpoint, consistency })
        };
        let (_, _, verified, _) = inner.current("checkpoint", "/checkpoint", read).await?;
        Ok(verified)
    }

    /// Follows events that are certified, from block `from` on. Each is verified; that none was left out isn't.
    pub fn events(&self, from: Height) -> EventStream {
        EventStream::new(self.clone(), Arc::clone(&self.inner), from)
    }
}

/// Who has proven something.
struct Found {
    what: &'static str,
    number: usize,
    event_index: Option<u32>,
}

fn kind(error: &ClientError) -> Option<ProblemKind> {
    match error {
        ClientError::Problem { problem, .. } => Problem::kind(problem),
        _ => None,
    }
}

impl Inner {
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/chains/{}{rest}", self.chain)
    }

    fn light(&self) -> std::sync::MutexGuard<'_, LightClient> {
        self.light.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn proved<T: DeserializeOwned>(
        &self,
        what: &'static str,
        path: &str,
        read: impl Fn(&T) -> Option<&Proved>,
    ) -> Result<(T, Proven, Found), ClientError> {
        self.proved_by(what, path, |answer| read(answer).cloned()).await
    }

    /// Asks for something with its proof, and verifies the proof.
    async fn proved_by<T: DeserializeOwned>(
        &self,
        what: &'static str,
        path: &str,
        read: impl Fn(&T) -> Option<Proved>,
    ) -> Result<(T, Proven, Found), ClientError> {
        let (answer, proved, checkpoint, number) = self.current(what, path, read).await?;
        let server = self.http.name(number);
        let checked = codec::decode::<Proof>(&proved.proof.0).map_err(|error| ClientError::Codec {
            server: server.clone(),
            what,
            error,
        });
        let checked = checked.and_then(|proof| {
            let event_index = match &proof {
                Proof::Event(event) => Some(event.index),
                _ => None,
            };
            let proven = proof.verify(&checkpoint);
            let proven =
                proven.map_err(|error| ClientError::Proof { server: server.clone(), what, error: Box::new(error) })?;
            Ok((proven, Found { what, number, event_index }))
        });
        if checked.is_err() {
            self.http.avoid(number);
        }
        let (proven, found) = checked?;
        Ok((answer, proven, found))
    }

    /// A proof of something else; another server is asked next time.
    fn mismatch(&self, found: &Found, reason: &str) -> ClientError {
        self.http.avoid(found.number);
        ClientError::Mismatch { server: self.http.name(found.number), what: found.what, reason: reason.to_owned() }
    }

    /// Asks for something that comes with a checkpoint, and goes on to that checkpoint.
    async fn current<T: DeserializeOwned>(
        &self,
        what: &'static str,
        path: &str,
        read: impl Fn(&T) -> Option<Proved>,
    ) -> Result<(T, Proved, VerifiedCheckpoint, usize), ClientError> {
        let mut attempt = 0;
        loop {
            let seen = self.light().seen();
            let separator = if path.contains('?') { '&' } else { '?' };
            let path = format!("{path}{separator}seen_size={}&seen_root={}", seen.size, seen.root);
            let (answer, number) = self.http.ask::<T>(&Ask::get(self.path(&path))).await?;
            let server = self.http.name(number);
            let proved = read(&answer).ok_or_else(|| ClientError::Mismatch {
                server: server.clone(),
                what,
                reason: "the answer comes without a proof".to_owned(),
            })?;
            let error = match self.go_on(&proved, &server, what) {
                Ok(verified) => return Ok((answer, proved, verified, number)),
                Err(error) => error,
            };
            attempt += 1;
            // Another answer has gone ahead of this one, or the server is behind: ask anew, and another one.
            let behind = match &error {
                ClientError::Checkpoint { error, .. } => matches!(
                    **error,
                    TrustError::RolledBack { .. } | TrustError::Older { .. } | TrustError::Unconnected { .. }
                ),
                _ => false,
            };
            let moved = self.light().seen() != seen;
            if !moved {
                self.http.avoid(number);
            }
            if !behind || attempt >= self.http.config.attempts {
                return Err(error);
            }
            if !moved {
                self.http.rest(attempt, &error).await;
            }
        }
    }

    /// Goes on to the checkpoint of an answer.
    fn go_on(&self, proved: &Proved, server: &str, what: &'static str) -> Result<VerifiedCheckpoint, ClientError> {
        let codec = |error| ClientError::Codec { server: server.to_owned(), what, error };
        let bundle = CheckpointBundle::from_bytes(&proved.checkpoint.0).map_err(codec)?;
        let consistency = proved.consistency.as_ref().map(|bytes| codec::decode::<Consistency>(&bytes.0));
        let consistency = consistency.transpose().map_err(codec)?;
        let mut light = self.light();
        light.tell_time(now());
        let seen: HistoryHead = light.seen();
        // At the same size the two heads themselves are compared.
        let consistency = consistency.filter(|_| bundle.checkpoint.header.history.size != seen.size);
        let gone = light.advance_through(bundle, consistency.as_ref());
        let gone =
            gone.map_err(|error| ClientError::Checkpoint { server: server.to_owned(), what, error: Box::new(error) })?;
        Ok(gone.clone())
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("chain", &self.inner.chain).finish_non_exhaustive()
    }
}
