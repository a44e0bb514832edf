/*
 * tidelog.hpp: Tidelog for C++17 and later, over the C interface in tidelog.h. Header only.
 *
 *     auto store = tidelog::Store::open("plant");
 *     auto batch = tidelog::Batch::of("plant.boiler");
 *     auto pressure = batch.field<double>("pressure");
 *     batch.row(batch.device("pump_1"), now_ns).set(pressure, 4.2);
 *     store.write(batch);
 *     for (const auto &block : store.query("plant.boiler", tidelog::Query().fields({"pressure"})))
 *         for (std::optional<double> value : block.column("pressure").values<double>())
 *             ...
 *
 * What fails throws tidelog::Error: code(), kind(), what(). Without exceptions (-fno-exceptions, or TIDELOG_NO_EXCEPTIONS defined)
 * the same functions return Expected<T> instead of T. Classes own a handle each, can be moved and not copied, and close it at their
 * end; what tidelog.h says of threads, blocking and forking holds here, too. Misuse is found out by the library: a moved-from or
 * closed object gives TIDELOG_INVALID_HANDLE and no more.
 *
 * Texts come in as std::string_view, arrays as Span: a pointer and a size, made from any vector, array or std::span. Everything that
 * tidelog.h offers is here, and a test holds this to it.
 *
 * Moving an object, and its end, are no calls: no other thread is in a call with it then. Closing or stopping it is one.
 */

#ifndef TIDELOG_HPP
#define TIDELOG_HPP

#include "tidelog_values.hpp"

#include <atomic>
#include <mutex>

