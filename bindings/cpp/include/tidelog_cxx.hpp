/*
 * tidelog_cxx.hpp: the classes of tidelog.hpp for programs that build Tidelog from source, through a cxx bridge.
 *
 * Names and meaning are those of tidelog.hpp, and one test file holds both to that; see there for a first program. What differs:
 * exceptions are needed, and messages of errors of its classes are whole, however long. Where nothing is said here, tidelog.hpp and
 * tidelog.h do.
 */

#ifndef TIDELOG_CXX_HPP
#define TIDELOG_CXX_HPP

#ifdef TIDELOG_HPP
#error "tidelog.hpp and tidelog_cxx.hpp have the same classes: include one of them"
#endif
#define TIDELOG_HPP

#include "rust/cxx.h"
#include "tidelog-cxx/src/bridge.rs.h"
#include "tidelog_values.hpp"
#include <atomic>

#ifdef TIDELOG_NO_EXCEPTIONS
#error "errors of the bridge are exceptions: use tidelog.hpp where there are none"
#endif

namespace tidelog {
inline namespace bridged {

namespace detail_cxx {

using Bytes = rust::Slice<const std::uint8_t>;

inline Bytes bytes(std::string_view text) noexcept {
    return Bytes(reinterpret_cast<const std::uint8_t *>(text.data()), text.size());
}

/** Calls Rust; its errors come as a code, a kind and a text. */
template <class F> auto call(F function) -> decltype(function()) {
    try {
        return function();
    } catch (const rust::Error &error) {
        char *rest = nullptr;
        const long code = std::strtol(error.what(), &rest, 10);
        const unsigned long kind = std::strtoul(rest, &rest, 10);
        throw Error(static_cast<tidelog_status>(code), static_cast<std::uint32_t>(kind), *rest ? rest + 1 : rest);
    }
}

/** An object of Rust, until it is moved from or closed. One that is closed stays in memory until the end of this: other threads may be in
 *  calls with it. */
template <class T> class Owned {
  public:
    explicit Owned(rust::Box<T> box) noexcept : box_(std::move(box)) {}
    Owned(Owned &&other) noexcept : box_(std::move(other.box_)), closed_(other.closed_.load()) { other.box_.reset(); }
    Owned &operator=(Owned &&other) noexcept {
        if (this != &other) {
            box_ = std::move(other.box_);
            closed_ = other.closed_.load();
            other.box_.reset();
        }
        return *this;
    }
    Owned(const Owned &) = delete;
    Owned &operator=(const Owned &) = delete;
    ~Owned() = default;

    const T &operator*() const {
        if (const T *open = get()) return *open;
        throw Error(TIDELOG_INVALID_HANDLE, TIDELOG_KIND_FIX_CALL, "the object was closed or moved from: use one that is open");
    }
    const T *operator->() const { return &**this; }
    /** NULL when it was closed or moved from. */
    const T *get() const noexcept { return box_ && !closed_ ? &**box_ : nullptr; }
    explicit operator bool() const noexcept { return get(); }
    /** Nobody calls it any more from here on; the object, for whoever has closed it. NULL when it was closed before or moved from. */
    const T *close() noexcept { return box_ && !closed_.exchange(true) ? &**box_ : nullptr; }
    void reset() noexcept { box_.reset(); }

  private:
    std::optional<rust::Box<T>> box_;
    std::atomic<bool> closed_{false};
};

/** Runs long work that tells a Progress. */
template <class F> auto told(const Progress &progress, F work) {
    detail::Telling telling(progress);
    auto done = call([&] { return work(telling); });
    telling.rethrow();
    return done;
}

} // namespace detail_cxx

class Collection;
class Store;
struct Recovered;

/** Rows of one collection on their way in. */
class Batch {
  public:
    /** The row that was begun last, being given its values. */
    class Row {
      public:
        explicit Row(Batch &batch) noexcept : batch_(&batch) {}
        template <class T> Row &set(Field<T> field, std::common_type_t<T> value) {
            batch_->set(field, value);
            return *this;
        }

      private:
        Batch *batch_;
    };

    static Batch of(std::string_view collection) {
        return Batch(detail_cxx::call([&] { return bridge::batch(detail_cxx::bytes(collection)); }));
    }
    Device device(std::string_view name) {
        return {detail_cxx::call([&] { return own_->device(detail_cxx::bytes(name)); })};
    }
    template <class T> Field<T> field(std::string_view name) {
        return {detail_cxx::call([&] { return own_->field(detail_cxx::bytes(name), detail::Kind<T>::value); })};
    }
    Row row(Device device, std::int64_t time_ns) {
        detail_cxx::call([&] { own_->row(device.number, time_ns); });
        return Row(*this);
    }
    template <class T> void set(Field<T> field, std::common_type_t<T> value) {
        detail_cxx::call([&] {
            if constexpr (std::is_same_v<T, double>) own_->set_f64(field.number, value);
            else if constexpr (std::is_same_v<T, float>) own_->set_f32(field.number, value);
            else if constexpr (std::is_same_v<T, std::int64_t>) own_->set_i64(field.number, value);
            else if constexpr (std::is_same_v<T, std::uint64_t>) own_->set_u64(field.number, value);
            else if constexpr (std::is_same_v<T, bool>) own_->set_bool(field.number, value);
            else if constexpr (std::is_same_v<T, Bytes>) own_->set_bytes(field.number, detail_cxx::Bytes(value.data(), value.size()));
            else own_->set_string(field.number, detail_cxx::bytes(value));
        });
    }
    void append(Device device, Span<const std::int64_t> times_ns, std::initializer_list<NamedColumn> columns) {
        detail::with_columns(times_ns.size(), columns, [&](const std::vector<tidelog_column> &described) {
            detail_cxx::call([&] {
                own_->append(device.number, rust::Slice<const std::int64_t>(times_ns.data(), times_ns.size()),
                             rust::Slice<const tidelog_column>(described.data(), described.size()));
            });
        });
    }
    void append(ArrowArray &array, const ArrowSchema &schema, const tidelog_arrow_options *options = nullptr) {
        // Where nothing takes it, it is released all the same.
        if (!own_ && array.release) array.release(&array);
        detail_cxx::call([&] { own_->append_arrow(&array, &schema, options); });
    }
    std::size_t rows() const noexcept { return own_ ? own_.get()->rows() : 0; }
    void clear() noexcept {
        if (own_) own_.get()->clear();
    }

  private:
    friend class Store;
    explicit Batch(rust::Box<bridge::Batch> box) noexcept : own_(std::move(box)) {}
    detail_cxx::Owned<bridge::Batch> own_;
};

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
            result_->shown_ = result_->next();
            if (!result_->shown_) result_ = nullptr;
            return *this;
        }
        bool operator==(const iterator &other) const noexcept { return result_ == other.result_; }
        bool operator!=(const iterator &other) const noexcept { return result_ != other.result_; }

