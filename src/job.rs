//! Running a job: the stages that chunks pass, the windows that make them durable, progress and stopping.

pub mod progress;
pub mod output;
pub mod pipeline;
pub mod committer;
mod direct_file;
pub mod growing_file;
pub mod seen;
pub mod live;
