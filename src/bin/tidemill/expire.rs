//! `tidemill expire`.

use tidemill::error::Result;

use crate::{args::ExpireArgs, exit::Exit, import::told, settings::Settings, watch::watched};

/// `tidemill expire`.
pub fn expire(settings: &Settings, args: ExpireArgs) -> Result<Exit> {
    let (job, request) = args.request();
    settings.tell.check(&job.notify)?;
    let (engine, summary) = watched(settings, |progress| {
        let engine = settings.open()?;
        let summary = engine.expire(&job, &request, progress)?;
        Ok((engine, summary))
    })?;
    told(settings, &engine, &summary, None)
}
