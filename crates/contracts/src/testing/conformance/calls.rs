//! Laws of calls between contracts.

use super::{Suite, TestLedger, Violation, hold};
use crate::call::CallFailure;
use crate::testing::{MapState, TestError};
use ledger_core::codec::Text;
use ledger_core::{AccountId, ContractId, Failure, Fuel, StateView, Status, TransactionResult};

/// A call that a probe is asked to make.
#[derive(Clone, Copy)]
struct Ask<'a> {
    callee: ContractId,
    read_only: bool,
    /// Whether the caller writes before and after.
    keeps: bool,
    fuel_limit: Option<u64>,
    method: &'a str,
    arguments: &'a [u8],
}

impl<'a> Ask<'a> {
    fn of(callee: ContractId, method: &'a str, arguments: &'a [u8]) -> Self {
        Ask { callee, read_only: false, keeps: false, fuel_limit: None, method, arguments }
    }

    fn read_only(self) -> Self {
        Ask { read_only: true, ..self }
    }

    fn keeping(self) -> Self {
        Ask { keeps: true, ..self }
    }

    fn with_fuel(self, limit: u64) -> Self {
        Ask { fuel_limit: Some(limit), ..self }
    }

    fn encoded(&self) -> Vec<u8> {
        let mut bytes = self.callee.0.as_bytes().to_vec();
        bytes.push(u8::from(self.read_only) | u8::from(self.keeps) << 1);
        bytes.extend(self.fuel_limit.unwrap_or(u64::MAX).to_le_bytes());
        bytes.push(u8::try_from(self.method.len()).unwrap_or(u8::MAX));
        bytes.extend(self.method.as_bytes());
        bytes.extend(self.arguments);
        bytes
    }
}

/// What a probe says came of a call, and what became of the transaction.
struct Told {
    /// 0, or one more than the reason's code.
    code: u64,
    words: Vec<u8>,
    result: TransactionResult,
    state: MapState,
}

/// What a probe tells of a callee that failed so.
fn told(failure: &Failure) -> u64 {
    CallFailure(failure.clone()).code().saturating_add(1)
}

fn forbidden() -> u64 {
    told(&Failure::Forbidden { what: Text::default() })
}

fn value(state: &MapState, contract: ContractId, key: &[u8]) -> Result<Option<Vec<u8>>, Violation> {
    let found = state.get(&ledger_core::Key::new(contract, key)).map_err(|error| TestError::Execution(error.into()))?;
    Ok(found.map(|found| found.value.into_vec()))
}

/// A call's answer, taken apart.
fn parts(answer: &[u8]) -> Option<(u64, &[u8])> {
    answer.split_first_chunk::<8>().map(|(code, words)| (u64::from_le_bytes(*code), words))
}

impl Suite {
    /// Lets `caller` make a call, in a transaction that succeeds.
    fn relay(&self, caller: ContractId, ask: &Ask<'_>) -> Result<Told, Violation> {
        self.relay_on(self.ledger.clone(), caller, ask)
    }

    fn relay_on(&self, mut ledger: TestLedger, caller: ContractId, ask: &Ask<'_>) -> Result<Told, Violation> {
        let result = ledger.call(&self.signer, caller, "call", &ask.encoded())?;
        let law = "a caller goes on after its call";
        hold(law, result.receipt.succeeded(), &result.receipt)?;
        let Some((code, words)) = parts(&result.receipt.output).map(|(code, words)| (code, words.to_vec())) else {
            return Err(Violation::Law { law, found: format!("{:?}", result.receipt.output) });
        };
        Ok(Told { code, words, result, state: ledger.state })
    }

    pub(super) fn calls_between_contracts(&self) -> Result<(), Violation> {
        let Suite { contract, second, other, .. } = *self;
        for (caller, callee) in [(contract, second), (contract, other), (other, contract)] {
            self.answers(caller, callee)?;
            self.failing_callees(caller, callee)?;
            self.limits_of_calls(caller, callee)?;
        }
        for (caller, callee, last) in [(contract, second, other), (other, contract, second), (contract, other, second)]
        {
            self.read_only_calls(caller, callee, last)?;
            self.reentrancy(caller, callee)?;
            self.depth(caller, callee, last)?;
        }
        Ok(())
    }

