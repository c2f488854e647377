//! Blocks, headers, state pages, next numbers, queries.

use crate::failure::{self, malformed};
use crate::gate::{Content, Context, Reply, too_large};
use crate::handlers::proofs::entry;
use axum::http::StatusCode;
use ledger_client::wire::{
    Base64, BlockPage, HeaderAnswer, NextNumber, Problem, QueryAnswer, QueryRequest, StatePage, TransactionInfo, U64,
};
use ledger_core::codec::Bytes;
use ledger_core::{AccountId, ContractId, Height, KeyRange, StateView, codec};
use ledger_node::Chain;

/// Items on a page when the request names no number.
const DEFAULT_ITEMS: usize = 100;

/// What an item of a page takes in JSON beside its own bytes.
const ITEM_OVERHEAD: usize = 128;

/// A height in the path: digits or `latest`.
fn height(context: &Context, chain: &Chain) -> Result<Height, Problem> {
    let read = |text: &str| match text {
        "latest" => Some(chain.progress().executed),
        text => U64::parse(text).map(Height::from),
    };
    let height = context.params.named("height", "a number in decimal digits, or `latest`", read)?;
    height.ok_or_else(|| malformed("the height is missing"))
}

fn limit(context: &Context) -> Result<usize, Problem> {
    let most = context.shared.config.limits.page_items;
    let asked = context.params.number("limit")?;
    Ok(asked.map_or(DEFAULT_ITEMS, |asked| usize::try_from(asked).unwrap_or(usize::MAX)).clamp(1, most.max(1)))
}

pub(crate) async fn block(context: Context) -> Result<Reply, Problem> {
    let chain = context.chain()?;
    let (height, limit) = (height(&context, &chain)?, limit(&context)?);
    let (from, whole) = (context.params.number("from")?.unwrap_or(0), context.params.flag("encoded")?);
    let most = context.shared.config.limits.result_bytes;
    let page = context.shared.read(move || {
        let block = chain.block(height).map_err(failure::of_chain)?;
        let encoded = if whole {
            // Base64 makes four characters of three bytes; asked before, so that nothing large is made in vain.
            too_large(codec::encoded_length(&block).div_ceil(3).saturating_mul(4), most)?;
            Some(Base64(codec::encode(&block)))
        } else {
            None
        };
        let first = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(BlockPage {
            header: (&block.header).into(),
            count: u32::try_from(block.transactions.len()).unwrap_or(u32::MAX),
            from: u32::try_from(from).unwrap_or(u32::MAX),
            transactions: block.transactions.iter().skip(first).take(limit).map(TransactionInfo::from).collect(),
            encoded,
        })
    });
    context.json(StatusCode::OK, &page.await?)
}

pub(crate) async fn header(context: Context) -> Result<Reply, Problem> {
    let chain = context.chain()?;
    let height = height(&context, &chain)?;
    let header = context.shared.read(move || chain.header(height).map_err(failure::of_chain)).await?;
    let encoded = Base64(codec::encode(&header));
    context.json(StatusCode::OK, &HeaderAnswer { header: (&header).into(), encoded })
}

pub(crate) async fn state_page(context: Context) -> Result<Reply, Problem> {
    let (chain, params) = (context.chain()?, &context.params);
    let contract: ContractId = params.id("contract")?;
    let (prefix, after) = (params.hex("prefix")?.unwrap_or_default(), params.hex("after")?);
    let (limit, asked) = (limit(&context)?, params.number("height")?.map(Height));
    let most = context.shared.config.limits.result_bytes;
    let page = context.shared.read(move || {
        let height = asked.unwrap_or_else(|| chain.progress().executed);
        let state = chain.state_at(height).map_err(failure::of_chain)?;
        let mut range = KeyRange::prefix(contract, &prefix);
        if let Some(mut after) = after.filter(|after| **after >= *range.from) {
            // The first key behind it.
            after.push(0);
            range.from = Bytes::from(after);
        }
        let mut page = StatePage { contract, height: height.into(), entries: Vec::new(), next: None };
        let mut size = 0;
        for item in state.scan(&range) {
            let (key, found) = item.map_err(|error| Problem::new(failure::of_state(&error), error))?;
            let takes = key.name.len() * 2 + found.value.len().div_ceil(3) * 4 + ITEM_OVERHEAD;
            if page.entries.is_empty() {
                too_large(takes + ITEM_OVERHEAD * 4, most)?;
            }
            if page.entries.len() >= limit || size + takes + ITEM_OVERHEAD * 4 > most {
                page.next = page.entries.last().map(|last| last.key.clone());
                break;
            }
            size += takes;
            page.entries.push(entry(&key.name, &found));
        }
        Ok(page)
    });
    context.json(StatusCode::OK, &page.await?)
}

pub(crate) async fn next_number(context: Context) -> Result<Reply, Problem> {
    let (chain, account): (Chain, AccountId) = (context.chain()?, context.params.id("account")?);
    let lane = context.params.number("lane")?.unwrap_or(0);
    let number = context.shared.read(move || chain.next_number(&account, lane).map_err(failure::of_chain)).await?;
    context.json(StatusCode::OK, &NextNumber { account, lane: U64(lane), number: U64(number) })
}

pub(crate) async fn query(context: Context) -> Result<Reply, Problem> {
    let (chain, contract): (Chain, ContractId) = (context.chain()?, context.params.id("contract")?);
    let method = context.params.text("method").unwrap_or_default().to_owned();
    let arguments = match &context.body {
        Content::Bytes(bytes) => bytes.to_vec(),
        Content::Json(bytes) => serde_json::from_slice::<QueryRequest>(bytes).map_err(malformed)?.arguments.0,
        Content::None => Vec::new(),
    };
    let output = context.shared.read(move || chain.query(contract, &method, &arguments).map_err(failure::of_chain));
    context.json(StatusCode::OK, &QueryAnswer { output: Base64(output.await?) })
}
