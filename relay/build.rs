//! Embeds the page of the linked device, when it was built before (`make web`): `web/dist/page`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/dist/page");
    // The folder above, which is always there: what is missing counts as changed, every time.
    println!("cargo:rerun-if-changed={}", page.with_file_name("").display());
    let mut files: Vec<PathBuf> =
        fs::read_dir(&page).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut code = String::from("static BUILT_IN: &[(&str, &[u8])] = &[\n");
    for file in files.iter().filter(|file| file.is_file()) {
        let Some(name) = file.file_name().and_then(|name| name.to_str()) else { continue };
        writeln!(code, "    ({name:?}, include_bytes!({:?})),", file.display().to_string()).expect("a string takes it");
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where")).join("page.rs");
    fs::write(out, code).expect("the folder of the build can be written");
}
