//! Events as they happen: server-sent events (WHATWG HTML, section 9.2) that resume.

use crate::failure::{self, malformed};
use crate::gate::{Context, Reply, Shared, ahead, closed};
use crate::handlers::proofs;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use ledger_client::wire::{EventInfo, Problem, ProblemKind, StreamedEvent, U64};
use ledger_core::{ContractId, Height, TransactionId};
use ledger_node::{Chain, EventUpdate, Stage, Subscription};
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, ready};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::sleep_until;

/// Messages that wait for a slow reader before the stream reads no further.
const QUEUE: usize = 16;

/// A place in the stream: everything up to and with event `number` of block `height`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    height: u64,
    number: u32,
}

impl Position {
    fn parse(text: &str) -> Option<Self> {
        let (height, number) = text.split_once('.')?;
        let number = u32::try_from(U64::parse(number)?.0).ok()?;
        Some(Position { height: U64::parse(height)?.0, number })
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.height, self.number)
    }
}

/// What is told.
struct Filter {
    contract: Option<ContractId>,
    topic: Option<String>,
}

impl Filter {
    fn wants(&self, event: &ledger_core::Event) -> bool {
        self.contract.is_none_or(|contract| contract == event.contract)
            && self.topic.as_deref().is_none_or(|topic| topic == event.topic.as_str())
    }
}

pub(crate) fn stream(context: &Context) -> Result<Reply, Problem> {
    let (chain, params) = (context.chain()?, &context.params);
    let stage = |text: &str| match text {
        "executed" => Some(Stage::Executed),
        "certified" => Some(Stage::Certified),
        _ => None,
    };
    let stage = params.named("stage", "`executed` or `certified`", stage)?.unwrap_or(Stage::Certified);
    let prove = params.flag("proof")?;
    if prove && stage == Stage::Executed {
        return Err(malformed("what is executed only can't be proven yet; leave `stage` or `proof` out"));
    }
    let filter = Filter { contract: params.optional_id("contract")?, topic: params.text("topic").map(str::to_owned) };
    let last = match context.headers.get("last-event-id") {
        None => None,
        Some(last) => {
            let read = last.to_str().ok().and_then(Position::parse);
            Some(read.ok_or_else(|| malformed("`Last-Event-ID` is a height, a dot and a number"))?)
        }
    };
    let from = match (last, params.number("from")?) {
        (Some(last), _) => Height(last.height),
        (None, Some(from)) => Height(from),
        (None, None) => chain.progress().executed.next(),
    };
    let shared = Arc::clone(&context.shared);
    let permit = Arc::clone(&shared.streams).try_acquire_owned().map_err(|_| {
        let limit = shared.config.limits.streams;
        let detail = format!("{limit} streams of events are open, which is the limit");
        Problem::new(ProblemKind::TooManyStreams, detail).limit(limit).retry_after_ms(1_000)
    })?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    shared.counters.open_streams.fetch_add(1, Ordering::Relaxed);
    let open = Open { shared: Arc::clone(&shared), _permit: permit };
    let teller = Teller { subscription: chain.subscribe(from, stage), shared, chain, filter, prove, last, sender };
    tokio::spawn(async move {
        let _open = open;
        teller.run().await;
    });
    Ok(Reply::Stream(Body::new(Messages(receiver))))
}

