//! Tests of the flow engine with fakes over a real store and a clock moved by hand.
//!
//! - `faults`, `source`, `erp`: the fakes and what goes wrong in them; `world` wires them to a flow;
//! - `invariants`: what must hold at the end, judged from the two systems' own books;
//! - `scenarios`, `held`, `decisions`, `merchants`, `proofs`, `habits`, `reread`, `kin`, `rivals`, `together`: single cases by
//!   name;
//! - `three_questions`: runs twice, dies just after, answer lost, at every step;
//! - `simulation`: 30 days at many seeds.

mod decisions;
mod erp;
mod faults;
mod habits;
mod held;
mod invariants;
mod kin;
mod merchants;
mod proofs;
mod reread;
mod rivals;
mod scenarios;
mod simulation;
mod source;
mod three_questions;
mod together;
mod unread;
mod world;
mod wrong_clock;
