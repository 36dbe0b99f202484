import GGUF
import TestSupport
import Testing

/// A file that broke some loader of GGUF, and words of the sentence that refuses it here.
///
/// The numbers are those of ``Kind``. Each row went wrong somewhere: an endless loop, a division by
/// zero, a read or write beyond the end, an allocation of exabytes, an assertion.
struct DamagedFile: Sendable, CustomTestStringConvertible {
  enum Kind: Int, CaseIterable {
    case counts = 1
    case texts
    case values
    case extents
    case entries
    case places
    case alignments
    case versions
    case hyperparameters
    case vocabularies
    case limits
    case templates
  }

  var name: String
  var words: String
  var bytes: @Sendable () -> [UInt8]

  init(_ name: String, says words: String, _ raw: RawGGUF) {
    (self.name, self.words) = (name, words)
    bytes = { raw.bytes }
  }

  init(_ name: String, says words: String, _ change: @escaping @Sendable (inout TinyModel) -> Void)
  {
    (self.name, self.words) = (name, words)
    bytes = {
      var model = TinyModel()
      change(&model)
      return model.encoded()
    }
  }

  init(_ name: String, says words: String, bytes: @escaping @Sendable () -> [UInt8]) {
    (self.name, self.words, self.bytes) = (name, words, bytes)
  }

  var testDescription: String { name }

  static func files(_ kind: Kind) -> [DamagedFile] {
    switch kind {
    case .counts: counts
    case .texts: texts
    case .values: values
    case .extents: extents
    case .entries: entries
    case .places: places
    case .alignments: alignments
    case .versions: versions
    case .hyperparameters: hyperparameters
    case .vocabularies: vocabularies
    case .limits: limits
    case .templates: templates
    }
  }

  private static let tooMany = "more than the file can hold"

  private static let counts: [DamagedFile] = [
    .init("2^63 metadata pairs", says: tooMany, .header(pairs: 1 << 63)),
    .init("2^64 - 1 metadata pairs", says: tooMany, .header(pairs: .max)),
    .init("2^31 metadata pairs in 24 bytes", says: tooMany, .header(pairs: 1 << 31)),
    .init("2^63 tensors", says: tooMany, .header(tensors: 1 << 63)),
    .init("2^64 - 1 tensors", says: tooMany, .header(tensors: .max)),
    .init(
      "2^40 tensors in 43 bytes", says: tooMany,
      .header(tensors: 1 << 40) { $0.bytes += [UInt8](repeating: 0, count: 19) }),
    .init(
      "one pair more than there is", says: "ends at byte",
      .header(pairs: 2) { raw in
        raw.text("key")
        raw.u32(8)
        raw.text("some text")
      }),
  ]

  private static let texts: [DamagedFile] = [
    .init(
      "a key of 2^63 bytes", says: "claims a length",
      .header(pairs: 1) { raw in
        raw.u64(1 << 63)
        raw.bytes += [UInt8](repeating: 0, count: 16)
      }),
    .init(
      "a key longer than the file", says: "ends at byte",
      .header(pairs: 1) { raw in
        raw.u64(1000)
        raw.bytes += Array(repeating: 65, count: 40)
      }),
    .init("an empty key", says: "key of 0 bytes", .pair("", type: 4) { $0.u32(1) }),
    .init(
      "a key of 65,536 bytes", says: "key of 65536 bytes",
      .pair(String(repeating: "k", count: 65_536), type: 4) { $0.u32(1) }),
    .init("a text of 2^63 bytes", says: "claims a length", .pair("k", type: 8) { $0.u64(1 << 63) }),
    .init(
      "a text of 2^64 - 1 bytes", says: "claims a length", .pair("k", type: 8) { $0.u64(.max) }),
    .init(
      "a text longer than the file", says: "ends at byte",
      .pair("k", type: 8) { raw in
        raw.u64(100)
        raw.bytes += [65]
      }),
    .init(
      "a tensor name of 2^63 bytes", says: "claims a length",
      .header(tensors: 1) { raw in
        raw.u64(1 << 63)
        raw.bytes += [UInt8](repeating: 0, count: 64)
      }),
  ]

