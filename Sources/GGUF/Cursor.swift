/// Reads little-endian fields of a file, never beyond its end, and never allocates more than the
/// bytes that remain could fill.
struct Cursor {
  let path: String
  let bytes: UnsafeRawBufferPointer
  private(set) var offset: Int

  /// The longest text or array, in bytes: far above any real vocabulary.
  static let longest = 64 << 20

  init(path: String, bytes: UnsafeRawBufferPointer, offset: Int = 0) {
    self.path = path
    self.bytes = bytes
    self.offset = offset
  }

  var remaining: Int { bytes.count - offset }

  // What is read has a name for errors. It is made when it is needed only: a vocabulary is read in
  // a quarter of a million steps.

  mutating func number<T: FixedWidthInteger>(
    _ type: T.Type = T.self, _ what: @autoclosure () -> String
  ) throws(GGUFError) -> T {
    let size = MemoryLayout<T>.size
    guard remaining >= size else { throw truncated(what()) }
    defer { offset += size }
    return T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
  }

  /// A count that the file gives in 64 bits, of things of at least `leastBytes` each.
  mutating func count(
    of what: @autoclosure () -> String, leastBytes: Int
  ) throws(GGUFError) -> Int {
    let start = offset
    let value = try number(UInt64.self, "the count of \(what())")
    guard value <= UInt64(remaining / leastBytes) else {
      throw malformed("it claims \(value) \(what()), more than the file can hold", at: start)
    }
    return Int(value)
  }

  /// Goes past a text and returns where its bytes lie.
  private mutating func textRange(
    _ what: @autoclosure () -> String
  ) throws(GGUFError) -> Range<Int> {
    let start = offset
    let length = try number(UInt64.self, "the length of \(what())")
    guard length <= UInt64(Self.longest) else {
      throw malformed("\(what()) claims a length of \(length) bytes", at: start)
    }
    guard length <= UInt64(remaining) else { throw truncated(what()) }
    offset += Int(length)
    return offset - Int(length)..<offset
  }

  mutating func string(_ what: @autoclosure () -> String) throws(GGUFError) -> String {
    String(decoding: bytes[try textRange(what())], as: UTF8.self)
  }

  mutating func metadataType(_ what: @autoclosure () -> String) throws(GGUFError) -> MetadataType {
    let start = offset
    let id = try number(UInt32.self, "the type of \(what())")
    guard let type = MetadataType(rawValue: id) else {
      throw malformed("\(what()) has the unknown value type \(id)", at: start)
    }
    return type
  }

  /// Goes past a value, after which ``value(_:_:)`` can read it without an error.
  mutating func skip(_ type: MetadataType, _ what: @autoclosure () -> String) throws(GGUFError) {
    switch type {
    case .string: _ = try textRange(what())
    case .array:
      let (type, count) = try arrayHead(what())
      if type == .string {
        for _ in 0..<count { _ = try textRange(what()) }
      } else {
        offset += count * type.leastBytes
      }
    default:
      guard remaining >= type.leastBytes else { throw truncated(what()) }
      offset += type.leastBytes
    }
  }

  mutating func value(
    _ type: MetadataType, _ what: @autoclosure () -> String
  ) throws(GGUFError) -> MetadataValue {
    switch type {
    case .uint8: return .unsigned(UInt64(try number(UInt8.self, what())))
    case .uint16: return .unsigned(UInt64(try number(UInt16.self, what())))
    case .uint32: return .unsigned(UInt64(try number(UInt32.self, what())))
    case .uint64: return .unsigned(try number(UInt64.self, what()))
    case .int8: return .signed(Int64(try number(Int8.self, what())))
    case .int16: return .signed(Int64(try number(Int16.self, what())))
    case .int32: return .signed(Int64(try number(Int32.self, what())))
    case .int64: return .signed(try number(Int64.self, what()))
    case .float32: return .real(Double(Float(bitPattern: try number(UInt32.self, what()))))
    case .float64: return .real(Double(bitPattern: try number(UInt64.self, what())))
    case .bool: return .bool(try number(UInt8.self, what()) != 0)
    case .string: return .string(try string(what()))
    case .array: return try array(what())
    }
  }

  /// The type and number of an array's elements. Where they have a fixed size, all are there.
  private mutating func arrayHead(
    _ what: @autoclosure () -> String
  ) throws(GGUFError) -> (MetadataType, Int) {
    let type = try metadataType("the elements of \(what())")
    let start = offset
    if type == .array { throw malformed("\(what()) is an array of arrays", at: start) }
    let count = try count(of: "elements in \(what())", leastBytes: type.leastBytes)
    guard count <= Self.longest / type.leastBytes else {
      throw malformed("\(what()) claims \(count) elements", at: start)
    }
    return (type, count)
  }

  private mutating func array(
    _ what: @autoclosure () -> String
  ) throws(GGUFError) -> MetadataValue {
    let (type, count) = try arrayHead(what())
    func elements<T>(
      _ next: (inout Cursor) throws(GGUFError) -> T
    ) throws(GGUFError) -> [T] {
      var values: [T] = []
      values.reserveCapacity(count)
      for _ in 0..<count { values.append(try next(&self)) }
      return values
    }
    let what = what()
    switch type {
    case .uint8, .uint16, .uint32, .uint64:
      return .unsigneds(
        try elements { cursor throws(GGUFError) in
          guard case .unsigned(let value) = try cursor.value(type, what) else { return 0 }
          return value
        })
    case .int8, .int16, .int32, .int64:
      return .signeds(
        try elements { cursor throws(GGUFError) in
          guard case .signed(let value) = try cursor.value(type, what) else { return 0 }
          return value
        })
    case .float32, .float64:
      return .reals(
        try elements { cursor throws(GGUFError) in
          guard case .real(let value) = try cursor.value(type, what) else { return 0 }
          return value
        })
    case .bool:
      return .bools(
        try elements { cursor throws(GGUFError) in try cursor.number(UInt8.self, what) != 0 })
    case .string, .array:
      return .strings(try elements { cursor throws(GGUFError) in try cursor.string(what) })
    }
  }

  func truncated(_ what: String) -> GGUFError {
    GGUFError(path: path, reason: .truncated(what: what, offset: bytes.count))
  }

  func malformed(_ what: String, at offset: Int) -> GGUFError {
    GGUFError(path: path, reason: .malformed(what: what, offset: offset))
  }
}
