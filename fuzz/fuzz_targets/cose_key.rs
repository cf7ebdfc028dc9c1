#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pairlight_fuzz::cose_key(data));