  private static let values: [DamagedFile] = [
    .init("value type 13", says: "unknown value type 13", .pair("k", type: 13) { $0.u64(1) }),
    .init("value type 2^32 - 1", says: "unknown value type", .pair("k", type: .max) { $0.u64(1) }),
    .init("a list of 2^61 numbers", says: tooMany, .list(type: 4, count: 1 << 61)),
    .init("a list of 2^62 numbers of 4 bytes", says: tooMany, .list(type: 6, count: 1 << 62)),
    .init("a list of 2^64 - 1 texts", says: tooMany, .list(type: 8, count: .max)),
    .init(
      "a list with a text of 2^64 - 1 bytes", says: "claims a length",
      .list(type: 8, count: 1) { $0.u64(.max) }),
    .init(
      "a list whose last text is cut off", says: "ends at byte",
      .list(type: 8, count: 2) { raw in
        raw.text("whole")
        raw.u64(6)
        raw.bytes += [65, 65, 65]
      }),
    .init(
      "a list of lists", says: "array of arrays",
      .list(type: 9, count: 1) { raw in
        raw.u32(4)
        raw.u64(0)
      }),
    .init("a list of type 99", says: "unknown value type 99", .list(type: 99, count: 0)),
    .init("a number cut off", says: "ends at byte", .pair("k", type: 10) { $0.u32(1) }),
    .init("scores as bytes", says: "list of floating-point numbers") {
      $0.metadata["tokenizer.ggml.scores"] = .bools([Bool](repeating: true, count: 65))
    },
    .init("scores as texts", says: "list of floating-point numbers") {
      $0.metadata["tokenizer.ggml.scores"] = .strings(["0"])
    },
    .init("token types as fractions", says: "list of whole numbers") {
      $0.metadata["tokenizer.ggml.token_type"] = .reals([1])
    },
    .init("tokens as numbers", says: "list of texts") {
      $0.metadata["tokenizer.ggml.tokens"] = .signeds([1])
    },
    .init("merges as one text", says: "list of texts") {
      $0.metadata["tokenizer.ggml.merges"] = .string("Z Z")
    },
    .init("a flag as a text", says: "not true or false") {
      $0.metadata["tokenizer.ggml.add_bos_token"] = .string("yes")
    },
    .init("a template as a number", says: "not text") {
      $0.metadata["tokenizer.chat_template"] = .unsigned(1)
    },
  ]

  private static let extents: [DamagedFile] = [
    .init("an extent of 0", says: "extent of 0", .tensor(shape: [0])),
    .init("an extent of 0 behind another", says: "extent of 0", .tensor(shape: [4, 0])),
    .init("an extent of 2^63", says: "extent of", .tensor(shape: [1 << 63])),
    .init("an extent of 2^64 - 1", says: "extent of", .tensor(shape: [.max])),
    .init(
      "2^42 + 1 by 2^42 elements", says: "extent of", .tensor(shape: [(1 << 42) + 1, 1 << 42])),
    .init("2^32 by 2^32 elements", says: "extent of", .tensor(shape: [1 << 32, 1 << 32])),
    .init(
      "four extents of 2^16", says: "extent of",
      .tensor(shape: [1 << 16, 1 << 16, 1 << 16, 1 << 16])),
    .init("2^61 numbers of 4 bytes", says: "not a whole number", .tensor(shape: [1 << 61])),
    .init("2^62 bytes in rows", says: "not a whole number", .tensor(shape: [4, 1 << 60])),
    .init("2^60 bytes in a file of 4096", says: "ends at byte", .tensor(shape: [1 << 58])),
  ]

  private static let entries: [DamagedFile] = [
    .init("no dimension", says: "0 dimensions", .tensor(shape: [])),
    .init("five dimensions", says: "5 dimensions", .tensor(shape: [1, 1, 1, 1, 1])),
    .init("2^32 - 1 dimensions", says: "dimensions", .tensor(shape: [1], rank: .max)),
    .init("removed type 4", says: "unknown type 4", .tensor(shape: [32], type: 4)),
    .init("removed type 31", says: "unknown type 31", .tensor(shape: [32], type: 31)),
    .init("type 2^32 - 1", says: "unknown type", .tensor(shape: [32], type: .max)),
    .init("a type that is not read", says: "IQ1_S", .tensor(shape: [256], type: 19)),
    .init(
      "a row of 33 in blocks of 32", says: "not a whole number of Q8_0 blocks",
      .tensor(shape: [33], type: 8)),
    .init("a name of 0 bytes", says: "name of 0 bytes", .tensor(name: "", shape: [4])),
    .init(
      "a name of 65 bytes", says: "name of 65 bytes",
      .tensor(name: String(repeating: "n", count: 65), shape: [4])),
    .init(
      "a tensor twice", says: "'w' occurs twice",
      .tensors([("w", [4], 0, 0), ("w", [4], 0, 32)])),
    .init(
      "a key twice", says: "'k' occurs twice",
      .header(pairs: 2) { raw in
        for _ in 0..<2 {
          raw.text("k")
          raw.u32(4)
          raw.u32(1)
        }
      }),
  ]

