//! What servers say and no proof shows.

use crate::client::Inner;
use crate::error::ClientError;
use crate::http::Ask;
use crate::wire::{
    Answer, BlockPage, ChainInfo, GenesisInfo, HeaderAnswer, QueryAnswer, SimulationAnswer, StatePage,
    TransactionAnswer,
};
use hyper::body::Bytes;
use ledger_core::{ContractId, Height, SignedTransaction, TransactionId, codec};
use std::sync::Arc;
use std::time::Duration;

/// What servers say and no proof shows: good for people to look at, and for what is verified afterwards.
#[derive(Clone)]
pub struct Unverified {
    inner: Arc<Inner>,
}

impl Unverified {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Unverified { inner }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        Ok(self.inner.http.ask(&Ask::get(self.inner.path(path))).await?.0)
    }

    /// The chain, and how far it has come at the server.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn chain(&self) -> Result<ChainInfo, ClientError> {
        self.get("").await
    }

    /// The genesis that the server has. To trust it is to trust the server.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn genesis(&self) -> Result<GenesisInfo, ClientError> {
        self.get("/genesis").await
    }

    /// Where a transaction stands.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self, id: TransactionId) -> Result<TransactionAnswer, ClientError> {
        self.get(&format!("/transactions/{id}")).await
    }

    /// Where a transaction stands, once it has reached `answer` or `wait` is over.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn wait(
        &self,
        id: TransactionId,
        answer: Answer,
        wait: Duration,
    ) -> Result<TransactionAnswer, ClientError> {
        let path = format!("/transactions/{id}?wait={answer}&timeout_ms={}", wait.as_millis());
        let ask = Ask { path: self.inner.path(&path), body: None, wait };
        Ok(self.inner.http.ask(&ask).await?.0)
    }

    /// A block, with the transactions from place `from` on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn block(&self, height: Height, from: u32) -> Result<BlockPage, ClientError> {
        self.get(&format!("/blocks/{height}?from={from}")).await
    }

    /// A block's header.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn header(&self, height: Height) -> Result<HeaderAnswer, ClientError> {
        self.get(&format!("/headers/{height}")).await
    }

    /// The first page of a contract's keys that begin with `prefix`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn keys(&self, contract: ContractId, prefix: &[u8]) -> Result<StatePage, ClientError> {
        self.get(&format!("/state/{contract}?prefix={}", crate::wire::Hex(prefix.to_vec()))).await
    }

    /// What would become of a transaction on the server's newest state, and what fuel it would use, whatever its own limit:
    /// sign it once with any limit, ask, and sign it anew with what it uses and some room for a state that has moved on.
    ///
    /// # Errors
    /// [`ClientError`]; a transaction that would fail is no error, the answer says so. [`ClientError::Mismatch`] when the
    /// answer is for another one.
    pub async fn simulate(&self, transaction: &SignedTransaction) -> Result<SimulationAnswer, ClientError> {
        let body = Some(Bytes::from(codec::encode(transaction)));
        let ask = Ask { path: self.inner.path("/simulations"), body, wait: Duration::ZERO };
        let (answer, number) = self.inner.http.ask::<SimulationAnswer>(&ask).await?;
        let id = transaction.id();
        if answer.transaction == id {
            return Ok(answer);
        }
        let server = self.inner.http.name(number);
        let reason = format!("it answers for transaction {}, not {id}", answer.transaction);
        Err(ClientError::Mismatch { server, what: "simulation", reason })
    }

    /// Calls a contract's reading method.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn query(&self, contract: ContractId, method: &str, arguments: &[u8]) -> Result<Vec<u8>, ClientError> {
        let path = self.inner.path(&format!("/contracts/{contract}/query/{}", escaped(method)));
        let body = Some(Bytes::copy_from_slice(arguments));
        let (answer, _) = self.inner.http.ask::<QueryAnswer>(&Ask { path, body, wait: Duration::ZERO }).await?;
        Ok(answer.output.0)
    }
}

/// A path's segment: what isn't plain is percent-encoded.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

impl std::fmt::Debug for Unverified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unverified(..)")
    }
}
