//! Machine against machine, with an adversary between them and a clock that the test owns.

mod adversary;
mod evidence;
mod faults;
mod harness;
mod insiders;
mod model;
mod pairing_vectors;
mod redaction;
mod replay;
mod schedules;
mod story;
mod vectors;
