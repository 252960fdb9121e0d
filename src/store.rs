//! One merchant's store: the only code that knows RocksDB.
//!
//! Two append-only logs are the truth (`log`): customer records and ledger entries, with the records of the jobs that
//! wrote them. Everything else is a cache of the logs, stamped with the position it reflects (`caches`), loaded into
//! memory for a job (`state`) and brought up to date by replay.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

use rocksdb::{ColumnFamilyDescriptor, DB, WriteBatch, WriteOptions};
use serde::Serialize;

use crate::{
    domain::{
        id::{JobId, ProgramId},
        program::Program,
    },
    error::{Error, ErrorKind, Result},
};

pub mod family;
pub mod key;
pub mod value;
pub mod column;
pub mod ledger_page;
pub mod customer_page;
pub mod identifiers;
pub mod filter_page;
pub mod filter_columns;
pub mod lot_page;
pub mod row_keys;
pub mod log;
pub mod view;
pub mod head;
pub mod tuning;
pub mod settings;
pub mod caches;
pub mod state;
pub mod staging;
mod replay;
pub mod rewrite;
pub mod cold;
pub mod names;
pub mod verify;
pub mod jobs;
pub mod outbox;
pub mod disk;
pub mod memory;
pub mod control_group;
pub mod backup;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzed;

use caches::CachePositions;
use head::Head;
use settings::Settings;

/// Version of the store's format as a whole. Another version is refused, never guessed at.
pub const FORMAT_VERSION: u32 = 1;
const VERSION_FILE: &str = "TIDEMILL_FORMAT";
const HOLDER_FILE: &str = "TIDEMILL_HOLDER";

/// An open store. One process has it at a time.
pub struct Store {
    db: DB,
    directory: PathBuf,
    settings: Mutex<Settings>,
    programs: Mutex<Vec<Program>>,
    positions: Mutex<CachePositions>,
    head: Mutex<Head>,
    readers: view::Readers,
}

/// The handle of a family.
pub(crate) fn handle<'a>(db: &'a DB, name: &str) -> Result<&'a rocksdb::ColumnFamily> {
    db.cf_handle(name).ok_or_else(|| Error::corrupt(format!("the store has no family `{name}`")))
}

/// The write-ahead log that could not be read at an open that failed. RocksDB's error says only that a checksum is wrong;
/// which file it was stands in its `LOG`, which every open begins anew.
fn damaged_write_ahead_log(database: &Path) -> Option<String> {
    let log = fs::read(database.join("LOG")).ok()?;
    let log = String::from_utf8_lossy(&log);
    let (before, _) = log.rsplit_once(".log: dropping ")?;
    let number = before.rsplit(['/', ' ']).next()?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then(|| format!("{number}.log"))
}

fn io<T>(what: impl std::fmt::Display, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| Error::io(what, &error))
}

impl Store {
    /// Opens a store, and creates it where there is none if `create` says so.
    ///
    /// # Errors
    /// `NotFound` without `create`; `Busy` when another process holds it; `Corrupt` and `Storage` as they say; another
    /// format version is refused.
    pub fn open(directory: &Path, create: bool) -> Result<Store> {
        let is_new = Self::check_directory(directory, create)?;
        let staging = staging::directory(directory);
        io(format_args!("cannot create `{}`", staging.display()), fs::create_dir_all(&staging))?;
        let mut options = tuning::database();
        options.create_if_missing(is_new);
        let database = directory.join("db");
        let open = || {
            let families = family::ALL.map(|name| ColumnFamilyDescriptor::new(name, tuning::of_family(name)));
            let default = ColumnFamilyDescriptor::new("default", rocksdb::Options::default());
            DB::open_cf_descriptors(&options, &database, families.into_iter().chain([default]))
        };
        let db = staging::opened(directory, &database, open).map_err(|error| Self::open_error(directory, error))?;
        let head = Head::open(directory, is_new)?;
        if is_new {
            Self::write_durably(&directory.join(VERSION_FILE), format!("{FORMAT_VERSION}\n").as_bytes())?;
        }
        // The store is ours: say so to whoever comes next, and remove what a killed process staged.
        let holder = format!("process {}, since {}\n", std::process::id(), crate::clock::now());
        io("cannot write the holder's name", fs::write(directory.join(HOLDER_FILE), holder))?;
        staging::empty(directory)?;
        let store = Store {
            settings: Mutex::default(),
            programs: Mutex::default(),
            positions: Mutex::default(),
            directory: directory.to_owned(),
            head: Mutex::new(head),
            readers: view::Readers::default(),
            db,
        };
        store.check_promise()?;
        store.read_meta()?;
        rewrite::complete(&store)?;
        caches::drop_unreferenced(&store)?;
        Ok(store)
    }

