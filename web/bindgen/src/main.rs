//! Usage: pairlight-bindgen PROGRAM.wasm FOLDER
//!
//! Writes `NAME.js`, `NAME_bg.wasm` and their types into a folder, as an ES module. The same as the command wasm-bindgen with
//! `--target web`, whose other parts (a test runner with a web server) take minutes to build.

use std::env::args_os;
use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let mut given = args_os().skip(1);
    let (Some(program), Some(folder)) = (given.next(), given.next()) else {
        eprintln!("usage: pairlight-bindgen PROGRAM.wasm FOLDER");
        return ExitCode::from(2);
    };
    let mut bindgen = Bindgen::new();
    let written = bindgen
        .web(true)
        .map(|bindgen| bindgen.input_path(program).typescript(true).omit_default_module_path(true))
        .map(|bindgen| bindgen.remove_name_section(true).remove_producers_section(true))
        .and_then(|bindgen| bindgen.generate(folder));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
