//! Generates the Kotlin and Swift code of the bridge into `target/tmp/bindings`, where `scripts/test-android.sh` finds it.

use std::path::Path;

#[test]
fn kotlin_and_swift_sources_are_generated_with_the_names_of_the_api() {
    // Cargo puts the library beside the tests of its package.
    let here = std::env::current_exe().unwrap();
    let name = format!("{}pairlight_bindings{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let library = here.parent().unwrap().join(name);
    let names: [(_, _, [&str; 4]); 2] = [
        (
            uniffi::TargetLanguage::Kotlin,
            "kotlin/org/pairlight/bridge/pairlight_bindings.kt",
            ["class Scanner", "suspend fun `nextEvent`", "interface KeyWrap", "sealed class PairingEvent"],
        ),
        (
            uniffi::TargetLanguage::Swift,
            "swift/PairlightBridge.swift",
            ["open class Scanner", "func nextEvent()async throws", "protocol KeyWrap", "enum PairingEvent"],
        ),
    ];
    for (language, file, names) in names {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bindings").join(file.split('/').next().unwrap());
        // What an earlier version left must not be found instead.
        let _ = std::fs::remove_dir_all(&out);
        let options = uniffi::GenerateOptions {
            languages: vec![language],
            source: library.to_str().unwrap().into(),
            out_dir: out.to_str().unwrap().into(),
            config_override: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/uniffi.toml").into()),
            format: false,
            crate_filter: None,
            metadata_no_deps: false,
        };
        uniffi::generate(options).unwrap();
        let source = std::fs::read_to_string(out.parent().unwrap().join(file)).unwrap();
        for name in names {
            assert!(source.contains(name), "{file} lacks {name}");
        }
    }
}
