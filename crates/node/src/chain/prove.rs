//! Proofs of what a chain holds, against its newest checkpoint.

use super::{Chain, ChainError};
use ledger_core::codec::List;
use ledger_core::{
    Block, BlockProof, Checkpoint, Consistency, EventProof, Height, HistoryHead, Key, Proof, ReceiptProof, StateProof,
    TransactionId, TransactionProof, Version,
};
use ledger_crypto::Digest;
use ledger_crypto::merkle;
use ledger_storage::chain::StoreError;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A proof and the checkpoint that it is against.
type Proved = (Proof, Arc<Checkpoint>);

impl Chain {
    /// Proves what `key` holds in the state of the newest checkpoint, or that it holds nothing.
    ///
    /// # Errors
    /// [`ChainError`] when the views can't be read.
    pub fn prove_state(&self, key: &Key) -> Result<Proved, ChainError> {
        let (mut proofs, checkpoint) = self.prove_states(std::slice::from_ref(key))?;
        match proofs.pop() {
            Some(proof) => Ok((proof, checkpoint)),
            None => Err(ChainError::Closed),
        }
    }

    /// Proves several keys in the state of one and the same checkpoint.
    ///
    /// # Errors
    /// [`ChainError`] when the views can't be read.
    pub fn prove_states(&self, keys: &[Key]) -> Result<(Vec<Proof>, Arc<Checkpoint>), ChainError> {
        let checkpoint = self.checkpoint();
        let at = last_block(&checkpoint)?;
        let block = self.block_proof(at, &checkpoint)?;
        let proofs = keys.iter().map(|key| {
            let path = self.shared.reader.prove(at, key)?;
            Ok(Proof::State(StateProof { block: block.clone(), key: key.clone(), path }))
        });
        Ok((proofs.collect::<Result<_, StoreError>>()?, checkpoint))
    }

    /// Proves that a block holds the transaction; with its body, if it is still there.
    ///
    /// # Errors
    /// [`ChainError::NoTransaction`], [`ChainError::NotCertified`], or when the views can't be read.
    pub fn prove_transaction(&self, id: &TransactionId) -> Result<Proved, ChainError> {
        let (place, checkpoint) = self.certified_place(id)?;
        let block = self.block(place.height)?;
        let leaves = Block::transaction_leaves(&block.transactions);
        let path = path(&leaves, place.index).ok_or(ChainError::NoTransaction { id: *id })?;
        let index = usize::try_from(place.index).unwrap_or(usize::MAX);
        let transaction = block.transactions.get(index).ok_or(ChainError::NoTransaction { id: *id })?;
        let proof = TransactionProof {
            block: self.block_proof(place.height, &checkpoint)?,
            leaf: transaction.leaf(),
            body: transaction.body.clone(),
            index: place.index,
            count: count(&leaves),
            path,
        };
        Ok((Proof::Transaction(proof), checkpoint))
    }

    /// Proves that a block holds its transactions, each by itself and in their order, with the bodies that are still there: for little more than
    /// proving one of them takes.
    ///
    /// # Errors
    /// [`ChainError::NotCertified`] where no checkpoint commits to the block yet; else as [`Chain::block`].
    pub fn prove_block(&self, height: Height) -> Result<(Vec<TransactionProof>, Arc<Checkpoint>), ChainError> {
        let checkpoint = self.checkpoint();
        let size = checkpoint.header.history.size;
        if height.0 >= size {
            return Err(ChainError::NotCertified { height, size });
        }
        let block = self.block_proof(height, &checkpoint)?;
        let transactions = self.block(height)?.transactions.into_vec();
        let leaves = Block::transaction_leaves(&transactions);
        let (mut tree, mut nodes) = (merkle::Frontier::<merkle::Blake3>::new(), BTreeMap::new());
        for leaf in &leaves {
            tree.append(*leaf, &mut |position, digest| _ = nodes.insert(position, digest));
        }
        let proofs = (0..).zip(transactions).map_while(|(index, transaction)| {
            let path = merkle::inclusion_proof::<merkle::Blake3, _>(&nodes, u64::from(index), tree.size()).ok()?;
            let leaf = transaction.leaf();
            let (block, path, count) = (block.clone(), List::from(path), count(&leaves));
            Some(TransactionProof { block, leaf, body: transaction.body, index, count, path })
        });
        Ok((proofs.collect(), checkpoint))
    }

    /// Proves what became of the transaction.
    ///
    /// # Errors
    /// As [`Chain::prove_transaction`].
    pub fn prove_receipt(&self, id: &TransactionId) -> Result<Proved, ChainError> {
        let (place, checkpoint) = self.certified_place(id)?;
        Ok((Proof::Receipt(self.receipt_proof(id, place, &checkpoint)?), checkpoint))
    }

