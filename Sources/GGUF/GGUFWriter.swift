package import Tensors

/// Builds a GGUF file of version 3 in memory.
package struct GGUFWriter {
  private var pairs: [(key: String, value: MetadataValue)] = []
  /// A tensor that was only described has no bytes.
  private var tensors: [(name: String, type: ElementType, shape: [Int], bytes: [UInt8]?)] = []
  private let alignment = 32

  package init() {}

  /// Adds a metadata pair. Numbers are written in 32 bits where they fit.
  package mutating func set(_ key: String, _ value: MetadataValue) {
    pairs.append((key, value))
  }

  /// Adds a tensor; `shape` has the contiguous extent first.
  package mutating func add(_ name: String, _ type: ElementType, _ shape: [Int], _ bytes: [UInt8]) {
    tensors.append((name, type, shape, bytes))
  }

  /// Adds a tensor without its bytes, for a file of which only the header is wanted.
  package mutating func describe(_ name: String, _ type: ElementType, _ shape: [Int]) {
    tensors.append((name, type, shape, nil))
  }

  /// The bytes of the files of a model split into `count`, for names that end in
  /// `-00001-of-0000N.gguf`: the metadata in the first, the tensors spread in order.
  package func encoded(shards count: Int) -> [[UInt8]] {
    (0..<count).map { shard in
      var writer = GGUFWriter()
      if shard == 0 { writer.pairs = pairs }
      writer.set(SplitKey.number, .unsigned(UInt64(shard)))
      writer.set(SplitKey.count, .unsigned(UInt64(count)))
      writer.set(SplitKey.tensors, .signed(Int64(tensors.count)))
      writer.tensors = tensors.enumerated().filter { $0.offset * count / tensors.count == shard }
        .map(\.element)
      return writer.encoded()
    }
  }

  /// The file's bytes.
  package func encoded() -> [UInt8] {
    var out = Output()
    out.append(Array("GGUF".utf8))
    out.append(UInt32(3))
    out.append(UInt64(tensors.count))
    out.append(UInt64(pairs.count))
    for (key, value) in pairs {
      out.append(key)
      out.append(value)
    }
    var offset = 0
    for tensor in tensors {
      out.append(tensor.name)
      out.append(UInt32(tensor.shape.count))
      for extent in tensor.shape { out.append(UInt64(extent)) }
      out.append(tensor.type.rawValue)
      out.append(UInt64(offset))
      let bytes =
        tensor.bytes?.count
        ?? tensor.shape.dropFirst().reduce(tensor.type.rowBytes(tensor.shape[0]) ?? 0, *)
      offset += (bytes + alignment - 1) / alignment * alignment
    }
    for tensor in tensors {
      guard let bytes = tensor.bytes else { continue }
      out.pad(to: alignment)
      out.append(bytes)
    }
    out.pad(to: alignment)
    return out.bytes
  }
}

private struct Output {
  var bytes: [UInt8] = []

  mutating func append(_ raw: [UInt8]) { bytes += raw }

  mutating func append<T: FixedWidthInteger>(_ number: T) {
    withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
  }

  mutating func append(_ text: String) {
    append(UInt64(text.utf8.count))
    append(Array(text.utf8))
  }

  mutating func pad(to alignment: Int) {
    while bytes.count % alignment != 0 { bytes.append(0) }
  }

  mutating func append(_ value: MetadataValue) {
    func array<T>(_ type: MetadataType, _ values: [T], _ each: (inout Output, T) -> Void) {
      append(MetadataType.array.rawValue)
      append(type.rawValue)
      append(UInt64(values.count))
      for value in values { each(&self, value) }
    }
    switch value {
    case .unsigned(let number):
      if let small = UInt32(exactly: number) {
        append(MetadataType.uint32.rawValue)
        append(small)
      } else {
        append(MetadataType.uint64.rawValue)
        append(number)
      }
    case .signed(let number):
      append(MetadataType.int64.rawValue)
      append(number)
    case .real(let number):
      append(MetadataType.float32.rawValue)
      append(Float(number).bitPattern)
    case .bool(let flag):
      append(MetadataType.bool.rawValue)
      append(UInt8(flag ? 1 : 0))
    case .string(let text):
      append(MetadataType.string.rawValue)
      append(text)
    case .unsigneds(let numbers): array(.uint64, numbers) { $0.append($1) }
    case .signeds(let numbers) where numbers.allSatisfy({ Int32(exactly: $0) != nil }):
      array(.int32, numbers) { $0.append(Int32(truncatingIfNeeded: $1)) }
    case .signeds(let numbers): array(.int64, numbers) { $0.append($1) }
    case .reals(let numbers): array(.float32, numbers) { $0.append(Float($1).bitPattern) }
    case .bools(let flags): array(.bool, flags) { $0.append(UInt8($1 ? 1 : 0)) }
    case .strings(let texts): array(.string, texts) { $0.append($1) }
    }
  }
}
