//! The guest's side of the host interface `ledgerkit.1`, the panic handler and the allocator: the only unsafe code.
//!
//! # Why this is sound
//! - The host functions get addresses and lengths that come from live references, read or write exactly that many bytes of
//!   the guest's memory while they run, and keep no address: that is the interface's contract, and the host checks every
//!   access against the memory's size.
//! - What the host writes into is initialised before, and lent mutably.
//! - The allocator hands out each byte once (see `Bump`).
#![allow(unsafe_code)]

use crate::codec::Reader;
use crate::host::Entry;
use alloc::vec;
use alloc::vec::Vec;

mod import {
    #[link(wasm_import_module = "ledgerkit.1")]
    unsafe extern "C" {
        pub(super) fn arguments(to: *mut u8, offset: usize, length: usize);
        pub(super) fn arguments_len() -> usize;
        pub(super) fn result(to: *mut u8, offset: usize, length: usize);
        pub(super) fn result_len() -> usize;
        pub(super) fn get(key: *const u8, key_length: usize) -> i64;
        pub(super) fn put(key: *const u8, key_length: usize, value: *const u8, value_length: usize);
        pub(super) fn delete(key: *const u8, key_length: usize);
        pub(super) fn scan(from: *const u8, from_length: usize, to: *const u8, to_length: i32, limit: u32) -> u32;
        pub(super) fn emit(topic: *const u8, topic_length: usize, data: *const u8, data_length: usize);
        pub(super) fn caller(to: *mut u8);
        pub(super) fn contract(to: *mut u8);
        pub(super) fn chain(to: *mut u8);
        pub(super) fn transaction(to: *mut u8) -> i32;
        pub(super) fn height() -> u64;
        pub(super) fn timestamp() -> u64;
        pub(super) fn is_read_only() -> i32;
        pub(super) fn fuel_left() -> u64;
        pub(super) fn charge(fuel: u64);
        #[link_name = "return"]
        pub(super) fn answer(from: *const u8, length: usize);
        pub(super) fn refuse(code: u32, message: *const u8, length: usize) -> !;
        pub(super) fn hash_blake3(data: *const u8, length: usize, to: *mut u8);
        pub(super) fn hash_sha256(data: *const u8, length: usize, to: *mut u8);
        pub(super) fn verify_ed25519(key: *const u8, message: *const u8, length: usize, signature: *const u8) -> i32;
        pub(super) fn call(
            contract: *const u8,
            method: *const u8,
            method_length: usize,
            arguments: *const u8,
            arguments_length: usize,
            fuel: i64,
            flags: i32,
        ) -> i64;
    }
}

/// Room of `length` bytes that `fill` fills.
fn filled(length: usize, fill: impl FnOnce(*mut u8)) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fill(bytes.as_mut_ptr());
    bytes
}

fn result(length: usize) -> Vec<u8> {
    // SAFETY: the room is as long as the host is told.
    filled(length, |to| unsafe { import::result(to, 0, length) })
}

pub(crate) fn arguments() -> Vec<u8> {
    // SAFETY: it takes nothing, and gives a length.
    let length = unsafe { import::arguments_len() };
    // SAFETY: the room is as long as the host is told.
    filled(length, |to| unsafe { import::arguments(to, 0, length) })
}

pub(crate) fn answer(bytes: &[u8]) {
    // SAFETY: address and length are of one slice.
    unsafe { import::answer(bytes.as_ptr(), bytes.len()) }
}

pub(crate) fn get(key: &[u8]) -> Option<Vec<u8>> {
    // SAFETY: address and length are of one slice.
    let length = unsafe { import::get(key.as_ptr(), key.len()) };
    usize::try_from(length).ok().map(result)
}

pub(crate) fn put(key: &[u8], value: &[u8]) {
    // SAFETY: each address and length are of one slice.
    unsafe { import::put(key.as_ptr(), key.len(), value.as_ptr(), value.len()) }
}

pub(crate) fn delete(key: &[u8]) {
    // SAFETY: address and length are of one slice.
    unsafe { import::delete(key.as_ptr(), key.len()) }
}

