/// A metadata value.
package enum MetadataValue: Sendable, Hashable {
  case unsigned(UInt64)
  case signed(Int64)
  case real(Double)
  case bool(Bool)
  case string(String)
  case unsigneds([UInt64])
  case signeds([Int64])
  case reals([Double])
  case bools([Bool])
  case strings([String])

  /// A whole number that fits an `Int`, or nil.
  package var integer: Int? {
    switch self {
    case .unsigned(let number): Int(exactly: number)
    case .signed(let number): Int(exactly: number)
    default: nil
    }
  }

  /// A short form for people: long arrays are counted, not listed.
  package var summary: String {
    switch self {
    case .unsigned(let value): "\(value)"
    case .signed(let value): "\(value)"
    case .real(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .string(let value): value.count <= 100 ? value : "\(value.prefix(100))…"
    case .unsigneds(let values): Self.list(values)
    case .signeds(let values): Self.list(values)
    case .reals(let values): Self.list(values)
    case .bools(let values): Self.list(values)
    case .strings(let values): Self.list(values)
    }
  }

  private static func list<T>(_ values: [T]) -> String {
    values.count <= 8 ? "\(values)" : "\(values.count) values: \(values.prefix(4))…"
  }
}

/// A file's metadata: keys, and where their values lie. A value is read when it is asked for, so that
/// opening a file costs the same whatever it carries.
package struct Metadata: Sendable {
  /// In the order of the file.
  package private(set) var keys: [String] = []
  private var places: [String: (type: MetadataType, offset: Int)] = [:]
  private let mapping: Mapping

  init(_ mapping: Mapping) { self.mapping = mapping }

  /// Notes where a value lies; false where the key is there already.
  mutating func add(_ key: String, _ type: MetadataType, offset: Int) -> Bool {
    guard places.updateValue((type, offset), forKey: key) == nil else { return false }
    keys.append(key)
    return true
  }

  /// The value, or nil where the key is absent.
  package subscript(key: String) -> MetadataValue? {
    guard let place = places[key] else { return nil }
    var cursor = Cursor(path: "", bytes: mapping.bytes, offset: place.offset)
    // It was gone through when the file was opened: only a file that someone shortens since can
    // still fail here, and then the value is absent.
    do throws(GGUFError) { return try cursor.value(place.type, key) } catch { return nil }
  }
}

/// The types of metadata values in the file format.
enum MetadataType: UInt32 {
  case uint8 = 0
  case int8
  case uint16
  case int16
  case uint32
  case int32
  case float32
  case bool
  case string
  case array
  case uint64
  case int64
  case float64

  /// Bytes of one value; of texts and arrays, the least that one takes. This bounds what an array
  /// can hold.
  var leastBytes: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64, .string: 8
    case .array: 12
    }
  }
}

/// Typed look-ups. Each says what it found where it cannot serve.
extension GGUFFile {
  /// A whole number that fits an `Int`, or nil where the key is absent.
  package func integer(_ key: String) throws(GGUFError) -> Int? {
    guard let value = metadata[key] else { return nil }
    guard let number = value.integer else {
      throw error(.unexpected(key: key, wanted: "a whole number"))
    }
    return number
  }

  /// A number, or nil where the key is absent.
  package func real(_ key: String) throws(GGUFError) -> Double? {
    guard let value = metadata[key] else { return nil }
    switch value {
    case .real(let number): return number
    case .unsigned(let number): return Double(number)
    case .signed(let number): return Double(number)
    default: throw error(.unexpected(key: key, wanted: "a number"))
    }
  }

  /// A flag, or nil where the key is absent.
  package func flag(_ key: String) throws(GGUFError) -> Bool? {
    guard let value = metadata[key] else { return nil }
    guard case .bool(let flag) = value else {
      throw error(.unexpected(key: key, wanted: "true or false"))
    }
    return flag
  }

  /// Text, or nil where the key is absent.
  package func text(_ key: String) throws(GGUFError) -> String? {
    guard let value = metadata[key] else { return nil }
    guard case .string(let text) = value else {
      throw error(.unexpected(key: key, wanted: "text"))
    }
    return text
  }

  /// A list of texts, or nil where the key is absent.
  package func texts(_ key: String) throws(GGUFError) -> [String]? {
    guard let value = metadata[key] else { return nil }
    guard case .strings(let texts) = value else {
      throw error(.unexpected(key: key, wanted: "a list of texts"))
    }
    return texts
  }

  /// A list of numbers, or nil where the key is absent.
  package func reals(_ key: String) throws(GGUFError) -> [Double]? {
    guard let value = metadata[key] else { return nil }
    guard case .reals(let numbers) = value else {
      throw error(.unexpected(key: key, wanted: "a list of floating-point numbers"))
    }
    return numbers
  }

  /// A list of whole numbers, or nil where the key is absent.
  package func integers(_ key: String) throws(GGUFError) -> [Int]? {
    guard let value = metadata[key] else { return nil }
    switch value {
    case .unsigneds(let numbers):
      let integers = numbers.compactMap { Int(exactly: $0) }
      if integers.count == numbers.count { return integers }
    case .signeds(let numbers):
      return numbers.map { Int($0) }
    default: break
    }
    throw error(.unexpected(key: key, wanted: "a list of whole numbers"))
  }

  /// An error about this file.
  package func error(_ reason: GGUFError.Reason) -> GGUFError {
    GGUFError(path: path, reason: reason)
  }
}
