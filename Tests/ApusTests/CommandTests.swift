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

  private func run(_ arguments: [String], input: String = "") throws -> Answer {
    let source = TemporaryFile(Array(input.utf8))
    let (output, notes) = (TemporaryFile([]), TemporaryFile([]))
    let process = try start(
      arguments, [(source.path, O_RDONLY), (output.path, O_WRONLY), (notes.path, O_WRONLY)])
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
  private func start(_ arguments: [String], _ files: [(path: String, flags: Int32)]) throws -> pid_t
  {
    let command = try #require(Self.command, "there is no apus beside the tests")
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

  @Test func kernelsAreWrittenIntoFiles() throws {
    let disk = TinyModel().write()
    let folder = TemporaryFile([])
    let arguments = ["run", disk.path, "-p", "HELLO", "-n", "2", "--dump-kernel", "add"]
    let none = try run(arguments + ["--device", "cpu"])
    #expect(none.status == 1 && none.notes.contains("no kernel of this run is named 'add'"))
    #expect(none.notes.contains("(cpu) build no programs"))
    guard SmolLM2.hasOpenCL else { return }
    let wrong = try run([
      "run", disk.path, "-p", "HELLO", "-n", "2", "--device", "opencl:0", "--dump-kernel",
      "subtract",
    ])
    #expect(wrong.status == 1 && wrong.notes.contains("there are "))
    #expect(wrong.notes.contains("pointwise/add (add)"))
    unlink(folder.path)
    mkdir(folder.path, 0o700)
    let right = try run(arguments + ["--device", "opencl:0", "--dump-folder", folder.path])
    #expect(right.status == 0, "\(right.notes)")
    let stem = "\(folder.path)/opencl-0-pointwise-add-0"
    let source = String(decoding: try Fixtures.bytes("\(stem).cl"), as: UTF8.self)
    let about = String(decoding: try Fixtures.bytes("\(stem).txt"), as: UTF8.self)
    #expect(source.contains("kernel void add("))
    #expect(about.contains("options: -cl-std=CL1.2") && about.contains("build: CL_SUCCESS"))
    unlink("\(stem).cl")
    unlink("\(stem).txt")
    rmdir(folder.path)
  }

  @Test func aProfileIsPrintedAndWritten() throws {
    let disk = TinyModel().write()
    let (trace, page) = (TemporaryFile([]), TemporaryFile([]))
    let answer = try run([
      "profile", disk.path, "-p", "HELLO", "-n", "3", "--device", "cpu", "--by", "op",
      "--trace", trace.path, "--html", page.path,
    ])
    #expect(answer.status == 0, "\(answer.notes)")
    for words in [
      "at best ", "prefill: 5 tokens in 1 steps", "decode: 2 tokens in 2 steps", "ffn_up",
    ] {
      #expect(answer.output.contains(words), "\(words)")
    }
    #expect(try Fixtures.bytes(trace.path).starts(with: Array("{\"displayTimeUnit\"".utf8)))
    #expect(try Fixtures.bytes(page.path).starts(with: Array("<!DOCTYPE html>".utf8)))
    let json = try run([
      "profile", disk.path, "-p", "HELLO", "-n", "3", "--device", "cpu", "--json",
    ])
    #expect(json.status == 0 && json.output.contains("\"phase\":\"decode\""))
    #expect(json.output.contains("\"title\":"))
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

  /// What llama-bench's users paste, without a file.
  @Test func aBenchmarkIsATableOrJSON() throws {
    let arguments = [
      "bench", "--random", "tiny-q4_0", "--device", "cpu", "-t", "1", "-p", "8", "-n", "4", "-d",
      "0,9",
      "-r", "2", "--no-probe",
    ]
    let table = try run(arguments)
    let lines = table.output.split(separator: "\n")
    #expect(table.status == 0 && table.notes.isEmpty, "\(table.notes)")
    #expect(lines[0].hasPrefix("| model ") && lines[1].hasPrefix("| ---") && lines.count == 8)
    for (line, name) in zip(lines[2...], ["pp8", "tg4", "pp8 @ d9", "tg4 @ d9"]) {
      #expect(line.contains(" \(name) |") && line.contains("| llama 90K Q4_0 "))
    }
    #expect(lines[6].hasPrefix("cpu: ") && lines[7].hasPrefix("host: "))
    let json = try run(arguments + ["-o", "json"])
    #expect(json.status == 0 && json.output.hasPrefix("[{") && json.output.hasSuffix("}]\n"))
    #expect(json.output.split(separator: "\"n_depth\":9,").count == 3)
    let refused = try run(["bench", "--random", "tiny-q9"])
    #expect(refused.status == 64 && refused.notes.contains("shapes are tiny, smollm2-135m"))
  }

  /// tools/peers lets programs measure in turn: a line of input starts each measurement.
  @Test func aBenchmarkWaitsForItsTurn() throws {
    let answer = try run(
      [
        "bench", "--random", "tiny-q4_0", "--device", "cpu", "-p", "8", "-n", "0", "-r", "100",
        "--paced",
      ], input: "go\ngo\n")
    let lines = answer.output.split(separator: "\n")
    #expect(answer.status == 0 && lines.count == 3 && lines.first == "ready")
    #expect(lines.dropFirst().allSatisfy { Int($0).map { $0 > 0 } ?? false })
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
