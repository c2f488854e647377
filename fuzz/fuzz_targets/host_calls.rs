#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ledgerkit_fuzz::run("host_calls", input));
