//! What each operation does.

pub(crate) mod overview;
pub(crate) mod proofs;
pub(crate) mod reading;
pub(crate) mod transactions;

use crate::events;
use crate::gate::{Context, Reply};
use crate::routes::Operation;
use ledger_client::wire::Problem;
use transactions::Wait;

pub(crate) async fn handle(operation: Operation, context: Context, wait: Option<Wait>) -> Result<Reply, Problem> {
    match operation {
        Operation::Live => overview::live(&context),
        Operation::Ready => overview::ready(&context),
        Operation::Metrics => overview::metrics(&context),
        Operation::OpenApi => Ok(Reply::Bytes("application/json", context.shared.openapi.clone())),
        Operation::ListChains => overview::chains(&context),
        Operation::ShowChain => overview::chain(&context),
        Operation::Genesis => overview::genesis(&context),
        Operation::Peers => overview::peers(&context),
        Operation::Submit => transactions::submit(context, wait).await,
        Operation::Status => transactions::status(context, wait).await,
        Operation::Receipt => proofs::receipt(context).await,
        Operation::TransactionProof => proofs::transaction(context).await,
        Operation::EventProof => proofs::event(context).await,
        Operation::StateKey => proofs::state_key(context).await,
        Operation::Checkpoint => proofs::checkpoint(context).await,
        Operation::Consistency => proofs::continuation(context).await,
        Operation::Block => reading::block(context).await,
        Operation::Header => reading::header(context).await,
        Operation::StatePage => reading::state_page(context).await,
        Operation::NextNumber => reading::next_number(context).await,
        Operation::Simulate => transactions::simulate(context).await,
        Operation::Query => reading::query(context).await,
        Operation::Events => events::stream(&context),
    }
}
