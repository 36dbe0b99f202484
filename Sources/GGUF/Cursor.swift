/// Reads little-endian fields of a mapped file, never beyond its end, and never allocates more
/// than the bytes that remain could fill.
struct Cursor {
  let path: String
  let bytes: UnsafeRawBufferPointer
  private(set) var offset = 0

  /// The longest text or array, in bytes: far above any real vocabulary.
  static let longest = 64 << 20

  init(path: String, bytes: UnsafeRawBufferPointer) {
    self.path = path
    self.bytes = bytes
  }

  var remaining: Int { bytes.count - offset }

  mutating func number<T: FixedWidthInteger>(
    _ type: T.Type = T.self, _ what: String
  ) throws(GGUFError) -> T {
    let size = MemoryLayout<T>.size
    guard remaining >= size else { throw truncated(what) }
    defer { offset += size }
    return T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
  }

  /// A count that the file gives in 64 bits, of things of at least `leastBytes` each.
  mutating func count(of what: String, leastBytes: Int) throws(GGUFError) -> Int {
    let start = offset
    let value = try number(UInt64.self, "the count of \(what)")
    guard value <= UInt64(remaining / leastBytes) else {
      throw malformed("it claims \(value) \(what), more than the file can hold", at: start)
    }
    return Int(value)
  }

  mutating func string(_ what: String) throws(GGUFError) -> String {
    let start = offset
    let length = try number(UInt64.self, "the length of \(what)")
    guard length <= UInt64(Self.longest) else {
      throw malformed("\(what) claims a length of \(length) bytes", at: start)
    }
    guard length <= UInt64(remaining) else { throw truncated(what) }
    defer { offset += Int(length) }
    return String(decoding: bytes[offset..<offset + Int(length)], as: UTF8.self)
  }

  mutating func metadataType(_ what: String) throws(GGUFError) -> MetadataType {
    let start = offset
    let id = try number(UInt32.self, "the type of \(what)")
    guard let type = MetadataType(rawValue: id) else {
      throw malformed("\(what) has the unknown value type \(id)", at: start)
    }
    return type
  }

  mutating func value(_ type: MetadataType, _ what: String) throws(GGUFError) -> MetadataValue {
    switch type {
    case .uint8: return .unsigned(UInt64(try number(UInt8.self, what)))
    case .uint16: return .unsigned(UInt64(try number(UInt16.self, what)))
    case .uint32: return .unsigned(UInt64(try number(UInt32.self, what)))
    case .uint64: return .unsigned(try number(UInt64.self, what))
    case .int8: return .signed(Int64(try number(Int8.self, what)))
    case .int16: return .signed(Int64(try number(Int16.self, what)))
    case .int32: return .signed(Int64(try number(Int32.self, what)))
    case .int64: return .signed(try number(Int64.self, what))
    case .float32: return .real(Double(Float(bitPattern: try number(UInt32.self, what))))
    case .float64: return .real(Double(bitPattern: try number(UInt64.self, what)))
    case .bool: return .bool(try number(UInt8.self, what) != 0)
    case .string: return .string(try string(what))
    case .array: return try array(what)
    }
  }

  private mutating func array(_ what: String) throws(GGUFError) -> MetadataValue {
    let type = try metadataType("the elements of \(what)")
    let start = offset
    if type == .array { throw malformed("\(what) is an array of arrays", at: start) }
    let count = try count(of: "elements in \(what)", leastBytes: type.leastBytes)
    guard count <= Self.longest / type.leastBytes else {
      throw malformed("\(what) claims \(count) elements", at: start)
    }
    switch type {
    case .uint8, .uint16, .uint32, .uint64:
      return .unsigneds(
        try elements(count) { cursor throws(GGUFError) in
          guard case .unsigned(let value) = try cursor.value(type, what) else { return 0 }
          return value
        })
    case .int8, .int16, .int32, .int64:
      return .signeds(
        try elements(count) { cursor throws(GGUFError) in
          guard case .signed(let value) = try cursor.value(type, what) else { return 0 }
          return value
        })
    case .float32, .float64:
      return .reals(
        try elements(count) { cursor throws(GGUFError) in
          guard case .real(let value) = try cursor.value(type, what) else { return 0 }
          return value
        })
    case .bool:
      return .bools(
        try elements(count) { cursor throws(GGUFError) in
          try cursor.number(UInt8.self, what) != 0
        })
    case .string, .array:
      return .strings(
        try elements(count) { cursor throws(GGUFError) in try cursor.string(what) })
    }
  }

  private mutating func elements<T>(
    _ count: Int, _ next: (inout Cursor) throws(GGUFError) -> T
  ) throws(GGUFError) -> [T] {
    var values: [T] = []
    values.reserveCapacity(count)
    for _ in 0..<count { values.append(try next(&self)) }
    return values
  }

  func truncated(_ what: String) -> GGUFError {
    GGUFError(path: path, reason: .truncated(what: what, offset: bytes.count))
  }

  func malformed(_ what: String, at offset: Int) -> GGUFError {
    GGUFError(path: path, reason: .malformed(what: what, offset: offset))
  }
}
