//! Health, metrics, chains, peers.

use crate::gate::{Context, Reply};
use axum::http::StatusCode;
use ledger_client::wire::{ChainInfo, ChainList, GenesisInfo, Health, PeerList, Problem};
use ledger_node::Chain;

fn info(chain: &Chain) -> ChainInfo {
    let (genesis, progress) = (chain.genesis(), chain.progress());
    ChainInfo {
        id: chain.id(),
        name: genesis.name.to_string(),
        engine: genesis.engine.name.to_string(),
        ordered: progress.ordered.into(),
        executed: progress.executed.into(),
        certified: progress.certified().map(Into::into),
        stopped: progress.stopped.map(|stop| stop.to_string()),
    }
}

pub(crate) fn live(context: &Context) -> Result<Reply, Problem> {
    context.json(StatusCode::OK, &Health { healthy: true, problems: Vec::new() })
}

pub(crate) fn ready(context: &Context) -> Result<Reply, Problem> {
    // Open to everyone, so it says which chain and not why; the chain's own page says that.
    let stopped = context.shared.chains.all().into_iter().filter(|chain| chain.progress().stopped.is_some());
    let problems: Vec<String> = stopped.map(|chain| format!("chain {} has stopped", chain.id())).collect();
    let healthy = problems.is_empty();
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    context.json(status, &Health { healthy, problems })
}

pub(crate) fn metrics(context: &Context) -> Result<Reply, Problem> {
    let shared = &context.shared;
    let text = crate::metrics::text(&shared.counters, &shared.chains, &*shared.instruments);
    context.check_result(text.len())?;
    Ok(Reply::Text("text/plain; version=0.0.4; charset=utf-8", text))
}

pub(crate) fn chains(context: &Context) -> Result<Reply, Problem> {
    let chains = context.shared.chains.all().iter().map(info).collect();
    context.json(StatusCode::OK, &ChainList { chains })
}

pub(crate) fn chain(context: &Context) -> Result<Reply, Problem> {
    context.json(StatusCode::OK, &info(&context.chain()?))
}

pub(crate) fn genesis(context: &Context) -> Result<Reply, Problem> {
    context.json(StatusCode::OK, &GenesisInfo::from(context.chain()?.genesis()))
}

pub(crate) fn peers(context: &Context) -> Result<Reply, Problem> {
    let mut peers = context.shared.instruments.peers(&context.chain()?.id());
    peers.sort_by_key(|peer| peer.key);
    context.json(StatusCode::OK, &PeerList { peers })
}
