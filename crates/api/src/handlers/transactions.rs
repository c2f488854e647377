//! Handing transactions in, and the four answers.

use crate::config::ApiLimits;
use crate::failure::{self, BUSY_RETRY_MS, malformed};
use crate::gate::{Content, Context, Reply, ahead};
use crate::params::Params;
use crate::routes::Operation;
use axum::http::StatusCode;
use ledger_client::wire::{
    Answer, Place, Problem, ProblemKind, ReceiptInfo, SimulationAnswer, SubmitRequest, TransactionAnswer,
};
use ledger_core::{Height, SignedTransaction, TransactionId, codec};
use ledger_node::{Chain, Executed, Progress, Refusal, SubmitError, TransactionStatus};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a full queue of submissions may hold a request up before the answer is "busy".
const ENQUEUE: Duration = Duration::from_secs(1);

/// What a request waits for, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) answer: Answer,
    pub(crate) timeout: Duration,
}

/// Reads `wait` and `timeout_ms`.
pub(crate) fn wait(operation: Operation, params: &Params, limits: &ApiLimits) -> Result<Option<Wait>, Problem> {
    if !matches!(operation, Operation::Submit | Operation::Status) {
        return Ok(None);
    }
    let answer = params.named("wait", "`accepted`, `ordered`, `executed` or `certified`", Answer::parse)?;
    let timeout = params.number("timeout_ms")?.map_or(limits.max_wait, Duration::from_millis).min(limits.max_wait);
    Ok(answer.map(|answer| Wait { answer, timeout }))
}

pub(crate) async fn submit(context: Context, wait: Option<Wait>) -> Result<Reply, Problem> {
    let chain = context.chain()?;
    let transaction = transaction(&context.body)?;
    let id = transaction.id();
    let wait = wait.unwrap_or(Wait { answer: Answer::Accepted, timeout: Duration::ZERO });
    let enqueued = timeout(ENQUEUE, chain.enqueue(transaction)).await.map_err(|_| {
        let detail = "busy: the chain takes no more submissions up; the transaction wasn't handed in";
        Problem::new(ProblemKind::Busy, detail).retry_after_ms(BUSY_RETRY_MS)
    })?;
    let accepted = enqueued.map_err(failure::of_submit)?.await;
    let duplicate = match accepted {
        Ok(pending) => {
            context.shared.recent.insert(pending);
            false
        }
        Err(SubmitError::Mempool(refusal)) if !matches!(refusal, Refusal::Busy { .. }) => {
            let under_way = matches!(refusal, Refusal::Duplicate { .. }) || context.shared.recent.get(&id).is_some();
            // What was executed already has used its own number up: that is no refusal.
            if !under_way && find(&context, &chain, id).await? == TransactionStatus::Unknown {
                return Err(failure::of_submit(refusal.into()));
            }
            true
        }
        Err(error) => return Err(failure::of_submit(error)),
    };
    let mut answer = reach(&context, &chain, id, wait).await?;
    answer.duplicate = duplicate;
    let status = if answer.receipt.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    context.json(status, &answer)
}

pub(crate) async fn simulate(context: Context) -> Result<Reply, Problem> {
    let chain = context.chain()?;
    let transaction = transaction(&context.body)?;
    // One of another chain says nothing about this one, however alike they are.
    transaction.check_form(&chain.id()).map_err(|error| Problem::new(ProblemKind::InvalidTransaction, error))?;
    let id = transaction.id();
    let simulated = move || chain.simulate_transaction(&transaction).map_err(failure::of_chain);
    let simulation = context.shared.read(simulated).await?;
    context.json(StatusCode::OK, &SimulationAnswer::new(id, &simulation))
}

fn transaction(body: &Content) -> Result<SignedTransaction, Problem> {
    let invalid = |error| Problem::new(ProblemKind::InvalidTransaction, error);
    match body {
        Content::Bytes(bytes) => codec::decode(bytes).map_err(invalid),
        Content::Json(bytes) => {
            let request: SubmitRequest = serde_json::from_slice(bytes).map_err(malformed)?;
            codec::decode(&request.transaction.0).map_err(invalid)
        }
        Content::None => Err(malformed("a body is missing")),
    }
}