      private:
        Result *result_ = nullptr;
    };

    std::optional<Block> next() {
        auto block = detail::sized<tidelog_block>();
        const bool found = detail_cxx::call([&] { return own_->next(block); });
        return found ? std::optional<Block>(Block(block)) : std::nullopt;
    }
    std::vector<Column> columns() const {
        std::vector<Column> all;
        for (const tidelog_column &column : detail_cxx::call([&] { return own_->columns(); })) all.emplace_back(&column, 0);
        return all;
    }
    iterator begin() { return iterator(*this); }
    iterator end() noexcept { return iterator(); }
    std::size_t count() {
        std::size_t rows = 0;
        for (const Block &block : *this) rows += block.rows();
        return rows;
    }
    void to_arrow(ArrowArrayStream &stream) {
        stream = detail_cxx::call([&] { return own_->stream(); });
        own_.close();
    }
    void cancel() noexcept {
        if (const auto *rows = own_.get()) rows->cancel();
    }
    tidelog_explain explain() const {
        return detail_cxx::call([&] { return own_->explain(); });
    }

  private:
    friend class Collection;
    friend class Node;
    friend class Store;
    friend class Tail;
    friend std::optional<Recovered> recover(std::string_view path, const Progress &progress);
    friend Result replay_policy(RepairPolicy &policy, Span<const std::uint8_t> recorded);
    friend Result sync(Store &store, const Peer &peer, std::string_view identity, Nanoseconds timeout);
    explicit Result(rust::Box<bridge::Rows> box) noexcept : own_(std::move(box)) {}
    detail_cxx::Owned<bridge::Rows> own_;
    std::optional<Block> shown_;
};

/** A write on its way. At its end it is not taken back, only nobody is told. */
class Ticket {
  public:
    tidelog_receipt wait() {
        return detail_cxx::call([&] { return own_->wait(); });
    }
    bool is_done() const {
        return detail_cxx::call([&] { return own_->is_done(); });
    }

  private:
    friend class Store;
    explicit Ticket(rust::Box<bridge::Ticket> box) noexcept : own_(std::move(box)) {}
    detail_cxx::Owned<bridge::Ticket> own_;
};

