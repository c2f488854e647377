//! How much of a thread's stack compiled functions take.
//!
//! The stack is counted in slots, from what a function is in WebAssembly. How many of its values a compiler keeps at one
//! time, and how well it uses their places again, is its own affair, and can be made bad on purpose. So what came out of it is
//! held against what is counted.

use super::function::NATIVE_BYTES_PER_SLOT;
use wasmtime::Module;

/// Return address and frame pointer.
const LINK_BYTES: u64 = 16;
/// A function's frame is made within so many of its first bytes: a check against the stack's end comes before.
const PROLOGUE_BYTES: usize = 96;

/// The first function that takes more of the stack than its `slots` stand for, as words; nothing on processors whose code
/// isn't known here.
pub(super) fn too_large(module: &Module, slots: &[u32]) -> Option<String> {
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let text = module.text();
    module.functions().zip(slots).enumerate().find_map(|(place, (function, &slots))| {
        let code = text.get(function.offset..)?;
        let (bytes, most) = (frame_bytes(code.get(..function.len)?), u64::from(slots) * NATIVE_BYTES_PER_SLOT);
        let words =
            || format!("function {place} of its own takes {bytes} bytes of the stack, and is counted as {most}");
        (bytes > most).then(words)
    })
}

/// What a function of x86-64 takes: by the largest number that it subtracts from the stack pointer in its beginning. What
/// only looks like that makes it more, never less.
fn frame_bytes(code: &[u8]) -> u64 {
    let code = code.get(..PROLOGUE_BYTES).unwrap_or(code);
    let sizes = code.windows(7).map(|bytes| match *bytes {
        // sub rsp, imm32
        [0x48, 0x81, 0xec, a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        // sub rsp, imm8
        [0x48, 0x83, 0xec, a, ..] => a.into(),
        _ => 0,
    });
    LINK_BYTES.saturating_add(sizes.max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_frame_that_is_made_counts() {
        assert_eq!(frame_bytes(&[]), 16);
        assert_eq!(frame_bytes(&[0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3]), 16);
        let small = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20, 0x90, 0x90, 0x90];
        assert_eq!(frame_bytes(&small), 16 + 32);
        let both = [&small[..], &[0x48, 0x81, 0xec, 0, 0, 1, 0, 0x90]].concat();
        assert_eq!(frame_bytes(&both), 16 + 65_536);
    }
}
