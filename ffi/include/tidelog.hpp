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
 * Texts come in as std::string_view, arrays as Span: a pointer and a size, made from any vector, array or std::span.
 */

#ifndef TIDELOG_HPP
#define TIDELOG_HPP

#include "tidelog.h"

#include <chrono>
#include <cstring>
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

/** A handle that is closed at its end. */
template <class T, tidelog_status (*Close)(T **, tidelog_error *)> class Handle {
  public:
    Handle() noexcept = default;
    Handle(Handle &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Handle &operator=(Handle &&other) noexcept {
        if (this != &other) {
            Close(&handle_, nullptr);
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    Handle(const Handle &) = delete;
    Handle &operator=(const Handle &) = delete;
    ~Handle() { Close(&handle_, nullptr); }

    T *get() const noexcept { return handle_; }
    T **out() noexcept { return &handle_; }

  private:
    T *handle_ = nullptr;
};

/** Makes an object that owns a handle, when the call that fills it works. */
template <class C, class F, class... A> Outcome<C> made(F function, A &&...arguments) {
    C object;
    tidelog_error error{};
    const tidelog_status status = function(std::forward<A>(arguments)..., object.handle_.out(), &error);
    if (status < 0) return fail<C>(status, error);
    return Outcome<C>(std::move(object));
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
        : name(name), kind(detail::Kind<T>::value), values(values.data()), validity(validity), rows(values.size()) {}
    template <class C, class T = std::remove_cv_t<std::remove_pointer_t<decltype(std::declval<const C &>().data())>>>
    NamedColumn(std::string_view name, const C &values, const std::uint8_t *validity = nullptr)
        : NamedColumn(name, Span<const T>(values.data(), values.size()), validity) {}

    std::size_t rows = 0;
};

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

    /** A field of type double, float, std::int64_t, std::uint64_t, bool or std::string_view. */
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
        else return detail::call(tidelog_batch_set_string, get(), field.number, value.data(), value.size());
    }

    /** Rows of one device by columns; each has a value for each time. Values are copied once, into the batch. */
    Outcome<void> append(Device device, Span<const std::int64_t> times_ns, std::initializer_list<NamedColumn> columns) {
        std::vector<tidelog_column> described;
        for (const NamedColumn &column : columns) {
            if (column.rows != times_ns.size()) {
                tidelog_error error{};
                error.kind = TIDELOG_KIND_FIX_CALL;
                const std::string text = "column " + column.name + " has another number of values than there are times: give one each";
                text.copy(error.message, sizeof error.message - 1);
                return detail::fail<void>(TIDELOG_INVALID_ARGUMENT, error);
            }
            described.push_back({column.name.c_str(), column.values, nullptr, column.validity, column.kind, 0});
        }
        return detail::call(tidelog_batch_append, get(), device.number, times_ns.data(), times_ns.size(),
                            described.data(), described.size(), sizeof(tidelog_column));
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
    /** The value of a row; nothing when it has none, or is of another type. Bytes are std::string_view, too. */
    template <class T> std::optional<T> at(std::size_t row) const noexcept {
        if (!is<T>() || row >= rows_ || !has(row)) return std::nullopt;
        if constexpr (std::is_same_v<T, std::string_view>) {
            const std::uint32_t start = row == 0 ? 0 : column_->ends[row - 1];
            return T(static_cast<const char *>(column_->values) + start, column_->ends[row] - start);
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

class Tail;

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
    friend class Tail;
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
    Query &newest_first() { return flags_ |= TIDELOG_QUERY_DESCENDING, *this; }
    /** One result over all devices together. */
    Query &all_devices() { return flags_ |= TIDELOG_QUERY_ALL_DEVICES, *this; }
    /** The nearest windows where no exact ones are left. */
    Query &nearest() { return flags_ |= TIDELOG_QUERY_NEAREST, *this; }
    Query &limit(std::uint64_t rows) { return limit_ = rows, *this; }

    /** Calls a function with the options of the C interface, which are good during the call. */
    template <class F> auto with(F function) const {
        auto options = detail::sized<tidelog_query_options>();
        const auto devices = detail::pointers(devices_), fields = detail::pointers(fields_);
        static constexpr const char *none = nullptr;
        std::vector<tidelog_label> labels;
        for (const auto &[key, value] : labels_) labels.push_back({key.c_str(), value.c_str()});
        std::vector<tidelog_predicate> predicates;
        for (const auto &where : where_) {
            tidelog_predicate predicate = where.predicate;
            predicate.field = where.field.c_str();
            predicate.value.data = where.text.data();
            predicate.value.length = where.text.size();
            predicates.push_back(predicate);
        }
        options.flags = flags_;
        options.limit = limit_;
        options.every_ns = static_cast<std::uint64_t>(every_.count());
        options.fill_gap_ns = static_cast<std::uint64_t>(gap_.count());
        options.fill_value = fill_value_;
        options.every_unit = unit_;
        options.aggregates = aggregates_;
        options.fill = fill_;
        options.zone = zone_.empty() ? nullptr : zone_.c_str();
        options.from_ns = from_ ? &*from_ : nullptr;
        options.to_ns = to_ ? &*to_ : nullptr;
        options.fields = any_field_ ? nullptr : fields.empty() ? &none : fields.data();
        options.field_count = fields.size();
        options.predicates = predicates.data();
        options.predicate_count = predicates.size();
        options.predicate_stride = sizeof(tidelog_predicate);
        options.devices.names = any_device_ ? nullptr : devices.empty() ? &none : devices.data();
        options.devices.name_count = devices.size();
        options.devices.prefix = prefix_ ? prefix_->c_str() : nullptr;
        options.devices.labels = labels.data();
        options.devices.label_count = labels.size();
        return function(&options);
    }

  private:
    struct Where {
        std::string field, text;
        tidelog_predicate predicate;
    };
    template <class F> Query &where(std::string_view field, std::uint32_t comparison, F fill, std::string text = {}) {
        Where where{std::string(field), std::move(text), {}};
        where.predicate.comparison = comparison;
        fill(where.predicate.value);
        where_.push_back(std::move(where));
        return *this;
    }
    std::vector<std::string> devices_, fields_;
    std::vector<std::pair<std::string, std::string>> labels_;
    std::vector<Where> where_;
    std::optional<std::string> prefix_;
    std::optional<std::int64_t> from_, to_;
    std::string zone_;
    Nanoseconds every_{}, gap_{};
    double fill_value_ = 0;
    std::uint64_t limit_ = 0;
    std::uint32_t unit_ = 0, aggregates_ = 0, fill_ = 0, flags_ = 0;
    bool any_device_ = true, any_field_ = true;
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

/** How a store is opened: tidelog_open_options with its size set. */
struct OpenOptions : tidelog_open_options {
    OpenOptions() noexcept : tidelog_open_options(detail::sized<tidelog_open_options>()) {}
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
    Outcome<void> compact() { return detail::call(tidelog_compact, get(), nullptr, nullptr); }
    Outcome<tidelog_stats> stats() const {
        auto stats = detail::sized<tidelog_stats>();
        tidelog_error error{};
        const tidelog_status status = tidelog_get_stats(get(), &stats, &error);
        if (status < 0) return detail::fail<tidelog_stats>(status, error);
        return Outcome<tidelog_stats>(stats);
    }
    /** Verifies everything; the rows are what is wrong. */
    Outcome<Result> check() const { return detail::made<Result>(tidelog_check, get(), nullptr, nullptr, nullptr); }

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
    /** Deletes what the query's devices, fields and range select; its other parts do not count. */
    Outcome<void> erase(const Query &what = {}) {
        return what.with([&](const tidelog_query_options *query) {
            auto options = detail::sized<tidelog_delete_options>();
            options.from_ns = query->from_ns;
            options.to_ns = query->to_ns;
            options.fields = query->fields;
            options.field_count = query->field_count;
            options.devices = query->devices;
            return detail::call(tidelog_delete, store_->get(), name_.c_str(), &options, nullptr);
        });
    }
    /** Where it differs from that of another store, by leaf window. */
    Outcome<Result> compare(const Store &other, std::uint64_t limit = 0) const {
        return detail::made<Result>(tidelog_compare, store_->get(), other.get(), name_.c_str(), limit);
    }
    /** Digests of the windows of a level, TIDELOG_LEVEL_ROOT and so on. */
    Outcome<Result> digests(std::uint32_t level = TIDELOG_LEVEL_ROOT) const {
        return detail::made<Result>(tidelog_digests, store_->get(), name_.c_str(), level, nullptr, nullptr);
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
};

/** Follows what a store writes. */
class Tail {
  public:
    /** From a position on; from now on when it is NULL. */
    static Outcome<Tail> open(const Store &store, const tidelog_position *from = nullptr) {
        return detail::made<Tail>(tidelog_tail_open, store.get(), from);
    }
    /** The next record, waiting for it; nothing when there is none by then. */
    Outcome<std::optional<Record>> next(Nanoseconds timeout) {
        auto record = detail::sized<tidelog_record>();
        Result rows;
        tidelog_error error{};
        const tidelog_status status = tidelog_tail_next(handle_.get(), static_cast<std::uint64_t>(timeout.count()), &record,
                                                        rows.handle_.out(), &error);
        if (status < 0) return detail::fail<std::optional<Record>>(status, error);
        if (status != TIDELOG_OK) return std::optional<Record>();
        return std::optional<Record>(Record{record.kind, record.collection, record.stamp, record.next, std::move(rows)});
    }

  private:
    Tail() noexcept = default;
    template <class C, class F, class... A> friend Outcome<C> detail::made(F, A &&...);
    detail::Handle<tidelog_tail, tidelog_tail_close> handle_;
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

/** Makes the key and certificate of a store in a folder; the fingerprint to give to its peers. */
inline Outcome<std::string> create_identity(const Store &store, std::string_view folder) {
    char text[TIDELOG_TEXT_SIZE];
    tidelog_error error{};
    const std::string path(folder);
    const tidelog_status status = tidelog_identity_create(store.get(), path.c_str(), 0, text, sizeof text, &error);
    if (status < 0) return detail::fail<std::string>(status, error);
    return Outcome<std::string>(text);
}

/** A store among its peers, until its end. */
class Node {
  public:
    using Handler = std::function<bool(const tidelog_event &)>;

    /** By a configuration file. */
    static Outcome<Node> start(Store &store, std::string_view config) {
        const std::string path(config);
        auto options = detail::sized<tidelog_node_options>();
        options.config = path.c_str();
        return detail::made<Node>(tidelog_node_start, store.get(), &options);
    }
    /** By an address to listen on, the folder of the store's key, and its peers. */
    static Outcome<Node> start(Store &store, std::string_view listen, std::string_view identity, const std::vector<Peer> &peers) {
        const std::string address(listen), folder(identity);
        std::vector<tidelog_peer> all;
        for (const Peer &peer : peers) all.push_back({peer.name.c_str(), peer.address.c_str(), peer.fingerprint.c_str()});
        auto options = detail::sized<tidelog_node_options>();
        options.listen = address.c_str();
        options.identity = folder.c_str();
        options.peers = all.data();
        options.peer_count = all.size();
        options.peer_stride = sizeof(tidelog_peer);
        return detail::made<Node>(tidelog_node_start, store.get(), &options);
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
    /** Compares with all peers now, or with one, and repairs what differs. */
    Outcome<Result> repair(std::string_view peer = {}) {
        const std::string name(peer);
        auto options = detail::sized<tidelog_repair_options>();
        options.peer = name.empty() ? nullptr : name.c_str();
        return detail::made<Result>(tidelog_node_repair, get(), &options);
    }
    /** Hands what happens to a function, on a thread of the library's, until it returns false or the node stops. */
    Outcome<void> on_event(Handler handler) {
        auto *user = new Handler(std::move(handler));
        const auto hear = [](void *user, const tidelog_event *event) noexcept -> std::int32_t {
            return detail::guarded([&] { return (*static_cast<Handler *>(user))(*event); });
        };
        const auto drop = [](void *user) noexcept { delete static_cast<Handler *>(user); };
        return detail::call(tidelog_node_on_event, get(), static_cast<tidelog_event_fn>(hear), static_cast<void *>(user),
                            static_cast<tidelog_drop_fn>(drop));
    }
    /** Leaves the peers; at the end of the object this happens, too. */
    Outcome<void> stop() { return detail::call(tidelog_node_stop, handle_.out()); }

    tidelog_node *get() const noexcept { return handle_.get(); }

  private:
    Node() noexcept = default;
    template <class C, class F, class... A> friend Outcome<C> detail::made(F, A &&...);
    detail::Handle<tidelog_node, tidelog_node_stop> handle_;
};

/** The version of the library. */
inline std::string_view version() noexcept { return tidelog_version(); }

} // namespace throwing or returning
} // namespace tidelog

#endif // TIDELOG_HPP
