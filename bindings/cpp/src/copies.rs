//! Copies and damage: backup, recover, and who a store is.

use crate::bridge::edge::Telling;
use crate::failure::{Failure, run};
use crate::plain::{BackupReport, RecoverReport, StoreInfo};
use crate::rows::Rows;
use crate::store::{Store, telling};
use std::pin::Pin;
use tidelog_engine as engine;
use tidelog_ffi::inside::{self, Fault, copied_of, findings, info_of, recovered_of, utf8};

impl Store {
    pub fn describe(&self) -> Result<StoreInfo, Failure> {
        run("tidelog::Store::describe", || Ok(StoreInfo(info_of(self.get()))))
    }

    pub fn backup(
        &self,
        path: &[u8],
        told: Pin<&mut Telling>,
        stopped: &mut bool,
    ) -> Result<BackupReport, Failure> {
        run("tidelog::Store::backup", || {
            let (store, path) = (self.get(), utf8(path, "path")?);
            let copied = telling(told, |tell| store.backup(path, tell))?;
            *stopped = copied.is_none();
            Ok(BackupReport(copied_of(&copied.unwrap_or_default())))
        })
    }
}

/// `report` is left as it is when the progress stopped the work.
pub fn recover(
    path: &[u8],
    told: Pin<&mut Telling>,
    report: &mut RecoverReport,
    stopped: &mut bool,
) -> Result<Box<Rows>, Failure> {
    run("tidelog::recover", || {
        let path = utf8(path, "path")?;
        let found = telling(told, |tell| engine::recover(path, tell))?;
        *stopped = found.is_none();
        let Some(found) = found else { return Ok::<_, Fault>(Rows::boxed(inside::Rows::none())) };
        report.0 = recovered_of(&found);
        Ok(Rows::boxed(inside::Rows::of_table(findings(&found.findings))))
    })
}
