//! Where a setting comes from: flag, environment variable, `tidemill.toml`, default, the first that says anything.

use std::io::{ErrorKind::NotFound, IsTerminal, stderr};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tidemill::{
    engine::Engine,
    error::{Error, Result},
    options::Options,
};

use crate::{
    args::{ColorMode, Global, ProgressMode, check_threads},
    output::{self, Output},
    tell::{NotifySection, SmtpSection, TellSettings, WebhookSection},
};

const SETTINGS_FILE: &str = "tidemill.toml";
const STORE_DEFAULT: &str = "tidemill-data";

/// What all commands work with.
pub struct Settings {
    /// The store's directory.
    pub store: PathBuf,
    /// Whether the command line or the environment names it.
    pub is_store_given: bool,
    /// How the engine works.
    pub options: Options,
    /// The given number of threads, for processes that we start.
    pub threads: Option<usize>,
    /// How progress is shown, with `auto` resolved.
    pub progress: ProgressMode,
    /// How whoever is to be told is told.
    pub tell: TellSettings,
    /// Where results and talk go.
    pub output: Output,
}

/// `tidemill.toml`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    store: Option<PathBuf>,
    threads: Option<usize>,
    progress: Option<ProgressMode>,
    color: Option<ColorMode>,
    smtp: Option<SmtpSection>,
    #[serde(default)]
    webhook: WebhookSection,
    #[serde(default)]
    notify: NotifySection,
}

impl Settings {
    /// The settings of this run. The flags hold their environment variables already.
    ///
    /// # Errors
    ///
    /// When `tidemill.toml` exists and cannot be used.
    pub fn resolve(flags: Global) -> Result<Settings> {
        let file = SettingsFile::read(Path::new(SETTINGS_FILE))?;
        output::choose_color(flags.color.or(file.color).unwrap_or(ColorMode::Auto));
        let threads = flags.threads.or(file.threads);
        let mut options = Options::default();
        if let Some(threads) = threads {
            options.threads = threads;
        }
        if let Some(rows) = flags.window_rows {
            // A window ends with a chunk, so that chunks must be small too: a row of points has about 32 bytes.
            let chunk_bytes = usize::try_from(rows.saturating_mul(32)).unwrap_or(usize::MAX);
            options.chunk_bytes_max = chunk_bytes.clamp(64, options.chunk_bytes_max);
            options.window_rows = rows;
        }
        let progress = if flags.quiet {
            ProgressMode::None
        } else {
            shown(flags.progress.or(file.progress).unwrap_or(ProgressMode::Auto))
        };
        let tell = TellSettings::resolve(file.smtp, file.webhook, file.notify, |name| std::env::var(name).ok());
        let tell = tell.map_err(|message| {
            Error::usage(format!("`{SETTINGS_FILE}`: {message}"))
                .hint("see `tidemill notify --help` for what it may say")
        })?;
        Ok(Settings {
            is_store_given: flags.store.is_some(),
            store: flags.store.or(file.store).unwrap_or_else(|| STORE_DEFAULT.into()),
            options,
            threads,
            progress,
            tell,
            output: Output::new(flags.json, flags.quiet),
        })
    }

    /// Opens the store, which must exist.
    pub fn open(&self) -> Result<Engine> {
        Engine::open(&self.store, self.options.clone())
    }

    /// Opens the store, or creates one.
    pub fn create(&self) -> Result<Engine> {
        Engine::create(&self.store, self.options.clone())
    }
}

/// A bar needs a terminal; elsewhere it becomes lines.
fn shown(wanted: ProgressMode) -> ProgressMode {
    match wanted {
        ProgressMode::Auto | ProgressMode::Bar if stderr().is_terminal() => ProgressMode::Bar,
        ProgressMode::Auto | ProgressMode::Bar => ProgressMode::Lines,
        ProgressMode::Lines | ProgressMode::Json | ProgressMode::None => wanted,
    }
}

impl SettingsFile {
    fn read(path: &Path) -> Result<SettingsFile> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == NotFound => return Ok(SettingsFile::default()),
            Err(error) => return Err(Error::usage(format!("`{}` cannot be read: {error}", path.display()))),
        };
        SettingsFile::parse(&text).map_err(|(line, message)| {
            Error::usage(format!("`{}`, line {line}: {message}", path.display()))
                .hint("its keys are `store`, `threads`, `progress` and `color`, its sections `[smtp]`, `[webhook]` and `[notify]`, see `tidemill --help` and `tidemill notify --help`")
        })
    }

    /// Reads the text, or says in which line what is wrong.
    fn parse(text: &str) -> std::result::Result<SettingsFile, (usize, String)> {
        let file: SettingsFile = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            (1 + before.matches('\n').count(), error.message().to_owned())
        })?;
        if let Some(threads) = file.threads {
            let line = text.lines().position(|line| line.trim_start().starts_with("threads")).unwrap_or(0);
            check_threads(threads).map_err(|message| (line + 1, format!("`threads = {threads}` is {message}")))?;
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settings_file_is_read_or_refused_with_its_line() {
        let file = SettingsFile::parse("store = \"s\"\nthreads = 3\nprogress = \"json\"\ncolor = \"never\"\n").unwrap();
        assert_eq!((file.store, file.threads), (Some("s".into()), Some(3)));
        assert_eq!((file.progress, file.color), (Some(ProgressMode::Json), Some(ColorMode::Never)));
        let cases = [
            ("stor = \"s\"", 1, "unknown field `stor`"),
            ("\nthreads = \"many\"", 2, "invalid type"),
            ("store = \"s\"\nthreads = 0", 2, "`threads = 0` is not in 1 to"),
            ("\n\nprogress = \"often\"", 3, "unknown variant `often`"),
        ];
        for (text, line, message) in cases {
            let (found_line, found) = SettingsFile::parse(text).err().unwrap();
            assert_eq!(found_line, line, "{text:?}: {found}");
            assert!(found.contains(message), "{text:?}: {found}");
        }
    }
}
