//! What went wrong, as problem details.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use ledger_client::wire::{Problem, ProblemKind};
use ledger_core::{ExecutionError, StateError};
use ledger_node::{ChainError, PendingError, Refusal, SubmitError, SubscriptionError};
use ledger_storage::chain::StoreError;

/// The media type of problem details.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// When a client had better come back after "busy", in ms.
pub(crate) const BUSY_RETRY_MS: u64 = 100;

/// Gives problem details for the answer to a request for `instance`.
pub(crate) fn response(mut problem: Problem, instance: &str) -> Response {
    problem.instance = instance.into();
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(after) = problem.retry_after_ms {
        // Whole seconds, rounded up: RFC 9110 knows no smaller ones.
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after.0.div_ceil(1_000)));
    }
    match problem.kind() {
        Some(ProblemKind::Unauthorized) => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // What is left of the body won't be read.
        Some(ProblemKind::BodyTooLarge | ProblemKind::RequestTimeout) => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}

pub(crate) fn malformed(detail: impl std::fmt::Display) -> Problem {
    Problem::new(ProblemKind::MalformedRequest, detail)
}

pub(crate) fn of_chain(error: ChainError) -> Problem {
    let kind = match &error {
        ChainError::NoBlock { .. } => ProblemKind::UnknownBlock,
        ChainError::Pruned { .. } => ProblemKind::NotKept,
        ChainError::NoTransaction { .. } | ChainError::NoEvent { .. } => ProblemKind::UnknownTransaction,
        ChainError::NotCertified { .. } => {
            return Problem::new(ProblemKind::NotCertified, error).retry_after_ms(BUSY_RETRY_MS);
        }
        ChainError::Execution(ExecutionError::Busy { .. }) => {
            return Problem::new(ProblemKind::Busy, error).retry_after_ms(BUSY_RETRY_MS);
        }
        ChainError::Query(_) => ProblemKind::QueryRefused,
        ChainError::Codec(_) => ProblemKind::InvalidTransaction,
        ChainError::Closed | ChainError::Stopped(_) => ProblemKind::ChainClosed,
        ChainError::Store(store) => of_store(store),
        _ => ProblemKind::Internal,
    };
    Problem::new(kind, error)
}

fn of_store(error: &StoreError) -> ProblemKind {
    match error {
        StoreError::NotReached { .. } => ProblemKind::UnknownBlock,
        StoreError::Pruned { .. } | StoreError::BeforeSnapshot { .. } => ProblemKind::NotKept,
        StoreError::HistoryNotReached { .. } | StoreError::OutsideHistory { .. } => ProblemKind::MalformedRequest,
        StoreError::State(error) => of_state(error),
        _ => ProblemKind::Internal,
    }
}

pub(crate) fn of_state(error: &StateError) -> ProblemKind {
    match error {
        StateError::Height { height, newest, .. } if height > newest => ProblemKind::UnknownBlock,
        StateError::Height { .. } => ProblemKind::NotKept,
        _ => ProblemKind::Internal,
    }
}

pub(crate) fn of_submit(error: SubmitError) -> Problem {
    match &error {
        SubmitError::Transaction(_) => Problem::new(ProblemKind::InvalidTransaction, error),
        SubmitError::Mempool(Refusal::Busy { limit, .. }) => {
            let limit = *limit;
            Problem::new(ProblemKind::Busy, error).limit(limit).retry_after_ms(BUSY_RETRY_MS)
        }
        SubmitError::Mempool(_) => Problem::new(ProblemKind::TransactionRefused, error),
        SubmitError::Closed | SubmitError::Stopped(_) => Problem::new(ProblemKind::ChainClosed, error),
        _ => Problem::new(ProblemKind::Internal, error),
    }
}

pub(crate) fn of_pending(error: PendingError) -> Problem {
    let kind = match &error {
        PendingError::Dropped(_) => ProblemKind::TransactionDropped,
        PendingError::Unknown | PendingError::Stopped(_) => ProblemKind::OutcomeUnknown,
        _ => ProblemKind::Internal,
    };
    Problem::new(kind, error)
}

pub(crate) fn of_subscription(error: SubscriptionError) -> Problem {
    match error {
        SubscriptionError::Chain(error) => of_chain(error),
        other => Problem::new(ProblemKind::ChainClosed, other),
    }
}
