/*
 * tidelog_values.hpp: what the C++ interfaces of Tidelog have in common: errors, options, queries, columns, handlers. tidelog.hpp
 * includes it, and so does the bridge for source builds (bindings/cpp), so that both mean the same. Include one of those.
 */

#ifndef TIDELOG_VALUES_HPP
#define TIDELOG_VALUES_HPP

#include "tidelog.h"

#include <array>
#include <chrono>
#include <cstring>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#if !defined(TIDELOG_NO_EXCEPTIONS) && !defined(__cpp_exceptions)
#define TIDELOG_NO_EXCEPTIONS 1
#endif

namespace tidelog {
#ifdef TIDELOG_NO_EXCEPTIONS
inline namespace returning {
#else
inline namespace throwing {
#endif

using Nanoseconds = std::chrono::nanoseconds;

/** Values that lie one after the other, of somebody else. */
template <class T> class Span {
  public:
    constexpr Span() noexcept = default;
    constexpr Span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <std::size_t N> constexpr Span(T (&array)[N]) noexcept : data_(array), size_(N) {}
    template <class C, class = std::enable_if_t<std::is_convertible_v<decltype(std::declval<C &>().data()), T *>>>
    constexpr Span(C &&values) noexcept : data_(values.data()), size_(values.size()) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }
    constexpr T &operator[](std::size_t at) const noexcept { return data_[at]; }

  private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

/** Bytes of any length, of somebody else: what a field of TIDELOG_BYTES holds. */
using Bytes = Span<const std::uint8_t>;

/** Who a store is, whatever its directory is called. */
using StoreId = std::array<std::uint8_t, 16>;

/** What went wrong. */
class Error
#ifndef TIDELOG_NO_EXCEPTIONS
    : public std::runtime_error
#endif
{
  public:
    /** One of TIDELOG_INVALID_ARGUMENT and so on. */
    tidelog_status code() const noexcept { return code_; }
    /** What a program can do: one of TIDELOG_KIND_*. */
    std::uint32_t kind() const noexcept { return kind_; }

#ifndef TIDELOG_NO_EXCEPTIONS
    explicit Error(tidelog_status code, const tidelog_error &error)
        : std::runtime_error(error.message), code_(code), kind_(error.kind) {}
    explicit Error(tidelog_status code, std::uint32_t kind, const std::string &message)
        : std::runtime_error(message), code_(code), kind_(kind) {}
#else
    explicit Error(tidelog_status code, const tidelog_error &error)
        : message_(error.message), code_(code), kind_(error.kind) {}
    const char *what() const noexcept { return message_.c_str(); }
#endif

  private:
#ifdef TIDELOG_NO_EXCEPTIONS
    std::string message_;
#endif
    tidelog_status code_;
    std::uint32_t kind_;
};

#ifdef TIDELOG_NO_EXCEPTIONS
/** A value, or what went wrong. Look before you take the value. */
template <class T> class [[nodiscard]] Expected {
  public:
    Expected(T value) : value_(std::move(value)) {}
    Expected(Error error) : error_(std::move(error)) {}
    bool has_value() const noexcept { return value_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    T &value() & noexcept { return *value_; }
    T &&value() && noexcept { return std::move(*value_); }
    T &operator*() & noexcept { return *value_; }
    T &&operator*() && noexcept { return std::move(*value_); }
    T *operator->() noexcept { return &*value_; }
    const Error &error() const noexcept { return *error_; }

  private:
    std::optional<T> value_;
    std::optional<Error> error_;
};

template <> class [[nodiscard]] Expected<void> {
  public:
    Expected() = default;
    Expected(Error error) : error_(std::move(error)) {}
    bool has_value() const noexcept { return !error_; }
    explicit operator bool() const noexcept { return has_value(); }
    const Error &error() const noexcept { return *error_; }

  private:
    std::optional<Error> error_;
};

template <class T> using Outcome = Expected<T>;
#else
template <class T> using Outcome = T;
#endif

namespace detail {

template <class T> Outcome<T> fail(tidelog_status code, const tidelog_error &error) {
#ifdef TIDELOG_NO_EXCEPTIONS
    return Outcome<T>(Error(code, error));
#else
    throw Error(code, error);
#endif
}

/** Calls a function of the library with an error as its last argument. */
template <class F, class... A> Outcome<void> call(F function, A &&...arguments) {
    tidelog_error error{};
    const tidelog_status status = function(std::forward<A>(arguments)..., &error);
    if (status < 0) return fail<void>(status, error);
    return Outcome<void>();
}

/** As call, for functions with other outcomes than done: is it TIDELOG_OK? */
template <class F, class... A> Outcome<bool> ask(F function, A &&...arguments) {
    tidelog_error error{};
    const tidelog_status status = function(std::forward<A>(arguments)..., &error);
    if (status < 0) return fail<bool>(status, error);
    return Outcome<bool>(status == TIDELOG_OK);
}

template <class T> T sized() noexcept {
    T value;
    std::memset(static_cast<void *>(&value), 0, sizeof value);
    value.struct_size = static_cast<std::uint32_t>(sizeof value);
    return value;
}

template <class T> struct Kind;
template <> struct Kind<double> { static constexpr std::uint32_t value = TIDELOG_F64; };
template <> struct Kind<float> { static constexpr std::uint32_t value = TIDELOG_F32; };
template <> struct Kind<std::int64_t> { static constexpr std::uint32_t value = TIDELOG_I64; };
template <> struct Kind<std::uint64_t> { static constexpr std::uint32_t value = TIDELOG_U64; };
template <> struct Kind<bool> { static constexpr std::uint32_t value = TIDELOG_BOOL; };
template <> struct Kind<std::string_view> { static constexpr std::uint32_t value = TIDELOG_STRING; };

template <> struct Kind<Bytes> { static constexpr std::uint32_t value = TIDELOG_BYTES; };

/** Values that are as long as they like: they come with where each ends. */
template <class T> constexpr bool is_long = std::is_same_v<T, std::string_view> || std::is_same_v<T, Bytes>;

inline std::vector<const char *> pointers(const std::vector<std::string> &texts) {
    std::vector<const char *> all;
    for (const auto &text : texts) all.push_back(text.c_str());
    return all;
}

/** Runs a function of the host; what it throws ends the callback, for nobody could be told. */
template <class F> std::int32_t guarded(F function) noexcept {
#ifdef TIDELOG_NO_EXCEPTIONS
    return function() ? 0 : 1;
#else
    try {
        return function() ? 0 : 1;
    } catch (...) {
        return 1;
    }
#endif
}

} // namespace detail

/** Told how far long work has come, in bytes done and to do, on the thread that called; false stops the work. What it throws stops
 *  the work, too, and comes out of the call. */
using Progress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

namespace detail {

/** A Progress while it is told: nothing may be thrown through the library, so that waits here for the call's end. */
class Telling {
  public:
    explicit Telling(const Progress &progress) noexcept : progress_(progress) {}
    bool tell(std::uint64_t done, std::uint64_t total) noexcept {
#ifdef TIDELOG_NO_EXCEPTIONS
        return !progress_ || progress_(done, total);
#else
        try {
            return !progress_ || progress_(done, total);
        } catch (...) {
            thrown_ = std::current_exception();
            return false;
        }
#endif
    }
    /** Is there anybody to tell? */
    bool wanted() const noexcept { return static_cast<bool>(progress_); }
    /** Throws what was thrown. */
    void rethrow() const {
#ifndef TIDELOG_NO_EXCEPTIONS
        if (thrown_) std::rethrow_exception(thrown_);
#endif
    }

  private:
    const Progress &progress_;
#ifndef TIDELOG_NO_EXCEPTIONS
    std::exception_ptr thrown_;
#endif
};

} // namespace detail

/** When a write counts as done. */
class Durability {
  public:
    /** After an fsync: survives power loss. */
    static Durability sync() noexcept { return {TIDELOG_SYNC, 0}; }
    /** When the system has it; an fsync follows within this time. */
    static Durability interval(Nanoseconds within) noexcept {
        return {TIDELOG_INTERVAL, static_cast<std::uint64_t>(within.count())};
    }
    /** When the system has it. */
    static Durability os() noexcept { return {TIDELOG_OS, 0}; }
    const tidelog_write_options *get() const noexcept { return &options_; }

  private:
    Durability(std::uint32_t durability, std::uint64_t interval) noexcept
        : options_(detail::sized<tidelog_write_options>()) {
        options_.durability = durability;
        options_.interval_ns = interval;
    }
    tidelog_write_options options_;
};

/** A device of one batch. */
struct Device {
    std::uint32_t number;
};

/** A field of one batch, with its type. */
template <class T> struct Field {
    std::uint32_t number;
};

/** A column to append: a name, and a value for each row. */
struct NamedColumn {
    std::string name;
    std::uint32_t kind = 0;
    const void *values = nullptr;
    const std::uint8_t *validity = nullptr;

    template <class T>
    NamedColumn(std::string_view name, Span<const T> values, const std::uint8_t *validity = nullptr)
        : name(name), kind(detail::Kind<T>::value), values(values.data()), validity(validity), rows(values.size()) {
        if constexpr (detail::is_long<T>) {
            for (const T &value : values) {
                packed.insert(packed.end(), value.begin(), value.end());
                ends.push_back(static_cast<std::uint32_t>(packed.size()));
            }
        }
    }
    template <class C, class T = std::remove_cv_t<std::remove_pointer_t<decltype(std::declval<const C &>().data())>>>
    NamedColumn(std::string_view name, const C &values, const std::uint8_t *validity = nullptr)
        : NamedColumn(name, Span<const T>(values.data(), values.size()), validity) {}

    std::size_t rows = 0;
    /** Of texts and bytes: all of them, end to end, and where each ends. A batch holds less than a std::uint32_t counts. */
    std::vector<char> packed;
    std::vector<std::uint32_t> ends;
};

namespace detail {

/** Calls a function with columns as the C interface has them, when each has as many values as there are times. */
template <class F> Outcome<void> with_columns(std::size_t rows, std::initializer_list<NamedColumn> columns, F function) {
    std::vector<tidelog_column> described;
    for (const NamedColumn &column : columns) {
        if (column.rows != rows) {
            tidelog_error error{};
            error.kind = TIDELOG_KIND_FIX_CALL;
            const std::string text = "column " + column.name + " has another number of values than there are times: give one each";
            text.copy(error.message, sizeof error.message - 1);
            return fail<void>(TIDELOG_INVALID_ARGUMENT, error);
        }
        const bool packed = column.kind == TIDELOG_STRING || column.kind == TIDELOG_BYTES;
        described.push_back({column.name.c_str(), packed ? column.packed.data() : column.values,
                             packed ? column.ends.data() : nullptr, column.validity, column.kind, 0});
    }
    return function(described);
}

} // namespace detail

/** Values of a column as optionals: `for (std::optional<double> value : column.values<double>())`. */
template <class T> class Values;

/** One column of a block. Good as long as the block. */
class Column {
  public:
    explicit Column(const tidelog_column *column, std::size_t rows) noexcept : column_(column), rows_(rows) {}
    std::string_view name() const noexcept { return column_->name; }
    std::uint32_t kind() const noexcept { return column_->kind; }
    std::size_t size() const noexcept { return rows_; }
    /** Has the row a value? */
    bool has(std::size_t row) const noexcept {
        return !column_->validity || (column_->validity[row / 8] >> (row % 8) & 1) != 0;
    }
    /** Is it of values of this type? */
    template <class T> bool is() const noexcept {
        return kind() == detail::Kind<T>::value || (std::is_same_v<T, std::string_view> && kind() == TIDELOG_BYTES);
    }
    /** The values where they stand, absent ones included; empty when they are of another type. Not of strings and bools. */
    template <class T> Span<const T> span() const noexcept {
        static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>, "numbers lie in a row");
        return is<T>() ? Span<const T>(static_cast<const T *>(column_->values), rows_) : Span<const T>();
    }
    /** The value of a row; nothing when it has none, or is of another type. Bytes can be read as std::string_view, too. */
    template <class T> std::optional<T> at(std::size_t row) const noexcept {
        if (!is<T>() || row >= rows_ || !has(row)) return std::nullopt;
        if constexpr (detail::is_long<T>) {
            const std::uint32_t start = row == 0 ? 0 : column_->ends[row - 1];
            using Unit = std::remove_pointer_t<decltype(std::declval<T>().data())>;
            return T(static_cast<Unit *>(column_->values) + start, column_->ends[row] - start);
        } else if constexpr (std::is_same_v<T, bool>) {
            return static_cast<const std::uint8_t *>(column_->values)[row] != 0;
        } else {
            return static_cast<const T *>(column_->values)[row];
        }
    }
    template <class T> Values<T> values() const noexcept { return Values<T>(*this); }

  private:
    const tidelog_column *column_;
    std::size_t rows_;
};

template <class T> class Values {
  public:
    class iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = std::optional<T>;
        using difference_type = std::ptrdiff_t;
        using pointer = const value_type *;
        using reference = value_type;
        iterator(const Column &column, std::size_t row) noexcept : column_(column), row_(row) {}
        value_type operator*() const noexcept { return column_.template at<T>(row_); }
        iterator &operator++() noexcept { return ++row_, *this; }
        bool operator==(const iterator &other) const noexcept { return row_ == other.row_; }
        bool operator!=(const iterator &other) const noexcept { return row_ != other.row_; }

      private:
        Column column_;
        std::size_t row_;
    };
    explicit Values(const Column &column) noexcept : column_(column) {}
    iterator begin() const noexcept { return {column_, 0}; }
    iterator end() const noexcept { return {column_, column_.size()}; }

  private:
    Column column_;
};

/** Some rows of a result. Good until the next ones are asked for. */
class Block {
  public:
    explicit Block(const tidelog_block &block) noexcept : block_(block) {}
    std::size_t rows() const noexcept { return block_.rows; }
    /** The time of each row; empty when rows have none. */
    Span<const std::int64_t> times() const noexcept {
        return {block_.times_ns, block_.times_ns ? block_.rows : 0};
    }
    /** The device of a row; empty when rows are of none. */
    std::string_view device(std::size_t row) const noexcept {
        if (!block_.row_devices || row >= block_.rows) return {};
        const tidelog_text &text = block_.devices[block_.row_devices[row]];
        return {text.data, text.length};
    }
    std::size_t columns() const noexcept { return block_.column_count; }
    Column column(std::size_t at) const noexcept {
        const char *first = reinterpret_cast<const char *>(block_.columns);
        return Column(reinterpret_cast<const tidelog_column *>(first + at * block_.column_stride), block_.rows);
    }
    /** The column of a name; one without rows and of no type when there is none. */
    Column column(std::string_view name) const noexcept {
        static constexpr tidelog_column none = {"", nullptr, nullptr, nullptr, 0, 0};
        for (std::size_t at = 0; at < columns(); ++at)
            if (column(at).name() == name) return column(at);
        return Column(&none, 0);
    }

  private:
    tidelog_block block_;
};

/** What is asked for: everything, until it is narrowed. */
class Query {
  public:
    Query &devices(std::vector<std::string> names) { return devices_ = std::move(names), any_device_ = false, *this; }
    Query &device_prefix(std::string_view prefix) { return prefix_ = prefix, *this; }
    Query &label(std::string_view key, std::string_view value) { return labels_.emplace_back(key, value), *this; }
    Query &fields(std::vector<std::string> names) { return fields_ = std::move(names), any_field_ = false, *this; }
    /** The first nanosecond. */
    Query &from(std::int64_t time_ns) { return from_ = time_ns, *this; }
    /** The nanosecond after the last. */
    Query &to(std::int64_t time_ns) { return to_ = time_ns, *this; }
    /** Windows of a width. */
    Query &every(Nanoseconds width) { return every_ = width, *this; }
    /** Windows of a calendar unit, TIDELOG_DAY and so on, in an IANA zone; UTC when empty. */
    Query &every(std::uint32_t unit, std::string_view zone = {}) { return unit_ = unit, zone_ = zone, *this; }
    /** A sum of TIDELOG_MEAN and so on. */
    Query &aggregates(std::uint32_t sum) { return aggregates_ = sum, *this; }
    /** TIDELOG_FILL_*, with a gap and a value where it takes them. */
    Query &fill(std::uint32_t how, Nanoseconds gap = {}, double value = 0) { return fill_ = how, gap_ = gap, fill_value_ = value, *this; }
    Query &where(std::string_view field, std::uint32_t comparison, double value) {
        return where(field, comparison, [&](tidelog_value &to) { to.kind = TIDELOG_F64, to.real = value; });
    }
    Query &where(std::string_view field, std::uint32_t comparison, std::int64_t value) {
        return where(field, comparison, [&](tidelog_value &to) { to.kind = TIDELOG_I64, to.integer = value; });
    }
    Query &where(std::string_view field, std::uint32_t comparison, bool value) {
        return where(field, comparison, [&](tidelog_value &to) { to.kind = TIDELOG_BOOL, to.boolean = value ? 1 : 0; });
    }
    Query &where(std::string_view field, std::uint32_t comparison, std::string_view value) {
        return where(field, comparison, [&](tidelog_value &to) { to.kind = TIDELOG_STRING; }, std::string(value));
    }
    Query &where(std::string_view field, std::uint32_t comparison, const char *value) {
        return where(field, comparison, std::string_view(value));
    }
    /** How long a field had a value, in nanoseconds: a column `field_in_value` of std::int64_t. The value is a bool, a text or an integer. */
    template <class T> Query &time_in_state(std::string_view field, const T &value) {
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) where(field, TIDELOG_EQUAL, static_cast<std::int64_t>(value));
        else where(field, TIDELOG_EQUAL, value);
        states_.push_back(std::move(where_.back()));
        where_.pop_back();
        return *this;
    }
    Query &newest_first() { return flags_ |= TIDELOG_QUERY_DESCENDING, *this; }
    /** One result over all devices together. */
    Query &all_devices() { return flags_ |= TIDELOG_QUERY_ALL_DEVICES, *this; }
    /** The nearest windows where no exact ones are left. */
    Query &nearest() { return flags_ |= TIDELOG_QUERY_NEAREST, *this; }
    Query &limit(std::uint64_t rows) { return limit_ = rows, *this; }
    /** At most so many threads, the caller's included; zero: as many as there are cores. */
    Query &threads(std::uint32_t most) { return threads_ = most, *this; }

    /** Calls a function with the options of the C interface, which are good during the call. */
    template <class F> auto with(F function) const {
        auto options = detail::sized<tidelog_query_options>();
        const auto devices = detail::pointers(devices_), fields = detail::pointers(fields_);
        static constexpr const char *none = nullptr;
        std::vector<tidelog_label> labels;
        for (const auto &[key, value] : labels_) labels.push_back({key.c_str(), value.c_str()});
        const auto predicates = described(where_), states = described(states_);
        options.flags = flags_;
        options.limit = limit_;
        options.every_ns = static_cast<std::uint64_t>(every_.count());
        options.fill_gap_ns = static_cast<std::uint64_t>(gap_.count());
        options.fill_value = fill_value_;
        options.every_unit = unit_;
        options.aggregates = aggregates_;
        options.fill = fill_;
        options.threads = threads_;
        options.zone = zone_.empty() ? nullptr : zone_.c_str();
        options.from_ns = from_ ? &*from_ : nullptr;
        options.to_ns = to_ ? &*to_ : nullptr;
        options.fields = any_field_ ? nullptr : fields.empty() ? &none : fields.data();
        options.field_count = fields.size();
        options.predicates = predicates.data();
        options.predicate_count = predicates.size();
        options.predicate_stride = sizeof(tidelog_predicate);
        options.states = states.data();
        options.state_count = states.size();
        options.state_stride = sizeof(tidelog_predicate);
        options.devices.names = any_device_ ? nullptr : devices.empty() ? &none : devices.data();
        options.devices.name_count = devices.size();
        options.devices.prefix = prefix_ ? prefix_->c_str() : nullptr;
        options.devices.labels = labels.data();
        options.devices.label_count = labels.size();
        return function(&options);
    }

    /** As with(), for a delete: devices, fields and range count. */
    template <class F> auto with_delete(F function) const {
        return with([&](const tidelog_query_options *query) {
            auto options = detail::sized<tidelog_delete_options>();
            options.from_ns = query->from_ns;
            options.to_ns = query->to_ns;
            options.fields = query->fields;
            options.field_count = query->field_count;
            options.devices = query->devices;
            return function(&options);
        });
    }

  private:
    struct Where {
        std::string field, text;
        tidelog_predicate predicate;
    };
    static std::vector<tidelog_predicate> described(const std::vector<Where> &conditions) {
        std::vector<tidelog_predicate> predicates;
        for (const auto &where : conditions) {
            tidelog_predicate predicate = where.predicate;
            predicate.field = where.field.c_str();
            predicate.value.data = where.text.data();
            predicate.value.length = where.text.size();
            predicates.push_back(predicate);
        }
        return predicates;
    }
    template <class F> Query &where(std::string_view field, std::uint32_t comparison, F fill, std::string text = {}) {
        Where where{std::string(field), std::move(text), {}};
        where.predicate.comparison = comparison;
        fill(where.predicate.value);
        where_.push_back(std::move(where));
        return *this;
    }
    std::vector<std::string> devices_, fields_;
    std::vector<std::pair<std::string, std::string>> labels_;
    std::vector<Where> where_, states_;
    std::optional<std::string> prefix_;
    std::optional<std::int64_t> from_, to_;
    std::string zone_;
    Nanoseconds every_{}, gap_{};
    double fill_value_ = 0;
    std::uint64_t limit_ = 0;
    std::uint32_t unit_ = 0, aggregates_ = 0, fill_ = 0, flags_ = 0, threads_ = 0;
    bool any_device_ = true, any_field_ = true;
};

/** How a store is opened: tidelog_open_options with its size set. */
struct OpenOptions : tidelog_open_options {
    OpenOptions() noexcept : tidelog_open_options(detail::sized<tidelog_open_options>()) {}
};

/** Hands log lines of a level (TIDELOG_LOG_*) and the more important ones to a function, on a thread of the library's, until it
 *  returns false or another hook takes its place. An empty function ends the hook. */
inline Outcome<void> log_to(std::uint32_t level, std::function<bool(const tidelog_log_record &)> handler) {
    using Handler = std::function<bool(const tidelog_log_record &)>;
    if (!handler) return detail::call(tidelog_log_set, level, nullptr, nullptr, nullptr);
    auto *user = new Handler(std::move(handler));
    const auto hear = [](void *user, const tidelog_log_record *record) noexcept -> std::int32_t {
        return detail::guarded([&] { return (*static_cast<Handler *>(user))(*record); });
    };
    const auto drop = [](void *user) noexcept { delete static_cast<Handler *>(user); };
    return detail::call(tidelog_log_set, level, static_cast<tidelog_log_fn>(hear), static_cast<void *>(user),
                        static_cast<tidelog_drop_fn>(drop));
}

/** A peer of a node. */
struct Peer {
    std::string name, address, fingerprint;
};

/** How a store joins its peers: by a configuration file, or by the rest. Zero and empty: as of tidelog_node_options. */
struct NodeSettings {
    /** The file that `tidelog node --config` takes; it is watched. Nothing else is set beside it. */
    std::string config;
    /** An address to listen on, and the folder of the store's key. */
    std::string listen, identity;
    std::vector<Peer> peers;
    /** The certificate of an authority that must vouch for every peer. */
    std::string authority;
    /** How often stores are compared that follow each other, and when they are first. */
    Nanoseconds interval{}, initial_delay{};
};

/** What Node::repair compares and repairs: everything, with all peers, until it is narrowed. */
struct Repair {
    std::string peer, collection;
    /** Of the collection, from a nanosecond on, and to the one before another; whole UTC hours. */
    std::optional<std::int64_t> from, to;
    /** Waited for at most so long; zero: one hour. */
    Nanoseconds timeout{};
};

/** When a pin breaks: after so many bytes of log more, or so long; zero: it does not. */
struct PinBounds {
    std::uint64_t bytes_max = 0;
    Nanoseconds age_max{};
};

/** Hears what happens with a node, on a thread of the library's, one event at a time. */
class EventHandler {
  public:
    EventHandler() = default;
    EventHandler(const EventHandler &) = delete;
    EventHandler &operator=(const EventHandler &) = delete;
    virtual ~EventHandler() = default;
    /** The event is good during the call. False, or what it throws, ends the handler. */
    virtual bool on_event(const tidelog_event &event) = 0;
};

namespace detail {

/** An EventHandler that is a function. */
class EventFunction final : public EventHandler {
  public:
    using Function = std::function<bool(const tidelog_event &)>;
    explicit EventFunction(Function function) : function_(std::move(function)) {}
    bool on_event(const tidelog_event &event) override { return function_(event); }