/// Counts a stream as long as it is open.
struct Open {
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.counters.open_streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells one reader.
struct Teller {
    shared: Arc<Shared>,
    chain: Chain,
    subscription: Subscription,
    filter: Filter,
    prove: bool,
    last: Option<Position>,
    sender: mpsc::Sender<Bytes>,
}

/// The reader is gone, or the server closes.
struct Gone;

impl Teller {
    async fn run(mut self) {
        let mut closing = self.shared.closing.clone();
        let heartbeat = self.shared.config.limits.heartbeat;
        // Headers leave with the first bytes: a reader sees that the stream is open.
        if self.send(": open\n\n".to_owned()).await.is_err() {
            return;
        }
        // How far the stream is, where that was told by no event.
        let mut untold = None;
        let mut next_beat = ahead(heartbeat);
        loop {
            let update = tokio::select! {
                biased;
                () = closed(&mut closing) => return,
                () = self.sender.closed() => return,
                () = sleep_until(next_beat) => {
                    let beat = match untold.take() {
                        Some(position) => message("position", Some(position), &serde_json::json!({})),
                        None => ": still here\n\n".to_owned(),
                    };
                    if self.send(beat).await.is_err() {
                        return;
                    }
                    next_beat = ahead(heartbeat);
                    continue;
                }
                update = self.subscription.next_block() => update,
            };
            let told = match update {
                Ok(block) => self.tell(block).await,
                Err(error) => Err(Some(failure::of_subscription(error))),
            };
            match told {
                Ok((position, all_told)) => {
                    untold = (!all_told).then_some(position);
                    if all_told {
                        next_beat = ahead(heartbeat);
                    }
                }
                Err(problem) => {
                    if let Some(problem) = problem {
                        let _ = self.send(message("end", None, &problem)).await;
                    }
                    return;
                }
            }
        }
    }

    /// Tells a block's events; gives how far that is, and whether its last event was among those told.
    async fn tell(&mut self, block: ledger_node::BlockUpdate) -> Result<(Position, bool), Option<Problem>> {
        let height = block.header.height;
        let mut number = 0_u32;
        let mut all_told = false;
        for result in block.results {
            let id = result.receipt.transaction;
            for (index, event) in (0_u32..).zip(result.events) {
                let position = Position { height: height.0, number };
                number = number.saturating_add(1);
                all_told = false;
                if self.last >= Some(position) || !self.filter.wants(&event) {
                    continue;
                }
                let update = EventUpdate { height, transaction: id, index, event };
                let text = self.event(update, position).await.map_err(Some)?;
                self.send(text).await.map_err(|Gone| None)?;
                self.shared.counters.streamed_events.fetch_add(1, Ordering::Relaxed);
                all_told = true;
            }
        }
        Ok((Position { height: height.0, number }, all_told))
    }

    async fn event(&self, update: EventUpdate, position: Position) -> Result<String, Problem> {
        let proof = if self.prove {
            let (chain, id, index): (Chain, TransactionId, u32) =
                (self.chain.clone(), update.transaction, update.index);
            let proved = self.shared.read(move || {
                let (proof, checkpoint) = chain.prove_event(&id, index).map_err(failure::of_chain)?;
                proofs::proved(&chain, &proof, &checkpoint, None)
            });
            Some(proved.await?)
        } else {
            None
        };
        let event = StreamedEvent {
            height: update.height.into(),
            number: position.number,
            transaction: update.transaction,
            index: update.index,
            event: EventInfo::from(&update.event),
            proof,
        };
        Ok(message("event", Some(position), &event))
    }

    async fn send(&self, text: String) -> Result<(), Gone> {
        let mut closing = self.shared.closing.clone();
        tokio::select! {
            biased;
            () = closed(&mut closing) => Err(Gone),
            sent = self.sender.send(Bytes::from(text)) => sent.map_err(|_| Gone),
        }
    }
}

/// A message. JSON has no line breaks of its own, so one line of data is enough.
fn message<T: Serialize>(name: &str, id: Option<Position>, data: &T) -> String {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\n{id}data: {data}\n\n")
}

/// The messages as a body.
struct Messages(mpsc::Receiver<Bytes>);

impl HttpBody for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let message = ready!(self.0.poll_recv(context));
        Poll::Ready(message.map(|message| Ok(Frame::data(message))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_height_a_dot_and_a_number() {
        assert_eq!(Position::parse("12.3"), Some(Position { height: 12, number: 3 }));
        for text in ["", "12", "12.", ".3", "1.2.3", "-1.0", "1.4294967296", "01.2"] {
            assert_eq!(Position::parse(text), None, "{text:?}");
        }
    }
}