    fn answers(&self, caller: ContractId, callee: ContractId) -> Result<(), Violation> {
        let echoed = self.relay(caller, &Ask::of(callee, "echo", b"\0any bytes\xff"))?;
        let law = "a callee gets its arguments, and its output is passed on";
        hold(law, (echoed.code, &*echoed.words) == (0, b"\0any bytes\xff"), (echoed.code, &echoed.words))?;
        let who = self.relay(caller, &Ask::of(callee, "caller", b""))?;
        let account = AccountId::of_contract(&caller);
        hold("a callee's caller is the contract that calls", who.words == account.0.as_bytes(), &who.words)?;
        let put = self.relay(caller, &Ask::of(callee, "put", b"kvalue").keeping())?;
        let written = (value(&put.state, callee, b"k")?, value(&put.state, caller, b"k")?);
        hold("a callee writes in its own namespace", written == (Some(b"value".to_vec()), None), &written)?;
        let kept = (value(&put.state, caller, b"c")?, value(&put.state, caller, b"a")?);
        let law = "a caller writes before and after a call";
        hold(law, kept == (Some(b"kvalue".to_vec()), Some(vec![0; 8])), &kept)?;
        let told = self.relay(caller, &Ask::of(callee, "emit", b"news"))?.result.events;
        let by: Vec<_> = told.iter().map(|event| (event.contract, event.data.to_vec())).collect();
        hold("a callee's events are its own", by == [(callee, b"news".to_vec())], &by)
    }

    fn failing_callees(&self, caller: ContractId, callee: ContractId) -> Result<(), Violation> {
        let refused = Failure::Refused { code: 7, message: Text::default() };
        let trapped = Failure::Trapped { message: Text::default() };
        let unknown = Failure::UnknownMethod { method: Text::default() };
        for (method, failure) in [("refuse", refused), ("break", trapped), ("no such method", unknown)] {
            let failed = self.relay(caller, &Ask::of(callee, method, b"kvalue").keeping())?;
            hold("a caller is told why its callee failed", failed.code == told(&failure), (method, failed.code))?;
            let law = "a refusal's words reach the caller";
            hold(law, method != "refuse" || &*failed.words == b"no", (method, &failed.words))?;
            let left = value(&failed.state, callee, b"k")?;
            hold("what a failed callee wrote is taken back", left.is_none(), (method, left))?;
            let events = &failed.result.events;
            hold("what a failed callee emitted is taken back", events.is_empty(), (method, events))?;
            let kept = (value(&failed.state, caller, b"c")?, value(&failed.state, caller, b"a")?);
            let law = "what its caller wrote before and after is kept";
            hold(law, kept.0.as_deref() == Some(b"kvalue") && kept.1.is_some(), (method, kept))?;
        }
        let nobody = ContractId(ledger_crypto::Digest::ZERO);
        let failed = self.relay(caller, &Ask::of(nobody, "echo", b""))?.code;
        let expected = told(&Failure::UnknownContract { contract: nobody });
        hold("a call of a contract that isn't there has failed", failed == expected, failed)
    }

    fn limits_of_calls(&self, caller: ContractId, callee: ContractId) -> Result<(), Violation> {
        const LIMIT: u64 = 200_000;
        let expected = told(&Failure::OutOfFuel { limit: Fuel(LIMIT) });
        for method in ["spin", "swallow"] {
            let ended = self.relay(caller, &Ask::of(callee, method, b"kvalue").with_fuel(LIMIT).keeping())?;
            hold("a callee ends at its limit of fuel", ended.code == expected, (method, ended.code))?;
            let used = ended.result.receipt.fuel_used;
            hold("what a failed callee used stays used", used.0 > LIMIT, (method, used))?;
            let left = value(&ended.state, callee, b"k")?;
            hold("what a callee out of fuel wrote is taken back", left.is_none(), (method, left))?;

            let mut ledger = self.ledger.clone();
            let ask = Ask::of(callee, method, b"kvalue").keeping();
            let receipt = ledger.call(&self.signer, caller, "call", &ask.encoded())?.receipt;
            let out = receipt.status == Status::Failed(Failure::OutOfFuel { limit: receipt.fuel_used });
            hold("a callee that uses up the transaction's fuel ends it", out, &receipt)?;
            let left = (value(&ledger.state, caller, b"c")?, value(&ledger.state, callee, b"k")?);
            hold("and nothing of it is left", left == (None, None), left)?;
        }
        // The least that is enough, by halving.
        let succeeds = |limit| -> Result<bool, Violation> {
            let put = self.relay(caller, &Ask::of(callee, "put", b"kvalue").with_fuel(limit))?;
            let written = value(&put.state, callee, b"k")?.is_some();
            hold("a limited call has its whole effect, or none", written == (put.code == 0), (limit, put.code))?;
            Ok(written)
        };
        let (mut least, mut most) = (0, LIMIT);
        while least < most {
            let middle = least.midpoint(most);
            if succeeds(middle)? {
                most = middle;
            } else {
                least = middle.saturating_add(1);
            }
        }
        let around = (succeeds(least.saturating_sub(1))?, succeeds(least)?, succeeds(least.saturating_mul(2))?);
        hold("a call succeeds with what it needs and no less", around == (false, true, true), (least, around))
    }

