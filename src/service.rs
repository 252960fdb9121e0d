//! The engine for a host that is asynchronous: every call is a future or returns at once.
//!
//! Nothing here works on the runtime's own threads. Jobs and reads run on its blocking threads and on the engine's workers,
//! and streams are handed over in pieces through short queues. Jobs wait for each other in the order in which they were
//! asked for; a job that waits holds no thread.
//!
//! ```
//! use tidemill::{
//!     engine::request::{FileRequest, JobRequest, PointsRequest},
//!     domain::{command::OnUnknown, identifier::IdentifierKind},
//!     options::Options,
//!     service::Service,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = std::env::temp_dir().join(format!("tidemill-service-{}", std::process::id()));
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let service = Service::create(directory.join("store"), Options::default()).await?;
//! let upload = &b"email,mobile,amount,operation\nana@example.com,,50,CR\n"[..];
//! let job = JobRequest { reason: Some("Diwali".to_owned()), ..JobRequest::default() };
//! let request = PointsRequest {
//!     file: FileRequest { path: "upload.csv".into(), ..FileRequest::default() },
//!     on_unknown: OnUnknown::Create,
//!     ..PointsRequest::default()
//! };
//! let mut job = service.upload_points(upload, job, request);
//! while let Some(progress) = job.progress().await {
//!     assert!(progress.rows <= 1);
//! }
//! assert_eq!(job.finish().await?.rows.applied, 1);
//! let customer = service.customer(IdentifierKind::Email, "ana@example.com").await?;
//! assert_eq!(customer.accounts[0].balance, "50");
//! # Ok::<_, tidemill::error::Error>(())
//! # })?;
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok(())
//! # }
//! ```

use std::{path::PathBuf, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
    sync::{Mutex, OwnedMutexGuard, watch},
};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{id::JobId, identifier::IdentifierKind, job::JobKind},
    engine::{
        Engine, RunningJob,
        request::{
            AdjustRequest, CustomersRequest, ExpireRequest, ExpiryUpdateRequest, JobRequest, MergeRequest,
            PointsRequest, ResumeRequest, UndoRequest,
        },
        view::{
            AccountView, AdjustView, BackupView, CustomerView, EraseView, HistoryPage, MergeView, ProgramView,
            StoreView, VerifyView,
        },
    },
    error::{Error, Result},
    import::spool::Spooled,
    job::{
        committer::stopped,
        progress::{Progress, Stage},
    },
    options::Options,
    report::{
        export::{Export, format::ExportFormat},
        summary::Summary,
    },
    tell::TellOptions,
};

mod job;
pub mod peek;
mod stream;
mod teller;

pub use job::Job;
use teller::Teller;

/// An open store, for any number of tasks: clones are handles of the same one.
#[derive(Clone)]
pub struct Service {
    engine: Arc<Engine>,
    /// Whoever holds it may give the engine a job. It is fair, which the engine's own lock is not.
    turn: Arc<Mutex<()>>,
    runtime: Handle,
    /// Who empties the outbox, if anybody does.
    teller: Option<Arc<Teller>>,
}

/// A stream that an import reads.
type Reader = Box<dyn AsyncRead + Send + Unpin>;

