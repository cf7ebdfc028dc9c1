//! The `pairlight` program from outside: what it prints, byte for byte, and how it ends.

mod endings;
mod fixture;
mod help;
mod history;
mod import;
mod link;
#[cfg(target_os = "linux")]
mod network;
mod news;
mod scan;
