import GGUF
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

  /// Runs the command to its end; `environment` has arguments of `env`.
  private func run(
    _ arguments: [String], input: String = "", environment: [String] = []
  ) throws -> Answer {
    let source = TemporaryFile(Array(input.utf8))
    let (output, notes) = (TemporaryFile([]), TemporaryFile([]))
    let process = try start(
      arguments, [(source.path, O_RDONLY), (output.path, O_WRONLY), (notes.path, O_WRONLY)],
      environment: environment)
    return Answer(
      status: exitCode(process),
      output: String(decoding: try Fixtures.bytes(output.path), as: UTF8.self),
      notes: String(decoding: try Fixtures.bytes(notes.path), as: UTF8.self))
  }

  private func exitCode(_ process: pid_t) -> Int32 {
    var status: Int32 = 0
    waitpid(process, &status, 0)
    return status >> 8 & 0xFF
  }

  /// Starts the command with three files as its input, output and notes.
  private func start(
    _ arguments: [String], _ files: [(path: String, flags: Int32)], environment: [String] = []
  ) throws -> pid_t {
    let apus = try #require(Self.command, "there is no apus beside the tests")
    let command = environment.isEmpty ? apus : "/usr/bin/env"
    let arguments = environment.isEmpty ? arguments : environment + [apus] + arguments
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (number, file) in files.enumerated() {
      posix_spawn_file_actions_addopen(&actions, Int32(number), file.path, file.flags, 0)
    }
    let words = ([command] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var process = pid_t()
    try #require(posix_spawn(&process, command, &actions, nil, words, environ) == 0)
    return process
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

  @Test func theDiskCacheIsListedAndCleared() throws {
    let folder = TemporaryFolder()
    let model = TinyModel().write()
    let environment = ["APUS_CACHE=\(folder.path)"]
    let generate = ["run", model.path, "-p", "HELLO", "-n", "2", "--temp", "0"]
    func cache(_ arguments: String...) throws -> Answer {
      try run(["cache"] + arguments, environment: environment)
    }
    /// What is kept, as the lines of the table count it.
    func entries() throws -> Int {
      let answer = try cache("list")
      #expect(answer.status == 0 && answer.output.contains("\(folder.path)/programs: "))
      return answer.output.split(separator: "\n").count {
        $0.contains(" ago") || $0.contains("now")
      }
    }
    #expect(try entries() == 0)
    let first = try run(generate + ["--device", "cpu"], environment: environment)
    #expect(first.status == 0)
    #expect(try entries() == 1, "the verdict of the self-test")
    #expect(try cache("list").output.contains("self-test of"))
    // Two at once write the same, and the third takes what they wrote.
    let other = ["--no-disk-cache", "--device", "cpu"]
    #expect(try cache("clear").output == "removed 1 entries\n")
    #expect(try run(generate + other, environment: environment).output == first.output)
    #expect(try entries() == 0, "--no-disk-cache keeps nothing")
    let nothing = [("/dev/null", O_RDONLY), ("/dev/null", O_WRONLY), ("/dev/null", O_WRONLY)]
    let both = try (0..<2).map { _ in try start(generate, nothing, environment: environment) }
    for process in both { #expect(exitCode(process) == 0) }
    let kept = try entries()
    #expect(kept >= 1)
    let third = try run(generate, environment: environment)
    #expect(third.status == 0 && third.output == first.output)
    #expect(try entries() == kept)
    let json = try cache("list", "--json").output
    #expect(json.contains("\"entries\":[{") && json.contains("\"age_seconds\":"))
    #expect(try cache("clear", "--json").output == "{\"removed\":\(kept)}\n")
    #expect(try entries() == 0)
  }

  /// Nothing about the folder keeps anybody from an answer.
  @Test func aCacheThatCannotBeUsedIsASentence() throws {
    let folder = TemporaryFolder()
    let model = TinyModel().write()
    let generate = [
      "run", model.path, "-p", "HELLO", "-n", "2", "--temp", "0", "--device", "cpu",
    ]
    let usual = try run(generate + ["--no-disk-cache"])
    let homeless = ["-u", "HOME", "-u", "XDG_CACHE_HOME", "-u", "APUS_CACHE"]
    for (environment, reason) in [
      (homeless, "set HOME"), (["APUS_CACHE=/proc/apus"], "cannot be opened"),
      (["APUS_CACHE=\(folder.path)/link"], "symbolic link"),
    ] {
      mkdir("\(folder.path)/link", 0o700)
      symlink("/tmp", "\(folder.path)/link/programs")
      let answer = try run(generate, environment: environment)
      #expect(answer.status == 0 && answer.output == usual.output)
      let list = try run(["cache", "list"], environment: environment)
      #expect(list.status == 0 && list.notes.contains(reason), "\(list.notes)")
      let clear = try run(["cache", "clear"], environment: environment)
      #expect(clear.status == 1 && clear.notes.contains(reason))
    }
  }

  /// A model that can hold a conversation: each message behind a mark, an answer behind another.
  private var talker: TemporaryFile {
    var tiny = TinyModel()
    tiny.metadata["tokenizer.chat_template"] = .string(
      "{% for m in messages %}#{{ m.content }}{% endfor %}>")
    return tiny.write()
  }

  @Test func linesOfAPipeAreMessages() throws {
    let disk = talker
    let saved = TemporaryFile([])
    let arguments = ["chat", disk.path, "--device", "cpu", "--temp", "0", "-n", "4", "--timings"]
    let answer = try run(
      arguments, input: "HELLO\n\n/save \(saved.path)\nAND \\\nMORE\r\n/exit\nNEVER\n")
    #expect(answer.status == 0 && answer.output.split(separator: "\n").count == 2)
    #expect(!answer.output.contains("\u{1B}") && !answer.output.contains("> "))
    #expect(answer.notes.contains("saved 2 messages") && answer.notes.contains("computed before"))
    // What was saved goes on as if it had not been interrupted.
    let again = try run(arguments + ["--load-chat", saved.path], input: "AND \\\nMORE\n")
    #expect(again.status == 0)
    #expect(again.output == answer.output.drop { $0 != "\n" }.dropFirst())
    // A script notices what went wrong.
    for input in ["/nothing\n", "/load /nonexistent\n", String(repeating: "A", count: 70)] {
      let failure = try run(arguments, input: input)
      #expect(failure.status == 1 && failure.output.isEmpty && failure.notes.contains("Error: "))
    }
  }

  @Test func aModelWithoutATemplateHoldsNoConversation() throws {
    let disk = TinyModel().write()
    let answer = try run(["chat", disk.path, "--device", "cpu"], input: "HELLO\n")
    #expect(answer.status == 1 && answer.output.isEmpty)
    #expect(
      answer.notes.contains("has no chat template") && answer.notes.contains("apus run --raw"))
  }

  @Test(arguments: [
    "--temp=-1", "--top-k=-1", "--top-p=2", "--min-p=nan", "--typical=0", "--xtc-probability=2",
    "--xtc-threshold=-1", "--presence-penalty=inf", "--frequency-penalty=nan", "--repeat-last-n=-1",
    "--dry-multiplier=nan", "--dry-base=0.5", "--dry-allowed-length=-1", "--dry-penalty-last-n=-1",
    "--dry-sequence-breaker=", "--logit-bias=5", "--logit-bias=5+nan", "--logit-bias=x+1",
    "--repeat-penalty=0", "--top-k=99999999999999999999",
  ])
  func aSenselessOptionIsWrongUsage(option: String) throws {
    let answer = try run(["run", "/nonexistent.gguf", "-p", "A", option])
    #expect(answer.status == 64 && answer.notes.hasPrefix("Error: "), "\(answer.notes)")
  }

  /// The editor on a terminal: keys are drawn, messages answered, and the terminal is as it was.
  @Test func aTerminalIsLeftAsItWasFound() throws {
    let disk = talker
    let (master, name) = try pseudoTerminal()
    defer { close(master) }
    let slave = open(name, O_RDWR | O_NOCTTY)
    try #require(slave >= 0)
    defer { close(slave) }
    func mode() -> [tcflag_t] {
      var state = termios()
      tcgetattr(slave, &state)
      return [state.c_iflag, state.c_oflag, state.c_cflag, state.c_lflag]
    }
    let before = mode()
    setenv("TERM", "xterm", 1)
    let process = try start(
      ["chat", disk.path, "--device", "cpu", "--temp", "0", "-n", "4", "--no-history"],
      [(name, O_RDWR), (name, O_RDWR), (name, O_RDWR)])
    var seen = ""
    /// Reads until the terminal shows `text`, for half a minute at most.
    func wait(for text: String) {
      var chunk = [UInt8](repeating: 0, count: 4096)
      for _ in 0..<300 where !seen.contains(text) {
        var file = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
        guard poll(&file, 1, 100) > 0 else { continue }
        let count = read(master, &chunk, chunk.count)
        guard count > 0 else { return }
        seen += String(decoding: chunk[..<count], as: UTF8.self)
      }
      #expect(seen.contains(text), "\(seen)")
    }
    func type(_ keys: String) { _ = write(master, keys, keys.utf8.count) }
    wait(for: "> ")
    #expect(mode() != before)
    // HELXO, a step back, X deleted, L put in its place.
    type("HELXO\u{1B}[D\u{7F}L")
    wait(for: "> HELLO")
    seen = ""
    type("\r")
    wait(for: "apus: stopped at the token limit")
    wait(for: "> ")
    type("\u{04}")
    #expect(exitCode(process) == 0 && mode() == before)
  }
}

/// The master end of a new terminal and the path of the other end.
private func pseudoTerminal() throws -> (master: Int32, path: String) {
  let master = open("/dev/ptmx", O_RDWR | O_NOCTTY)
  try #require(master >= 0)
  #if os(Linux)
    // posix_openpt and its kin are not in what Swift sees of Glibc: TIOCSPTLCK, then TIOCGPTN.
    var lock: Int32 = 0
    var number: UInt32 = 0
    try #require(ioctl(master, 0x4004_5431, &lock) == 0 && ioctl(master, 0x8004_5430, &number) == 0)
    return (master, "/dev/pts/\(number)")
  #else
    try #require(grantpt(master) == 0 && unlockpt(master) == 0)
    return (master, String(cString: try #require(ptsname(master))))
  #endif
}
