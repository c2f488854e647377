//! The module's exports.
//!
//! Exporting a function by its name is what the language counts as unsafe here: two functions of one name would be
//! undefined behaviour. The six names are this module's alone, and it is linked into nothing but the WebAssembly module.
//! No pointer is followed on this side: the host writes into the memory of a `Vec` while no call is running, so no
//! reference to it exists, and the `Vec` isn't moved or resized until `input` is called again for its slot.
#![expect(unsafe_code, reason = "`no_mangle` exports; see the module's documentation")]

use std::cell::RefCell;

#[derive(Default)]
struct Buffers {
    inputs: [Vec<u8>; 3],
    result: String,
    opened: Option<ledger_core::VerifiedCheckpoint>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Makes room for `length` bytes of input `slot` and gives its address, or 0.
#[unsafe(no_mangle)]
extern "C" fn input(slot: usize, length: usize) -> *mut u8 {
    if length > ledger_core::codec::MAX_INPUT_BYTES {
        return core::ptr::null_mut();
    }
    BUFFERS.with_borrow_mut(|buffers| match buffers.inputs.get_mut(slot) {
        Some(input) => {
            *input = vec![0; length];
            input.as_mut_ptr()
        }
        None => core::ptr::null_mut(),
    })
}

/// Verifies the three inputs: 1 where the proof holds, else 0.
#[unsafe(no_mangle)]
extern "C" fn verify() -> u32 {
    BUFFERS.with_borrow_mut(|buffers| {
        let [proof, checkpoint, trust_root] = &buffers.inputs;
        let verdict = crate::verify(proof, checkpoint, trust_root);
        let holds = verdict.is_ok().into();
        buffers.result = verdict.unwrap_or_else(|error| error);
        holds
    })
}

/// Verifies the checkpoint in slot 1 with the trust root in slot 2, once for many proofs: 1 where it is trusted, else 0.
#[unsafe(no_mangle)]
extern "C" fn open() -> u32 {
    BUFFERS.with_borrow_mut(|buffers| {
        let [_, checkpoint, trust_root] = &buffers.inputs;
        let verdict = crate::open(checkpoint, trust_root);
        let holds = verdict.is_ok().into();
        (buffers.opened, buffers.result) = match verdict {
            Ok((checkpoint, text)) => (Some(checkpoint), text),
            Err(error) => (None, error),
        };
        holds
    })
}

/// Verifies the proof in slot 0 against the checkpoint that the last `open` has verified: 1 where it holds, else 0.
#[unsafe(no_mangle)]
extern "C" fn check() -> u32 {
    BUFFERS.with_borrow_mut(|buffers| {
        let [proof, ..] = &buffers.inputs;
        let verdict = crate::check(proof, buffers.opened.as_ref());
        let holds = verdict.is_ok().into();
        buffers.result = verdict.unwrap_or_else(|error| error);
        holds
    })
}

/// The address of what the last `verify`, `open` or `check` gave.
#[unsafe(no_mangle)]
extern "C" fn result() -> *const u8 {
    BUFFERS.with_borrow(|buffers| buffers.result.as_ptr())
}

/// Its length in bytes.
#[unsafe(no_mangle)]
extern "C" fn result_length() -> usize {
    BUFFERS.with_borrow(|buffers| buffers.result.len())
}
