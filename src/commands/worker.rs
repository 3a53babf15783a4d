//! `ashlar worker`.

use std::path::PathBuf;

use reqwest::Url;

use super::serve::stop_signal;
use crate::app;
use crate::platform::error::{Error, Result};
use crate::platform::jobs::remote::{Client, Settings};
use crate::platform::telemetry;

/// Do jobs of a server on another machine: media, for one. It needs no database and no file of the server
#[derive(Debug, clap::Args)]
pub struct Worker {
    /// The server: https://ashlar.example.org
    #[arg(long, env = "ASHLAR_SERVER", value_name = "URL")]
    server: Url,

    /// The token that an owner has made for this worker on the console's page Jobs; better by the variable, since others
    /// on this machine can see flags
    #[arg(long, env = "ASHLAR_WORKER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: String,

    /// Which kinds of jobs it does, separated by commas [default: all that can be done outside of the server]
    #[arg(long, env = "ASHLAR_WORKER_KINDS", value_name = "KIND,…", value_delimiter = ',')]
    kinds: Option<Vec<String>>,

    /// Jobs at once [default: as many as the machine has processors]
    #[arg(long, env = "ASHLAR_WORKER_SLOTS", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    slots: Option<u8>,

    /// Where files are worked on [default: a folder of its own among the temporary ones]
    #[arg(long, env = "ASHLAR_WORKER_FOLDER", value_name = "FOLDER")]
    folder: Option<PathBuf>,

    /// What to log [default: info]
    #[arg(long, env = "ASHLAR_LOG", value_name = "LEVEL", default_value = "info")]
    log: String,
}

impl Worker {
    /// Works until SIGTERM or SIGINT; what it has not done by then it gives back.
    pub fn run(self) -> Result<()> {
        telemetry::start_log(&self.log)?;
        let mut works = app::works();
        if let Some(kinds) = &self.kinds {
            if let Some(unknown) = kinds.iter().find(|kind| !works.iter().any(|work| work.kind == **kind)) {
                let known: Vec<_> = works.iter().map(|work| work.kind).collect();
                return Err(Error::Internal(format!(
                    "`{unknown}` is no kind of job that a worker can do; there are: {}",
                    known.join(", ")
                )));
            }
            works.retain(|work| kinds.iter().any(|kind| kind == work.kind));
        }
        let processors = std::thread::available_parallelism().map_or(1, |number| number.get().min(16));
        let folder = self.folder.unwrap_or_else(|| std::env::temp_dir().join("ashlar-worker"));
        let slots = self.slots.map_or(processors, usize::from);
        let settings = Settings { server: self.server.clone(), token: self.token, slots, folder };
        let client = Client::new(settings, works)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::internal("starting the runtime", e))?;
        runtime.block_on(async {
            let stop = stop_signal()?;
            tracing::info!(server = %self.server, slots, "working");
            client.run(stop).await
        })?;
        tracing::info!("stopped");
        Ok(())
    }
}