  private:
    Function function_;
};

/** A function as a handler; none when it is empty. */
inline std::unique_ptr<EventHandler> handling(EventFunction::Function function) {
    return std::unique_ptr<EventHandler>(function ? new EventFunction(std::move(function)) : nullptr);
}

/** Hands an event over; whether more are wanted. What the handler throws, of whatever type, ends it: nothing may leave here. */
inline bool hear(EventHandler &handler, const tidelog_event &event) noexcept {
    return guarded([&] { return handler.on_event(event); }) == 0;
}

inline const char *text_or_null(const std::string &text) noexcept { return text.empty() ? nullptr : text.c_str(); }

/** Calls a function with the options of a node, which are good during the call. */
template <class F> auto with_node(const NodeSettings &settings, const tidelog_policy_table *policy, F function) {
    std::vector<tidelog_peer> all;
    for (const Peer &peer : settings.peers) all.push_back({peer.name.c_str(), peer.address.c_str(), peer.fingerprint.c_str()});
    auto options = sized<tidelog_node_options>();
    options.interval_ns = static_cast<std::uint64_t>(settings.interval.count());
    options.initial_delay_ns = static_cast<std::uint64_t>(settings.initial_delay.count());
    options.config = text_or_null(settings.config);
    options.listen = text_or_null(settings.listen);
    options.identity = text_or_null(settings.identity);
    options.authority = text_or_null(settings.authority);
    options.peers = all.data();
    options.peer_count = all.size();
    options.peer_stride = sizeof(tidelog_peer);
    options.policy = policy;
    return function(&options);
}

/** The settings of a configuration file, and those of an address, a key and peers. */
inline NodeSettings configured(std::string_view file) {
    NodeSettings settings;
    settings.config = file;
    return settings;
}

inline NodeSettings listening(std::string_view listen, std::string_view identity, const std::vector<Peer> &peers) {
    NodeSettings settings;
    settings.listen = listen;
    settings.identity = identity;
    settings.peers = peers;
    return settings;
}

/** The same for a repair. */
template <class F> auto with_repair(const Repair &repair, F function) {
    auto options = sized<tidelog_repair_options>();
    options.timeout_ns = static_cast<std::uint64_t>(repair.timeout.count());
    options.peer = text_or_null(repair.peer);
    options.collection = text_or_null(repair.collection);
    options.from_ns = repair.from ? &*repair.from : nullptr;
    options.to_ns = repair.to ? &*repair.to : nullptr;
    return function(&options);
}

/** The same for one comparison with a running node. */
template <class F> auto with_sync(const Peer &peer, std::string_view identity, Nanoseconds timeout, F function) {
    const std::string folder(identity);
    auto options = sized<tidelog_sync_options>();
    options.timeout_ns = static_cast<std::uint64_t>(timeout.count());
    options.peer = peer.address.c_str();
    options.fingerprint = peer.fingerprint.c_str();
    options.identity = folder.c_str();
    return function(&options);
}

} // namespace detail

/** Structs of the library that lie one after the other, each as long as the library has it: index, or loop. */
template <class T> class Strided {
  public:
    class iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;
        using pointer = const T *;
        using reference = const T &;
        iterator(const Strided &all, std::size_t at) noexcept : all_(&all), at_(at) {}
        reference operator*() const noexcept { return (*all_)[at_]; }
        pointer operator->() const noexcept { return &(*all_)[at_]; }
        iterator &operator++() noexcept {
            ++at_;
            return *this;
        }
        bool operator==(const iterator &other) const noexcept { return at_ == other.at_; }
        bool operator!=(const iterator &other) const noexcept { return at_ != other.at_; }

      private:
        const Strided *all_;
        std::size_t at_;
    };