    /// Checks the directory and its version; whether the store must be created.
    fn check_directory(directory: &Path, create: bool) -> Result<bool> {
        let version_file = directory.join(VERSION_FILE);
        match fs::read_to_string(&version_file) {
            Ok(version) if version.trim() == FORMAT_VERSION.to_string() => Ok(false),
            Ok(version) => Err(Error::new(
                ErrorKind::Usage,
                "format_version",
                format!(
                    "the store `{}` has format version `{}`, this program knows version {FORMAT_VERSION}",
                    directory.display(),
                    version.trim()
                ),
            )
            .hint("use the version of tidemill that wrote it, or export there and import here")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // What a process leaves behind that was killed while it made a store is no reason to refuse the next.
                let begun = ["db", "staging", "TIDEMILL_FORMAT.new", head::FILE];
                let is_empty = match fs::read_dir(directory) {
                    Ok(mut entries) => {
                        entries.all(|entry| entry.is_ok_and(|e| begun.iter().any(|name| e.file_name() == *name)))
                    }
                    Err(_) => true,
                };
                if directory.join(backup::BACKUP_FILE).exists() {
                    return Err(Error::usage(format!("`{}` is a backup, not a store", directory.display()))
                        .hint("make a store of it: `tidemill --store NEW restore DIR`"));
                }
                if !create {
                    return Err(Error::not_found(
                        "store_unknown",
                        format!("there is no store at `{}`", directory.display()),
                    )
                    .hint("name it with `--store DIR`, or create it: `tidemill --store DIR import customers FILE`"));
                }
                if !is_empty {
                    return Err(Error::usage(format!("`{}` is not empty and no store", directory.display()))
                        .hint("name another directory with `--store DIR`"));
                }
                io(format_args!("cannot create `{}`", directory.display()), fs::create_dir_all(directory))?;
                Ok(true)
            }
            Err(error) => Err(Error::io(format_args!("cannot read `{}`", version_file.display()), &error)),
        }
    }

    fn open_error(directory: &Path, error: rocksdb::Error) -> Error {
        let text = error.to_string();
        if text.contains("lock") && (text.contains("LOCK") || text.contains("Resource temporarily unavailable")) {
            let holder = fs::read_to_string(directory.join(HOLDER_FILE)).unwrap_or_default();
            let holder = holder.trim();
            let holder = if holder.is_empty() { "another process" } else { holder };
            return Error::new(
                ErrorKind::Busy,
                "store_busy",
                format!("the store `{}` is held by {holder}", directory.display()),
            )
            .hint("wait until it is done, or stop it; one process uses a store at a time");
        }
        let error = match damaged_write_ahead_log(&directory.join("db")) {
            // Other files are named by the error itself.
            Some(name)
                if error.kind() == rocksdb::ErrorKind::Corruption
                    && !["MANIFEST", "CURRENT", ".sst"].iter().any(|file| text.contains(file)) =>
            {
                let path = directory.join("db").join(name);
                Error::corrupt(format!("the store's write-ahead log `{}` is damaged: {text}", path.display()))
            }
            _ => error.into(),
        };
        match error.kind() {
            // `verify` would end here, too.
            ErrorKind::Corrupt => error.hint(
                "nothing was changed; find out what ails the disk, and make a store of a backup: `tidemill --store NEW restore DIR`",
            ),
            _ => error,
        }
    }

    /// Writes a small file of ours so that it is there whole or not at all.
    pub(crate) fn write_durably(path: &Path, content: &[u8]) -> Result<()> {
        let new = path.with_extension("new");
        let what = |action: &str| format!("cannot {action} `{}`", path.display());
        let mut file = io(what("create"), fs::File::create(&new))?;
        io(what("write"), std::io::Write::write_all(&mut file, content))?;
        io(what("sync"), file.sync_all())?;
        io(what("rename"), fs::rename(&new, path))?;
        if let Some(parent) = path.parent() {
            disk::sync_directory(parent)?;
        }
        Ok(())
    }

