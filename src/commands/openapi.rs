//! `ashlar openapi`.

use super::print;
use crate::app;
use crate::platform::error::{Error, Result};

/// Prints the OpenAPI document of all JSON routes; a server has it at /api/openapi.json.
#[derive(Debug, clap::Args)]
pub struct Openapi {}

impl Openapi {
    pub fn run(self) -> Result<()> {
        print(app::openapi().to_pretty_json().map_err(|e| Error::internal("writing the document", e))?)
    }
}