    Strided(const T *first, std::size_t count, std::size_t stride) noexcept
        : first_(reinterpret_cast<const char *>(first)), count_(count), stride_(stride) {}
    std::size_t size() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }
    const T &operator[](std::size_t at) const noexcept { return *reinterpret_cast<const T *>(first_ + at * stride_); }
    iterator begin() const noexcept { return iterator(*this, 0); }
    iterator end() const noexcept { return iterator(*this, count_); }

  private:
    const char *first_;
    std::size_t count_, stride_;
};

/** What a policy is told, good during the call: see tidelog_policy_round. Nothing else may decide, clock and budget are in it. */
class RepairRound {
  public:
    explicit RepairRound(const tidelog_policy_round &round) noexcept
        : windows(round.windows, round.window_count, round.window_stride), peers(round.peers, round.peer_count, round.peer_stride),
          peer(round.peer), now_ms(round.now_ms), budget_bytes(round.budget_bytes), max_deferral_ms(round.max_deferral_ms) {}

    /** The windows that differ, ascending by group, collection and time. */
    const Strided<tidelog_policy_window> windows;
    const Strided<tidelog_policy_peer> peers;
    /** With whom this comparison is: an index into the peers. */
    const std::uint32_t peer;
    const std::uint64_t now_ms;
    /** UINT64_MAX: there is no bound. */
    const std::uint64_t budget_bytes;
    const std::uint64_t max_deferral_ms;
};

