//! Following events over connections that come and go.

use crate::client::{Client, Inner, VerifiedEvent};
use crate::error::ClientError;
use crate::http::{Ask, again, refusal};
use crate::wire::{Problem, StreamedEvent};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use ledger_core::{ContractId, Height};
use std::sync::Arc;
use tokio::time::timeout;

/// Certified events in order. After a lost connection it goes on behind the last event that was told.
///
/// Every event is verified, and that they come in order. That none was left out isn't: a server can be silent.
pub struct EventStream {
    client: Client,
    inner: Arc<Inner>,
    from: Height,
    contract: Option<ContractId>,
    /// Height and number in the block of what was read last.
    last: Option<(u64, u32)>,
    open: Option<Open>,
    failures: u32,
}

/// A connection.
struct Open {
    body: Incoming,
    bytes: Vec<u8>,
    number: usize,
}

/// A message as it stands in the stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    name: String,
    id: Option<String>,
    data: String,
}

impl EventStream {
    pub(crate) fn new(client: Client, inner: Arc<Inner>, from: Height) -> Self {
        EventStream { client, inner, from, contract: None, last: None, open: None, failures: 0 }
    }

    /// Events of one contract only.
    #[must_use]
    pub fn of_contract(mut self, contract: ContractId) -> Self {
        self.contract = Some(contract);
        self
    }

    /// Goes on behind a [position](EventStream::position) that was stored.
    #[must_use]
    pub fn after(mut self, position: (u64, u32)) -> Self {
        self.last = Some(position);
        self
    }

    /// Height, and number in its block, of what was told last: to be stored and [gone on from](EventStream::after).
    pub fn position(&self) -> Option<(u64, u32)> {
        self.last
    }

    /// The next event; waits for it.
    ///
    /// # Errors
    /// [`ClientError`] when no server can be reached any more, or something doesn't verify. The stream can be asked
    /// again: it goes on where it was.
    pub async fn next(&mut self) -> Result<VerifiedEvent, ClientError> {
        loop {
            let (message, number) = match self.message().await {
                Ok(message) => message,
                Err(error) => {
                    self.open = None;
                    self.failures += 1;
                    if !again(&error) || self.failures >= self.inner.http.config.attempts {
                        self.failures = 0;
                        return Err(error);
                    }
                    self.inner.http.rest(self.failures, &error).await;
                    continue;
                }
            };
            self.failures = 0;
            match self.take(message, number).await {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => {}
                Err(error) => {
                    self.open = None;
                    if error.is_a_lie() {
                        self.inner.http.avoid(number);
                    }
                    return Err(error);
                }
            }
        }
    }

    async fn take(&mut self, message: Message, number: usize) -> Result<Option<VerifiedEvent>, ClientError> {
        let server = self.inner.http.name(number);
        let wrong = |reason: String| ClientError::Answer { server: server.clone(), path: "/events".into(), reason };
        let position = message.id.as_deref().map(|id| position(id).ok_or_else(|| wrong(format!("`{id}` is no id"))));
        let position = position.transpose()?;
        if let (Some(found), Some(last)) = (position, self.last)
            && found <= last
        {
            let text = |(height, number): (u64, u32)| format!("{height}.{number}");
            return Err(ClientError::OutOfOrder { server, found: text(found), last: text(last) });
        }
        match message.name.as_str() {
            "event" => {
                let told: StreamedEvent =
                    serde_json::from_str(&message.data).map_err(|error| wrong(error.to_string()))?;
                let event = self.client.event(told.transaction, told.index).await?;
                let same = event.event == told.event.to_event()
                    && event.place.height.0 == told.height.0
                    && position == Some((told.height.0, told.number))
                    && self.contract.is_none_or(|contract| contract == event.event.contract);
                if !same {
                    let reason = format!("event {} of transaction {} is another one", told.index, told.transaction);
                    return Err(ClientError::Mismatch { server, what: "event", reason });
                }
                self.last = position;
                Ok(Some(event))
            }
            "end" => {
                self.open = None;
                let problem: Result<Problem, _> = serde_json::from_str(&message.data);
                match problem {
                    // The server closes; another one, or the same one later, goes on.
                    Ok(_) => Ok(None),
                    Err(error) => Err(wrong(error.to_string())),
                }
            }
            _ => {
                self.last = position.or(self.last);
                Ok(None)
            }
        }
    }

    /// The next message, over a new connection if need be.
    async fn message(&mut self) -> Result<(Message, usize), ClientError> {
        let config = self.inner.http.config.clone();
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.connect().await?,
        };
        let server = self.inner.http.name(open.number);
        let network = |reason: String| ClientError::Network { server: server.clone(), attempt: 1, reason };
        loop {
            if let Some(end) = open.bytes.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = open.bytes.drain(..end + 2).collect();
                let message = parsed(&String::from_utf8_lossy(&block));
                if message.data.is_empty() {
                    continue;
                }
                let number = open.number;
                self.open = Some(open);
                return Ok((message, number));
            }
            if open.bytes.len() > config.message_bytes {
                return Err(ClientError::MessageTooLong { server, limit: config.message_bytes });
            }
            let frame = match timeout(config.stream_silence, open.body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(network(error.to_string())),
                Ok(None) => return Err(network("the stream has ended".to_owned())),
                Err(_) => return Err(network(format!("silent for {} ms", config.stream_silence.as_millis()))),
            };
            if let Ok(data) = frame.into_data() {
                open.bytes.extend_from_slice(&data);
            }
        }
    }

    async fn connect(&self) -> Result<Open, ClientError> {
        let http = &self.inner.http;
        let contract = self.contract.map(|contract| format!("&contract={contract}")).unwrap_or_default();
        let ask = Ask::get(self.inner.path(&format!("/events?from={}{contract}", self.from)));
        let last = self.last.map(|(height, number)| format!("{height}.{number}"));
        let (number, server) = http.server(self.failures);
        let header = last.as_deref().map(|last| ("last-event-id", last));
        let network =
            |reason: String| ClientError::Network { server: server.to_owned(), attempt: self.failures + 1, reason };
        let response = timeout(http.config.timeout, http.open(server, &ask, header)).await;
        let response = response.map_err(|_| network("no answer".to_owned()))?.map_err(network)?;
        let status = response.status().as_u16();
        if status != 200 {
            let body = Limited::new(response.into_body(), http.config.answer_bytes).collect();
            let body = timeout(http.config.timeout, body).await.ok().and_then(Result::ok);
            return Err(refusal(server, &ask, status, &body.map(|body| body.to_bytes()).unwrap_or_default()));
        }
        Ok(Open { body: response.into_body(), bytes: Vec::new(), number })
    }
}

fn position(id: &str) -> Option<(u64, u32)> {
    let (height, number) = id.split_once('.')?;
    Some((height.parse().ok()?, number.parse().ok()?))
}

/// A message; comments and unknown fields are left out.
fn parsed(block: &str) -> Message {
    let mut message = Message::default();
    for line in block.lines() {
        if let Some(data) = line.strip_prefix("data: ") {
            message.data.push_str(data);
        } else if let Some(name) = line.strip_prefix("event: ") {
            message.name = name.to_owned();
        } else if let Some(id) = line.strip_prefix("id: ") {
            message.id = Some(id.to_owned());
        }
    }
    message
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").field("last", &self.last).finish_non_exhaustive()
    }
}