    /// Checks that everything is there that was ever acknowledged.
    fn check_promise(&self) -> Result<()> {
        let promise = lock(&self.head).promise();
        let is_there =
            promise.job == JobId(0) || self.log().get(key::LogKey::Job(promise.job, promise.window, 0))?.is_some();
        if is_there && self.changes()? >= promise.changes {
            return Ok(());
        }
        let lost = if is_there {
            "a change of its settings or programs".to_owned()
        } else {
            format!("window {} of job {}", promise.window, promise.job)
        };
        Err(Error::corrupt(format!("the store `{}` has lost {lost}, which was durable", self.directory.display()))
            .hint("files of the directory `db` were cut or removed: restore the store from a backup"))
    }

    fn changes(&self) -> Result<u64> {
        Ok(self.meta("changes")?.unwrap_or(0))
    }

    fn read_meta(&self) -> Result<()> {
        if let Some(settings) = self.meta("settings")? {
            *lock(&self.settings) = settings;
            *lock(&self.programs) = self.meta("programs")?.unwrap_or_default();
            *lock(&self.positions) = self.meta("caches")?.unwrap_or_default();
            return Ok(());
        }
        let settings = Settings::of_new_store();
        let points = Program::of_new_store();
        self.put_meta("programs", &vec![points.clone()])?;
        self.put_meta("settings", &settings)?;
        *lock(&self.settings) = settings;
        *lock(&self.programs) = vec![points];
        Ok(())
    }

    fn put_meta<T: Serialize>(&self, name: &str, content: &T) -> Result<()> {
        let json = serde_json::to_vec(content).map_err(|error| Error::internal(error.to_string()))?;
        let mut head = lock(&self.head);
        let changes = head.promise().changes + 1;
        let mut batch = WriteBatch::default();
        let meta = handle(&self.db, family::META)?;
        batch.put_cf(meta, name, value::sealed(value::Kind::Meta, &json));
        batch.put_cf(meta, "changes", value::sealed(value::Kind::Meta, changes.to_string().as_bytes()));
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.write_opt(batch, &options)?;
        head.note_changes(changes)
    }

    /// The directory it lies in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The log: what is true.
    pub fn log(&self) -> log::Log<'_> {
        view::Readable::log(self)
    }

    pub(crate) fn db(&self) -> &DB {
        &self.db
    }

    /// The store's settings.
    pub fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    /// Replaces the settings.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn set_settings(&self, settings: Settings) -> Result<()> {
        self.put_meta("settings", &settings)?;
        *lock(&self.settings) = settings;
        Ok(())
    }

    /// The programs, in the order they were added.
    pub fn programs(&self) -> Vec<Program> {
        lock(&self.programs).clone()
    }

    /// The program with this code.
    ///
    /// # Errors
    /// `NotFound`, with the codes there are.
    pub fn program(&self, code: &str) -> Result<(ProgramId, Program)> {
        let programs = lock(&self.programs);
        match programs.iter().position(|program| program.code == code) {
            Some(at) => Ok((ProgramId(at as u16), programs[at].clone())),
            None => {
                let known: Vec<&str> = programs.iter().map(|program| program.code.as_str()).collect();
                Err(Error::not_found("program_unknown", format!("there is no program `{code}`"))
                    .hint(format!("programs are {}; add one with `tidemill program add CODE`", known.join(", "))))
            }
        }
    }

    /// Adds a program.
    ///
    /// # Errors
    /// `Usage` when its code or currency is taken.
    pub fn add_program(&self, program: Program) -> Result<ProgramId> {
        let mut programs = lock(&self.programs);
        if programs.iter().any(|other| other.code == program.code) {
            return Err(Error::usage(format!("there is a program `{}` already", program.code)));
        }
        if let Some(other) =
            programs.iter().find(|other| program.currency.is_some() && other.currency == program.currency)
        {
            return Err(Error::usage(format!("the program `{}` has this currency already", other.code)));
        }
        let id = u16::try_from(programs.len()).map_err(|_| Error::usage("a store has at most 65,536 programs"))?;
        let mut all = programs.clone();
        all.push(program);
        self.put_meta("programs", &all)?;
        *programs = all;
        Ok(ProgramId(id))
    }

    pub(crate) fn positions(&self) -> CachePositions {
        lock(&self.positions).clone()
    }

    pub(crate) fn set_positions(&self, positions: CachePositions) -> Result<()> {
        self.put_meta("caches", &positions)?;
        *lock(&self.positions) = positions;
        Ok(())
    }

    /// The number of the newest job; 0 if there is none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn newest_job(&self) -> Result<JobId> {
        view::Readable::newest_job(self)
    }
}

/// Locks a mutex of ours. A thread that panicked while it held one left plain data behind, which is still whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