/** One decision: a window and a peer by their indices, and what is done, TIDELOG_ACTION_*. */
struct RepairStep : tidelog_policy_step {
    RepairStep(std::uint32_t window, std::uint32_t peer, std::uint32_t action, std::uint64_t until_ms = 0) noexcept
        : tidelog_policy_step{window, peer, action, 0, until_ms} {}
};

/** Decides how differences between replicas are repaired: when, in which direction and from whom, never which value wins. It is called
 *  on a thread of the library's, one call at a time; neither writes nor queries wait for it. */
class RepairPolicy {
  public:
    RepairPolicy() = default;
    RepairPolicy(const RepairPolicy &) = delete;
    RepairPolicy &operator=(const RepairPolicy &) = delete;
    virtual ~RepairPolicy() = default;
    /** A short name, for events and status. */
    virtual std::string name() const = 0;
    /** Steps in the order of repair; windows that none names are skipped. What it throws, or an Error, loses the round: everything is
     *  repaired, and its text is told. So does a plan that does not fit the round, or comes too late. */
    virtual Outcome<std::vector<RepairStep>> plan(const RepairRound &round) = 0;
};

/** The bounds of a policy; zero and empty: those that tidelog_policy_table names. */
struct PolicyBounds {
    std::chrono::milliseconds max_deferral{}, timeout{};
    std::uint64_t bytes_per_day = 0;
    /** Files: what is kept over restarts, and the rounds that were planned. */
    std::string state, record;
    /** Tells this policy from the same one with other options. */
    std::string options;
};

