//! The runtime for contracts that are Rust types linked into the node.

use crate::host::Host;
use crate::runtime::{CodeError, EntryPoint, Invocation, Prepared, Runtime, Trap};
use ledger_core::{AccountId, Rules};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The name of the native runtime in a deployment.
pub const NATIVE: &str = "native";

/// What a receipt says of a panic. The panic's own words aren't in it: they may differ from node to node.
const PANICKED: &str = "the contract panicked";

/// A contract as a Rust type.
///
/// It is linked into the node and trusted like the node: it is neither isolated nor stopped in a loop that calls no
/// host. It must be **deterministic**, so: no clock, randomness, floating point, threads, files, iteration over hash
/// maps, and no state of its own between calls. All nodes of a chain must link the same version of it.
pub trait Contract: Send + Sync {
    /// The name by which it is deployed: the deployment's code is this name.
    fn name(&self) -> &str;

    /// Runs once, when the contract is deployed; the caller is the deployer. Does nothing unless implemented.
    ///
    /// # Errors
    /// A [`Trap`] undoes the deployment.
    fn construct(&self, host: &mut dyn Host, arguments: &[u8]) -> Result<(), Trap> {
        let _ = (host, arguments);
        Ok(())
    }

    /// Runs once whenever this contract takes the place of other code, on the state that the other has left; the caller is
    /// whoever upgrades. Does nothing unless implemented.
    ///
    /// # Errors
    /// A [`Trap`] undoes the upgrade.
    fn migrate(&self, host: &mut dyn Host, arguments: &[u8]) -> Result<(), Trap> {
        let _ = (host, arguments);
        Ok(())
    }

    /// Runs a method.
    ///
    /// # Errors
    /// A [`Trap`] undoes everything; for a method that isn't there it is [`Trap::UnknownMethod`].
    fn call(&self, host: &mut dyn Host, method: &str, arguments: &[u8]) -> Result<Vec<u8>, Trap>;

    /// Appends to `names` the keys that [`call`](Contract::call) will probably read, where arguments and caller tell. Many
    /// calls' keys are then read at one go, which takes a fraction of the time. It changes no result. Nothing, unless
    /// implemented.
    fn expected_reads(&self, caller: &AccountId, method: &str, arguments: &[u8], names: &mut Vec<Vec<u8>>) {
        let _ = (caller, method, arguments, names);
    }
}

/// Runs [`Contract`]s. Code is the name of one of them, in UTF-8.
#[derive(Default)]
pub struct NativeRuntime {
    contracts: BTreeMap<String, Arc<dyn Contract>>,
}

impl NativeRuntime {
    /// A runtime without contracts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a contract. Of two with one name, the later counts.
    #[must_use]
    pub fn with(mut self, contract: impl Contract + 'static) -> Self {
        self.contracts.insert(contract.name().to_owned(), Arc::new(contract));
        self
    }
}

impl Runtime for NativeRuntime {
    fn name(&self) -> &str {
        NATIVE
    }

    fn prepare(&self, code: &[u8], _rules: &Rules) -> Result<Prepared, CodeError> {
        let name = str::from_utf8(code).map_err(|_| CodeError::new("the name of a native contract is UTF-8"))?;
        match self.contracts.get(name) {
            Some(contract) => Ok(Prepared::new(Arc::clone(contract))),
            None => Err(CodeError::new(format!("there is no native contract `{name}`"))),
        }
    }

    fn call(&self, code: &Prepared, invocation: &Invocation<'_>, host: &mut dyn Host) -> Result<Vec<u8>, Trap> {
        let Some(contract) = code.downcast::<Arc<dyn Contract>>() else {
            return Err(Trap::broken("the code was prepared by another runtime"));
        };
        let arguments = invocation.arguments;
        // What a panic leaves half done is in the host, and the caller rolls that back.
        let run = AssertUnwindSafe(|| match invocation.entry {
            EntryPoint::Constructor => contract.construct(host, arguments).map(|()| Vec::new()),
            EntryPoint::Migration => contract.migrate(host, arguments).map(|()| Vec::new()),
            EntryPoint::Method(method) => contract.call(host, method, arguments),
        });
        catch_unwind(run).unwrap_or_else(|_| Err(Trap::broken(PANICKED)))
    }

    fn expected_reads(
        &self,
        code: &Prepared,
        caller: &AccountId,
        invocation: &Invocation<'_>,
        names: &mut Vec<Vec<u8>>,
    ) {
        let (Some(contract), EntryPoint::Method(method)) = (code.downcast::<Arc<dyn Contract>>(), invocation.entry)
        else {
            return;
        };
        let before = names.len();
        let ask = AssertUnwindSafe(|| contract.expected_reads(caller, method, invocation.arguments, names));
        if catch_unwind(ask).is_err() {
            names.truncate(before);
        }
    }
}