pub(crate) fn scan(from: &[u8], to: Option<&[u8]>, limit: u32) -> Vec<Entry> {
    let (end, end_length) = match to {
        // A guest's memory has less than 2³¹ bytes.
        Some(to) => (to.as_ptr(), i32::try_from(to.len()).unwrap_or(i32::MAX)),
        None => (from.as_ptr(), -1),
    };
    // SAFETY: each address and length are of one slice; the length −1 says that there is none.
    let count = unsafe { import::scan(from.as_ptr(), from.len(), end, end_length, limit) };
    // SAFETY: it takes nothing, and gives a length.
    let bytes = result(unsafe { import::result_len() });
    let mut input = Reader::new(&bytes);
    let mut part = || {
        let length = usize::try_from(u32::from_le_bytes(input.array()?)).ok()?;
        input.take(length).map(Vec::from)
    };
    let mut entries = Vec::new();
    for _ in 0..count {
        match (part(), part()) {
            (Some(key), Some(value)) => entries.push(Entry { key, value }),
            _ => trap("the host's entries can't be read"),
        }
    }
    entries
}

pub(crate) fn emit(topic: &str, data: &[u8]) {
    // SAFETY: each address and length are of one slice.
    unsafe { import::emit(topic.as_ptr(), topic.len(), data.as_ptr(), data.len()) }
}

fn digest(fill: impl FnOnce(*mut u8)) -> [u8; 32] {
    let mut bytes = [0; 32];
    fill(bytes.as_mut_ptr());
    bytes
}

pub(crate) fn caller() -> [u8; 32] {
    // SAFETY: the host writes 32 bytes, and there is room for them.
    digest(|to| unsafe { import::caller(to) })
}

pub(crate) fn contract() -> [u8; 32] {
    // SAFETY: the host writes 32 bytes, and there is room for them.
    digest(|to| unsafe { import::contract(to) })
}

pub(crate) fn chain() -> [u8; 32] {
    // SAFETY: the host writes 32 bytes, and there is room for them.
    digest(|to| unsafe { import::chain(to) })
}

pub(crate) fn transaction() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    // SAFETY: the host writes 32 bytes at most, and there is room for them.
    (unsafe { import::transaction(bytes.as_mut_ptr()) } != 0).then_some(bytes)
}

pub(crate) fn height() -> u64 {
    // SAFETY: it takes and gives a number.
    unsafe { import::height() }
}

pub(crate) fn timestamp() -> u64 {
    // SAFETY: it takes and gives a number.
    unsafe { import::timestamp() }
}

pub(crate) fn is_read_only() -> bool {
    // SAFETY: it takes and gives a number.
    unsafe { import::is_read_only() != 0 }
}

pub(crate) fn fuel_left() -> u64 {
    // SAFETY: it takes and gives a number.
    unsafe { import::fuel_left() }
}

pub(crate) fn charge(fuel: u64) {
    // SAFETY: it takes and gives a number.
    unsafe { import::charge(fuel) }
}

pub(crate) fn blake3(data: &[u8]) -> [u8; 32] {
    // SAFETY: address and length are of one slice; the host writes 32 bytes, and there is room for them.
    digest(|to| unsafe { import::hash_blake3(data.as_ptr(), data.len(), to) })
}

pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    // SAFETY: address and length are of one slice; the host writes 32 bytes, and there is room for them.
    digest(|to| unsafe { import::hash_sha256(data.as_ptr(), data.len(), to) })
}

pub(crate) fn verify_ed25519(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    // SAFETY: the host reads 32, the message's length, and 64 bytes, which are there.
    unsafe { import::verify_ed25519(key.as_ptr(), message.as_ptr(), message.len(), signature.as_ptr()) != 0 }
}

pub(crate) fn refuse(code: u32, message: &str) -> ! {
    // SAFETY: address and length are of one slice.
    unsafe { import::refuse(code, message.as_ptr(), message.len()) }
}

pub(crate) fn trap(_: &'static str) -> ! {
    core::arch::wasm32::unreachable()
}

pub(crate) fn call(
    contract: &[u8; 32],
    method: &str,
    arguments: &[u8],
    fuel: Option<u64>,
    read_only: bool,
) -> Result<Vec<u8>, (u64, Vec<u8>)> {
    let fuel = fuel.map_or(-1, |fuel| i64::try_from(fuel).unwrap_or(i64::MAX));
    // SAFETY: the host reads 32 bytes, and what each address and length of one slice say.
    let length = unsafe {
        import::call(
            contract.as_ptr(),
            method.as_ptr(),
            method.len(),
            arguments.as_ptr(),
            arguments.len(),
            fuel,
            i32::from(read_only),
        )
    };
    match u64::try_from(length) {
        // A guest's memory is smaller than what a length can say; making room for more traps.
        Ok(length) => Ok(result(usize::try_from(length).unwrap_or(usize::MAX))),
        // −(1 + code) is the code with every bit turned over.
        // SAFETY: it takes nothing, and gives a length.
        Err(_) => Err(((!length).cast_unsigned(), result(unsafe { import::result_len() }))),
    }
}

