//! The rules that no compiler checks: layers, homes, headers, dead files, long functions, the ledger.

mod engine;
mod functions;
mod homes;
mod ledger;
mod modules;
mod source;
mod weight;
