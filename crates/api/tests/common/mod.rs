//! A real server on the loopback over a real chain with one owner, and the plainest HTTP client.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

use ledger_api::{ApiConfig, ApiServer, Instruments};
use ledger_consensus::Solo;
use ledger_contracts::token::{Grant, Token, mint_arguments};
use ledger_contracts::{NATIVE, NativeRuntime};
use ledger_core::{
    AccountId, ContractId, Genesis, SignedTransaction, Status, Timestamp, TransactionBuilder, TransactionId, codec,
};
use ledger_crypto::{MemorySigner, Signer};
use ledger_node::{Chain, Host, NodeBuilder};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub fn owner() -> MemorySigner {
    MemorySigner::from_seed([1; 32])
}

pub fn genesis() -> Genesis {
    Genesis::solo("test", owner().public_key(), Timestamp(1_000))
}

pub fn account(signer: &MemorySigner) -> AccountId {
    AccountId::of_ed25519(&signer.public_key())
}

/// A node with a server in front.
pub struct Node {
    pub address: SocketAddr,
    pub chain: Option<Chain>,
    pub contract: ContractId,
    pub next: u64,
    host: Option<Host>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
    folder: tempfile::TempDir,
}

impl Node {
    pub async fn start() -> Node {
        Node::with(ApiConfig::default()).await
    }

    pub async fn with(config: ApiConfig) -> Node {
        Node::instrumented(config, None).await
    }

    pub async fn instrumented(config: ApiConfig, instruments: Option<Arc<dyn Instruments>>) -> Node {
        let folder = tempfile::tempdir().unwrap();
        let runtime = NativeRuntime::new().with(Token);
        let host = NodeBuilder::new().folder(folder.path()).unwrap().runtime(runtime).start().await.unwrap();
        let chain = host.chain(genesis(), Solo::new(owner())).await.unwrap();
        let deploy = TransactionBuilder::deploy(chain.id(), NATIVE, b"token".to_vec(), Vec::new());
        let mut pending = chain.submit(deploy.sequence(0, 0).sign(&owner()).unwrap()).await.unwrap();
        let deployed = pending.certified().await.unwrap();
        assert_eq!(deployed.executed.result.receipt.status, Status::Succeeded);
        let mut server = ApiServer::bind("127.0.0.1:0".parse().unwrap(), config, chain.clone()).await.unwrap();
        if let Some(instruments) = instruments {
            server = server.instruments(instruments);
        }
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async move {
            let _ = stopped.await;
        }));
        let contract = ContractId::deployed_by(&deployed.executed.id);
        let (host, stop, serving, chain) = (Some(host), Some(stop), Some(serving), Some(chain));
        Node { address, chain, contract, next: 1, host, stop, serving, folder }
    }

    pub fn chain(&self) -> &Chain {
        self.chain.as_ref().unwrap()
    }

    /// `/v1/chains/{id}` and what follows.
    pub fn path(&self, rest: &str) -> String {
        format!("/v1/chains/{}{rest}", self.chain().id())
    }

    /// A transaction that mints 1 and so emits one event.
    pub fn mint(&mut self) -> SignedTransaction {
        self.next += 1;
        self.mint_at(self.next - 1)
    }

    pub fn mint_at(&self, number: u64) -> SignedTransaction {
        let grant = mint_arguments(&[Grant { account: account(&owner()), amount: 1 }]);
        let call = TransactionBuilder::call(self.chain().id(), self.contract, "mint", grant);
        call.sequence(0, number).salt([0; 16]).sign(&owner()).unwrap()
    }

    /// Mints `count` times and waits until all of it is certified.
    pub async fn mint_certified(&mut self, count: usize) -> Vec<TransactionId> {
        let mut ids = Vec::new();
        for _ in 0..count {
            let transaction = self.mint();
            let mut pending = self.chain().submit(transaction).await.unwrap();
            ids.push(pending.id());
            pending.certified().await.unwrap();
        }
        ids
    }

    pub async fn get(&self, path: &str) -> Reply {
        request(self.address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), &[])
            .await
    }

    pub async fn get_with(&self, path: &str, headers: &str) -> Reply {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
        request(self.address, &head, &[]).await
    }

    /// The status of an answer whose body may have no end.
    pub async fn get_head(&self, path: &str) -> u16 {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        parse(&buffer[..read]).unwrap().status
    }

    pub async fn post(&self, path: &str, headers: &str, body: &[u8]) -> Reply {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        request(self.address, &head, body).await
    }

    pub async fn submit(&self, transaction: &SignedTransaction, query: &str) -> Reply {
        let path = self.path(&format!("/transactions{query}"));
        self.post(&path, "Content-Type: application/octet-stream\r\n", &codec::encode(transaction)).await
    }

    /// Closes everything; the folder can be opened again afterwards.
    pub async fn stop(mut self) -> tempfile::TempDir {
        let _ = self.stop.take().unwrap().send(());
        self.serving.take().unwrap().await.unwrap();
        self.chain = None;
        self.host.take().unwrap().shutdown().await.unwrap();
        self.folder
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The problem's kind; checks that it is a whole one.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status);
        for member in ["type", "title", "detail", "instance"] {
            assert!(json[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {json}");
        }
        json["type"].as_str().unwrap().strip_prefix("urn:ledgerkit:problem:").unwrap().to_owned()
    }
}

pub async fn request(address: SocketAddr, head: &str, body: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses early may close while the rest is written.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    parse(&bytes).unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(&bytes)))
}

pub fn parse(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = bytes[end + 4..].to_vec();
    let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") { unchunked(&body) } else { body };
    Some(Reply { status, head, body })
}

/// Takes as many whole chunks as there are.
pub fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if length == 0 || bytes.len() < end + 2 + length {
            break;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + length]);
        bytes = bytes.get(end + 4 + length..).unwrap_or_default();
    }
    body
}

/// A stream of events that is being read.
pub struct Stream {
    stream: TcpStream,
    bytes: Vec<u8>,
}

/// A message of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub name: String,
    pub id: Option<String>,
    pub data: Value,
}

impl Stream {
    pub async fn open(address: SocketAddr, path: &str, headers: &str) -> Stream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Stream { stream, bytes: Vec::new() }
    }

    /// Reads the answer's head.
    pub async fn opened(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = self.stream.read(&mut buffer).await.unwrap();
        self.bytes.extend_from_slice(&buffer[..read]);
        parse(&self.bytes).is_some_and(|reply| reply.status == 200)
    }

    /// Reads until the server closes.
    pub async fn ended(&mut self) -> bool {
        self.stream.read_to_end(&mut self.bytes).await.is_ok()
    }

    /// Reads until `count` messages came, or the stream ended.
    pub async fn messages(&mut self, count: usize) -> Vec<Message> {
        loop {
            let found = self.parsed();
            if found.len() >= count {
                return found;
            }
            let mut buffer = [0; 4096];
            let read = self.stream.read(&mut buffer).await.unwrap();
            if read == 0 {
                return found;
            }
            self.bytes.extend_from_slice(&buffer[..read]);
        }
    }

    fn parsed(&self) -> Vec<Message> {
        let Some(reply) = parse(&self.bytes) else { return Vec::new() };
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        let text = String::from_utf8(reply.body).unwrap();
        let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
        let blocks = whole.split("\n\n").filter(|block| block.contains("data: "));
        blocks
            .map(|block| {
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                Message {
                    name: field("event: ").unwrap(),
                    id: field("id: "),
                    data: serde_json::from_str(&field("data: ").unwrap()).unwrap(),
                }
            })
            .collect()
    }
}
