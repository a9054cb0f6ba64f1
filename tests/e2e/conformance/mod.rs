//! The conformance lists: what every source (`source`) and every ERP (`erp`) must do, run against each simulator. A
//! vendor joins with a fixture of its own and one line at the end of its file.

mod acumatica;
mod bench;
mod brex;
mod epicor;
mod erp;
mod expensify;
mod plans;
mod source;