    fn read_only_calls(&self, caller: ContractId, callee: ContractId, last: ContractId) -> Result<(), Violation> {
        for (method, arguments) in [("put", &b"kvalue"[..]), ("delete", b"k"), ("emit", b"news")] {
            let refused = self.relay(caller, &Ask::of(callee, method, arguments).read_only())?;
            hold("a read-only callee changes nothing", refused.code == forbidden(), (method, refused.code))?;
            // The one in the middle doesn't say that it calls read-only.
            let below = Ask::of(last, method, arguments).encoded();
            let passed = self.relay(caller, &Ask::of(callee, "call", &below).read_only())?;
            let inner = parts(&passed.words).map(|(code, _)| code);
            let law = "nor does anybody whom it calls";
            hold(law, (passed.code, inner) == (0, Some(forbidden())), (method, passed.code, inner))?;
            let law = "and there is nothing of it";
            hold(law, value(&passed.state, last, b"k")?.is_none() && passed.result.events.is_empty(), method)?;
        }
        let mut ledger = self.ledger.clone();
        ledger.call(&self.signer, callee, "put", b"kvalue")?;
        let read = self.relay_on(ledger, caller, &Ask::of(callee, "get", b"k").read_only())?;
        hold("a read-only callee reads", (read.code, &*read.words) == (0, b"value"), (read.code, &read.words))
    }

    fn reentrancy(&self, caller: ContractId, callee: ContractId) -> Result<(), Violation> {
        let law = "a contract that is running isn't entered to change it";
        let itself = self.relay(caller, &Ask::of(caller, "put", b"kvalue"))?;
        hold(law, itself.code == forbidden() && value(&itself.state, caller, b"k")?.is_none(), itself.code)?;
        let back = Ask::of(caller, "put", b"kvalue").encoded();
        let through = self.relay(caller, &Ask::of(callee, "call", &back))?;
        let inner = parts(&through.words).map(|(code, _)| code);
        hold(law, (through.code, inner) == (0, Some(forbidden())), (through.code, inner))?;
        // The key `c` has the callee's arguments: the name of itself.
        let seen = self.relay(caller, &Ask::of(caller, "get", b"c").read_only().keeping())?;
        let law = "entered read-only, it sees what it has written so far";
        hold(law, (seen.code, &*seen.words) == (0, b"c"), (seen.code, &seen.words))
    }

    fn depth(&self, caller: ContractId, callee: ContractId, last: ContractId) -> Result<(), Violation> {
        let limit = told(&Failure::Limit { what: Text::default(), size: 0, limit: 0 });
        for (depth, expected) in [(2, limit), (3, 0)] {
            let mut ledger = self.ledger.clone();
            ledger.rules.max_call_depth = depth;
            let below = Ask::of(last, "echo", b"here").encoded();
            let reached = self.relay_on(ledger, caller, &Ask::of(callee, "call", &below))?;
            let inner = parts(&reached.words).map(|(code, _)| code);
            let law = "calls go as deep as the rules allow";
            hold(law, (reached.code, inner) == (0, Some(expected)), (depth, reached.code, inner))?;
        }
        Ok(())
    }
}
