//! Where pages lie: those of one size side by side, in chunks of one length, whatever their size.
//!
//! An allocator rounds a page's length up and leaves holes where pages were that grew; here, the last page of a size
//! moves into the hole. So the leaves of millions of keys take what they are long, and 1 or 2 % more.

use super::page::{Page, PageMut, bytes_of};
use super::trie::NodeId;

/// What a chunk takes at most: a little less than a power of two, so that an allocator's own words fit beside it.
const CHUNK_BYTES: usize = (32 << 10) - 64;
/// The bits of a [`Slot`] that number the pages of a chunk.
const PLACE_BITS: u32 = 10;
/// Behind each page stands the node that it belongs to.
const OWNER: usize = size_of::<NodeId>();

/// A page's place: its chunk, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u32);

impl Slot {
    fn new(chunk: usize, place: usize) -> Self {
        // A chunk has fewer than 2¹⁰ pages, since a page has 42 bytes or more; 2²² chunks are 128 GiB.
        let number = chunk << PLACE_BITS | place;
        Self(u32::try_from(number).unwrap_or(u32::MAX))
    }

    fn chunk(self) -> usize {
        (self.0 >> PLACE_BITS) as usize
    }

    fn place(self) -> usize {
        (self.0 & ((1 << PLACE_BITS) - 1)) as usize
    }
}

/// Pages in memory.
#[derive(Debug, Default)]
pub(super) struct Slabs {
    chunks: Vec<Vec<u8>>,
    /// Chunks without pages.
    free: Vec<usize>,
    /// The chunks that hold pages of so many leaves; all but the last are full.
    sizes: Vec<Vec<usize>>,
    moved: Vec<u8>,
}

/// What a page of so many leaves takes with its owner.
fn stride(leaves: usize) -> usize {
    bytes_of(leaves) + OWNER
}

