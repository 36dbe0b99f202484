import CLI
import Testing

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

@Suite struct LineHistoryTests {
  @Test func entriesComeBackInTheNextSession() throws {
    let folder =
      FileManager.default.temporaryDirectory.path + "/apus-history-\(UInt64.random(in: 0...(.max)))"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/state/apus/chat-history"
    let history = LineHistory(path: path)
    #expect(history.load() == [])
    let texts = ["one", "two\nlines \\ and \\n", "drei é 日本"]
    for text in texts { try history.append(text) }
    #expect(LineHistory(path: path).load() == texts)
    let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    #expect(mode.map { $0 & 0o077 } == 0)
  }

  @Test func aLongFileIsShortened() throws {
    let path =
      FileManager.default.temporaryDirectory.path
      + "/apus-history-\(UInt64.random(in: 0...(.max)))"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let lines = (0..<3000).map { "entry \($0)" }
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: path))
    #expect(LineHistory(path: path).load() == lines.suffix(1000))
    #expect(try Data(contentsOf: URL(filePath: path)).count < 20_000)
  }

  @Test func aFileThatCannotBeWrittenIsAnError() {
    #expect(throws: (any Error).self) { try LineHistory(path: "/proc/none/x").append("a") }
    #expect(LineHistory(path: "/proc/none/x").load() == [])
  }
}
