//! A network of members, each a validator in a process of its own.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger_core::codec::{self, List};
use ledger_core::{
    AccountId, ChainId, ContractId, Genesis, Height, SignedTransaction, Validator, ValidatorSet, Weight,
};
use ledger_crypto::{MemorySigner, PublicKey, Signer as _};
use ledger_traceability::epcis::{EventKey, Item};
use tokio::time::Instant;

use crate::agreement::View;
use crate::book::Evidence;
use crate::ledger::Recorded;
use crate::machine::Machine;
use crate::member::{Answer, Question, Standing};
use crate::owner;
use crate::parties::{self, member_name};
use crate::processes::{Child, Fallible, Line, PeerAt, Program, Settings, StartRequest};

/// Where the network's genesis is kept.
pub(crate) const GENESIS: &str = "genesis.bin";
/// How long a transaction may take, and how long members may take to agree.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before asking again.
const BETWEEN: Duration = Duration::from_millis(5);

/// One member.
struct Member {
    name: String,
    request: StartRequest,
    key: PublicKey,
    child: tokio::sync::Mutex<Option<Child>>,
    line: Mutex<Option<Line>>,
}

/// A network of members.
pub(crate) struct Network {
    genesis: Genesis,
    machine: Machine,
    contract: ContractId,
    program: Program,
    members: Arc<Vec<Member>>,
}

impl Network {
    /// Starts `nodes` members with their folders below `folder`; a network that is there goes on.
    pub(crate) async fn open(folder: &Path, nodes: usize, machine: Machine, program: Program) -> Fallible<Self> {
        let signers: Vec<MemorySigner> = (0..nodes).map(parties::member).collect();
        let genesis = genesis(folder, machine, &signers)?;
        let deployment = machine.deployment(genesis.chain())?;
        let contract = ContractId::deployed_by(&deployment.id());
        let mut members = Vec::with_capacity(nodes);
        for (number, signer) in signers.iter().enumerate() {
            let name = member_name(number, nodes);
            let below = folder.join(format!("member-{}", number + 1));
            let folder = below.to_str().ok_or("the folder's name is not UTF-8 text")?;
            let request = StartRequest {
                folder: folder.into(),
                seed: parties::member_seed(number),
                genesis: codec::encode(&genesis).into(),
                settings: Settings::default(),
            };
            let (child, line) = (tokio::sync::Mutex::default(), Mutex::default());
            members.push(Member { name, request, key: signer.public_key(), child, line });
        }
        let network = Network { genesis, machine, contract, program, members: Arc::new(members) };
        for number in 0..nodes {
            network.start(number).await?;
        }
        network.introduce().await?;
        network.deploy(&deployment).await?;
        Ok(network)
    }

    fn member(&self, number: usize) -> Fallible<&Member> {
        self.members.get(number).ok_or_else(|| "there is no such member".into())
    }

    async fn start(&self, number: usize) -> Fallible<()> {
        let member = self.member(number)?;
        let child = Child::start(&self.program, member.request.clone()).await;
        let child = child.map_err(|error| format!("member {} ({}): {error}", number + 1, member.name))?;
        *member.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(child.line());
        *member.child.lock().await = Some(child);
        Ok(())
    }

    /// Tells every member where the others are.
    async fn introduce(&self) -> Fallible<()> {
        let mut peers = Vec::with_capacity(self.members.len());
        for member in self.members.iter() {
            if let Some(child) = &*member.child.lock().await {
                peers.push(PeerAt { key: member.key, address: child.address.as_str().into() });
            }
        }
        for line in self.members.iter().filter_map(Member::line) {
            line.peers(peers.clone()).await?;
        }
        Ok(())
    }

    async fn deploy(&self, deployment: &SignedTransaction) -> Fallible<()> {
        let (recorded, _) = self.submit(deployment, 0).await?;
        recorded.failure.map_or(Ok(()), |failure| Err(format!("the contract was not deployed: {failure}").into()))
    }

    pub(crate) fn chain(&self) -> ChainId {
        self.genesis.chain()
    }

    pub(crate) fn contract(&self) -> (ContractId, Machine) {
        (self.contract, self.machine)
    }

