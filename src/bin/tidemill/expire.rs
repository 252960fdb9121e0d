//! `tidemill expire`.

use tidemill::error::Result;

use crate::{args::ExpireArgs, exit::Exit, import::finished, settings::Settings, watch::watched};

/// `tidemill expire`.
pub fn expire(settings: &Settings, args: ExpireArgs) -> Result<Exit> {
    let (job, request) = args.request();
    let summary = watched(settings, |progress| settings.open()?.expire(&job, &request, progress))?;
    finished(settings, &summary, None)
}
