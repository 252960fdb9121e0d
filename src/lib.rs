//! tidemill moves customers and points into a loyalty programme: a streaming import engine, exactly once, with an
//! answer for every row.
//!
//! Modules in the order in which one may use the other, left to right:
//! `domain ← store ← {ledger, job} ← {import, report} ← tell ← engine ← service`. A module uses only what stands to its left;
//! `tests/it/tidy.rs` keeps it so.
//!
//! ```
//! use tidemill::{
//!     engine::{Engine, request::{CustomersRequest, FileRequest, JobRequest, PointsRequest}},
//!     job::progress::Progress,
//!     options::Options,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = std::env::temp_dir().join(format!("tidemill-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! let customers = directory.join("customers.csv");
//! std::fs::write(&customers, "email,name,balance\nana@example.com,Ana,100\n")?;
//! let points = directory.join("points.csv");
//! std::fs::write(&points, "email,amount,operation\nana@example.com,50,CR\nnobody@example.com,5,CR\n")?;
//!
//! let engine = Engine::create(&directory.join("store"), Options::default())?;
//! let request = CustomersRequest {
//!     file: FileRequest { path: customers, ..FileRequest::default() },
//!     ..CustomersRequest::default()
//! };
//! engine.import_customers(&JobRequest::default(), &request, &Progress::default())?;
//!
//! let job = JobRequest { reason: Some("Diwali".to_owned()), ..JobRequest::default() };
//! let request = PointsRequest { file: FileRequest { path: points, ..FileRequest::default() }, ..PointsRequest::default() };
//! let summary = engine.import_points(&job, &request, &Progress::default())?;
//! assert_eq!((summary.rows.applied, summary.rows.rejected), (1, 1));
//! assert_eq!(summary.balance.after, "150");
//! # drop(engine);
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok(())
//! # }
//! ```

mod sabotage;
pub mod domain;
pub mod error;
pub mod options;
pub mod clock;
pub mod store;
pub mod job;
pub mod ledger;
pub mod import;
pub mod bulk;
pub mod report;
pub mod tell;
pub mod engine;
pub mod service;