namespace detail {

/** Asks a policy; nothing that it throws leaves. */
inline std::int32_t planned(RepairPolicy &policy, const tidelog_policy_round &round, tidelog_policy_plan *plan) noexcept {
    const auto failed = [plan](const char *why, tidelog_status status) {
        tidelog_policy_plan_explain(plan, why, nullptr);
        return status;
    };
    const auto add = [plan](const std::vector<RepairStep> &steps) {
        return tidelog_policy_plan_add(plan, steps.data(), steps.size(), sizeof(RepairStep), nullptr);
    };
#ifdef TIDELOG_NO_EXCEPTIONS
    auto steps = policy.plan(RepairRound(round));
    return steps ? add(*steps) : failed(steps.error().what(), steps.error().code());
#else
    try {
        return add(policy.plan(RepairRound(round)));
    } catch (const Error &error) {
        return failed(error.what(), error.code());
    } catch (const std::exception &error) {
        return failed(error.what(), TIDELOG_STOPPED);
    } catch (...) {
        return failed("it threw something that is no std::exception", TIDELOG_STOPPED);
    }
#endif
}

/** Calls a function with the table of a policy, which is good during the call. Without `drop` the policy stays the caller's. */
template <class F> auto with_policy(RepairPolicy &policy, const PolicyBounds &bounds, tidelog_drop_fn drop, F function) {
    const auto plan = [](void *user, const tidelog_policy_round *round, tidelog_policy_plan *plan) noexcept -> std::int32_t {
        return planned(*static_cast<RepairPolicy *>(user), *round, plan);
    };
    const std::string name = policy.name();
    auto table = sized<tidelog_policy_table>();
    table.name = name.c_str();
    table.plan = static_cast<tidelog_policy_plan_fn>(plan);
    table.drop = drop;
    table.user = &policy;
    table.options = reinterpret_cast<const std::uint8_t *>(bounds.options.data());
    table.options_length = bounds.options.size();
    table.max_deferral_ms = static_cast<std::uint64_t>(bounds.max_deferral.count());
    table.timeout_ms = static_cast<std::uint64_t>(bounds.timeout.count());
    table.bytes_per_day = bounds.bytes_per_day;
    table.state = bounds.state.empty() ? nullptr : bounds.state.c_str();
    table.record = bounds.record.empty() ? nullptr : bounds.record.c_str();
    return function(&table);
}

/** The same, and the policy goes with the call; NULL when there is none. */
template <class F> auto with_policy(std::unique_ptr<RepairPolicy> policy, const PolicyBounds &bounds, F function) {
    if (!policy) return function(static_cast<const tidelog_policy_table *>(nullptr));
    const auto drop = [](void *user) noexcept { delete static_cast<RepairPolicy *>(user); };
    RepairPolicy &asked = *policy;
    return with_policy(asked, bounds, static_cast<tidelog_drop_fn>(drop), [&](const tidelog_policy_table *table) {
        policy.release();
        return function(table);
    });
}

} // namespace detail

