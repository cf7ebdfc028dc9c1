//! Which functions are exported, read from the sources: a test that goes through all of them cannot forget one.

use std::path::Path;

/// Names of what is exported: the methods of each `#[uniffi::export]` block and the exported functions.
pub(crate) fn functions() -> Vec<String> {
    let mut names = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = [folder.join("link"), folder].into_iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    for entry in files {
        let path = entry.unwrap().path();
        let Ok(source) = std::fs::read_to_string(&path) else { continue };
        for block in source.split("#[uniffi::export]\n").skip(1) {
            let block = block.split("\n}\n").next().unwrap();
            let owner = block.strip_prefix("impl ").and_then(|rest| rest.split(' ').next());
            for line in block.lines() {
                let line = line.trim_start();
                let Some(rest) = line.strip_prefix("pub fn ").or_else(|| line.strip_prefix("pub async fn ")) else {
                    continue;
                };
                let name = rest.split('(').next().unwrap();
                names.push(owner.map_or(name.to_owned(), |owner| format!("{owner}.{name}")));
                let body = block.split(&format!("fn {name}(")).nth(1).unwrap();
                let own = format!("\"{}\"", names.last().unwrap());
                let next = body.find("    pub ").unwrap_or(body.len());
                assert!(body[..next].contains(&own), "{} is not contained under its name", names.last().unwrap());
            }
        }
    }
    names.sort();
    names
}