/** Keeps a part of the log until its end. */
class [[nodiscard]] Pin {
  public:
    Pin(Pin &&) noexcept = default;
    Pin &operator=(Pin &&other) noexcept {
        if (this != &other) {
            end();
            own_ = std::move(other.own_);
            name_ = std::move(other.name_);
        }
        return *this;
    }
    Pin(const Pin &) = delete;
    Pin &operator=(const Pin &) = delete;
    ~Pin() { end(); }

    const std::string &name() const noexcept { return name_; }
    void release() {
        const auto own = std::move(own_);
        detail_cxx::call([&] { own->release(); });
    }
    void keep() noexcept { own_.reset(); }

  private:
    friend class Store;
    Pin(rust::Box<bridge::Hold> box, std::string name) noexcept : own_(std::move(box)), name_(std::move(name)) {}
    void end() noexcept {
        if (!own_) return;
        try {
            release();
        } catch (const Error &) {
            // Whoever wants to know calls release().
        }
    }
    detail_cxx::Owned<bridge::Hold> own_;
    std::string name_;
};

/** An open store. Any thread may call anything. */
class Store {
  public:
    static Store open(std::string_view path, const OpenOptions &options = {}) {
        return Store(detail_cxx::call([&] { return bridge::open(detail_cxx::bytes(path), options); }));
    }
    void close() {
        if (const auto *own = own_.close()) detail_cxx::call([&] { own->close(); });
    }
    tidelog_receipt write(const Batch &batch, const Durability &durability = Durability::sync()) {
        return detail_cxx::call([&] { return own_->write(*batch.own_, *durability.get()); });
    }
    Ticket submit(const Batch &batch, const Durability &durability = Durability::sync()) {
        return Ticket(detail_cxx::call([&] { return own_->submit(*batch.own_, *durability.get()); }));
    }
    Result query(std::string_view collection, const Query &query = {}) const {
        return query.with([&](const tidelog_query_options *options) {
            return Result(detail_cxx::call([&] { return own_->query(detail_cxx::bytes(collection), *options); }));
        });
    }
    Result latest(std::string_view collection, const Query &query = {}) const {
        return query.with([&](const tidelog_query_options *options) {
            return Result(detail_cxx::call([&] { return own_->latest(detail_cxx::bytes(collection), *options); }));
        });
    }
    Result downsample(std::string_view collection, const Query &query, std::uint32_t method, std::size_t points) const {
        return query.with([&](const tidelog_query_options *options) {
            return Result(detail_cxx::call([&] {
                return own_->downsample(detail_cxx::bytes(collection), *options, method, points);
            }));
        });
    }
    Result collections() const {
        return Result(detail_cxx::call([&] { return own_->collections(); }));
    }
    Collection collection(std::string_view name) const;
    void flush() {
        detail_cxx::call([&] { own_->flush(); });
    }
    std::optional<tidelog_seal_report> seal(const Progress &progress = {}) {
        bool stopped = false;
        const auto report = detail_cxx::told(progress, [&](detail::Telling &telling) { return own_->seal(telling, stopped); });
        return stopped ? std::nullopt : std::optional<tidelog_seal_report>(report);
    }
    bool compact(const Progress &progress = {}) {
        return detail_cxx::told(progress, [&](detail::Telling &telling) { return own_->compact(telling); });
    }
    tidelog_stats stats() const {
        return detail_cxx::call([&] { return own_->stats(); });
    }
    Result check() const { return *check({}); }
    std::optional<Result> check(const Progress &progress, tidelog_check_report *report = nullptr) const {
        bool stopped = false;
        auto read = detail::sized<tidelog_check_report>();
        Result findings(detail_cxx::told(progress, [&](detail::Telling &telling) { return own_->check(telling, read, stopped); }));
        if (report) *report = read;
        return stopped ? std::nullopt : std::optional<Result>(std::move(findings));
    }
    tidelog_store_info describe() const {
        return detail_cxx::call([&] { return own_->describe(); });
    }
    std::optional<tidelog_backup_report> backup(std::string_view path, const Progress &progress = {}) {
        bool stopped = false;
        const auto report = detail_cxx::told(progress, [&](detail::Telling &telling) {
            return own_->backup(detail_cxx::bytes(path), telling, stopped);
        });
        return stopped ? std::nullopt : std::optional<tidelog_backup_report>(report);
    }
    tidelog_position position() const {
        return detail_cxx::call([&] { return own_->position(); });
    }
    Pin pin(std::string_view name, const tidelog_position *from = nullptr, const PinBounds &bounds = {}) {
        return detail_cxx::call([&] {
            const auto age = static_cast<std::uint64_t>(bounds.age_max.count());
            return Pin(bridge::pin(*own_, detail_cxx::bytes(name), from, bounds.bytes_max, age), std::string(name));
        });
    }
    void unpin(std::string_view name) {
        detail_cxx::call([&] { own_->unpin(detail_cxx::bytes(name)); });
    }
    Result epochs() const {
        return Result(detail_cxx::call([&] { return own_->epochs(); }));
    }
    StoreId forget(std::string_view config, std::string_view who) {
        return detail_cxx::call([&] { return bridge::forget(*own_, detail_cxx::bytes(config), detail_cxx::bytes(who)); });
    }