/** The version of the library. */
inline std::string_view version() noexcept { return tidelog_version(); }

/** The oldest and the newest TIDELOG_ABI_VERSION that the library serves. */
inline std::pair<std::uint32_t, std::uint32_t> abi_range() noexcept {
    std::pair<std::uint32_t, std::uint32_t> range{};
    tidelog_abi_range(&range.first, &range.second);
    return range;
}

/** What is built in: a sum of TIDELOG_FEATURE_*. */
inline std::uint64_t features() noexcept { return tidelog_features(); }

/** A status in a few words. */
inline std::string_view status_text(tidelog_status status) noexcept { return tidelog_status_text(status); }

/** The fingerprint of the key and certificate in a folder, as create_identity gave it. Blocks: disk. */
inline Outcome<std::string> identity_fingerprint(std::string_view folder) {
    char text[TIDELOG_TEXT_SIZE];
    tidelog_error error{};
    const tidelog_status status = tidelog_identity_fingerprint(std::string(folder).c_str(), text, sizeof text, &error);
    if (status < 0) return detail::fail<std::string>(status, error);
    return Outcome<std::string>(text);
}

/** Gives the copied store in a directory an id of its own, the returned one, so that it can be written to beside the original. Blocks:
 *  disk. */
inline Outcome<StoreId> adopt(std::string_view path) {
    StoreId id{};
    tidelog_error error{};
    const tidelog_status status = tidelog_adopt(std::string(path).c_str(), id.data(), &error);
    if (status < 0) return detail::fail<StoreId>(status, error);
    return Outcome<StoreId>(id);
}

} // namespace throwing or returning
} // namespace tidelog

#endif // TIDELOG_VALUES_HPP
