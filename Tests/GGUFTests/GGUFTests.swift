import GGUF
import Tensors
import TestSupport
import Testing

@Suite struct GGUFTests {
  @Test func readsWhatTheWriterWrote() throws {
    let values: [(String, MetadataValue)] = [
      ("a", .unsigned(7)), ("b", .unsigned(1 << 40)), ("c", .signed(-3)), ("d", .real(0.5)),
      ("e", .bool(true)), ("f", .string("héllo")), ("g", .strings(["x", ""])),
      ("h", .signeds([-1, 2])), ("i", .reals([0.25])), ("j", .bools([true, false])),
    ]
    var writer = GGUFWriter()
    for (key, value) in values { writer.set(key, value) }
    writer.add("w", .f32, [3, 2], ElementType.f32.encoded([1, 2, 3, 4, 5, 6]))
    writer.add("v", .q8_0, [32], ElementType.q8_0.encoded([Float](repeating: 1, count: 32)))
    let disk = TemporaryFile(writer.encoded())
    let file = try GGUFFile(path: disk.path)
    #expect(file.metadata.keys == values.map(\.0))
    for (key, value) in values { #expect(file.metadata[key] == value, "\(key)") }
    let weight = try #require(file.weight(named: "w"))
    #expect(weight.rows == 2 && weight.width == 3)
    #expect(ElementType.f32.decoded(file.bytes(of: weight), count: 6) == [1, 2, 3, 4, 5, 6])
    let slice = try #require(weight.slice(rows: 1..<2))
    #expect(ElementType.f32.decoded(file.bytes(of: slice), count: 3) == [4, 5, 6])
    #expect(file.tensor(named: "v")?.type == .q8_0)
    #expect(file.weight(named: "absent") == nil)
  }

  @Test func typedLookUpsSayWhatIsThere() throws {
    var writer = GGUFWriter()
    writer.set("n", .string("five"))
    writer.set("big", .unsigned(.max))
    let disk = TemporaryFile(writer.encoded())
    let file = try GGUFFile(path: disk.path)
    #expect(throws: GGUFError.self) { try file.integer("n") }
    #expect(throws: GGUFError.self) { try file.integer("big") }
    #expect(throws: GGUFError.self) { try file.flag("n") }
    #expect(try file.integer("absent") == nil)
  }

  @Test func refusesWhatIsNoFile() {
    for path in ["/nonexistent/model.gguf", "/tmp", "/dev/null"] {
      #expect(throws: GGUFError.self) { try GGUFFile(path: path) }
    }
  }

  /// Cut off anywhere, a file is refused and nothing traps.
  @Test func refusesEveryTruncation() {
    let bytes = TinyModel().encoded()
    // Padding behind the last tensor may be absent.
    let last = bytes.count - 32
    for length in Array(0..<min(2000, last)) + Array(stride(from: 2000, to: last, by: 97)) {
      #expect(throws: GGUFError.self, "length \(length)") {
        try GGUFFile(bytes: Array(bytes[..<length]), path: "cut.gguf")
      }
    }
  }

  /// With any byte of the head changed, a file is read or refused, and nothing traps.
  @Test func survivesEveryFlippedByte() throws {
    var model = TinyModel()
    model.layers = 1
    let bytes = model.encoded()
    let first = try #require(GGUFFile(bytes: bytes, path: "whole.gguf").tensors.first?.offset)
    var refused = 0
    for index in 0..<first {
      for flip: UInt8 in [0x01, 0x80, 0xFF] {
        var damaged = bytes
        damaged[index] ^= flip
        do {
          let file = try GGUFFile(bytes: damaged, path: "flipped.gguf")
          for tensor in file.tensors { #expect(file.bytes(of: tensor).count == tensor.bytes) }
        } catch { refused += 1 }
      }
    }
    #expect(refused > 500)
  }
}