  private:
    friend class Collection;
    friend class Node;
    friend class Tail;
    friend std::string create_identity(const Store &store, std::string_view folder, std::uint32_t valid_days);
    friend Result sync(Store &store, const Peer &peer, std::string_view identity, Nanoseconds timeout);
    explicit Store(rust::Box<bridge::Store> box) noexcept : own_(std::move(box)) {}
    detail_cxx::Owned<bridge::Store> own_;
};

/** A collection of a store, by its name. */
class Collection {
  public:
    Collection(const Store &store, std::string_view name) : store_(&store), name_(name) {}
    const std::string &name() const noexcept { return name_; }
    Batch batch() const { return Batch::of(name_); }
    Result query(const Query &query = {}) const { return store_->query(name_, query); }
    Result latest(const Query &query = {}) const { return store_->latest(name_, query); }
    Result fields() const {
        return Result(detail_cxx::call([&] { return store_->own_->fields(detail_cxx::bytes(name_)); }));
    }
    void set_retention(std::string_view retention) {
        detail_cxx::call([&] { store_->own_->set_retention(detail_cxx::bytes(name_), detail_cxx::bytes(retention)); });
    }
    void create(std::uint32_t leaf_minutes = 0) {
        detail_cxx::call([&] { store_->own_->create(detail_cxx::bytes(name_), leaf_minutes); });
    }
    std::uint64_t erase(const Query &what = {}) {
        return what.with_delete([&](const tidelog_delete_options *options) {
            return detail_cxx::call([&] { return store_->own_->erase(detail_cxx::bytes(name_), *options); });
        });
    }
    Result compare(const Store &other, std::uint64_t limit = 0) const {
        return Result(detail_cxx::call([&] {
            return store_->own_->compare(*other.own_, detail_cxx::bytes(name_), limit);
        }));
    }
    Result digests(std::uint32_t level = TIDELOG_LEVEL_ROOT, std::optional<std::int64_t> from = {},
                   std::optional<std::int64_t> to = {}) const {
        const std::int64_t *first = from ? &*from : nullptr, *end = to ? &*to : nullptr;
        return Result(detail_cxx::call([&] { return store_->own_->digests(detail_cxx::bytes(name_), level, first, end); }));
    }

  private:
    const Store *store_;
    std::string name_;
};

inline Collection Store::collection(std::string_view name) const { return Collection(*this, name); }

/** Something that was written: rows, or a delete. */
struct Record {
    std::uint32_t kind;
    std::string collection;
    std::uint64_t stamp;
    tidelog_position next;
    Result rows;
    tidelog_position position;
};

/** Follows what a store writes. */
class Tail {
  public:
    static Tail open(const Store &store, const tidelog_position *from = nullptr) {
        return Tail(detail_cxx::call([&] { return bridge::follow(*store.own_, from); }));
    }
    std::optional<Record> next(Nanoseconds timeout) {
        auto told = detail_cxx::call([&] { return own_->next(static_cast<std::uint64_t>(timeout.count())); });
        if (!told.found) return std::nullopt;
        return Record{told.kind, std::string(told.collection), told.stamp, told.next, Result(std::move(told.rows)), told.position};
    }

  private:
    explicit Tail(rust::Box<bridge::Tail> box) noexcept : own_(std::move(box)) {}
    detail_cxx::Owned<bridge::Tail> own_;
};

/** What recovery found and did. */
struct Recovered {
    tidelog_recover_report report;
    Result findings;
};

inline std::optional<Recovered> recover(std::string_view path, const Progress &progress = {}) {
    bool stopped = false;
    auto report = detail::sized<tidelog_recover_report>();
    Result findings(detail_cxx::told(progress, [&](detail::Telling &telling) {
        return bridge::recover(detail_cxx::bytes(path), telling, report, stopped);
    }));
    return stopped ? std::nullopt : std::optional<Recovered>(Recovered{report, std::move(findings)});
}