impl Service {
    /// Opens a store that exists. Must be called on a tokio runtime, which then does the work.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn open(directory: PathBuf, options: Options) -> Result<Service> {
        Service::start(move || Engine::open(&directory, options)).await
    }

    /// Opens a store, and creates it where there is none.
    ///
    /// # Errors
    /// As [`Engine::create`].
    pub async fn create(directory: PathBuf, options: Options) -> Result<Service> {
        Service::start(move || Engine::create(&directory, options)).await
    }

    async fn start(open: impl FnOnce() -> Result<Engine> + Send + 'static) -> Result<Service> {
        let runtime = Handle::try_current().map_err(|_| Error::usage("a service needs a tokio runtime to run on"))?;
        let engine = joined(runtime.spawn_blocking(open).await)?;
        Ok(Service { engine: Arc::new(engine), turn: Arc::default(), runtime, teller: None })
    }

    /// Has those told whom jobs name in [`JobRequest::notify`], from now on and of what waits in the outbox, on a thread that ends
    /// with the last handle of the service. Handles that were cloned before do not wake it. Without this the messages wait in the
    /// store, for `Engine::tell`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn telling(self, options: TellOptions) -> Result<Service> {
        let teller = Teller::start(&self.engine, options)?;
        Ok(Service { teller: Some(Arc::new(teller)), ..self })
    }

    /// The engine, for a thread that may block.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The imports that run or wait, in the order they were asked for.
    pub fn running(&self) -> Vec<RunningJob> {
        self.engine.running()
    }

    /// Starts the import of a points file.
    pub fn import_points(&self, job: JobRequest, request: PointsRequest) -> Job {
        let listed = (JobKind::ImportPoints, request.file.path.clone());
        self.begin(listed, job.no_wait, None, move |engine, _, progress| engine.import_points(&job, &request, progress))
    }

    /// Starts the import of a customer file.
    pub fn import_customers(&self, job: JobRequest, request: CustomersRequest) -> Job {
        let listed = (JobKind::ImportCustomers, request.file.path.clone());
        self.begin(listed, job.no_wait, None, move |engine, _, progress| {
            engine.import_customers(&job, &request, progress)
        })
    }

    /// Starts the import of points from a stream, which is first read to its end into the store's directory: a job must be
    /// able to read its input twice. The path of the request only names it.
    pub fn upload_points(
        &self,
        reader: impl AsyncRead + Send + Unpin + 'static,
        job: JobRequest,
        mut request: PointsRequest,
    ) -> Job {
        let listed = (JobKind::ImportPoints, request.file.path.clone());
        self.begin(listed, job.no_wait, Some(Box::new(reader)), move |engine, spooled, progress| {
            request.file.spooled = spooled;
            engine.import_points(&job, &request, progress)
        })
    }

    /// Starts the import of customers from a stream, as `upload_points` does.
    pub fn upload_customers(
        &self,
        reader: impl AsyncRead + Send + Unpin + 'static,
        job: JobRequest,
        mut request: CustomersRequest,
    ) -> Job {
        let listed = (JobKind::ImportCustomers, request.file.path.clone());
        self.begin(listed, job.no_wait, Some(Box::new(reader)), move |engine, spooled, progress| {
            request.file.spooled = spooled;
            engine.import_customers(&job, &request, progress)
        })
    }

    /// Starts to change when points expire, of the customers that a file names.
    pub fn import_expiry(&self, job: JobRequest, request: ExpiryUpdateRequest) -> Job {
        let listed = (JobKind::ImportExpiry, request.file.path.clone());
        self.begin(listed, job.no_wait, None, move |engine, _, progress| engine.import_expiry(&job, &request, progress))
    }

    /// Starts to change when points expire, of the customers that a stream names, as `upload_points` does.
    pub fn upload_expiry(
        &self,
        reader: impl AsyncRead + Send + Unpin + 'static,
        job: JobRequest,
        mut request: ExpiryUpdateRequest,
    ) -> Job {
        let listed = (JobKind::ImportExpiry, request.file.path.clone());
        self.begin(listed, job.no_wait, Some(Box::new(reader)), move |engine, spooled, progress| {
            request.file.spooled = spooled;
            engine.import_expiry(&job, &request, progress)
        })
    }

    /// Starts to expire lots whose last day is over.
    pub fn expire(&self, job: JobRequest, request: ExpireRequest) -> Job {
        let listed = (JobKind::Expire, PathBuf::new());
        self.begin(listed, job.no_wait, None, move |engine, _, progress| engine.expire(&job, &request, progress))
    }

    /// Starts to take an earlier job back.
    pub fn undo(&self, job: JobRequest, request: UndoRequest) -> Job {
        let listed = (JobKind::Undo, PathBuf::new());
        self.begin(listed, job.no_wait, None, move |engine, _, progress| engine.undo(&job, &request, progress))
    }

    /// A program and the points in it, by the month in which they expire. Waits for a job that runs.
    ///
    /// # Errors
    /// As [`Engine::program_view`].
    pub async fn program(&self, code: impl Into<String>) -> Result<ProgramView> {
        let code = code.into();
        self.with_engine(move |engine| engine.program_view(&code)).await
    }

    /// Goes on with an unfinished job; its stream, if it came as one, is still in the store.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn resume(&self, id: JobId, request: ResumeRequest) -> Result<Job> {
        let summary = self.job(id).await?;
        let listed = (summary.kind, summary.input.unwrap_or_default().into());
        Ok(self.begin(listed, request.no_wait, None, move |engine, _, progress| engine.resume(id, &request, progress)))
    }

    /// Starts a job, which goes on whether or not anybody keeps its handle.
    fn begin(
        &self,
        (kind, input): (JobKind, PathBuf),
        no_wait: bool,
        reader: Option<Reader>,
        work: impl FnOnce(&Engine, Option<Spooled>, &Progress) -> Result<Summary> + Send + 'static,
    ) -> Job {
        let (steps, seen) = watch::channel(Progress::default().snapshot());
        let progress = Progress::observed(move |snapshot| {
            steps.send_replace(snapshot);
        });
        let (end, ended) = watch::channel(None);
        let cancellation = CancellationToken::new();
        let job = Job::new(progress.clone(), seen, ended, cancellation.clone());
        let service = self.clone();
        let listed = self.engine.list_running(kind, input, &progress);
        self.runtime.spawn(async move {
            let result = service.run(no_wait, reader, work, &progress, &cancellation).await;
            drop(listed);
            service.wake_teller();
            end.send_replace(Some(result));
        });
        job
    }

    fn wake_teller(&self) {
        if let Some(teller) = &self.teller {
            teller.wake();
        }
    }

    async fn run(
        &self,
        no_wait: bool,
        reader: Option<Reader>,
        work: impl FnOnce(&Engine, Option<Spooled>, &Progress) -> Result<Summary> + Send + 'static,
        progress: &Progress,
        cancellation: &CancellationToken,
    ) -> Result<Summary> {
        let spooled = match reader {
            Some(reader) => {
                let engine = Arc::clone(&self.engine);
                Some(stream::spool(&self.runtime, engine, reader, progress.clone(), cancellation).await?)
            }
            None => None,
        };
        let turn = self.turn(no_wait, progress, cancellation).await?;
        let (engine, seen) = (Arc::clone(&self.engine), progress.clone());
        let mut working = self.runtime.spawn_blocking(move || work(&engine, spooled, &seen));
        let result = tokio::select! {
            result = &mut working => result,
            () = cancellation.cancelled() => {
                progress.stop();
                working.await
            }
        };
        drop(turn);
        joined(result)
    }

    /// Waits until no other job of this service runs. Whoever shall not wait is told so by the engine.
    async fn turn(
        &self,
        no_wait: bool,
        progress: &Progress,
        cancellation: &CancellationToken,
    ) -> Result<Option<OwnedMutexGuard<()>>> {
        if no_wait {
            return Ok(None);
        }
        if let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() {
            return Ok(Some(turn));
        }
        progress.set_stage(Stage::Waiting);
        tokio::select! {
            biased;
            () = cancellation.cancelled() => Err(stopped(None)),
            turn = Arc::clone(&self.turn).lock_owned() => Ok(Some(turn)),
        }
    }

    /// Has the engine do something on a thread that may block. It is done to its end even if nobody waits for it.
    async fn with_engine<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let engine = Arc::clone(&self.engine);
        joined(self.runtime.spawn_blocking(move || work(&engine)).await)
    }

    /// A customer by any identifier; jobs go on meanwhile.
    ///
    /// # Errors
    /// As [`Engine::customer`].
    pub async fn customer(&self, kind: IdentifierKind, value: impl Into<String>) -> Result<CustomerView> {
        let value = value.into();
        self.with_engine(move |engine| engine.customer(kind, &value)).await
    }

    /// A customer's balances, one for each program.
    ///
    /// # Errors
    /// As [`Engine::customer`].
    pub async fn balances(&self, kind: IdentifierKind, value: impl Into<String>) -> Result<Vec<AccountView>> {
        Ok(self.customer(kind, value).await?.accounts)
    }

    /// A page of a customer's history, newest first, before the entry `before` if one is given; `public` leaves out what the
    /// customer may not see.
    ///
    /// # Errors
    /// As [`Engine::history`].
    pub async fn history(
        &self,
        kind: IdentifierKind,
        value: impl Into<String>,
        before: Option<u64>,
        lines_max: usize,
        public: bool,
    ) -> Result<HistoryPage> {
        let value = value.into();
        self.with_engine(move |engine| engine.history(kind, &value, None, before, lines_max, public)).await
    }

    /// Adjusts one customer's balance; durable when it returns.
    ///
    /// # Errors
    /// As [`Engine::adjust`].
    pub async fn adjust(&self, job: JobRequest, request: AdjustRequest) -> Result<AdjustView> {
        self.with_engine(move |engine| engine.adjust(&job, &request)).await
    }

    /// Removes everything that says who a customer is; amounts stay. Waits for the jobs that were asked for before, unless it
    /// shall not.
    ///
    /// # Errors
    /// As [`Engine::erase`].
    pub async fn erase(&self, job: JobRequest, kind: IdentifierKind, value: impl Into<String>) -> Result<EraseView> {
        let value = value.into();
        let progress = Progress::default();
        let turn = self.turn(job.no_wait, &progress, &CancellationToken::new()).await?;
        let erased = self.with_engine(move |engine| engine.erase(&job, kind, &value, &progress)).await;
        drop(turn);
        erased
    }

    /// Makes two records of one person one. Waits as `erase` does.
    ///
    /// # Errors
    /// As [`Engine::merge`].
    pub async fn merge(&self, job: JobRequest, request: MergeRequest) -> Result<MergeView> {
        let progress = Progress::default();
        let turn = self.turn(job.no_wait, &progress, &CancellationToken::new()).await?;
        let merged = self.with_engine(move |engine| engine.merge(&job, &request, &progress)).await;
        drop(turn);
        merged
    }

    /// Writes an export of one committed state; returns the number of rows. Dropping the future ends it.
    ///
    /// # Errors
    /// As [`Engine::export`].
    pub async fn export(
        &self,
        what: Export,
        format: ExportFormat,
        out: &mut (impl AsyncWrite + Unpin + ?Sized),
    ) -> Result<u64> {
        let engine = Arc::clone(&self.engine);
        stream::write(&self.runtime, out, move |pipe| engine.export(what, format, pipe)).await
    }

    /// Writes a job's rejected rows as CSV; returns how many there are.
    ///
    /// # Errors
    /// As [`Engine::write_rejects`].
    pub async fn write_rejects(&self, id: JobId, out: &mut (impl AsyncWrite + Unpin + ?Sized)) -> Result<u64> {
        let engine = Arc::clone(&self.engine);
        stream::write(&self.runtime, out, move |pipe| engine.write_rejects(id, pipe)).await
    }

    /// All jobs, oldest first.
    ///
    /// # Errors
    /// As [`Engine::jobs`].
    pub async fn jobs(&self) -> Result<Vec<Summary>> {
        self.with_engine(Engine::jobs).await
    }

    /// One job.
    ///
    /// # Errors
    /// As [`Engine::job`].
    pub async fn job(&self, id: JobId) -> Result<Summary> {
        self.with_engine(move |engine| engine.job(id)).await
    }

    /// Gives an unfinished job up.
    ///
    /// # Errors
    /// As [`Engine::cancel`].
    pub async fn cancel(&self, id: JobId) -> Result<Summary> {
        let cancelled = self.with_engine(move |engine| engine.cancel(id)).await;
        self.wake_teller();
        cancelled
    }

    /// Writes a backup; jobs go on meanwhile.
    ///
    /// # Errors
    /// As [`Engine::backup`].
    pub async fn backup(&self, to: PathBuf) -> Result<BackupView> {
        self.with_engine(move |engine| engine.backup(&to)).await
    }

    /// The store at a glance.
    ///
    /// # Errors
    /// As [`Engine::info`].
    pub async fn info(&self) -> Result<StoreView> {
        self.with_engine(Engine::info).await
    }

    /// Checks the whole store.
    ///
    /// # Errors
    /// As [`Engine::verify`].
    pub async fn verify(&self) -> Result<VerifyView> {
        self.with_engine(Engine::verify).await
    }
}

/// What a blocking thread gave.
fn joined<T>(result: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    result.unwrap_or_else(|error| {
        Err(if error.is_panic() {
            Error::internal("the work panicked: open the store again before the next job")
        } else {
            Error::internal("the runtime was shut down before the work began")
        })
    })
}
