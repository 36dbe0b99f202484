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
  struct Answer {
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
  func run(
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

  /// As a shell has it: 128 and the number of the signal that ended the process, else its own.
  private func exitCode(_ process: pid_t) -> Int32 {
    var status: Int32 = 0
    waitpid(process, &status, 0)
    return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + (status & 0x7F)
  }

  /// Starts the command with three files as its input, output and notes, or with an output that is
  /// open already; `environment` has arguments of `env`.
  private func start(
    _ arguments: [String], _ files: [(path: String, flags: Int32)], output: Int32? = nil,
    environment: [String] = []
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
    if let output { posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO) }
    let words = ([command] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var process = pid_t()
    try #require(posix_spawn(&process, command, &actions, nil, words, environ) == 0)
    return process
  }

  /// Which tokens of the cache are read: budgets that cannot be are refused in a sentence, and the
  /// placement report says what each layer reads.
  @Test func cachePoliciesAreCheckedAndShown() throws {
    var tiny = TinyModel()
    tiny.layers = 4
    let disk = tiny.write()
    let start = ["run", disk.path, "-p", "HELLO", "-n", "3", "--device", "reference"]
    let wrong: [([String], String)] = [
      (["--kv-policy", "quest"], "needs --kv-budget"),
      (["--kv-budget", "64"], "full reads all tokens"),
      (["--kv-policy", "sinks", "--kv-budget", "32"], "48 tokens are the least"),
      (
        ["--kv-policy", "sinks", "--kv-budget", "64", "--kv-type", "q4"],
        "80 tokens are the least, 5 pages"
      ),
      (["--kv-policy", "random", "--kv-budget", "50"], "48 is one"),
      (["--kv-policy", "quest", "--kv-budget", "\(Int.max)"], "no whole number of pages"),
      (["--kv-policy", "best", "--kv-budget", "64"], "--kv-policy"),
      (["--kv-policy", "quest", "--kv-budget", "many"], "--kv-budget"),
      (["--kv-policy", "snapkv"], "needs --kv-budget"),
      (["--kv-policy", "zipvl", "--kv-budget", "48", "--tau", "2"], "above 0 and 1 at most"),
      (["--kv-policy", "snapkv", "--kv-budget", "48", "--tau", "1"], "or --kv-policy zipvl"),
      (
        ["--kv-policy", "h2o", "--kv-budget", "48", "--session", disk.path + ".kv"],
        "--kv-policy h2o drops a part"
      ),
    ]
    for (words, sentence) in wrong {
      let answer = try run(start + words)
      #expect(answer.status != 0 && answer.output.isEmpty, "\(words)")
      #expect(answer.notes.contains(sentence), "\(answer.notes)")
    }
    let quest = ["--kv-policy", "quest", "--kv-budget", "48"]
    #expect(try run(start + quest).status == 0)
    // More than there can be is all.
    for policy in ["quest", "sinks", "pyramid", "zipvl"] {
      let most = ["--kv-policy", policy, "--kv-budget", "\(Int.max / 16 * 16)"]
      let likeliest = start + ["--temperature", "0"]
      #expect(try run(likeliest + most).output == run(likeliest).output)
    }
    let report = try run(start + quest + ["--placement"]).output.split(separator: "\n")
    func line(_ words: String...) -> Bool {
      report.contains { line in words.allSatisfy { line.contains($0) } }
    }
    // The first two layers read all, the others what is chosen.
    #expect(line("attend", "quest, 48 tokens", "  2  "), "\(report)")
    #expect(line("score_pages", "  2  ") && line("choose_pages", "  2  "))
    #expect(line("all tokens of a prompt", "  2  ") && line("all tokens  ", "  2  "))
    let pyramid = ["--kv-policy", "pyramid", "--kv-budget", "48", "--placement"]
    let kept = try run(start + pyramid).output
    #expect(kept.contains("pyramid, 48 tokens of a prompt and all behind it"), "\(kept)")
    let zipvl = ["--kv-policy", "zipvl", "--kv-budget", "48", "--placement"]
    #expect(try run(start + zipvl).output.contains("zipvl, 48 tokens on average of a prompt"))
    #expect(
      try run(start + zipvl + ["--tau", "0.9"]).output.contains(
        "zipvl, at most 48 tokens on average, tau 0.9, of a prompt"))
    let full = try run(start + ["--placement"]).output
    #expect(full.contains("all tokens") && !full.contains("prompt"))
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

  // MARK: What a file says of itself

  /// A model whose every text could steer a terminal, by escapes and by C1 controls.
  private var steering: TinyModel {
    var tiny = TinyModel()
    tiny.metadata["general.name"] = .string("\u{1B}[2Jred\u{9B}31m\u{7}\napus: said by nobody")
    tiny.metadata["general.\u{1B}]0;key\u{7}"] = .string("a\u{8}b\tc\nd\u{85}")
    return tiny
  }

  private func expectNoControls(_ text: String) {
    #expect(
      text.unicodeScalars.allSatisfy {
        $0 == "\n" || $0.properties.generalCategory != .control
      }, "\(text.debugDescription)")
  }

  @Test func controlsOfAFileAreWrittenOut() throws {
    let disk = steering.write()
    let table = try run(["inspect", disk.path, "--tensors", "--graph"])
    #expect(table.status == 0)
    #expect(table.output.contains(#"\x1b[2Jred\x9b31m\x07⏎apus: said by nobody"#))
    #expect(table.output.contains(#"a\x08b\tc⏎d\x85"#))
    expectNoControls(table.output)
    // JSON says the same in its own way.
    let json = try run(["inspect", disk.path, "--json"])
    expectNoControls(json.output)
    #expect(json.output.contains(#"\u001b[2Jred\u009b31m\u0007\napus"#))

    let plan = try run(["plan", disk.path, "--device", "cpu"])
    let reply = try run(["run", disk.path, "-p", "A", "-n", "1", "--device", "cpu"])
    #expect(plan.status == 0 && reply.status == 0)
    for text in [plan.output, reply.notes] {
      expectNoControls(text)
      #expect(text.contains(#"\x1b[2Jred"#) && !text.contains("\napus: said by nobody"))
    }
  }

  @Test func controlsInAnErrorAreWrittenOut() throws {
    var tiny = steering
    tiny.metadata["general.architecture"] = .string("\u{1B}[31mlla\u{9D}ma")
    let unknown = tiny.write()
    tiny = steering
    tiny.metadata["tokenizer.chat_template"] = .string(
      "{{ raise_exception('\u{1B}[31mno\u{9C}') }}")
    let failing = tiny.write()
    for arguments in [
      ["run", unknown.path, "-p", "A"], ["plan", unknown.path],
      ["run", failing.path, "-p", "A", "--device", "cpu"],
      ["inspect", "/nonexistent/\u{1B}[31m.gguf"],
    ] {
      let answer = try run(arguments)
      #expect(answer.status == 1 && answer.notes.contains(#"\x1b[31m"#), "\(answer.notes)")
      expectNoControls(answer.notes)
    }
  }

  /// A program gets what the model said, a person what can be shown.
  @Test func anAnswerDoesNotSteerATerminal() throws {
    var tiny = TinyModel()
    var tokens = tiny.tokens
    // The escape character in the alphabet of byte-level vocabularies, and a C1 control's two bytes.
    (tokens[5], tokens[6]) = ("\u{11B}[31m", "\u{C2}\u{139}")
    tiny.metadata["tokenizer.ggml.tokens"] = .strings(tokens)
    let disk = tiny.write()
    for (token, said, shown) in [(5, "\u{1B}[31m", "[31m"), (6, "\u{97}", "")] {
      let arguments = [
        "run", disk.path, "-p", "A", "-n", "1", "--temp", "0", "--device", "cpu",
        "--logit-bias", "\(token)+10000",
      ]
      let answer = try run(arguments)
      #expect(answer.status == 0 && answer.output == said + "\n")
      let (master, name) = try pseudoTerminal()
      defer { close(master) }
      let slave = open(name, O_RDWR | O_NOCTTY)
      try #require(slave >= 0)
      defer { close(slave) }
      let notes = TemporaryFile([])
      let process = try start(
        arguments, [("/dev/null", O_RDONLY), (name, O_RDWR), (notes.path, O_WRONLY)])
      #expect(exitCode(process) == 0)
      var chunk = [UInt8](repeating: 0, count: 100)
      let count = read(master, &chunk, chunk.count)
      #expect(String(decoding: chunk[..<max(0, count)], as: UTF8.self) == shown + "\r\n")
    }
  }

  // MARK: Where output goes

  /// Every command, also those that only print help.
  private func commands(_ path: String) -> [[String]] {
    [
      ["run", path, "-p", "A", "-n", "2", "--device", "cpu"],
      ["run", path, "-p", "A", "-n", "2", "--device", "cpu", "--json"],
      ["run", path, "--placement", "--device", "cpu"], ["inspect", path],
      ["inspect", path, "--json"],
      ["bench", path, "-p", "2", "-n", "0", "-r", "1", "--device", "cpu"],
      ["tokenize", path, "-p", "A"], ["tokenize", path, "-p", "A", "--json"],
      ["plan", path, "--device", "cpu"], ["devices"], ["devices", "--json"],
      ["devices", "--check", "--tiny", "--device", "cpu"],
      ["perplexity", path, "-f", path, "-c", "4", "--windows", "1", "--device", "cpu"],
      [
        "eval", "copy", path, "-f", path, "-c", "32", "--score", "4", "--windows", "2",
        "--policies", "full", "--device", "cpu",
      ],
      ["chat", path, "-n", "1", "--device", "cpu"], ["--help"], ["help", "run"], ["--version"],
      ["--generate-completion-script", "bash"],
    ]
  }

  #if os(Linux)
    @Test func aFullDiskIsAFailure() throws {
      let disk = talker
      let (input, notes) = (TemporaryFile(Array("A\nB\n".utf8)), TemporaryFile([]))
      for arguments in commands(disk.path) {
        let process = try start(
          arguments,
          [(input.path, O_RDONLY), ("/dev/full", O_WRONLY), (notes.path, O_WRONLY | O_TRUNC)])
        #expect(exitCode(process) == 1, "\(arguments)")
        let words = String(decoding: try Fixtures.bytes(notes.path), as: UTF8.self)
        #expect(
          words.hasSuffix("Error: standard output cannot be written: No space left on device\n"),
          "\(arguments): \(words)")
      }
    }

    @Test func aReaderThatWentAwayIsNoFailure() throws {
      let disk = talker
      let (input, notes) = (TemporaryFile(Array("A\nB\n".utf8)), TemporaryFile([]))
      for arguments in commands(disk.path) {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0 && close(ends[0]) == 0)
        defer { close(ends[1]) }
        let process = try start(
          arguments,
          [(input.path, O_RDONLY), ("/dev/null", O_WRONLY), (notes.path, O_WRONLY | O_TRUNC)],
          output: ends[1])
        #expect(exitCode(process) == 0, "\(arguments)")
        let words = String(decoding: try Fixtures.bytes(notes.path), as: UTF8.self)
        #expect(!words.contains("Error") && !words.contains("tokens/s"), "\(arguments): \(words)")
      }
    }
  #endif

  // MARK: Options

  /// As llama.cpp's users type them: a minus sign needs no equals sign.
  @Test func valuesMayBeginWithAMinus() throws {
    let disk = talker
    func reply(_ more: String...) throws -> Answer {
      try run(["run", disk.path, "-c", "32", "--device", "cpu", "--json"] + more)
    }
    let endless = try reply("-p", "-A", "-n", "-1", "-s", "-1", "--logit-bias", "64-inf")
    #expect(endless.status == 0, "\(endless.notes)")
    #expect(endless.output.contains(#""finish":"context_full""#), "\(endless.output)")
    #expect(try reply("-p", "A", "--predict", "-1", "--seed", "-1", "--system", "-").status == 0)
    #expect(try reply("-p", "A", "-n", "2", "--stop", "-", "--stop", "--").status == 0)
    for wrong in [["-n", "-2"], ["-n", "0"], ["-n", "x"], ["-s", "-2"], ["-s", "x"]] {
      let answer = try run(["run", disk.path, "-p", "A"] + wrong)
      #expect(answer.status == 64 && answer.notes.hasPrefix("Error: "), "\(wrong) \(answer.notes)")
    }
  }

  /// A seed is a seed, and -1 is another one each time.
  @Test func seedsAreChosenOrDrawn() throws {
    let disk = talker
    func text(_ seed: String) throws -> String {
      try run(
        [
          "run", disk.path, "-p", "A", "-n", "20", "--temp", "5", "--top-k", "0", "--top-p", "1",
          "--min-p", "0", "--device", "cpu", "-s", seed,
        ]
      ).output
    }
    #expect(try text("18446744073709551615") == text("18446744073709551615"))
    #expect(try text("-1") != text("-1"))
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

  @Test func kernelsAreWrittenIntoFiles() throws {
    let disk = TinyModel().write()
    let folder = TemporaryFile([])
    let arguments = ["run", disk.path, "-p", "HELLO", "-n", "2", "--dump-kernel", "select_rows"]
    let none = try run(arguments + ["--device", "cpu"])
    #expect(none.status == 1 && none.notes.contains("no kernel of this run is named 'select_rows'"))
    #expect(none.notes.contains("(cpu) build no programs"))
    guard SmolLM2.hasOpenCL else { return }
    let wrong = try run([
      "run", disk.path, "-p", "HELLO", "-n", "2", "--device", "opencl:0", "--dump-kernel",
      "subtract",
    ])
    #expect(wrong.status == 1 && wrong.notes.contains("there are "))
    #expect(wrong.notes.contains("pointwise/select_rows (select_rows)"))
    unlink(folder.path)
    mkdir(folder.path, 0o700)
    let right = try run(arguments + ["--device", "opencl:0", "--dump-folder", folder.path])
    #expect(right.status == 0, "\(right.notes)")
    let stem = "\(folder.path)/opencl-0-pointwise-select_rows-0"
    let source = String(decoding: try Fixtures.bytes("\(stem).cl"), as: UTF8.self)
    let about = String(decoding: try Fixtures.bytes("\(stem).txt"), as: UTF8.self)
    #expect(source.contains("kernel void select_rows("))
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
    #expect(answer.notes.contains("saved 2 messages") && answer.notes.contains("from the cache"))
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
