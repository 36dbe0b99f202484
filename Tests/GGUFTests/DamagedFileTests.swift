import GGUF
import TestSupport
import Testing

/// Files that broke other loaders, each refused with a sentence.
@Suite struct DamagedFileTests {
  /// A file written field by field.
  private struct Raw {
    var bytes: [UInt8] = Array("GGUF".utf8)

    mutating func u32(_ value: UInt32) { withUnsafeBytes(of: value) { bytes += $0 } }
    mutating func u64(_ value: UInt64) { withUnsafeBytes(of: value) { bytes += $0 } }
    mutating func text(_ value: String) {
      u64(UInt64(value.utf8.count))
      bytes += Array(value.utf8)
    }

    static func header(
      version: UInt32 = 3, tensors: UInt64 = 0, pairs: UInt64 = 0, _ rest: (inout Raw) -> Void
    ) -> Raw {
      var raw = Raw()
      raw.u32(version)
      raw.u64(tensors)
      raw.u64(pairs)
      rest(&raw)
      return raw
    }

    /// One tensor, with 4096 bytes of data behind the header.
    static func tensor(
      name: String = "w", shape: [UInt64], type: UInt32 = 0, offset: UInt64 = 0, count: UInt64 = 1
    ) -> Raw {
      header(tensors: count) { raw in
        for _ in 0..<count {
          raw.text(name)
          raw.u32(UInt32(shape.count))
          for extent in shape { raw.u64(extent) }
          raw.u32(type)
          raw.u64(offset)
        }
        raw.bytes += [UInt8](repeating: 0, count: 4096)
      }
    }

    static func pair(_ key: String, type: UInt32, _ value: (inout Raw) -> Void) -> Raw {
      header(pairs: 1) { raw in
        raw.text(key)
        raw.u32(type)
        value(&raw)
      }
    }
  }

  private func refusal(_ raw: Raw) -> String? {
    let disk = TemporaryFile(raw.bytes)
    do {
      _ = try GGUFFile(path: disk.path)
      return nil
    } catch { return "\(error)" }
  }

  private func expectRefusal(_ raw: Raw, saying words: String, line: Int = #line) {
    let sentence = refusal(raw)
    #expect(sentence?.contains(words) == true, "line \(line): \(sentence ?? "was read")")
  }

  @Test func soundFieldsAreRead() {
    #expect(refusal(.tensor(shape: [4])) == nil)
    #expect(refusal(.pair("k", type: 4) { $0.u32(1) }) == nil)
  }

  @Test func counts() {
    expectRefusal(.header(pairs: 1 << 63) { _ in }, saying: "more than the file can hold")
    expectRefusal(.header(tensors: .max) { _ in }, saying: "more than the file can hold")
  }

  @Test func textsAndKeys() {
    expectRefusal(.header(pairs: 1) { $0.u64(1 << 63) }, saying: "more than")
    expectRefusal(
      .header(pairs: 1) { raw in
        raw.u64(1000)
        raw.bytes += Array(repeating: 65, count: 40)
      }, saying: "ends at byte")
    expectRefusal(.pair("", type: 4) { $0.u32(1) }, saying: "key of 0 bytes")
    expectRefusal(
      .header(pairs: 2) { raw in
        for _ in 0..<2 {
          raw.text("k")
          raw.u32(4)
          raw.u32(1)
        }
      }, saying: "occurs twice")
  }

  @Test func values() {
    expectRefusal(.pair("k", type: 77) { $0.u32(1) }, saying: "unknown value type 77")
    expectRefusal(
      .pair("k", type: 9) { raw in
        raw.u32(4)
        raw.u64(1 << 61)
      }, saying: "more than the file can hold")
    expectRefusal(
      .pair("k", type: 9) { raw in
        raw.u32(9)
        raw.u64(1)
      }, saying: "array of arrays")
    expectRefusal(
      .pair("k", type: 9) { raw in
        raw.u32(8)
        raw.u64(1)
        raw.u64(.max)
      }, saying: "claims a length")
  }

  @Test func shapes() {
    expectRefusal(.tensor(shape: [0]), saying: "extent of 0")
    expectRefusal(.tensor(shape: [1 << 63]), saying: "extent of")
    expectRefusal(.tensor(shape: [(1 << 42) + 1, 1 << 42]), saying: "extent of")
    expectRefusal(.tensor(shape: [1 << 61]), saying: "not a whole number")
    expectRefusal(.tensor(shape: []), saying: "0 dimensions")
    expectRefusal(.tensor(shape: [1, 1, 1, 1, 1]), saying: "5 dimensions")
    expectRefusal(.tensor(shape: [33], type: 8), saying: "not a whole number of Q8_0 blocks")
  }

  @Test func typesNamesAndPlaces() {
    expectRefusal(.tensor(shape: [256], type: 19), saying: "IQ1_S")
    expectRefusal(.tensor(shape: [32], type: 4), saying: "unknown type 4")
    expectRefusal(.tensor(shape: [32], type: 9999), saying: "unknown type 9999")
    expectRefusal(.tensor(name: "", shape: [4]), saying: "name of 0 bytes")
    expectRefusal(
      .tensor(name: String(repeating: "n", count: 65), shape: [4]), saying: "name of 65 bytes")
    expectRefusal(.tensor(shape: [4], count: 2), saying: "occurs twice")
    expectRefusal(.tensor(shape: [4], offset: 8), saying: "not aligned")
    expectRefusal(.tensor(shape: [4], offset: 1 << 40), saying: "ends at byte")
    expectRefusal(.tensor(shape: [4096]), saying: "ends at byte")
    var overlapping = Raw.header(tensors: 2) { raw in
      for (name, offset) in [("a", UInt64(0)), ("b", 32)] {
        raw.text(name)
        raw.u32(1)
        raw.u64(16)
        raw.u32(0)
        raw.u64(offset)
      }
    }
    overlapping.bytes += [UInt8](repeating: 0, count: 4096)
    expectRefusal(overlapping, saying: "overlap")
  }

  @Test func alignmentAndVersions() {
    for alignment: UInt32 in [0, 3, 1 << 31] {
      expectRefusal(
        .pair("general.alignment", type: 4) { $0.u32(alignment) }, saying: "power of two")
    }
    expectRefusal(.pair("general.alignment", type: 8) { $0.text("x") }, saying: "power of two")
    for version: UInt32 in [1, 4, 1000] {
      expectRefusal(.header(version: version) { _ in }, saying: "version \(version)")
    }
    expectRefusal(.header(version: 0x0300_0000) { _ in }, saying: "big-endian")
    expectRefusal(Raw(bytes: Array("PK..".utf8)), saying: "not a GGUF file")
    expectRefusal(Raw(bytes: [71]), saying: "not a GGUF file")
  }
}
