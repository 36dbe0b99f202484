import Tensors

/// What comes before the data section.
struct Header {
  var version: UInt32
  var metadata: Metadata
  var tensors: [TensorInfo] = []

  private static let magic: UInt32 = 0x4655_4747  // "GGUF"
  private static let alignmentKey = "general.alignment"
  /// Names longer than this do not occur; the format's own limit for tensors is 64.
  private static let longestKey = 65_535
  private static let longestTensorName = 64

  /// `hasData`: whether the bytes of the tensors must be there too.
  init(path: String, _ mapping: Mapping, hasData: Bool) throws(GGUFError) {
    var cursor = Cursor(path: path, bytes: mapping.bytes)
    metadata = Metadata(mapping)
    guard cursor.remaining >= 4, try cursor.number(UInt32.self, "the magic") == Self.magic else {
      throw GGUFError(path: cursor.path, reason: .notGGUF)
    }
    version = try cursor.number(UInt32.self, "the version")
    guard version == 0 || version & 0xFFFF != 0 else {
      throw GGUFError(path: cursor.path, reason: .bigEndian)
    }
    guard version == 2 || version == 3 else {
      throw GGUFError(path: cursor.path, reason: .unsupportedVersion(version))
    }
    // A tensor takes at least 8 + 4 + 4 + 8 bytes, a metadata pair 8 + 4 + 1.
    let tensorCount = try cursor.count(of: "tensors", leastBytes: 24)
    let pairCount = try cursor.count(of: "metadata pairs", leastBytes: 13)
    for _ in 0..<pairCount { try readPair(&cursor) }
    let alignment = try checkedAlignment(cursor)
    var entries: [Entry] = []
    for _ in 0..<tensorCount { entries.append(try Entry(&cursor)) }
    try place(entries, alignment: alignment, end: hasData ? cursor.bytes.count : .max, cursor)
  }

  private mutating func readPair(_ cursor: inout Cursor) throws(GGUFError) {
    let start = cursor.offset
    let key = try cursor.string("a metadata key")
    guard !key.isEmpty, key.utf8.count <= Self.longestKey else {
      throw cursor.malformed("a metadata key of \(key.utf8.count) bytes", at: start)
    }
    let type = try cursor.metadataType("'\(key)'")
    guard metadata.add(key, type, offset: cursor.offset) else {
      throw cursor.malformed("the metadata key '\(key)' occurs twice", at: start)
    }
    try cursor.skip(type, "'\(key)'")
  }

  private func checkedAlignment(_ cursor: Cursor) throws(GGUFError) -> Int {
    guard let value = metadata[Self.alignmentKey] else { return 32 }
    guard case .unsigned(let alignment) = value, alignment > 0, alignment <= 1 << 16,
      alignment & (alignment - 1) == 0
    else {
      throw GGUFError(
        path: cursor.path,
        reason: .unexpected(key: Self.alignmentKey, wanted: "a power of two up to 65536"))
    }
    return Int(alignment)
  }

  /// A tensor's entry before its place in the file is known to be sound.
  private struct Entry {
    var name: String
    var type: ElementType
    var shape: [Int]
    var bytes: Int
    var offset: UInt64
    var start: Int

    init(_ cursor: inout Cursor) throws(GGUFError) {
      start = cursor.offset
      name = try cursor.string("a tensor name")
      guard !name.isEmpty, name.utf8.count <= Header.longestTensorName else {
        throw cursor.malformed("a tensor name of \(name.utf8.count) bytes", at: start)
      }
      let rank = try cursor.number(UInt32.self, "the rank of '\(name)'")
      guard rank >= 1, rank <= 4 else {
        throw cursor.malformed("tensor '\(name)' has \(rank) dimensions", at: start)
      }
      shape = []
      var elements = 1
      for _ in 0..<rank {
        let extent = try cursor.number(UInt64.self, "the shape of '\(name)'")
        guard extent > 0, let extent = Int(exactly: extent),
          case (let product, false) = elements.multipliedReportingOverflow(by: extent)
        else { throw cursor.malformed("tensor '\(name)' has an extent of \(extent)", at: start) }
        elements = product
        shape.append(extent)
      }
      let typeID = try cursor.number(UInt32.self, "the type of '\(name)'")
      guard let type = ElementType(rawValue: typeID) else {
        guard let known = namesOfOtherTypes[typeID] else {
          throw cursor.malformed(
            "tensor '\(name)' has the unknown type \(typeID), which may also be newer than this Apus",
            at: start)
        }
        throw GGUFError(
          path: cursor.path, reason: .unsupportedType(tensor: name, type: known))
      }
      self.type = type
      guard let rowBytes = type.rowBytes(shape[0]),
        case (let bytes, false) = rowBytes.multipliedReportingOverflow(by: elements / shape[0])
      else {
        throw cursor.malformed(
          "a row of \(shape[0]) in tensor '\(name)' is not a whole number of \(type.name) blocks",
          at: start)
      }
      self.bytes = bytes
      offset = try cursor.number(UInt64.self, "the offset of '\(name)'")
    }
  }

  private mutating func place(
    _ entries: [Entry], alignment: Int, end: Int, _ cursor: Cursor
  ) throws(GGUFError) {
    let data = (cursor.offset + alignment - 1) / alignment * alignment
    var names: Set<String> = []
    for entry in entries {
      guard names.insert(entry.name).inserted else {
        throw cursor.malformed("the tensor '\(entry.name)' occurs twice", at: entry.start)
      }
      guard entry.offset % UInt64(alignment) == 0 else {
        throw cursor.malformed("tensor '\(entry.name)' is not aligned", at: entry.start)
      }
      guard data <= end, entry.bytes <= end - data,
        entry.offset <= UInt64(end - data - entry.bytes)
      else { throw cursor.truncated("tensor '\(entry.name)'") }
      tensors.append(
        TensorInfo(
          name: entry.name, type: entry.type, shape: entry.shape, offset: data + Int(entry.offset),
          bytes: entry.bytes))
    }
    let ordered = tensors.sorted { $0.offset < $1.offset }
    for (first, second) in zip(ordered, ordered.dropFirst())
    where first.offset + first.bytes > second.offset {
      throw cursor.malformed(
        "tensors '\(first.name)' and '\(second.name)' overlap", at: second.offset)
    }
  }
}
