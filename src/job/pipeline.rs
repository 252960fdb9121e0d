//! The stages of a job: read, parse in parallel, apply in order, encode in parallel, commit in order.
//!
//! A fixed number of batches goes round: the reader fills a free one, a worker parses it, the apply thread takes batches
//! in file order, a worker encodes what was applied, the committer takes them in file order again and frees them. The
//! number of batches is the only bound on memory that the stages need, and no buffer is allocated twice.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{Builder, Scope},
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use rayon::ThreadPool;

use crate::{
    error::{Error, Result},
    store::lock,
};

/// The first error of any stage; the others then pass batches on without working on them.
#[derive(Default)]
struct Failure {
    failed: AtomicBool,
    error: Mutex<Option<Error>>,
}

impl Failure {
    fn fail(&self, error: Error) {
        lock(&self.error).get_or_insert(error);
        self.failed.store(true, Relaxed);
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Runs a stage's work unless a stage failed; turns an error, and a panic, into the job's failure. A lost batch would
    /// leave the stages waiting for each other.
    fn guard(&self, work: impl FnOnce() -> Result<()>) {
        if self.has_failed() {
            return;
        }
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.fail(error),
            Err(_) => self.fail(Error::internal("a stage of the pipeline panicked")),
        }
    }
}

/// Runs the stages until `read` says that there is nothing more, or a stage fails.
///
/// `read` fills a batch and returns false at the end; `apply` and `commit` see the batches in the order they were read.
/// `read` and `apply` have a thread each, `commit` runs on the caller's, `parse` and `encode` on the pool.
///
/// # Errors
/// The first error of any stage. The batches before it may or may not have been committed.
pub fn run<B: Default + Send>(
    pool: &ThreadPool,
    batches_max: usize,
    mut read: impl FnMut(&mut B) -> Result<bool> + Send,
    parse: impl Fn(&mut B) -> Result<()> + Sync,
    mut apply: impl FnMut(&mut B) -> Result<()> + Send,
    encode: impl Fn(&mut B) -> Result<()> + Sync,
    mut commit: impl FnMut(&mut B) -> Result<()>,
) -> Result<()> {
    let failure = Failure::default();
    let (failure_ref, parse, encode) = (&failure, &parse, &encode);
    pool.in_place_scope(|tasks| {
        std::thread::scope(|threads| {
            let (free_sender, free) = unbounded::<B>();
            let (parsed_sender, parsed) = unbounded::<(u64, B)>();
            let (encoded_sender, encoded) = unbounded::<(u64, B)>();
            for _ in 0..batches_max.max(2) {
                let _ = free_sender.send(B::default());
            }
            let reading = move || {
                for number in 0.. {
                    let Ok(mut batch) = free.recv() else { break };
                    let mut goes_on = false;
                    failure_ref.guard(|| read(&mut batch).map(|more| goes_on = more));
                    if !goes_on || failure_ref.has_failed() {
                        break;
                    }
                    let sender = parsed_sender.clone();
                    tasks.spawn(move |_| {
                        failure_ref.guard(|| parse(&mut batch));
                        let _ = sender.send((number, batch));
                    });
                }
            };
            let applying = move || {
                in_order(&parsed, |number, mut batch| {
                    failure_ref.guard(|| apply(&mut batch));
                    let sender: Sender<(u64, B)> = encoded_sender.clone();
                    tasks.spawn(move |_| {
                        failure_ref.guard(|| encode(&mut batch));
                        let _ = sender.send((number, batch));
                    });
                });
            };
            // In this order: a reader without an applier would wait for batches that never come back.
            failure_ref.guard(|| start(threads, "apply", applying));
            failure_ref.guard(|| start(threads, "read", reading));
            in_order(&encoded, |_, mut batch| {
                failure_ref.guard(|| commit(&mut batch));
                let _ = free_sender.send(batch);
            });
        });
    });
    match lock(&failure.error).take() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Starts a stage's thread, by a name for profilers.
fn start<'scope>(threads: &'scope Scope<'scope, '_>, name: &str, work: impl FnOnce() + Send + 'scope) -> Result<()> {
    match Builder::new().name(name.to_owned()).spawn_scoped(threads, work) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::io("a thread of the job", &error)),
    }
}

/// Hands on what arrives by ascending number from 0, until all senders are gone.
fn in_order<B>(arriving: &Receiver<(u64, B)>, mut take: impl FnMut(u64, B)) {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (number, batch) in arriving {
        early.insert(number, batch);
        while let Some(batch) = early.remove(&next) {
            take(next, batch);
            next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(threads: usize) -> ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    #[test]
    fn batches_are_applied_and_committed_in_the_order_of_reading() {
        for threads in [1, 2, 5] {
            let (mut next, mut applied, mut committed) = (0_u64, Vec::new(), Vec::new());
            run(
                &pool(threads),
                4,
                |batch: &mut (u64, u64)| {
                    *batch = (next, 0);
                    next += 1;
                    Ok(next <= 500)
                },
                |batch| {
                    if batch.0 % 7 == 0 {
                        std::thread::yield_now();
                    }
                    batch.1 = batch.0 * 2;
                    Ok(())
                },
                |batch| {
                    applied.push(batch.0);
                    Ok(())
                },
                |batch| {
                    batch.1 += 1;
                    Ok(())
                },
                |batch| {
                    committed.push(batch.1);
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!(applied, (0..500).collect::<Vec<_>>());
            assert_eq!(committed, (0..500).map(|n| n * 2 + 1).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_or_panic_of_any_stage_ends_the_run() {
        for stage in 0..6 {
            let fails = |here: usize, batch: &u64| match (stage, *batch) {
                (5, 40) if here == 1 => panic!("on purpose"),
                (s, 40) if s == here => Err(Error::internal("on purpose")),
                _ => Ok(()),
            };
            let mut next = 0;
            let error = run(
                &pool(2),
                3,
                |batch: &mut u64| {
                    *batch = next;
                    next += 1;
                    fails(0, batch).map(|()| true)
                },
                |batch| fails(1, batch),
                |batch| fails(2, batch),
                |batch| fails(3, batch),
                |batch| fails(4, batch),
            );
            assert!(error.is_err(), "stage {stage}");
        }
    }
}
