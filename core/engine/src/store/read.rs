//! Reading: queries and latest rows over one moment of memory and files.

use super::{Inner, Store};
use crate::memory::MemoryView;
use crate::memory::ViewOf;
use crate::query::{
    self, Answer, AnswerField, Caches, Context, Downsample, Downsampled, Query, QueryError,
    RowBatch,
};
use crate::scan::Snapshot;
use std::sync::Arc;
use tidelog_model::{CollectionName, DeviceSelector};

impl Store {
    /// Begins a query: it sees the store as it is at this moment, whole batches only, whatever is
    /// written, flushed or compacted while the answer is drawn.
    ///
    /// ```no_run
    /// use tidelog_engine::{Aggregate, CollectionName, Every, Query, Store};
    /// use std::time::Duration;
    /// let store = Store::open("plant")?;
    /// let boiler = CollectionName::parse("plant.boiler")?;
    /// let query = Query::new()
    ///     .fields(["pressure"])
    ///     .every(Every::Duration(Duration::from_secs(3600)))
    ///     .aggregates([Aggregate::Mean, Aggregate::Max]);
    /// for batch in store.query(&boiler, query)? {
    ///     let batch = batch?;
    ///     println!("{} windows", batch.rows());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`QueryError`]; damage is met while the answer is drawn.
    pub fn query(&self, collection: &CollectionName, query: Query) -> Result<Answer, QueryError> {
        let snapshot = self.inner.snapshot(collection, &query.devices)?;
        query::run(collection, snapshot, self.inner.caches(), query)
    }

    /// Raw rows reduced to about as many points as a plot can show, for each numeric field of each device that the
    /// query selects. Devices, fields, range and filter of the query are respected.
    ///
    /// ```no_run
    /// use tidelog_engine::{CollectionName, Downsample, Query, Store};
    /// let store = Store::open("plant")?;
    /// let boiler = CollectionName::parse("plant.boiler")?;
    /// let query = Query::new().fields(["pressure"]);
    /// for points in store.downsample(&boiler, query, Downsample::Lttb { points: 500 })? {
    ///     let points = points?;
    ///     println!("{}: {} points", points.device, points.times.len());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// The caller's thread reads as points are drawn, a device at a time and its rows twice at most; the points of
    /// one device are held, and what [`Downsample`] says of its methods. All is of one moment, as in [`Self::query`].
    ///
    /// # Errors
    /// [`QueryError::NotNumeric`] for a named field that is no number, [`QueryError::TooFewPoints`],
    /// [`QueryError::NotDownsampled`] for windows, aggregates, filling, descending order, limits or grouping by
    /// none, and what [`Self::query`] may return; damage is met while points are drawn.
    pub fn downsample(
        &self,
        collection: &CollectionName,
        query: Query,
        method: Downsample,
    ) -> Result<Downsampled, QueryError> {
        let snapshot = self.inner.snapshot(collection, &query.devices)?;
        query::downsample(collection, snapshot, self.inner.caches(), query, method)
    }

    /// The latest visible row of each device that the query selects, all its fields as they are in
    /// that row. Once asked, O(1) per device until files or deletes change.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn latest(
        &self,
        collection: &CollectionName,
        query: Query,
    ) -> Result<(Vec<AnswerField>, RowBatch), QueryError> {
        let snapshot = self.inner.snapshot(collection, &query.devices)?;
        let context = Context::new(collection, snapshot, self.inner.caches(), query)?;
        query::latest(&context, &self.inner.latest)
    }
}

impl Inner {
    pub(crate) fn caches(&self) -> Caches {
        Caches {
            indexes: Arc::clone(&self.cache),
            nodes: Arc::clone(&self.node_cache),
            damage: Arc::clone(&self.node_damage),
        }
    }

    /// One moment of a collection that nobody has written to.
    pub(crate) fn empty_snapshot(&self) -> Snapshot {
        let memory = MemoryView { tables: Vec::new() };
        Snapshot {
            memory,
            files: self.files(),
            tombstones: Vec::new(),
            fields: Vec::new(),
            horizon: Arc::default(),
            with_aside: true,
        }
    }

    /// One moment of a collection.
    pub(crate) fn snapshot(
        &self,
        name: &CollectionName,
        selector: &DeviceSelector,
    ) -> Result<Snapshot, QueryError> {
        let mut list = Vec::new();
        let of = match &selector.devices {
            Some(devices) => {
                list.extend(devices.iter().map(tidelog_model::Device::as_str));
                ViewOf::Devices(&list)
            }
            None => ViewOf::All,
        };
        let (memory, (files, tombstones, fields)) = self.memory.view(name, self.groups, of, || {
            let files = self.files();
            let catalog = self.catalog();
            (files, catalog.tombstones_of(name), catalog.fields_of(name))
        });
        let fields = fields.ok_or_else(|| QueryError::NoCollection { name: name.clone() })?;
        let horizon = Arc::default();
        Ok(Snapshot { memory, files, tombstones, fields, horizon, with_aside: true })
    }
}