#[cfg(feature = "runtime")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

#[cfg(feature = "runtime")]
#[global_allocator]
static ALLOCATOR: bump::Bump = bump::Bump;

/// Memory for one call.
#[cfg(feature = "runtime")]
mod bump {
    use core::alloc::{GlobalAlloc, Layout};
    use core::arch::wasm32;
    use core::ptr::NonNull;
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    const PAGE: usize = 1 << 16;

    unsafe extern "C" {
        /// Where the linker's stack and data end; its address is what it says.
        static __heap_base: u8;
    }

    /// Hands out the memory behind the linker's data, upwards, and takes nothing back: a call has an instance of its own,
    /// and everything is gone when it ends. What was handed out last grows where it is.
    ///
    /// The example token has 19 KB with it, 27 KB with `dlmalloc`, 28 KB with `std`.
    ///
    /// A guest that churns through megabytes in one call switches the feature `runtime` off and brings an allocator of
    /// its own.
    pub(super) struct Bump;

    // A guest has one thread: these are plain numbers.
    /// The first free address; 0 before the first allocation.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    /// Where the memory that is ours ends.
    static END: AtomicUsize = AtomicUsize::new(0);

    /// An aligned address with `size` bytes behind it that nobody has, in memory that is there; `None` where there is no more.
    fn room(size: usize, align: usize) -> Option<usize> {
        if NEXT.load(Relaxed) == 0 {
            NEXT.store((&raw const __heap_base).addr(), Relaxed);
            END.store(wasm32::memory_size(0).checked_mul(PAGE)?, Relaxed);
        }
        // An alignment is a power of two.
        let up = |address: usize| Some(address.checked_add(align - 1)? & !(align - 1));
        let start = up(NEXT.load(Relaxed))?;
        let fits = start.checked_add(size).is_some_and(|end| end <= END.load(Relaxed));
        if fits {
            return Some(start);
        }
        let pages = size.checked_add(align)?.div_ceil(PAGE);
        let before = wasm32::memory_grow(0, pages);
        if before == usize::MAX {
            return None;
        }
        let (from, end) = (before.checked_mul(PAGE)?, before.checked_add(pages)?.checked_mul(PAGE)?);
        // Somebody else may have grown the memory in between: then what was left before that is let go.
        let start = if from == END.load(Relaxed) { start } else { up(from)? };
        END.store(end, Relaxed);
        Some(start)
    }

    /// Hands out memory; where there is no more, the call ends.
    #[inline(never)]
    fn hand_out(size: usize, align: usize) -> NonNull<u8> {
        let Some(start) = room(size, align) else { wasm32::unreachable() };
        NEXT.store(start + size, Relaxed);
        NonNull::new(core::ptr::with_exposed_provenance_mut(start)).unwrap_or_else(|| wasm32::unreachable())
    }

    // SAFETY: what is handed out lies between `__heap_base` (or memory grown here) and `END`, where the linker has put
    // nothing; `NEXT` moves behind it, so no byte of it is handed out again.
    unsafe impl GlobalAlloc for Bump {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            hand_out(layout.size(), layout.align()).as_ptr()
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            // Memory begins with zeros, behind the linker's data and where it grows, and nothing is handed out twice.
            hand_out(layout.size(), layout.align()).as_ptr()
        }

        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

        unsafe fn realloc(&self, bytes: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            let Some(bytes) = NonNull::new(bytes) else { wasm32::unreachable() };
            // The last allocation grows where it is.
            let address = bytes.addr().get();
            let last = address + layout.size() == NEXT.load(Relaxed);
            if last && let Some(end) = address.checked_add(size).filter(|end| *end <= END.load(Relaxed)) {
                NEXT.store(end, Relaxed);
                return bytes.as_ptr();
            }
            let to = hand_out(size, layout.align()).as_ptr();
            // SAFETY: both have as many bytes, and the new ones were nobody's.
            unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, layout.size().min(size)) };
            to
        }
    }
}
