import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The command as users start it: what comes on which stream, and with which exit code.
@Suite(.serialized) struct CommandTests {
  private struct Answer {
    var status: Int32
    var output: String
    var notes: String
  }

  /// The command lies beside the bundle of the tests, which the arguments of this process name.
  private static let command: String? = {
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
    let folder = bundle?.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    return folder.map { ($0 + ["apus"]).joined(separator: "/") }
  }()

  private func run(_ arguments: [String]) throws -> Answer {
    let command = try #require(Self.command, "there is no apus beside the tests")
    let (output, notes) = (TemporaryFile([]), TemporaryFile([]))
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.path, O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, notes.path, O_WRONLY, 0)
    let words = ([command] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var process = pid_t()
    try #require(posix_spawn(&process, command, &actions, nil, words, environ) == 0)
    var status: Int32 = 0
    waitpid(process, &status, 0)
    return Answer(
      status: status >> 8 & 0xFF,
      output: String(decoding: try Fixtures.bytes(output.path), as: UTF8.self),
      notes: String(decoding: try Fixtures.bytes(notes.path), as: UTF8.self))
  }

  /// A base model brings no chat template: the text is continued, and that is said.
  @Test func aModelWithoutATemplateContinuesTheText() throws {
    let disk = TinyModel().write()
    let arguments = [
      "run", disk.path, "-p", "HELLO", "-n", "6", "--temperature", "0", "--device", "reference",
    ]
    let plain = try run(arguments)
    let raw = try run(arguments + ["--raw"])
    #expect(plain.status == 0 && raw.status == 0)
    #expect(plain.notes.contains("apus: the model has no chat template; continuing raw text\n"))
    #expect(!raw.notes.contains("chat template"))
    #expect(plain.output == raw.output && plain.output.utf8.count > 6)
  }

  @Test func aDamagedFileIsOneSentence() throws {
    let disk = TemporaryFile(Array("GGUF\u{1}\0\0\0".utf8))
    let answer = try run(["inspect", disk.path])
    #expect(answer.status == 1 && answer.output.isEmpty)
    #expect(answer.notes.contains("version 1 is not supported"))
  }
}
