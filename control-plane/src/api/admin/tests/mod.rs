//! The admin API over a real store: every route that the document names is called, so that none can be forgotten.

mod alerts;
mod audited;
mod document;
mod fuzz;
mod ground;
mod identity;
mod login;
mod once;
mod routes;
mod sample;
mod work;
mod world;