    pub(crate) fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The members' names and processes.
    pub(crate) async fn members(&self) -> Vec<(String, Option<u32>)> {
        let mut members = Vec::with_capacity(self.members.len());
        for member in self.members.iter() {
            let process = member.child.lock().await.as_ref().and_then(Child::process);
            members.push((member.name.clone(), process));
        }
        members
    }

    /// Hands the transaction to `home`, and to the next member when that one is gone.
    pub(crate) fn submit(
        &self,
        transaction: &SignedTransaction,
        home: usize,
    ) -> impl Future<Output = Fallible<(Recorded, Duration)>> + Send + use<> {
        let (members, bytes) = (Arc::clone(&self.members), codec::encode(transaction));
        let handed_in = Instant::now();
        async move {
            let question = codec::encode(&Question::Submit(bytes.into()));
            let mut refused = String::from("no member answers");
            for member in members.iter().cycle().skip(home % members.len()) {
                if handed_in.elapsed() > PATIENCE {
                    break;
                }
                match member.ask(&question).await {
                    Ok(Answer::Recorded(failure)) => {
                        let failure = failure.map(|failure| failure.to_string());
                        return Ok((Recorded { failure }, handed_in.elapsed()));
                    }
                    Ok(Answer::Busy) => tokio::time::sleep(BETWEEN).await,
                    Ok(Answer::Refused(reason)) => return Err(reason.as_str().into()),
                    Ok(other) => return Err(format!("a member answered {other:?}").into()),
                    Err(error) => {
                        refused = error.to_string();
                        tokio::time::sleep(BETWEEN).await;
                    }
                }
            }
            Err(format!("a transaction is not final after {} s: {refused}", PATIENCE.as_secs()).into())
        }
    }

