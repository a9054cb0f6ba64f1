//! The conformance lists: what every source (`source`), every ERP (`erp`) and every system that takes reference data
//! (`reference`) must do, run against each simulator. A
//! vendor joins with a fixture of its own and one line at the end of its file.

mod acumatica;
mod acumatica_projects;
mod bench;
mod brex;
mod brex_reference;
mod epicor;
mod erp;
mod expensify;
mod expensify_reference;
mod plans;
mod reference;
mod source;