namespace tidelog {
#ifdef TIDELOG_NO_EXCEPTIONS
inline namespace returning {
#else
inline namespace throwing {
#endif

namespace detail {

/** A handle that is closed at its end. Other threads may call with it while one closes it: they find it open, or not at all. */
template <class T, tidelog_status (*Close)(T **, tidelog_error *)> class Handle {
  public:
    /** The variable of a call that fills or ends the handle, which is taken out for the call: of several that end it one does. */
    class Out {
      public:
        explicit Out(std::atomic<T *> &handle) noexcept : handle_(handle), taken_(handle.exchange(nullptr)) {}
        Out(const Out &) = delete;
        Out &operator=(const Out &) = delete;
        ~Out() {
            if (taken_) handle_ = taken_;
        }
        operator T **() noexcept { return &taken_; }

      private:
        std::atomic<T *> &handle_;
        T *taken_;
    };

    Handle() noexcept = default;
    Handle(Handle &&other) noexcept : handle_(other.handle_.exchange(nullptr)) {}
    Handle &operator=(Handle &&other) noexcept {
        if (this != &other) {
            Close(Out(handle_), nullptr);
            handle_ = other.handle_.exchange(nullptr);
        }
        return *this;
    }
    Handle(const Handle &) = delete;
    Handle &operator=(const Handle &) = delete;
    ~Handle() { Close(Out(handle_), nullptr); }

    T *get() const noexcept { return handle_; }
    Out out() noexcept { return Out(handle_); }

  private:
    std::atomic<T *> handle_{nullptr};
};

/** Makes an object that owns a handle, when the call that fills it works. */
template <class C, class F, class... A> Outcome<C> made(F function, A &&...arguments) {
    C object;
    tidelog_error error{};
    const tidelog_status status = function(std::forward<A>(arguments)..., object.handle_.out(), &error);
    if (status < 0) return fail<C>(status, error);
    return Outcome<C>(std::move(object));
}

/** Runs long work that tells a Progress: what `take` gives when it came to its end, nothing when it was stopped. */
template <class T, class F, class G> Outcome<std::optional<T>> told(const Progress &progress, F work, G take) {
    Telling telling(progress);
    const auto tell = [](void *user, std::uint64_t done, std::uint64_t total) noexcept -> std::int32_t {
        return static_cast<Telling *>(user)->tell(done, total) ? 0 : 1;
    };
    tidelog_error error{};
    const tidelog_progress_fn function = telling.wanted() ? static_cast<tidelog_progress_fn>(tell) : nullptr;
    const tidelog_status status = work(function, static_cast<void *>(&telling), &error);
    telling.rethrow();
    if (status < 0) return fail<std::optional<T>>(status, error);
    return status == TIDELOG_OK ? Outcome<std::optional<T>>(std::optional<T>(take())) : Outcome<std::optional<T>>(std::optional<T>());
}

} // namespace detail

/** Rows of one collection on their way in. One thread at a time fills it. */
class Batch {
  public:
    /** The row that was begun last, being given its values. */
    class Row {
      public:
        explicit Row(Batch &batch) noexcept : batch_(&batch) {}
#ifndef TIDELOG_NO_EXCEPTIONS
        template <class T> Row &set(Field<T> field, std::common_type_t<T> value) {
            batch_->set(field, value);
            return *this;
        }
#else
        template <class T> Outcome<void> set(Field<T> field, std::common_type_t<T> value) { return batch_->set(field, value); }
#endif
      private:
        Batch *batch_;
    };

    /** An empty batch for the collection `database.collection`. */
    static Outcome<Batch> of(std::string_view collection) {
        return detail::made<Batch>(tidelog_batch_new, std::string(collection).c_str());
    }

    /** A device, by its name, or `name,label=value,...`. */
    Outcome<Device> device(std::string_view name) {
        return numbered<Device>(tidelog_batch_device, std::string(name).c_str());
    }

    /** A field of type double, float, std::int64_t, std::uint64_t, bool, std::string_view or Bytes. */
    template <class T> Outcome<Field<T>> field(std::string_view name) {
        return numbered<Field<T>>(tidelog_batch_field, std::string(name).c_str(), detail::Kind<T>::value);
    }

    /** Begins a row; set its fields next. */
    Outcome<Row> row(Device device, std::int64_t time_ns) {
        tidelog_error error{};
        const tidelog_status status = tidelog_batch_row(get(), device.number, time_ns, &error);
        if (status < 0) return detail::fail<Row>(status, error);
        return Outcome<Row>(Row(*this));
    }

    /** Sets a field of the row that was begun last. */
    template <class T> Outcome<void> set(Field<T> field, std::common_type_t<T> value) {
        if constexpr (std::is_same_v<T, double>) return detail::call(tidelog_batch_set_f64, get(), field.number, value);
        else if constexpr (std::is_same_v<T, float>) return detail::call(tidelog_batch_set_f32, get(), field.number, value);
        else if constexpr (std::is_same_v<T, std::int64_t>) return detail::call(tidelog_batch_set_i64, get(), field.number, value);
        else if constexpr (std::is_same_v<T, std::uint64_t>) return detail::call(tidelog_batch_set_u64, get(), field.number, value);
        else if constexpr (std::is_same_v<T, bool>) return detail::call(tidelog_batch_set_bool, get(), field.number, value ? 1 : 0);
        else if constexpr (std::is_same_v<T, Bytes>) return detail::call(tidelog_batch_set_bytes, get(), field.number, value.data(), value.size());
        else return detail::call(tidelog_batch_set_string, get(), field.number, value.data(), value.size());
    }

    /** Rows of one device by columns; each has a value for each time. Values are copied once, into the batch. */
    Outcome<void> append(Device device, Span<const std::int64_t> times_ns, std::initializer_list<NamedColumn> columns) {
        return detail::with_columns(times_ns.size(), columns, [&](const std::vector<tidelog_column> &described) {
            return detail::call(tidelog_batch_append, get(), device.number, times_ns.data(), times_ns.size(),
                                described.data(), described.size(), sizeof(tidelog_column));
        });
    }

    /** Rows of an Arrow record batch, which is released whatever comes of it. */
    Outcome<void> append(ArrowArray &array, const ArrowSchema &schema, const tidelog_arrow_options *options = nullptr) {
        return detail::call(tidelog_batch_append_arrow, get(), &array, &schema, options);
    }

    /** How many rows there are; 0 after a move. */
    std::size_t rows() const noexcept {
        std::size_t rows = 0;
        tidelog_batch_rows(get(), &rows, nullptr);
        return rows;
    }

    /** Removes the rows; devices, fields and memory stay. */
    void clear() noexcept { tidelog_batch_clear(get(), nullptr); }

    tidelog_batch *get() const noexcept { return handle_.get(); }

  private:
    Batch() noexcept = default;
    template <class N, class F, class... A> Outcome<N> numbered(F function, A &&...arguments) {
        N found{};
        tidelog_error error{};
        const tidelog_status status = function(get(), std::forward<A>(arguments)..., &found.number, &error);
        if (status < 0) return detail::fail<N>(status, error);
        return Outcome<N>(found);
    }
    template <class C, class F, class... A> friend Outcome<C> detail::made(F, A &&...);
    detail::Handle<tidelog_batch, tidelog_batch_close> handle_;
};

class Store;
class Tail;
struct Recovered;

/** Rows on their way out: read once, `for (const auto &block : result)`. */
class Result {
  public:
    class iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Block;
        using difference_type = std::ptrdiff_t;
        using pointer = const Block *;
        using reference = const Block &;
        iterator() noexcept = default;
        explicit iterator(Result &result) : result_(&result) { ++*this; }
        reference operator*() const noexcept { return *result_->shown_; }
        pointer operator->() const noexcept { return &*result_->shown_; }
        iterator &operator++() {
            if (!result_->advance()) result_ = nullptr;
            return *this;
        }
        bool operator==(const iterator &other) const noexcept { return result_ == other.result_; }
        bool operator!=(const iterator &other) const noexcept { return result_ != other.result_; }

      private:
        Result *result_ = nullptr;
    };

    /** The next rows, nothing at the end. */
    Outcome<std::optional<Block>> next() {
        auto block = detail::sized<tidelog_block>();
        tidelog_error error{};
        const tidelog_status status = tidelog_result_next(get(), &block, &error);
        if (status < 0) return detail::fail<std::optional<Block>>(status, error);
        return status == TIDELOG_OK ? std::optional<Block>(Block(block)) : std::nullopt;
    }

    /** The columns that every block will have: names and types, no rows. Good as long as this, or until to_arrow. */
    Outcome<std::vector<Column>> columns() const {
        const tidelog_column *first = nullptr;
        std::size_t count = 0;
        tidelog_error error{};
        const tidelog_status status = tidelog_result_columns(get(), &first, &count, &error);
        if (status < 0) return detail::fail<std::vector<Column>>(status, error);
        std::vector<Column> all;
        for (std::size_t at = 0; at < count; ++at) all.emplace_back(first + at, 0);
        return Outcome<std::vector<Column>>(std::move(all));
    }

    iterator begin() { return iterator(*this); }
    iterator end() noexcept { return iterator(); }
#ifdef TIDELOG_NO_EXCEPTIONS
    /** What ended the last loop over this before its end, if anything did. */
    const std::optional<Error> &error() const noexcept { return error_; }
#endif

    /** How many rows are left; reads them. */
    Outcome<std::size_t> count() {
        std::size_t rows = 0;
        for (const Block &block : *this) rows += block.rows();
#ifdef TIDELOG_NO_EXCEPTIONS
        if (error_) return Outcome<std::size_t>(*error_);
#endif
        return Outcome<std::size_t>(rows);
    }

    /** Hands the rows that are left over to an Arrow stream; this is empty afterwards. */
    Outcome<void> to_arrow(ArrowArrayStream &stream) { return detail::call(tidelog_result_to_arrow, handle_.out(), &stream); }

    /** From another thread: whoever waits for rows gets TIDELOG_CANCELLED. */
    void cancel() noexcept { tidelog_result_cancel(get(), nullptr); }

    Outcome<tidelog_explain> explain() const {
        auto explain = detail::sized<tidelog_explain>();
        tidelog_error error{};
        const tidelog_status status = tidelog_result_explain(get(), &explain, &error);
        if (status < 0) return detail::fail<tidelog_explain>(status, error);
        return Outcome<tidelog_explain>(explain);
    }

    tidelog_result *get() const noexcept { return handle_.get(); }

  private:
    friend class Store;
    friend class Tail;
    friend Outcome<std::optional<Recovered>> recover(std::string_view path, const Progress &progress);
    Result() noexcept = default;
    bool advance() {
#ifdef TIDELOG_NO_EXCEPTIONS
        auto block = next();
        error_ = block ? std::optional<Error>() : std::optional<Error>(block.error());
        shown_ = block ? *block : std::nullopt;
#else
        shown_ = next();
#endif
        return shown_.has_value();
    }
    template <class C, class F, class... A> friend Outcome<C> detail::made(F, A &&...);
    detail::Handle<tidelog_result, tidelog_result_close> handle_;
    std::optional<Block> shown_;
#ifdef TIDELOG_NO_EXCEPTIONS
    std::optional<Error> error_;
#endif
};

/** A write on its way. At its end it is not taken back, only nobody is told. */
class Ticket {
  public:
    /** Waits until the write is durable as asked, and visible. */
    Outcome<tidelog_receipt> wait() {
        auto receipt = detail::sized<tidelog_receipt>();
        tidelog_error error{};
        const tidelog_status status = tidelog_ticket_wait(handle_.get(), &receipt, &error);
        if (status < 0) return detail::fail<tidelog_receipt>(status, error);
        return Outcome<tidelog_receipt>(receipt);
    }
    /** Would wait() return at once? */
    Outcome<bool> is_done() const { return detail::ask(tidelog_ticket_poll, handle_.get()); }

  private:
    Ticket() noexcept = default;
    template <class C, class F, class... A> friend Outcome<C> detail::made(F, A &&...);
    detail::Handle<tidelog_ticket, tidelog_ticket_close> handle_;
};

/** Keeps a part of the log for whoever reads it, until its end: at the end of the object, or when its bounds break it. It stands in the
 *  store under its name: one of the same name takes its place, and whichever ends first lets go. End it before the store is closed, or
 *  it stays; Store::unpin lets go of what stayed. One thread at a time. */
class [[nodiscard]] Pin {
  public:
    Pin(Pin &&other) noexcept : store_(std::exchange(other.store_, nullptr)), name_(std::move(other.name_)) {}
    Pin &operator=(Pin &&other) noexcept {
        if (this != &other) {
            end();
            store_ = std::exchange(other.store_, nullptr);
            name_ = std::move(other.name_);
        }
        return *this;
    }
    Pin(const Pin &) = delete;
    Pin &operator=(const Pin &) = delete;
    ~Pin() { end(); }

    const std::string &name() const noexcept { return name_; }
    /** Lets go of the log now, and says when that fails. Blocks: disk. */
    Outcome<void> release() { return detail::call(tidelog_unpin, std::exchange(store_, nullptr), name_.c_str()); }
    /** Leaves the pin in the store, also when this ends: Store::unpin, or a bound, ends it. */
    void keep() noexcept { store_ = nullptr; }

  private:
    friend class Store;
    Pin(tidelog_store *store, std::string name) noexcept : store_(store), name_(std::move(name)) {}
    void end() noexcept {
        if (store_) tidelog_unpin(std::exchange(store_, nullptr), name_.c_str(), nullptr);
    }
    tidelog_store *store_;
    std::string name_;
};

class Collection;

/** An open store. Any thread may call anything. */
class Store {
  public:
    /** Opens the store in a directory, and creates it when there is none. */
    static Outcome<Store> open(std::string_view path, const OpenOptions &options = {}) {
        const std::string text(path);
        return detail::made<Store>(tidelog_open, static_cast<std::uint32_t>(TIDELOG_ABI_VERSION), text.c_str(), &options);
    }

    /** Makes everything durable and closes it; at the end of the object this happens, too, and its errors are lost. */
    Outcome<void> close() { return detail::call(tidelog_close, handle_.out()); }

    /** Writes and waits until it is acknowledged. */
    Outcome<tidelog_receipt> write(const Batch &batch, const Durability &durability = Durability::sync()) {
        auto receipt = detail::sized<tidelog_receipt>();
        tidelog_error error{};
        const tidelog_status status = tidelog_write(get(), batch.get(), durability.get(), &receipt, &error);
        if (status < 0) return detail::fail<tidelog_receipt>(status, error);
        return Outcome<tidelog_receipt>(receipt);
    }

    /** Writes without waiting for the fsync. */
    Outcome<Ticket> submit(const Batch &batch, const Durability &durability = Durability::sync()) {
        return detail::made<Ticket>(tidelog_submit, get(), batch.get(), durability.get());
    }

    Outcome<Result> query(std::string_view collection, const Query &query = {}) const {
        return asked(tidelog_query, collection, query);
    }
    /** The latest row of each device. */
    Outcome<Result> latest(std::string_view collection, const Query &query = {}) const {
        return asked(tidelog_latest, collection, query);
    }
    /** Points for a plot, by TIDELOG_MIN_MAX, TIDELOG_LTTB or TIDELOG_M4; the query names one field. */
    Outcome<Result> downsample(std::string_view collection, const Query &query, std::uint32_t method, std::size_t points) const {
        const std::string name(collection);
        return query.with([&](const tidelog_query_options *options) {
            return detail::made<Result>(tidelog_downsample, get(), name.c_str(), options, method, points);
        });
    }
    Outcome<Result> collections() const { return detail::made<Result>(tidelog_collections, get()); }

    /** A collection by its name; good as long as the store. */
    Collection collection(std::string_view name) const;

    Outcome<void> flush() { return detail::call(tidelog_flush, get()); }
    /** Makes rollups and digests anew where rows have overtaken them; nothing when the progress stopped it. */
    Outcome<std::optional<tidelog_seal_report>> seal(const Progress &progress = {}) {
        auto report = detail::sized<tidelog_seal_report>();
        return detail::told<tidelog_seal_report>(progress, [&](auto function, void *user, tidelog_error *error) {
            return tidelog_seal(get(), function, user, &report, error);
        }, [&] { return report; });
    }
    /** Merges the files of each group; false when the progress stopped it. */
    Outcome<bool> compact(const Progress &progress = {}) {
        auto done = detail::told<bool>(progress, [&](auto function, void *user, tidelog_error *error) {
            return tidelog_compact(get(), function, user, error);
        }, [] { return true; });
#ifdef TIDELOG_NO_EXCEPTIONS
        if (!done) return Outcome<bool>(done.error());
        return Outcome<bool>(done.value().has_value());
#else
        return done.has_value();
#endif
    }
    Outcome<tidelog_stats> stats() const {
        auto stats = detail::sized<tidelog_stats>();
        tidelog_error error{};
        const tidelog_status status = tidelog_get_stats(get(), &stats, &error);
        if (status < 0) return detail::fail<tidelog_stats>(status, error);
        return Outcome<tidelog_stats>(stats);
    }
    /** Verifies everything; the rows are what is wrong. */
    Outcome<Result> check() const { return detail::made<Result>(tidelog_check, get(), nullptr, nullptr, nullptr); }
    /** The same, told how far it is; nothing when the progress stopped it. A report is filled when one is given. */
    Outcome<std::optional<Result>> check(const Progress &progress, tidelog_check_report *report = nullptr) const {
        Result findings;
        if (report) *report = detail::sized<tidelog_check_report>();
        return detail::told<Result>(progress, [&](auto function, void *user, tidelog_error *error) {
            return tidelog_check(get(), function, user, report, findings.handle_.out(), error);
        }, [&] { return std::move(findings); });
    }

    /** Who the store is, and what opening it found. */
    Outcome<tidelog_store_info> describe() const {
        auto info = detail::sized<tidelog_store_info>();
        tidelog_error error{};
        const tidelog_status status = tidelog_store_describe(get(), &info, &error);
        if (status < 0) return detail::fail<tidelog_store_info>(status, error);
        return Outcome<tidelog_store_info>(info);
    }

    /** Copies the store to a directory that is not there yet or empty, while writes go on: adopt() it before it is written to beside this
     *  one. Nothing when the progress stopped it: remove what was copied. Blocks: disk, long. */
    Outcome<std::optional<tidelog_backup_report>> backup(std::string_view path, const Progress &progress = {}) {
        const std::string text(path);
        auto report = detail::sized<tidelog_backup_report>();
        return detail::told<tidelog_backup_report>(progress, [&](auto function, void *user, tidelog_error *error) {
            return tidelog_backup(get(), text.c_str(), function, user, &report, error);
        }, [&] { return report; });
    }

    /** Where the next thing that is written will stand in the log. */
    Outcome<tidelog_position> position() const {
        tidelog_position position{};
        tidelog_error error{};
        const tidelog_status status = tidelog_position_now(get(), &position, &error);
        if (status < 0) return detail::fail<tidelog_position>(status, error);
        return Outcome<tidelog_position>(position);
    }

    /** Keeps the log from a position of this opening on (from now on when it is NULL), so that a Tail from there finds all of it, until the
     *  pin ends or breaks. One of the same name is replaced. Blocks: disk. */
    Outcome<Pin> pin(std::string_view name, const tidelog_position *from = nullptr, const PinBounds &bounds = {}) {
        Pin pin(get(), std::string(name));
        tidelog_error error{};
        const tidelog_status status = tidelog_pin(get(), pin.name().c_str(), from, bounds.bytes_max,
                                                  static_cast<std::uint64_t>(bounds.age_max.count()), &error);
        if (status < 0) {
            // One of this name may stand there from before.
            pin.keep();
            return detail::fail<Pin>(status, error);
        }
        return Outcome<Pin>(std::move(pin));
    }
    /** Lets go of the log by the name of a pin that was kept; one that is not there is no error. Blocks: disk. */
    Outcome<void> unpin(std::string_view name) { return detail::call(tidelog_unpin, get(), std::string(name).c_str()); }

    /** The highest epoch that was seen of each group that has any, as of tidelog_epochs. */
    Outcome<Result> epochs() const { return detail::made<Result>(tidelog_epochs, get()); }

    /** Where no node runs: lets go of a replica that will not come back, by the file of its node and its store id. Which it was. Blocks:
     *  disk. */
    Outcome<StoreId> forget(std::string_view config, std::string_view who) {
        StoreId id{};
        tidelog_error error{};
        const tidelog_status status = tidelog_forget(get(), std::string(config).c_str(), std::string(who).c_str(), id.data(), &error);
        if (status < 0) return detail::fail<StoreId>(status, error);
        return Outcome<StoreId>(id);
    }

    tidelog_store *get() const noexcept { return handle_.get(); }

  private:
    Store() noexcept = default;
    template <class F> Outcome<Result> asked(F function, std::string_view collection, const Query &query) const {
        const std::string name(collection);
        return query.with([&](const tidelog_query_options *options) {
            return detail::made<Result>(function, get(), name.c_str(), options);
        });
    }
    template <class C, class F, class... A> friend Outcome<C> detail::made(F, A &&...);
    detail::Handle<tidelog_store, tidelog_close> handle_;
};

/** A collection of a store, by its name. */
class Collection {
  public:
    Collection(const Store &store, std::string_view name) : store_(&store), name_(name) {}
    const std::string &name() const noexcept { return name_; }
    Outcome<Batch> batch() const { return Batch::of(name_); }
    Outcome<Result> query(const Query &query = {}) const { return store_->query(name_, query); }
    Outcome<Result> latest(const Query &query = {}) const { return store_->latest(name_, query); }
    Outcome<Result> fields() const { return detail::made<Result>(tidelog_fields, store_->get(), name_.c_str()); }
    /** As "raw=30d,1h=1y". */
    Outcome<void> set_retention(std::string_view retention) {
        return detail::call(tidelog_set_retention, store_->get(), name_.c_str(), std::string(retention).c_str());
    }
    /** Creates it with leaf windows of 60, 30 or 15 minutes, when it is not there; zero: 60. Writing creates it, too. Blocks: disk. */
    Outcome<void> create(std::uint32_t leaf_minutes = 0) {
        return detail::call(tidelog_collection_create, store_->get(), name_.c_str(), leaf_minutes);
    }
    /** Deletes what the query's devices, fields and range select; its other parts do not count. When: the delete's stamp. */
    Outcome<std::uint64_t> erase(const Query &what = {}) {
        return what.with_delete([&](const tidelog_delete_options *options) {
            std::uint64_t stamp = 0;
            tidelog_error error{};
            const tidelog_status status = tidelog_delete(store_->get(), name_.c_str(), options, &stamp, &error);
            return status < 0 ? detail::fail<std::uint64_t>(status, error) : Outcome<std::uint64_t>(stamp);
        });
    }
    /** Where it differs from that of another store, by leaf window. */
    Outcome<Result> compare(const Store &other, std::uint64_t limit = 0) const {
        return detail::made<Result>(tidelog_compare, store_->get(), other.get(), name_.c_str(), limit);
    }
    /** Digests of the windows of a level, TIDELOG_LEVEL_ROOT and so on, that overlap a range: all of time, until it is narrowed. */
    Outcome<Result> digests(std::uint32_t level = TIDELOG_LEVEL_ROOT, std::optional<std::int64_t> from = {},
                            std::optional<std::int64_t> to = {}) const {
        const std::int64_t *first = from ? &*from : nullptr, *end = to ? &*to : nullptr;
        return detail::made<Result>(tidelog_digests, store_->get(), name_.c_str(), level, first, end);
    }

  private:
    const Store *store_;
    std::string name_;
};

inline Collection Store::collection(std::string_view name) const { return Collection(*this, name); }

/** Something that was written: rows, or a delete. */
struct Record {
    /** TIDELOG_RECORD_ROWS or TIDELOG_RECORD_DELETE; skip others. */
    std::uint32_t kind;
    /** The collection, or the database for a delete in all of it. */
    std::string collection;
    std::uint64_t stamp;
    /** Where the next one stands. */
    tidelog_position next;
    /** The rows, or what the delete is about. */
    Result rows;
    /** Where this one stands. */
    tidelog_position position;
};

/** Follows what a store writes. Calls with one tail wait for each other. */
class Tail {
  public:
    Tail(Tail &&other) noexcept : handle_(std::move(other.handle_)) {}
    Tail &operator=(Tail &&other) noexcept {
        handle_ = std::move(other.handle_);
        return *this;
    }
    /** From a position on; from now on when it is NULL. */
    static Outcome<Tail> open(const Store &store, const tidelog_position *from = nullptr) {
        return detail::made<Tail>(tidelog_tail_open, store.get(), from);
    }
    /** The next record, waiting for it; nothing when there is none by then. */
    Outcome<std::optional<Record>> next(Nanoseconds timeout) {
        auto record = detail::sized<tidelog_record>();
        Result rows;
        tidelog_error error{};
        // The name of its collection stands in the tail until the next call: none comes before it is copied.
        const std::lock_guard<std::mutex> alone(alone_);
        const tidelog_status status = tidelog_tail_next(handle_.get(), static_cast<std::uint64_t>(timeout.count()), &record,
                                                        rows.handle_.out(), &error);
        if (status < 0) return detail::fail<std::optional<Record>>(status, error);
        if (status != TIDELOG_OK) return std::optional<Record>();
        return std::optional<Record>(Record{record.kind, record.collection, record.stamp, record.next, std::move(rows), record.position});
    }

  private:
    Tail() noexcept = default;
    template <class C, class F, class... A> friend Outcome<C> detail::made(F, A &&...);
    detail::Handle<tidelog_tail, tidelog_tail_close> handle_;
    std::mutex alone_;
};

/** What recovery found and did: its findings are as of Store::check. */
struct Recovered {
    tidelog_recover_report report;
    Result findings;
};

/** Makes a damaged store in a directory, which nobody has open, one that opens, with every row that can be read; damage moves to
 *  quarantine/. Nothing when the progress stopped it, before anything was changed. Blocks: disk, long. */
inline Outcome<std::optional<Recovered>> recover(std::string_view path, const Progress &progress = {}) {
    const std::string text(path);
    auto report = detail::sized<tidelog_recover_report>();
    Result findings;
    return detail::told<Recovered>(progress, [&](auto function, void *user, tidelog_error *error) {
        return tidelog_recover(text.c_str(), function, user, &report, findings.handle_.out(), error);
    }, [&] { return Recovered{report, std::move(findings)}; });
}

/** Makes the key and certificate of a store in a folder; the fingerprint to give to its peers. Zero days: 3,650. */
inline Outcome<std::string> create_identity(const Store &store, std::string_view folder, std::uint32_t valid_days = 0) {
    char text[TIDELOG_TEXT_SIZE];
    tidelog_error error{};
    const std::string path(folder);
    const tidelog_status status = tidelog_identity_create(store.get(), path.c_str(), valid_days, text, sizeof text, &error);
    if (status < 0) return detail::fail<std::string>(status, error);
    return Outcome<std::string>(text);
}

/** Compares a store with a running node once, repairs what differs in both, and leaves: one row, as of Node::repair. Of the peer,
 *  address and fingerprint count. */
inline Outcome<Result> sync(Store &store, const Peer &peer, std::string_view identity, Nanoseconds timeout = {}) {
    return detail::with_sync(peer, identity, timeout, [&](const tidelog_sync_options *options) {
        return detail::made<Result>(tidelog_sync, store.get(), options);
    });
}

/** Asks a policy about a recorded round, on this thread: one row, as of tidelog_policy_replay. */
inline Outcome<Result> replay_policy(RepairPolicy &policy, Span<const std::uint8_t> recorded) {
    return detail::with_policy(policy, {}, nullptr, [&](const tidelog_policy_table *table) {
        return detail::made<Result>(tidelog_policy_replay, table, recorded.data(), recorded.size());
    });
}

/** A store among its peers, until its end. */
class Node {
  public:
    using Handler = detail::EventFunction::Function;

    /** By a configuration file; a policy that decides about repairs from the first comparison on may be given. */
    static Outcome<Node> start(Store &store, std::string_view config, std::unique_ptr<RepairPolicy> policy = nullptr,
                               const PolicyBounds &bounds = {}) {
        return start(store, detail::configured(config), std::move(policy), bounds);
    }
    /** By an address to listen on, the folder of the store's key, its peers, and a policy if there is one. */
    static Outcome<Node> start(Store &store, std::string_view listen, std::string_view identity, const std::vector<Peer> &peers,
                               std::unique_ptr<RepairPolicy> policy = nullptr, const PolicyBounds &bounds = {}) {
        return start(store, detail::listening(listen, identity, peers), std::move(policy), bounds);
    }
    /** By settings, which say all that can be said. */
    static Outcome<Node> start(Store &store, const NodeSettings &settings, std::unique_ptr<RepairPolicy> policy = nullptr,
                               const PolicyBounds &bounds = {}) {
        return detail::with_policy(std::move(policy), bounds, [&](const tidelog_policy_table *table) {
            return detail::with_node(settings, table, [&](const tidelog_node_options *options) {
                return detail::made<Node>(tidelog_node_start, store.get(), options);
            });
        });
    }
    /** Where it listens. */
    Outcome<std::string> address() const {
        char text[TIDELOG_TEXT_SIZE];
        tidelog_error error{};
        const tidelog_status status = tidelog_node_address(get(), text, sizeof text, &error);
        if (status < 0) return detail::fail<std::string>(status, error);
        return Outcome<std::string>(text);
    }
    /** Waits until what is needed of the peers is here; false when it is not by then. */
    Outcome<bool> ready(Nanoseconds timeout) const {
        return detail::ask(tidelog_node_ready, get(), static_cast<std::uint64_t>(timeout.count()));
    }
    Outcome<Result> status() const { return detail::made<Result>(tidelog_node_status, get()); }
    /** How each group stands with its other replicas, as of tidelog_node_groups. */
    Outcome<Result> groups() const { return detail::made<Result>(tidelog_node_groups, get()); }
    /** Groups whose epoch in the configuration is older than one that was seen, as of tidelog_node_behind. */
    Outcome<Result> behind() const { return detail::made<Result>(tidelog_node_behind, get()); }
    /** Lets go of a replica that will not come back, by its name or store id, once no configuration names it; it is refused from then on.
     *  Which store it was. Blocks: disk. */
    Outcome<StoreId> forget(std::string_view who) {
        StoreId id{};
        tidelog_error error{};
        const tidelog_status status = tidelog_node_forget(get(), std::string(who).c_str(), id.data(), &error);
        if (status < 0) return detail::fail<StoreId>(status, error);
        return Outcome<StoreId>(id);
    }
    /** Removes the rows of a group that the configuration does not place here any more, once every other store that holds it has agreed
     *  that it has all of them; TIDELOG_PEER, and nothing is removed, when one does not. Blocks: network and disk, long. */
    Outcome<tidelog_dropped_group> drop_group(std::uint32_t group) {
        auto dropped = detail::sized<tidelog_dropped_group>();
        tidelog_error error{};
        const tidelog_status status = tidelog_node_drop_group(get(), group, &dropped, &error);
        if (status < 0) return detail::fail<tidelog_dropped_group>(status, error);
        return Outcome<tidelog_dropped_group>(dropped);
    }
    /** Compares with all peers now, or with one, and repairs what differs. */
    Outcome<Result> repair(std::string_view peer = {}) {
        Repair what;
        what.peer = peer;
        return repair(what);
    }
    /** Compares and repairs a part. */
    Outcome<Result> repair(const Repair &what) {
        return detail::with_repair(what, [&](const tidelog_repair_options *options) {
            return detail::made<Result>(tidelog_node_repair, get(), options);
        });
    }
    /** Hands what happens to a handler, on a thread of the library's, until it returns false or the node stops. */
    Outcome<void> on_event(std::unique_ptr<EventHandler> handler) {
        const auto hear = [](void *user, const tidelog_event *event) noexcept -> std::int32_t {
            return detail::hear(*static_cast<EventHandler *>(user), *event) ? 0 : 1;
        };
        // Without a handler the library says what is missing.
        const tidelog_event_fn function = handler ? static_cast<tidelog_event_fn>(hear) : nullptr;
        const auto drop = [](void *user) noexcept { delete static_cast<EventHandler *>(user); };
        return detail::call(tidelog_node_on_event, get(), function, static_cast<void *>(handler.release()),
                            static_cast<tidelog_drop_fn>(drop));
    }
    Outcome<void> on_event(Handler handler) {
        return on_event(detail::handling(std::move(handler)));
    }
    /** Another policy decides about repairs from the next round on; without one everything is repaired. */
    Outcome<void> set_policy(std::unique_ptr<RepairPolicy> policy, const PolicyBounds &bounds = {}) {
        return detail::with_policy(std::move(policy), bounds, [&](const tidelog_policy_table *table) {
            return detail::call(tidelog_node_set_policy, get(), table);
        });
    }
    /** Leaves the peers; at the end of the object this happens, too. */
    Outcome<void> stop() { return detail::call(tidelog_node_stop, handle_.out()); }

    tidelog_node *get() const noexcept { return handle_.get(); }

  private:
    Node() noexcept = default;
    template <class C, class F, class... A> friend Outcome<C> detail::made(F, A &&...);
    detail::Handle<tidelog_node, tidelog_node_stop> handle_;
};

} // namespace throwing or returning
} // namespace tidelog

#endif // TIDELOG_HPP