    /// Asks the first member that answers.
    async fn ask(&self, question: Question) -> Fallible<Answer> {
        let question = codec::encode(&question);
        let mut refused = "no member runs".into();
        for member in self.members.iter() {
            match member.ask(&question).await {
                Ok(answer) => return Ok(answer),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    pub(crate) async fn known(&self, height: Height, events: &[EventKey]) -> Fallible<Vec<bool>> {
        let keys: Vec<[u8; 32]> = events.iter().map(|event| *event.as_bytes()).collect();
        match self.ask(Question::Known(height, List::from(keys))).await? {
            Answer::Known(known) => Ok(known.into_vec()),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn next_number(&self, account: &AccountId) -> Fallible<u64> {
        match self.ask(Question::NextNumber(*account)).await? {
            Answer::Number(number) => Ok(number),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn trace(&self, item: &Item) -> Fallible<Option<u32>> {
        match self.ask(Question::Trace(item.as_str().into())).await? {
            Answer::Trace(included) => Ok(included),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn items(&self, limit: usize) -> Fallible<Vec<(Item, u32)>> {
        match self.ask(Question::Items(u32::try_from(limit)?)).await? {
            Answer::Items(items) => Ok(items.iter().map(|(item, links)| (Item::new(item), *links)).collect()),
            other => Err(unexpected(&other)),
        }
    }

    /// What a member proves is held against this process's own genesis.
    pub(crate) async fn prove(&self, item: &Item) -> Fallible<Evidence> {
        match self.ask(Question::Prove(item.as_str().into())).await? {
            Answer::Proof(checkpoint, proof) => Ok(Evidence {
                trust_root: codec::encode(&ledger_core::TrustRoot::new(self.genesis.clone())),
                checkpoint: checkpoint.into_vec(),
                proof: proof.into_vec(),
            }),
            other => Err(unexpected(&other)),
        }
    }

    async fn standing(&self, number: usize) -> Fallible<Standing> {
        let member = self.member(number)?;
        match member.ask(&codec::encode(&Question::Standing)).await? {
            Answer::Standing(Standing { stopped: Some(reason), .. }) => {
                Err(format!("member {} ({}) has stopped: {reason}", number + 1, member.name).into())
            }
            Answer::Standing(standing) => Ok(standing),
            other => Err(unexpected(&other)),
        }
    }

    /// Waits until all members stand at one checkpoint; each was verified by a light client that knows the genesis only.
    pub(crate) async fn agree(&self) -> Fallible<View> {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut views = Vec::with_capacity(self.members.len());
            for number in 0..self.members.len() {
                let standing = self.standing(number).await?;
                if standing.evidence > 0 {
                    return Err(format!("member {} has evidence of double votes", number + 1).into());
                }
                // A member that is still behind proves nothing yet.
                views.push(View::verify(&self.genesis, &standing).map_err(|error| error.to_string()));
            }
            let mut views = views.into_iter();
            let first = views.next().ok_or("there are no members")?;
            match first {
                Ok(first) if views.all(|view| view.as_ref() == Ok(&first)) => return Ok(first),
                first if Instant::now() > until => {
                    return Err(format!("the members don't agree after {} s: {first:?}", PATIENCE.as_secs()).into());
                }
                _ => tokio::time::sleep(BETWEEN).await,
            }
        }
    }

    /// The height at which all members stand.
    pub(crate) async fn settled_height(&self) -> Fallible<Height> {
        self.agree().await.map(|view| Height(view.history_size.saturating_sub(1)))
    }

    /// Ends a member's process at once (SIGKILL), and gives its name.
    pub(crate) async fn kill(&self, number: usize) -> Fallible<String> {
        let member = self.member(number)?;
        if let Some(mut child) = member.child.lock().await.take() {
            child.kill().await?;
        }
        Ok(member.name.clone())
    }

    /// Starts the member again; how long it took from there until it had executed what the others had then, in ms, and
    /// which height that was.
    pub(crate) async fn restart(&self, number: usize) -> Fallible<(Height, f64)> {
        let mut target = Height(0);
        for other in (0..self.members.len()).filter(|other| *other != number) {
            target = target.max(self.standing(other).await?.executed);
        }
        let started = Instant::now();
        self.start(number).await?;
        self.introduce().await?;
        while self.standing(number).await?.executed < target {
            if started.elapsed() > PATIENCE {
                return Err(format!("a member hasn't caught up after {} s", PATIENCE.as_secs()).into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok((target, started.elapsed().as_secs_f64() * 1_000.0))
    }

    /// Ends all members' processes in good order, all at once.
    pub(crate) async fn close(self) -> Fallible<()> {
        let mut closing = tokio::task::JoinSet::new();
        for member in self.members.iter() {
            member.line.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(child) = member.child.lock().await.take() {
                closing.spawn(child.stop());
            }
        }
        let mut closed = Ok(());
        while let Some(ended) = closing.join_next().await {
            closed = closed.and(ended.map_err(Into::into).and_then(|ended| ended));
        }
        closed
    }
}

impl Member {
    fn line(&self) -> Option<Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn ask(&self, question: &[u8]) -> Fallible<Answer> {
        let line = self.line().ok_or("the member doesn't run")?;
        Ok(codec::decode(&line.ask(question.to_vec()).await?)?)
    }
}

fn unexpected(answer: &Answer) -> Box<dyn std::error::Error + Send + Sync> {
    format!("a member answered {answer:?}").into()
}

/// The network's genesis: the one in the folder, or a new one.
fn genesis(folder: &Path, machine: Machine, members: &[MemorySigner]) -> Fallible<Genesis> {
    let validators = members.iter().map(|signer| Validator { key: signer.public_key(), weight: Weight(1) });
    let validators = ValidatorSet::new(validators)?;
    std::fs::create_dir_all(folder)?;
    let path = folder.join(GENESIS);
    match std::fs::read(&path) {
        Ok(bytes) => {
            let genesis: Genesis = codec::decode(&bytes)?;
            match genesis.validators()? {
                Some(known) if known == validators => machine.check(&genesis).map(|()| genesis),
                Some(known) => {
                    Err(format!("it is a network of {} members: use --nodes {}", known.len(), known.len()).into())
                }
                None => Err("its genesis is not a network's".into()),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if std::fs::read_dir(folder)?.next().is_some() {
                return Err("it holds something else than a network: use --nodes 1 for a ledger with one owner, or another folder".into());
            }
            let genesis = owner::with_deployer(Genesis::bft(machine.chain(), &validators, owner::now()?));
            std::fs::write(&path, codec::encode(&genesis))?;
            Ok(genesis)
        }
        Err(error) => Err(error.into()),
    }
}
