/// A file written field by field, so that any field may lie.
package struct RawGGUF: Sendable {
  package var bytes: [UInt8]

  package init(_ bytes: [UInt8]) { self.bytes = bytes }

  package mutating func u32(_ value: UInt32) {
    withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
  }

  package mutating func u64(_ value: UInt64) {
    withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
  }

  package mutating func text(_ value: String) {
    u64(UInt64(value.utf8.count))
    bytes += Array(value.utf8)
  }

  /// The counts that a file begins with, then what `rest` writes.
  package static func header(
    version: UInt32 = 3, tensors: UInt64 = 0, pairs: UInt64 = 0,
    _ rest: (inout RawGGUF) -> Void = { _ in }
  ) -> RawGGUF {
    var raw = RawGGUF(Array("GGUF".utf8))
    raw.u32(version)
    raw.u64(tensors)
    raw.u64(pairs)
    rest(&raw)
    return raw
  }

  /// One metadata pair; `type` is the id of its value's type.
  package static func pair(
    _ key: String, type: UInt32, _ value: (inout RawGGUF) -> Void
  ) -> RawGGUF {
    header(pairs: 1) { raw in
      raw.text(key)
      raw.u32(type)
      value(&raw)
    }
  }

  /// A list under one key: the id of its elements' type, how many it claims, and what is there.
  package static func list(
    _ key: String = "k", type: UInt32, count: UInt64, _ elements: (inout RawGGUF) -> Void = { _ in }
  ) -> RawGGUF {
    pair(key, type: 9) { raw in
      raw.u32(type)
      raw.u64(count)
      elements(&raw)
    }
  }

  /// Tensors with 4096 bytes of data behind the header.
  package static func tensors(
    _ entries: [(name: String, shape: [UInt64], type: UInt32, offset: UInt64)], rank: UInt32? = nil
  ) -> RawGGUF {
    header(tensors: UInt64(entries.count)) { raw in
      for entry in entries {
        raw.text(entry.name)
        raw.u32(rank ?? UInt32(entry.shape.count))
        for extent in entry.shape { raw.u64(extent) }
        raw.u32(entry.type)
        raw.u64(entry.offset)
      }
      raw.bytes += [UInt8](repeating: 0, count: 4096)
    }
  }

  package static func tensor(
    name: String = "w", shape: [UInt64], type: UInt32 = 0, offset: UInt64 = 0, rank: UInt32? = nil
  ) -> RawGGUF { tensors([(name, shape, type, offset)], rank: rank) }
}