impl Slabs {
    /// The page of so many leaves in `slot`.
    pub(super) fn page(&self, slot: Slot, leaves: usize) -> Page<'_> {
        let start = slot.place() * stride(leaves);
        let chunk = self.chunks.get(slot.chunk()).map(Vec::as_slice).unwrap_or_default();
        Page::new(chunk.get(start..start + bytes_of(leaves)).unwrap_or_default(), leaves)
    }

    /// The page of so many leaves in `slot`, to be changed.
    pub(super) fn page_mut(&mut self, slot: Slot, leaves: usize) -> PageMut<'_> {
        let start = slot.place() * stride(leaves);
        let chunk = self.chunks.get_mut(slot.chunk()).map(Vec::as_mut_slice).unwrap_or_default();
        PageMut::new(chunk.get_mut(start..start + bytes_of(leaves)).unwrap_or_default(), leaves)
    }

    /// Takes in a page of so many leaves, which belongs to `owner`.
    pub(super) fn insert(&mut self, owner: NodeId, leaves: usize, page: &[u8]) -> Slot {
        if self.sizes.len() <= leaves {
            self.sizes.resize_with(leaves + 1, Vec::new);
        }
        let stride = stride(leaves);
        let room = CHUNK_BYTES / stride * stride;
        let last = self.sizes.get(leaves).and_then(|chunks| chunks.last()).copied();
        let fits = |chunk: &usize| self.chunks.get(*chunk).is_some_and(|chunk| chunk.len() + stride <= room);
        let chunk = match last.filter(fits) {
            Some(chunk) => chunk,
            None => self.begin(leaves),
        };
        let Some(bytes) = self.chunks.get_mut(chunk) else { return Slot(u32::MAX) };
        if bytes.len() + stride > bytes.capacity() {
            // The first pages of a size take what they need, since a chain may have few keys.
            let more = bytes.len().max(stride).min(CHUNK_BYTES - bytes.len());
            bytes.reserve_exact(more);
        }
        let place = bytes.len() / stride;
        bytes.extend_from_slice(page);
        bytes.resize(place * stride + stride - OWNER, 0);
        bytes.extend_from_slice(&owner.to_le_bytes());
        Slot::new(chunk, place)
    }

    /// An empty chunk for pages of so many leaves.
    fn begin(&mut self, leaves: usize) -> usize {
        let chunk = self.free.pop().unwrap_or(self.chunks.len());
        if chunk == self.chunks.len() {
            self.chunks.push(Vec::new());
        }
        if let Some(chunks) = self.sizes.get_mut(leaves) {
            if let Some(bytes) = self.chunks.get_mut(chunk).filter(|_| !chunks.is_empty()) {
                bytes.reserve_exact(CHUNK_BYTES);
            }
            chunks.push(chunk);
        }
        chunk
    }

    /// Lets go of the page of so many leaves in `slot`. The page that is in its place afterwards, if one was moved there:
    /// the node that it belongs to.
    pub(super) fn remove(&mut self, slot: Slot, leaves: usize) -> Option<NodeId> {
        let stride = stride(leaves);
        let chunks = self.sizes.get_mut(leaves)?;
        let last = *chunks.last()?;
        let bytes = self.chunks.get_mut(last)?;
        let end = bytes.len().checked_sub(stride)?;
        self.moved.clear();
        self.moved.extend_from_slice(bytes.get(end..)?);
        bytes.truncate(end);
        if bytes.is_empty() {
            *bytes = Vec::new();
            chunks.pop();
            self.free.push(last);
        }
        if slot == Slot::new(last, end / stride) {
            return None;
        }
        let start = slot.place() * stride;
        let hole = self.chunks.get_mut(slot.chunk())?.get_mut(start..start + stride)?;
        hole.copy_from_slice(&self.moved);
        self.moved.last_chunk::<OWNER>().map(|owner| NodeId::from_le_bytes(*owner))
    }

    /// Bytes of memory that the pages take, those between them included.
    pub(super) fn memory_bytes(&self) -> usize {
        let lists: usize = self.sizes.iter().map(|chunks| chunks.capacity() * size_of::<usize>()).sum();
        let chunks: usize = self.chunks.iter().map(Vec::capacity).sum();
        chunks + lists + self.chunks.capacity() * size_of::<Vec<u8>>()
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a model of a known size")]
mod tests {
    use super::*;

    /// Pages that come, grow and go keep their bytes, wherever they are moved, and their room is used again.
    #[test]
    fn pages_keep_their_bytes_while_others_move() {
        const NODES: usize = 700;
        let mut slabs = Slabs::default();
        let mut model: Vec<Option<(usize, Slot, u8)>> = vec![None; NODES];
        let mut random = 1_u64;
        let mut draw = |limit: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 33).unwrap_or(0) % limit
        };
        let (mut most, mut moves) = (0, 0);
        for step in 0..60_000_usize {
            // At first few pages of one size, which takes chunks of them, later many sizes.
            let sizes = if step < 5_000 { 1 } else { 40 };
            let node = draw(NODES);
            if let Some((leaves, slot, _)) = model[node].take()
                && let Some(moved) = slabs.remove(slot, leaves)
            {
                moves += 1;
                let moved = moved as usize;
                assert_ne!(moved, node);
                assert_eq!(model[moved].map(|(leaves, _, _)| leaves), Some(leaves));
                model[moved] = model[moved].map(|(leaves, _, mark)| (leaves, slot, mark));
            }
            if draw(4) > 0 {
                let leaves = 40 - draw(sizes);
                let mark = u8::try_from(draw(256)).unwrap_or(0);
                let slot = slabs.insert(u32::try_from(node).unwrap_or(0), leaves, &vec![mark; bytes_of(leaves)]);
                model[node] = Some((leaves, slot, mark));
            }
            if step % 1_000 == 999 {
                for (leaves, slot, mark) in model.iter().flatten() {
                    let page = slabs.page(*slot, *leaves);
                    let all = page.digest_bytes().as_flattened().iter().chain(page.parts().as_flattened());
                    assert!(page.len() == *leaves && all.copied().all(|byte| byte == *mark));
                }
                most = most.max(slabs.memory_bytes());
            }
        }
        let taken: usize = model.iter().flatten().map(|(leaves, _, _)| stride(*leaves)).sum();
        assert!(moves > 10_000, "{moves}");
        // A chunk for each size isn't full, and may be freed late.
        assert!(most < taken * 2 + 41 * CHUNK_BYTES, "{most} bytes for {taken}");
        for node in 0..NODES {
            let Some((leaves, slot, _)) = model[node].take() else { continue };
            if let Some(moved) = slabs.remove(slot, leaves).map(|moved| moved as usize) {
                model[moved] = model[moved].map(|(leaves, _, mark)| (leaves, slot, mark));
            }
        }
        assert!(slabs.chunks.iter().all(|chunk| chunk.capacity() == 0), "no page is left, but memory is");
    }
}
