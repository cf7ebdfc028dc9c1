//! Writes the Kotlin and Swift code for the library. A program for the build machine, not part of any app.
//!
//! `cargo run -p pairlight-bindings --example uniffi-bindgen -- generate <library> --language kotlin --out-dir <folder>`

fn main() {
    uniffi::uniffi_bindgen_main();
}
