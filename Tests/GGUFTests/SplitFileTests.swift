import GGUF
import Tensors
import TestSupport
import Testing

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Models that lie in several files.
@Suite struct SplitFileTests {
  /// A folder that is removed when the object goes.
  private final class Folder {
    let path: String

    init() throws {
      let name = "apus-split-\(UInt64.random(in: 0...(.max)))"
      path = FileManager.default.temporaryDirectory.appending(path: name).path
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    func write(_ name: String, _ bytes: [UInt8]) throws {
      try Data(bytes).write(to: URL(filePath: "\(path)/\(name)"))
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  private static let names = (1...3).map { "model-0000\($0)-of-00003.gguf" }

  private static func writer(name: String = "split", tensors: Int = 7) -> GGUFWriter {
    var writer = GGUFWriter()
    writer.set("general.name", .string(name))
    for index in 0..<tensors {
      let values = (0..<6).map { Float(10 * index + $0) }
      writer.add("w\(index)", .f32, [3, 2], ElementType.f32.encoded(values))
    }
    return writer
  }

  /// Three good files, then what `change` does to them.
  private func refusal(
    opening: Int = 0, _ change: (inout [(name: String, bytes: [UInt8])]) -> Void
  ) throws -> String {
    let folder = try Folder()
    var files = Array(zip(Self.names, Self.writer().encoded(shards: 3))).map {
      (name: $0, bytes: $1)
    }
    change(&files)
    for (name, bytes) in files { try folder.write(name, bytes) }
    let path = "\(folder.path)/\(opening < files.count ? files[opening].name : Self.names[opening])"
    let error = #expect(throws: GGUFError.self) { try GGUFFile(path: path) }
    return error.map { "\($0)" } ?? ""
  }

  @Test(arguments: 0..<3) func anyFileOpensTheWholeModel(opened: Int) throws {
    let folder = try Folder()
    for (name, bytes) in zip(Self.names, Self.writer().encoded(shards: 3)) {
      try folder.write(name, bytes)
    }
    let file = try GGUFFile(path: "\(folder.path)/\(Self.names[opened])")
    #expect(try file.text("general.name") == "split")
    #expect(file.tensors.map(\.name) == (0..<7).map { "w\($0)" })
    #expect(file.files.map(\.tensors) == [3, 2, 2])
    #expect(file.files.map(\.path) == Self.names.map { "\(folder.path)/\($0)" })
    #expect(file.fileBytes == file.files.reduce(0) { $0 + $1.bytes })
    for index in 0..<7 {
      let weight = try #require(file.weight(named: "w\(index)"))
      let values = ElementType.f32.decoded(file.bytes(of: weight), count: 6)
      #expect(values == (0..<6).map { Float(10 * index + $0) })
    }
  }

  /// Where a model fits in one file, splitters number it too.
  @Test func oneOfOneIsAWholeModel() throws {
    let disk = TemporaryFile(Self.writer().encoded(shards: 1)[0])
    #expect(try GGUFFile(path: disk.path).tensors.count == 7)
  }

  @Test(arguments: 0..<3) func aMissingFileIsNamed(missing: Int) throws {
    let sentence = try refusal(opening: missing == 0 ? 1 : 0) { files in
      files[missing] = ("another", files[missing].bytes)
      files.swapAt(missing, 2)
    }
    #expect(sentence.contains("split into 3 files") && sentence.contains(Self.names[missing]))
  }

  @Test func aFileWithoutItsNumberIsToldItsName() throws {
    let sentence = try refusal(opening: 1) { $0[1].name = "second.gguf" }
    #expect(sentence.contains("file 2") && sentence.contains("'-00002-of-00003.gguf'"))
  }

  @Test func filesThatDoNotBelongTogetherAreToldApart() throws {
    let other = Self.writer(name: "other").encoded(shards: 3)
    #expect(try refusal { $0[1].bytes = other[2] }.contains("it is file 3 of 3, not 2 of 3"))
    #expect(try refusal { $0[2].bytes = $0[1].bytes }.contains("it is file 2 of 3, not 3 of 3"))
    #expect(try refusal { $0[1].bytes = Self.writer().encoded() }.contains("it is a whole model"))
    #expect(
      try refusal { $0[1].bytes = Self.writer().encoded(shards: 4)[1] }
        .contains("it is file 2 of 4, not 2 of 3"))
    #expect(
      try refusal { $0[2].bytes = Self.writer(tensors: 8).encoded(shards: 3)[2] }
        .contains("'split.tensors.count' is 8 here and 7 there"))
  }

  @Test func metadataThatBothRepeatMustAgree() throws {
    let sentence = try refusal { files in
      var writer = GGUFWriter()
      writer.set("general.name", .string("other"))
      for (key, value) in [("split.no", 1), ("split.count", 3)] {
        writer.set(key, .unsigned(UInt64(value)))
      }
      files[1].bytes = writer.encoded()
    }
    #expect(sentence.contains("'general.name' is other here and split there"))
  }

  @Test func aTensorIsInOneFileOnly() throws {
    let sentence = try refusal { files in
      var writer = GGUFWriter()
      for (key, value) in [("split.no", 1), ("split.count", 3)] {
        writer.set(key, .unsigned(UInt64(value)))
      }
      writer.add("w0", .f32, [1], ElementType.f32.encoded([1]))
      writer.add("x", .f32, [1], ElementType.f32.encoded([1]))
      files[1].bytes = writer.encoded()
    }
    #expect(sentence.contains("both hold the tensor 'w0'"))
  }

  @Test(arguments: [
    ("split.count", MetadataValue.unsigned(0)), ("split.count", .unsigned(100_000)),
    ("split.count", .signed(-2)), ("split.count", .string("three")), ("split.no", .unsigned(3)),
    ("split.no", .signed(-1)), ("split.no", .real(1)), ("split.no", nil),
    ("split.tensors.count", .unsigned(8)), ("split.tensors.count", .string("x")),
  ])
  func numbersThatCannotBe(key: String, value: MetadataValue?) throws {
    let sentence = try refusal { files in
      var pairs: [(String, MetadataValue)] = [
        ("split.no", .unsigned(0)), ("split.count", .unsigned(3)),
      ]
      pairs.removeAll { $0.0 == key }
      if let value { pairs.append((key, value)) }
      var writer = GGUFWriter()
      for (key, value) in pairs { writer.set(key, value) }
      files[0].bytes = writer.encoded()
    }
    #expect(sentence.contains("'\(key)' is"), "\(sentence)")
  }

  @Test func aDamagedFileAmongThemIsNamed() throws {
    let sentence = try refusal { $0[2].bytes.removeLast(40) }
    #expect(sentence.contains("\(Self.names[2]): the file ends at byte"))
  }

  @Test func bytesInMemoryHaveNoSiblings() throws {
    let bytes = Self.writer().encoded(shards: 3)[0]
    let error = #expect(throws: GGUFError.self) {
      try GGUFFile(bytes: bytes, path: Self.names[0])
    }
    #expect(error.map { "\($0)".contains("only one of them is in memory") } == true)
    #expect(try GGUFFile(bytes: Self.writer().encoded(), path: "x").tensors.count == 7)
  }
}