pub(crate) async fn status(context: Context, wait: Option<Wait>) -> Result<Reply, Problem> {
    let (chain, id) = (context.chain()?, context.params.id("id")?);
    let answer = match wait {
        Some(wait) => reach(&context, &chain, id, wait).await?,
        None => {
            // Nothing is waited for: all that is known now.
            let wait = Wait { answer: Answer::Certified, timeout: Duration::ZERO };
            TransactionAnswer { complete: true, ..known(&context, &chain, id, wait, Instant::now()).await? }
        }
    };
    context.json(StatusCode::OK, &answer)
}

async fn find(context: &Context, chain: &Chain, id: TransactionId) -> Result<TransactionStatus, Problem> {
    let chain = chain.clone();
    context.shared.read(move || chain.status(&id).map_err(failure::of_chain)).await
}

/// Waits until the transaction has reached the answer or the time is over, and says what is known then.
async fn reach(context: &Context, chain: &Chain, id: TransactionId, wait: Wait) -> Result<TransactionAnswer, Problem> {
    let deadline = ahead(wait.timeout);
    let mut progress = chain.watch_progress();
    loop {
        // Seen before the views are asked, so that nothing that happens in between is missed.
        let now = progress.borrow_and_update().clone();
        let known = known(context, chain, id, wait, deadline).await?;
        if known.reached >= Some(wait.answer) {
            return Ok(TransactionAnswer { complete: true, ..known });
        }
        if let Some(stop) = now.stopped {
            let detail = format!("unknown: the chain has stopped: {stop}");
            return Err(Problem::new(ProblemKind::OutcomeUnknown, detail));
        }
        let target = known.place.as_ref().map(|place| Height::from(place.height));
        let further = |progress: &Progress| match (target, known.reached) {
            (Some(height), Some(Answer::Executed)) => progress.certifies(height),
            (Some(height), _) => progress.executed >= height,
            // A block that may hold it.
            (None, _) => progress.executed > now.executed,
        };
        let waited =
            timeout_at(deadline, progress.wait_for(|progress| further(progress) || progress.stopped.is_some()));
        match waited.await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => {
                let detail = "unknown: the chain was closed before the answer was known";
                return Err(Problem::new(ProblemKind::OutcomeUnknown, detail));
            }
            Err(_) => return Ok(known),
        }
    }
}

/// What is known now; waits for the order, which only the pending transaction tells.
async fn known(
    context: &Context,
    chain: &Chain,
    id: TransactionId,
    wait: Wait,
    deadline: Instant,
) -> Result<TransactionAnswer, Problem> {
    let recent = context.shared.recent.get(&id);
    // What is on its way isn't in the views, so the order goes first: it saves a look into them.
    if let Some(recent) = recent {
        let until = if wait.answer == Answer::Accepted { Instant::now() } else { deadline };
        let place = timeout_at(until, async { recent.lock().await.ordered().await }).await;
        match place {
            Err(_) => return Ok(answer(id, Answer::Accepted, None, None)),
            Ok(Ok(ordered)) => {
                let executed = chain.progress().executed >= ordered.place.height;
                if wait.answer <= Answer::Ordered || !executed {
                    return Ok(answer(id, Answer::Ordered, Some(ordered.place.into()), None));
                }
            }
            Ok(Err(error)) => {
                // Another copy of it may have been ordered.
                if find(context, chain, id).await? == TransactionStatus::Unknown {
                    return Err(failure::of_pending(error));
                }
            }
        }
    }
    Ok(match find(context, chain, id).await? {
        TransactionStatus::Certified(certified) => of_executed(certified.executed, Answer::Certified),
        TransactionStatus::Executed(executed) => of_executed(executed, Answer::Executed),
        TransactionStatus::Unknown => TransactionAnswer { reached: None, ..answer(id, Answer::Accepted, None, None) },
    })
}

fn of_executed(executed: Executed, reached: Answer) -> TransactionAnswer {
    let receipt = ReceiptInfo::from(&executed.result);
    answer(executed.id, reached, Some(executed.place.into()), Some(receipt))
}

fn answer(id: TransactionId, reached: Answer, place: Option<Place>, receipt: Option<ReceiptInfo>) -> TransactionAnswer {
    TransactionAnswer { id, reached: Some(reached), complete: false, duplicate: false, place, receipt }
}