    /// Proves that the transaction emitted its event `index`.
    ///
    /// # Errors
    /// As [`Chain::prove_transaction`], and [`ChainError::NoEvent`].
    pub fn prove_event(&self, id: &TransactionId, index: u32) -> Result<Proved, ChainError> {
        let (place, checkpoint) = self.certified_place(id)?;
        let receipt = self.receipt_proof(id, place, &checkpoint)?;
        let found = self.results(place.height)?.into_iter().find(|result| result.receipt.index == place.index);
        let result = found.ok_or(ChainError::NoTransaction { id: *id })?;
        let leaves: Vec<Digest> = result.events.iter().map(ledger_core::Event::leaf).collect();
        let missing = || ChainError::NoEvent { id: *id, index, count: leaves.len() };
        let path = path(&leaves, index).ok_or_else(missing)?;
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let event = result.events.get(place).cloned().ok_or_else(missing)?;
        Ok((Proof::Event(EventProof { receipt, event, index, path }), checkpoint))
    }

    /// Proves that the newest checkpoint continues the history `from`.
    ///
    /// # Errors
    /// [`ChainError`] when `from` isn't of this chain's past, or the views can't be read.
    pub fn prove_history(&self, from: HistoryHead) -> Result<(Consistency, Arc<Checkpoint>), ChainError> {
        let checkpoint = self.checkpoint();
        Ok((self.prove_continues(from, &checkpoint)?, checkpoint))
    }

    /// Proves that `checkpoint`, which another proof was made against, continues the history `from`.
    ///
    /// # Errors
    /// As [`Chain::prove_history`].
    pub fn prove_continues(&self, from: HistoryHead, checkpoint: &Checkpoint) -> Result<Consistency, ChainError> {
        let path = self.shared.reader.consistency(from.size, checkpoint.header.history.size);
        let path = path.map_err(|error| self.explain(error))?;
        Ok(Consistency { from, path })
    }

    fn certified_place(&self, id: &TransactionId) -> Result<(Version, Arc<Checkpoint>), ChainError> {
        let checkpoint = self.checkpoint();
        let place = self.shared.reader.place(id)?.ok_or(ChainError::NoTransaction { id: *id })?;
        let size = checkpoint.header.history.size;
        match place.height.0 < size {
            true => Ok((place, checkpoint)),
            false => Err(ChainError::NotCertified { height: place.height, size }),
        }
    }

    fn block_proof(&self, height: Height, checkpoint: &Checkpoint) -> Result<BlockProof, ChainError> {
        let (reader, size) = (&self.shared.reader, checkpoint.header.history.size);
        // Right behind a snapshot, the newest checkpoint here may be older than it.
        if size <= reader.base().0 {
            return Err(ChainError::NotCertified { height: reader.base(), size });
        }
        let block = reader.block(height).map_err(|error| self.explain(error))?;
        let path = reader.history_path(height, size)?;
        Ok(BlockProof { header: block.header, outcome: block.outcome, path })
    }

    fn receipt_proof(
        &self,
        id: &TransactionId,
        place: Version,
        checkpoint: &Checkpoint,
    ) -> Result<ReceiptProof, ChainError> {
        let results = self.results(place.height)?;
        let leaves: Vec<Digest> = results.iter().map(|result| result.receipt.leaf()).collect();
        let index = usize::try_from(place.index).unwrap_or(usize::MAX);
        let receipt = results.get(index).map(|result| result.receipt.clone());
        Ok(ReceiptProof {
            block: self.block_proof(place.height, checkpoint)?,
            receipt: receipt.ok_or(ChainError::NoTransaction { id: *id })?,
            count: count(&leaves),
            path: path(&leaves, place.index).ok_or(ChainError::NoTransaction { id: *id })?,
        })
    }
}

/// The last block whose outcome a checkpoint commits to.
fn last_block(checkpoint: &Checkpoint) -> Result<Height, ChainError> {
    let size = checkpoint.header.history.size;
    let last = size.checked_sub(1).map(Height);
    last.ok_or(ChainError::NotCertified { height: Height::GENESIS, size })
}

fn path(leaves: &[Digest], index: u32) -> Option<List<Digest>> {
    let index = usize::try_from(index).ok()?;
    merkle::prove_inclusion::<merkle::Blake3>(leaves, index).map(List::from)
}

fn count(leaves: &[Digest]) -> u32 {
    u32::try_from(leaves.len()).unwrap_or(u32::MAX)
}