  private static let places: [DamagedFile] = [
    .init("an offset that is not aligned", says: "not aligned", .tensor(shape: [4], offset: 8)),
    .init("an offset of 2^40", says: "ends at byte", .tensor(shape: [4], offset: 1 << 40)),
    .init(
      "an offset that wraps around", says: "ends at byte",
      .tensor(shape: [4], offset: .max - 31)),
    .init("an offset of 2^63", says: "ends at byte", .tensor(shape: [4], offset: 1 << 63)),
    .init("data that is not all there", says: "ends at byte", .tensor(shape: [4096])),
    .init(
      "tensors that overlap", says: "overlap",
      .tensors([("a", [16], 0, 0), ("b", [16], 0, 32)])),
    .init("tensors at one place", says: "overlap", .tensors([("a", [4], 0, 0), ("b", [4], 0, 0)])),
    .init("no data at all", says: "ends at byte") {
      var raw = RawGGUF.tensor(shape: [4])
      raw.bytes.removeLast(4096)
      return raw.bytes
    },
  ]

  private static func alignment(_ type: UInt32, _ value: (inout RawGGUF) -> Void) -> RawGGUF {
    .pair("general.alignment", type: type, value)
  }

  private static let alignments: [DamagedFile] = [
    .init("an alignment of 0", says: "power of two", alignment(4) { $0.u32(0) }),
    .init("an alignment of 3", says: "power of two", alignment(4) { $0.u32(3) }),
    .init("an alignment of 2^31", says: "power of two", alignment(4) { $0.u32(1 << 31) }),
    .init("an alignment of 2^63", says: "power of two", alignment(10) { $0.u64(1 << 63) }),
    .init("an alignment of -32", says: "power of two", alignment(5) { $0.u32(.max - 31) }),
    .init("an alignment in words", says: "power of two", alignment(8) { $0.text("32") }),
    .init("an alignment of 32.0", says: "power of two", alignment(6) { $0.u32(0x4200_0000) }),
  ]

  private static let versions: [DamagedFile] = [
    .init("version 0", says: "version 0 is not supported", .header(version: 0)),
    .init("version 1", says: "version 1 is not supported", .header(version: 1)),
    .init("version 4", says: "version 4 is not supported", .header(version: 4)),
    .init("version 1000", says: "version 1000 is not supported", .header(version: 1000)),
    .init("big-endian, version 3", says: "big-endian", .header(version: 0x0300_0000)),
    .init("big-endian, version 2", says: "big-endian", .header(version: 0x0200_0000)),
    .init("another format", says: "not a GGUF file", RawGGUF(Array("PK\u{3}\u{4}".utf8))),
    .init("a big-endian magic", says: "not a GGUF file", RawGGUF(Array("FUGG".utf8))),
    .init("one byte", says: "not a GGUF file", RawGGUF([71])),
    .init("the magic alone", says: "ends at byte 4", RawGGUF(Array("GGUF".utf8))),
  ]

  private static let limits: [DamagedFile] = [
    .init("a text above 64 MiB that is all there", says: "claims a length of 67108865 bytes") {
      var raw = RawGGUF.pair("k", type: 8) { $0.u64((64 << 20) + 1) }
      raw.bytes += [UInt8](repeating: 65, count: (64 << 20) + 1)
      return raw.bytes
    },
    .init("a list above 64 MiB that is all there", says: "claims 67108865 elements") {
      var raw = RawGGUF.list(type: 0, count: (64 << 20) + 1)
      raw.bytes += [UInt8](repeating: 1, count: (64 << 20) + 1)
      return raw.bytes
    },
  ]
}