inline std::string create_identity(const Store &store, std::string_view folder, std::uint32_t valid_days = 0) {
    return std::string(detail_cxx::call([&] { return bridge::create_identity(*store.own_, detail_cxx::bytes(folder), valid_days); }));
}

inline Result sync(Store &store, const Peer &peer, std::string_view identity, Nanoseconds timeout = {}) {
    return detail::with_sync(peer, identity, timeout, [&](const tidelog_sync_options *options) {
        return Result(detail_cxx::call([&] { return bridge::sync(*store.own_, *options); }));
    });
}

inline Result replay_policy(RepairPolicy &policy, Span<const std::uint8_t> recorded) {
    return detail::with_policy(policy, {}, nullptr, [&](const tidelog_policy_table *table) {
        const detail_cxx::Bytes bytes(recorded.data(), recorded.size());
        return Result(detail_cxx::call([&] { return bridge::replay_policy(*table, bytes); }));
    });
}

/** A store among its peers, until its end. */
class Node {
  public:
    using Handler = detail::EventFunction::Function;

    static Node start(Store &store, std::string_view config, std::unique_ptr<RepairPolicy> policy = nullptr,
                      const PolicyBounds &bounds = {}) {
        return start(store, detail::configured(config), std::move(policy), bounds);
    }
    static Node start(Store &store, std::string_view listen, std::string_view identity, const std::vector<Peer> &peers,
                      std::unique_ptr<RepairPolicy> policy = nullptr, const PolicyBounds &bounds = {}) {
        return start(store, detail::listening(listen, identity, peers), std::move(policy), bounds);
    }
    static Node start(Store &store, const NodeSettings &settings, std::unique_ptr<RepairPolicy> policy = nullptr,
                      const PolicyBounds &bounds = {}) {
        // Looked at first, as by set_policy.
        const bridge::Store &own = *store.own_;
        return detail::with_policy(std::move(policy), bounds, [&](const tidelog_policy_table *table) {
            return detail::with_node(settings, table, [&](const tidelog_node_options *options) {
                return Node(detail_cxx::call([&] { return bridge::start(own, *options); }));
            });
        });
    }
    std::string address() const {
        return std::string(detail_cxx::call([&] { return own_->address(); }));
    }
    bool ready(Nanoseconds timeout) const {
        return detail_cxx::call([&] { return own_->ready(static_cast<std::uint64_t>(timeout.count())); });
    }
    Result status() const {
        return Result(detail_cxx::call([&] { return own_->status(); }));
    }
    Result groups() const {
        return Result(detail_cxx::call([&] { return own_->groups(); }));
    }
    Result behind() const {
        return Result(detail_cxx::call([&] { return own_->behind(); }));
    }
    StoreId forget(std::string_view who) {
        return detail_cxx::call([&] { return own_->forget(detail_cxx::bytes(who)); });
    }
    tidelog_dropped_group drop_group(std::uint32_t group) {
        return detail_cxx::call([&] { return own_->drop_group(group); });
    }
    Result repair(std::string_view peer = {}) {
        Repair what;
        what.peer = peer;
        return repair(what);
    }
    Result repair(const Repair &what) {
        return detail::with_repair(what, [&](const tidelog_repair_options *options) {
            return Result(detail_cxx::call([&] { return own_->repair(*options); }));
        });
    }
    void on_event(std::unique_ptr<EventHandler> handler) {
        detail_cxx::call([&] { own_->on_event(std::move(handler)); });
    }
    void on_event(Handler handler) {
        on_event(detail::handling(std::move(handler)));
    }
    void set_policy(std::unique_ptr<RepairPolicy> policy, const PolicyBounds &bounds = {}) {
        // Looked at first: who has taken the policy drops it, and a node that was stopped takes none.
        const bridge::Node &node = *own_;
        detail::with_policy(std::move(policy), bounds, [&](const tidelog_policy_table *table) {
            detail_cxx::call([&] { node.set_policy(table); });
        });
    }
    void stop() {
        if (const auto *own = own_.close()) detail_cxx::call([&] { own->stop(); });
    }

  private:
    explicit Node(rust::Box<bridge::Node> box) noexcept : own_(std::move(box)) {}
    detail_cxx::Owned<bridge::Node> own_;
};

} // namespace bridged
} // namespace tidelog

#endif // TIDELOG_CXX_HPP
